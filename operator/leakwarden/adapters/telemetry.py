"""The operator's own health, readiness, metrics and logs."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as CounterMetric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from leakwarden import __version__
from leakwarden.api.v1alpha1.action import ActionType
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.leakreport import Phase
from leakwarden.api.v1alpha1.status import ActionPhase
from leakwarden.engine.tick import Engine, Tick

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message and the fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update({key: value for key, value in vars(record).items() if key not in _STANDARD})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class TextFormatter(logging.Formatter):
    """For people: message first, extras as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        extras = " ".join(f"{key}={value}" for key, value in vars(record).items() if key not in _STANDARD)
        line = (
            f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {record.levelname:<7} {record.getMessage()}"
        )
        line = f"{line}  {extras}" if extras else line
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(level: str, form: str) -> None:
    """Log to stderr. kopf's own messages about objects are reduced to those that an administrator needs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("kopf.objects", "asyncio", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Our handlers log the cause that ends kopf, once per cause; these would add two tracebacks with every try.
    for doubled in ("kopf._core.reactor.running", "kopf._core.reactor.orchestration"):
        logging.getLogger(doubled).setLevel(logging.CRITICAL)


class Telemetry:
    """Counts ticks as they end, and describes the last one when scraped. Labels are bounded: no pod names."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.tick_seconds = Histogram(
            "leakwarden_tick_duration_seconds",
            "How long a tick took.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.tick_failures = CounterMetric(
            "leakwarden_tick_failures_total", "Ticks that ended in an error.", registry=self.registry
        )
        self.whole_tick = Gauge(
            "leakwarden_last_whole_tick_timestamp_seconds",
            "When the last tick came to its end, in seconds since 1970; 0 before the first.",
            registry=self.registry,
        )
        self.actions = CounterMetric(
            "leakwarden_actions_total", "Actions by type and phase.", ["action", "phase"], registry=self.registry
        )
        for action in ActionType:
            for phase in ActionPhase:
                self.actions.labels(str(action), str(phase))  # from 0 on, or rate() would miss the first
        self.skips = CounterMetric(
            "leakwarden_skips_total",
            "How often a guard said no to an action that was due: once a tick, Deployment and guard, by reason.",
            ["reason"],
            registry=self.registry,
        )
        for reason in SkipReason:
            self.skips.labels(str(reason))  # from 0 on, or rate() would miss the first
        self._seen: set[tuple[str, str]] | None = None
        self.last_tick_ended = time.monotonic()

    def watch(self, collector: Collector) -> None:
        self.registry.register(collector)

    def ticked(self, tick: Tick) -> None:
        self.tick_seconds.observe(tick.seconds)
        self.last_tick_ended = time.monotonic()
        self.whole_tick.set_to_current_time()
        for decision in tick.decisions:
            for skip in decision.skips:
                self.skips.labels(str(skip.reason)).inc()
        present = {(record.id, str(record.phase)) for record in tick.actions}
        for record in tick.actions:
            # Actions that the first tick finds in the records were done, and counted, by an earlier process.
            if self._seen is not None and (record.id, str(record.phase)) not in self._seen:
                self.actions.labels(record.type, str(record.phase)).inc()
        self._seen = present


