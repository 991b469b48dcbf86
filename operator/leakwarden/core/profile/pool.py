"""The diagnosis of a database pool from its go_sql_* series: leaked connections, or only more work.

Connections in use are the rate of calls times how long each holds one (Little's law). So they grow for three reasons:
more calls, slower calls, or calls that never return their connection. The first shows in the rate; the second levels
off, because a slower call ends too; only the third goes on at a flat rate. A less clear case is not called a leak.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from leakwarden.core.model.readings import Floats, Points

LEAST_POINTS = 12
BUCKETS = 24
# Mann and Kendall's statistic in standard deviations; one in 2,000 by chance, and more often where load has waves,
# which the statistic ignores.
SURE = 3.3
# A rate that grows by no more than this part of itself counts as flat; calls that hold a connection vary as much from
# day to day.
FLAT = 0.1
# The rise that is worth reporting: connections, and a part of the pool.
LEAST_RISE, LEAST_PART = 2.0, 0.1


class PoolState(StrEnum):
    NOT_CLOSED = "NotClosed"
    BUSY = "Busy"  # grows with the calls
    STEADY = "Steady"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool's series, of one window. `in_use`, `idle` and `opened` in connections, `queries` in calls per second,
    `waits` and `expired` (closed for their maximal lifetime) counters. `limit` is max open connections; None or 0 where
    there is none. `calls` is what `queries` counts, in the words of the message."""

    in_use: Points
    queries: Points | None
    limit: float | None = None
    waits: Points | None = None
    idle: Points | None = None
    opened: Points | None = None
    expired: Points | None = None
    calls: str = "queries"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    state: PoolState
    message: str
    growth_per_hour: float | None = None  # connections


def diagnose(pool: Pool) -> Diagnosis:
    """Whether rows or transactions are left open. Series that are missing or too short are Unknown."""
    if pool.queries is None:
        return Diagnosis(PoolState.UNKNOWN, f"the rate of {pool.calls} is not known, so growth may be load")
    if min(pool.in_use.t.size, pool.queries.t.size) < LEAST_POINTS:
        return Diagnosis(PoolState.UNKNOWN, f"fewer than {LEAST_POINTS} readings")
    limit = pool.limit if pool.limit and pool.limit > 0 else None
    times, floor = _floors(_until_full(pool.in_use, limit))
    if floor.size < LEAST_POINTS // 2:
        return Diagnosis(PoolState.UNKNOWN, "the pool was full from the start, so how it filled was not seen")
    least = max(LEAST_RISE, LEAST_PART * limit if limit else 0.0)
    thirds = [float(np.median(part)) for part in np.array_split(floor, 3)]
    rise = thirds[2] - thirds[0]
    if _kendall(floor) < SURE or rise < least:
        return Diagnosis(PoolState.STEADY, f"{_now(pool, limit)} in use, not growing")
    per_hour = float(np.polyfit(times - times[0], floor, 1)[0]) * 3600
    rates = [float(np.median(part)) for part in np.array_split(pool.queries.v, 3)]
    gain = (rates[2] - rates[0]) / rates[0] if rates[0] > 0 else (1.0 if rates[2] > 0 else 0.0)
    if gain > FLAT:
        message = f"{_now(pool, limit)} in use, growing with the {pool.calls}, {gain:+.0%}"
        return Diagnosis(PoolState.BUSY, message, per_hour)
    # Slower calls lift the number once; a leak goes on, and its later thirds grow like the earlier.
    if thirds[2] - thirds[1] < 0.5 * (thirds[1] - thirds[0]):
        return Diagnosis(PoolState.STEADY, f"{_now(pool, limit)} in use: risen, and levelled off", per_hour)
    message = (
        f"rows or transactions are not closed: {_now(pool, limit)} in use, {per_hour:+.1f} an hour"
        f" while the rate of {pool.calls} went {gain:+.0%}"
    )
    return Diagnosis(PoolState.NOT_CLOSED, message + _waiting(pool), per_hour)


def _now(pool: Pool, limit: float | None) -> str:
    idle = f" ({pool.idle.v[-1]:.0f} idle)" if pool.idle is not None and pool.idle.v.size else ""
    return f"{pool.in_use.v[-1]:.0f}" + (f" of {limit:.0f}" if limit else "") + f" connections{idle}"


def _waiting(pool: Pool) -> str:
    if pool.waits is None or pool.waits.v.size < 2:
        return ""
    waited = _counted(pool.waits)
    return f"; {waited:.0f} calls had to wait for one" if waited > 0 else ""


def _counted(counter: Points) -> float:
    """The rise of a counter; where it fell, it began again with its process."""
    return float(np.sum(np.maximum(np.diff(counter.v), 0.0)))


def described(pool: Pool) -> str:
    """The pool's numbers and the diagnosis, in one line."""
    parts = [f"{pool.in_use.v[-1]:.0f} in use"]
    if pool.limit and pool.limit > 0:
        parts[0] += f" of at most {pool.limit:.0f}"
    parts += [
        f"{points.v[-1]:.0f} {word}"
        for word, points in (("open", pool.opened), ("idle", pool.idle))
        if points is not None and points.v.size
    ]
    seconds = float(pool.in_use.t[-1] - pool.in_use.t[0])
    counted = [
        f"{_counted(points):.0f} {word}"
        for word, points in (("waits", pool.waits), ("closed for their lifetime", pool.expired))
        if points is not None and points.v.size > 1
    ]
    if counted:
        parts.append(f"{' and '.join(counted)} within {seconds / 60:.0f}m")
    return f"{', '.join(parts)}; {diagnose(pool).message}"


def _until_full(points: Points, limit: float | None) -> Points:
    """A full pool cannot grow: only the time until it was full is judged."""
    if limit is None:
        return points
    full = np.flatnonzero(points.v >= limit)
    end = int(full[0]) + 1 if full.size else points.v.size
    return Points(points.t[:end], points.v[:end])


def _floors(points: Points) -> tuple[Floats, Floats]:
    """The minimum of each of up to 24 parts, and its time: bursts are above it, leaked connections lift it."""
    parts = [part for part in np.array_split(np.arange(points.v.size), BUCKETS) if part.size]
    lowest = np.array([part[int(np.argmin(points.v[part]))] for part in parts], dtype=np.intp)
    return points.t[lowest], points.v[lowest]


def _kendall(values: Floats) -> float:
    """Mann and Kendall's trend statistic in standard deviations, corrected for ties."""
    n = values.size
    i, j = np.triu_indices(n, 1)
    score = float(np.sum(np.sign(values[j] - values[i])))
    _, ties = np.unique(values, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - float(np.sum(ties * (ties - 1) * (2 * ties + 5)))) / 18
    return (abs(score) - 1) / variance**0.5 * np.sign(score) if variance > 0 and score else 0.0
