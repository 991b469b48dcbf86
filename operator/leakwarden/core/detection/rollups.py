"""Buckets of floors and ceilings at seven widths, for all rows at once.

A bucket holds the minimum of its readings (the floor: garbage, bursts and requests in flight are above it, and a leak
lifts it), the maximum (the ceiling, which reaches the limit first) and the mean load. Widths grow by three and 24
buckets of each are judged, so windows of 24 min, 72 min, 3.6 h, 10.8 h, 32 h and 4 days overlap, and a leak of any
speed has a window in which it is neither noise nor over. The widest bucket is a day: the floors of 24 days show growth
that happens at night, and growth that mornings and nightly drains hide.

Each bucket is stored once (core/detection/levels.py), and as two numbers of 16 bits: how often a step of the row fits
into it. A step is the least power of two with which the highest reading of the row is less than 65,534 steps. So counts
up to there, and memory in pages up to 256 MiB, are stored exactly; what is rounded is rounded by less than 1/65,000 of the
highest reading that this process has shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.detection.levels import SLOTS, WIDTHS, Items, Kind, Levels, Rows
from leakwarden.core.model.readings import Floats

__all__ = ["SLOTS", "WIDTHS", "Bools", "BucketWindow", "Cascade", "Ints", "Shorts"]

Ints: TypeAlias = NDArray[np.int64]
Shorts: TypeAlias = NDArray[np.float32]
Bools: TypeAlias = NDArray[np.bool_]

DAY = len(WIDTHS) - 1  # the place of the day
_MOST = 65_533  # the most steps
# Zero stands for no reading, and of two the larger is kept: ceilings are stored as steps and one, floors as the steps that
# lack to this.
_FLOOR = _MOST + 1
_NEGATIVE = 32_766  # the code of zero in rows that have had readings below zero
_FEWEST = -1000  # the least power of two of a step, of rows in which everything is zero


@dataclass(frozen=True, slots=True)
class BucketWindow:
    """(rows, 24) arrays in the signal's unit, NaN where there is no reading. The buckets of one time are adjacent."""

    lo: Floats
    hi: Floats


