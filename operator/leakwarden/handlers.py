"""The kopf edge: a routing table. It keeps the set of policies current and wakes the engine, nothing else.

`on.event` only: it leaves nothing on the user's object, neither annotations nor finalizers, so that a policy
can be deleted whether or not the operator runs.

kopf lives in a thread and a loop of its own: when it stops it cancels every task of its loop that it did not
know at its start, and an action between intent and outcome is not its to cancel.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import kopf

from leakwarden.api import names
from leakwarden.policies import Policies


def register(registry: kopf.OperatorRegistry, put: Callable[[Any], None], remove: Callable[[str], None]) -> None:
    """Route the policy's events to `put` and `remove`."""

    @kopf.on.event(names.GROUP, names.VERSION, names.POLICY_PLURAL, registry=registry, id="policy")
    async def policy(*, event: kopf.RawEvent, **_: Any) -> None:
        body = event["object"]
        if event["type"] == "DELETED":
            remove(body["metadata"]["uid"])
        else:
            put(body)

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


class PolicyWatch:
    """Runs kopf in a thread; hands every change to `policies` in the loop that started it."""

    def __init__(self, policies: Policies, wake: Callable[[], None], namespaces: Sequence[str] | None) -> None:
        self._policies = policies
        self._wake = wake
        self._namespaces = namespaces
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="kopf", daemon=True)
        self.ended = asyncio.Event()
        self.failure = ""  # the class of what ended it, where that was not `stop`

    def start(self) -> None:
        self._thread.start()

    async def stop(self, grace: float = 10.0) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join, grace)

    def _watch(self) -> None:
        try:
            asyncio.run(self._operate())
            if not self._stop.is_set():
                self.failure = "it ended by itself"
        except BaseException as error:  # whatever ends it, the process must hear of it
            self.failure = type(error).__name__
        finally:
            self._call(self.ended.set)

    async def _operate(self) -> None:
        registry = kopf.OperatorRegistry()
        register(registry, self._put, lambda uid: self._call(self._policies.remove, uid))
        await kopf.operator(
            registry=registry,
            settings=operator_settings(),
            standalone=True,
            clusterwide=self._namespaces is None,
            namespaces=self._namespaces or (),
            stop_flag=self._stop,
        )

    def _put(self, body: Any) -> None:
        def take() -> None:
            if self._policies.put(body):
                self._wake()

        self._call(take)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        """In the engine's loop, which may be gone already when the process ends."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)
