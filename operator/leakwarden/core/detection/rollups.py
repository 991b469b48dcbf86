"""Buckets of floors and ceilings at seven widths, for all rows at once.

Each reading is folded into one bucket of each width. A bucket holds the minimum (the floor: garbage, bursts and
requests in flight are above it, and a leak lifts it), the maximum (the ceiling, which reaches the limit first) and the
mean load. Widths grow by three and 24 buckets of each are judged, so windows of 24 min, 72 min, 3.6 h, 10.8 h, 32 h and
4 days overlap, and a leak of any speed has a window in which it is neither noise nor over. The widest bucket is a day:
the floors of 24 days show growth that happens at night, and growth that mornings and nightly drains hide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.model.readings import Floats

Ints: TypeAlias = NDArray[np.int64]
Shorts: TypeAlias = NDArray[np.float32]
Bools: TypeAlias = NDArray[np.bool_]

# 1 min is the widest bucket that still gives ten floors of a leak that is over in 20 minutes; a rank statistic needs
# 24 buckets for a slope within about 10 % at the noise of the bench.
WIDTHS = (*(60.0 * 3**k for k in range(6)), 86_400.0)
DAY = len(WIDTHS) - 1  # the place of the day
_DAY_OF = 2  # days are made of whole buckets of nine minutes
SLOTS = 24
_RING = SLOTS + 2  # the bucket being filled, and one that a late tick may still complete


_BACK = np.arange(-SLOTS, 0, dtype=np.int32)[:, None]
_BEFORE = (np.arange(_RING) + _BACK) % _RING  # the slots before each slot


class _Ring:
    """The latest buckets of one width: (slot, row) arrays, so that the values of all rows at one time are adjacent.

    `newest` is the newest bucket of each row. A slot holds one of the buckets (newest - _RING, newest], and
    `_EMPTY` where nothing was read in that bucket; -1 where there is no bucket yet.
    """

    _ARRAYS: ClassVar[tuple[str, ...]]
    _EMPTY: ClassVar[float]

    def __init__(self, rows: int = 0) -> None:
        self.newest = np.full(rows, -1, np.int32)
        for name in self._ARRAYS:
            setattr(self, name, np.full((_RING, rows), self._EMPTY, np.float32))

    @property
    def rows(self) -> int:
        return len(self.newest)

    def grow(self, rows: int) -> None:
        wider = type(self)(rows)
        wider.newest[: self.rows] = self.newest
        for name in self._ARRAYS:  # one after the other, so that only one array exists twice
            getattr(wider, name)[:, : self.rows] = getattr(self, name)
            setattr(self, name, getattr(wider, name))
        self.newest = wider.newest

    def keep(self, rows: Ints) -> None:
        self.newest = self.newest.take(rows)
        for name in self._ARRAYS:
            setattr(self, name, getattr(self, name).take(rows, axis=1))

    def _make_room(self, rows: Ints, upto: Ints) -> None:
        """Make `upto` the newest bucket where it is newer, and empty the slots from the present newest one to it. A row
        may be there several times."""
        before = self.newest[rows]
        np.maximum.at(self.newest, rows, upto.astype(np.int32))
        newer = (self.newest[rows] > before) & (before >= 0)  # all slots of a new row are empty
        if not newer.any():
            return
        rows, before = rows[newer], before[newer]
        last = self.newest[rows]
        first = np.maximum(before + 1, last - _RING + 1)
        arrays = [getattr(self, name).reshape(-1) for name in self._ARRAYS]
        for step in range(int((last - first).max()) + 1):
            some = first + step <= last
            at = (first[some] + step) % _RING * self.rows + rows[some]
            for array in arrays:
                array[at] = self._EMPTY

    def _oldest(self, rows: Ints) -> Ints:
        """The bucket before the oldest one that a row can hold. Readings from before the origin are in none."""
        return np.maximum(self.newest[rows] - _RING, -1)

    def _places(self, rows: Ints, current: Ints) -> tuple[Ints, Bools]:
        """(24, rows) places in the arrays, and whether they hold the requested bucket."""
        at = (_BEFORE * self.rows).take(current % _RING, axis=1)
        at += rows
        wanted = current.astype(np.int32) + _BACK
        newest = self.newest[rows]
        return at, (wanted <= newest) & (wanted > newest - _RING) & (wanted >= 0)


class Ring(_Ring):
    """Floors and ceilings, in the signal's unit."""

    _ARRAYS = ("lo", "hi")
    _EMPTY = np.nan
    lo: NDArray[np.float32]
    hi: NDArray[np.float32]

    def write(self, folded: Folded) -> None:
        """Merge buckets, each (row, bucket) at most once and sorted by both."""
        row, bucket = folded.row, folded.bucket
        ends = np.flatnonzero(np.append(row[1:] != row[:-1], True))
        self._make_room(row[ends], bucket[ends])
        fits = bucket > self._oldest(row)
        if not fits.all():
            folded = folded.pick(fits)
            row, bucket = folded.row, folded.bucket
        at = bucket % _RING * self.rows + row
        lo, hi = self.lo.reshape(-1), self.hi.reshape(-1)
        lo[at], hi[at] = np.fmin(lo[at], folded.lo), np.fmax(hi[at], folded.hi)

    def window(self, rows: Ints, current: Ints) -> BucketWindow:
        """The 24 complete buckets before `current` of each row, oldest first; NaN where there is nothing."""
        at, there = self._places(rows, current)
        lo, hi = self.lo.reshape(-1)[at], self.hi.reshape(-1)[at]
        lo[~(there & np.isfinite(lo))] = np.nan
        hi[~there] = np.nan
        return BucketWindow(lo.astype(np.float64).T, hi.astype(np.float64).T)


