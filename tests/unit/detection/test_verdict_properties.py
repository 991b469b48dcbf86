"""Properties that must hold for every series, whatever its numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leakwarden.api.scalars import parse_amount
from leakwarden.core.detection.detector import EXHAUSTING, LEAKING, UNKNOWN
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.replay import Change, replay
from leakwarden.core.signals.criteria import Standard

pytestmark = pytest.mark.slow

quick = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BEGIN = 1_700_000_000.0


def series(values: np.ndarray, step: float = 30.0, limit: float | None = 1000.0, signal: str = "descriptors") -> Series:
    t = BEGIN + step * np.arange(len(values), dtype=np.float64)
    return Series(signal, "shop", "cart", "cart-1", "uid-1", BEGIN - 5, limit, t, np.asarray(values, dtype=np.float64))


def judged(one: Series, standard: Standard | None = None) -> list[Change]:
    return replay([one], standard or Standard(), 30.0)


def said(changes: list[Change]) -> list[tuple[float, int, str]]:
    return [(change.time - BEGIN, change.verdict, change.reason) for change in changes]


def worst(changes: list[Change]) -> int:
    """Of growth alone: a level that stays at its limit is full, whether it grew or not, and other tests are about
    that."""
    return max(change.verdict for change in changes if change.reason != "Full")


@st.composite
def walks(draw: st.DrawFn) -> np.ndarray:
    """Noise, a climb, or both, over up to six hours."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(20, 400))
    climb = draw(st.floats(0, 900)) * np.arange(n) / n
    return np.clip(np.round(50 + climb + draw(st.floats(0, 40)) * rng.normal(size=n)), 0, 1000)


@quick
@given(walks(), st.integers(-10_000_000, 10_000_000))
def test_verdicts_do_not_change_when_the_clock_is_shifted(values: np.ndarray, shift: int) -> None:
    one = series(values)
    moved = replace(one, t=one.t + shift, start=one.start + shift)

    changes = [replace(change, time=change.time - shift) for change in judged(moved)]

    assert said(changes) == said(judged(one))


@quick
@given(walks(), st.sampled_from([2.0**-12, 0.5, 8.0, 2.0**20]))
def test_verdicts_do_not_change_with_the_unit(values: np.ndarray, factor: float) -> None:
    one = series(values)
    assert one.limit is not None
    scaled = replace(one, v=one.v * factor, limit=one.limit * factor)

    assert said(judged(scaled)) == said(judged(one))


@quick
@given(walks(), st.integers(1, 200))
def test_missing_scrapes_at_the_end_change_nothing_before_them(values: np.ndarray, missing: int) -> None:
    one = series(values)
    longer = series(np.concatenate([values, np.full(missing, np.nan)]))

    assert said(judged(longer)) == said(judged(one))


@quick
@given(walks(), st.integers(5, 19))
def test_a_verdict_sees_only_the_past(values: np.ndarray, cut: int) -> None:
    known = len(values) * cut // 20
    end = 30.0 * (known - 1)

    whole = [item for item in said(judged(series(values))) if item[0] <= end]
    part = [item for item in said(judged(series(values[:known]))) if item[0] <= end]

    assert whole == part


def many(lives: list[Series]) -> dict[int, list[Change]]:
    """Judge each as a workload of its own, all at once, which takes as long as one."""
    apart = [replace(one, workload=f"w{i}", pod=f"w{i}-1") for i, one in enumerate(lives)]
    by_series: dict[int, list[Change]] = {i: [] for i in range(len(lives))}
    for change in replay(apart, Standard(), 30.0):
        by_series[change.series].append(change)
    return by_series


seeds = settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@seeds
@given(st.integers(0, 2**32 - 1))
def test_a_constant_series_is_never_suspected_of_growth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lives = []
    for signal in ("descriptors", "heap", "db-pool"):
        for step in (10.0, 30.0, 60.0, 300.0):
            n = int(4 * 3600 / step)
            lives += [series(np.full(n, share * 1000), step, signal=signal) for share in rng.random(4)]
    lives += [series(np.full(480, value)) for value in (0.0, 1000.0, 999.0)]

    found = [change for changes in many(lives).values() for change in changes if change.reason != "Full"]
    assert found
    assert all(change.verdict <= UNKNOWN for change in found)


def climbs(seed: int, count: int) -> tuple[list[Series], list[float]]:
    """Straight climbs to the limit from 0 to 70 %, within 45 minutes to 30 hours, and when each ends (seconds)."""
    rng = np.random.default_rng(seed)
    lives, ends = [], []
    for _ in range(count):
        start, step = rng.uniform(0, 0.7), float(rng.choice([15.0, 30.0, 60.0]))
        n = int(np.exp(rng.uniform(np.log(0.75), np.log(30))) * 3600 / step)
        values = 1000.0 * (start + (1 - start) * np.arange(n + 1) / n)
        lives.append(series(values, step, signal=str(rng.choice(["descriptors", "goroutines", "db-pool"]))))
        ends.append(n * step)
    return lives, ends


@seeds
@given(st.integers(0, 2**32 - 1))
def test_a_straight_climb_to_the_limit_is_always_caught_with_five_minutes_to_spare(seed: int) -> None:
    lives, ends = climbs(seed, 40)

    for i, changes in many(lives).items():
        alarms = [change.time - BEGIN for change in changes if change.verdict >= LEAKING]
        assert alarms, f"{ends[i]} s: never judged Leaking"
        assert ends[i] - alarms[0] >= 300, f"{ends[i]} s: too late"


