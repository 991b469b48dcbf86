"""A leak that is shown for minutes near its limit is acted on, whether its line is a clean one or not."""

from __future__ import annotations

import numpy as np

from leakwarden.core.detection.decision import Context, _has_stayed, _Shown, _soon
from leakwarden.core.detection.detector import DetectorState, Key
from leakwarden.core.detection.thresholds import Gates
from tests.bench.tune import scaled

NOW = 86_400.0


def stayed(
    gates: Gates | None = None,
    *,
    level: float = 0.96,
    seconds: float = 400,
    shown: bool = True,
    limit: float = 1024,
    known: float = 0.3,
) -> bool:
    """Of descriptors that have been Leaking for so many seconds, and are `shown` to leak now."""
    state = DetectorState()
    row = state.row(Key("shop", "cart", "cart-1", "uid-1", "", "Descriptors", 0.0), limit, 0.0)
    rows = state.rows.pick(slice(1))
    state.known[rows.group[row]] = known
    rows.latched[row], rows.level[row], rows.quantum[row] = NOW - seconds, level, 1.0
    now_shown = _Shown(np.array([shown]), np.array([False]), np.zeros(1, np.int64))
    return bool(_has_stayed(state, now_shown, gates or Gates(), NOW)[0])


def test_a_leak_that_is_shown_for_minutes_near_its_limit_is_sure() -> None:
    assert stayed()
    assert not stayed(known=0.85), "it has come down from nearly as high before"
    assert not stayed(shown=False), "it no longer grows"
    assert not stayed(limit=50), "a small pool fills within the hour by a few slow queries"


def test_at_half_and_at_double_the_time_is_decided_otherwise() -> None:
    assert stayed(seconds=400)
    assert not stayed(seconds=200)
    assert not stayed(scaled(Gates(), "stays_for", 2.0), seconds=400)
    assert stayed(scaled(Gates(), "stays_for", 0.5), seconds=200)


def test_at_half_and_at_double_the_level_is_decided_otherwise() -> None:
    assert stayed(level=0.96)
    assert not stayed(level=0.9)
    assert not stayed(scaled(Gates(), "stays_level", 2.0), level=0.96)
    assert stayed(scaled(Gates(), "stays_level", 0.5), level=0.9)


def soon(level: float, gates: Gates | None = None, *, memory: bool = True, collections: float = 40.0) -> bool:
    """Of a heap that is hours from its limit by its own growth."""
    state = DetectorState()
    row = state.row(Key("shop", "cart", "cart-1", "uid-1", "", "Heap", 0.0, memory=memory), 2**30, 0.0)
    rows = state.rows.pick(slice(1))
    rows.level[row], rows.gc[row] = level, collections
    hours = np.array([4 * 3600.0])
    return bool(_soon(rows, Context(gates=gates or Gates()), hours, hours)[0])


def test_a_heap_is_near_its_limit_before_it_is_as_large_as_its_container() -> None:
    assert soon(0.9)
    assert not soon(0.85)
    assert not soon(0.9, collections=np.nan), "without a collection it may be garbage"
    assert not soon(0.9, memory=False)


def test_at_half_and_at_double_the_level_of_a_heap_is_decided_otherwise() -> None:
    assert not soon(0.9, scaled(Gates(), "exhausting_heap", 2.0))
    assert soon(0.6, scaled(Gates(), "exhausting_heap", 0.5))
