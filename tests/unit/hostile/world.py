"""A cluster with a well-behaved tenant and a hostile one. Only what a tenant can write differs from a real operator's world.

`shop` is well-behaved: one Deployment, one policy in mode Enforce with a veto that agrees, and a pod that runs out of
descriptors. `bank` writes what the API server takes from somebody with `admin` in its namespace: policies, annotations,
LeakReports, metrics under its own names. It can also make its namespace refuse, and bring defects of ours to light (`mine`).
The engine, the reader, the detector and the guards are the real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.core.guards.silences import Matcher, Silence, Silences
from leakwarden.core.model.leakreport import LeakReport, parse_report
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.readings import Answer, NoData, Points, Query, QueryFailed, Sampled, SeriesKey
from leakwarden.core.model.workload import Pod, Workload
from leakwarden.engine.auditor import Auditor
from leakwarden.engine.defects import Defects
from leakwarden.engine.guard_context import GuardContext
from leakwarden.engine.policy_store import PolicyStore
from leakwarden.engine.ports import Attempt, ClusterUnavailable, Forbidden, Outcome
from leakwarden.engine.reader import Reader
from leakwarden.engine.tick import Engine
from tests.builders import DESCRIPTORS, NOW, body, points
from tests.unit.planning.plan_story import Author, Deployment, Rules, Story
from tests.unit.planning.plan_world import PlanCluster, PlanWorld

GOOD, HOSTILE = "shop", "bank"
# The limits of a usual installation (chart values).
USUAL = Rules(namespace_actions=10, cluster_actions=20, max_concurrent=1, storm_actions=10, quiet=0, vetoed=True,
              max_unavailable=1, min_ready=1, cooldown=60, verified_within=240)  # fmt: skip
TICKS = 12
EVERY = 240  # s; all ticks together are longer than one action may hold the only slot
VETO_WITHIN = 0.2  # s, of real time; a veto of the hostile tenant may never be answered


@dataclass(frozen=True)
class Hostility:
    """What the hostile tenant writes, and how it fares. `policies`: specs. `deployments`: how many, all of whose pods are
    full. `reports`: bodies of LeakReports in its namespace. `annotations` of its Deployments. `refusal` of its LeakReports:
    "", "forbidden" or "fails". `answer` of its own queries. `vetoes_answer`: whether its vetoes are ever answered.
    `said_done`: records in the status of each of its policies. `attempt`: what the API server answers to a change of its
    workloads, or "raises". `protected`: what its pods say to the node autoscalers. `silences`: matchers. `mine`: the step of the tick at which its policies bring a defect of ours to light, or ""."""

    policies: tuple[dict[str, Any], ...] = ()
    older: bool = True  # than the well-behaved tenant's policy
    deployments: int = 1
    reports: tuple[dict[str, Any], ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""
    answer: str = "full"
    series: int = 3  # of each of its pods, under names of containers that do not exist
    vetoes_answer: bool = True
    said_done: tuple[dict[str, Any], ...] = ()
    attempt: str = "Done"
    protected: str = ""
    silences: tuple[Matcher, ...] = ()
    mine: str = ""


class HostileCluster(PlanCluster):
    """The API server; its namespace `bank` may refuse LeakReports."""

    home: HostileWorld

    def _refuse(self, namespace: str) -> None:
        if namespace == HOSTILE and self.home.hostility.refusal:
            kind = Forbidden if self.home.hostility.refusal == "forbidden" else ClusterUnavailable
            raise kind("the namespace is being deleted")

    async def create_report(
        self, namespace: str, name: str, labels: Mapping[str, str], spec: Mapping[str, Any]
    ) -> LeakReport:
        self._refuse(namespace)
        return await super().create_report(namespace, name, labels, spec)

    async def write_report_status(self, report: LeakReport, status: Mapping[str, Any]) -> str:
        self._refuse(report.namespace)
        return await super().write_report_status(report, status)

    async def delete_report(self, report: LeakReport) -> None:
        self._refuse(report.namespace)
        await super().delete_report(report)

    async def policy_generation(self, namespace: str, name: str, uid: str) -> int | None:
        return 1 if namespace == HOSTILE else await super().policy_generation(namespace, name, uid)


class HostileWorld(PlanWorld):
    def __init__(self, hostility: Hostility) -> None:
        self.hostility = hostility
        self.touched: list[tuple[str, str, str]] = []  # namespace, kind, pod's UID
        super().__init__(
            Story(
                USUAL, ((GOOD, GOOD, 3),), ("exhausting", "calm", "calm"), (), policies=(("main", GOOD, 3600, False),)
            )
        )
        for n in range(hostility.deployments):
            made = Deployment(HOSTILE, f"api-{n}", GOOD, 2, [], 2)
            made.members = [self.newborn("exhausting", NOW - 7200) for _ in range(2)]
            self.deployments.append(made)
        self.cluster = HostileCluster(self)
        self.plant(hostility.reports)
        self.restart()

    def restart(self) -> None:
        self.policies = PolicyStore(per_namespace=50)
        for author in self.authors:
            self.show(author)
        for n, spec in enumerate(self.hostility.policies):
            created = format_time(NOW - (86_400 if self.hostility.older else 60) - n)
            metadata = {"namespace": HOSTILE, "uid": f"uid-policy-{HOSTILE}-{n}", "generation": 1,
                        "creationTimestamp": created}  # fmt: skip
            self.policies.put(
                body(f"p{n}", metadata=metadata, spec=spec, status={"actions": list(self.hostility.said_done)})
            )
        self.began = self.now
        source = TenantMetrics(self)
        defects = Defects()
        guard_context = GuardContext(
            lambda _: source,
            Alertmanager(self.hostility.silences),
            replace(self.rules.limits, storm_workloads=10, storm_cooldown=7200.0),
            self.now,
            veto_within=VETO_WITHIN,
        )
        self.engine = Engine(
            self.policies, self.cluster, Reader({"main": source}, source, 60.0, defects=defects), auditor=Auditor(None),
            recorder=self.recorder, permitted=frozenset(ActionType), clock=lambda: self.now, guard_context=guard_context,
            defects=defects,
        )  # fmt: skip

    def show(self, author: Author, status: Any = None) -> None:
        spec = {**self.rules.spec(author), "signals": [DESCRIPTORS]}
        metadata = {"namespace": author.namespace, "uid": author.uid, "generation": author.generation,
                    "creationTimestamp": format_time(NOW - author.age)}  # fmt: skip
        self.policies.put(body(author.name, metadata=metadata, spec=spec))

    def plant(self, reports: Sequence[Mapping[str, Any]]) -> None:
        for n, each in enumerate(reports):
            name = f"forged-{n}"
            metadata = {"namespace": HOSTILE, "name": name, "uid": f"uid-{name}", "resourceVersion": "7", "labels": {},
                        "creationTimestamp": format_time(NOW - 600)}  # fmt: skip
            made = parse_report({"metadata": metadata, **each})
            if made is not None:
                self.cluster.stored[made.key] = made

    def workload(self, each: Deployment) -> Workload:
        found = super().workload(each)
        return replace(found, annotations={**self.hostility.annotations}) if each.namespace == HOSTILE else found

    def asked(self, kind: str, deployment: Deployment, uid: str) -> Attempt:
        self.touched.append((deployment.namespace, kind, uid))
        if deployment.namespace == GOOD:
            return super().asked(kind, deployment, uid)
        return self._hostile(lambda: self._carry_out(kind, deployment, uid))

    def taken_back(self, deployment: Deployment, replicas: int) -> Attempt:
        if deployment.namespace == GOOD:
            return super().taken_back(deployment, replicas)
        return self._hostile(lambda: super(HostileWorld, self).taken_back(deployment, replicas))

    def _hostile(self, change: Callable[[], object]) -> Attempt:
        """The answer to a change of the hostile tenant's workloads; what is done or not known is carried out."""
        answer = self.hostility.attempt
        if answer == "raises":
            raise RuntimeError("the connection broke in the middle of an answer")
        if answer in (Outcome.DONE, Outcome.UNKNOWN):
            change()
        return Attempt(Outcome(answer), "\x1b[2J" * 99)

    def pods(self, each: Deployment) -> list[Pod]:
        found = super().pods(each)
        if each.namespace != HOSTILE:
            return found
        return [replace(one, protected=self.hostility.protected) for one in found]

    async def days(self, ticks: int = TICKS) -> None:
        """So many ticks. None may raise, nor wait for a hostile tenant for longer than for all vetoes of a tick."""
        for _ in range(ticks):
            self.true_time += EVERY
            self.cluster.now = self.true_time
            await asyncio.wait_for(self.engine.tick(), 60)

    @property
    def good(self) -> Deployment:
        return next(each for each in self.deployments if each.namespace == GOOD)

    def condition(self, kind: str, namespace: str = GOOD) -> tuple[str, str]:
        policy = next(each for each in self.policies.all() if each.namespace == namespace)
        return next((each.status, each.reason) for each in policy.status.conditions if each.type == kind)


