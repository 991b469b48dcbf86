"""The rings hold what a plain dictionary of buckets would hold, and one row of loads serves all signals of a process."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.detection import detector
from leakwarden.core.detection.detector import Context, DetectorState, Key, NewReadings, advance, judge
from leakwarden.core.detection.rollups import SLOTS, WIDTHS, Cascade

BEGIN = 1.7e9
#: Seconds between readings: within a bucket, into the next one, over several, and over more than the ring holds.
GAPS = st.lists(st.sampled_from([10.0, 55.0, 61.0, 500.0, 3600.0, 7 * 3600.0]), min_size=1, max_size=60)


@given(gaps=GAPS, cuts=st.lists(st.integers(1, 8), min_size=1, max_size=60))
def test_a_window_holds_the_least_the_most_and_the_mean_load_of_each_bucket(gaps: list[float], cuts: list[int]) -> None:
    age = np.cumsum(gaps)
    value = np.arange(len(age), dtype=np.float64) * 7 % 11
    load = np.where(np.arange(len(age)) % 3 == 0, np.nan, value + 1)
    cascade = Cascade()
    cascade.grow(2)
    row, carrier = np.ones(len(age), np.int64), np.array([0, 1])

    begin = 0
    for cut in [*cuts, len(age)]:
        part = slice(begin, begin + cut)
        cascade.fold(row[part], carrier, age[part], floor=value[part], value=value[part], load=load[part])
        begin += cut

    for k, width in enumerate(WIDTHS):
        now = int(age[-1] // width) + 1
        window = cascade.window(k, np.array([1]), np.array([now]))
        mean = cascade.mean_load(k, np.array([1]), np.array([now]))
        for slot, bucket in enumerate(range(now - SLOTS, now)):
            inside = age // width == bucket
            known = inside & ~np.isnan(load)
            expected = (value[inside].min(), value[inside].max()) if inside.any() else (np.nan, np.nan)
            assert np.array_equal((window.lo[0, slot], window.hi[0, slot]), expected, equal_nan=True)
            assert np.allclose(mean[0, slot], load[known].mean() if known.any() else np.nan, equal_nan=True)


def test_readings_from_before_the_origin_are_in_no_bucket() -> None:
    cascade = Cascade()
    cascade.grow(1)
    one = np.array([5.0])

    nothing = np.full(1, np.nan)
    cascade.fold(np.array([0]), np.array([0]), np.array([-170.0]), floor=one, value=one, load=one)
    cascade.fold(np.array([0]), np.array([0]), np.array([1500.0]), floor=one, value=one, load=nothing)

    window = cascade.window(0, np.array([0]), np.array([26]))
    assert np.flatnonzero(~np.isnan(window.lo[0])).tolist() == [SLOTS - 1]
    assert np.isnan(cascade.mean_load(0, np.array([0]), np.array([26]))).all()


def _key(pod: str, signal: str) -> Key:
    return Key("shop", "cart", pod, uid=pod, container="app", signal=signal, start=BEGIN)


def _grown(state: DetectorState, keys: list[Key], ticks: int = 120) -> None:
    rows = state.place(keys, np.full(len(keys), 1000.0), np.full(len(keys), BEGIN))
    for tick in range(ticks):
        now = np.full(len(keys), BEGIN + 30.0 * tick)
        level = 200 + np.arange(len(keys)) % 5 + tick * (np.arange(len(keys)) % 3)
        advance(
            state, NewReadings(rows, now, level.astype(np.float64), 10 + now % 7, np.full(len(keys), np.nan)), now[0]
        )


def test_all_signals_of_a_process_share_one_row_of_loads_and_another_process_has_its_own() -> None:
    state = DetectorState()
    _grown(state, [_key("a", "Descriptors"), _key("b", "Descriptors")])
    _grown(state, [_key("a", "Sockets"), _key("b", "Sockets")])

    assert state.rows.carrier[:4].tolist() == [0, 1, 0, 1]
    at = np.array([60])
    alone = DetectorState()
    _grown(alone, [_key("a", "Descriptors"), _key("b", "Descriptors")])
    shared, own = (each.cascade.mean_load(0, np.array([1]), at) for each in (state, alone))
    assert np.allclose(shared, own, equal_nan=True)
    assert not np.isnan(own).all()


def test_a_signal_whose_buckets_begin_at_another_moment_has_its_own_loads() -> None:
    state = DetectorState()
    _grown(state, [_key("a", "Descriptors")])

    state.row(_key("a", "Sockets"), 1000.0, BEGIN + 45.0)

    assert state.rows.carrier[:2].tolist() == [0, 1]


def test_rows_that_stay_keep_their_loads() -> None:
    state = DetectorState()
    _grown(state, [_key(pod, signal) for pod in "abc" for signal in ("Descriptors", "Sockets")])
    before = state.cascade.mean_load(0, state.rows.carrier[4:6], np.array([60, 60]))

    state.keep([4, 5])

    assert state.rows.carrier[:2].tolist() == [0, 0]
    assert np.array_equal(state.cascade.mean_load(0, np.array([0, 0]), np.array([60, 60])), before, equal_nan=True)
    state.row(_key("d", "Descriptors"), 1000.0, BEGIN)
    assert state.rows.carrier[2] == 1


def test_a_verdict_does_not_depend_on_how_many_rows_are_measured_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = []
    for part in (8_000, 3):
        monkeypatch.setattr(detector, "_PART", part)
        state = DetectorState()
        keys = [
            Key("shop", f"w{n % 7}", f"p{n}", uid=f"p{n}", container="app", signal="Descriptors", start=BEGIN)
            for n in range(40)
        ]
        _grown(state, keys)
        judged = judge(state, Context(), BEGIN + 30.0 * 120)
        said.append([judged.verdict, judged.reason, judged.seconds_low, judged.growth_low])
    for one, other in zip(*said, strict=True):
        assert np.array_equal(one, other, equal_nan=True)
    assert len(np.unique(said[0][0])) > 1


def test_the_pods_of_a_workload_are_measured_together_since_one_shows_what_the_others_may_come_back_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = []
    for part in (8_000, 3):
        monkeypatch.setattr(detector, "_PART", part)
        state = DetectorState()
        keys = [_key(pod, "Descriptors") for pod in "abcdef"]
        rows = state.place(keys, np.full(6, 1000.0), np.full(6, BEGIN))
        nothing = np.full(6, np.nan)
        for tick in range(60):
            now = np.full(6, BEGIN + 30.0 * tick)
            level = np.array([*[200.0 + 5 * tick] * 5, 900.0 if 20 < tick < 30 else 100.0])
            advance(state, NewReadings(rows, now, level, nothing, nothing), now[0])
        judge(state, Context(), BEGIN + 30.0 * 60)
        known.append(state.estimates.known[state.rows.estimate[:5], 0].tolist())
    assert known[0] == known[1]
    assert min(known[0]) > 0.8
