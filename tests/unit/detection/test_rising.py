"""The look that spares most windows their measurement leaves out none that would show anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from leakwarden.core.detection.rising import may_be_high, may_rise
from leakwarden.core.detection.trend import measure

WINDOWS = 200


def windows(seed: int, climb: float, noise: float, missing: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Floors and ceilings of windows that climb by `climb` of the limit, each by another share of it."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(-0.5, 1.5, (WINDOWS, 1))
    lo = 0.4 + climb * share * np.linspace(0, 1, 24) + noise * rng.normal(size=(WINDOWS, 24))
    lo = np.round(lo, 2) if seed % 2 else lo  # of counts, many floors are equal
    hi = lo + noise * rng.exponential(size=lo.shape)
    gone = rng.random(lo.shape) < missing
    lo[gone], hi[gone] = np.nan, np.nan
    return lo, hi


seeds = st.integers(0, 2**31)
climbs, noises, gaps = st.floats(0, 0.3), st.floats(0, 0.1), st.floats(0, 0.95)


@given(seeds, climbs, noises, gaps)
def test_a_window_whose_slope_is_clearly_above_zero_is_never_left_out(
    seed: int, climb: float, noise: float, missing: float
) -> None:
    lo, hi = windows(seed, climb, noise, missing)

    rises = measure(lo, hi, np.zeros(WINDOWS)).slope_low > 0

    assert not np.any(rises & ~may_rise(lo))


@given(seeds, climbs, noises, gaps, st.floats(0.2, 1.0))
def test_a_window_whose_ceiling_is_at_the_level_is_never_left_out(
    seed: int, climb: float, noise: float, missing: float, level: float
) -> None:
    lo, hi = windows(seed, climb, noise, missing)

    high = measure(lo, hi, np.zeros(WINDOWS)).level >= level

    assert not np.any(high & ~may_be_high(hi, level))


def test_windows_that_only_waver_are_nearly_all_left_out_and_those_that_climb_are_not() -> None:
    still, _ = windows(2, climb=0.0, noise=0.05, missing=0.0)
    climbing = 0.4 + np.linspace(0, 0.3, 24) * np.ones((WINDOWS, 1))

    assert np.count_nonzero(may_rise(still)) < 0.1 * WINDOWS
    assert may_rise(climbing).all()
    assert not may_be_high(climbing, 1.2).any()
