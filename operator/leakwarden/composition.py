"""The composition root: settings -> clients -> engine -> kopf. The only module that imports every part."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping

from leakwarden import __version__
from leakwarden.adapters.allocator import trim_regularly
from leakwarden.adapters.cluster import ApiCluster, Session
from leakwarden.adapters.cluster.audited import AuditReportWriter, NeighbourReader
from leakwarden.adapters.cluster.cluster_policies import ClusterPolicyWatch
from leakwarden.adapters.cluster.fence import FencedCluster
from leakwarden.adapters.cluster.lease import LeaseElection, identity_of
from leakwarden.adapters.endpoints import HttpEndpoints
from leakwarden.adapters.events import EventRecorder
from leakwarden.adapters.evidence import wiring as evidence_wiring
from leakwarden.adapters.handlers import PolicyWatch
from leakwarden.adapters.kubelet.source import KubeletSource
from leakwarden.adapters.prometheus.alertmanager import AlertmanagerSilences
from leakwarden.adapters.prometheus.client import PrometheusSource
from leakwarden.adapters.prometheus.endpoints_file import SourcesError, load_alertmanagers, load_loki, load_sources
from leakwarden.adapters.prometheus.loki import LokiLogs
from leakwarden.adapters.promql.process import ParserProcess
from leakwarden.adapters.telemetry import EngineCollector, Telemetry, configure_logging, serve
from leakwarden.api import names
from leakwarden.core.model.cluster_policy import parse_cluster_policy
from leakwarden.core.model.policy import parse_policy
from leakwarden.engine.auditor import Auditor
from leakwarden.engine.guard_context import GuardContext
from leakwarden.engine.policy_store import PolicyStore
from leakwarden.engine.ports import ClusterUnavailable, Metrics
from leakwarden.engine.reader import Reader
from leakwarden.engine.tick import Engine
from leakwarden.replica import Replica
from leakwarden.settings import Settings
from leakwarden.ticking import Runner, give_memory_back, look_for_garbage_rarely

log = logging.getLogger("leakwarden")

REPORTS_PATIENCE = 10.0  # s
CLUSTER_POLICIES_PATIENCE = 10.0  # s; without them the policies of namespaces are carried out all the same


async def _wait_for_api(session: Session) -> None:
    """Wait until the API server serves our kind: without it kopf would watch nothing, silently."""
    path = f"/apis/{names.API_VERSION}"
    told = ""
    while True:
        try:
            reply = await session.ask("GET", path)
            # Quoted, since the name of the cluster's kind ends with it.
            if reply.status == 200 and f'"{names.POLICY_PLURAL}"'.encode() in reply.body:
                return
            trouble = f"the API server does not serve {names.API_VERSION}; apply the files in crds/"
            if reply.status in (401, 403):
                trouble = f"the API server refuses us ({reply.status}); check the service account and its roles"
        except ClusterUnavailable as error:
            trouble = str(error)
        if trouble != told:
            log.warning("waiting", extra={"cause": trouble})
            told = trouble
        await asyncio.sleep(2)


def _hosts(cluster: ApiCluster, policies: PolicyStore) -> Mapping[str, str]:
    """Node name -> address of the nodes that run pods of a policy's namespace."""
    namespaces = {policy.namespace for policy in policies.all()}
    return {
        pod.node: pod.host_ip
        for pods in cluster.snapshot().pods_by_workload.values()
        for pod in pods
        if pod.namespace in namespaces and pod.node and pod.host_ip
    }


async def _wait_for_view(cluster: ApiCluster) -> None:
    while not await cluster.wait_synced(30):
        trouble = "; ".join(sorted({s.trouble for s in cluster.stats() if s.trouble}))
        log.warning("waiting for the first list of Deployments and pods", extra={"cause": trouble})


async def _sources(
    settings: Settings, session: Session, hosts: Callable[[], Mapping[str, str]], stack: contextlib.AsyncExitStack
) -> tuple[dict[str, Metrics], Metrics | None]:
    """The sources by name, and the one that is read where a policy names none. The stack closes them."""
    configured = load_sources(settings.sources_file) if settings.sources_file else ()
    sources: dict[str, Metrics] = {}
    default: Metrics | None = None
    for endpoint in configured:
        source = PrometheusSource(endpoint, bucket=settings.bucket)
        stack.push_async_callback(source.close)
        sources[endpoint.name] = source
        if endpoint.default:
            default = source
    if not configured and settings.kubelet_enabled:
        default = kubelet = KubeletSource(
            hosts=hosts,
            authorization=session.authorization,
            tls=session.tls,
            insecure_skip_verify=settings.kubelet_insecure_skip_verify,
            port=settings.kubelet_port,
        )
        stack.push_async_callback(kubelet.close)
    return sources, default


def _audited(
    settings: Settings, session: Session, leads: Callable[[], bool], stack: contextlib.AsyncExitStack
) -> tuple[NeighbourReader | None, AuditReportWriter | None]:
    """The audit's loops that run next to the tick, as configured; only the leader reads and writes."""
    namespaces = list(settings.watch_namespaces) or None
    neighbours = NeighbourReader(session, namespaces, leads) if settings.audit_neighbours else None
    reports = AuditReportWriter(session, namespaces, leads) if settings.audit_policy_reports else None
    for each in (neighbours, reports):
        if each is not None:
            stack.push_async_callback(_ended, asyncio.create_task(each.run()))
    return neighbours, reports


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _election(settings: Settings, session: Session) -> LeaseElection | None:
    if not settings.leader_election:
        log.warning("no leader is elected: a second replica would act a second time")
        return None
    return LeaseElection(
        session,
        settings.pod_namespace,
        settings.lease_name,
        identity_of(settings.pod_name),
        settings.lease_timing,
    )


