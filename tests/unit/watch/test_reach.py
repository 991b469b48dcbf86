"""The rarest leak that still shows in so many requests."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.watch.reach import LEAST, expected_for, rarest_shown, requests_needed


def chance_of_fewer(least: int, mean: float) -> float:
    """By the Poisson law."""
    return sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(least))


@pytest.mark.parametrize("least", [5, 10, 30])
def test_the_mean_that_is_asked_for_shows_the_least_number_in_19_of_20_watches(least: int) -> None:
    mean = expected_for(least)
    assert chance_of_fewer(least, mean) <= 0.05
    # ... and is not asked for twice over.
    assert chance_of_fewer(least, 0.85 * mean) > 0.05


@given(st.floats(min_value=1, max_value=1e6))
def test_the_requests_that_a_leak_needs_would_have_shown_it(per_million: float) -> None:
    rarest = rarest_shown(requests_needed(per_million))
    assert rarest is not None
    assert rarest <= per_million * (1 + 1e-9)


def test_too_few_requests_show_no_leak_at_all() -> None:
    assert rarest_shown(LEAST) is None
    assert rarest_shown(0) is None
