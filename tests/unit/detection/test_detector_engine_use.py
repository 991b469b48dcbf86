"""The detector as the engine calls it: incrementally, from any moment on."""

from __future__ import annotations

import numpy as np

from leakwarden.core.detection.detector import (
    EXHAUSTING,
    LEAKING,
    Context,
    DetectorState,
    Key,
    NewReadings,
    advance,
    judge,
)
from leakwarden.core.detection.rollups import WIDTHS

BEGIN = 1_700_000_000.0


def key(pod: str) -> Key:
    return Key("shop", "cart", pod, f"{pod}-uid", "app", "descriptors", BEGIN)


def points(row: int, t: np.ndarray, v: np.ndarray) -> NewReadings:
    nothing = np.full(len(t), np.nan)
    return NewReadings(np.full(len(t), row), t, v, nothing, nothing)


def climb(n: int = 110) -> tuple[np.ndarray, np.ndarray]:
    return BEGIN + 30.0 * np.arange(n), 200 + 800 * np.arange(n) / 120


def _same_buckets(one: DetectorState, other: DetectorState, row: int, now: float) -> None:
    """As the windows show them: equal to within the rounding of rollups.py, of which a step that grew has had two."""
    step = 2 * max(one.rows.peak[row], 1.0) / 65_534
    for k, width in enumerate(WIDTHS):
        current = np.array([int((now - BEGIN) // width) + 1])
        ours, theirs = (each.cascade.window(k, np.array([row]), current) for each in (one, other))
        assert not np.isnan(ours.lo).all()
        assert np.allclose(ours.lo, theirs.lo, rtol=0, atol=step, equal_nan=True)
        assert np.allclose(ours.hi, theirs.hi, rtol=0, atol=step, equal_nan=True)


def test_readings_in_one_piece_or_one_by_one_give_the_same_state() -> None:
    t, v = climb()
    whole, bit_by_bit = DetectorState(), DetectorState()
    row = whole.row(key("a"), 1000, BEGIN)
    bit_by_bit.row(key("a"), 1000, BEGIN)

    advance(whole, points(row, t[::-1], v[::-1]), t[-1])
    for i in range(len(t)):
        advance(bit_by_bit, points(row, t[i : i + 1], v[i : i + 1]), t[i])

    _same_buckets(whole, bit_by_bit, row, t[-1])


def test_an_operator_that_starts_late_judges_from_history_within_a_few_evaluations() -> None:
    t, v = climb()
    state = DetectorState()
    row = state.row(key("a"), 1000, BEGIN)
    advance(state, points(row, t[:95], v[:95]), t[94])

    worst = 0
    for i in range(95, 110):
        advance(state, points(row, t[i : i + 1], v[i : i + 1]), t[i])
        worst = max(worst, int(judge(state, Context(), t[i]).verdict[row]))

    assert worst == EXHAUSTING


def test_readings_already_seen_are_ignored() -> None:
    t, v = climb()
    state = DetectorState()
    row = state.row(key("a"), 1000, BEGIN)
    advance(state, points(row, t, v), t[-1])
    seen = int(state.rows.seen[row])

    advance(state, points(row, t, v * 2), t[-1])

    assert int(state.rows.seen[row]) == seen


def test_forgetting_a_row_keeps_what_the_others_know() -> None:
    t, v = climb()
    state = DetectorState()
    state.row(key("gone"), 1000, BEGIN)
    row = state.row(key("a"), 1000, BEGIN)
    for i in range(len(t)):
        advance(state, points(row, t[i : i + 1], v[i : i + 1]), t[i])
        judge(state, Context(), t[i])

    state.keep([row])

    assert state.row(key("a"), 1000, t[-1]) == 0
    assert int(judge(state, Context(), t[-1]).verdict[0]) >= LEAKING
    assert state.row(key("new"), 1000, t[-1]) == 1


def test_no_rows_is_no_error() -> None:
    state = DetectorState()
    assert len(judge(state, Context(), BEGIN).verdict) == 0


def test_verdicts_do_not_depend_on_where_the_epoch_began() -> None:
    """The engine's clock is absolute: a shift by a part of a bucket must not move the buckets' borders."""
    told = []
    for shift in (0.0, 10_000_007.0, -1_699_999_991.0):
        t, v = climb()
        t = t + shift
        state = DetectorState()
        row = state.row(key("a"), 1000, t[0])
        said = []
        for i in range(len(t)):
            advance(state, points(row, t[i : i + 1], v[i : i + 1]), t[i])
            judged = judge(state, Context(), t[i])
            said.append((int(judged.verdict[row]), int(judged.reason[row])))
        told.append(said)

    assert told[0] == told[1] == told[2]
    assert told[0][-1][0] == EXHAUSTING


def test_missing_values_change_nothing() -> None:
    t, v = climb()
    whole, gappy = DetectorState(), DetectorState()
    row = whole.row(key("a"), 1000, BEGIN)
    gappy.row(key("a"), 1000, BEGIN)
    missing = t + 15.0

    advance(whole, points(row, t, v), t[-1])
    advance(gappy, points(row, np.append(t, missing), np.append(v, np.full(len(t), np.nan))), missing[-1])

    assert gappy.rows.seen[row] == whole.rows.seen[row]
    assert gappy.rows.last[row] == whole.rows.last[row]
    _same_buckets(whole, gappy, row, t[-1])


def test_rows_added_at_once_are_those_added_one_by_one() -> None:
    """The arrays' size, the row's place, its limit, and the origin of a workload's buckets: the first reading of any
    pod."""
    one_by_one, at_once = DetectorState(), DetectorState()
    keys = [key(str(n)) for n in range(200)]
    limits = [None, 0.0, -1.0, float("inf"), 100.0] * 40
    firsts = [BEGIN + n for n in range(200)]
    for each in zip(keys, limits, firsts, strict=True):
        one_by_one.row(*each)
    given = np.array([np.nan if limit is None else limit for limit in limits])
    rows = at_once.place(keys[::-1], given[::-1], np.array(firsts[::-1], float))
    assert rows.tolist() == list(range(200))
    assert np.array_equal(at_once.place(keys, given, np.full(200, BEGIN - 999.0)), rows[::-1]), "known by then"
    assert np.array_equal(at_once.rows.limit[rows[::-1]], one_by_one.rows.limit[:200], equal_nan=True)
    assert np.isfinite(at_once.rows.limit[:200]).sum() == 40
    group = at_once.rows.group[0]
    assert at_once.origin[group] == one_by_one.origin[one_by_one.rows.group[0]] == BEGIN
