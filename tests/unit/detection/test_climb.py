"""Since when a straight climb has been going on."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.detection.climb import climbed_for
from leakwarden.core.model.readings import Floats


def broken(flat: int, rising: int) -> Floats:
    """`flat` buckets at one level, then `rising` more in which it rises to twice that level; the earlier ones
    missing."""
    level = np.concatenate([np.full(flat, 0.4), 0.4 + 0.4 * np.arange(1, rising + 1) / rising])
    return np.concatenate([np.full(24 - len(level), np.nan), level])[None, :]


def test_a_climb_is_as_long_as_its_line_whatever_was_before() -> None:
    assert climbed_for(broken(9, 15), least=11, straight=200.0)[0] in (15, 16)


def test_a_short_rise_after_a_quiet_time_is_no_long_climb() -> None:
    assert climbed_for(broken(16, 8), least=11, straight=20.0)[0] == 0


def test_a_fall_a_stand_and_a_step_are_no_climb() -> None:
    fall = np.linspace(0.9, 0.2, 24)
    stand = np.full(24, 0.7)
    step = np.where(np.arange(24) < 18, 0.3, 0.8)

    assert climbed_for(np.stack([fall, stand, step]), least=11, straight=20.0).tolist() == [0, 0, 0]


def test_of_a_climb_a_fifth_may_be_missing_but_not_more() -> None:
    climb = np.linspace(0.2, 0.9, 24)
    few, many = climb.copy(), climb.copy()
    few[[14, 17, 20]] = np.nan
    many[1::2] = np.nan

    buckets = climbed_for(np.stack([few, many]), least=11, straight=20.0)

    assert buckets.tolist() == [24, 0]


@given(
    values=st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=24, max_size=24),
    scale=st.sampled_from([0.25, 2.0, 1024.0]),
)
def test_neither_units_nor_anything_read_decides_more_than_how_long(values: list[float], scale: float) -> None:
    y = np.array([values])

    buckets = climbed_for(y, least=11, straight=20.0)
    again = climbed_for(y * scale, least=11, straight=20.0)

    assert buckets[0] == 0 or 11 <= buckets[0] <= 24
    assert again.tolist() == buckets.tolist()
