"""The limit where a signal has none, or only a far one: several times the workload's own healthy past.

Goroutines and sockets have no limit, a heap has none where the container has none, and a million descriptors do not
limit a service that uses sixty. But each has a usual level, at which this workload was working. The level is stored at
some ages of the workload, each time only if none of its series grows like a leak or has risen since the birth of its
process, and that of a whole day for good: a level that follows a leak upwards would hide it. Growth to a multiple of it
(`FOLD`) is judged like growth towards a limit, and called Leaking, never Exhausting, since no resource is known to be
exhausted there. Before that day, and as long as it rises from its birth on, more is asked of a workload: growth that has been one line since the birth of its
process and has lasted for hours (`is_beyond_its_first_day` in core/detection/questions.py), or a higher multiple.

A leak that is fast beside the level at birth has risen at each of those ages, so that no level would ever be stored. The
first one is then taken for the measure of growth since birth, and of no other growth. Sockets of such a workload are
judged by the local ports as well, when they have used up a part of them.
"""

from __future__ import annotations

import numpy as np

from leakwarden.core.detection.columns import Rows
from leakwarden.core.detection.rollups import DAY, SLOTS, WIDTHS, Bools, Ints
from leakwarden.core.detection.runs_out import LOCAL_PORTS
from leakwarden.core.detection.state import DetectorState
from leakwarden.core.model.readings import Floats

# A limit that is more than so many times the usual level is not used: a process at its usual level would have to grow
# a hundredfold. At a tenth of this factor, limits that the bench's leaks do reach were not used.
FAR = 100.0
# ... until this share of the limit is used after all.
NEAR = 0.3
# A multiple of a level below so many least changes is not significant: ten goroutines may become fifty.
GRAINS = 20.0
# So few readings need not have shown the least change yet; what is counted changes by one.
_FEW = 12
# Ages of a workload, s, at which its usual level is stored: after ten minutes, until it is a whole day old, and later
# where its level still rose then.
AGES = (600.0, 3600.0, 3 * 3600.0, 8 * 3600.0, *(86_400.0 * 2**days for days in range(5)))
# The multiple of the usual level that is the limit. Twice to three times as much is a busy day.
FOLD = 4.0
# ... and the multiples that growth must exceed which does not come from the birth of its process, by the age at which
# the level was stored. The first day holds a morning and a batch, and a young workload still fills its caches: of
# composed worlds one went from 32 to 256 goroutines in its first three hours, and one had its first batch, of eight
# times as much, after six.
FOLDS = (16.0, 12.0, 10.0, 8.0, *(FOLD for _ in AGES[4:]))
# At this share of the multiple such growth is reported: within a tenth of it, as levels without a known load are.
NEARLY = 0.85
# A level that has risen from each fifth of its life to the next, by this share of itself in all, may be a leak from the
# first minute on, and is not taken as the usual one.
_PARTS, _RISEN = 5, 0.15
_AT_ONCE = 8_000  # rows of which windows are looked at together


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
    ports = past & _by_ports(state, rows)
    limit = np.where(ports, LOCAL_PORTS, np.where(past, FOLD * usual, rows.bound))
    _rescale(state, rows, limit)
    rows.past[:] = past
    rows.far[:] = np.where(past & ~ports, NEARLY * state.multiple[rows.group] / FOLD, 0.0)


def _by_ports(state: DetectorState, rows: Rows) -> Bools:
    """Whether a row is sockets that are judged by the local ports: no usual level is known, and the highest of the
    workload's pods has used up a part of them (`NEAR`), and not more than there are, as connections to several addresses do."""
    sockets = np.array([signal.name == "Sockets" for signal in state.signals], np.bool_)[rows.signal]
    highest = np.zeros(len(state.usual))
    np.maximum.at(highest, rows.group[sockets], np.nan_to_num(rows.value[sockets]))
    near = np.isinf(state.multiple) & (highest > NEAR * LOCAL_PORTS) & (highest < LOCAL_PORTS)
    return np.asarray(sockets & near[rows.group])


def _note_usual(state: DetectorState, rows: Rows, lacking: Bools, now: float) -> None:
    age = now - state.origin
    ages = np.append(np.asarray(AGES), np.inf)
    due = (age >= ages[state.noted]) & (state.multiple != FOLD)  # a whole day's level is kept for good
    due[np.isnan(state.origin)] = False
    if not due[rows.group[lacking]].any():
        return
    n = len(state)
    climbing = np.zeros(len(due), np.bool_)
    grows = state.widths.suspect[:n].any(axis=1) | (state.widths.streak[:n] > 0).any(axis=1) | ~np.isnan(rows.latched)
    asked = np.flatnonzero(due[rows.group] & lacking & ~grows)
    grows[asked[_rises_since_birth(state, asked, age[rows.group[asked]])]] = True
    np.logical_or.at(climbing, rows.group, grows)
    highest = np.zeros(len(due))
    grain = np.where(np.isfinite(rows.quantum), rows.quantum, 0.0)
    grain = np.where(rows.seen < _FEW, np.minimum(grain, 1.0), grain)
    np.maximum.at(highest, rows.group, np.maximum(rows.peak, GRAINS * grain))
    raised = due & ~climbing & (highest > 0)
    rising = due & climbing & (highest > 0) & ~(state.usual > 0)
    state.usual[raised] = np.fmax(state.usual[raised], highest[raised])
    state.usual[rising] = highest[rising]
    state.multiple[rising] = np.inf  # only growth since birth exceeds it (`is_beyond_its_first_day`)
    passed = np.searchsorted(np.asarray(AGES), age[due], side="right")
    state.noted[due] = passed
    state.multiple[due] = np.where(raised[due], np.asarray(FOLDS)[passed - 1], state.multiple[due])


def _rises_since_birth(state: DetectorState, rows: Ints, age: Floats) -> Bools:
    """Whether the floors of each process have risen in every part of its life. `age`: of its workload, s."""
    found = np.zeros(len(rows), np.bool_)
    widest = np.minimum(np.searchsorted(np.asarray(WIDTHS) * SLOTS, age), DAY - 1)  # the width that holds the whole age
    for k in np.unique(widest):
        for here in _in_parts(np.flatnonzero(widest == k)):
            lo = state.cascade.window(k, rows[here], (age[here] // WIDTHS[k]).astype(np.int64)).lo
            there = ~np.isnan(lo)
            first = np.argmax(there, axis=1)[:, None]
            part = (np.arange(SLOTS) - first) * _PARTS // np.maximum(SLOTS - first, 1)
            lows = np.stack([np.where(there & (part == i), lo, np.inf).min(axis=1) for i in range(_PARTS)], axis=1)
            with np.errstate(invalid="ignore"):
                risen = (np.diff(lows, axis=1) > 0).all(axis=1) & (lows[:, -1] > (1 + _RISEN) * lows[:, 0])
            found[here] = risen & np.isfinite(lows).all(axis=1)
    return found


def _in_parts(rows: Ints) -> list[Ints]:
    """Windows of all rows at once would take a kilobyte of each."""
    return np.array_split(rows, -(-len(rows) // _AT_ONCE))


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
