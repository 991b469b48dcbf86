"""The load that one pod carries, from the curve of load against latency."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.capacity.curve import (
    KNEE_DEPTH,
    LEAST_READINGS,
    MOST_ERRORS,
    Measured,
    Point,
    knee,
    memory_line,
    memory_per_million,
    points,
    sustained,
)

MIB = 2.0**20


def queue(capacity: float, base: float = 0.01) -> list[Point]:
    """P99 of a server whose latency grows as 1 / (1 - load/capacity), up to 96 % of it."""
    return [Point(q, base / (1 - q / capacity), None, 0.0, 1) for q in np.linspace(0.04, 0.96, 12) * capacity]


def test_the_knee_is_where_latency_begins_to_rise_steeply() -> None:
    found = knee(queue(100.0))
    assert found is not None
    assert 60 <= found <= 92


def test_a_flat_and_a_steadily_rising_curve_have_no_knee() -> None:
    flat = [Point(q, 0.02 + 0.001 * (q % 3), None, 0.0, 1) for q in range(10, 110, 10)]
    straight = [Point(q, 0.001 * q, None, 0.0, 1) for q in range(10, 110, 10)]
    assert knee(flat) is None
    assert knee(straight) is None
    assert knee(queue(100.0)[-3:]) is None  # three points do not show a bend


def test_a_bend_that_is_too_shallow_is_no_knee() -> None:
    def bent(depth: float) -> list[Point]:
        return [
            Point(q, p, None, 0.0, 1) for q, p in ((0, 0.01), (50, 0.01 + 0.9 * (0.5 - depth)), (75, 0.9), (100, 0.91))
        ]

    assert knee(bent(KNEE_DEPTH + 0.1)) == 50
    assert knee(bent(KNEE_DEPTH - 0.1)) is None


def test_a_pod_carries_the_highest_load_within_the_objective() -> None:
    curve = [Point(q, p, None, 0.0, 1) for q, p in ((10, 0.05), (20, 0.06), (40, 0.15), (80, 0.4))]
    assert sustained(curve, 0.2) is not None
    found = sustained(curve, 0.2)
    assert found is not None
    assert (found.qps, found.bounded) == (40, True)
    assert sustained(curve, 0.04) is None


def test_where_nothing_fails_it_is_at_least_the_highest_load() -> None:
    found = sustained([Point(q, 0.05, None, 0.0, 1) for q in (10, 20, 40)], 0.2)
    assert found is not None
    assert (found.qps, found.bounded) == (40, False)


def test_a_load_that_was_carried_beyond_one_that_was_not_does_not_count() -> None:
    curve = [Point(q, p, None, 0.0, 1) for q, p in ((10, 0.05), (20, 0.3), (40, 0.05))]
    found = sustained(curve, 0.2)
    assert found is not None
    assert (found.qps, found.bounded) == (10, True)


def test_quick_failures_carry_nothing() -> None:
    def curve(errors: float) -> list[Point]:
        return [Point(10, 0.05, None, 0.0, 1), Point(20, 0.001, None, errors, 1)]

    good, bad = sustained(curve(MOST_ERRORS), 0.2), sustained(curve(MOST_ERRORS * 1.01), 0.2)
    assert good is not None
    assert bad is not None
    assert (good.qps, bad.qps) == (20, 10)


def test_without_a_latency_nothing_is_known() -> None:
    assert sustained([Point(10, None, MIB, None, 1)], 0.2) is None
    assert points([Measured(0.0, 0.1), Measured(float("nan"), 0.1)]) == []


def test_many_measurements_are_grouped_and_outliers_do_not_count() -> None:
    measured = [Measured(float(q), 0.01 if q % 10 else 5.0) for q in range(1, 241)]
    found = points(measured)
    assert len(found) == 12
    assert [point.measurements for point in found] == [20] * 12
    assert all(point.p99 == 0.01 for point in found)


@given(st.lists(st.floats(0.1, 1e4), min_size=2, max_size=60))
def test_points_ascend_and_lose_no_measurement(loads: list[float]) -> None:
    found = points([Measured(q) for q in loads])
    assert [p.qps for p in found] == sorted(p.qps for p in found)
    assert sum(p.measurements for p in found) == len(loads)


def test_the_memory_line_is_not_turned_by_one_outlier() -> None:
    curve = [Point(float(q), None, (20 + 0.5 * q) * MIB, None, 1) for q in range(10, 110, 10)]
    curve[4] = Point(50.0, None, 900 * MIB, None, 1)
    line = memory_line(curve)
    assert line is not None
    assert line.per_qps == pytest.approx(0.5 * MIB, rel=0.05)
    assert line.at(200) == pytest.approx(120 * MIB, rel=0.05)


def test_memory_that_grows_with_each_request_is_told_and_a_warm_up_is_not() -> None:
    requests = (np.arange(120) * 100.0).astype(np.float64)
    leak = (50 * MIB + 1024 * requests).astype(np.float64)
    warm = (50 * MIB + 20 * MIB * np.minimum(np.arange(120) / 40, 1.0)).astype(np.float64)
    assert memory_per_million([(requests, leak)]) == pytest.approx(1024e6)
    assert memory_per_million([(requests, warm)]) == 0.0


def test_too_few_readings_say_nothing_of_growth() -> None:
    requests = (np.arange(LEAST_READINGS) * 100.0).astype(np.float64)
    assert memory_per_million([(requests, requests)]) is not None
    assert memory_per_million([(requests[1:], requests[1:])]) is None
    assert memory_per_million([]) is None
