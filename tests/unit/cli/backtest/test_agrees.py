"""The operator and `backtest` agree on the same readings: verdict, reason and time to exhaustion."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest

from leakwarden.cli.backtest.policy import rules_of
from leakwarden.cli.backtest.run import replay_all
from leakwarden.core.detection.detector import VERDICTS
from leakwarden.core.detection.recording import Series
from leakwarden.core.evaluation.evaluation import evaluate
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.readings import Answer, Floats, NoData, Points, Query, Sampled, SeriesKey
from leakwarden.core.model.workload import PodContainer
from leakwarden.core.signals.queries import LATENCY, RATE
from leakwarden.engine.reader import Reader
from tests.builders import NOW, pod, policy, snapshot, workload

pytestmark = pytest.mark.slow

STEP, INTERVAL = 60.0, 30.0  # s, the operator's defaults
AFTERWARDS = 660.0  # s without readings at the end, longer than any maxAge here


class Said(NamedTuple):
    time: float
    verdict: str
    reason: str
    low: float | None
    high: float | None


@dataclass
class Recorded:
    """A source of recorded series that gives at each moment the answer that a Prometheus would have given then."""

    lines: Sequence[Series]
    signal: str
    name: str = "main"
    kind: str = "Prometheus"
    pod_labels: tuple[str, str] = ("namespace", "pod")
    moments: list[float] = field(default_factory=list)

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        self.moments.append(now)
        return {query.key: self._answer(query.key, since, now) for query in queries}

    def _answer(self, key: str, since: float, now: float) -> Answer:
        series: dict[SeriesKey, Points] = {}
        limits: dict[SeriesKey, float] = {}
        for line in self.lines:
            values = {RATE: line.rate, LATENCY: line.latency, self.signal: line.v}.get(key)
            if values is None:
                continue
            seen = (line.t > since) & (line.t <= now) & ~np.isnan(values)
            if not seen.any():
                continue
            of = SeriesKey(line.namespace, line.pod, "app" if key == self.signal else "")
            before = series.get(of)
            new = Points(line.t[seen], values[seen])
            series[of] = new if before is None else Points(np.append(before.t, new.t), np.append(before.v, new.v))
            if line.limit is not None and key == self.signal:
                limits[of] = line.limit
        return Sampled(series, limits) if series else NoData("NoSeries", "nothing")


async def operator_says(judged: Policy, lines: Sequence[Series]) -> dict[int, list[Said]]:
    """Changes of verdict of each line, as reader and evaluation find them tick by tick."""
    assert judged.spec is not None
    source = Recorded(lines, str(judged.spec.signals[0].type))
    reader = Reader({"main": source}, source, STEP)
    begin, end = min(line.t[0] for line in lines), max(line.t[-1] for line in lines) + AFTERWARDS
    said: dict[int, list[Said]] = {place: [] for place in range(len(lines))}
    for now in np.arange(begin, end + INTERVAL, INTERVAL):
        present = {line.pod: place for place, line in enumerate(lines) if line.start <= now}
        world = snapshot(
            [workload()],
            [
                pod(line.pod, uid=line.uid, created=NOW, containers=(PodContainer("app", True, 0, line.start),))
                for line in (lines[place] for place in present.values())
            ],
        )
        readings = (await reader.read([judged], world, float(now)))[judged.uid]
        found = evaluate(judged, world, True, readings=readings, owner={}, audited={}, now=float(now))
        for one in found.workloads[0].pods:
            place = present[one.pod.name]
            judgement, own = one.judgements[0], said[place]
            if now < lines[place].t[0] or (own and own[-1].verdict == judgement.verdict):
                continue  # a recording begins with its first reading
            left = judgement.seconds_to_exhaustion
            ends = (None, None) if left is None else (left.low, left.high if np.isfinite(left.high) else None)
            own.append(Said(float(now), str(judgement.verdict), str(judgement.reason), *ends))
    return said


def backtest_says(judged: Policy, lines: Sequence[Series]) -> dict[int, list[Said]]:
    said: dict[int, list[Said]] = {place: [] for place in range(len(lines))}
    for place, change in replay_all(lines, rules_of(judged), INTERVAL, 1, lambda _: None):
        ends = [value if np.isfinite(value) else None for value in (change.seconds_low, change.seconds_high)]
        said[place].append(Said(change.time, str(VERDICTS[change.verdict]), change.reason, *ends))
    return said


def compared(signal: Mapping[str, Any], *lines: Series, **source: Any) -> dict[int, list[Said]]:
    """The changes of both while there are readings. After the end of the readings they are only compared."""
    signals = [dict(signal)]
    if any(line.latency is not None for line in lines):
        signals.append({"name": "p99", "type": "LatencyP99", "threshold": {"above": "1", "for": "10m"}})
    judged = policy(spec={"signals": signals, "source": source})
    by_operator, by_backtest = asyncio.run(operator_says(judged, lines)), backtest_says(judged, lines)
    for place, line in enumerate(lines):
        # The operator forgets a process that has ended; in a recording it only becomes stale.
        last = [other.start for other in lines if other.pod == line.pod and other.start > line.start]
        until = min(last, default=np.inf)
        mine, theirs = ([each for each in said[place] if each.time < until] for said in (by_operator, by_backtest))
        assert len(mine) == len(theirs), (mine, theirs)
        for one, other in zip(mine, theirs, strict=True):
            assert one[:3] == other[:3]
            for left, right in zip(one[3:], other[3:], strict=True):
                assert left is right is None or left == pytest.approx(right, rel=1e-6, abs=1e-3), (one, other)
    return {place: [each for each in said if each.time <= lines[place].t[-1]] for place, said in by_backtest.items()}


def line(v: Floats, limit: float | None = 1000.0, pod: str = "api-1", at: float = 0.0, **changes: Any) -> Series:
    """Readings a minute apart, the first `at` seconds after NOW + 60; the process began a minute before."""
    t = NOW + 60 + at + STEP * np.arange(v.size, dtype=np.float64)
    return Series("Descriptors", "shop", "api", pod, f"uid-{pod}", float(t[0]) - 60, limit, t, v, **changes)


def noisy(v: Floats, seed: int = 1) -> Floats:
    return np.round(v + np.random.default_rng(seed).normal(0, 4, v.size))


def verdicts(said: Sequence[Said]) -> list[str]:
    return [each.verdict for each in said]


GROWTH = {"name": "fds", "type": "Descriptors"}
SHARE = {**GROWTH, "threshold": {"above": "80%", "for": "5m"}}
NUMBER = {**GROWTH, "threshold": {"above": "800", "for": "5m"}}
CLIMB = noisy(np.linspace(100, 985, 200))


@pytest.mark.parametrize("signal", [GROWTH, SHARE, NUMBER], ids=["growth", "share", "number"])
@pytest.mark.parametrize("limit", [1000.0, None], ids=["limited", "unlimited"])
def test_of_a_leak(signal: Mapping[str, Any], limit: float | None) -> None:
    said = compared(signal, line(CLIMB, limit))[0]
    exhausted = limit is not None or signal is NUMBER
    assert ("Exhausting" in verdicts(said)) == exhausted


@pytest.mark.parametrize("signal", [SHARE, NUMBER], ids=["share", "number"])
def test_of_a_level_that_is_crossed_at_once(signal: Mapping[str, Any]) -> None:
    crossing = noisy(np.concatenate([np.full(40, 300.0), np.full(20, 900.0), np.full(20, 300.0)]))
    said = compared(signal, line(crossing))[0]
    assert [(each.verdict, each.reason) for each in said] == [
        ("Healthy", "WithinLimits"),
        ("Suspect", "AboveThreshold"),
        ("Exhausting", "ThresholdHeld"),
        ("Healthy", "WithinLimits"),
    ]


def test_of_a_constant_level_below_an_absolute_threshold_without_any_limit() -> None:
    said = compared({**GROWTH, "threshold": {"above": "10k"}}, line(noisy(np.full(60, 300.0)), None))[0]
    assert [(each.verdict, each.reason) for each in said] == [("Healthy", "WithinLimits")]


@pytest.mark.parametrize("signal", [GROWTH, SHARE, {**NUMBER, "growth": {"enabled": False}}])
def test_of_readings_with_holes(signal: Mapping[str, Any]) -> None:
    holed = CLIMB.copy()
    for first, length in ((30, 1), (60, 2), (90, 5), (130, 30), (180, 4)):
        holed[first : first + length] = np.nan
    said = compared(signal, line(holed))[0]
    assert ("Unknown", "Stale") in {(each.verdict, each.reason) for each in said}


def test_of_holes_that_the_policy_bears_with() -> None:
    holed = CLIMB.copy()
    holed[150:157] = np.nan
    patient = compared(SHARE, line(holed), maxAge="10m")[0]
    assert "Stale" not in {each.reason for each in patient}


def test_of_a_threshold_alone_with_growth_switched_off() -> None:
    said = compared({**SHARE, "growth": {"enabled": False}}, line(CLIMB))[0]
    assert {each.reason for each in said} == {"WithinLimits", "AboveThreshold", "ThresholdHeld"}
    assert {each.low for each in said} == {None}


def test_of_neither_a_threshold_nor_growth() -> None:
    said = compared({**GROWTH, "growth": {"enabled": False}}, line(CLIMB))[0]
    assert [(each.verdict, each.reason) for each in said] == [("Unknown", "NothingAsked")]


@pytest.mark.parametrize("signal", [GROWTH, NUMBER], ids=["growth", "number"])
def test_of_a_restarted_process(signal: Mapping[str, Any]) -> None:
    said = compared(signal, line(CLIMB), line(noisy(np.linspace(90, 700, 120)), at=60 * 205))
    assert verdicts(said[0])[-1] == "Exhausting"
    assert verdicts(said[1])[0] in ("Unknown", "Healthy")


def test_of_siblings_that_explain_growth_and_of_one_that_leaks_beside_them() -> None:
    calm = [line(noisy(np.full(200, 200.0), seed), pod=f"api-{seed}") for seed in (2, 3)]
    said = compared(SHARE, line(CLIMB), *calm)
    assert "Exhausting" in verdicts(said[0])
    assert {*verdicts(said[1]), *verdicts(said[2])} <= {"Unknown", "Healthy"}


def test_of_growth_that_follows_the_request_rate() -> None:
    rate = np.linspace(10, 98.5, 200)
    below = np.round(0.96 * CLIMB)  # closer to the limit no load explains growth any more
    said = compared(GROWTH, line(below, rate=rate))[0]
    assert not {"Leaking", "Exhausting"} & set(verdicts(said))


def test_of_requests_that_take_longer_and_longer() -> None:
    """As many are in flight as rate times latency, so latency explains what a constant rate does not."""
    took = np.concatenate([np.full(60, 0.1), np.linspace(0.1, 0.9, 140)])
    waiting = noisy(1000 * took)
    rate = np.full(200, 1000.0)
    unexplained = compared(GROWTH, line(waiting, rate=rate))[0]
    explained = compared(GROWTH, line(waiting, rate=rate, latency=took))[0]
    assert {"Leaking", "Exhausting"} & set(verdicts(unexplained))
    assert not {"Leaking", "Exhausting"} & set(verdicts(explained))


def test_time_left_is_told_beside_a_threshold_that_held() -> None:
    soon = {**GROWTH, "threshold": {"above": "50%", "for": "2m"}}
    said = compared(soon, line(CLIMB))[0]
    held = [each for each in said if each.reason == "ThresholdHeld"]
    assert held
    assert all(each.low is not None for each in held)


def test_growth_without_a_limit_is_judged_against_an_absolute_threshold() -> None:
    """Goroutines and sockets have no limit of their own."""
    goroutines = [each._replace(time=0.0) for each in compared(NUMBER, line(CLIMB, None))[0]]
    limited = [each._replace(time=0.0) for each in compared(NUMBER, line(CLIMB, 800.0))[0]]
    assert goroutines == limited
    assert "ExhaustsSoon" in {each.reason for each in goroutines}


@pytest.mark.parametrize("signal", [GROWTH, {**GROWTH, "threshold": {"above": "99.9%", "for": "10m"}}])
def test_of_what_came_to_its_limit_in_a_step(signal: Mapping[str, Any]) -> None:
    level = np.where(np.arange(60) < 20, 300.0, 990.0)
    said = compared(signal, line(level))[0]
    assert [(each.verdict, each.reason) for each in said][-2:] == [("Suspect", "Full"), ("Exhausting", "Full")]
