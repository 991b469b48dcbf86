"""The composition root: settings -> clients -> engine -> kopf. The only place that knows every part."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping

from leakwarden import __version__
from leakwarden.adapters.cluster import ApiCluster, Session
from leakwarden.adapters.endpoints import HttpEndpoints
from leakwarden.adapters.events import EventRecorder
from leakwarden.adapters.evidence import wiring as evidence_wiring
from leakwarden.adapters.kubelet import KubeletSource
from leakwarden.adapters.prometheus import PrometheusSource
from leakwarden.adapters.sources import SourcesError, load_sources
from leakwarden.adapters.telemetry import EngineCollector, Telemetry, configure_logging, serve
from leakwarden.api import names
from leakwarden.auditor import Auditor
from leakwarden.engine import Engine
from leakwarden.handlers import PolicyWatch
from leakwarden.policies import Policies
from leakwarden.ports import ClusterUnavailable, Metrics
from leakwarden.reader import Reader
from leakwarden.settings import Settings

log = logging.getLogger("leakwarden")

STUCK_AFTER = 5  # ticks; a tick that takes as long as five is not going to end


class Runner:
    """The engine's clockwork: a tick every interval, and one at once when a policy changes."""

    def __init__(self, engine: Engine, telemetry: Telemetry, interval: float) -> None:
        self.engine = engine
        self.telemetry = telemetry
        self.interval = interval
        self.stopping = asyncio.Event()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self.stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Until stopped. A tick that fails is logged and the next one tries again: nothing is kept half-done,
        since what must last is written before and after every action."""
        while not self.stopping.is_set():
            self._wake.clear()
            try:
                self.telemetry.ticked(await self.engine.tick())
            except Exception:
                self.telemetry.tick_failures.inc()
                log.exception("a tick failed; nothing more is done until the next")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self.interval)
                # A burst of edits is one reason to look, not many.
                await asyncio.sleep(0.2)

    def alive(self) -> str:
        silent = time.monotonic() - self.telemetry.last_tick_ended
        limit = max(STUCK_AFTER * self.interval, 120)
        return f"no tick has ended for {silent:.0f}s" if silent > limit else ""


async def _wait_for_api(session: Session) -> None:
    """Until the API server serves our kind: without it kopf would watch nothing and never say so."""
    path = f"/apis/{names.API_VERSION}"
    told = ""
    while True:
        try:
            reply = await session.ask("GET", path)
            if reply.status == 200 and names.POLICY_PLURAL.encode() in reply.body:
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


def _hosts(cluster: ApiCluster, policies: Policies) -> Mapping[str, str]:
    """Node name -> address of the nodes that run pods of a policy's namespace."""
    namespaces = {policy.namespace for policy in policies.all()}
    return {
        pod.node: pod.host_ip
        for pods in cluster.snapshot().pods_by_workload.values()
        for pod in pods
        if pod.namespace in namespaces and pod.node and pod.host_ip
    }


async def _operate(settings: Settings) -> int:
    session = await Session.open(str(settings.kubeconfig) if settings.kubeconfig else None)
    policies = Policies()
    telemetry = Telemetry()
    namespaces = list(settings.watch_namespaces) or None
    cluster = ApiCluster(session, namespaces)
    recorder = EventRecorder(session, settings.pod_name)
    synced = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(session.close)
        stack.push_async_callback(recorder.stop)
        endpoints = await stack.enter_async_context(HttpEndpoints())
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
            kubelet = KubeletSource(
                hosts=lambda: _hosts(cluster, policies),
                authorization=session.authorization,
                tls=session.tls,
                insecure_skip_verify=settings.kubelet_insecure_skip_verify,
                port=settings.kubelet_port,
            )
            stack.push_async_callback(kubelet.close)
            default = kubelet
        evidence = await evidence_wiring.wire(stack, settings, session, sources, default)
        engine = Engine(
            policies=policies,
            cluster=cluster,
            reader=Reader(sources, default, settings.bucket),
            auditor=Auditor(endpoints),
            recorder=recorder,
            permitted=settings.actions,
            clock=time.time,
        )
        runner = Runner(engine, telemetry, settings.interval)

        def caches() -> Iterable[tuple[str, int, int, int]]:
            return [(s.resource, s.objects, s.lists, s.watches) for s in cluster.stats()]

        def ready() -> str:
            if not synced.is_set():
                return "the cache is not filled yet"
            return "" if cluster.snapshot().synced else "the cache is not complete"

        telemetry.watch(EngineCollector(engine, caches))
        server = await serve(settings.listen, telemetry, runner.alive, ready, evidence.routes)
        stack.push_async_callback(server.cleanup)
        await _wait_for_api(session)
        await cluster.start()
        stack.push_async_callback(cluster.stop)
        while not await cluster.wait_synced(30):
            trouble = "; ".join(sorted({s.trouble for s in cluster.stats() if s.trouble}))
            log.warning("waiting for the first list of Deployments and pods", extra={"cause": trouble})
        synced.set()
        return await _tick_until_stopped(policies, runner, namespaces)


async def _tick_until_stopped(policies: Policies, runner: Runner, namespaces: list[str] | None) -> int:
    """kopf and the engine side by side; a signal ends both in order, and the end of either takes the other with it."""
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, runner.stop)
    watch = PolicyWatch(policies, runner.wake, namespaces)
    watch.start()
    log.info("leakwarden is running", extra={"version": __version__, "namespaces": namespaces or "all"})
    # kopf lists the policies first thing; a tick before that would look at none.
    await asyncio.sleep(0.5)
    ticking = asyncio.create_task(runner.run())
    ended = asyncio.create_task(watch.ended.wait())
    await asyncio.wait({ticking, ended}, return_when=asyncio.FIRST_COMPLETED)
    runner.stop()
    # The tick under way ends its action and records it; the pod's grace period is its limit.
    await asyncio.gather(ticking, return_exceptions=True)
    failed = watch.ended.is_set()
    await watch.stop()
    ended.cancel()
    if failed:
        log.error("watching policies ended; leaving so that the kubelet starts us anew", extra={"cause": watch.failure})
        return 1
    log.info("stopped")
    return 0


def run_operator(settings: Settings, unknown: list[str]) -> int:
    """Run until SIGTERM or SIGINT. A configuration that cannot work ends in one line and exit code 2."""
    configure_logging(settings.log_level, settings.log_format)
    for name in unknown:
        log.warning("this variable is no setting and is ignored", extra={"variable": name})
    if settings.kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(settings.kubeconfig)  # where kopf looks; it must not watch another cluster
    # Until the engine runs, a plain end is right: nothing has been done yet.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        return asyncio.run(_operate(settings))
    except (SourcesError, ClusterUnavailable) as error:
        print(f"leakwarden run: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"leakwarden run: cannot listen on {settings.listen}: {error.strerror}", file=sys.stderr)
        return 2
