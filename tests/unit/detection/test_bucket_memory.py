"""The memory of buckets: bounded for each process and signal, and so exact that no verdict depends on its rounding."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwarden.core.detection.columns import Estimates, Rows, Widths
from leakwarden.core.detection.detector import Context, DetectorState, Key, NewReadings, advance, judge
from leakwarden.core.detection.rollups import SLOTS, WIDTHS, BucketWindow, Cascade
from leakwarden.core.model.readings import Floats

BEGIN = 1.7e9
# Bytes of one process and signal of which no window was weighed: 568 of buckets, the rest of what was seen last and of
# the windows' results. With 900,000 of them, which is 150,000 pods with six signals, each byte more is a MB.
MOST = 880
MOST_WEIGHED = 310  # more where a window was weighed
MOST_OF_LOADS = 1_140  # for each process, whatever its number of signals


def _bytes(arrays: object, names: list[str]) -> int:
    return sum(getattr(arrays, name).nbytes for name in names)


def test_a_process_and_signal_takes_a_bounded_number_of_bytes() -> None:
    rows = 1_000
    columns = sum(_bytes(of.of(rows), list(of.__slots__)) for of in (Rows, Widths))
    cascade = Cascade()
    cascade.grow(rows)
    cascade.loads.grow(rows)
    buckets = sum(array.nbytes for array in cascade.levels.arrays) + cascade.levels.newest.nbytes
    buckets += cascade.power.nbytes + cascade.negative.nbytes
    loads = sum(array.nbytes for array in cascade.loads.arrays) + cascade.loads.newest.nbytes

    assert (columns + buckets) / rows <= MOST
    assert _bytes(Estimates.of(rows), list(Estimates.__slots__)) / rows <= MOST_WEIGHED
    assert loads / rows <= MOST_OF_LOADS


def test_only_rows_of_which_a_window_was_weighed_have_figures_of_it() -> None:
    state = DetectorState()
    keys = [_key(f"p{n}") for n in range(100)]
    rows = state.place(keys, np.full(100, 1000.0), np.full(100, BEGIN))
    for tick in range(60):
        now = BEGIN + 60.0 * tick
        level = np.where(np.arange(100) == 7, 300.0 + 10 * tick, 100.0 + np.arange(100) % 3)
        nothing = np.full(100, np.nan)
        advance(state, NewReadings(rows, np.full(100, now), level, nothing, nothing), now)
        judge(state, Context(), now)

    assert np.flatnonzero(state.rows.estimate[:100] >= 0).tolist() == [7]


def test_a_row_that_has_come_to_rest_gives_its_figures_back() -> None:
    state = DetectorState()
    row = state.row(_key("a"), 1000.0, BEGIN)
    nothing = np.full(1, np.nan)
    had = False
    for tick in range(60 * 24):
        now = BEGIN + 60.0 * tick
        level = np.array([500.0 + 8 * tick if tick < 40 else 100.0 + tick % 2])
        advance(state, NewReadings(np.array([row]), np.array([now]), level, nothing, nothing), now)
        judge(state, Context(), now)
        had = had or bool(state.rows.estimate[row] >= 0)

    assert had
    assert state.rows.estimate[row] == -1


def _key(pod: str) -> Key:
    return Key("shop", "cart", pod, uid=pod, container="app", signal="Descriptors", start=BEGIN)


class _Exact(Cascade):
    """All readings as they came, and each window computed from them."""

    def __init__(self) -> None:
        super().__init__()
        self.readings: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
        self.rates: dict[int, list[tuple[float, float]]] = defaultdict(list)

    def fold(self, row, carrier, age, *, floor: Floats, value: Floats, load: Floats) -> None:  # type: ignore[no-untyped-def]
        for at, when, low, high, rate in zip(
            row.tolist(), age.tolist(), floor.tolist(), value.tolist(), load.tolist(), strict=True
        ):
            self.readings[at].append((when, low, high))
            if rate == rate:
                self.rates[int(carrier[at])].append((when, rate))

    def window(self, k, rows, current) -> BucketWindow:  # type: ignore[no-untyped-def]
        lo, hi = np.full((len(rows), SLOTS), np.nan), np.full((len(rows), SLOTS), np.nan)
        for i, (row, now) in enumerate(zip(rows.tolist(), current.tolist(), strict=True)):
            age, low, high = np.array(self.readings[row]).T
            bucket = np.floor(age / WIDTHS[k]).astype(int) - (now - SLOTS)
            for slot in np.unique(bucket[(bucket >= 0) & (bucket < SLOTS)]):
                least = low[bucket == slot].min()
                lo[i, slot] = least if np.isfinite(least) else np.nan
                hi[i, slot] = high[bucket == slot].max()
        return BucketWindow(lo, hi)

    def mean_load(self, k, carrier, current) -> Floats:  # type: ignore[no-untyped-def]
        mean = np.full((len(carrier), SLOTS), np.nan)
        for i, (row, now) in enumerate(zip(carrier.tolist(), current.tolist(), strict=True)):
            for slot in range(SLOTS if self.rates[row] else 0):
                age, rate = np.array(self.rates[row]).T
                inside = np.floor(age / WIDTHS[k]) == now - SLOTS + slot
                mean[i, slot] = rate[inside].mean() if inside.any() else np.nan
        return mean


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), unit=st.sampled_from([1.0, 4096.0, 0.001]))
def test_verdicts_are_those_of_exact_buckets(seed: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    pods, ticks = 6, 100
    exact, stored = DetectorState(), DetectorState()
    exact.cascade = _Exact()
    rate = rng.uniform(10, 100, ticks)
    climb = rng.choice([0.0, 1.0, 3.0], pods)
    level = rng.uniform(100, 600, pods)
    keys = [_key(f"p{n}") for n in range(pods)]
    said = []
    for state in (exact, stored):
        rows = state.place(keys, np.full(pods, 1000 * unit), np.full(pods, BEGIN))
        noise = np.random.default_rng(seed + 1)
        verdicts = []
        for tick in range(ticks):
            now = BEGIN + 60.0 * tick
            values = np.rint(level + climb * tick + noise.normal(0, 4, pods)) * unit
            load = np.full(pods, rate[tick])
            advance(state, NewReadings(rows, np.full(pods, now), values, load, np.full(pods, np.nan)), now)
            judged = judge(state, Context(), now)
            verdicts.append(np.column_stack([judged.verdict, judged.width, judged.reason]))
        said.append(np.array(verdicts))
    differs = (said[0] != said[1])[..., :2]
    if unit >= 1:
        assert not (said[0] != said[1]).any()
    else:
        # Where values are rounded, a figure that is just at a threshold may pass it a reading sooner or later.
        assert differs.any(axis=2).mean() <= 0.01


@given(
    values=st.lists(st.floats(-1e12, 1e12).map(lambda v: v if abs(v) > 1e-200 else 0.0), min_size=1, max_size=60),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=60),
)
def test_a_stored_value_is_off_by_less_than_a_share_of_the_highest_reading(
    values: list[float], cuts: list[int]
) -> None:
    cascade = Cascade()
    cascade.grow(1)
    age = 60.0 * np.arange(len(values), dtype=np.float64)
    value = np.array(values, dtype=np.float64)
    nothing = np.full(len(values), np.nan)
    begin = 0
    for cut in [*cuts, len(values)]:
        part = slice(begin, begin + cut)
        row = np.zeros(len(value[part]), np.int64)
        cascade.fold(row, np.zeros(1, np.int64), age[part], floor=value[part], value=value[part], load=nothing[part])
        begin += cut

    window = cascade.window(0, np.array([0]), np.array([len(values)]))

    newest = value[-SLOTS:]
    # A step is at most 1/16,383 of the highest, where there are readings below zero; half of one is lost in each rounding.
    most = np.abs(value).max() / 16_000
    assert np.abs(window.lo[0, SLOTS - len(newest) :] - newest).max() <= most
    assert np.abs(window.hi[0, SLOTS - len(newest) :] - newest).max() <= most


@given(counts=st.lists(st.integers(0, 65_533), min_size=1, max_size=40))
def test_counts_are_stored_exactly(counts: list[int]) -> None:
    cascade = Cascade()
    cascade.grow(1)
    for minute, count in enumerate(counts):
        one = np.array([float(count)])
        cascade.fold(
            np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([60.0 * minute]), floor=one, value=one,
            load=np.full(1, np.nan),
        )  # fmt: skip

    window = cascade.window(0, np.array([0]), np.array([len(counts)]))

    newest = counts[-SLOTS:]
    assert window.lo[0, SLOTS - len(newest) :].tolist() == newest
    assert window.hi[0, SLOTS - len(newest) :].tolist() == newest
