"""A climb goes on between any two moments; a staircase does not."""

from __future__ import annotations

import numpy as np
import pytest

from leakwarden.core.detection.staircase import staircase

TIME = np.linspace(0, 1, 24)


def noise(share: float, rows: int = 50) -> np.ndarray:
    return share * np.random.default_rng(3).normal(size=(rows, 24))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.1])
def test_a_climb_is_never_taken_for_a_staircase(share: float) -> None:
    assert staircase(TIME + noise(share)).min() > 0.4


@pytest.mark.parametrize("jumps", [[12], [5, 17], [3, 9, 20]])
def test_one_to_three_jumps_are_a_staircase(jumps: list[int]) -> None:
    stairs = np.searchsorted(jumps, np.arange(24), side="right") / len(jumps)

    assert staircase(stairs + noise(0.03)).max() < 0.15


def test_ten_jumps_are_a_climb() -> None:
    assert staircase(np.floor(TIME[None] * 9.99)).min() > 1


def test_missing_buckets_are_passed_over() -> None:
    stairs = np.searchsorted([5, 17], np.arange(24), side="right") + noise(0.03)
    climb = TIME + noise(0.05)
    for series in (stairs, climb):
        series[:, [0, 1, 2, 8, 21]] = np.nan

    assert staircase(stairs).max() < 0.1
    assert staircase(climb).min() > 0.4


def test_what_does_not_move_is_no_staircase() -> None:
    assert staircase(np.full((1, 24), 0.5))[0] > 1
    assert staircase(np.full((1, 24), np.nan))[0] > 1
