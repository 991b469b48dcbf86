"""A database pool's diagnosis: leaked connections are separated from load, slowness and absence of data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwarden.core.model.readings import Points
from leakwarden.core.profile.pool import Pool, PoolState, diagnose

STEPS = np.arange(60, dtype=np.float64)


def points(values: Any) -> Points:
    v = np.asarray(values, dtype=np.float64)
    return Points(np.arange(v.size, dtype=np.float64) * 60, v)


def noisy(base: Any, seed: int = 1, by: float = 1.0) -> Points:
    return points(base + np.random.default_rng(seed).poisson(by, base.size))


FLAT_RATE = noisy(np.full(60, 100.0), seed=2, by=5)


def test_growth_at_a_flat_rate_is_rows_or_transactions_not_closed() -> None:
    found = diagnose(Pool(noisy(5 + STEPS * 0.8), FLAT_RATE, limit=100))
    assert found.state is PoolState.NOT_CLOSED
    assert "rows or transactions are not closed" in found.message
    assert "of 100 connections" in found.message
    assert found.growth_per_hour == pytest.approx(48, rel=0.15)


def test_calls_that_wait_are_counted_and_a_restart_of_the_counter_is_not() -> None:
    waits = points([0.0, 5.0, 9.0, 2.0, 4.0])
    assert "; 11 calls had to wait" in diagnose(Pool(noisy(STEPS), FLAT_RATE, 100, waits)).message


def test_growth_with_the_rate_of_queries_is_load() -> None:
    found = diagnose(Pool(noisy(5 + STEPS * 0.8), points(50 + STEPS * 4), limit=100))
    assert found.state is PoolState.BUSY
    assert "not closed" not in found.message


def test_without_the_rate_of_queries_nothing_is_claimed() -> None:
    assert diagnose(Pool(noisy(5 + STEPS * 0.8), None, limit=100)).state is PoolState.UNKNOWN


def test_slower_calls_that_level_off_are_no_leak() -> None:
    base = 10 + 20 * (1 - np.exp(-STEPS / 6))
    assert diagnose(Pool(noisy(base), FLAT_RATE, limit=100)).state is PoolState.STEADY


def test_a_pool_that_filled_up_within_the_window_is_judged_by_how_it_filled() -> None:
    found = diagnose(Pool(points(np.minimum(STEPS * 2, 50)), FLAT_RATE, limit=50))
    assert found.state is PoolState.NOT_CLOSED


def test_a_pool_that_was_full_from_the_start_is_not_judged() -> None:
    assert diagnose(Pool(points(np.full(60, 50.0)), FLAT_RATE, limit=50)).state is PoolState.UNKNOWN


def test_too_few_readings_are_not_judged() -> None:
    assert diagnose(Pool(points(STEPS[:8]), FLAT_RATE, limit=50)).state is PoolState.UNKNOWN


def test_one_connection_more_is_not_worth_a_word() -> None:
    assert diagnose(Pool(points(5 + STEPS / 60), FLAT_RATE, limit=100)).state is PoolState.STEADY


@settings(deadline=None, max_examples=80)
@given(seed=st.integers(0, 10_000), level=st.floats(1, 40), wave=st.floats(0, 5))
def test_a_steady_pool_is_never_called_leaking(seed: int, level: float, wave: float) -> None:
    base = level + wave * np.sin(STEPS / 3)
    assert diagnose(Pool(noisy(base, seed, by=level), FLAT_RATE, limit=100)).state is not PoolState.NOT_CLOSED
