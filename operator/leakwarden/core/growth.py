"""Steady growth towards a limit: slope of the floor, with an interval, and the time that is left.

The floor is the minimum per bucket: garbage, bursts and requests in flight live above it, and a leak lifts it.
The slope is Theil-Sen's median of pairwise slopes, whose interval comes from Kendall's statistic (Sen, 1968,
"Estimates of the regression coefficient based on Kendall's tau"); it does not bend to outliers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from leakwarden.core.judgement import Interval
from leakwarden.core.readings import Floats, Points

BUCKETS = 24  # pairs grow with the square; 24 buckets give 276 slopes, enough for a 95 % interval
LEAST_POINTS = 10  # below this Sen's interval does not exclude zero for a clean line with one outlier
LEAST_COVERAGE = 0.5  # of the window; a younger process has not shown whether it levels off
THIRDS = 3  # growth must hold in each third of the window, or it is a step or a ramp that ended
LEAST_RISE = 0.05  # of the head-room at the window's start; less is within what load explains


@dataclass(frozen=True, slots=True)
class TooLittle:
    """Growth cannot be judged yet; `message` says what is missing."""

    message: str


@dataclass(frozen=True, slots=True)
class Trend:
    """`per_hour` the slope's 95 % interval in units an hour, `sustained` whether it is growth and not a step."""

    slope_per_hour: float
    per_hour: Interval
    sustained: bool
    floor: float  # the newest bucket's minimum


def floors(points: Points, width: float) -> tuple[Floats, Floats]:
    """Minimum per bucket of `width` seconds; times are those of the newest reading of each bucket."""
    index = np.floor((points.t - points.t[0]) / width).astype(np.int64)
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    ends = np.append(starts[1:], points.t.size) - 1
    return points.t[ends], np.minimum.reduceat(points.v, starts)


def _sen(t: Floats, v: Floats) -> tuple[float, float, float]:
    """Slope per second and its 95 % interval."""
    n = t.size
    i, j = np.triu_indices(n, 1)
    slopes = np.sort((v[j] - v[i]) / (t[j] - t[i]))
    spread = 1.96 * float(np.sqrt(n * (n - 1) * (2 * n + 5) / 18))
    low = int(max(0, np.floor((slopes.size - spread) / 2)))
    high = int(min(slopes.size - 1, np.ceil((slopes.size + spread) / 2)))
    return float(np.median(slopes)), float(slopes[low]), float(slopes[high])


def trend(points: Points, window: float, now: float) -> Trend | TooLittle:
    """The trend of the readings within `window` seconds before `now`."""
    recent = points.t > now - window
    seen = Points(points.t[recent], points.v[recent])
    if seen.t.size < LEAST_POINTS:
        return TooLittle(f"{seen.t.size} of {LEAST_POINTS} readings")
    span = float(seen.t[-1] - seen.t[0])
    if span < LEAST_COVERAGE * window:
        return TooLittle(f"readings of {span / 60:.0f}m of {LEAST_COVERAGE * window / 60:.0f}m")
    t, v = floors(seen, window / BUCKETS)
    if t.size < LEAST_POINTS // 2:
        return TooLittle("readings in too few parts of the window")
    slope, low, high = _sen(t, v)
    thirds = np.array_split(np.arange(t.size), THIRDS)
    levels = [float(np.median(v[part])) for part in thirds]
    sustained = low > 0 and all(later > earlier for earlier, later in pairwise(levels))
    # A plateau decelerates: the last step is much smaller than the first.
    if sustained and (levels[-1] - levels[-2]) < 0.4 * (levels[1] - levels[0]):
        sustained = False
    return Trend(slope * 3600, Interval(low * 3600, high * 3600), sustained, float(v[-1]))


def time_left(found: Trend, limit: float) -> Interval:
    """Seconds until the floor reaches `limit` at the slope's interval; infinite where it may never."""
    room = max(0.0, limit - found.floor)
    low = room / (found.per_hour.high / 3600) if found.per_hour.high > 0 else float("inf")
    high = room / (found.per_hour.low / 3600) if found.per_hour.low > 0 else float("inf")
    return Interval(low, high)


def rise_matters(points: Points, window: float, now: float, limit: float) -> bool:
    """Whether the window's growth ate a share of the head-room worth speaking of."""
    recent = points.v[points.t > now - window]
    if recent.size < 2:
        return False
    third = max(1, recent.size // 3)
    before, after = float(recent[:third].min()), float(recent[-third:].min())
    return after - before > LEAST_RISE * max(limit - before, 1e-9)
