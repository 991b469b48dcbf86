"""The readings requested from a source, since when, and when they are dropped: one policy's needs cost no other one
anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.readings import Answer, NoData, Points, Query, QueryFailed, Sampled, SeriesKey
from leakwarden.core.model.workload import Snapshot
from leakwarden.engine import read_windows
from leakwarden.engine.detector_feed import Detection
from leakwarden.engine.processes import LoadAndCollections
from leakwarden.engine.read_windows import (
    AT_ONCE_POINTS,
    EARLIER_LONGEST,
    FIRST_READ_LONGEST,
    FIRST_READ_POINTS,
    LEAST_LOOKBACK,
    POINT_BYTES,
    SERIES_BYTES,
    SLICE_BYTES,
)
from leakwarden.engine.reader import Reader
from tests.builders import NOW, pod, points, policy, sampled, snapshot, workload

STEP = 60.0


@dataclass
class Source:
    """Answers by the query's name; `asked` has (names, since) in order."""

    answers: dict[str, Answer] = field(default_factory=dict)
    name: str = "main"
    kind: str = "Prometheus"
    pod_labels: tuple[str, str] = ("namespace", "pod")
    asked: list[tuple[set[str], float]] = field(default_factory=list)

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        self.asked.append(({query.key.split("/")[0] for query in queries}, now - since))
        return {query.key: self.answers.get(query.key.split("/")[0], NoData("NoSeries", "none")) for query in queries}

    def reach_of(self, name: str) -> float:
        """How far back the query was last read, s."""
        return next(reach for names, reach in reversed(self.asked) if name in names)


def one(*signals: dict[str, Any], name: str = "shop", **changes: Any) -> Policy:
    return policy(name, spec={"signals": [{"name": f"s{n}", **each} for n, each in enumerate(signals)]}, **changes)


FDS = {"type": "Descriptors"}
LONG = {"type": "Goroutines", "threshold": {"above": "10k", "for": "1d"}}
MINE = {"type": "PromQL", "query": "jobs", "threshold": {"above": "5"}}
WORLD = snapshot([workload()], [pod("api-1"), pod("api-2")])


def reader(source: Source) -> Reader:
    return Reader({"main": source}, source, STEP)


async def test_a_query_without_data_moves_on_and_is_not_read_from_the_beginning_for_ever() -> None:
    source = Source()
    reads = reader(source)
    await reads.read([one(MINE)], WORLD, NOW)
    assert source.reach_of("PromQL") == FIRST_READ_LONGEST
    await reads.read([one(MINE)], WORLD, NOW + 60)
    assert source.reach_of("PromQL") <= 4 * STEP


async def test_a_query_that_fails_makes_no_other_be_read_again() -> None:
    source = Source({"PromQL": QueryFailed("BadQuery", "no")})
    reads = reader(source)
    for minute in range(120):
        await reads.read([one(FDS, MINE)], WORLD, NOW + 60 * minute)
    assert source.reach_of("Descriptors") <= 4 * STEP
    assert source.reach_of("PromQL") >= 7000, "what it missed is read once it answers"


async def test_the_first_read_is_bounded_whatever_is_asked_for() -> None:
    many = snapshot([workload()], [pod(f"api-{n}") for n in range(2000)])
    source = Source()
    await reader(source).read([one(LONG)], many, NOW)
    assert source.reach_of("Goroutines") <= FIRST_READ_POINTS / 2000 * STEP


FOUR = [{"type": each} for each in ("Descriptors", "Sockets", "Goroutines", "WorkingSet")]


def _large(pods: int) -> Snapshot:
    return snapshot([workload()], [pod(f"api-{n}") for n in range(pods)])


