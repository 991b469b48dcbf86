"""Load against latency and memory of one pod: the measured curve, its knee, and the load that the pod sustains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leakwarden.core.model.readings import Floats

# The most groups of measurements by load: each then holds enough for a median.
_GROUPS = 12
# A bend is a knee where the latency beyond it at least doubles; noise bends a flat line too.
KNEE_RISE = 2.0
# How far the curve must lie below the straight line between its ends, both scaled to 1 (Kneedle's difference).
KNEE_DEPTH = 0.2
MOST_ERRORS = 0.01  # share of requests that may fail where a load counts as carried
MOST_PAIRED = 400  # readings that Theil-Sen's slope is taken over
LEAST_READINGS = 60  # of a run, for a slope of its memory: over only a few collections' sawtooth no slope can be seen


@dataclass(frozen=True, slots=True)
class Measured:
    """One pod over a while. `qps` requests/s answered; `p99` seconds, `memory` bytes and `errors` (a share) None where
    they are not known."""

    qps: float
    p99: float | None = None
    memory: float | None = None
    errors: float | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """The medians of measurements at about one load."""

    qps: float
    p99: float | None
    memory: float | None
    errors: float | None
    measurements: int


@dataclass(frozen=True, slots=True)
class Line:
    """`base` bytes without load, and `per_qps` bytes more for each request/s."""

    base: float
    per_qps: float

    def at(self, qps: float) -> float:
        return self.base + self.per_qps * qps


@dataclass(frozen=True, slots=True)
class Sustained:
    """The highest load per pod that was carried within the objective. `bounded`: a higher load was measured and failed,
    so this is the capacity; else the pod carries at least this load, and no higher one was measured."""

    qps: float
    bounded: bool


def points(measured: Sequence[Measured]) -> list[Point]:
    """By load, ascending: one for each load where there are few, else in groups of equal number."""
    usable = sorted((one for one in measured if np.isfinite(one.qps) and one.qps > 0), key=lambda one: one.qps)
    if not usable:
        return []
    groups = np.array_split(np.arange(len(usable)), min(_GROUPS, len(usable)))
    return [_median([usable[i] for i in group]) for group in groups]


def _median(group: Sequence[Measured]) -> Point:
    def of(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None and np.isfinite(value)]
        return float(np.median(known)) if known else None

    return Point(
        qps=float(np.median([one.qps for one in group])),
        p99=of([one.p99 for one in group]),
        memory=of([one.memory for one in group]),
        errors=of([one.errors for one in group]),
        measurements=len(group),
    )


def knee(curve: Sequence[Point]) -> float | None:
    """The load from which on latency rises steeply, requests/s; None where no such load was measured.

    Kneedle (Satopaa, Albrecht, Irwin, Raghavan 2011) for a convex, rising curve: the point farthest below the straight
    line between the curve's ends, with both axes scaled to 1.
    """
    known = [(point.qps, point.p99) for point in curve if point.p99 is not None]
    if len(known) < 4:
        return None
    x, y = np.array([q for q, _ in known]), np.maximum.accumulate(np.array([p for _, p in known]))
    if x[-1] <= x[0] or y[-1] <= y[0]:
        return None
    distance = (x - x[0]) / (x[-1] - x[0]) - (y - y[0]) / (y[-1] - y[0])
    at = int(distance.argmax())
    if distance[at] < KNEE_DEPTH or y[-1] < KNEE_RISE * y[at]:
        return None
    return float(x[at])


def sustained(curve: Sequence[Point], objective: float) -> Sustained | None:
    """The load that a pod carries with a P99 of at most `objective` seconds and hardly an error; None where not even
    the lowest load was carried, or no latency is known. A load counts only where all lower ones were carried too."""
    carried: float | None = None
    for point in curve:
        if point.p99 is None:
            continue
        if point.p99 > objective or (point.errors or 0.0) > MOST_ERRORS:
            return Sustained(carried, True) if carried is not None else None
        carried = point.qps
    bend = knee(curve)
    if carried is not None and bend is not None and bend < carried:
        return Sustained(bend, True)
    return Sustained(carried, False) if carried is not None else None


def memory_line(curve: Sequence[Point]) -> Line | None:
    """Theil-Sen's line (the median of all slopes between two points), which single outliers do not turn."""
    known = [(point.qps, point.memory) for point in curve if point.memory is not None]
    if not known:
        return None
    x, y = np.array([q for q, _ in known]), np.array([m for _, m in known])
    slope = max(0.0, _theil_sen(x, y)) if len(known) > 1 else 0.0
    return Line(base=max(0.0, float(np.median(y - slope * x))), per_qps=slope)


def _theil_sen(x: Floats, y: Floats) -> float:
    if x.size > MOST_PAIRED:  # pairs grow with the square
        chosen = np.linspace(0, x.size - 1, MOST_PAIRED).round().astype(int)
        x, y = x[chosen], y[chosen]
    i, j = np.triu_indices(x.size, 1)
    apart = x[j] > x[i]
    return float(np.median((y[j] - y[i])[apart] / (x[j] - x[i])[apart])) if apart.any() else 0.0


def memory_per_million(runs: Sequence[tuple[Floats, Floats]]) -> float | None:
    """Bytes that memory grows by for each million requests, 0 where it does not; the median of all runs.

    A run is one process: the requests answered so far, and at the same moments its memory in bytes without the part
    that the present load explains. None where no run has enough readings.
    """
    long_enough = [(x, y) for x, y in runs if x.size >= LEAST_READINGS and x[-1] > x[0]]
    if not long_enough:
        return None
    return float(np.median([_lasting_slope(x, y) for x, y in long_enough])) * 1e6


def _lasting_slope(x: Floats, y: Floats) -> float:
    """The lesser slope of both halves, 0 at least: warming up grows memory in the first half only."""
    half = x.size // 2
    return max(0.0, min(_theil_sen(x[:half], y[:half]), _theil_sen(x[half:], y[half:])))
