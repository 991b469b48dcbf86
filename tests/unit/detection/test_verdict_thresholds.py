"""Shapes that look like a leak for a while, and leaks that hide: single gates separate them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.core.detection.detector import EXHAUSTING, LEAKING
from leakwarden.core.detection.recording import Series
from tests.unit.detection.test_verdict_properties import BEGIN, judged, series, worst

pytestmark = pytest.mark.slow


def settled(rising: np.ndarray, seconds: int) -> np.ndarray:
    """`rising` and then its last value for a while, every 30 s."""
    return np.append(rising, np.full(seconds // 30, rising[-1]))


@pytest.mark.parametrize("minutes", [30, 60, 90])
def test_a_small_pool_that_the_load_lifts_to_its_maximum_is_no_leak(minutes: int) -> None:
    """Twenty connections, all in use once 45 requests/s are there: counted in steps of a twentieth, an hour's climb
    leaves so few values that chance decides how much of it the load explains."""
    rate = settled(np.linspace(2, 45, 2 * minutes), 300)
    pool = replace(series(np.round(20 * rate / 45), limit=20.0, signal="db-pool"), rate=rate)

    assert worst(judged(pool)) < LEAKING


def test_a_pool_whose_connections_are_never_returned_is_a_leak_at_a_steady_load() -> None:
    rng = np.random.default_rng(5)
    held = np.floor(np.linspace(0, 20, 480)) + rng.poisson(1.0, 480)
    pool = replace(series(np.minimum(held, 20), limit=20.0, signal="db-pool"), rate=45 + rng.normal(size=480))

    assert worst(judged(pool)) == EXHAUSTING


def pool_of_twenty(held: np.ndarray, busy: float, seed: int) -> Series:
    """Connections in use: those `held` for good, and those that requests take and return; load unknown."""
    requests = np.random.default_rng(seed).poisson(busy, len(held))
    return series(np.minimum(held + requests, 20), limit=20.0, signal="db-pool")


@pytest.mark.parametrize("seed", range(4))
def test_connections_that_are_held_are_told_from_those_that_come_and_go(seed: int) -> None:
    """Both pools are equally full on average, and climb as long. The number of held connections does not spread; the
    number of those that come and go does, by its square root."""
    hours = 6
    climb = np.linspace(0, 13, 120 * hours)
    leaking = pool_of_twenty(np.floor(climb), 1.0, seed)
    first_full = int(np.flatnonzero(leaking.v >= 20)[0]) if (leaking.v >= 20).any() else len(leaking.v)
    busy = np.random.default_rng(seed).poisson(1.0 + climb * 0.75)
    morning = series(np.minimum(busy, 20), limit=20.0, signal="db-pool")

    told = [c.time - BEGIN for c in judged(leaking) if c.verdict >= LEAKING]
    assert told
    assert told[0] < 30 * first_full
    assert worst(judged(morning)) < LEAKING


def test_a_burst_that_rises_for_forty_minutes_and_holds_is_no_leak() -> None:
    rng = np.random.default_rng(1)
    level = np.concatenate([np.full(120, 200.0), settled(np.linspace(200, 840, 80), 7200)])
    burst = replace(series(level + 5 * rng.normal(size=len(level))), rate=100 + 2 * rng.normal(size=len(level)))

    assert worst(judged(burst)) < LEAKING


def after_three_quiet_hours(minutes: int, top: float, seed: int) -> Series:
    """At a fifth of the limit for three hours, then up to `top` in a straight line, at a steady request rate."""
    rng = np.random.default_rng(seed)
    level = np.concatenate([np.full(360, 200.0), np.linspace(200, 1000 * top, 2 * minutes)])
    climb = series(np.round(level + 5 * rng.normal(size=len(level))))
    return replace(climb, rate=100 + 2 * rng.normal(size=len(level)))


@pytest.mark.parametrize("minutes", [50, 60, 75])
def test_a_leak_that_is_over_within_the_hour_is_acted_upon_in_time_though_all_was_quiet_before(minutes: int) -> None:
    leak = after_three_quiet_hours(minutes, 1.0, seed=minutes)

    told = [c.time for c in judged(leak) if c.verdict == EXHAUSTING]

    assert told
    assert leak.t[-1] - told[0] > 300


@pytest.mark.parametrize("minutes", [16, 20, 24])
def test_a_burst_that_rises_as_straight_for_some_minutes_is_not_acted_upon(minutes: int) -> None:
    burst = after_three_quiet_hours(minutes, 0.93, seed=minutes)

    assert worst(judged(burst)) < EXHAUSTING


@pytest.mark.parametrize(("peak", "noise"), [(3, 0.08), (18, 0.08), (21, 0.03)])
def test_a_leak_of_a_day_is_told_whatever_the_traffic_does_in_its_last_hours(peak: int, noise: float) -> None:
    """The fall of evening traffic is as large as the leak, and a morning's rise seems to explain all of it; only
    without the traffic there is a line."""
    rng = np.random.default_rng(peak)
    hours = np.arange(4800) / 120
    slow = np.interp(hours, np.arange(0, 41, 0.5), rng.normal(size=82))
    rate = 100 * (1 + 0.6 * np.cos(2 * np.pi * (hours - peak) / 24)) * (1 + 0.02 * rng.normal(size=len(hours)))
    busy = 0.0035 * rate * np.exp(noise * slow + 0.03 * rng.normal(size=len(hours)))
    level = busy + 0.65 * hours / 30
    end = int(np.flatnonzero(level >= 1)[0])
    leak = replace(series(np.round(10_000 * level[:end]), limit=10_000.0), rate=rate[:end])

    told = [c.time for c in judged(leak) if c.verdict >= LEAKING]

    assert told
    assert leak.t[-1] - told[0] > 1200


@pytest.mark.parametrize("period", [12, 17])
def test_memory_under_a_sawtooth_is_exhausted_when_its_peaks_meet_the_limit(period: int) -> None:
    """Live memory has reached half of the limit when, with as much garbage again, the memory in use reaches it. Between
    two peaks the memory in use is far from its limit, but the leak is not."""
    hours = np.arange(720) / 120
    memory = (0.15 + 0.08 * hours) * (1 + 0.9 * np.mod(hours * 60 / period, 1.0))
    end = int(np.flatnonzero(memory >= 1)[0])

    alarms = [
        c.time - BEGIN for c in judged(series(np.round(1000 * memory[:end]), signal="heap")) if c.verdict >= LEAKING
    ]

    assert alarms
    assert 30 * end - alarms[0] >= 600


def test_memory_that_fills_to_a_soft_limit_without_collections_is_no_leak() -> None:
    rng = np.random.default_rng(3)
    hours = np.arange(1440) / 120
    memory = np.minimum(0.3 + 0.15 * hours, 0.90) + 0.003 * rng.normal(size=1440)

    assert worst(judged(series(np.round(10_000 * memory), limit=10_000.0, signal="working-set"))) < LEAKING


def test_a_pool_of_ten_that_loses_a_connection_an_hour_is_a_leak() -> None:
    """One of ten is a tenth of the limit: between two losses its floor stands still, unlike any leak in a larger
    pool."""
    held = np.minimum(np.floor(np.linspace(0, 11, 1440)), 10)

    assert worst(judged(series(held, limit=10.0, signal="db-pool"))) == EXHAUSTING


def test_a_small_rise_close_to_the_limit_that_hardly_stands_out_of_the_noise_is_no_leak() -> None:
    """From 90 % to 95.5 % within an hour: a straight line would reach the limit an hour later."""
    rng = np.random.default_rng(7)
    level = np.concatenate([np.full(240, 0.90), settled(np.linspace(0.90, 0.955, 120), 7200)])

    assert worst(judged(series(np.round(10_000 * (level + 0.006 * rng.normal(size=600))), limit=10_000.0))) < LEAKING


@pytest.mark.parametrize("hours", [0.3, 1.0, 3.0])
def test_a_process_that_warms_up_to_just_below_its_limit_is_no_leak(hours: float) -> None:
    """Most of the distance to the limit is used within the window: only its ever slower growth shows that it is no
    leak."""
    age = np.arange(round(960 * hours)) / 120
    level = np.round(9800 * (1 - np.exp(-age / hours)))
    warm = replace(series(level, limit=10_000.0), rate=100 + np.random.default_rng(1).normal(size=len(age)))

    assert worst(judged(warm)) < LEAKING


@pytest.mark.parametrize("moments", [[14.0], [13.0, 16.0]])
def test_peers_that_connect_and_stay_while_traffic_grows_are_no_leak(moments: list[float]) -> None:
    """With a morning's traffic a jump of a third of the limit looks like a climb of hours, to 93 %; without the traffic
    it is a jump."""
    rng = np.random.default_rng(1)
    hours = np.arange(2880) / 120
    rate = 100 * (1 + 0.8 * np.clip((hours - 10) / 9, 0, 1)) * (1 + 0.02 * rng.normal(size=2880))
    peers = np.searchsorted(moments, hours) / len(moments)
    level = 0.0033 * rate * (1 + 0.03 * rng.normal(size=2880)) + 0.3 * peers
    stairs = replace(series(np.round(10_000 * level), limit=10_000.0), rate=rate)

    assert worst(judged(stairs)) < LEAKING
