"""A cheap look at windows before they are measured: which of them cannot rise clearly, so that nothing follows from them.

Most windows of most processes only waver. To form and sort their slopes costs a hundred times as much as this look.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from leakwarden.core.detection.rollups import SLOTS, Bools
from leakwarden.core.detection.trend import APART, Z
from leakwarden.core.model.readings import Floats

_PAIRS = [(first, second) for first, second in combinations(range(SLOTS), 2) if second - first >= APART]

# The most by which a line of ceilings is extended, in units of their spread: from the fifth last one.
_AHEAD = 5 / APART


def may_rise(lo: Floats) -> Bools:
    """(rows,) whether the lower end of the slope of (rows, 24) floors can be above zero, as every question about growth
    requires (`is_clear` in core/detection/questions.py).

    It is above zero where few enough pairs of floors do not rise (core/detection/trend.py). How many that are is known
    without their slopes, but for the autocorrelation of the noise, which only makes them fewer. So none is left out
    that would be measured as rising."""
    by_time = np.ascontiguousarray(lo.T)
    there = ~np.isnan(by_time)
    rising, pairs = (np.zeros(by_time.shape[1], np.int16) for _ in range(2))
    for first, second in _PAIRS:  # all rows at once for each pair; no array of all pairs of all rows
        rising += by_time[second] > by_time[first]
        pairs += there[second] & there[first]
    n = np.count_nonzero(there, axis=0).astype(np.float64)
    spread = Z * np.sqrt(n * (n - 1) * (2 * n + 5) / 18) * pairs / np.maximum(n * (n - 1) / 2, 1)
    most = np.clip(np.round((pairs - spread) / 2), 0, np.maximum(pairs - 1, 0))
    return np.asarray((pairs > 0) & (pairs - rising <= most))


def may_be_high(hi: Floats, level: float) -> Bools:
    """(rows,) whether the ceilings of (rows, 24) can be at a level at the window's end: the highest of them, and as much
    more as they spread, is a bound for their line."""
    highest = np.where(np.isnan(hi), -np.inf, hi).max(axis=1)
    lowest = np.where(np.isnan(hi), np.inf, hi).min(axis=1)
    return np.asarray(highest + _AHEAD * (highest - lowest) >= level)
