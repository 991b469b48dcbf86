"""A level that must be exceeded by every reading for a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leakwarden.core.model.readings import Floats, Points


@dataclass(frozen=True, slots=True)
class Breach:
    """`held` is the seconds for which every reading lay above the level, up to the newest; 0 if the newest does not."""

    held: float
    level: float


def held_above(t: Floats, v: Floats, level: float, max_gap: float | Floats) -> Floats:
    """For each reading, for how long up to it the readings have been above `level` without interruption; 0 where it is
    not. `t` in seconds, ascending; `v` without NaN.

    A gap longer than `max_gap` seconds (one number for all, or one number per gap) starts the time again: the readings
    in between are not known, and after an outage of Prometheus a `for` clause that carries over would fire without
    data.
    """
    above = v > level
    goes_on = np.append(False, above[:-1] & (np.diff(t) <= max_gap))
    first = np.maximum.accumulate(np.where(above & ~goes_on, np.arange(t.size), 0))
    return np.where(above, t - t[first], 0.0)


def breach(points: Points, level: float, max_gap: float) -> Breach:
    """How long the readings have been above `level` up to the newest."""
    if points.t.size == 0 or not points.v[-1] > level:
        return Breach(0.0, level)
    return Breach(float(held_above(points.t, points.v, level, max_gap)[-1]), level)


def resumed_at(points: Points, max_gap: float) -> float | None:
    """When the readings went on after their last gap longer than `max_gap` seconds, epoch s; None without one."""
    gaps = np.flatnonzero(np.diff(points.t) > max_gap)
    return float(points.t[int(gaps[-1]) + 1]) if gaps.size else None