class EngineCollector(Collector):
    """Gauges read from the engine's last tick at scrape time; `leads` returns whether this replica may act now."""

    def __init__(
        self,
        engine: Engine,
        caches: Callable[[], Iterable[tuple[str, int, int, int]]],
        leads: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._caches = caches
        self._leads = leads
        # The last tick and what it has: a scrape must not walk all pods again.
        self._counted: tuple[Tick, list[Metric]] | None = None

    def collect(self) -> Iterable[Metric]:
        info = GaugeMetricFamily("leakwarden_build_info", "The operator's version.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        leader = GaugeMetricFamily(
            "leakwarden_leader", "1 on the replica that acts, 0 on those that stand by and on one that lost its lead."
        )
        leader.add_metric([], self._leads())
        yield leader
        tick = self._engine.last
        defects = CounterMetricFamily(
            "leakwarden_defects", "Steps of a tick that a defect of ours kept from being done for a policy or workload."
        )
        defects.add_metric([], self._engine.defects.count)
        yield defects
        if self._counted is None or self._counted[0] is not tick:
            self._counted = (tick, list(_counted(tick)))
        yield from self._counted[1]
        yield from self._cluster_policies()
        objects = GaugeMetricFamily("leakwarden_cache_objects", "Objects in the cache.", labels=["resource"])
        relists = CounterMetricFamily("leakwarden_cache_relists", "Lists since the start.", labels=["resource"])
        restarts = CounterMetricFamily(
            "leakwarden_watch_restarts", "Watches begun since the start.", labels=["resource"]
        )
        for resource, count, listed, restarted in self._caches():
            objects.add_metric([resource], count)
            relists.add_metric([resource], listed)
            restarts.add_metric([resource], restarted)
        yield objects
        yield relists
        yield restarts

    def _cluster_policies(self) -> Iterable[Metric]:
        known = self._engine.policies.clusters.known()
        policies = GaugeMetricFamily(
            "leakwarden_cluster_policies", "ClusterReliabilityPolicies by validity.", labels=["valid"]
        )
        valid = Counter(policy.spec is not None for policy in known)
        policies.add_metric(["true"], valid[True])
        policies.add_metric(["false"], valid[False])
        yield policies
        namespaces = GaugeMetricFamily(
            "leakwarden_cluster_policy_namespaces",
            "Namespaces in which a ClusterReliabilityPolicy holds, by what it may do there.",
            labels=["policy", "mode"],
        )
        for policy in known:
            counts = policy.status.namespace_counts
            namespaces.add_metric([policy.name, "Enforce"], counts.enforcing)
            namespaces.add_metric([policy.name, "Observe"], counts.observing)
        yield namespaces


def _counted(tick: Tick) -> Iterable[Metric]:
    """What a tick has found, of all policies."""
    policies = GaugeMetricFamily("leakwarden_policies", "Policies by validity.", labels=["valid"])
    own = [evaluation.policy for evaluation in tick.evaluations if evaluation.policy.origin is None]
    valid = Counter(policy.spec is not None for policy in own)
    policies.add_metric(["true"], valid[True])
    policies.add_metric(["false"], valid[False])
    yield policies
    pods = GaugeMetricFamily("leakwarden_pods", "Judged pods.", labels=["namespace", "policy", "verdict"])
    findings = GaugeMetricFamily("leakwarden_findings", "Audit findings.", labels=["namespace", "policy", "severity"])
    for evaluation in tick.evaluations:
        where = [evaluation.policy.namespace, evaluation.policy.title]
        verdicts = Counter(str(pod.verdict) for target in evaluation.workloads for pod in target.pods)
        for verdict, count in sorted(verdicts.items()):
            pods.add_metric([*where, verdict], count)
        found = Counter(str(f.severity) for target in evaluation.workloads for f in target.findings or ())
        for severity, count in sorted(found.items()):
            findings.add_metric([*where, severity], count)
    yield pods
    yield findings
    skips = GaugeMetricFamily(
        "leakwarden_skipped_actions", "Actions that are due but not taken, by reason.", labels=["reason"]
    )
    reasons = Counter(str(skip.reason) for decision in tick.decisions for skip in decision.skips)
    for reason, count in sorted(reasons.items()):
        skips.add_metric([reason], count)
    yield skips
    reports = GaugeMetricFamily("leakwarden_reports", "LeakReports by phase.", labels=["phase"])
    phases = Counter(report.status.phase for report in tick.reports)
    for phase in Phase:
        reports.add_metric([str(phase)], phases[phase])
    yield reports


async def serve(
    listen: str,
    telemetry: Telemetry,
    alive: Callable[[], str],
    ready: Callable[[], str],
    routes: Iterable[web.RouteDef] = (),
) -> web.AppRunner:
    """Serve /healthz, /readyz, /metrics and `routes`; `alive` and `ready` return the fault in words, or an empty
    string. Caller cleans up."""

    def check(complaint: Callable[[], str]) -> Callable[[web.Request], object]:
        async def answer(_: web.Request) -> web.Response:
            wrong = complaint()
            return web.Response(text=wrong or "ok", status=503 if wrong else 200)

        return answer

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(telemetry.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", check(alive))  # type: ignore[arg-type]
    app.router.add_get("/readyz", check(ready))  # type: ignore[arg-type]
    app.router.add_get("/metrics", metrics)
    app.router.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, _, port = listen.rpartition(":")
    await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
    return runner
