"""The detector: one row for each incarnation of each process, judged together.

`advance` folds new readings in, `judge` gives the verdicts of now; both are a fixed number of array operations, whatever
the number of rows. Nothing here reads a clock: `now` is an argument, and only differences of times matter.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from leakwarden.core.detection.advance import NewReadings, advance
from leakwarden.core.detection.columns import Numbers
from leakwarden.core.detection.decision import (
    EXHAUSTING,
    HEALTHY,
    LEAKING,
    SUSPECT,
    UNKNOWN,
    VERDICTS,
    Context,
    Judged,
    decide,
)
from leakwarden.core.detection.filled import judge_full
from leakwarden.core.detection.measure import measure_windows
from leakwarden.core.detection.past import judge_by_the_past
from leakwarden.core.detection.rollups import WIDTHS, Ints
from leakwarden.core.detection.state import DetectorState, Key

__all__ = [
    "EXHAUSTING",
    "HEALTHY",
    "LEAKING",
    "SUSPECT",
    "UNKNOWN",
    "VERDICTS",
    "Context",
    "DetectorState",
    "Judged",
    "Key",
    "NewReadings",
    "advance",
    "judge",
]  # fmt: skip

_PART = 8_000  # rows measured at a time: forty arrays of 24 buckets of each are needed for it
_BROKEN = 3  # buckets without a reading, after which evaluations in a row are counted from zero


def judge(state: DetectorState, context: Context, now: float) -> Judged:
    """The verdicts of `now`. Windows are measured again only where a bucket has been completed since."""
    n = len(state)
    rows, widths = state.rows.pick(slice(n)), state.widths.pick(slice(n))
    judge_by_the_past(state, now)
    origin = state.origin[rows.group]
    age = now - origin
    limited = ~np.isnan(rows.limit)
    for k, width in enumerate(WIDTHS):
        current = (age // width).astype(np.int64)
        filled = rows.last - origin >= (current - 1) * width
        due = np.flatnonzero(limited & filled & (current > widths.done[:, k]) & (current > 0))
        if len(due):
            broken = due[current[due] - widths.done[due, k] > _BROKEN]
            widths.streak[broken, k] = 0
            widths.done[due, k] = current[due]
            for part in _parts(due, rows.group):
                measure_windows(state, context.gates, k, rows=part, current=current[part], now=now)
    judge_full(state, context.gates, now)
    return decide(state, context, now)


def _parts(due: Ints, group: Numbers) -> Iterator[Ints]:
    """The rows in parts of about `_PART`. The rows of a workload and signal stay together, since they are compared."""
    if len(due) <= _PART:
        yield due
        return
    due = due[np.argsort(group[due], kind="stable")]
    of = group[due]
    ends = np.flatnonzero(np.append(of[1:] != of[:-1], True)) + 1
    begin = 0
    while begin < len(due):
        end = int(ends[min(int(np.searchsorted(ends, begin + _PART)), len(ends) - 1)])
        yield due[begin:end]
        begin = end
