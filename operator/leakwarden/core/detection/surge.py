"""A climb of minutes that follows a quiet time.

A leak that begins in the middle of a process's life and is over within 8 to 40 minutes never fills a window: most of the
window is the quiet time before it, so that the whole is neither straight nor steep. Only the latest minutes are. They are
one line, longer and straighter than a burst climbs, and so steep that the limit is near.

The line is the least-squares line over the latest buckets, over as many of them as possible.

It is looked for in what is counted, and not in memory: between two collections a healthy heap climbs as straight.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from leakwarden.core.detection.climb import latest_lines
from leakwarden.core.detection.rollups import SLOTS, Bools, Ints
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.detection.trend import Z
from leakwarden.core.model.readings import Floats

# Buckets of the line at the least: half of the life of the shortest leak that can be told in time.
LEAST = 7
# Minutes of a process that do not count, its first ones: it warms up.
BEFORE = 4
# The latest buckets, of which the highest floor or ceiling is the present one.
_LATEST = 3


@dataclass(frozen=True, slots=True)
class Surge:
    """One value per window; infinite times, and zeros, where there is none."""

    ahead: Floats  # time to the limit over the time for which the line was seen
    left: Floats  # buckets until the ceiling reaches the limit along the line
    room: Floats  # from the ceiling to the limit
    slope_low: Floats  # share of the limit per bucket
    slope_high: Floats
    seen: Floats  # buckets of the line
    straight: Floats  # growth over the error of the line

    @classmethod
    def none(cls, rows: int) -> Surge:
        never, zero = np.full(rows, np.inf), np.zeros(rows)
        return cls(never, never.copy(), *(zero.copy() for _ in fields(cls)[2:]))

    def put(self, rows: Ints, some: Surge) -> None:
        """Set the values of some rows."""
        for of in fields(self):
            getattr(self, of.name)[rows] = getattr(some, of.name)


def may_surge(gates: Gates, lo: Floats) -> Bools:
    """(rows,) a cheap look at (rows, 24) floors: whether the latest are so far above the lowest."""
    lowest = np.where(np.isnan(lo), np.inf, lo).min(axis=1)
    return np.asarray(_latest(lo) - lowest >= gates.surge_growth)


def surge(gates: Gates, lo: Floats, hi: Floats, left: Floats) -> Surge:
    """Of (rows, 24) floors, ceilings and the part `left` of the floors that the load does not explain.

    The growth along the line must be `surge_growth` of the limit, and `surge_straight` times the error of the line. A
    parabola from its vertex on is 13 times its error straight, a flat quarter before a rise 17 times. At least half of
    the growth must be left without the load's part."""
    found = Surge.none(len(lo))
    some = np.flatnonzero(may_surge(gates, lo))
    if not len(some):
        return found
    line = latest_lines(lo[some])
    of_left = latest_lines(left[some])
    seen = np.arange(SLOTS)
    good = (seen + 1 >= LEAST) & (line.n >= 0.8 * (seen + 1)) & (line.n[:, -1:] - line.n >= BEFORE)
    good &= (line.growth >= gates.surge_growth) & (line.growth > gates.surge_straight * line.error)
    good &= of_left.growth >= gates.left_half * line.growth
    room = np.maximum(1.0 - _latest(hi[some]), 0.0)
    which = np.flatnonzero(good.any(axis=1))
    longest = SLOTS - 1 - np.argmax(good[which, ::-1], axis=1)
    slope, error, room = line.growth[which, longest] / longest, line.error[which, longest], room[which]
    # The standard error of a least-squares slope over evenly spaced buckets.
    wide = Z * error * np.sqrt(12.0 / (longest + 1.0) ** 3)
    ends = room / slope
    shown = Surge(
        ends / longest, ends, room, np.maximum(slope - wide, slope / 10), slope + wide, seen=longest.astype(np.float64),
        straight=line.growth[which, longest] / np.maximum(error, 1e-9),
    )  # fmt: skip
    found.put(some[which], shown)
    return found


def _latest(values: Floats) -> Floats:
    part = values[:, -_LATEST:]
    return np.asarray(np.where(np.isnan(part), -np.inf, part).max(axis=1))
