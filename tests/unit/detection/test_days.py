"""Growth from day to day is found, whatever happens in nights and mornings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.core.detection.detector import EXHAUSTING, LEAKING, VERDICTS
from leakwarden.core.detection.load import explain_by_load
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.replay import Change, replay
from leakwarden.core.signals.criteria import Standard
from tests.unit.detection.test_verdict_properties import BEGIN, series

pytestmark = pytest.mark.slow

STEP = 1200.0  # s; days need no minutes
HOURS = np.arange(0, 24 * 21, STEP / 3600)
MORNINGS = 0.5 - 0.5 * np.cos(2 * np.pi * HOURS / 24)


def judged(level: np.ndarray, limit: float = 1000.0) -> list[Change]:
    one: Series = series(np.round(np.minimum(level, limit)), STEP, limit)
    return replay([one], Standard(), STEP)


def told(changes: list[Change]) -> float:
    """Days until it is Leaking; infinite where it never is."""
    return min(((c.time - BEGIN) / 86_400 for c in changes if c.verdict >= LEAKING), default=np.inf)


@pytest.mark.parametrize(
    "leaked",
    [
        np.floor(HOURS / 24) * 40,  # a step each night that never comes back
        HOURS / 24 * 40,  # 4 % a day
        HOURS / 24 * 40 + 100 * (1 - np.mod(HOURS / 24, 1.0)),  # drained in part each night
    ],
    ids=["by night", "4 % a day", "drained in part"],
)
def test_what_grows_by_the_day_is_told_days_before_the_limit(leaked: np.ndarray) -> None:
    level = 150 + leaked + 60 * MORNINGS
    full = HOURS[np.flatnonzero(level >= 1000)[0]] / 24 if (level >= 1000).any() else 21.0

    assert told(judged(level)) < full - 1


def test_days_that_are_alike_are_no_leak() -> None:
    rng = np.random.default_rng(1)
    assert told(judged(150 + 600 * MORNINGS + 20 * rng.normal(size=len(HOURS)))) == np.inf


def test_a_pool_that_stays_full_is_exhausting_and_stays_so() -> None:
    """A connection is lost each sixteen hours; when the pool is full, growth ends."""
    rng = np.random.default_rng(2)
    changes = judged(np.floor(HOURS / 16) + rng.poisson(1.0, len(HOURS)), limit=20.0)
    acted = [c for c in changes if c.verdict == EXHAUSTING]

    assert acted
    assert changes[-1].verdict == EXHAUSTING or changes[-1].reason == "Stale"
    last = [c for c in changes if c.reason != "Stale"][-1]
    assert last.verdict == EXHAUSTING


def test_a_level_that_follows_the_load_with_a_lag_is_explained_though_the_rate_stands_still() -> None:
    """Keep-alive connections go on climbing for hours after the rate has stepped up."""
    slots = np.arange(24.0)
    load = np.where(slots < 4, 100.0, 250.0)[None, :]
    level = 0.2 + 0.3 * (1 - np.exp(-np.maximum(slots - 4, 0) / 6))[None, :]
    level = level + 0.002 * np.random.default_rng(1).normal(size=(1, 24))

    left = level - explain_by_load(level, load, np.zeros(1)).part

    assert left[0, -1] - left[0, 4] < 0.3 * (level[0, -1] - level[0, 4])


def test_a_leak_at_a_steady_rate_is_not_explained_by_any_lag() -> None:
    rng = np.random.default_rng(4)
    load = 100 * (1 + 0.02 * rng.normal(size=(1, 24)))
    level = np.linspace(0.2, 0.6, 24)[None, :]

    left = level - explain_by_load(level, load, np.zeros(1)).part

    assert left[0, -1] - left[0, 0] > 0.35


def test_a_small_pool_that_gives_back_two_connections_has_not_come_back() -> None:
    rng = np.random.default_rng(5)
    hours = np.arange(0, 20, 1 / 30)
    busy = np.floor(hours * 0.9) + np.where(rng.random(len(hours)) < 0.1, 2, 0)
    pool = replace(series(np.minimum(busy, 20), 120.0, 20.0, "DBPool"), rate=45 + rng.normal(size=len(hours)))
    changes = replay([pool], Standard(), 120.0)

    assert min(((c.time - BEGIN) / 3600 for c in changes if c.verdict >= LEAKING), default=np.inf) < 20


@pytest.mark.parametrize("per", ["day", "week"])
def test_a_pool_that_fills_by_a_connection_a_day_is_exhausting_from_when_it_is_full_to_the_end(per: str) -> None:
    """Of 30 connections one is lost each day, or each week: too slow for the detector to find growth within a week."""
    days = {"day": 1, "week": 7}[per]
    first = 27 if per == "day" else 29  # of the last days of filling
    changes = judged(np.floor(HOURS / 24 / days) + first, limit=30.0)
    full = BEGIN + next(h for h in HOURS if np.floor(h / 24 / days) + first > 0.95 * 30) * 3600
    after = [c.verdict for c in changes if c.time <= full + 2 * STEP][-1:]
    after += [c.verdict for c in changes if c.time > full + 2 * STEP and c.reason != "Stale"]

    assert set(after) == {EXHAUSTING}


def test_what_came_to_its_limit_in_a_step_is_full_as_the_operator_says_and_only_while_it_is() -> None:
    level = np.where((HOURS > 100) & (HOURS < 300), 1000.0, 300.0)
    changes = [(round((c.time - BEGIN) / 3600), VERDICTS[c.verdict], c.reason) for c in judged(level)]
    exhausting = [(hour, why) for hour, verdict, why in changes if verdict == "Exhausting"]

    assert exhausting == [(101, "Full")]
    assert next(verdict for hour, verdict, _ in changes if hour > 101) != "Exhausting"


def test_what_is_just_below_its_limit_is_not_full() -> None:
    assert all(c.reason != "Full" for c in judged(np.full(HOURS.size, 949.0)))
