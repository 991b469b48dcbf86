"""Publishes the one status that a ClusterReliabilityPolicy has for all of its namespaces, and Events for changes in it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from leakwarden.api.v1alpha1.cluster_status import ClusterPolicyStatus
from leakwarden.api.v1alpha1.status import PolicyStatus
from leakwarden.core.model.cluster_policy import ClusterPolicy
from leakwarden.core.model.policy import Policy
from leakwarden.core.rendering.cluster_events import cluster_announcements
from leakwarden.core.rendering.cluster_status import Hindrance, cluster_status
from leakwarden.engine.cluster_policies import ClusterPolicies
from leakwarden.engine.ports import Cluster, ClusterUnavailable, Recorder, StatusConflict
from leakwarden.engine.publisher import MAX_STATUS_BYTES, TEXT_REFRESH

log = logging.getLogger("leakwarden.cluster_publisher")


@dataclass(slots=True)
class _Shown:
    """From what the last status was made: where that is the same, so is the status."""

    policy: ClusterPolicy
    statuses: Sequence[PolicyStatus]
    hindrance: Hindrance
    written: float  # epoch s


@dataclass(slots=True)
class ClusterPublisher:
    policies: ClusterPolicies
    cluster: Cluster
    recorder: Recorder
    clock: Callable[[], float]
    _shown: dict[str, _Shown] = field(default_factory=dict)  # by the policy's UID

    async def tell(self, defect: str = "") -> None:
        """`defect`: why nothing could be looked at, in one line, or empty."""
        within: dict[str, list[Policy]] = {}
        for each in self.policies.all():
            if each.origin is not None:
                within.setdefault(each.origin.uid, []).append(each)
        known = self.policies.known()
        self._shown = {uid: shown for uid, shown in self._shown.items() if uid in {each.uid for each in known}}
        for policy in known:
            mine = within.get(policy.uid, [])
            waiting = self.policies.selected(policy) - len(mine)
            await self._tell(policy, mine, Hindrance(self.policies.unsure(), defect, max(0, waiting)))

    async def tell_of_defect(self, why: str) -> None:
        await self.tell(why)

    async def _tell(self, policy: ClusterPolicy, within: Sequence[Policy], hindrance: Hindrance) -> None:
        now = self.clock()
        statuses = [each.status for each in within]
        shown = self._shown.get(policy.uid)
        if shown is not None and _is_same(shown, policy, statuses, hindrance):
            return
        before, after = policy.status, fitting(cluster_status(policy, within, hindrance, now))
        written = shown.written if shown is not None else 0.0
        if after == before:
            self._shown[policy.uid] = _Shown(policy, statuses, hindrance, written)
            return
        if _wordless(after) == _wordless(before) and now - written < TEXT_REFRESH:
            return
        body = after.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            version = await self.cluster.write_status("", policy.name, policy.uid, policy.resource_version, body)
        except StatusConflict:
            return  # the next tick writes it again from newer facts
        except ClusterUnavailable as error:
            log.warning("status not written", extra={"policy": policy.name, "error": str(error)})
            return
        self.policies.wrote_cluster(policy.uid, version, after)
        self._shown[policy.uid] = _Shown(policy, statuses, hindrance, now)
        await self.recorder.announce(cluster_announcements(policy, before, after))


def _is_same(shown: _Shown, policy: ClusterPolicy, statuses: Sequence[PolicyStatus], hindrance: Hindrance) -> bool:
    """By identity: comparing the statuses of a thousand namespaces costs as much as making the new one."""
    return (
        (shown.policy.generation, shown.policy.error, shown.hindrance) == (policy.generation, policy.error, hindrance)
        and len(shown.statuses) == len(statuses)
        and all(one is other for one, other in zip(shown.statuses, statuses, strict=True))
    )


def fitting(status: ClusterPolicyStatus) -> ClusterPolicyStatus:
    """The status within MAX_STATUS_BYTES: where it is larger the workloads that are shown in short are left out first, from
    the last on, then namespaces, then workloads in full. Counts, conditions and actions stay."""
    for part in ("others", "namespaces", "workloads"):
        while getattr(status, part) and _size(status) > MAX_STATUS_BYTES:
            held = getattr(status, part)
            status = status.model_copy(update={part: held[: len(held) // 2]})
    return status


def _size(status: ClusterPolicyStatus) -> int:
    return len(status.model_dump_json(by_alias=True, exclude_none=True).encode())


def _wordless(status: ClusterPolicyStatus) -> object:
    """The status without its wording, whose numbers move with every reading."""
    return status.model_dump(
        exclude={
            "conditions": {"__all__": {"message"}},
            "namespaces": {"__all__": {"message"}},
            "workloads": {"__all__": {"unhealthy": {"__all__": {"message"}}, "skipped": {"message"}}},
            "signals": {"__all__": {"message", "pods"}},
        }
    )