async def _operate(settings: Settings) -> int:
    session = await Session.open(str(settings.kubeconfig) if settings.kubeconfig else None)
    policies = PolicyStore(per_namespace=settings.namespace_policies)
    telemetry = Telemetry()
    namespaces = list(settings.watch_namespaces) or None
    cluster = ApiCluster(session, namespaces, per_namespace=settings.namespace_reports, kinds=settings.workloads)
    election = _election(settings, session)
    recorder = EventRecorder(session, settings.pod_name, fence=election.fence if election else None)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(session.close)
        stack.push_async_callback(recorder.stop)
        endpoints = await stack.enter_async_context(HttpEndpoints())
        sources, default = await _sources(settings, session, lambda: _hosts(cluster, policies), stack)
        changing = FencedCluster(cluster, election.fence) if election else cluster
        evidence = await evidence_wiring.wire(
            stack, settings, session, cluster=changing, sources=sources, default=default
        )
        alertmanagers = load_alertmanagers(settings.sources_file) if settings.sources_file else ()
        silences = AlertmanagerSilences(alertmanagers) if alertmanagers else None
        if silences is not None:
            stack.push_async_callback(silences.close)
        stored = load_loki(settings.sources_file) if settings.sources_file else None
        loki = LokiLogs(stored) if stored is not None else None
        if loki is not None:
            stack.push_async_callback(loki.close)
        reader = Reader(sources, default, settings.bucket)

        def leads() -> bool:
            return election is None or election.fence.holds()

        stack.push_async_callback(_ended, asyncio.create_task(trim_regularly()))
        neighbours, audit_reports = _audited(settings, session, leads, stack)
        engine = Engine(
            policies=policies,
            cluster=changing,
            reader=reader,
            guard_context=GuardContext(reader.source_of, silences, settings.limits, time.time()),
            auditor=Auditor(endpoints, neighbours, audit_reports),
            recorder=recorder,
            permitted=settings.actions,
            clock=time.time,
            profiler=evidence.profiler,
            descriptor_reader=evidence.reader,
            log_reader=evidence.logs,
            log_store=loki,
        )
        runner = Runner(engine, telemetry, settings.interval)

        cluster_policies = None
        if settings.cluster_policies and namespaces is None:
            cluster_policies = ClusterPolicyWatch(session, policies.clusters, runner.wake)
            stack.push_async_callback(cluster_policies.stop)

        def caches() -> Iterable[tuple[str, int, int, int]]:
            more = cluster_policies.stats() if cluster_policies is not None else ()
            return [(s.resource, s.objects, s.lists, s.watches) for s in (*cluster.stats(), *more)]

        def ready() -> str:
            """Readiness of the leader and of the standby replica alike: an update of the operator waits for it."""
            if not cluster.snapshot().synced:
                return "the cache is not complete"
            return runner.troubled() or (election.trouble if election else "")

        telemetry.watch(EngineCollector(engine, caches, leads))
        server = await serve(settings.listen, telemetry, runner.alive, ready, evidence.routes)
        stack.push_async_callback(server.cleanup)
        await _wait_for_api(session)
        await cluster.start()
        stack.push_async_callback(cluster.stop)
        if cluster_policies is not None:
            cluster_policies.start()
        await _wait_for_view(cluster)
        if not await cluster.wait_reports(REPORTS_PATIENCE):
            # Watching and judging go on without them; each policy's conditions name the missing right, and nothing is
            # acted on.
            log.warning("LeakReports cannot be read", extra={"cause": cluster.reports().trouble})

        async def look_anew() -> None:
            engine.take_over()
            await cluster.begin_anew()
            await _wait_for_view(cluster)

        parser = ParserProcess()
        stack.callback(parser.close)
        labels = {name: source.pod_labels for name, source in sources.items()}
        if default is not None:
            labels[""] = default.pod_labels
        reads = functools.partial(parse_policy, asks=parser, labels=labels)
        watch = PolicyWatch(policies, runner.wake, namespaces, reads=reads)
        policies.clusters.asks = parser
        policies.clusters.reads = functools.partial(parse_cluster_policy, asks=parser, labels=labels)
        if cluster_policies is not None and not await cluster_policies.wait_synced(CLUSTER_POLICIES_PATIENCE):
            log.warning("ClusterReliabilityPolicies or namespaces cannot be read")
        replica = Replica(runner, watch, recorder, look_anew=look_anew, election=election)
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, replica.stop)
        watch.start()
        log.info("leakwarden is running", extra={"version": __version__, "namespaces": namespaces or "all"})
        # kopf lists the policies first thing; a tick before that would look at none.
        await asyncio.sleep(0.5)
        return await replica.run()


def run_operator(settings: Settings, unknown: list[str]) -> int:
    """Run until SIGTERM or SIGINT. A configuration that cannot work ends in one line and exit code 2."""
    configure_logging(settings.log_level, settings.log_format)
    for name in unknown:
        log.warning("this variable is no setting and is ignored", extra={"variable": name})
    if settings.kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(settings.kubeconfig)  # where kopf looks; it must not watch another cluster
    look_for_garbage_rarely()
    give_memory_back()
    # Until the engine runs, the process may simply exit: nothing has been done yet.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        return asyncio.run(_operate(settings))
    except (SourcesError, ClusterUnavailable) as error:
        print(f"leakwarden run: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"leakwarden run: cannot listen on {settings.listen}: {error.strerror}", file=sys.stderr)
        return 2
