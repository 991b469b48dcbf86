"""Buckets of floors and ceilings at six widths, for all rows at once.

A reading is folded into one bucket of each width: its minimum (the floor, which garbage, bursts and requests in
flight lie above and a leak lifts), its maximum (the ceiling, which meets the limit first) and the mean load. Widths
grow by three and 24 buckets of each are judged, so windows of 24 min, 72 min, 3.6 h, 10.8 h, 32 h and 4 days overlap
and a leak of any speed has a window in which it is neither noise nor over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.readings import Floats

Ints: TypeAlias = NDArray[np.int64]
Shorts: TypeAlias = NDArray[np.float32]
Bools: TypeAlias = NDArray[np.bool_]

# 1 min is the widest bucket that still gives ten floors of a leak that is over in 20 minutes; 24 buckets are what
# a rank statistic needs for a slope within about 10 % at the noise of the bench.
WIDTHS = tuple(60.0 * 3**k for k in range(6))
SLOTS = 24
_RING = SLOTS + 2  # the bucket being filled, and one that a late tick may still complete


@dataclass(slots=True)
class Ring:
    """The latest buckets of one width. `ids` names the bucket a slot holds (-1: none yet)."""

    ids: NDArray[np.int32]
    lo: Shorts
    hi: Shorts
    load: Shorts
    loads: Shorts

    @classmethod
    def empty(cls, rows: int) -> Ring:
        shape = (rows, _RING)
        zeros = [np.zeros(shape, np.float32) for _ in range(4)]
        return cls(np.full(shape, -1, np.int32), *zeros)

    def grow(self, rows: int) -> None:
        more = Ring.empty(rows - len(self.ids))
        for name in ("ids", "lo", "hi", "load", "loads"):
            setattr(self, name, np.concatenate([getattr(self, name), getattr(more, name)]))

    def keep(self, rows: Ints) -> None:
        for name in ("ids", "lo", "hi", "load", "loads"):
            setattr(self, name, getattr(self, name)[rows])

    def write(self, folded: Folded) -> None:
        """Merge buckets, each (row, bucket) at most once and sorted by both."""
        row, bucket = folded.row, folded.bucket
        ends = np.flatnonzero(np.append(row[1:] != row[:-1], True))
        last = np.repeat(bucket[ends], np.diff(ends, prepend=-1))
        if np.any(bucket <= last - _RING):  # more than the ring holds: only the newest matter
            folded = folded.pick(bucket > last - _RING)
            row, bucket = folded.row, folded.bucket
        at = (row, bucket % _RING)
        same = self.ids[at] == bucket
        self.lo[at] = np.where(same, np.minimum(self.lo[at], folded.lo), folded.lo)
        self.hi[at] = np.where(same, np.maximum(self.hi[at], folded.hi), folded.hi)
        self.load[at] = np.where(same, self.load[at] + folded.load, folded.load)
        self.loads[at] = np.where(same, self.loads[at] + folded.loads, folded.loads)
        self.ids[at] = bucket

    def window(self, rows: Ints, current: Ints) -> Window:
        """The 24 complete buckets before `current` of each row, oldest first; NaN where there is nothing."""
        wanted = current[:, None] + np.arange(-SLOTS, 0)
        at = (rows[:, None], wanted % _RING)
        there = (self.ids[at] == wanted) & (wanted >= 0)
        lo = np.where(there & np.isfinite(self.lo[at]), self.lo[at], np.nan)
        hi = np.where(there, self.hi[at], np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            load = np.where(there & (self.loads[at] > 0), self.load[at] / self.loads[at], np.nan)
        return Window(lo.astype(np.float64), hi.astype(np.float64), load.astype(np.float64))


@dataclass(frozen=True, slots=True)
class Window:
    """(rows, 24) arrays in the signal's unit (`lo`, `hi`) and requests/s (`load`); NaN: no reading."""

    lo: Floats
    hi: Floats
    load: Floats


@dataclass(frozen=True, slots=True)
class Folded:
    """Buckets of one width, sorted by row and bucket, each pair once."""

    row: Ints
    bucket: Ints
    lo: Floats
    hi: Floats
    load: Floats
    loads: Floats

    def pick(self, which: Bools) -> Folded:
        return Folded(*(getattr(self, f)[which] for f in ("row", "bucket", "lo", "hi", "load", "loads")))

    def merge(self, bucket: Ints) -> Folded:
        """The same readings in the coarser buckets `bucket`."""
        if not len(bucket):
            return self
        starts = np.flatnonzero(np.append(True, (bucket[1:] != bucket[:-1]) | (self.row[1:] != self.row[:-1])))
        if len(starts) == len(bucket):
            return Folded(self.row, bucket, self.lo, self.hi, self.load, self.loads)
        return Folded(
            self.row[starts],
            bucket[starts],
            np.minimum.reduceat(self.lo, starts),
            np.maximum.reduceat(self.hi, starts),
            np.add.reduceat(self.load, starts),
            np.add.reduceat(self.loads, starts),
        )


@dataclass(slots=True)
class Cascade:
    rings: list[Ring] = field(default_factory=lambda: [Ring.empty(0) for _ in WIDTHS])

    def grow(self, rows: int) -> None:
        for ring in self.rings:
            ring.grow(rows)

    def keep(self, rows: Ints) -> None:
        for ring in self.rings:
            ring.keep(rows)

    def fold(self, row: Ints, age: Floats, floor: Floats, value: Floats, load: Floats) -> None:
        """Add readings sorted by row and time. `age`: seconds since the row's origin. `floor` is `value`, or
        infinite where the reading is no evidence of a floor; `load` NaN where it is not known."""
        if not len(row):
            return
        known = ~np.isnan(load)
        folded = Folded(row, np.zeros(0, np.int64), floor, value, np.where(known, load, 0.0), known.astype(np.float64))
        bucket = (age // WIDTHS[0]).astype(np.int64)
        for ring in self.rings:
            folded = folded.merge(bucket)
            ring.write(folded)
            bucket = folded.bucket // 3
