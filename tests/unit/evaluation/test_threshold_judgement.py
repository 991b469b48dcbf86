"""From readings to a verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.v1alpha1.policy import Signal
from leakwarden.core.detection.filled import Filled
from leakwarden.core.detection.growth import EXPLANATIONS, GrowthFinding
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.evaluation.threshold_judgement import judge_series
from leakwarden.core.model.judgement import Interval, Judgement, Verdict
from leakwarden.core.model.readings import Points
from leakwarden.core.signals.criteria import standard_of
from tests.builders import DESCRIPTORS, NOW, points

GROWTH = {"name": "descriptors", "type": "Descriptors", "growth": {"exhaustsWithin": "1h"}}


def judge(
    spec: dict[str, Any], readings: Points, limit: float | None = 1000.0, growth: GrowthFinding | None = None
) -> Judgement:
    signal = Signal.model_validate(spec)
    return judge_series(
        signal, standard_of(signal, "2m"), readings, limit=limit, growth=growth, now=NOW, unit="descriptors"
    )


def test_a_level_held_for_long_enough_is_exhausting() -> None:
    found = judge(DESCRIPTORS, points([900, 910, 920, 930]))
    assert found.verdict is Verdict.EXHAUSTING
    assert found.reason == "ThresholdHeld"
    assert found.message == "930 of 1000 descriptors, above 800 for 1m30s"


def test_a_reading_far_ahead_of_the_clock_says_nothing_of_now() -> None:
    found = judge(DESCRIPTORS, points([900, 910, 920, 930], until=NOW + 121))
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "Stale")
    assert found.message == "the newest reading is 2m1s ahead of the clock"
    assert judge(DESCRIPTORS, points([900, 910, 920, 930], until=NOW + 119)).verdict is Verdict.EXHAUSTING


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


SOON = GrowthFinding(Verdict.EXHAUSTING, "ExhaustsSoon", Interval(1100, 1300), Interval(1500, 1900))


def test_growth_is_told_with_its_rate_its_time_left_and_why() -> None:
    found = judge(GROWTH, points([400.0]), growth=SOON)
    assert found.verdict is Verdict.EXHAUSTING
    assert found.message == (
        "400 of 1000 descriptors, it climbs steadily and will soon reach its limit:"
        " 1.1e+03 to 1.3e+03 an hour, exhausted in 25m to 31m"
    )
    assert found.seconds_to_exhaustion == Interval(1500, 1900)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_of_threshold_and_growth_the_more_severe_speaks(verdict: Verdict) -> None:
    finding = GrowthFinding(verdict, "Steady")
    assert judge(DESCRIPTORS, points([900] * 5), growth=finding).verdict is Verdict.EXHAUSTING
    expected = Verdict.HEALTHY if verdict is Verdict.UNKNOWN else verdict
    assert judge(DESCRIPTORS, points([100] * 5), growth=finding).verdict is expected


def test_growth_that_is_switched_off_is_not_judged() -> None:
    spec = {**DESCRIPTORS, "growth": {"enabled": False}}
    assert judge(spec, points([400.0]), growth=SOON).verdict is Verdict.HEALTHY


def test_a_signal_of_which_nothing_is_asked_is_not_called_healthy() -> None:
    found = judge({**GROWTH, "growth": {"enabled": False}}, points([400.0]), growth=SOON)
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "NothingAsked")


MEMORY = {"name": "memory", "type": "WorkingSet", "role": "Leak"}


@pytest.mark.parametrize(
    ("resident", "verdict", "says"),
    [
        (300.0, Verdict.HEALTHY, "page cache"),
        (None, Verdict.SUSPECT, "RSS is not known"),
        (960.0, Verdict.EXHAUSTING, ""),
    ],
)
def test_a_full_working_set_is_exhausted_where_what_cannot_be_taken_back_is_full(
    resident: float | None, verdict: Verdict, says: str
) -> None:
    growth = GrowthFinding(Verdict.HEALTHY, "PageCache", resident=resident)
    found = judge(MEMORY, points([990.0] * 60), growth=growth)

    assert found.verdict is verdict
    assert says in found.message


def test_every_reason_of_the_detector_is_explained() -> None:
    assert set(EXPLANATIONS) == {reason.name for reason in VerdictReason}


def test_a_young_process_with_growth_alone_is_unknown_and_says_so() -> None:
    found = judge(GROWTH, points([100, 200, 300]), growth=GrowthFinding(Verdict.UNKNOWN, "TooFewReadings"))
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "TooFewReadings")
    assert "too young" in found.message


@given(values=st.lists(st.floats(0, 1e6), max_size=60), shift=st.integers(-(10**8), 10**8))
def test_a_verdict_does_not_depend_on_the_date(values: list[float], shift: int) -> None:
    signal = Signal.model_validate(DESCRIPTORS)
    standard = standard_of(signal, "2m")
    here = judge_series(signal, standard, points(values), limit=1e6, growth=None, now=NOW, unit="")
    there = judge_series(
        signal, standard, points(values, until=NOW + shift), limit=1e6, growth=None, now=NOW + shift, unit=""
    )
    assert here.verdict == there.verdict


def test_growth_towards_a_threshold_that_stands_for_a_limit_says_so() -> None:
    spec = {"name": "g", "type": "Goroutines", "threshold": {"above": "10k", "for": "5m"}}
    soon = GrowthFinding(Verdict.LEAKING, "SteadyGrowth", Interval(900, 1100), Interval(6000, 7000), 10_000.0)
    found = judge(spec, points([8000.0]), limit=None, growth=soon)
    assert found.verdict is Verdict.LEAKING
    assert found.limit == 10_000
    assert "it has no limit but the threshold of 10000" in found.message


def test_growth_without_a_limit_or_an_absolute_threshold_says_what_would_help() -> None:
    found = judge(GROWTH, points([8000.0]), limit=None, growth=GrowthFinding(Verdict.UNKNOWN, "NoLimit"))
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "NoLimit")
    assert "an absolute threshold.above would be one" in found.message


def test_a_threshold_in_percent_or_of_zero_is_no_limit() -> None:
    for above, bound in (("80%", None), ("0", None), ("500", 500.0)):
        spec = {"name": "g", "type": "Goroutines", "threshold": {"above": above}}
        assert standard_of(Signal.model_validate(spec), "2m").bound(None) == bound
        assert standard_of(Signal.model_validate(spec), "2m").bound(1000.0) == 1000.0


@pytest.mark.parametrize(("minutes", "verdict"), [(6, Verdict.EXHAUSTING), (3, Verdict.SUSPECT)])
@pytest.mark.parametrize(
    "growth",
    [GrowthFinding(Verdict.HEALTHY, "GrowthStopped"), GrowthFinding(Verdict.UNKNOWN, "TooFewReadings"), None],
)
def test_what_is_full_is_never_healthy_whatever_its_growth(
    minutes: int, verdict: Verdict, growth: GrowthFinding | None
) -> None:
    full = [10.0] * 20 + [960.0] * (2 * minutes + 1)
    found = judge(GROWTH, points(full), growth=growth)
    assert (found.verdict, found.reason) == (verdict, "Full")
    assert "960 of 1000" in found.message


@pytest.mark.parametrize(
    ("filled", "why"), [(Filled.BY_LOAD, "its load fills it"), (Filled.AS_BEFORE, "came back by itself")]
)
def test_what_its_load_fills_is_suspect_and_never_acted_on(filled: Filled, why: str) -> None:
    found = judge(GROWTH, points([960.0] * 30), growth=GrowthFinding(Verdict.HEALTHY, "FollowsLoad", filled=filled))

    assert (found.verdict, found.reason) == (Verdict.SUSPECT, "FilledByLoad")
    assert why in found.message


def test_what_is_nearly_full_is_judged_by_its_growth() -> None:
    assert (
        judge(GROWTH, points([949.0] * 30), growth=GrowthFinding(Verdict.HEALTHY, "Steady")).verdict is Verdict.HEALTHY
    )


def test_nothing_is_full_without_a_limit_or_where_growth_is_not_asked_for() -> None:
    steady = GrowthFinding(Verdict.HEALTHY, "Steady")
    assert judge(GROWTH, points([960.0] * 30), limit=None, growth=steady).verdict is not Verdict.EXHAUSTING
    only = {"name": "d", "type": "Descriptors", "threshold": {"above": "99%"}, "growth": {"enabled": False}}
    assert judge(only, points([960.0] * 30), growth=None).verdict is Verdict.HEALTHY
