"""The limit where a signal has none, or only a far one: several times the workload's own healthy past.

Goroutines and sockets have no limit, a heap has none where the container has none, and a million descriptors do not
limit a service that uses sixty. But each has a usual level, at which this workload was working. The level is stored at
some ages of the workload, each time only if none of its series grows like a leak, and after a day for good: a level
that follows a leak upwards would hide it. Growth to a multiple of it (`FOLDS`) is judged like growth towards a limit,
and called Leaking, never Exhausting, since no resource is known to be exhausted there.
"""

from __future__ import annotations

import numpy as np

from leakwarden.core.detection.rollups import Bools
from leakwarden.core.detection.state import DetectorState, Rows
from leakwarden.core.model.readings import Floats

# A limit that is more than so many times the usual level is not used: a process at its usual level would have to grow
# a hundredfold. At a tenth of this factor, limits that the bench's leaks do reach were not used.
FAR = 100.0
# ... until this share of the limit is used after all.
NEAR = 0.3
# A multiple of a level below so many least changes is not significant: ten goroutines may become fifty.
GRAINS = 20.0
# Ages of a workload, s, at which its usual level is stored: after ten minutes, and until it is a whole day old.
AGES = (600.0, 3600.0, 3 * 3600.0, 8 * 3600.0, 86_400.0)
# ... and the multiple of the level that is the limit from then on. The first day holds a morning and a batch; twice to
# three times as much is a busy day. A young workload still fills its caches: of composed worlds one went from 32 to 256
# goroutines in its first three hours, and one had its first batch, of eight times as much, after six.
FOLDS = (16.0, 12.0, 10.0, 8.0, 4.0)


def judge_by_the_past(state: DetectorState, now: float) -> None:
    """Set the limit that each row is judged by (`rows.limit`): its own (`rows.bound`), or a multiple of its past."""
    n = len(state)
    rows = state.rows.pick(slice(n))
    lacking = ~(rows.bound <= FAR * state.usual[rows.group])  # nor is NaN, where there is none
    if not lacking.any() and not rows.past.any():
        return
    _note_usual(state, rows, lacking, now)
    usual = state.usual[rows.group]
    near = np.zeros(len(state.usual), np.bool_)
    np.logical_or.at(near, rows.group, rows.value > NEAR * rows.bound)
    past = (np.isnan(rows.bound) | (rows.bound > FAR * usual)) & ~near[rows.group] & (usual > 0)
    limit = np.where(past, state.multiple[rows.group] * usual, rows.bound)
    _rescale(state, rows, limit)
    rows.past[:] = past


def _note_usual(state: DetectorState, rows: Rows, lacking: Bools, now: float) -> None:
    age = now - state.origin
    ages = np.append(np.asarray(AGES), np.inf)
    due = age >= ages[state.noted]
    due[np.isnan(state.origin)] = False
    if not due[rows.group[lacking]].any():
        return
    n = len(state)
    climbing = np.zeros(len(due), np.bool_)
    grows = state.widths.suspect[:n].any(axis=1) | (state.widths.streak[:n] > 0).any(axis=1) | ~np.isnan(rows.latched)
    np.logical_or.at(climbing, rows.group, grows)
    highest = np.zeros(len(due))
    grain = np.where(np.isfinite(rows.quantum), rows.quantum, 0.0)
    np.maximum.at(highest, rows.group, np.maximum(rows.peak, GRAINS * grain))
    raised = due & ~climbing & (highest > 0)
    state.usual[raised] = np.fmax(state.usual[raised], highest[raised])
    passed = np.searchsorted(np.asarray(AGES), age[due], side="right")
    state.noted[due] = passed
    state.multiple[due] = np.where(raised[due], np.asarray(FOLDS)[passed - 1], state.multiple[due])


def _rescale(state: DetectorState, rows: Rows, limit: Floats) -> None:
    """Shares of the former limit become shares of the present one."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = rows.limit / limit
    moved = np.isfinite(ratio) & (ratio != 1.0)
    if moved.any():
        for share in (rows.level, rows.floor, rows.top, rows.plateau):
            share[moved] *= ratio[moved]
        of_group = np.ones(len(state.usual))
        of_group[rows.group[moved]] = ratio[moved]
        state.known *= of_group[:, None]
        state.fall *= of_group[:, None]
    rows.limit[:] = limit
