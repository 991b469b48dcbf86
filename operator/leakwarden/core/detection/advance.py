"""Fold new readings into the detector's state."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from leakwarden.core.detection.rollups import Ints
from leakwarden.core.detection.state import DetectorState
from leakwarden.core.model.readings import Floats

_PART = 200_000  # readings folded at a time


@dataclass(frozen=True, slots=True)
class NewReadings:
    """New readings, in any order."""

    row: Ints  # as from `DetectorState.row`
    t: Floats  # epoch s
    v: Floats  # in the signal's unit; NaN for a missing scrape
    rate: Floats  # requests/s, or NaN
    gc: Floats  # completed cycles, or NaN
    rss: Floats | None = None  # the part of `v` that cannot be reclaimed, or NaN; None where it is known of none


def advance(state: DetectorState, points: NewReadings, now: float) -> None:
    """Fold in readings not later than `now`. Readings at or before a row's latest are duplicates and ignored, values
    that are not finite are missing scrapes and ignored."""
    of_row = state.rows
    v = _without_page_cache(state, points, now)
    good = np.isfinite(v) & (points.t <= now) & (points.t > of_row.last[points.row])
    if not good.any():
        return
    row, t, rest = points.row, points.t, (v, points.rate, points.gc)
    if not good.all():
        row, t, rest = row[good], t[good], (v[good], points.rate[good], points.gc[good])
    # Sorting is half of the work; the readings of a source that answers series by series are sorted already.
    if np.any((row[1:] < row[:-1]) | (row[1:] == row[:-1]) & (t[1:] < t[:-1])):
        order = np.lexsort((t, row))
        row, t, rest = row[order], t[order], (rest[0][order], rest[1][order], rest[2][order])
    # One part at a time: readings that fit into the processor's cache are folded three times as fast.
    edges = np.flatnonzero(np.append(row[1:] != row[:-1], True)) + 1
    wanted = np.searchsorted(edges, np.arange(_PART, edges[-1] + _PART, _PART))
    cuts = np.unique(edges[np.minimum(wanted, len(edges) - 1)])
    for begin, end in pairwise([0, *cuts.tolist()]):
        part = slice(begin, end)
        _fold(state, row[part], t[part], v=rest[0][part], rate=rest[1][part], gc=rest[2][part])


def _without_page_cache(state: DetectorState, points: NewReadings, now: float) -> Floats:
    """The readings to judge: RSS instead of a working set, which holds page cache, as soon as a row has shown its RSS.
    From then on a reading without RSS is a missing scrape: the two differ in level, and are not mixed in one line."""
    if points.rss is None:
        return points.v
    of_row, row = state.rows, points.row
    rss = np.minimum(points.rss, points.v)  # a process also counts pages that it shares with others
    known = np.flatnonzero(~np.isnan(rss) & of_row.cached[row] & (points.t <= now))
    if not len(known):
        return np.where(of_row.resident[row], np.nan, points.v)
    latest = known[np.argsort(points.t[known], kind="stable")]  # of several readings of a row the last one is kept
    of_row.resident[row[known]] = True
    of_row.cache[row[latest]] = points.v[latest] - rss[latest]
    return np.where(of_row.resident[row], rss, points.v)


def _fold(state: DetectorState, row: Ints, t: Floats, *, v: Floats, rate: Floats, gc: Floats) -> None:
    """Readings sorted by row and time, later than all before."""
    of_row = state.rows
    same = np.append(False, row[1:] == row[:-1])
    again = same & np.append(False, t[1:] == t[:-1])
    if again.any():
        row, t, v, rate, gc, same = (a[~again] for a in (row, t, v, rate, gc, same))
    starts = np.flatnonzero(~same)
    ends = np.append(starts[1:], len(row)) - 1
    who = row[starts]

    def before(values: Floats, column: Floats) -> Floats:
        earlier = np.empty_like(values)
        earlier[1:] = values[:-1]
        earlier[starts] = column[who]
        return earlier

    floor = v
    # A collection frees memory and nothing else: a pool's connections are in use whether it has run or not.
    gc = np.where(of_row.memory[row], gc, np.nan)
    counts = ~np.isnan(gc)
    if counts.any():  # only the reading right after a collection shows the live memory
        collected = before(gc, of_row.gc)
        floor = np.where(~counts | (gc != collected) & ~np.isnan(collected), v, np.inf)
        of_row.gc[who] = np.where(np.isnan(gc[ends]), of_row.gc[who], gc[ends])
    gap = (t - before(t, of_row.last))[ends]
    usual = np.where(np.isfinite(gap), gap, np.nan)
    step = of_row.step[who]
    # The scrape interval, followed slowly and never up by an outage.
    of_row.step[who] = np.where(
        np.isnan(step), usual, np.where(np.isnan(usual), step, 0.8 * step + 0.2 * np.minimum(usual, 2 * step))
    )
    change = np.abs(v - before(v, of_row.value))
    change[~(change > 0)] = np.inf  # nor is NaN, of a first reading, above zero
    of_row.quantum[who] = np.minimum(of_row.quantum[who], np.minimum.reduceat(change, starts))
    of_row.first[who] = np.where(np.isnan(of_row.first[who]), t[starts], of_row.first[who])
    of_row.last[who], of_row.value[who] = t[ends], v[ends]
    of_row.peak[who] = np.maximum(of_row.peak[who], np.maximum.reduceat(v, starts))
    of_row.seen[who] += ends - starts + 1
    age = t - state.origin[of_row.group[row]]
    state.cascade.fold(row, of_row.carrier[: len(state)], age, floor=floor, value=v, load=rate)
