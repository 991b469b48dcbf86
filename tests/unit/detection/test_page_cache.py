"""Memory is judged by what the kernel cannot take back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leakwarden.core.detection.detector import EXHAUSTING, LEAKING, SUSPECT
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.replay import Change, replay
from leakwarden.core.signals.criteria import Standard

pytestmark = pytest.mark.slow

STEP = 120.0  # s
LIMIT = 1e9  # bytes


def working_set(anonymous: np.ndarray, cache: np.ndarray, *, rss: bool = True, signal: str = "WorkingSet") -> Series:
    """A container's memory, as shares of its limit."""
    rng = np.random.default_rng(5)
    t = 1.7e9 + STEP * np.arange(len(anonymous), dtype=np.float64)
    kept = LIMIT * (anonymous + 0.004 * rng.normal(size=len(t)))
    return Series(
        signal, "shop", "cart", "cart-1", "uid-1", t[0] - 5, LIMIT, t, np.round(kept + LIMIT * cache),
        rss=np.round(kept) if rss else None,
    )  # fmt: skip


def judged(one: Series) -> list[Change]:
    return replay([one], Standard(), STEP)


def worst(one: Series) -> int:
    return max(change.verdict for change in judged(one))


HOURS = 14
FLAT, CLIMB = np.full(HOURS * 30, 0.2), np.linspace(0.0, 0.77, HOURS * 30)


def test_page_cache_that_fills_the_limit_in_a_line_is_healthy() -> None:
    assert worst(working_set(FLAT, CLIMB)) < SUSPECT


def test_a_full_working_set_of_page_cache_is_not_exhausted() -> None:
    full = np.minimum(CLIMB * 3, 0.79)

    assert worst(working_set(FLAT, full)) < SUSPECT
    assert worst(working_set(FLAT, full, rss=False)) < EXHAUSTING


def test_memory_of_the_process_that_leaks_beside_page_cache_is_acted_on() -> None:
    assert worst(working_set(0.1 + CLIMB * 1.15, np.full(len(CLIMB), 0.01))) == EXHAUSTING
    # Most of the limit is taken, but half of it is cache that will be given back: there is time.
    half = working_set(0.1 + CLIMB * 0.5, CLIMB * 0.6)
    assert worst(half) < LEAKING


def test_without_rss_a_climb_is_told_with_its_doubt_and_never_acted_on() -> None:
    changes = judged(working_set(0.1 + CLIMB * 1.15, np.full(len(CLIMB), 0.01), rss=False))

    told = [change for change in changes if change.verdict >= LEAKING]
    assert told
    assert {change.reason for change in told} == {"MayBePageCache"}
    assert max(change.verdict for change in changes) == LEAKING
    # Neither is so of a heap, which holds none.
    heap = working_set(0.1 + CLIMB * 1.15, np.full(len(CLIMB), 0.01), rss=False, signal="Heap")
    assert worst(heap) == EXHAUSTING


def test_a_reading_without_rss_among_others_is_a_missing_scrape_and_no_jump_to_the_working_set() -> None:
    one = working_set(FLAT, CLIMB)
    assert one.rss is not None
    gaps = np.random.default_rng(6).random(len(one.t)) < 0.1
    changes = judged(replace(one, rss=np.where(gaps, np.nan, one.rss)))

    assert max(change.verdict for change in changes) < SUSPECT


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 1.0), st.booleans())
def test_verdicts_do_not_change_with_the_page_cache(seed: int, top: float, full: bool) -> None:
    """However it comes and goes beside memory that stays: nothing, a saw, or all that is left of the limit."""
    rng = np.random.default_rng(seed)
    hours = np.arange(0, 10, STEP / 3600)
    kept = np.linspace(0.1, top, hours.size)
    alone = working_set(kept, np.zeros(hours.size))
    cache = (1 - kept) if full else (1 - kept) * np.mod(hours / rng.uniform(0.3, 20), 1.0)
    beside = working_set(kept, np.maximum(cache, 0.0))

    def said(one: Series) -> list[tuple[float, int]]:
        return [(change.time, change.verdict) for change in judged(one)]

    assert said(beside) == said(alone)
