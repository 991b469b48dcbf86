"""Signals without a limit are judged against what their workload has needed before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.core.detection.detector import EXHAUSTING, HEALTHY, LEAKING, SUSPECT
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.replay import Change, replay
from leakwarden.core.signals.criteria import Standard
from tests.unit.detection.test_verdict_properties import BEGIN, series, worst

pytestmark = pytest.mark.slow

STEP = 300.0  # s


def goroutines(level: np.ndarray, limit: float | None = None) -> Series:
    return series(np.round(level), STEP, limit, "Goroutines")


def judged(one: Series) -> list[Change]:
    return replay([one], Standard(), STEP)


def told(one: Series) -> float | None:
    """Hours until it is Leaking."""
    return next(((c.time - BEGIN) / 3600 for c in judged(one) if c.verdict >= LEAKING), None)


def after(quiet: float, hours: float, fold: float, usual: float = 120.0) -> np.ndarray:
    """At its usual level for `quiet` hours, then up to `fold` times as much within `hours`."""
    rng = np.random.default_rng(3)
    level = np.concatenate([np.full(int(quiet * 12), usual), np.linspace(usual, fold * usual, int(hours * 12))])
    return level + 0.02 * usual * rng.normal(size=len(level))


@pytest.mark.parametrize("hours", [3.0, 8.0])
def test_a_leak_of_what_has_no_limit_is_told_before_it_has_grown_fivefold(hours: float) -> None:
    at = told(goroutines(after(25, hours, 5.0)))

    assert at is not None
    assert 25 < at < 25 + hours


@pytest.mark.parametrize("hours", [13.0, 20.0, 40.0])
def test_a_leak_from_the_first_minute_on_is_told_before_it_has_grown_fivefold(hours: float) -> None:
    """A timer that forgets a goroutine each time: no healthy past is known, and nobody knows the load."""
    at = told(goroutines(after(0, hours, 5.0)))

    assert at is not None
    assert 0.4 * hours < at < hours - 0.25


@pytest.mark.parametrize(("hours", "fold"), [(120.0, 700.0), (30.0, 100.0)])
def test_a_leak_that_is_fast_beside_its_first_level_is_told_within_hours_and_until_its_end(
    hours: float, fold: float
) -> None:
    """It rises in its first ten minutes, and at each later age: no level of it is ever the usual one."""
    day = 1 + 0.5 * np.sin(2 * np.pi * np.arange(0, hours, STEP / 3600) / 24)
    leaked = np.cumsum(day) / day.sum()
    noise = np.random.default_rng(3).normal(size=len(day))
    changes = judged(goroutines(40 + 40 * fold * leaked + 2 * noise))

    first = next(c for c in changes if c.verdict == LEAKING)
    assert (first.time - BEGIN) / 3600 < 11
    assert [c.reason for c in changes if c.time > first.time] == ["Stale"]


@pytest.mark.parametrize(
    ("most", "is_told"), [(28_000.0, True), (50_000.0, False)], ids=["to the last local port", "to several addresses"]
)
def test_sockets_that_use_up_the_local_ports_within_the_first_hour_are_told(most: float, is_told: bool) -> None:
    minutes = np.arange(0, 60, 0.5)
    level = 250 + np.where(most > 28_232, np.minimum(minutes / 20, 1), minutes / 60) * (most - 250)
    noise = np.random.default_rng(3).normal(size=len(level))
    changes = replay([series(np.round(level + 20 * noise), 30.0, None, "Sockets")], Standard(), 30.0)
    first = next(((c.time - BEGIN) / 60 for c in changes if c.verdict == LEAKING), None)

    assert (first is not None) == is_told
    assert first is None or first < 55
    assert worst(changes) < EXHAUSTING


@pytest.mark.parametrize(("hours", "is_told"), [(6.0, True), (3.0, False)])
def test_with_a_known_load_four_hours_of_unexplained_growth_are_enough(hours: float, is_told: bool) -> None:
    level = after(0, hours, 5.0)
    rate = 50 + 5 * np.random.default_rng(4).normal(size=len(level))

    assert (told(replace(goroutines(level), rate=rate)) is not None) == is_told


@pytest.mark.parametrize("what", ["a warm-up", "a morning", "users that come with the load", "a cache of two hours"])
def test_what_grows_manifold_from_birth_and_ends_is_no_leak(what: str) -> None:
    hours = np.arange(0, 30, STEP / 3600)
    rng = np.random.default_rng(8)
    noise = np.exp(0.03 * rng.normal(size=len(hours)))
    level, rate = {
        "a warm-up": (40 + 360 * (1 - np.exp(-hours / 4)), None),
        "a morning": (100 * (1 + 2.6 * (1 - np.cos(2 * np.pi * hours / 24)) / 2), None),
        "users that come with the load": (
            60 + 60 * _lagged(_daily(hours), 3.0), 80 * _daily(hours)
        ),
        "a cache of two hours": (40 + 300 * np.minimum(hours / 2.2, 1), None),
    }[what]  # fmt: skip

    assert told(replace(goroutines(level * noise), rate=rate)) is None


def _daily(hours: np.ndarray) -> np.ndarray:
    return 1 + 2 * (1 - np.cos(2 * np.pi * hours / 24))


def _lagged(load: np.ndarray, stay: float) -> np.ndarray:
    """Users who come with the load and stay for so many hours on average; none at first."""
    share, level = STEP / 3600 / stay, np.zeros(len(load))
    for i in range(1, len(load)):
        level[i] = level[i - 1] + share * (stay * load[i] - level[i - 1])
    return level


def test_a_cache_that_fills_for_longer_than_a_day_is_the_usual_level_once_it_is_full() -> None:
    """A level that still rises after a day is not the usual one, and must not stay the limit of weeks."""
    hours = np.arange(0, 100, STEP / 3600)
    rng = np.random.default_rng(8)
    filling = 100 + 250 * np.minimum(hours / 30, 1)  # below four times its first level
    busy = filling * (1 + 0.25 * np.sin(2 * np.pi * hours / 24)) * np.exp(0.02 * rng.normal(size=len(hours)))

    assert told(goroutines(busy)) is None


def test_growth_to_less_than_three_times_the_usual_level_is_not_told() -> None:
    assert told(goroutines(np.append(after(25, 6, 2.6), after(6, 0, 1, 2.6 * 120)))) is None


def test_nothing_is_exhausted_where_there_is_no_limit() -> None:
    changes = judged(goroutines(after(3, 6, 40.0)))

    assert worst(changes) == LEAKING < EXHAUSTING
    assert {c.reason for c in changes if c.verdict == LEAKING} == {"GrowsBeyondItsPast"}
    assert all(c.seconds_low == np.inf for c in changes)


def test_a_limit_a_thousand_times_as_high_is_none_to_a_service_at_sixty() -> None:
    """Connections to one address are used up at 28,232 (net.ipv4.ip_local_port_range), a million descriptors or not."""
    level = after(3, 6, 300.0, usual=60.0)

    assert told(goroutines(level, limit=1_048_576.0)) is not None
    assert told(goroutines(level / 40, limit=1_048_576.0 / 40)) is not None


def test_a_limit_that_the_usual_level_uses_a_twentieth_of_is_the_limit() -> None:
    level = after(25, 6, 5.0, usual=60.0)

    assert told(goroutines(level, limit=1200.0)) is None


def test_a_morning_that_the_request_rate_explains_is_no_leak_without_a_limit() -> None:
    hours = np.arange(0, 36, 1 / 12)
    load = 1 + 4 * (0.5 - 0.5 * np.cos(2 * np.pi * hours / 24)) ** 2
    rng = np.random.default_rng(1)
    day = replace(goroutines(120 * load * (1 + 0.02 * rng.normal(size=len(hours)))), rate=90 * load)

    assert worst(judged(day)) < LEAKING


def test_a_few_goroutines_that_become_many_times_as_few_are_nothing() -> None:
    assert worst(judged(goroutines(np.linspace(2, 30, 150)))) <= SUSPECT
    assert worst(judged(goroutines(np.full(60, 7.0)))) <= 1
    assert HEALTHY in {c.verdict for c in judged(goroutines(np.full(60, 700.0)))}


def test_a_young_workload_that_fills_its_caches_is_not_measured_by_its_first_minutes() -> None:
    """From 32 to 256 goroutines within three hours, and no more, as a composed world did."""
    hours = np.arange(0, 8, STEP / 3600)

    assert told(goroutines(32 + 224 * np.minimum(hours / 2.5, 1.0))) is None


def pods_of_one(levels: list[np.ndarray], signal: str = "Goroutines") -> list[Series]:
    return [
        replace(series(np.round(level), STEP, None, signal), pod=f"api-{i}", uid=f"api-{i}")
        for i, level in enumerate(levels)
    ]


@pytest.mark.parametrize(
    ("hours", "is_told"), [(6.0, True), (2.4, False)], ids=["for six hours", "for less than three, as a job does"]
)
def test_in_a_young_workload_hours_of_growth_that_the_siblings_do_not_share_are_told(
    hours: float, is_told: bool
) -> None:
    rng = np.random.default_rng(5)
    quiet = np.full(36, 200.0)
    climb = np.concatenate([quiet, np.linspace(200, 1000, int(hours * 12)), np.full(36, 200.0)])
    calm = [np.full(len(climb), 200.0) for _ in range(3)]
    lines = pods_of_one([each + 2 * rng.normal(size=len(climb)) for each in (climb, *calm)])
    changes = replay(lines, Standard(), STEP)

    assert {c.series for c in changes if c.verdict >= LEAKING} == ({0} if is_told else set())


def test_in_a_young_workload_hours_of_growth_of_all_pods_may_be_a_batch() -> None:
    rng = np.random.default_rng(5)
    climb = np.concatenate([np.full(36, 200.0), np.linspace(200, 1000, 72), np.full(36, 200.0)])
    lines = pods_of_one([climb + 2 * rng.normal(size=len(climb)) for _ in range(4)])

    assert worst(replay(lines, Standard(), STEP)) < LEAKING


@pytest.mark.slow
def test_the_first_batch_of_a_young_workload_is_no_leak_and_one_after_a_day_is_judged() -> None:
    """Six quiet hours, then an hour in which goroutines climb to ten times as many, all of which end with the batch."""
    rng = np.random.default_rng(7)
    quiet, batch, rest = np.full(360, 90.0), np.linspace(90, 900, 80), np.full(300, 90.0)
    level = np.concatenate([quiet, batch, rest])
    young = series(np.round(level + 2 * rng.normal(size=len(level))), 60.0, None, "Goroutines")

    assert worst(replay([young], Standard(), 60.0)) < LEAKING
    older = np.concatenate([np.full(27 * 60, 90.0), np.linspace(90, 900, 80)])
    old = series(np.round(older + 2 * rng.normal(size=len(older))), 60.0, None, "Goroutines")
    assert worst(replay([old], Standard(), 60.0)) == LEAKING


@pytest.mark.slow
def test_a_leak_of_an_evening_in_a_young_workload_is_told_while_it_grows() -> None:
    rng = np.random.default_rng(7)
    level = np.concatenate([np.full(360, 90.0), np.linspace(90, 1100, 200)])
    young = series(np.round(level + 2 * rng.normal(size=len(level))), 60.0, None, "Goroutines")

    assert worst(replay([young], Standard(), 60.0)) == LEAKING
