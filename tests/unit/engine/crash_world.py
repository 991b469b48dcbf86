"""A cluster that goes on while operators are killed: evictions delete pods, which are replaced, and rollouts roll out.

`Dying` lies between an engine and the cluster and kills the engine at the n-th request that changes something, before
or after it took effect: the state that SIGKILL leaves, without a process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus
from leakwarden.core.descriptors.census import Census
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.namespace import Namespace
from leakwarden.core.model.workload import Disruption, Pod, Snapshot, Workload
from leakwarden.engine.ports import Attempt, CaptureRequest, DescriptorsFound, Outcome, ReportView
from tests.builders import body, pod, points, sampled, snapshot, workload
from tests.unit.engine.engine_world import World
from tests.unit.engine.living_cluster import LivingCluster

T = TypeVar("T")


class Killed(BaseException):
    """The operator was killed. Not an Exception: no code may catch it, as nothing catches SIGKILL."""


class OneDeployment(LivingCluster):
    """Carries out requests on its only Deployment."""

    def __init__(self, world: Snapshot) -> None:
        super().__init__(self)
        self.world = world
        self.happened: list[tuple[float, str, str]] = []  # the changes that really happened, with their time
        self.born = 0
        self.looked: list[str] = []  # UIDs of pods that were given a reader, in order

    @property
    def deployment(self) -> Workload:
        (only,) = self.world.workloads.values()
        return only

    @property
    def pods(self) -> tuple[Pod, ...]:
        return self.world.pods_by_workload.get(self.deployment.uid, ())

    def shown(self) -> Snapshot:
        return replace(self.world, autoscalers=self.world.autoscalers or {})

    def _newborn(self) -> Pod:
        self.born += 1
        return pod(f"new-{self.born}", created=self.now + 1)

    async def add_ephemeral_container(self, pod: Pod, container: Mapping[str, Any]) -> Attempt:
        self.looked.append(pod.uid)
        return Attempt(Outcome.DONE)

    def carry_out(self, kind: str, workload: Workload, *, pod_uid: str = "", replicas: int = 0) -> Attempt:
        self.happened.append((self.now, kind, pod_uid or workload.uid))
        changed = replace(workload, resource_version=f"{workload.resource_version}1")
        if kind == "EvictPod":
            left = [each for each in self.pods if each.uid != pod_uid]
            self.world = snapshot([workload], [*left, self._newborn()])
        elif kind == "RolloutRestart":
            self.world = snapshot([changed], [self._newborn() for _ in self.pods])
        else:
            scaled = replace(changed, replicas=replicas, updated_replicas=replicas, ready_replicas=replicas)
            self.world = snapshot([scaled], [*self.pods, self._newborn()])
        return Attempt(Outcome.DONE)


@dataclass
class Dying:
    """Implements ports.Cluster. `at` counts requests that change something from 1; 0 never kills."""

    cluster: OneDeployment
    at: int = 0
    after: bool = False
    requests: list[str] = field(default_factory=list)

    async def _change(self, name: str, request: Callable[[], Awaitable[T]]) -> T:
        self.requests.append(name)
        fatal = len(self.requests) == self.at
        if fatal and not self.after:
            raise Killed
        answer = await request()
        if fatal:
            raise Killed
        return answer

    def snapshot(self) -> Snapshot:
        return self.cluster.snapshot()

    def reports(self) -> ReportView:
        return self.cluster.reports()

    async def refresh_reports(self) -> None:
        await self.cluster.refresh_reports()

    async def disruption_budgets(self, pod: Pod) -> Sequence[Disruption]:
        return await self.cluster.disruption_budgets(pod)

    async def replicas_set_by(self, workload: Workload) -> frozenset[str]:
        return await self.cluster.replicas_set_by(workload)

    async def policy_generation(self, namespace: str, name: str, uid: str) -> int | None:
        return await self.cluster.policy_generation(namespace, name, uid)

    async def namespace(self, name: str) -> Namespace | None:
        return await self.cluster.namespace(name)

    async def add_ephemeral_container(self, pod: Pod, container: Mapping[str, Any]) -> Attempt:
        return await self._change("look", lambda: self.cluster.add_ephemeral_container(pod, container))

    async def evict(self, pod: Pod) -> Attempt:
        return await self._change("evict", lambda: self.cluster.evict(pod))

    async def restart_rollout(self, workload: Workload, at: str) -> Attempt:
        return await self._change("restart", lambda: self.cluster.restart_rollout(workload, at))

    async def scale(self, workload: Workload, replicas: int) -> Attempt:
        return await self._change("scale", lambda: self.cluster.scale(workload, replicas))

    async def write_status(self, *arguments: Any) -> str:
        return await self._change("policy status", lambda: self.cluster.write_status(*arguments))

    async def create_report(
        self, namespace: str, name: str, labels: Mapping[str, str], spec: Mapping[str, Any]
    ) -> LeakReport:
        return await self._change("create", lambda: self.cluster.create_report(namespace, name, labels, spec))

    async def write_report_status(self, report: LeakReport, status: Mapping[str, Any]) -> str:
        kind = f"report {status['phase']}"
        return await self._change(kind, lambda: self.cluster.write_report_status(report, status))

    async def delete_report(self, report: LeakReport) -> None:
        await self._change("delete", lambda: self.cluster.delete_report(report))


class Camera:
    async def baseline(self, request: CaptureRequest, renew: bool) -> bool:
        return True

    async def capture(self, request: CaptureRequest) -> EvidenceStatus:
        return EvidenceStatus(state=EvidenceState.CAPTURED, summary="reader.go:40: body not closed")


@dataclass
class Lens:
    """As the real one does, it reads the pod before it adds a container."""

    dying: Dying

    async def read(self, pod: Pod, container: str, report: str) -> DescriptorsFound:
        if pod.uid not in self.dying.cluster.looked:
            await self.dying.add_ephemeral_container(pod, {})
        return DescriptorsFound("app", Census(1, 1, 9, True, {"file": 9}))


class CrashWorld(World):
    """A World with a changing cluster, with two pods of three leaking; engines come and go."""

    cluster: OneDeployment

    def __init__(self, spec: dict[str, Any], at: int = 0, after: bool = False) -> None:
        self.dying: Dying | None = None
        super().__init__(spec, profiler=Camera())
        self.cluster = OneDeployment(snapshot([workload()], self.pods))
        self.dying = Dying(self.cluster, at, after)
        self.leaking = {"api-1": 950.0, "api-2": 930.0}
        self.engine = self.fresh_engine()

    def fresh_engine(self) -> Any:
        engine = super().fresh_engine()
        if self.dying is None:
            return engine
        return type(engine)(
            engine.policies, self.dying, engine.reader, engine.auditor, engine.recorder, engine.permitted,
            engine.clock, profiler=self.profiler,
            descriptor_reader=Lens(self.dying),
        )  # fmt: skip

    async def live(self, seconds: float, every: float = 60.0) -> int:
        """Ticks over the seconds; a killed engine is followed by another after one interval. Returns the deaths."""
        deaths = 0
        end = self.now + seconds
        while self.now < end:
            self.now += every
            self.cluster.now = self.now
            levels = {each.name: self.leaking.get(each.name, 20.0) for each in self.cluster.pods}
            self.metrics.answer = sampled({name: points([v] * 5, until=self.now) for name, v in levels.items()})
            try:
                await self.engine.tick()
            except Killed:
                deaths += 1
                self._read_policies_anew()
                self.engine = self.fresh_engine()
        return deaths

    def _read_policies_anew(self) -> None:
        """The watch's view for a new process: the policy with the last written status."""
        (policy,) = self.policies.all()
        last = self.cluster.statuses[-1] if self.cluster.statuses else {}
        self.policies.put(body(spec=self.spec, status=last, metadata={"resourceVersion": policy.resource_version}))
