"""A leak of minutes that begins in the middle of a process's life."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakwarden.core.detection.detector import EXHAUSTING, LEAKING
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.surge import BEFORE, LEAST, surge
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.detection.trend import ResidualTrend
from leakwarden.core.detection.verdict import judge_windows
from leakwarden.core.model.readings import Floats
from tests.bench.tune import scaled
from tests.unit.detection.test_judge_windows import MINUTES, beside, climb, judged
from tests.unit.detection.test_verdict_properties import judged as replayed
from tests.unit.detection.test_verdict_properties import series


def minutes(rising: int, growth: float, *, flat: float = 0.3, wobble: float = 0.0) -> Floats:
    """(1, 24) floors: a quiet time at `flat`, then a straight rise by `growth` within so many minutes. On the line every
    second floor is `wobble` above it, and every other one below it."""
    level = np.full(24, flat)
    level[24 - rising :] = flat + growth * np.arange(rising) / (rising - 1)
    level[24 - rising :] += wobble * np.where(np.arange(rising) % 2, 1.0, -1.0)
    return level[None, :]


def ahead(lo: Floats, left: Floats | None = None, gates: Gates | None = None) -> float:
    """Infinite where there is no surge."""
    return float(surge(gates or Gates(), lo, lo + 0.01, lo if left is None else left).ahead[0])


def test_time_to_the_limit_is_that_of_the_line_and_not_of_the_window() -> None:
    lo = minutes(11, 0.5)

    found = surge(Gates(), lo, lo, lo)

    # A minute or two of the quiet time fit the line as well.
    assert 4.0 <= found.left[0] < 5.5, "0.2 to go, at 0.05 a minute"
    assert 0.36 < found.ahead[0] < 0.5, "ten minutes were seen"
    assert 0.03 < found.slope_low[0] < found.slope_high[0] < 0.055


def test_a_window_that_does_not_rise_holds_no_surge() -> None:
    assert ahead(minutes(12, 0.0)) == np.inf
    assert ahead(minutes(12, -0.25)) == np.inf


def test_the_first_minutes_of_a_process_are_no_surge() -> None:
    young, older = minutes(24, 0.6), minutes(24, 0.6)
    young[:, : 24 - LEAST - BEFORE + 1] = np.nan
    older[:, : 24 - 16] = np.nan

    assert ahead(young + 0.05) == np.inf
    assert ahead(older + 0.05, gates=scaled(Gates(), "surge_growth", 0.5)) < np.inf


def test_a_few_minutes_are_no_line() -> None:
    assert ahead(minutes(LEAST - 2, 0.6)) == np.inf
    assert ahead(minutes(LEAST + 1, 0.6)) < np.inf


def test_what_the_load_explains_is_no_surge() -> None:
    lo = minutes(12, 0.6)

    assert ahead(lo, minutes(12, 0.4)) < np.inf
    assert ahead(lo, minutes(12, 0.2)) == np.inf


def test_at_half_and_at_double_the_growth_is_decided_otherwise() -> None:
    large, small = minutes(12, 0.55), minutes(12, 0.3)

    assert ahead(large) < np.inf
    assert ahead(large, gates=scaled(Gates(), "surge_growth", 2.0)) == np.inf
    assert ahead(small) == np.inf
    assert ahead(small, gates=scaled(Gates(), "surge_growth", 0.5)) < np.inf


def test_at_half_and_at_double_the_straightness_is_decided_otherwise() -> None:
    straight, wavering = minutes(12, 0.55, wobble=0.03), minutes(12, 0.55, wobble=0.06)

    assert ahead(straight) < np.inf
    assert ahead(straight, gates=scaled(Gates(), "surge_straight", 2.0)) == np.inf
    assert ahead(wavering) == np.inf
    assert ahead(wavering, gates=scaled(Gates(), "surge_straight", 0.5)) < np.inf


def of_the_latest(share: float, gates: Gates | None = None, history: bool = True) -> tuple[bool, bool, bool]:
    """Whether a window that as a whole does not climb clearly has the shape of a leak, counts, and is sure, where its
    latest minutes have `share` as much time to the limit as they have climbed for."""
    window = climb(level=0.8, growth=0.3, clear=3.0, step=0.0, late=2.0)
    known = beside(window, ahead=share, history=history)
    found = judge_windows(gates or Gates(), MINUTES, window, ResidualTrend.of(window), known)
    return bool(found.leak[0]), bool(found.near[0]), bool(found.sure[0])


def test_the_nearer_its_limit_the_more_follows_from_it() -> None:
    assert of_the_latest(np.inf) == (False, False, False)
    assert of_the_latest(0.9) == (True, False, False)
    assert of_the_latest(0.30) == (True, True, False)
    assert of_the_latest(0.20) == (True, True, True)
    assert of_the_latest(0.20, history=False) == (True, True, False), "a first burst comes in the first day"


def test_at_half_and_at_double_the_reach_is_decided_otherwise() -> None:
    assert of_the_latest(0.30, scaled(Gates(), "surge_reach", 0.5))[1] is False
    assert of_the_latest(0.60)[1] is False
    assert of_the_latest(0.60, scaled(Gates(), "surge_reach", 2.0))[1] is True


def test_at_half_and_at_double_the_reach_to_act_on_is_decided_otherwise() -> None:
    assert of_the_latest(0.20, scaled(Gates(), "surge_sure", 0.5))[2] is False
    assert of_the_latest(0.30, scaled(Gates(), "surge_sure", 2.0))[2] is True


def test_minutes_in_which_pods_have_fallen_as_much_before_are_no_surge() -> None:
    window = climb(level=0.8, growth=0.3, clear=3.0, step=0.0, late=2.0)

    assert judged(MINUTES, window, ahead=0.2).near[0]
    assert not judged(MINUTES, window, ahead=0.2, wobble=0.3).near[0]
    assert not judged(MINUTES, window, ahead=0.2, known=0.9).near[0]


def leaks_for(life: int, quiet_hours: int) -> Series:
    """A level of 0.3 of its limit that after some hours reaches the limit within `life` minutes."""
    rng = np.random.default_rng(life)
    quiet = 300 + 5 * rng.normal(size=120 * quiet_hours)
    rises = np.append(quiet, np.linspace(300, 1000, 2 * life) + 5 * rng.normal(size=2 * life))
    return replace(series(np.round(np.minimum(rises, 1000))), rate=20 + rng.normal(size=len(rises)))


@pytest.mark.parametrize("life", [18, 24, 35])
def test_a_leak_of_minutes_in_the_middle_of_a_life_is_told_three_minutes_before_its_end(life: int) -> None:
    one = leaks_for(life, 2)

    told = next(c for c in replayed(one) if c.verdict >= LEAKING)

    assert one.t[-1] - told.time >= 180
    assert "straight for" in told.because, "the reason is that of the line"
    assert told.seconds_low <= 1.5 * (one.t[-1] - told.time)


def test_a_heap_that_climbs_so_may_only_wait_for_its_collection() -> None:
    counted = leaks_for(14, 2)
    heap = replace(counted, signal="heap", v=counted.v * 2.0**20, limit=1000 * 2.0**20)

    assert max(c.verdict for c in replayed(counted)) >= LEAKING
    assert max(c.verdict for c in replayed(heap)) < LEAKING


@pytest.mark.slow
def test_a_leak_of_minutes_of_a_workload_that_is_known_for_a_day_is_acted_on_before_its_end() -> None:
    one = leaks_for(20, 27)

    assert one.t[-1] - min(c.time for c in replayed(one) if c.verdict >= EXHAUSTING) >= 120


def test_a_burst_that_stops_at_two_thirds_of_its_limit_is_not_told() -> None:
    rng = np.random.default_rng(3)
    burst = np.concatenate([np.full(240, 250.0), np.linspace(250, 660, 24), np.full(60, 660.0), np.full(60, 250.0)])
    one = series(np.round(burst + 4 * rng.normal(size=len(burst))))

    assert max(c.verdict for c in replayed(one)) < LEAKING
