"""The kopf edge: a routing table. It keeps the set of policies current and wakes the engine, nothing else.

`on.event` only: it leaves nothing on the user's object, neither annotations nor finalizers, so that a policy
can be deleted whether or not the operator runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from leakwarden.api import names
from leakwarden.policies import Policies


def register(registry: kopf.OperatorRegistry, policies: Policies, wake: Callable[[], None]) -> None:
    """Route the policy's events to `policies`."""

    @kopf.on.event(names.GROUP, names.VERSION, names.POLICY_PLURAL, registry=registry, id="policy")
    async def policy(*, event: kopf.RawEvent, **_: Any) -> None:
        body = event["object"]
        if event["type"] == "DELETED":
            policies.remove(body["metadata"]["uid"])
        elif policies.put(body):
            wake()

    @kopf.on.login(registry=registry, id="login")
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def operator_settings() -> kopf.OperatorSettings:
    """What we need of kopf, and what we keep it from doing."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True  # no CRD or namespace watching: rights we do not ask for
    settings.posting.enabled = False  # Events are our recorder's
    settings.watching.chunk_size = 500
    settings.peering.standalone = True
    return settings
