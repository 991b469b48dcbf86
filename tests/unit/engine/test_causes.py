"""Why users get errors while a pod leaks: queried when a symptom is seen, within bounds, with failures contained by
report."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from leakwarden.api.v1alpha1.cause import CauseStatus, Confidence
from leakwarden.core.correlation.traffic import pod_names
from leakwarden.core.episodes.cause import LOOKBACK
from leakwarden.core.model.readings import Answer, NoData, Points, Query, QueryFailed, Sampled, SeriesKey
from leakwarden.core.model.workload import Pod
from leakwarden.engine.ports import LogTail
from tests.builders import DESCRIPTORS, enforcing, points
from tests.unit.engine.engine_world import FakeMetrics, World

ERRORS = {"name": "errors", "type": "HTTPErrors", "threshold": {"above": "5%", "for": "1m"}}
API_1, API_2 = "api-6d4cf56db6-x7k2z", "api-6d4cf56db6-b9d4c"


@dataclass
class Remembering(FakeMetrics):
    """`api-1` ran out of descriptors after a steady climb, and from then on a tenth of the requests failed."""

    error_share: float = 0.12  # the share that the workload counts itself
    asked_for_causes: list[list[Query]] = field(default_factory=list)
    slow: asyncio.Event | None = None
    fails: bool = False
    nothing: bool = False

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        if not any(query.key.startswith("episode/") for query in queries):
            share = {"api-1": points([self.error_share] * 5, until=now), "api-2": points([0.0] * 5, until=now)}
            rate = {"api-1": points([10.0] * 5, until=now), "api-2": points([10.0] * 5, until=now)}
            own = {"HTTPErrors": share, "context/rate": rate}
            return {
                query.key: Sampled({SeriesKey("shop", pod): each for pod, each in own[query.key].items()}, {})
                if query.key in own
                else self.answer
                for query in queries
            }
        self.asked_for_causes.append(list(queries))
        if self.slow is not None:
            await self.slow.wait()
        if self.fails:
            return {query.key: QueryFailed("Timeout", "Prometheus main: too slow") for query in queries}
        if self.nothing:
            return {query.key: NoData("NoSeries", "none") for query in queries}
        t = np.arange(since + step, now + 1, step)
        used = np.minimum(np.linspace(0.2, 1.4, t.size), 1.0)
        failing = used >= 1.0

        def series(**by_pod: Any) -> Sampled:
            found = {SeriesKey("shop", pod): Points(t, np.asarray(values, float)) for pod, values in by_pod.items()}
            return Sampled(found, {})

        descriptors = series(**{API_1: used * 1000, API_2: np.full(t.size, 50.0)})
        limits = dict.fromkeys(descriptors.series, 1000.0)
        return {
            "proxy/errors": series(**{"200": 100 - 10.0 * failing, "502": 10.0 * failing}),
            "episode/Descriptors": Sampled(descriptors.series, limits),
        }


@dataclass
class Logs:
    """The last lines of each pod's log."""

    lines: Sequence[str] = ()
    trouble: str = ""
    asked: list[tuple[str, float]] = field(default_factory=list)
    error: Exception | None = None

    async def tail(self, pod: Pod, since: float) -> LogTail:
        self.asked.append((pod.name, since))
        if self.error is not None:
            raise self.error
        return LogTail(self.lines, self.trouble)


@dataclass
class Stored:
    """A Loki with these lines of known errors."""

    lines: Sequence[str] = ()
    trouble: str = ""
    more: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    name: str = "main"

    async def matching(self, namespace: str, pods: str, since: float, until: float) -> LogTail:
        self.asked.append((namespace, pods))
        return LogTail(self.lines, self.trouble, self.more)


def a_world(logs: Logs | None = None, asks_for_logs: bool = False, **source: Any) -> tuple[World, Remembering]:
    spec = {**enforcing(DESCRIPTORS, ERRORS), "mode": "Observe"}
    if asks_for_logs:
        spec["evidence"] = {"logs": {"enabled": True}}
    if source:
        spec["source"] = source
    world = World(spec)
    metrics = Remembering(world.metrics.answer)
    world.metrics = metrics
    world.engine = world.fresh_engine()
    world.engine._causes.logs = logs
    world.engine._causes.soon = 0.5
    return world, metrics


def the_cause(world: World) -> CauseStatus:
    found = world.report.status.cause
    assert found is not None
    return found


async def test_a_leak_whose_users_get_errors_is_explained() -> None:
    world, metrics = a_world()
    await world.engine.tick()
    found = the_cause(world)
    assert (found.kind, found.confidence) == ("Exhaustion", Confidence.CLEAR)
    assert any("used up" in fact for fact in found.facts)
    assert found.pods[0].startswith(f"{API_1}: its descriptors were at 100%")
    assert "log lines of the time" in found.unknown
    assert found.logs is None
    assert found.counted == "by the workload itself"
    assert len(metrics.asked_for_causes[0]) == 11


async def test_the_proxy_and_its_timeout_are_those_of_the_policy() -> None:
    world, metrics = a_world(proxy={"type": "IngressNginx", "timeout": "60s"})
    await world.engine.tick()
    assert 'ingress="api"' in metrics.asked_for_causes[0][0].value
    assert the_cause(world).counted == "at the proxy, route api"
    assert "the proxy's timeout for its upstream" not in the_cause(world).unknown


async def test_a_leak_that_nobody_feels_is_not_asked_about() -> None:
    world, metrics = a_world()
    metrics.error_share = 0.0
    await world.engine.tick()
    await world.later()
    assert world.report.status.cause is None
    assert not metrics.asked_for_causes


