"""From readings to a verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.v1alpha1.policy import Signal
from leakwarden.core.judge import judge_series
from leakwarden.core.judgement import Judgement, Verdict
from leakwarden.core.readings import Points
from tests.builders import DESCRIPTORS, NOW, points

GROWTH = {"name": "descriptors", "type": "Descriptors", "growth": {"window": "30m", "exhaustsWithin": "1h"}}


def judge(spec: dict[str, Any], readings: Points, limit: float | None = 1000.0) -> Judgement:
    return judge_series(Signal.model_validate(spec), readings, limit, NOW, max_age=120, unit="descriptors")


def test_a_level_held_for_long_enough_is_exhausting() -> None:
    found = judge(DESCRIPTORS, points([900, 910, 920, 930]))
    assert found.verdict is Verdict.EXHAUSTING
    assert found.reason == "ThresholdHeld"
    assert found.message == "930 of 1000 descriptors, above 800 for 1m30s"


def test_a_level_not_held_long_enough_is_suspect() -> None:
    found = judge(DESCRIPTORS, points([100, 100, 900, 910]))
    assert found.verdict is Verdict.SUSPECT
    assert "for 30s of 1m" in found.message


def test_one_reading_below_the_level_starts_the_time_anew() -> None:
    assert judge(DESCRIPTORS, points([900, 900, 900, 700, 900])).verdict is Verdict.SUSPECT


def test_a_gap_starts_the_time_anew() -> None:
    before, after = points([900] * 20, until=NOW - 600), points([900, 900])
    joined = Points(np.concatenate([before.t, after.t]), np.concatenate([before.v, after.v]))
    assert judge(DESCRIPTORS, joined).verdict is Verdict.SUSPECT


def test_a_reading_below_the_level_is_healthy_although_growth_cannot_be_told_yet() -> None:
    found = judge(DESCRIPTORS, points([100, 110]))
    assert (found.verdict, found.reason) == (Verdict.HEALTHY, "WithinLimits")


def test_an_old_reading_is_unknown_however_high_it_was() -> None:
    found = judge(DESCRIPTORS, points([990] * 20, until=NOW - 121))
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "Stale")


def test_a_share_without_a_limit_is_unknown() -> None:
    found = judge({**DESCRIPTORS, "growth": {"enabled": False}}, points([990] * 20), limit=None)
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "NoLimit")


def test_an_absolute_level_needs_no_limit() -> None:
    spec = {"name": "g", "type": "Goroutines", "threshold": {"above": "500", "for": "1m"}}
    assert judge(spec, points([990] * 20), limit=None).verdict is Verdict.EXHAUSTING


def test_steady_growth_that_exhausts_soon_is_exhausting_with_its_time_left() -> None:
    # 20 a minute: 400 -> 1000 in 30 minutes after the newest reading of 1000 - 600.
    found = judge(GROWTH, points([400 - 10 * k for k in reversed(range(40))]))
    assert found.verdict is Verdict.EXHAUSTING
    assert found.seconds_to_exhaustion is not None
    assert found.seconds_to_exhaustion.low == pytest.approx(1800, rel=0.1)
    assert found.growth_per_hour is not None
    assert found.growth_per_hour.low == pytest.approx(1200, rel=0.05)


def test_slow_growth_is_leaking_which_only_reports() -> None:
    assert judge(GROWTH, points([400 - 2 * k for k in reversed(range(60))])).verdict is Verdict.LEAKING


@pytest.mark.parametrize(
    "values",
    [
        [300.0] * 60,
        [300 + 30 * (k % 10) for k in range(60)],  # a sawtooth
        [300.0] * 30 + [500.0] * 30,  # a step: a pool that grew
        [500 - 400 * 0.9**k for k in range(60)],  # a cache that fills and stays
        [600 - 5 * k for k in range(60)],  # falling
    ],
    ids=["flat", "sawtooth", "step", "plateau", "falling"],
)
def test_what_is_not_growth_is_healthy(values: list[float]) -> None:
    assert judge(GROWTH, points(values)).verdict is Verdict.HEALTHY


def test_a_young_process_with_growth_alone_is_unknown_and_says_what_is_missing() -> None:
    found = judge(GROWTH, points([100, 200, 300]))
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "WarmingUp")
    assert "3 of 10 readings" in found.message


@given(
    value=st.floats(0, 1e12),
    count=st.integers(0, 80),
    spec=st.sampled_from([DESCRIPTORS, GROWTH]),
    limit=st.none() | st.floats(1, 1e12),
)
def test_a_constant_series_never_grows(value: float, count: int, spec: dict[str, Any], limit: float | None) -> None:
    found = judge(spec, points([value] * count), limit)
    assert found.reason != "Growing"
    assert found.verdict is not Verdict.LEAKING


@given(values=st.lists(st.floats(0, 1e6), max_size=60), shift=st.integers(-(10**8), 10**8))
def test_a_verdict_does_not_depend_on_the_date(values: list[float], shift: int) -> None:
    signal = Signal.model_validate(GROWTH)
    here = judge_series(signal, points(values), 1e6, NOW, 120, "")
    there = judge_series(signal, points(values, until=NOW + shift), 1e6, NOW + shift, 120, "")
    assert here.verdict == there.verdict