class LoadRing(_Ring):
    """Sums and counts of request rates. One row for all signals of a process that are read at the same moments: each
    of them adds the same rates, which leaves the mean as it is."""

    _ARRAYS = ("load", "loads")
    _EMPTY = 0.0
    load: NDArray[np.float32]
    loads: NDArray[np.float32]

    def write(self, carrier: Ints, folded: Folded) -> None:
        """Add buckets to the rows `carrier`, which has an entry for each of them."""
        self._make_room(carrier, folded.bucket)
        some = (folded.loads > 0) & (folded.bucket > self._oldest(carrier))
        at = (folded.bucket % _RING * self.rows + carrier)[some]
        np.add.at(self.load.reshape(-1), at, folded.load[some].astype(np.float32))
        np.add.at(self.loads.reshape(-1), at, folded.loads[some])

    def mean(self, carrier: Ints, current: Ints) -> Floats:
        """(carriers, 24) requests/s in the buckets of `Ring.window`, NaN where not known."""
        at, there = self._places(carrier, current)
        load, loads = self.load.reshape(-1)[at], self.loads.reshape(-1)[at]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(there & (loads > 0), load / loads, np.nan).astype(np.float64).T


@dataclass(frozen=True, slots=True)
class BucketWindow:
    """(rows, 24) arrays in the signal's unit, NaN where there is no reading. The buckets of one time are adjacent."""

    lo: Floats
    hi: Floats


@dataclass(frozen=True, slots=True)
class Folded:
    """Buckets of one width, sorted by row and bucket, each pair once."""

    row: Ints
    bucket: Ints
    lo: Shorts
    hi: Shorts
    load: Floats
    loads: Shorts

    def pick(self, which: Bools) -> Folded:
        return Folded(*(getattr(self, f)[which] for f in ("row", "bucket", "lo", "hi", "load", "loads")))

    def merge(self, bucket: Ints) -> Folded:
        """The same readings in the coarser buckets `bucket`."""
        if not len(bucket):
            return self
        starts = np.flatnonzero(np.append(True, (bucket[1:] != bucket[:-1]) | (self.row[1:] != self.row[:-1])))
        if len(starts) == len(bucket):
            return Folded(self.row, bucket, self.lo, hi=self.hi, load=self.load, loads=self.loads)
        return Folded(
            self.row[starts],
            bucket[starts],
            np.minimum.reduceat(self.lo, starts),
            hi=np.maximum.reduceat(self.hi, starts),
            load=np.add.reduceat(self.load, starts),
            loads=np.add.reduceat(self.loads, starts),
        )


@dataclass(slots=True)
class Cascade:
    rings: list[Ring] = field(default_factory=lambda: [Ring() for _ in WIDTHS])
    loads: list[LoadRing] = field(default_factory=lambda: [LoadRing() for _ in WIDTHS])

    def grow(self, rows: int) -> None:
        for ring in self.rings:
            ring.grow(rows)

    def keep(self, rows: Ints, carriers: Ints) -> None:
        """Forget all rows, and all rows of loads, but these."""
        for ring in self.rings:
            ring.keep(rows)
        for load in self.loads:
            load.keep(carriers[carriers < load.rows])

    def mean_load(self, k: int, carrier: Ints, current: Ints) -> Floats:
        """As `LoadRing.mean`; NaN also where no load was ever known."""
        ring = self.loads[k]
        known = np.flatnonzero(carrier < ring.rows)
        if len(known) == len(carrier):
            return ring.mean(carrier, current)
        mean = np.full((len(carrier), SLOTS), np.nan)
        mean[known] = ring.mean(carrier[known], current[known])
        return mean

    def fold(self, row: Ints, carrier: Ints, age: Floats, *, floor: Floats, value: Floats, load: Floats) -> None:
        """Add readings sorted by row and time. `carrier`: of all rows, the row of its load. `age`: seconds since the
        row's origin. `floor` is `value`, or infinite where the reading does not count for the floor; `load` NaN where
        it is not known."""
        if not len(row):
            return
        known = ~np.isnan(load)
        rated = bool(known.any())
        if rated and self.loads[0].rows <= carrier.max():
            for ring in self.loads:  # only now, since of many sources the load is never known
                ring.grow(max(64, int(carrier.max()) + 1, 2 * ring.rows))
        # The type of the rings: rounding keeps order, so the minimum and the maximum are the same before and after.
        lo, hi = floor.astype(np.float32), value.astype(np.float32)
        folded = Folded(
            row, np.zeros(0, np.int64), lo, hi=hi, load=np.where(known, load, 0.0), loads=known.astype(np.float32)
        )
        bucket = np.floor(age / WIDTHS[0]).astype(np.int64)
        for k in range(DAY):
            folded = folded.merge(bucket)
            self._write(k, folded, carrier if rated else None)
            bucket = folded.bucket // 3
            if k == _DAY_OF:
                whole = folded.merge(folded.bucket // int(WIDTHS[DAY] / WIDTHS[_DAY_OF]))
                self._write(DAY, whole, carrier if rated else None)

    def _write(self, k: int, folded: Folded, carrier: Ints | None) -> None:
        self.rings[k].write(folded)
        if carrier is not None:
            self.loads[k].write(carrier[folded.row], folded)
