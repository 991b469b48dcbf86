"""The bench's 95 % intervals hold what is true in about 95 of 100 draws, clumped or not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench import intervals


@pytest.mark.parametrize("clump", [1, 4])
def test_the_interval_of_a_share_holds_the_truth_though_hits_come_in_clumps(clump: int) -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        hits = (rng.random(60) < 0.9) * float(clump)
        low, high = intervals.share(hits.tolist(), [float(clump)] * 60)
        inside += low <= 0.9 <= high
    assert 0.92 <= inside / 400 <= 0.985


@pytest.mark.parametrize("clump", [1, 5])
def test_the_interval_of_a_rate_holds_the_truth_though_alarms_come_in_clumps(clump: int) -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(400):
        events = rng.poisson(0.1, 120) * float(clump)
        low, high = intervals.rate(events.tolist(), 1000.0)
        inside += low <= 0.012 * clump <= high
    assert 0.92 <= inside / 400 <= 0.995


def test_without_an_event_the_rate_is_below_three_point_seven_events() -> None:
    assert intervals.rate([0.0] * 5, 1000.0) == pytest.approx((0.0, 0.00369), abs=1e-5)


def test_without_trials_there_is_no_interval() -> None:
    assert np.isnan(intervals.share([], [])).all()
    assert np.isnan(intervals.rate([], 0.0)).all()


def test_a_share_whose_clumps_all_agree_counts_each_clump_once() -> None:
    assert intervals.share([100.0], [100.0]) == pytest.approx((0.2065, 1.0), abs=1e-3)
