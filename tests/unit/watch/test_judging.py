"""A watch's verdict on a line of readings: a leak, no leak, or too few readings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.watch.judging import LEAST_BUCKETS, LEAST_CYCLES, LEAST_MEMORY, tracks
from tests.unit.watch.watch_scrapes import judged, noise, scrapes, served

MIB = 2.0**20


@pytest.mark.parametrize("per_second", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("counted", [True, False])
def test_what_climbs_steadily_for_a_minute_leaks_whether_or_not_requests_are_counted(
    per_second: float, counted: bool
) -> None:
    line = 8 + np.floor(per_second * np.arange(60)) + noise(60, 2.0)
    one = judged(scrapes(line, requests=served(60) if counted else None))
    assert one.judgement.verdict is Verdict.LEAKING
    growth = one.judgement.growth_per_hour
    assert growth is not None
    assert growth.low <= per_second * 3600 * 1.15
    assert growth.high >= per_second * 3600 * 0.85


@pytest.mark.parametrize("seed", range(4))
def test_what_stays_flat_or_steps_once_or_fills_a_cache_does_not_leak(seed: int) -> None:
    t = np.arange(60)
    flat = 20 + noise(60, 5.0, seed)
    stepped = np.where(t < 5, 8, 60) + noise(60, 5.0, seed)
    filled = 8 + 100 * (1 - np.exp(-t / 15)) + noise(60, 2.0, seed)
    burst = 20 + 60 * ((t > 20) & (t < 40)) + noise(60, 4.0, seed)
    for line in (flat, stepped, filled, burst):
        assert judged(scrapes(line, requests=served(60))).judgement.verdict is Verdict.HEALTHY


def test_what_the_load_explains_does_not_leak() -> None:
    # Requests in flight double as the rate does.
    rate = np.linspace(10, 40, 90)
    line = 5 + rate + noise(90, 2.0)
    assert judged(scrapes(line, requests=np.cumsum(rate))).judgement.verdict is Verdict.HEALTHY
    assert judged(scrapes(line)).judgement.verdict is Verdict.LEAKING


def test_less_than_a_window_of_readings_is_not_judged_however_steep() -> None:
    steep = 50.0 * np.arange(LEAST_BUCKETS)
    assert judged(scrapes(8 + steep)).judgement.verdict is Verdict.LEAKING
    before = judged(scrapes(8 + steep[:-1])).judgement
    assert before.verdict is Verdict.UNKNOWN
    assert before.message.startswith(f"not enough seen: {LEAST_BUCKETS - 1} of the {LEAST_BUCKETS} readings")


def test_growth_of_fewer_than_ten_things_is_a_suspicion_and_no_proof() -> None:
    nine = 20 + np.floor(np.arange(60) * 9 / 59)
    ten = 20 + np.floor(np.arange(60) * 13 / 59)
    assert judged(scrapes(nine, requests=served(60))).judgement.verdict is Verdict.SUSPECT
    assert judged(scrapes(ten, requests=served(60))).judgement.verdict is Verdict.LEAKING


def test_growth_of_less_memory_than_a_warm_up_takes_is_a_suspicion_and_no_proof() -> None:
    def verdict(grown: float) -> Verdict:
        line = 2 * MIB + np.linspace(0, grown, 60)
        return judged(scrapes(line, SignalType.HEAP, requests=served(60), cycles=np.arange(60))).judgement.verdict

    assert verdict(2 * LEAST_MEMORY) is Verdict.LEAKING
    assert verdict(0.8 * LEAST_MEMORY) is Verdict.SUSPECT


def test_memory_is_not_judged_before_enough_collections() -> None:
    line = 2 * MIB + MIB * np.arange(60)
    few = np.minimum(np.arange(60), LEAST_CYCLES - 1)
    for cycles, said in ((few, f"{LEAST_CYCLES - 1} were completed"), (None, "their number is not exported")):
        found = judged(scrapes(line, SignalType.HEAP, cycles=cycles)).judgement
        assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "TooFewCollections")
        assert said in found.message


def test_a_pool_at_its_maximum_is_exhausted_although_it_grows_no_more() -> None:
    line = np.minimum(np.arange(60) * 5.0, 50.0)
    assert judged(scrapes(line, SignalType.DB_POOL, limit=50.0)).judgement.verdict is Verdict.EXHAUSTING
    assert judged(scrapes(line, SignalType.DB_POOL)).judgement.verdict is not Verdict.EXHAUSTING


def test_the_time_left_is_until_the_real_limit_and_not_the_assumed_one() -> None:
    found = judged(scrapes(10 + 2.0 * np.arange(60), SignalType.DESCRIPTORS, limit=1_024.0)).judgement
    assert found.seconds_to_exhaustion is not None
    assert found.seconds_to_exhaustion.low == pytest.approx((1_024 - 128) / 2, rel=0.05)
    without = judged(scrapes(10 + 2.0 * np.arange(60), SignalType.DESCRIPTORS)).judgement
    assert without.seconds_to_exhaustion is None


def test_only_the_last_life_of_a_process_that_was_restarted_is_judged() -> None:
    first, second = scrapes(8 + 5.0 * np.arange(60)), scrapes(np.full(30, 9.0))
    later = [replace(one, t=one.t + 60, started=1_000_060.0) for one in second]
    (track,) = tracks([*first, *later], 1.0)
    assert track.points.v.tolist() == [9.0] * 30


def test_a_longer_watch_is_judged_on_a_slower_clock() -> None:
    # Twenty seconds of a burst in ten minutes: on a clock of seconds it looks like a leak while it lasts.
    line = np.full(300, 10.0)
    line[-10:] += 30 * np.arange(10)
    assert judged(scrapes(line, step=2.0), bucket=10.0).judgement.verdict is not Verdict.LEAKING
