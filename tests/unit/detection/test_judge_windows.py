"""Single gates of `judge_windows`, each on one window that passes all others: the questions about more than the
line."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from leakwarden.core.detection.questions import WindowContext
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.detection.trend import ResidualTrend, Trend
from leakwarden.core.detection.verdict import Passed, hidden_by_load, judge_windows, judge_without_load

MINUTES, HOURS = 0, 3  # places in WIDTHS: buckets of one minute, and of 27


def climb(*, level: float = 0.95, growth: float = 0.5, clear: float = 40.0, **other: float) -> Trend:
    """A steady climb by `growth` over 24 buckets, up to `level`, `clear` times its noise."""
    slope = growth / 23
    values = {
        "n": 24.0, "span": 23.0, "slope": slope, "slope_low": 0.95 * slope, "slope_high": 1.05 * slope,
        "slope_ceiling": slope, "noise": growth / clear, "start": level - growth, "floor": level, "level": level,
        "late": 1.0, "step": 1.0, "drawdown": 0.0, "behind": 0.0, "still": 0.0,
        "garbage": slope, "sawtooth_height": slope,
    } | other  # fmt: skip
    return Trend(**{name: np.array([value]) for name, value in values.items()})


def beside(trend: Trend, **known: Any) -> WindowContext:
    """A known load, and nothing else out of the ordinary."""
    values: dict[str, Any] = {
        "rated": True, "apart": False, "history": False, "daily": True, "memory": False, "collected": False,
        "backed": False, "lasting": False, "exhausted": False, "past": False, "far": 0.0, "life": 86_400.0, "actual": trend.level[0], "known": 0.0, "fall": 0.0,
        "wobble": 0.0, "quantum": 0.0001, "held": False, "ones": True, "waits": False, "ahead": np.inf,
    } | known  # fmt: skip
    return WindowContext(**{name: np.array([value]) for name, value in values.items()})


def judged(width: int, trend: Trend, explained: float = 0.0, **known: Any) -> Passed:
    """`explained`: the share of the slope that load or siblings explain."""
    left = 1 - explained
    adjusted = ResidualTrend(trend.slope * left, trend.slope_low * left, trend.late)
    return judge_windows(Gates(), width, trend, adjusted, beside(trend, **known))


def test_a_straight_climb_that_nothing_explains_passes_every_gate() -> None:
    for width in (MINUTES, HOURS):
        passed = judged(width, climb())

        assert passed.leak[0]
        assert passed.near[0]
        assert passed.sure[0]


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({}, False), ({"lasting": True}, True), ({"backed": True}, True), ({"memory": True}, True),
        ({"collected": True}, True),
    ],
)  # fmt: skip
def test_minutes_alone_tell_no_leak_where_a_pod_has_given_back_as_much_before(
    known: dict[str, bool], told: bool
) -> None:
    assert judged(MINUTES, climb(), wobble=0.1).near[0]
    assert judged(MINUTES, climb(), wobble=0.3, **known).near[0] == told


def test_a_small_pool_is_acted_on_by_hours_only() -> None:
    """A few slow queries fill it within the hour."""
    for width, acts in ((MINUTES, False), (1, False), (2, True), (HOURS, True)):
        passed = judged(width, climb(), quantum=1 / 50, held=True)

        assert passed.leak[0]
        assert passed.sure[0] == acts
        assert judged(width, climb(), quantum=1 / 500).sure[0]


def test_hours_tell_a_leak_whatever_a_pod_has_given_back_within_minutes() -> None:
    assert judged(HOURS, climb(), wobble=0.3).near[0]


def test_minutes_are_acted_upon_low_only_if_the_climb_lasts() -> None:
    low = climb(level=0.90)

    assert not judged(MINUTES, low).sure[0]
    assert judged(MINUTES, low, lasting=True).sure[0]
    assert judged(MINUTES, low, backed=True).sure[0]


def test_a_height_is_no_reason_to_act_where_the_workload_has_come_back_from_nearly_as_high() -> None:
    high = climb(level=0.99)

    assert judged(MINUTES, high, known=0.5, fall=0.1).sure[0]
    assert not judged(MINUTES, high, known=0.85, fall=0.1).sure[0]
    assert judged(MINUTES, high, known=0.85, fall=0.1, lasting=True).sure[0]


SHOWN_BY_ALL = {"rated": False, "apart": True, "explained": 0.9}


@pytest.mark.parametrize("history", [False, True])
def test_growth_in_all_pods_is_a_leak_if_it_is_a_clean_line_or_near_the_limit(history: bool) -> None:
    """A day of history does not change that: a day has mornings, too."""
    shown = {**SHOWN_BY_ALL, "history": history}

    assert not judged(HOURS, climb(level=0.935, clear=12), **shown).near[0]
    assert judged(HOURS, climb(level=0.935, clear=16), **shown).near[0]
    assert judged(HOURS, climb(level=0.950, clear=12), **shown).near[0]


def test_garbage_that_all_pods_show_is_acted_upon_near_the_limit_only() -> None:
    heap = {**SHOWN_BY_ALL, "collected": True}

    assert not judged(HOURS, climb(level=0.93), **heap).sure[0]
    assert judged(HOURS, climb(level=0.95), **heap).sure[0]
    assert judged(HOURS, climb(level=0.93), **{**heap, "collected": False}).sure[0]


def test_a_day_of_history_alone_is_acted_upon_over_hours_only_if_the_line_is_clean() -> None:
    alone = {"rated": False, "history": True}

    assert not judged(HOURS, climb(clear=12), **alone).sure[0]
    assert judged(HOURS, climb(clear=16), **alone).sure[0]
    assert judged(HOURS, climb(clear=12)).sure[0]


def shown(clean: Trend, *, still: float = 0.0, moved: float = 0.5, unsure: float = 0.0, **known: Any) -> bool:
    """Whether a leak shows in the unexplained growth of a window in which the load explains a fall by `moved`."""
    part = np.linspace(moved, 0.0, 24)[None, :]
    held_still, error = np.array([still]), np.array([unsure])
    _, which = judge_without_load(
        Gates(), HOURS, clean, still=held_still, part=part, unsure=error, beside=beside(clean, **known)
    )
    return bool(which[0])


def test_what_the_load_leaves_shows_a_leak_that_the_load_hides() -> None:
    assert shown(climb())
    assert shown(climb(), wobble=0.9)  # the load's own falls


def test_it_shows_none_where_the_load_has_hardly_changed() -> None:
    assert not shown(climb(growth=0.5), moved=0.05)


def test_it_shows_none_where_the_slope_is_unsure_by_itself_or_for_the_load() -> None:
    slope = 0.5 / 23

    assert not shown(climb(slope_low=0.4 * slope))
    assert not shown(climb(), unsure=0.3 * slope)


def test_a_high_water_mark_that_stood_still_is_none_without_its_load_either() -> None:
    assert not shown(climb(), still=0.4)


@pytest.mark.parametrize(
    ("width", "level", "known", "hidden"),
    [
        (HOURS, 0.90, {}, True), (MINUTES, 0.90, {}, False), (HOURS, 0.60, {}, False), (HOURS, 0.90, {"rated": False}, False),
        (HOURS, 0.90, {"memory": True}, False), (HOURS, 0.90, {"collected": True}, False),
    ],
)  # fmt: skip
def test_a_load_may_hide_what_stands_high_over_hours_and_is_no_memory(
    width: int, level: float, known: dict[str, bool], hidden: bool
) -> None:
    quiet = climb(level=level, slope_low=-1.0)
    passed = judged(width, quiet, **known)

    assert hidden_by_load(Gates(), width, quiet, passed, beside(quiet, **known))[0] == hidden


def test_what_is_told_already_is_not_hidden() -> None:
    assert not hidden_by_load(Gates(), HOURS, climb(), judged(HOURS, climb()), beside(climb()))[0]


def test_windows_adopt_what_others_say_of_some_of_them_and_nothing_else() -> None:
    leaks, does_not = judged(HOURS, climb()), judged(HOURS, climb(slope_low=-1.0))
    passed = Passed(*(np.repeat(getattr(leaks, of.name), 3) for of in fields(Passed)))
    other = Passed(*(np.repeat(getattr(does_not, of.name), 2) for of in fields(Passed)))

    passed.adopt(other, np.array([0, 2]), np.array([False, True]))

    assert passed.leak.tolist() == [True, True, False]
    assert passed.slope_low.tolist() == [leaks.slope_low[0], leaks.slope_low[0], -1.0]