async def test_a_large_first_read_is_taken_in_part_by_part_and_what_explains_growth_comes_first() -> None:
    source = Source()
    reads = reader(source)
    await reads.read([one(*FOUR)], _large(3000), NOW)
    recent = [names for names, reach in source.asked if reach <= FIRST_READ_LONGEST]
    assert all(len(names) <= AT_ONCE_POINTS // FIRST_READ_POINTS for names in recent)
    assert {"Descriptors", "Sockets", "Goroutines", "WorkingSet"} <= set().union(*recent)
    last = max(place for place, names in enumerate(recent) if "context" in names)
    assert all("context" in names for names in recent[:last])

    before = len(source.asked)
    await reads.read([one(*FOUR)], _large(3000), NOW + STEP)
    assert len(source.asked) == before + 1, "later reads are small, and are one"


async def test_parts_of_a_large_read_have_the_verdicts_of_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    climbing = sampled({"api-1": points([400.0 + n for n in range(180)], every=60.0, until=NOW)}, limit=1000.0)
    found = []
    for most in (AT_ONCE_POINTS, 1):
        monkeypatch.setattr(read_windows, "AT_ONCE_POINTS", most)
        source = Source(dict.fromkeys(("Descriptors", "Sockets", "WorkingSet", "context"), climbing))
        reads = reader(source)
        read = await reads.read([one(*FOUR)], WORLD, NOW)
        (growth,) = [each.growth.rounds[0][1] for each in read.values()]
        found.append({key: growth[key] for key in growth})
        assert len(source.asked) > 3 or most > 1
    assert found[0] == found[1]
    assert found[0]


class Recorded(Source):
    """Answers with the readings of the time that is asked for; `spans` has (names, since, until) in order."""

    def __init__(self, readings: Mapping[str, Points], fails: Callable[[str, float], bool] = lambda *_: False) -> None:
        super().__init__()
        self._readings = readings
        self._fails = fails
        self.spans: list[tuple[set[str], float, float]] = []

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        self.spans.append(({query.key for query in queries}, since, now))
        some = {}
        for name, own in self._readings.items():
            there = (own.t > since) & (own.t <= now)
            some[name] = Points(own.t[there], own.v[there])
        kept = sampled({name: own for name, own in some.items() if own.t.size}, limit=1000.0)
        answer: Answer = kept if kept.series else NoData("NoSeries", "none")
        failed = QueryFailed("ServerError", "it answered HTTP 500")
        nothing = NoData("NoSeries", "none")
        return {
            query.key: failed if self._fails(query.key, now) else nothing if "context" in query.key else answer
            for query in queries
        }


CLIMBS = {"api-1": points([400.0 + n for n in range(180)], every=60.0, until=NOW)}


async def _verdicts(reads: Reader, now: float = NOW) -> dict[tuple[str, str, str], Any]:
    (read,) = (await reads.read([one(*FOUR)], WORLD, now)).values()
    (growth,) = [findings for _, findings in read.growth.rounds]
    return {key: growth[key] for key in growth}


async def test_an_answer_that_would_be_too_large_is_read_in_slices_of_time_with_the_same_verdicts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = Recorded(CLIMBS)
    expected = await _verdicts(reader(whole))
    assert {each.verdict for each in expected.values()} == {Verdict.SUSPECT}

    monkeypatch.setattr(read_windows, "SLICE_BYTES", 2 * (SERIES_BYTES + 50 * POINT_BYTES))
    sliced = Recorded(CLIMBS)
    assert await _verdicts(reader(sliced)) == expected
    recent = [span for span in sliced.spans if "Descriptors" in span[0] and span[1] >= NOW - FIRST_READ_LONGEST]
    assert len(recent) > 10
    assert all(until - since <= 50 * STEP for _, since, until in recent)
    assert [since for _, since, _ in recent[1:]] == [until for _, _, until in recent[:-1]]
    assert recent[-1][2] == NOW


async def test_of_a_slice_that_failed_later_ones_wait_for_the_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings older than those that a process has shown are passed over, so they would be lost."""
    expected = await _verdicts(reader(Recorded(CLIMBS)))
    monkeypatch.setattr(read_windows, "SLICE_BYTES", 2 * (SERIES_BYTES + 50 * POINT_BYTES))
    failing = True
    source = Recorded(CLIMBS, lambda key, now: failing and key == "Descriptors" and now > NOW - 2 * 3600)
    reads = reader(source)
    await _verdicts(reads)
    ends = [
        until for names, since, until in source.spans if "Descriptors" in names and since >= NOW - FIRST_READ_LONGEST
    ]
    assert NOW not in ends

    failing = False
    source.spans.clear()
    found = await _verdicts(reads)
    assert min(since for names, since, _ in source.spans if "Descriptors" in names) >= ends[-1] - 60 * STEP
    assert found == expected


@given(pods=st.integers(1, 400_000), steps=st.integers(1, 2000), step=st.sampled_from([15.0, 60.0, 1800.0, 86_400.0]))
def test_slices_are_the_whole_time_and_none_is_larger_than_an_answer_may_be(pods: int, steps: int, step: float) -> None:
    since, until = NOW - steps * step + 7, NOW
    slices = read_windows._slices(since, until, step, pods=pods)
    assert (slices[0][0], slices[-1][1]) == (since, until)
    assert all(end == begin for (_, end), (begin, _) in pairwise(slices))
    assert all(end > begin for begin, end in slices)
    for begin, end in slices:
        points_of_each = math.ceil((end - begin) / step)
        assert points_of_each == 1 or pods * (SERIES_BYTES + points_of_each * POINT_BYTES) <= SLICE_BYTES


async def test_a_source_that_is_down_is_waited_for_twice_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_windows, "AT_ONCE_POINTS", 1)
    down = QueryFailed("Timeout", "it did not answer")
    source = Source(dict.fromkeys(("Descriptors", "Sockets", "Goroutines", "WorkingSet", "context"), down))
    await reader(source).read([one(*FOUR)], WORLD, NOW)
    assert len(source.asked) == 2
    assert source.asked[-1][1] <= STEP, "of all that are left only the newest reading is asked for"


async def test_what_was_too_much_is_asked_for_by_halves() -> None:
    source = Source({"Descriptors": QueryFailed("TooLarge", "64 MiB")})
    reads = reader(source)
    reaches = []
    for minute in range(12):
        await reads.read([one(FDS)], WORLD, NOW + 60 * minute)
        reaches.append(source.reach_of("Descriptors"))
    assert reaches[0] == FIRST_READ_LONGEST
    assert reaches[1] == FIRST_READ_LONGEST / 2
    assert reaches[-1] == LEAST_LOOKBACK


async def test_how_far_back_one_namespace_looks_costs_no_other_one_memory() -> None:
    values = {name: points([5.0] * 3000, every=60.0) for name in ("api-1", "b-1")}
    mine, theirs = sampled(values), sampled(values, namespace="bank")
    source = Source({"Goroutines": Sampled({**mine.series, **theirs.series}, {})})
    world = snapshot(
        [workload(), workload("b", namespace="bank")],
        [pod("api-1", created=NOW - 9e5), pod("b-1", owner="b", namespace="bank", created=NOW - 9e5)],
    )
    bank = one(LONG, name="bank", metadata={"namespace": "bank"})
    shop = one({"type": "Goroutines"})
    reads = reader(source)
    kept = (await reads.read([shop, bank], world, NOW))[shop.uid].history.by_pod("Goroutines")
    assert len(kept["uid-api-1"][0].points.t) <= LEAST_LOOKBACK / 60 + 1
    assert len(kept["uid-b-1"][0].points.t) > 2000
    # The policy goes, and with it the readings that only it needed.
    kept = (await reads.read([shop, replace(bank, spec=one({"type": "Goroutines"}).spec)], world, NOW))[shop.uid].history.by_pod("Goroutines")  # fmt: skip
    assert len(kept["uid-b-1"][0].points.t) <= LEAST_LOOKBACK / 60 + 1


async def test_what_nobody_asks_any_more_is_forgotten() -> None:
    source = Source(
        {"PromQL": sampled({"api-1": points([5.0] * 5)}), "Descriptors": sampled({"api-1": points([5.0] * 5)})}
    )
    reads = reader(source)
    both = await reads.read([one(FDS, MINE)], WORLD, NOW)
    (key,) = [key for key in next(iter(both.values())).answers if key.startswith("PromQL")]
    history = next(iter(both.values())).history
    assert history.knows(key)
    await reads.read([one(FDS)], WORLD, NOW + 60)
    assert not history.knows(key)
    assert {query for _, query in reads._windows.progress} >= {"Descriptors"}
    assert key not in {query for _, query in reads._windows.progress}


async def test_a_namespace_that_the_source_could_not_answer_for_is_told_so_and_no_other_is() -> None:
    lost = QueryFailed("TooLarge", "its answer is larger than 64 MiB, for namespace bank alone")
    source = Source({"Descriptors": replace(sampled({"api-1": points([5.0] * 5)}), failed={"bank": lost})})
    bank, shop = one(FDS, name="bank", metadata={"namespace": "bank"}), one(FDS)
    found = await reader(source).read([shop, bank], WORLD, NOW)
    assert found[bank.uid].answers["Descriptors"] == lost
    assert isinstance(found[shop.uid].answers["Descriptors"], Sampled)


async def test_a_label_that_prometheus_does_not_have_costs_its_own_policy() -> None:
    """The schema refuses such a label; a policy that was written before must not stop the others."""
    alert = {"type": "Alert", "alert": {"name": "Slow", "labels": {"severity": "page"}}}
    bad = one(alert, name="bad")
    assert bad.spec is not None
    asked = bad.spec.signals[0].alert
    assert asked is not None
    labels = {"app.kubernetes.io/name": "checkout"}
    signal = bad.spec.signals[0].model_copy(update={"alert": asked.model_copy(update={"labels": labels})})
    bad = replace(bad, spec=bad.spec.model_copy(update={"signals": [signal]}))
    source = Source()
    found = await reader(source).read([bad, one(FDS)], WORLD, NOW)
    assert set(found) == {bad.uid, one(FDS).uid}
    assert any("Descriptors" in names for names, _ in source.asked)


async def test_the_days_before_the_first_read_are_read_once_at_a_coarse_step_and_bounded() -> None:
    source = Source()
    reads = reader(source)
    await reads.read([one(FDS)], WORLD, NOW)
    first = [reach for names, reach in source.asked if "Descriptors" in names]
    await reads.read([one(FDS)], WORLD, NOW + 60)

    assert len(first) == 2
    assert len([1 for names, _ in source.asked if "Descriptors" in names]) == 3, "and never again"
    assert first[0] == pytest.approx(EARLIER_LONGEST, abs=2 * STEP)


async def test_after_a_restart_a_leak_of_weeks_is_told_from_what_was_read_at_a_coarse_step() -> None:
    """Four percent of the limit a day: within one day of minutes that does not count as growth."""

    class Weeks(Source):
        async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
            t = np.arange(since, now + 1, step)
            v = np.round(800 + 40 * (t - NOW) / 86_400)
            kept = Sampled(
                {SeriesKey("shop", "api-1", "app"): Points(t, v)}, {SeriesKey("shop", "api-1", "app"): 1000.0}
            )
            return {query.key: kept if query.key == "Descriptors" else NoData("NoSeries", "none") for query in queries}

    world = snapshot([workload()], [pod("api-1", created=NOW - 20 * 86_400)])
    reads = Reader({"main": Weeks()}, Weeks(), STEP)
    told = set()
    for hour in range(0, 50, 2):
        readings = (await reads.read([one(FDS)], world, NOW + 3600 * hour)).popitem()[1]
        told |= {found.verdict for _, findings in readings.growth.rounds for found in findings.values()}

    assert Verdict.LEAKING in told or Verdict.EXHAUSTING in told


async def test_where_a_latency_is_read_the_requests_in_flight_are_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty requests a second, which take ten times as long as usual at the end; without a latency, the rate as it is."""
    seen: list[float] = []

    def learn(self: Detection, answers: Any, world: Any, beside: LoadAndCollections, *rest: Any) -> None:
        seen.extend(float(points.v[-1]) for points in beside.rate.values() if answers)

    monkeypatch.setattr(Detection, "learn", learn)
    rate, slow = points([50.0] * 60, every=30.0), points([0.1] * 50 + [1.0] * 10, every=30.0)
    answers: dict[str, Answer] = {
        "Descriptors": sampled({"api-1": points([5.0] * 60, every=30.0)}),
        "context": sampled({"api-1": rate}),
    }
    p99 = {"type": "LatencyP99", "threshold": {"above": "5"}}
    await reader(Source(dict(answers))).read([one(FDS)], WORLD, NOW)
    await reader(Source({**answers, "LatencyP99": sampled({"api-1": slow})})).read([one(FDS, p99)], WORLD, NOW)

    assert seen[0] == 50
    assert 300 < seen[-1] <= 500
