"""Each threshold decides something: of two windows on its two sides, one answer changes where the threshold is doubled,
and the other where it is halved. Only the question that has the threshold is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from leakwarden.core.detection.questions import WindowQuestions
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.detection.trend import ResidualTrend
from tests.bench.tune import scaled
from tests.unit.detection.test_judge_windows import HOURS, MINUTES, beside, climb

SLOPE = 0.5 / 23  # of a climb by half of the limit
DAYS = 5  # the place of the width whose window is four days


class Side(NamedTuple):
    """A window: its line, the other known facts, and the share of its slope that load explains."""

    line: Mapping[str, float] = {}
    known: Mapping[str, Any] = {}
    explained: float = 0.0


class Case(NamedTuple):
    threshold: str
    question: str
    yes: Side
    no: Side
    at_least: bool = True  # whether the answer is yes above the threshold, not below
    width: int = HOURS


def line(**values: float) -> Side:
    return Side(values)


def known(**values: Any) -> Side:
    return Side({}, values)


BENT = {"drawdown": 0.2}  # not a straight line, which would count from farther away
ALONE = {"rated": False, "history": True}
SHARED = {"rated": False, "apart": True}
PAST = {"past": True}  # judged by a multiple of its usual level
CASES = [
    Case("level_past", "is_high", Side({"level": 0.7, **BENT}, PAST), Side({"level": 0.5, **BENT}, PAST)),
    Case("days_readings", "is_day_over_day", Side({"n": 20.0}, PAST), Side({"n": 12.0}, PAST), width=DAYS),
    Case("days_quarter", "is_day_over_day", Side({"step": 0.5}, PAST), Side({"step": 0.2}, PAST), width=DAYS),
    Case(
        "days_growth", "is_day_over_day", Side({"growth": 0.3, "level": 0.62}, PAST),
        Side({"growth": 0.2, "level": 0.62}, PAST), width=DAYS,
    ),
    Case(
        "days_level", "is_day_over_day", Side({"level": 0.7}, PAST), Side({"level": 0.4, "growth": 0.35}, PAST), width=DAYS
    ),
    Case(
        "job_longest", "is_apart_for_hours", Side({"span": 8.0, "clear": 200}, SHARED),
        Side({"span": 5.0, "clear": 200}, SHARED),
    ),
    Case("clear_of_noise", "is_clear", line(clear=10), line(clear=5)),
    Case("clear_of_noise_little", "is_clear", line(growth=0.08, clear=20), line(growth=0.08, clear=12)),
    Case("little", "is_clear", line(growth=0.15, clear=10), line(growth=0.08, clear=10)),
    Case("clear_quanta", "is_clear", known(quantum=0.15), known(quantum=0.25)),
    Case("beyond_wobble", "is_clear", known(wobble=0.5), known(wobble=0.8)),
    Case("readings", "is_clear", line(n=10.0), line(n=5.0)),
    Case("gives_back", "is_steady", line(drawdown=0.2), line(drawdown=0.4), at_least=False),
    Case("stands_still", "is_steady", line(still=0.07), line(still=0.15), at_least=False),
    Case("coarse", "is_steady", Side({"still": 0.5}, {"quantum": 0.006}), Side({"still": 0.5}, {"quantum": 0.003})),
    Case(
        "least_quarter", "is_steady", line(step=0.2, slope_low=0.2 * SLOPE), line(step=0.1, slope_low=0.2 * SLOPE)
    ),
    Case("narrow", "is_steady", line(step=0.0, slope_low=0.8 * SLOPE), line(step=0.0, slope_low=0.4 * SLOPE)),
    Case("not_slowing", "goes_on", line(late=0.8), line(late=0.4)),
    Case("left_behind", "goes_on", line(behind=0.07), line(behind=0.15), at_least=False),
    Case("left_half", "is_unexplained", Side(explained=0.3), Side(explained=0.6)),
    Case(
        "left_sure", "is_unexplained", Side({"slope_low": 0.4 * SLOPE}, {}, 0.3), Side({"slope_low": 0.2 * SLOPE}, {}, 0.3)
    ),
    Case(
        "reach", "is_within_reach", line(level=0.7, **BENT), line(level=0.3, growth=0.4, **BENT), at_least=False
    ),
    Case("level", "is_high", line(level=0.9, **BENT), line(level=0.6, **BENT)),
    Case("early_level", "is_high", line(level=0.8), line(level=0.6)),
    Case("early_days", "is_high", line(level=0.6, growth=0.3), line(level=0.4, growth=0.35), width=DAYS),
    Case(
        "early_begun", "is_days_long", known(life=40.25 * 14_580), known(life=42.0 * 14_580), width=DAYS
    ),
    Case("early_drawdown", "is_straight_line", line(drawdown=0.08), line(drawdown=0.18), at_least=False),
    Case("early_quarter", "is_straight_line", line(step=0.7), line(step=0.4)),
    Case("early_clear", "is_straight_line", line(clear=18), line(clear=10)),
    Case("early_narrow", "is_straight_line", line(slope_low=0.9 * SLOPE), line(slope_low=0.6 * SLOPE)),
    Case("early_readings", "is_straight_line", line(n=12.0), line(n=8.0)),
    Case(
        "beyond_fall", "is_novel", Side({"level": 0.79}, {"known": 0.5, "fall": 0.5}),
        Side({"level": 0.65}, {"known": 0.5, "fall": 0.5}), at_least=True,
    ),
    Case(
        "beyond_rest", "is_novel", Side({"level": 0.9}, {"known": 0.5, "fall": 2.0}),
        Side({"level": 0.75}, {"known": 0.5, "fall": 2.0}),
    ),
    Case("gave_back", "has_not_given_back", known(wobble=0.15), known(wobble=0.3), at_least=False, width=MINUTES),
    Case(
        "coarse_readings", "has_enough_values", Side({"n": 16.0}, {"quantum": 0.05}, 0.9),
        Side({"n": 8.0}, {"quantum": 0.05}, 0.9),
    ),
    Case(
        "coarse_unexplained", "has_enough_values", Side({"n": 8.0}, {"quantum": 0.05}, 0.2),
        Side({"n": 8.0}, {"quantum": 0.05}, 0.5),
    ),
    Case("shared_clear", "is_its_own", Side({"clear": 20, "level": 0.9}, SHARED, 0.9),
         Side({"clear": 10, "level": 0.9}, SHARED, 0.9)),
    Case("shared_level", "is_its_own", Side({"clear": 10, "level": 0.97}, SHARED, 0.9),
         Side({"clear": 10, "level": 0.6}, SHARED, 0.9)),
    Case("sure_growth", "is_sure", line(growth=0.12, level=0.9), line(growth=0.06, level=0.9)),
    Case(
        "sure_unexplained", "is_sure", Side({"level": 0.9}, {}, 0.45),
        Side({"level": 0.9, "slope_low": 0.4 * SLOPE}, {}, 0.45),
    ),
    Case("sure_line", "is_sure", line(clear=15, level=0.9), line(clear=8, level=0.9)),
    Case("sure_clear", "is_sure", Side({"clear": 16}, ALONE), Side({"clear": 12}, ALONE)),
    Case("suspect_level", "is_suspect", line(level=0.5, growth=0.3), line(level=0.3, growth=0.25)),
    Case("suspect_reach", "is_suspect", line(level=0.5, growth=0.2), line(level=0.5, growth=0.1), at_least=False),
]  # fmt: skip


def answer(case: Case, side: Side, gates: Gates) -> bool:
    trend = climb(**side.line)
    left = ResidualTrend(trend.slope * (1 - side.explained), trend.slope_low * (1 - side.explained), trend.late)
    asked = WindowQuestions(gates, case.width, trend, left, beside(trend, **side.known))
    return bool(np.asarray(getattr(asked, case.question))[0])


@pytest.mark.parametrize("case", CASES, ids=[case.threshold for case in CASES])
def test_a_threshold_at_half_and_at_double_changes_an_answer(case: Case) -> None:
    gates = Gates()
    stricter, looser = (2.0, 0.5) if case.at_least else (0.5, 2.0)

    assert answer(case, case.yes, gates)
    assert not answer(case, case.no, gates)
    assert not answer(case, case.yes, scaled(gates, case.threshold, stricter)), "it is held apart no more"
    assert answer(case, case.no, scaled(gates, case.threshold, looser)), "nor is the other side"


def test_a_multiple_of_the_past_is_no_limit_near_which_a_load_explains_less() -> None:
    """Close to a real limit half an explanation is no veto; close to a multiple of the past, where nothing fails, it
    stays a veto."""
    high = Side({"level": 0.99}, {}, 0.6)
    case = Case("left_near", "follows_load", high, high)

    assert not answer(case, high, Gates())
    assert answer(case, replace_known(high, past=True), Gates())


def test_a_straight_line_of_days_counts_from_farther_away_than_one_of_hours() -> None:
    half = line(level=0.6, growth=0.22)
    of_hours, of_days = Case("early_days", "is_high", half, half), Case("early_days", "is_high", half, half, width=DAYS)

    assert not answer(of_hours, half, Gates())
    assert answer(of_days, half, Gates())
    assert answer(of_days, replace_known(half, collected=True), Gates()), "live memory"
    assert not answer(of_days, replace_known(half, memory=True), Gates()), "memory of unknown use"
    assert answer(of_days, replace_known(half, past=True), Gates()), "almost twice as much as ever before"
    assert not answer(of_days, replace_known(half, life=60 * 4 * 3600.0), Gates()), "it was empty at first"
    assert not answer(of_days, replace_known(half, rated=False, daily=False), Gates()), "it may be a week's traffic"


def replace_known(side: Side, **values: Any) -> Side:
    return side._replace(known={**side.known, **values})


def test_gates_are_values_that_a_search_can_change_one_by_one() -> None:
    assert replace(Gates(), reach=2.0) != Gates()
