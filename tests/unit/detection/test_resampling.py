"""Readings of other metrics are found at the moments of a signal's readings, for series of any shape."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.detection.resampling import aligned, values_at
from leakwarden.core.model.readings import Points

MOMENTS = st.lists(st.integers(0, 9), unique=True).map(sorted)


@st.composite
def series(draw: st.DrawFn) -> tuple[list[Points], list[Points | None]]:
    """Signals with at least one moment each, and the readings of another metric for each of them: as often at the same
    moments as at others, or none at all."""
    signals, others = [], list[Points | None]()
    for number in range(draw(st.integers(1, 5))):
        t = draw(MOMENTS.filter(bool))
        signals.append(Points(np.array(t, float), np.zeros(len(t))))
        beside = draw(st.one_of(st.just(t), st.just(t), MOMENTS, st.none()))
        values = 100.0 * number + np.array(beside, float) if beside is not None else None
        others.append(Points(np.array(beside, float), values) if values is not None else None)
    return signals, others


@given(series())
def test_each_value_is_the_one_of_its_own_series_at_its_own_moment(
    drawn: tuple[list[Points], list[Points | None]],
) -> None:
    signals, others = drawn
    t = np.concatenate([one.t for one in signals])
    sizes = np.array([one.t.size for one in signals])
    found = np.split(aligned(others, t, sizes), np.cumsum(sizes)[:-1])
    for number, (signal, other, values) in enumerate(zip(signals, others, found, strict=True)):
        known = set() if other is None else set(other.t)
        for moment, value in zip(signal.t, values, strict=True):
            if moment in known:
                assert value == 100.0 * number + moment
            else:
                assert np.isnan(value)


def test_a_moment_between_two_readings_has_no_value() -> None:
    other = Points(np.array([0.0, 60.0]), np.array([1.0, 2.0]))
    assert np.array_equal(
        values_at(other, np.array([0.0, 30.0, 60.0, 90.0])), [1.0, np.nan, 2.0, np.nan], equal_nan=True
    )
