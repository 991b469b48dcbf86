"""A small world for the engine: one Deployment, fakes of the ports, and an API server that keeps every write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from leakwarden.api.names import FIELD_MANAGER
from leakwarden.api.v1alpha1.leakreport import LeakReportStatus
from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import PolicyStatus
from leakwarden.core.model.leakreport import LeakReport, parse_report
from leakwarden.core.model.namespace import Namespace
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.readings import Answer, Query
from leakwarden.core.model.workload import Disruption, Pod, Snapshot, Workload
from leakwarden.engine.auditor import Auditor
from leakwarden.engine.policy_store import PolicyStore
from leakwarden.engine.ports import (
    Announcement,
    Attempt,
    DescriptorReader,
    Outcome,
    Profiler,
    ReportView,
    StatusConflict,
)
from leakwarden.engine.reader import Reader
from leakwarden.engine.tick import Engine
from tests.builders import NOW, body, enforcing, pod, points, sampled, snapshot, workload

EVERYTHING = frozenset(ActionType)


@dataclass
class FakeCluster:
    """Keeps reports as an API server does, with versions that a write must name. `done`: every change, in order."""

    world: Snapshot
    outcome: Attempt = field(default_factory=lambda: Attempt(Outcome.DONE, "evicted"))
    done: list[tuple[str, str]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    written: list[dict[str, Any]] = field(default_factory=list)  # statuses of reports
    write_error: Exception | None = None
    report_error: Exception | None = None
    generation: int | Exception | None = 1  # of every policy, as the API server has it now
    namespaces: dict[str, Namespace] | Exception = field(
        default_factory=dict
    )  # by name, as the API server has them now
    version: int = 100
    stored: dict[str, LeakReport] = field(default_factory=dict)  # by NAMESPACE/NAME
    synced: bool = True
    trouble: str = ""
    now: float = NOW
    budgets: Sequence[Disruption] | Exception = ()
    replicas_owner: str | Exception = FIELD_MANAGER  # of spec.replicas, as the API server has it

    def snapshot(self) -> Snapshot:
        known = self.world.autoscalers if self.world.autoscalers is not None else {}
        return replace(self.world, autoscalers=known)

    async def evict(self, pod: Pod) -> Attempt:
        self.done.append(("evict", pod.uid))
        return self.outcome

    async def add_ephemeral_container(self, pod: Pod, container: Mapping[str, Any]) -> Attempt:
        self.done.append(("look", pod.uid))
        return self.outcome

    async def restart_rollout(self, workload: Workload, at: str) -> Attempt:
        self.done.append(("restart", workload.uid))
        return self.outcome

    async def scale(self, workload: Workload, replicas: int) -> Attempt:
        self.done.append(("scale", f"{workload.uid} {replicas}"))
        return self.outcome

    async def disruption_budgets(self, pod: Pod) -> Sequence[Disruption]:
        if isinstance(self.budgets, Exception):
            raise self.budgets
        return self.budgets

    async def replicas_set_by(self, workload: Workload) -> frozenset[str]:
        if isinstance(self.replicas_owner, Exception):
            raise self.replicas_owner
        return frozenset({self.replicas_owner})

    async def policy_generation(self, namespace: str, name: str, uid: str) -> int | None:
        if isinstance(self.generation, Exception):
            raise self.generation
        return self.generation

    async def namespace(self, name: str) -> Namespace | None:
        if isinstance(self.namespaces, Exception):
            raise self.namespaces
        return self.namespaces.get(name)

    async def write_status(
        self, namespace: str, name: str, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> str:
        if self.write_error is not None:
            raise self.write_error
        self.done.append(("status", name))
        self.statuses.append(dict(status))
        self.version += 1
        return str(self.version)

    def reports(self) -> ReportView:
        return ReportView({report.uid: report for report in self.stored.values()}, self.synced, self.trouble)

    async def refresh_reports(self) -> None:
        if self.report_error is not None:
            raise self.report_error

    async def create_report(
        self, namespace: str, name: str, labels: Mapping[str, str], spec: Mapping[str, Any]
    ) -> LeakReport:
        if self.report_error is not None:
            raise self.report_error
        key = f"{namespace}/{name}"
        if key not in self.stored:
            self.version += 1
            metadata = {"namespace": namespace, "name": name, "uid": f"uid-{name}", "labels": dict(labels),
                        "resourceVersion": str(self.version), "creationTimestamp": format_time(self.now)}  # fmt: skip
            made = parse_report({"metadata": metadata, "spec": dict(spec)})
            assert made is not None
            self.stored[key] = made
            self.done.append(("create", name))
        return self.stored[key]

    async def write_report_status(self, report: LeakReport, status: Mapping[str, Any]) -> str:
        if self.report_error is not None:
            raise self.report_error
        held = self.stored.get(report.key)
        if held is None or held.resource_version != report.resource_version or held.uid != report.uid:
            raise StatusConflict(report.key)
        self.version += 1
        told = LeakReportStatus.model_validate(status)
        self.stored[report.key] = replace(held, resource_version=str(self.version), status=told)
        self.written.append(dict(status))
        self.done.append(("report", str(told.phase)))
        return str(self.version)

    async def delete_report(self, report: LeakReport) -> None:
        if self.report_error is not None:
            raise self.report_error
        self.stored.pop(report.key, None)
        self.done.append(("delete", report.name))


@dataclass
class FakeMetrics:
    answer: Answer
    name: str = "main"
    kind: str = "Prometheus"
    pod_labels: tuple[str, str] = ("namespace", "pod")
    asked: list[tuple[list[str], float, float]] = field(default_factory=list)

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        self.asked.append(([query.key for query in queries], since, now))
        return {query.key: self.answer for query in queries}


@dataclass
class FakeRecorder:
    told: list[Announcement] = field(default_factory=list)

    async def announce(self, announcements: Sequence[Announcement]) -> None:
        self.told += announcements

    def reasons(self, kind: str) -> list[str]:
        return [a.reason for a in self.told if a.regarding.kind == kind]

    def notes(self, reason: str) -> list[str]:
        return [a.note for a in self.told if a.reason == reason and a.regarding.kind == "Deployment"]


class World:
    """One Deployment of three pods, one of which is out of descriptors, and an engine that watches it."""

    def __init__(self, spec: dict[str, Any] | None = None, profiler: Profiler | None = None, **changes: Any) -> None:
        self.now = NOW
        self.flat: dict[str, float] = {}
        self.profiler = profiler
        self.descriptor_reader: DescriptorReader | None = None
        self.pods = [pod("api-1"), pod("api-2"), pod("api-3")]
        self.cluster = FakeCluster(snapshot([workload()], self.pods))
        self.metrics = FakeMetrics(
            sampled({"api-1": points([950] * 5), "api-2": points([50] * 5), "api-3": points([50] * 5)})
        )
        self.recorder = FakeRecorder()
        self.policies = PolicyStore()
        self.spec = spec or enforcing()
        self.policies.put(body(spec=self.spec, **changes))
        self.engine = self.fresh_engine()

    def fresh_engine(self) -> Engine:
        return Engine(
            self.policies, self.cluster, Reader({"main": self.metrics}, self.metrics, 30.0), auditor=Auditor(None),
            recorder=self.recorder, permitted=EVERYTHING, clock=lambda: self.now, profiler=self.profiler,
            descriptor_reader=self.descriptor_reader,
        )  # fmt: skip

    def levels(self, **by_pod: float) -> None:
        """Flat readings up to now; pods are named with _ in place of -."""
        self.flat = {name.replace("_", "-"): value for name, value in by_pod.items()}
        self._read_flat()

    def _read_flat(self) -> None:
        self.metrics.answer = sampled({name: points([v] * 5, until=self.now) for name, v in self.flat.items()})

    async def later(self, seconds: float = 30.0) -> None:
        """A tick after so many seconds, with the last levels."""
        self.now += seconds
        self.cluster.now = self.now
        if self.flat:
            self._read_flat()
        await self.engine.tick()

    @property
    def status(self) -> PolicyStatus:
        return self.policies.all()[0].status

    @property
    def reports(self) -> list[LeakReport]:
        return sorted(self.cluster.stored.values(), key=lambda report: (report.created, report.name))

    @property
    def report(self) -> LeakReport:
        (only,) = self.reports
        return only

    def condition(self, kind: str) -> tuple[str, str]:
        (found,) = [c for c in self.status.conditions if c.type == kind]
        return found.status, found.reason

    def changes(self) -> list[tuple[str, str]]:
        """The changes of workloads."""
        return [entry for entry in self.cluster.done if entry[0] in ("evict", "restart", "scale")]
