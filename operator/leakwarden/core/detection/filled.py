"""Whether a level is at its limit because of its load, as a pool is that more requests want to use than it has connections.

Another process in its place would be as full a minute later, so that an action does not help. Leaked connections are not
given back when the load falls. So where the load is known, the question is whether the present load, at the use per request
of earlier hours, fills the limit. Where it is not known, the question is whether the level has come back by itself
from as long a time at its limit before.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from leakwarden.core.detection.rollups import WIDTHS, Bools, Ints
from leakwarden.core.detection.state import DetectorState
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.model.readings import Floats
from leakwarden.core.signals.criteria import FULL

# The widths of bucket whose windows show the use per request: some hours, or the last day and more where it is known.
_HOURS = (4, 3, 2, 1)
_LEAST_BUCKETS = 5  # that were not full; of fewer the use per request is not known
_RECENT = 5  # minutes; the busiest of them counts, since the level has been at its limit for as long


class Filled(IntEnum):
    """Why a level at its limit is not taken for a leak."""

    NO = 0
    BY_LOAD = 1  # the present load fills it
    AS_BEFORE = 2  # the workload came back by itself from as long a time at its limit


def judge_full(state: DetectorState, gates: Gates, now: float) -> None:
    """Set since when each row is at its limit (`rows.full`), and the explanation (`rows.filled`).

    By the newest reading, as core/evaluation/threshold_judgement.py counts the time. Not asked of memory, where a process at its limit is killed, nor without a limit."""
    rows = state.rows.pick(slice(len(state)))
    with np.errstate(invalid="ignore"):
        full = (rows.value > FULL * rows.bound) & ~rows.memory & ~rows.past
    was = ~np.isnan(rows.full)
    if not full.any() and not was.any():
        return
    over = was & ~full
    np.maximum.at(state.spell, rows.group[over], now - rows.full[over])
    rows.full[over] = np.nan
    rows.full[full & ~was] = now
    rows.filled[:] = Filled.NO
    some = np.flatnonzero(full)
    if not len(some):
        return
    known, share = _share_of_load(state, some, now)
    rows.filled[some[known & (share >= gates.filled_share)]] = Filled.BY_LOAD
    short = now - rows.full[some] < gates.filled_longer * state.spell[rows.group[some]]
    rows.filled[some[~known & short]] = Filled.AS_BEFORE


def _share_of_load(state: DetectorState, rows: Ints, now: float) -> tuple[Bools, Floats]:
    """Whether the load and the use per request of each row are known, and the share of the limit that the present load
    uses at the use per request that the row had while it was not full."""
    of_row = state.rows
    age = now - state.origin[of_row.group[rows]]
    limit = of_row.limit[rows][:, None]
    present = _highest(
        state.cascade.mean_load(0, of_row.carrier[rows], (age // WIDTHS[0]).astype(np.int64))[:, -_RECENT:]
    )
    share = np.full(len(rows), np.nan)
    for k in _HOURS:
        open_rows = np.flatnonzero(np.isnan(share) & ~np.isnan(present))
        if not len(open_rows):
            break
        current = (age[open_rows] // WIDTHS[k]).astype(np.int64)
        window = state.cascade.window(k, rows[open_rows], current)
        load = state.cascade.mean_load(k, of_row.carrier[rows[open_rows]], current)
        with np.errstate(invalid="ignore", divide="ignore"):
            lo, hi = window.lo / limit[open_rows], window.hi / limit[open_rows]
            use = np.where((lo < FULL) & (load > 0), (lo + hi) / 2 / load, np.nan)
        count = np.count_nonzero(~np.isnan(use), axis=1)
        enough = np.flatnonzero(count >= _LEAST_BUCKETS)
        # A low one: the fixed part of the use counts least in the busiest buckets, and a leak least in the earliest.
        usual = np.sort(use[enough], axis=1)[np.arange(len(enough)), count[enough] // 4]
        share[open_rows[enough]] = present[open_rows[enough]] * usual
    return ~np.isnan(share), share


def _highest(values: Floats) -> Floats:
    """The highest known value of each row; NaN where none is known."""
    highest = np.where(np.isnan(values), -np.inf, values).max(axis=1)
    return np.where(np.isfinite(highest), highest, np.nan)
