"""Whether many pods of a Deployment crossed a level for one reason outside of them.

A slow database fills the pools of all its clients within minutes: each goes from its usual level to the limit in a step. A
leak climbs, in each pod from that pod's own start. Restarting a pod that waits for a dependency does not help, so such
pods are suspected and never acted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leakwarden.core.model.readings import Points

# Crossings this close together have one cause, s. Scrapes and buckets alone spread one moment over two minutes.
TOGETHER = 300.0
# A step is done within this time, s: a pool of ten connections that hang for a minute each fills in a few.
STEP_TAKES = 300.0
# The time before the step for which readings are needed, s. With less, a climb could have begun before it.
KNOWN_BEFORE = 600.0
# Before a step readings move by no more than these shares of it: between their first and last third, and at any moment.
DRIFT, EXCURSION = 0.1, 0.25
# Readings that must be kept beyond the time that a threshold must hold, s.
REACH = KNOWN_BEFORE + STEP_TAKES + TOGETHER


@dataclass(frozen=True, slots=True)
class Crossing:
    """How the readings of one pod rose above the level. `at` in epoch s; `in_a_step`: suddenly, from a level that did
    not move before. False where that is unknown."""

    at: float
    in_a_step: bool


def crossing(points: Points, level: float) -> Crossing | None:
    """The newest crossing of the level; None where the newest reading is not above it."""
    t, v = points.t, points.v
    if not t.size or not v[-1] > level:
        return None
    below = np.flatnonzero(v <= level)
    first = int(below[-1]) + 1 if below.size else 0
    at = float(t[first])
    before = v[t < at - STEP_TAKES]
    known = at - STEP_TAKES - float(t[0])
    if before.size < 6 or known < KNOWN_BEFORE:
        return Crossing(at, in_a_step=False)
    usual = float(np.median(before))
    height = float(np.median(v[first:])) - usual
    third = before.size // 3
    drift = abs(float(np.median(before[-third:])) - float(np.median(before[:third])))
    excursion = float(np.max(np.abs(before - usual)))
    return Crossing(at, in_a_step=height > 0 and drift <= DRIFT * height and excursion <= EXCURSION * height)


def beginning(points: Points, max_gap: float, now: float) -> Crossing | None:
    """The begin of the time for which an alert has fired up to the newest reading; None where it does not fire. It is
    read only while it fires, so a gap longer than `max_gap` seconds, or a zero, is silence. An alert that has fired for
    longer than REACH may have begun before the stored readings, and then its begin is not known."""
    t = points.t
    if not t.size or now - t[-1] > max_gap or points.v[-1] == 0:
        return None
    broken = np.flatnonzero((np.diff(t) > max_gap) | (points.v[:-1] == 0))
    at = float(t[int(broken[-1]) + 1]) if broken.size else float(t[0])
    return Crossing(at, in_a_step=now - at <= REACH)


def is_shared(crossings: Sequence[Crossing | None], held_before: bool) -> bool:
    """Whether at least half of a Deployment's pods, and at least two, crossed the level together and in a step.

    `crossings` holds one for each pod; `held_before`: whether that was found before. It then holds for as long as so
    many are above the level, since the step itself drops out of the stored readings.
    """
    needed = max(2.0, len(crossings) / 2)
    above = [each for each in crossings if each is not None]
    if held_before and len(above) >= needed:
        return True
    steps = sorted(each.at for each in above if each.in_a_step)
    together = max((sum(at <= other <= at + TOGETHER for other in steps) for at in steps), default=0)
    return together >= needed
