"""Policies and an operator at the pace of a test: seconds instead of the minutes of production."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from e2e.cluster.paths import REPOSITORY
from e2e.harness.kube import Object, kubectl
from e2e.harness.policies import policy, signal
from e2e.harness.waiting import wait_until

#: What a leaking pod has open of its 200: above the threshold from the first reading on.
LEAKING = 180.0
#: Readings every second and a verdict after five, so that a scenario takes seconds.
SIGNALS = [signal("Descriptors", "80%", "4s")]
SETTINGS: Mapping[str, str] = {
    "LEAKWARDEN_INTERVAL": "1s",
    "LEAKWARDEN_BUCKET": "2s",
    "LEAKWARDEN_QUIET_AFTER_START": "0s",
    # As in production, but a crash is followed after four seconds and not after fifteen.
    "LEAKWARDEN_LEADER_ELECTION": "true",
    "LEAKWARDEN_LEASE_DURATION": "4s",
    "LEAKWARDEN_LEASE_RENEW_DEADLINE": "3s",
    "LEAKWARDEN_LEASE_RETRY": "500ms",
}
POLICY = "guarded"
MAX_AGE = 6.0  # s
# : As in production. A leader that cannot renew it within the deadline ends, and is started again.
USUAL_LEASE: Mapping[str, str] = {
    "LEAKWARDEN_LEASE_DURATION": "15s",
    "LEAKWARDEN_LEASE_RENEW_DEADLINE": "10s",
    "LEAKWARDEN_LEASE_RETRY": "2s",
}
REFILL = "8s"  # after a gap in the readings; longer than the threshold's time, so that this is the wait that is tested
# : Waits of a policy that are minutes in production.
PACE: Mapping[str, Any] = {"warmUp": "0s", "podCooldown": "10s", "verification": {"settle": "4s", "timeout": "60s"}}


def guarding(name: str, namespace: str, selector: Mapping[str, str], *, refill: str = REFILL, **given: Any) -> Object:
    """A policy in mode Enforce with the paces of a test."""
    made = policy(name, namespace, selector, given.pop("signals", SIGNALS), **given)
    made["spec"]["source"]["refill"] = refill
    made["spec"]["remediation"] = {**PACE, **made["spec"]["remediation"]}
    return made


def install_kinds() -> None:
    """The kinds of this tree, until the API server knows every field of theirs: it publishes them a moment later."""
    # With Helm's field manager, so that a later release with newer ones meets no other owner.
    kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", str(REPOSITORY / "crds"))
    sample = json.dumps(guarding(POLICY, "default", {"app": "none"}))

    def known() -> bool:
        kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=sample)
        return True

    wait_until("the kinds to be served", known, 60)
