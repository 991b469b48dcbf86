"""Where requests take longer than usual, the load is the number in flight: rate times latency."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.core.detection.detector import LEAKING
from leakwarden.core.detection.waiting import UsualLatency
from leakwarden.core.model.readings import Points, SeriesKey
from tests.unit.detection.test_verdict_properties import judged, series, worst

POD = SeriesKey("shop", "cart-1")
T = 30.0 * np.arange(120, dtype=np.float64)
USUAL = np.full(60, 0.1)


def test_requests_that_take_ten_times_as_long_are_ten_times_as_many() -> None:
    slower = UsualLatency().slowdown(POD, T, np.append(USUAL, 10 * USUAL))

    assert np.all(slower[:60] == 1)
    assert slower[60] == pytest.approx(10)
    assert np.all(slower[60:] > 5)


def test_a_p99_that_wavers_is_as_usual_and_a_missing_one_says_nothing() -> None:
    wavering = 0.1 * np.exp(0.1 * np.random.default_rng(1).normal(size=120))
    wavering[70:80] = np.nan

    assert np.all(UsualLatency().slowdown(POD, T, wavering) == 1)
    assert np.all(UsualLatency().slowdown(POD, T[:10], np.append(USUAL[:5], 10 * USUAL[:5])) == 1)  # too young


def test_it_is_the_same_read_at_once_or_tick_by_tick_and_read_again() -> None:
    latency = np.append(USUAL, 10 * USUAL)
    ticks = UsualLatency()
    parts = [ticks.slowdown(POD, T[i : i + 3], latency[i : i + 3]) for i in range(0, 120, 3)]
    again = ticks.slowdown(POD, T[117:], latency[117:])

    assert np.array_equal(np.concatenate(parts), UsualLatency().slowdown(POD, T, latency))
    assert ticks.slowdown(POD, T[117:], latency[117:]).tolist() == again.tolist()


def test_rates_without_a_slow_latency_stay_the_object_that_they_were() -> None:
    rate = {POD: Points(T, np.full(120, 50.0))}
    calm, slow = {POD: Points(T, np.full(120, 0.1))}, {POD: Points(T, np.append(USUAL, 10 * USUAL))}
    usual = UsualLatency()

    assert UsualLatency().in_flight(rate, {}) is rate
    assert UsualLatency().in_flight(rate, calm) is rate
    assert usual.in_flight(rate, slow)[POD].v[60] == pytest.approx(500)
    usual.keep({})
    assert usual.in_flight(rate, {POD: Points(T[:2], np.full(2, 1.0))}) is rate


@pytest.mark.slow
def test_a_smooth_pile_up_that_the_latency_explains_is_no_leak_and_without_it_looks_like_one() -> None:
    """A queue hardly spreads, so that only the latency tells it from a leak."""
    slow = np.append(np.full(240, 0.1), np.linspace(0.1, 2.3, 480))
    rng = np.random.default_rng(4)
    level = np.round(400 * slow + rng.normal(size=720))
    alone = replace(series(level, limit=1000.0), rate=100 + rng.normal(size=720))

    assert worst(judged(alone)) >= LEAKING
    assert worst(judged(replace(alone, latency=slow * np.exp(0.1 * rng.normal(size=720))))) < LEAKING
