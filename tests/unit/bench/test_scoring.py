"""What the bench counts as caught, as late and as a false alarm."""

from __future__ import annotations

import numpy as np
import pytest

from leakwarden.core.detection.detector import EXHAUSTING, HEALTHY, LEAKING, SUSPECT
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.replay import Change
from tests.bench.__main__ import seeds
from tests.bench.replaying import at_the_limit, episodes
from tests.bench.report import at_their_best, table
from tests.bench.scoring import Score, Scores
from tests.bench.shapes import DAY, Labelled

BEGIN = 1_700_000_000.0


def life(minutes: float, *, leaky: bool, onset: float = 0.0) -> Labelled:
    """A process that is watched for `minutes`; a leaky one begins to leak after `onset` of them and is exhausted at the
    end."""
    t = BEGIN + np.arange(0, minutes * 60 + 1, 30.0)
    s = Series(
        "descriptors",
        "seed-1",
        "cart",
        pod="cart-1",
        uid="uid-1",
        start=BEGIN,
        limit=100.0,
        t=t,
        v=np.full(len(t), 50.0),
        rate=None,
        gc=None,
    )
    if not leaky:
        return Labelled("flat", False, s)
    return Labelled("quick", True, s, BEGIN + onset * 60, float(t[-1]))


@pytest.mark.parametrize(("minutes", "spare"), [(46, 5), (44, 3), (25, 3)])
def test_a_leak_is_caught_with_minutes_to_spare_by_its_life(minutes: int, spare: int) -> None:
    caught, late = Score(), Score()
    caught.add(life(minutes, leaky=True), [BEGIN + 60 * (minutes - spare)])
    late.add(life(minutes, leaky=True), [BEGIN + 60 * (minutes - spare) + 1])

    assert caught.caught + caught.fast_caught == 1
    assert late.caught + late.fast_caught == 0
    assert late.leaks + late.fast == 1


def test_an_alarm_before_the_leak_began_has_not_caught_it() -> None:
    score = Score()
    score.add(life(120, leaky=True, onset=60), [BEGIN + 1800])

    assert (score.leaks, score.caught) == (1, 0)
    assert score.missed == ["seed-1/cart-1 (life 1.0 h, lead -inf min)"]


def test_each_episode_on_a_healthy_pod_is_a_false_alarm_a_pod_day() -> None:
    score = Score()
    score.add(life(1440, leaky=False), [BEGIN + 3600, BEGIN + 7200])

    assert score.false_alarms == 2
    assert score.healthy_days == pytest.approx(1.0, abs=60 / DAY)


def test_draws_are_added_up_and_a_rule_is_shown_as_armed_and_at_its_best() -> None:
    scores = Scores()
    traces = [life(120, leaky=True), life(1440, leaky=False)]
    in_time, healthy = BEGIN + 3600, BEGIN + 60
    for _ in range(2):
        scores.add(
            traces,
            {
                "ours": {0: [in_time]},
                "level: 80 %": {0: [in_time], 1: [healthy] * 9},
                "level: 90 %": {0: [in_time], 1: [healthy] * 4},
                "level: 99 %": {},
            },
        )

    assert scores.overall["ours"].caught == 2
    assert scores.by_family["level: 90 %"]["flat"].false_alarms == 8
    assert "level: 80 %" in table(scores.overall)
    assert "level: 90 %" not in table(scores.overall)
    assert "| level | 4.00 (90 %) | 0.000 (99 %) |" in at_their_best(scores.overall, "ours")


def test_seeds_are_one_or_a_range_with_both_its_ends() -> None:
    assert list(seeds("7")) == [7]
    assert list(seeds("7-9")) == [7, 8, 9]
    for wrong in ("9-7", "", "a", "1-"):
        with pytest.raises(ValueError, match=r"9-7|invalid literal"):
            seeds(wrong)


def change(time: float, verdict: int, reason: str) -> Change:
    return Change(time, 0, verdict, reason, np.inf, np.inf)


def test_being_full_neither_begins_nor_ends_an_episode_of_growth_and_is_counted_apart() -> None:
    by_load = [change(1, HEALTHY, "Steady"), change(2, EXHAUSTING, "Full"), change(3, HEALTHY, "Steady")]
    assert episodes(by_load, LEAKING) == {}
    assert at_the_limit(by_load) == {0: [2]}

    leak = [change(1, LEAKING, "SteadyGrowth"), change(2, EXHAUSTING, "Full"), change(3, LEAKING, "SteadyGrowth")]
    assert episodes(leak, LEAKING) == {0: [1]}
    assert at_the_limit([*by_load, change(4, SUSPECT, "Full"), change(5, EXHAUSTING, "Full")]) == {0: [2, 5]}