@dataclass
class TenantMetrics:
    """A Prometheus that holds what both tenants export. It knows PromQL only as far as it knows whose query it is."""

    world: HostileWorld
    name: str = "main"
    kind: str = "Prometheus"
    pod_labels: tuple[str, str] = ("namespace", "pod")

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        return {query.key: self._answer(query, now) for query in queries}

    async def values(self, query: str, at: float) -> Sequence[float]:
        if f'namespace="{HOSTILE}"' in query and not self.world.hostility.vetoes_answer:
            await asyncio.Event().wait()
        return []

    def _answer(self, query: Query, now: float) -> Answer:
        if query.key.startswith("context/"):
            return NoData("NoSeries", "none")
        if query.confined and HOSTILE in query.namespaces:
            match self.world.hostility.answer:
                case "failed":
                    return QueryFailed("Timeout", "it did not answer within 10s")
                case "none":
                    return NoData("NoSeries", "none")
                case "raises":
                    raise KeyError(HOSTILE)
        series: dict[SeriesKey, Points] = {}
        limits: dict[SeriesKey, float] = {}
        for deployment in self.world.deployments:
            if deployment.namespace in query.namespaces:
                for pod in self.world.pods(deployment):
                    self._export(pod, deployment, series, limits, now)
        return Sampled(series, limits)

    def _export(self, pod: Pod, deployment: Deployment, series: Any, limits: Any, now: float) -> None:
        full = self.world.mood(pod.uid) == "exhausting"
        hostile = deployment.namespace == HOSTILE
        names = ["app", *(f"c{n}" for n in range(self.world.hostility.series if hostile else 0))]
        for name in names:
            key = SeriesKey(pod.namespace, pod.name, name)
            series[key] = points([950.0 if full else 50.0] * 5, every=60.0, until=now)
            limits[key] = 1000.0


@dataclass
class Alertmanager:
    matchers: tuple[Matcher, ...]

    async def active(self) -> Silences:
        return Silences(tuple(Silence(f"s{n}", (each,)) for n, each in enumerate(self.matchers)))
