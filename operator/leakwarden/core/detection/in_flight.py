"""Whether what has grown comes and goes, as requests in flight do, or stays, as a leak does.

Requests that wait for a slow dependency are in flight: their number is rate times latency (Little, Operations Research
9, 1961), so it climbs for as long as the dependency gets slower, at any request rate. But none of them stays for long.
The number therefore spreads within a bucket by its square root at least (Poisson's law), and by its share of any noise
of the rate, so the spread grows with the level. Leaked things stay, and stay for good: they lift floor and ceiling
alike, and the spread remains that of the work that was there before.

Where the spread grows only because the traffic does, it grows no more than the rate.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from leakwarden.core.detection.held import expected_range
from leakwarden.core.detection.rollups import SLOTS, Bools, Ints
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.detection.trend import median_rows
from leakwarden.core.model.readings import Floats

_THIRD = SLOTS // 3
# Between the levels that are compared; with less, the spreads differ too little to tell.
_LEAST_RATIO = 1.3
# The rise of the load within some hours that no morning brings, and the part of the level's rise that it must be.
_MUCH, _AS_MUCH = 3.0, 0.7


def in_flight(
    gates: Gates, lo: Floats, hi: Floats, *, load: Floats, readings: Floats, quantum: Floats, group: Ints
) -> Bools:
    """(rows,) whether the growth of (rows, 24) floors `lo` and ceilings `hi` comes and goes. `load`: requests/s, NaN
    where not known; `readings`: of a bucket; `quantum`: the least change, in the unit of the levels.

    The rows of a `group`, a workload's pods with one signal, are taken together: a dependency is slow for all of them,
    and the spread of a single row is known within a third only."""
    middle, of_part = (lo + hi) / 2, _thirds(lo)

    (range_then, range_now), (level_then, level), (load_then, busy) = of_part(hi - lo), of_part(middle), of_part(load)
    # A climb widens its buckets by its own rise from their first reading to the last, which is no spread. The
    # whole of it is subtracted: where the climb is steeper than the spread is wide, nothing is said to come and go.
    step = np.concatenate([np.diff(lo, axis=1), np.full((len(lo), 1), np.nan)], axis=1)
    within = 1 - 1 / np.maximum(readings, 1.0)
    draws = expected_range(readings)
    wide_then, wide = (
        np.maximum(each - np.fmax(rise, 0.0) * within, 0.0) / draws
        for each, rise in zip((range_then, range_now), of_part(step), strict=True)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        busier = np.where((load_then > 0) & (busy > load_then), busy / load_then, 1.0)
    units = np.maximum(quantum, 1e-9)
    usable = np.isfinite(wide_then) & np.isfinite(wide) & (level > level_then)
    rounding = 0.29 * units  # the least spread that can be told from none
    at = np.unique(group, return_inverse=True)[1]

    def pooled(values: Floats) -> Floats:
        total = np.bincount(at, np.where(usable, values, 0.0))
        return np.asarray(total[at])

    # The spread that the traffic brought is there without the growth.
    expected = np.maximum(wide_then, rounding) * busier
    apart = pooled((np.maximum(wide, rounding) ** 2 - expected**2) / units)
    grown = pooled(level - level_then * busier)
    higher = pooled(level) / np.maximum(pooled(level_then * busier), 1e-12)
    wider = pooled(np.maximum(wide, rounding)) / np.maximum(pooled(expected), 1e-12)
    with np.errstate(invalid="ignore", divide="ignore"):
        # A small pool of one pod is counted in too large steps to show its spread.
        shown = (quantum <= gates.coarse) | (pooled(np.ones(len(lo))) >= 2)
        follows = np.log(wider) >= gates.flight_follows * np.log(higher)
    return np.asarray(
        usable & shown & (grown > 0) & (higher >= _LEAST_RATIO) & follows & (apart >= gates.flight_spread * grown)
    )


def rises_with_load(lo: Floats, hi: Floats, load: Floats) -> Bools:
    """(rows,) whether the load has risen by as much as the level, and by more than a morning brings. It is the number in
    flight where latency is known and slow (core/detection/waiting.py). It is not fitted: a smooth climb of both is
    explained by time alone as well."""
    of_part = _thirds(lo)
    (level_then, level), (load_then, busy) = of_part((lo + hi) / 2), of_part(load)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((busy / load_then >= _MUCH) & (busy / load_then >= _AS_MUCH * level / level_then))


def _thirds(lo: Floats) -> Callable[[Floats], tuple[Floats, Floats]]:
    """The medians of the first and of the last third of a window that begins with its first floor."""
    first = np.argmax(~np.isnan(lo), axis=1)[:, None]
    place = np.arange(SLOTS)
    length = np.maximum((SLOTS - first) // 3, 1)
    parts = (place >= first) & (place < first + length), np.broadcast_to(place >= SLOTS - _THIRD, lo.shape)

    def of_part(values: Floats) -> tuple[Floats, Floats]:
        before, now = (median_rows(np.where(part, values, np.nan)) for part in parts)
        return before, now

    return of_part
