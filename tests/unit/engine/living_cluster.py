"""The API server of a changing cluster: it compares a change's preconditions with the present state, as the real one
does.

Its owner (a world that runs whole stories, or one Deployment) then changes pods and replicas.
"""

from __future__ import annotations

from typing import Protocol

from leakwarden.core.model.workload import Pod, Snapshot, Workload
from leakwarden.engine.ports import Attempt, Outcome
from tests.builders import snapshot
from tests.unit.engine.engine_world import FakeCluster


class Home(Protocol):
    def shown(self) -> Snapshot:
        """The present view of the operator's watch."""
        ...

    def carry_out(self, kind: str, workload: Workload, *, pod_uid: str = "", replicas: int = 0) -> Attempt:
        """A change whose preconditions hold. `pod_uid` is for an eviction, `replicas` is the new number."""
        ...


class LivingCluster(FakeCluster):
    def __init__(self, home: Home) -> None:
        super().__init__(snapshot([], []))
        self.home = home

    def snapshot(self) -> Snapshot:
        return self.home.shown()

    async def evict(self, pod: Pod) -> Attempt:
        shown = self.home.shown()
        for uid, pods in shown.pods_by_workload.items():
            if any(each.uid == pod.uid for each in pods):
                return self.home.carry_out("EvictPod", shown.workloads[uid], pod_uid=pod.uid)
        return Attempt(Outcome.GONE, "no longer exists")

    async def restart_rollout(self, workload: Workload, at: str) -> Attempt:
        refused = self._refused(workload)
        return refused or self.home.carry_out("RolloutRestart", self.home.shown().workloads[workload.uid])

    async def scale(self, workload: Workload, replicas: int) -> Attempt:
        refused = self._refused(workload)
        return refused or self.home.carry_out("ScaleOut", self.home.shown().workloads[workload.uid], replicas=replicas)

    def _refused(self, workload: Workload) -> Attempt | None:
        there = self.home.shown().workloads.get(workload.uid)
        if there is None:
            return Attempt(Outcome.GONE, "no longer exists")
        same = there.resource_version == workload.resource_version
        return None if same else Attempt(Outcome.CONFLICT, "changed")
