"""Buckets of floors and ceilings at seven widths, for all rows at once.

Each reading is folded into one bucket of each width. A bucket holds the minimum (the floor: garbage, bursts and
requests in flight are above it, and a leak lifts it), the maximum (the ceiling, which reaches the limit first) and the
mean load. Widths grow by three and 24 buckets of each are judged, so windows of 24 min, 72 min, 3.6 h, 10.8 h, 32 h and
4 days overlap, and a leak of any speed has a window in which it is neither noise nor over. The widest bucket is a day:
the floors of 24 days show growth that happens at night, and growth that mornings and nightly drains hide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

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
_ARRAYS = ("ids", "lo", "hi", "load", "loads")


class Ring:
    """The latest buckets of one width: (slot, row) arrays, so that the values of all rows at one time are adjacent."""

    def __init__(self, rows: int = 0) -> None:
        shape = (_RING, rows)
        self.ids = np.zeros(shape, np.int32)  # the bucket that a slot holds, counted from 1; 0: none yet
        self.lo, self.hi, self.load, self.loads = (np.zeros(shape, np.float32) for _ in range(4))

    def grow(self, rows: int) -> None:
        wider = Ring(rows)
        for name in _ARRAYS:
            old = getattr(self, name)
            getattr(wider, name)[:, : old.shape[1]] = old
            setattr(self, name, getattr(wider, name))

    def keep(self, rows: Ints) -> None:
        for name in _ARRAYS:
            setattr(self, name, getattr(self, name).take(rows, axis=1))

    def write(self, folded: Folded) -> None:
        """Merge buckets, each (row, bucket) at most once and sorted by both."""
        row, bucket = folded.row, folded.bucket
        ends = np.flatnonzero(np.append(row[1:] != row[:-1], True))
        last = np.repeat(bucket[ends], np.diff(ends, prepend=-1))
        if np.any(bucket <= last - _RING):  # more than the ring holds: only the newest matter
            folded = folded.pick(bucket > last - _RING)
            row, bucket = folded.row, folded.bucket
        at = bucket % _RING * self.ids.shape[1] + row
        ids, lo, hi, load, loads = (getattr(self, name).reshape(-1) for name in _ARRAYS)
        again = np.flatnonzero(ids[at] == bucket + 1)
        ids[at] = bucket + 1
        if len(again):
            # The present contents of the bucket, before it is overwritten.
            old = at[again]
            before = lo[old], hi[old], load[old], loads[old]
        lo[at], hi[at], load[at], loads[at] = folded.lo, folded.hi, folded.load, folded.loads
        if len(again):
            lo[old], hi[old] = np.minimum(lo[old], before[0]), np.maximum(hi[old], before[1])
            load[old] += before[2]
            loads[old] += before[3]

    def window(self, rows: Ints, current: Ints) -> BucketWindow:
        """The 24 complete buckets before `current` of each row, oldest first; NaN where there is nothing."""
        at, there = self._places(rows, current)
        lo, hi = self.lo.reshape(-1)[at], self.hi.reshape(-1)[at]
        lo[~(there & np.isfinite(lo))] = np.nan
        hi[~there] = np.nan
        return BucketWindow(lo.astype(np.float64).T, hi.astype(np.float64).T)

    def mean_load(self, rows: Ints, current: Ints) -> Floats:
        """(rows, 24) requests/s in the buckets of `window`, NaN where not known."""
        at, there = self._places(rows, current)
        load, loads = self.load.reshape(-1)[at], self.loads.reshape(-1)[at]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(there & (loads > 0), load / loads, np.nan).astype(np.float64).T

    def _places(self, rows: Ints, current: Ints) -> tuple[Ints, Bools]:
        """(24, rows) places in the arrays, and whether they hold the requested bucket."""
        at = (_BEFORE * self.ids.shape[1]).take(current % _RING, axis=1)
        at += rows
        wanted = current.astype(np.int32) + _BACK
        return at, (self.ids.reshape(-1)[at] == wanted + 1) & (wanted >= 0)


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

    def grow(self, rows: int) -> None:
        for ring in self.rings:
            ring.grow(rows)

    def keep(self, rows: Ints) -> None:
        for ring in self.rings:
            ring.keep(rows)

    def fold(self, row: Ints, age: Floats, floor: Floats, value: Floats, load: Floats) -> None:
        """Add readings sorted by row and time. `age`: seconds since the row's origin. `floor` is `value`, or
        infinite where the reading does not count for the floor; `load` NaN where it is not known."""
        if not len(row):
            return
        known = ~np.isnan(load)
        # The type of the rings: rounding keeps order, so the minimum and the maximum are the same before and after.
        lo, hi = floor.astype(np.float32), value.astype(np.float32)
        folded = Folded(
            row, np.zeros(0, np.int64), lo, hi=hi, load=np.where(known, load, 0.0), loads=known.astype(np.float32)
        )
        bucket = np.floor(age / WIDTHS[0]).astype(np.int64)
        for k, ring in enumerate(self.rings[:DAY]):
            folded = folded.merge(bucket)
            ring.write(folded)
            bucket = folded.bucket // 3
            if k == _DAY_OF:
                whole = folded.merge(folded.bucket // int(WIDTHS[DAY] / WIDTHS[_DAY_OF]))
                self.rings[DAY].write(whole)
