"""A cached view of workloads and pods, and the few changes we make: all the engine's access to the API server."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

from leakwarden.adapters.cluster import actions, facts, reports, wire
from leakwarden.adapters.cluster.cache import AutoscalerSink, Cache, PodSink, SetSink, WorkloadSink
from leakwarden.adapters.cluster.kind_facts import DIRECT, FOLLOWED
from leakwarden.adapters.cluster.reflector import Reflector
from leakwarden.adapters.cluster.resource import Pace, ReflectorStats, Resource
from leakwarden.adapters.cluster.session import Session
from leakwarden.api.v1alpha1.kinds import WorkloadKind
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.namespace import Namespace
from leakwarden.core.model.workload import Disruption, Pod, Snapshot, Workload
from leakwarden.engine.ports import Attempt, ReportView

# Seconds without data from the API server after which no action may use a snapshot: two watches in a row that went
# silent (70 s each) and the waits between them.
STALE_AFTER = 180.0

DEPLOYMENTS = Resource("apis/apps/v1", "deployments", wire.ApiDeployment)
REPLICA_SETS = Resource("apis/apps/v1", "replicasets", wire.ApiReplicaSet, metadata_only=True)
PODS = Resource("api/v1", "pods", wire.ApiPod)
AUTOSCALERS = Resource("apis/autoscaling/v2", "horizontalpodautoscalers", wire.ApiAutoscaler)
SCALED_OBJECTS = Resource("apis/keda.sh/v1alpha1", "scaledobjects", wire.ApiAutoscaler, optional=True)

PER_NAMESPACE = 2000  # LeakReports
NOT_FOLLOWED = "this installation does not follow them (workloads in the chart's values)"


class ApiCluster:
    """Implements ports.Cluster. The session is the caller's, to share and to close; `namespaces` None means all;
    `per_namespace` is how many LeakReports are held of each; `kinds` are followed in addition to Deployments."""

    def __init__(
        self,
        session: Session,
        namespaces: Sequence[str] | None = None,
        pace: Pace | None = None,
        per_namespace: int = PER_NAMESPACE,
        kinds: Set[WorkloadKind] = frozenset(),
    ) -> None:
        self._session = session
        self._cache = Cache(DIRECT & kinds)
        self._namespaces: list[str | None] = [None] if namespaces is None else [*sorted(set(namespaces))]
        self._reflectors: list[Reflector[Any]] = []
        self._reports = reports.ReportStore(per_namespace)
        self._per_namespace = per_namespace
        # Apart from the others: without the right to reports the operator still watches, judges and reports the missing
        # right.
        self._report_reflectors = [
            Reflector(session, reports.REPORTS, self._reports, namespace=namespace, pace=pace)
            for namespace in self._namespaces
        ]
        # Apart, too: where autoscalers cannot be read nothing is scaled out, and everything else goes on.
        self._autoscalers = AutoscalerSink(facts.autoscaled)
        self._scaled_objects = AutoscalerSink(facts.scaled_by_keda)
        self._scaler_reflectors = [
            Reflector(session, resource, sink, namespace=namespace, pace=pace)
            for namespace in self._namespaces
            for resource, sink in ((AUTOSCALERS, self._autoscalers), (SCALED_OBJECTS, self._scaled_objects))
        ]
        # Apart, too: a kind that cannot be read must not stop the others.
        self._kinds: dict[WorkloadKind, list[Reflector[Any]]] = {
            kind: [
                Reflector(session, resource, WorkloadSink(self._cache, reads), namespace=namespace, pace=pace)
                for namespace in self._namespaces
            ]
            for kind, (resource, reads) in FOLLOWED.items()
            if kind in kinds
        }
        for namespace in self._namespaces:
            # ReplicaSets before pods, since most pods then find their Deployment at once; any order comes out right.
            self._reflectors += [
                Reflector(
                    session, DEPLOYMENTS, WorkloadSink(self._cache, facts.workload), namespace=namespace, pace=pace
                ),
                Reflector(session, REPLICA_SETS, SetSink(self._cache), namespace=namespace, pace=pace),
                Reflector(session, PODS, PodSink(self._cache), namespace=namespace, pace=pace),
            ]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def _all(self) -> tuple[Reflector[Any], ...]:
        return (*self._reflectors, *self._kind_reflectors, *self._report_reflectors, *self._scaler_reflectors)

    @property
    def _kind_reflectors(self) -> list[Reflector[Any]]:
        return [reflector for reflectors in self._kinds.values() for reflector in reflectors]

    async def start(self) -> None:
        """Begin to follow the API server; returns at once. `wait_synced` returns when the view is complete."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(reflector.run()) for reflector in self._all]

    async def stop(self) -> None:
        """End all watches. The last view remains, and ages."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def begin_anew(self) -> None:
        """List everything again, from now on; once `wait_synced` is true, the view is newer than this call.

        For a new leader: a watch may be silent for a minute before it is known to be dead, and its predecessor's
        changes must be seen before anything else is done.
        """
        await self.stop()
        for reflector in (*self._reflectors, *self._kind_reflectors):
            reflector.begin_anew()
        await self.start()

    async def wait_synced(self, timeout: float) -> bool:  # noqa: ASYNC109 - a plain bool is easier on the caller
        """Wait until workloads and pods were listed once; False when that took over `timeout` seconds."""
        return await _all_synced(self._reflectors, timeout)

    async def wait_reports(self, timeout: float) -> bool:  # noqa: ASYNC109
        """Wait until the reports were listed once; False when that took over `timeout` seconds."""
        return await _all_synced(self._report_reflectors, timeout)

    def snapshot(self) -> Snapshot:
        workloads, pods = self._cache.view()
        # With a wrong clock no age is known: neither the view's, nor a cooldown's.
        off = self._session.server_time.trouble
        troubles = {trouble for each in self._reflectors if (trouble := each.stats().trouble)} | (
            {off} if off else set()
        )
        return Snapshot(
            workloads=workloads,
            pods_by_workload=pods,
            synced=not off and all(reflector.synced.is_set() for reflector in self._reflectors),
            age=max((reflector.age for reflector in self._reflectors), default=math.inf),
            trouble="; ".join(sorted(troubles)),
            autoscalers={**self._autoscalers.held, **self._scaled_objects.held} if self._knows_autoscalers() else None,
            autoscalers_denied="; ".join(sorted({each.denied for each in self._scaler_reflectors if each.denied})),
            unread_kinds=self._unread_kinds(),
            absent_kinds=frozenset(
                str(kind) for kind, reflectors in self._kinds.items() if any(each.absent for each in reflectors)
            ),
        )

    def _unread_kinds(self) -> dict[str, str]:
        found = {}
        for kind in FOLLOWED:
            if kind not in self._kinds:
                found[str(kind)] = NOT_FOLLOWED
            elif why := sorted({said for each in self._kinds[kind] if (said := _unread(each))}):
                found[str(kind)] = "; ".join(why)
        return found

    def _knows_autoscalers(self) -> bool:
        return all(r.synced.is_set() and r.age <= STALE_AFTER for r in self._scaler_reflectors)

    def stats(self) -> tuple[ReflectorStats, ...]:
        """One entry per reflector, for metrics and readiness; its `trouble` is one line for people, or empty."""
        return tuple(reflector.stats() for reflector in self._all)

    async def evict(self, pod: Pod) -> Attempt:
        return await actions.evict(self._session, pod)

    async def add_ephemeral_container(self, pod: Pod, container: Mapping[str, Any]) -> Attempt:
        return await actions.add_ephemeral_container(self._session, pod, container)

    async def restart_rollout(self, workload: Workload, at: str) -> Attempt:
        return await actions.restart_rollout(self._session, workload, at)

    async def scale(self, workload: Workload, replicas: int) -> Attempt:
        return await actions.scale(self._session, workload, replicas)

    async def disruption_budgets(self, pod: Pod) -> Sequence[Disruption]:
        return await actions.disruption_budgets(self._session, pod)

    async def replicas_set_by(self, workload: Workload) -> frozenset[str]:
        return await actions.replicas_set_by(self._session, workload)

    async def policy_generation(self, namespace: str, name: str, uid: str) -> int | None:
        return await actions.policy_generation(self._session, namespace, name, uid)

    async def namespace(self, name: str) -> Namespace | None:
        return await actions.namespace(self._session, name)

    async def write_status(
        self, namespace: str, name: str, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> str:
        return await actions.write_status(
            self._session, namespace, name, uid=uid, resource_version=resource_version, status=status
        )

    def reports(self) -> ReportView:
        said = [stats.trouble for reflector in self._report_reflectors if (stats := reflector.stats()).trouble]
        return ReportView(
            reports=self._reports.view(),
            troubles=self._reports.troubles,
            synced=all(reflector.synced.is_set() for reflector in self._report_reflectors),
            trouble="; ".join(dict.fromkeys(said)),
        )

    async def refresh_reports(self) -> None:
        found = [await reports.fetch(self._session, namespace, self._per_namespace) for namespace in self._namespaces]
        self._reports.listed([item for items in found for item in items])

    async def create_report(
        self, namespace: str, name: str, labels: Mapping[str, str], spec: Mapping[str, Any]
    ) -> LeakReport:
        return await reports.create(self._session, self._reports, namespace, name=name, labels=labels, spec=spec)

    async def write_report_status(self, report: LeakReport, status: Mapping[str, Any]) -> str:
        return await reports.write_status(self._session, self._reports, report, status)

    async def delete_report(self, report: LeakReport) -> None:
        await reports.delete(self._session, self._reports, report)


def _unread(reflector: Reflector[Any]) -> str:
    """Why the reflector's objects are not known as they are now, in words; empty where they are."""
    if reflector.synced.is_set() and reflector.age <= STALE_AFTER:
        return ""
    return reflector.stats().trouble or "they were not listed yet, or not for long"


async def _all_synced(reflectors: Sequence[Reflector[Any]], timeout: float) -> bool:  # noqa: ASYNC109
    waiting = [asyncio.create_task(reflector.synced.wait()) for reflector in reflectors]
    if not waiting:
        return True
    _, pending = await asyncio.wait(waiting, timeout=timeout)
    for task in pending:
        task.cancel()
    return not pending
