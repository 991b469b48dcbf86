"""A level that must be exceeded by every reading for a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leakwarden.core.readings import Points


@dataclass(frozen=True, slots=True)
class Breach:
    """`held` is the seconds for which every reading lay above the level, up to the newest; 0 if the newest does not."""

    held: float
    level: float


def breach(points: Points, level: float, max_gap: float) -> Breach:
    """How long the readings have been above `level` without interruption.

    A gap longer than `max_gap` seconds starts the time anew: nobody knows what happened meanwhile, and after
    an outage of Prometheus a `for` clause that carries over fires on data it has not seen.
    """
    if points.t.size == 0 or not points.v[-1] > level:
        return Breach(0.0, level)
    below = np.flatnonzero(~(points.v > level))
    first = int(below[-1]) + 1 if below.size else 0
    gaps = np.flatnonzero(np.diff(points.t[first:]) > max_gap)
    if gaps.size:
        first += int(gaps[-1]) + 1
    return Breach(float(points.t[-1] - points.t[first]), level)


def resumed_at(points: Points, max_gap: float) -> float | None:
    """When the readings went on after their last hole longer than `max_gap` seconds, epoch s; None without one."""
    gaps = np.flatnonzero(np.diff(points.t) > max_gap)
    return float(points.t[int(gaps[-1]) + 1]) if gaps.size else None