async def test_while_it_goes_on_it_is_asked_again_every_ten_minutes() -> None:
    world, metrics = a_world()
    await world.engine.tick()
    for _ in range(19):
        await world.later(30)
    assert len(metrics.asked_for_causes) == 1
    await world.later(31)
    assert len(metrics.asked_for_causes) == 2


async def test_a_source_that_does_not_answer_is_said_and_never_guessed() -> None:
    world, metrics = a_world()
    metrics.fails = True
    await world.engine.tick()
    assert (the_cause(world).kind, the_cause(world).confidence) == ("Unknown", Confidence.UNTOLD)
    assert "too slow" in the_cause(world).message


async def test_a_proxy_that_counts_nothing_of_the_route_is_said() -> None:
    world, metrics = a_world(proxy={"type": "IngressNginx"})
    metrics.nothing = True
    await world.engine.tick()
    assert "no requests by status code are counted at the proxy, route api" in the_cause(world).message


async def test_a_source_that_hangs_holds_up_no_tick() -> None:
    world, metrics = a_world()
    metrics.slow = asyncio.Event()
    world.engine._causes.soon = 0.01
    for _ in range(3):
        await world.later()
    assert world.report.status.cause is None
    assert len(metrics.asked_for_causes) == 1
    metrics.slow.set()
    await asyncio.sleep(0.1)
    await world.later()
    assert the_cause(world).kind == "Exhaustion"


# Logs


async def test_without_the_policy_asking_no_log_is_read() -> None:
    logs = Logs(["accept4: too many open files"])
    world, _ = a_world(logs)
    await world.engine.tick()
    assert not logs.asked
    assert the_cause(world).logs is None


async def test_without_the_installation_allowing_it_none_is_read_and_that_is_said() -> None:
    world, _ = a_world(None, asks_for_logs=True)
    await world.engine.tick()
    said = the_cause(world).logs
    assert said is not None
    assert "evidence.logs.enabled" in said.message


async def test_lines_of_known_errors_are_counted_and_the_first_ones_kept_without_secrets() -> None:
    logs = Logs(["accept4: too many open files token=hunter2"] * 7 + ["dial: connection refused", "all is well"])
    world, _ = a_world(logs, asks_for_logs=True)
    await world.engine.tick()
    found = the_cause(world).logs
    assert found is not None
    assert logs.asked == [("api-1", LOOKBACK), ("api-2", LOOKBACK), ("api-3", LOOKBACK)], (
        "the leaking pod first, three at most"
    )
    assert {each.kind: each.count for each in found.counts} == {"TooManyOpenFiles": 21, "ConnectionRefused": 3}
    assert len(found.lines) == 6
    assert "hunter2" not in str(found)
    assert any("log lines speak of too many open files" in fact for fact in the_cause(world).facts)


async def test_a_hostile_log_costs_nothing_but_itself() -> None:
    hostile = ["\x1b[31mtoo many open files\x1b[0m\x00\u202e" + "x" * 100_000, "\ufffd" * 5_000, ""]
    world, _ = a_world(Logs(hostile), asks_for_logs=True)
    await world.engine.tick()
    found = the_cause(world).logs
    assert found is not None
    assert len(found.model_dump_json()) < 4096
    assert all(line.isprintable() for line in found.lines)


async def test_a_log_that_is_refused_is_said_and_the_cause_stands() -> None:
    world, _ = a_world(Logs(trouble="the right get pods/log is missing"), asks_for_logs=True)
    await world.engine.tick()
    found = the_cause(world)
    assert found.kind == "Exhaustion"
    assert found.logs is not None
    assert "the right get pods/log is missing" in found.logs.message
    assert "log lines of the time" in found.unknown


async def test_a_log_reader_that_breaks_its_word_costs_that_answer_alone() -> None:
    world, _ = a_world(Logs(error=RuntimeError("it promised not to")), asks_for_logs=True)
    await world.engine.tick()
    assert "a defect of Leakwarden (RuntimeError)" in the_cause(world).message
    assert world.report.status.phase == "Detected"


async def test_a_loki_is_asked_once_for_the_deployments_pods_and_no_pod_is() -> None:
    logs, store = Logs(["connection refused"]), Stored(["accept4: too many open files"] * 4, more=True)
    world, _ = a_world(logs, asks_for_logs=True)
    world.engine._causes.store = store
    await world.engine.tick()
    found = the_cause(world).logs
    assert found is not None
    assert {each.kind: each.count for each in found.counts} == {"TooManyOpenFiles": 4}
    assert found.message == "asked Loki main: 4 lines of known errors, and there are more"
    assert store.asked == [("shop", pod_names("api"))]
    assert not logs.asked


async def test_a_loki_that_fails_is_said_and_the_pods_are_read_where_that_is_allowed() -> None:
    for logs in (Logs(["accept4: too many open files"]), None):
        world, _ = a_world(logs, asks_for_logs=True)
        world.engine._causes.store = Stored(trouble="it answered HTTP 500")
        await world.engine.tick()
        found = the_cause(world)
        assert found.kind == "Exhaustion"
        assert found.logs is not None
        assert found.logs.message.startswith("Loki main: it answered HTTP 500")
        assert bool(found.logs.counts) is (logs is not None)
        assert ("log lines of the time" in found.unknown) is (logs is None)


async def test_a_policy_that_does_not_ask_for_logs_gets_none_from_a_loki_either() -> None:
    store = Stored(["too many open files"])
    world, _ = a_world()
    world.engine._causes.store = store
    await world.engine.tick()
    assert not store.asked
    assert the_cause(world).logs is None