@seeds
@given(st.integers(0, 2**32 - 1))
def test_the_time_to_exhaustion_brackets_the_truth_on_a_straight_climb(seed: int) -> None:
    lives, ends = climbs(seed, 30)

    for i, changes in many(lives).items():
        first = next(change for change in changes if change.verdict >= LEAKING)
        left = BEGIN + ends[i] - first.time
        assert first.seconds_low <= left * 1.1 + 60  # a bucket
        assert first.seconds_high >= left * 0.8


@seeds
@given(st.integers(0, 2**32 - 1))
def test_a_process_that_warms_up_to_a_plateau_is_not_a_leak(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * 60) / 60
    lives = [
        series(np.round(1000 * rng.uniform(0.2, 0.9) * (1 - np.exp(-hours / rng.uniform(0.2, 6.0)))), 60.0)
        for _ in range(30)
    ]

    assert all(change.verdict < LEAKING for changes in many(lives).values() for change in changes)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf")])
def test_a_limit_that_is_none_is_judged_as_no_limit_is_and_nothing_is_exhausted(limit: float) -> None:
    climb = np.append(np.full(240, 100.0), np.round(np.geomspace(100, 6000, 240)))

    assert said(judged(series(climb, limit=limit))) == said(judged(series(climb, limit=None)))
    assert worst(judged(series(climb, limit=None))) == LEAKING


def test_when_readings_stop_the_verdict_is_unknown_and_never_acts() -> None:
    climb = np.linspace(200, 950, 240)
    other = replace(series(np.full(480, 100.0)), pod="cart-2", uid="uid-2")

    changes = [change for change in replay([series(climb), other], Standard(), 30.0) if change.series == 0]

    assert max(change.verdict for change in changes) == EXHAUSTING
    assert (changes[-1].verdict, changes[-1].reason) == (UNKNOWN, "Stale")


def test_a_restarted_process_starts_from_nothing() -> None:
    climb = np.linspace(200, 900, 120)
    again = replace(series(np.full(120, 300.0)), start=BEGIN + 3600)
    again = replace(again, t=again.t + 3600)

    changes = [change for change in replay([series(climb), again], Standard(), 30.0) if change.series == 1]

    assert changes[0].reason == "TooFewReadings"
    assert worst(changes) <= UNKNOWN


def test_a_limit_that_is_raised_calls_the_alarm_off() -> None:
    climb = series(np.linspace(200, 950, 240))
    later = replace(climb, t=climb.t + 7200, v=np.full(240, 950.0), limit=100_000.0)

    changes = replay([climb, later], Standard(), 30.0)

    assert worst(changes) == EXHAUSTING
    assert changes[-1].verdict < LEAKING or changes[-1].reason == "Stale"


def test_growth_that_the_request_rate_explains_is_not_a_leak() -> None:
    rng = np.random.default_rng(4)
    rate = np.linspace(100, 450, 720) * (1 + 0.02 * rng.normal(size=720))
    explained = replace(series(np.round(2 * rate * (1 + 0.02 * rng.normal(size=720)))), rate=rate)

    assert worst(judged(explained)) < LEAKING


def test_the_same_growth_at_a_steady_rate_is_a_leak() -> None:
    rng = np.random.default_rng(4)
    level = np.linspace(200, 1000, 720) * (1 + 0.02 * rng.normal(size=720))
    unexplained = replace(series(np.round(level)), rate=100 * (1 + 0.02 * rng.normal(size=720)))

    assert worst(judged(unexplained)) == EXHAUSTING


def test_memory_that_fills_until_a_rare_collection_is_not_a_leak_where_cycles_are_counted() -> None:
    cycle = np.arange(2880) / 720
    heap = 100 + 800 * np.mod(cycle, 1.0)
    counted = replace(series(heap, signal="heap"), gc=np.floor(cycle))

    assert worst(judged(counted)) < LEAKING


def test_collections_say_nothing_of_what_is_no_memory() -> None:
    """A pool that grew to its maximum with the load, as seen in a Go service, scraped once a minute: with only the
    readings right after collections it was called a leak."""
    # fmt: off
    used = [
        0, 0, 3, 4, 4, 4, 6, 5, 6, 8, 8, 8, 9, 9, 10, 11, 11, 12, 13, 13, 14, 14, 15, 16, 15, 17,
        17, 17, 19, 19, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20,
    ]
    rate = [
        0, 0, 1, 3, 5, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 29, 30,
        31, 32, 33, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 44, 44, 44, 44, 44, 44, 44, 44,
    ]
    cycles = [
        0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7, 8, 9, 9, 10, 10,
        11, 11, 12, 12, 13, 13, 14, 15, 16, 17, 18, 19, 19, 21, 22, 23,
    ]
    # fmt: on
    pool = replace(series(np.array(used), step=60.0, limit=20.0, signal="db-pool"), rate=np.array(rate, float))

    counted = judged(replace(pool, gc=np.array(cycles, float)))

    assert worst(counted) < LEAKING
    assert said(counted) == said(judged(pool))


def test_a_threshold_acts_after_its_time_and_a_gap_starts_it_anew() -> None:
    values = np.full(40, 850.0)
    standard = Standard(growth=False, above=parse_amount("80%"), above_for=300.0)

    steady = [c.time - BEGIN for c in judged(series(values), standard) if c.verdict == EXHAUSTING]
    broken = values.copy()
    broken[6:16] = np.nan
    late = [c.time - BEGIN for c in judged(series(broken), standard) if c.verdict == EXHAUSTING]

    assert steady[0] == pytest.approx(300, abs=30)
    assert late[0] == pytest.approx(16 * 30 + 300, abs=30)