@dataclass(slots=True)
class Cascade:
    levels: Levels = field(
        default_factory=lambda: Levels((Kind(np.uint16, np.maximum), Kind(np.uint16, np.maximum)), used=1)
    )
    # Sums and counts of request rates. One row for all signals of a process that are read at the same moments: each of
    # them adds the same rates, which leaves the mean as it is.
    loads: Levels = field(default_factory=lambda: Levels((Kind(np.float32, np.add), Kind(np.float32, np.add)), used=1))
    power: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))  # of two, of a step of each row
    negative: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))  # whether it had readings below zero

    def reserve(self, rows: int) -> None:
        """Room for so many rows, which takes no memory before it is used."""
        if rows > self.levels.rows:
            self.levels.grow(rows)

    def grow(self, rows: int) -> None:
        more = rows - len(self.power)
        self.reserve(rows)
        self.power = np.concatenate([self.power, np.full(more, _FEWEST, np.int16)])
        self.negative = np.concatenate([self.negative, np.zeros(more, np.bool_)])

    def keep(self, rows: Ints, carriers: Ints) -> None:
        """Forget all rows, and all rows of loads, but these."""
        self.levels.keep(rows)
        self.power, self.negative = self.power[rows], self.negative[rows]
        self.loads.keep(carriers[carriers < self.loads.rows])

    def window(self, k: int, rows: Ints, current: Ints) -> BucketWindow:
        """The 24 complete buckets before `current` of each row, oldest first; NaN where there is nothing."""
        lo, hi = self.levels.window(k, rows, current)
        return BucketWindow(
            self._values(_FLOOR - lo.astype(np.int32), rows, lo != 0).T,
            self._values(hi.astype(np.int32) - 1, rows, hi != 0).T,
        )

    def mean_load(self, k: int, carrier: Rows, current: Ints) -> Floats:
        """(carriers, 24) requests/s in the buckets of `window`, NaN where not known."""
        mean = np.full((len(carrier), SLOTS), np.nan)
        known = np.flatnonzero(carrier < self.loads.rows)  # a row exists as soon as a load was known
        total, count = self.loads.window(k, carrier[known], current[known])
        with np.errstate(invalid="ignore", divide="ignore"):
            mean[known] = np.where(count > 0, total / count, np.nan).astype(np.float64).T
        return mean

    def fold(self, row: Ints, carrier: Rows, age: Floats, *, floor: Floats, value: Floats, load: Floats) -> None:
        """Add readings sorted by row and time. `carrier`: of all rows, the row of its load. `age`: seconds since the
        row's origin. `floor` is `value`, or infinite where the reading does not count for the floor; `load` NaN where
        it is not known."""
        if not len(row):
            return
        starts = np.flatnonzero(np.append(True, row[1:] != row[:-1]))
        self._fit(row[starts], value, starts)
        step, zero = self.power[row], np.where(self.negative[row], float(_NEGATIVE), 0.0)
        codes = np.rint(np.ldexp(value, -step)) + zero
        lo = np.where(np.isfinite(floor), _FLOOR - codes, 0).astype(np.uint16)
        bucket = np.floor(age / WIDTHS[0]).astype(np.int64)
        first = np.flatnonzero(np.append(True, (bucket[1:] != bucket[:-1]) | (row[1:] != row[:-1])))
        hi = (codes + 1).astype(np.uint16)
        merged = Items(row, bucket, (lo, hi))
        if len(first) < len(row):
            merged = Items(row[first], bucket[first], (np.maximum.reduceat(lo, first), np.maximum.reduceat(hi, first)))
        self.levels.write(merged)
        known = ~np.isnan(load)
        if known.any():
            if self.loads.rows <= carrier.max():  # only now, since of many sources the load is never known
                self.loads.grow(max(64, int(carrier.max()) + 1, self.loads.rows * 5 // 4))
            total = np.add.reduceat(np.where(known, load, 0.0), first).astype(np.float32)
            count = np.add.reduceat(known.astype(np.float32), first)
            some = count > 0
            of = carrier[merged.row]
            # Buckets pass on with the row's newest reading, whether its load is known or not.
            self.loads.write(Items(of, merged.bucket, (total, count)).pick(some), upto=(of, merged.bucket))

    def _values(self, steps: NDArray[np.int32], rows: Ints, there: Bools) -> Floats:
        zero = np.where(self.negative[rows], float(_NEGATIVE), 0.0)
        values = np.ldexp(steps - zero, self.power[rows])
        values[~there] = np.nan
        return values

    def _fit(self, row: Ints, value: Floats, starts: Ints) -> None:
        """Make the steps of these rows as large as their new readings need. Stored buckets follow."""
        highest = np.maximum.reduceat(value, starts)
        least = np.minimum.reduceat(value, starts)
        negative = self.negative[row] | (least < 0)
        most = np.where(negative, float(_NEGATIVE), float(_MOST))
        share, power = np.frexp(np.maximum(highest, -least) / most)  # of two: share < 1, or 0 for zero
        power = np.where(share > 0, np.where(share == 0.5, power - 1, power), _FEWEST)
        # Stored buckets need as large a step, and twice as large a one where half of the codes become negative.
        before = self.power[row] + (negative & ~self.negative[row])
        power = np.maximum(np.maximum(power, before), _FEWEST).astype(np.int16)
        moved = (power > self.power[row]) | (negative != self.negative[row])
        if not moved.any():
            return
        which, after, below = row[moved], power[moved], negative[moved]
        filled = np.flatnonzero(self.levels.newest[which] >= 0)
        if len(filled):
            self._rescale(which[filled], after[filled], below[filled])
        self.power[which], self.negative[which] = after, below

    def _rescale(self, rows: Ints, power: NDArray[np.int16], negative: Bools) -> None:
        zero = np.where(self.negative[rows], float(_NEGATIVE), 0.0)
        shifted = np.where(negative, float(_NEGATIVE), 0.0)
        fewer = (self.power[rows] - power).astype(np.int32)
        for array, floors in zip(self.levels.arrays, (True, False), strict=True):
            codes = array[:, rows]
            place, of = np.nonzero(codes)
            stored = codes[place, of].astype(np.int32)
            steps = (_FLOOR - stored if floors else stored - 1) - zero[of]
            moved = np.rint(np.ldexp(steps, fewer[of])) + shifted[of]
            array[place, rows[of]] = (_FLOOR - moved if floors else moved + 1).astype(np.uint16)
