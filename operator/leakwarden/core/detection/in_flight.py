"""Whether what has grown comes and goes, as requests in flight do, or stays, as a leak does.

Requests that wait for a slow dependency are in flight: their number is rate times latency (Little, Operations Research
9, 1961), so it climbs for as long as the dependency gets slower, at any request rate. But none of them stays for long.
The number therefore spreads within a bucket by its square root at least (Poisson's law), and by its share of any noise
of the rate, so the spread grows with the level. Leaked things stay, and stay for good: they lift floor and ceiling
alike, and the spread remains that of the work that was there before.

The spread of one bucket is known within a third only, so that of a whole window is asked whether it grows with the
level, by the correlation of their ranks (Spearman, American Journal of Psychology 15, 1904): one jump or one odd bucket
moves it little. It must be larger than chance makes it. Where the spread grows only because the traffic does, it grows
no more than the rate.
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
# Between the levels of the first and of the last third; with less, the spreads differ too little.
_LEAST_RATIO = 1.3
# Of the limit: the bucket of a small pool that has reached it is left out, since a pool that is full spreads no more.
_FULL = 0.9
# The rise of the load within some hours that no morning brings, and the part of the level's rise that it must be.
_MUCH, _AS_MUCH = 3.0, 0.7


def in_flight(
    gates: Gates, lo: Floats, hi: Floats, *, load: Floats, readings: Floats, quantum: Floats, group: Ints
) -> Bools:
    """(rows,) whether the growth of (rows, 24) floors `lo` and ceilings `hi` comes and goes. `load`: requests/s, NaN
    where not known; `readings`: of a bucket; `quantum`: the least change, in the unit of the levels.

    The rows of a `group`, a workload's pods with one signal, are taken together: a dependency is slow for all of them."""
    middle = (lo + hi) / 2
    # A climb widens its buckets by its own rise from their first reading to the last, which is no spread.
    rise = np.abs(_rise(middle)) * (1 - 1 / np.maximum(readings, 1.0))[:, None]
    spread = np.maximum(hi - lo - rise, 0.0) / expected_range(readings)[:, None]
    usual = median_rows(load)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        # The spread that the traffic brought is there without the growth.
        spread = np.where((load > 0) & (usual > 0), spread * usual / load, spread)
        lacking = np.isnan(spread) | ((quantum > gates.coarse)[:, None] & (hi >= _FULL))
    ranks, wide = (_ranks(np.where(lacking, np.nan, each)) for each in (middle, spread))
    count = np.maximum(SLOTS - lacking.sum(axis=1), 2)
    together = (ranks * wide).sum(axis=1)
    variance = (ranks**2).sum(axis=1) * (wide**2).sum(axis=1) / (count - 1)
    at = np.unique(group, return_inverse=True)[1]
    total, of_chance = np.bincount(at, together), np.sqrt(np.bincount(at, variance))
    before, now = _thirds(lo)(middle)
    with np.errstate(invalid="ignore", divide="ignore"):
        follows = (total >= gates.flight_clear * of_chance) & (of_chance > 0)
        return np.asarray(follows[at] & (now >= _LEAST_RATIO * before))


def _rise(middle: Floats) -> Floats:
    """The rise from bucket to bucket, over two of them where both neighbours are known to exist."""
    rise = np.empty_like(middle)
    rise[:, 1:-1] = (middle[:, 2:] - middle[:, :-2]) / 2
    rise[:, 0], rise[:, -1] = middle[:, 1] - middle[:, 0], middle[:, -1] - middle[:, -2]
    return rise


def _ranks(values: Floats) -> Floats:
    """The rank of each value in its row, from the mean rank; equal values share theirs. Zero where there is none."""
    with np.errstate(invalid="ignore"):
        less = (values[:, None, :] < values[:, :, None]).sum(axis=2)
        equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    there = ~np.isnan(values)
    ranks = less + (equal - 1) / 2
    mean = np.where(there, ranks, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return np.where(there, ranks - mean[:, None], 0.0)


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
