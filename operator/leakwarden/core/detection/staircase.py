"""Whether the growth consists of a few jumps: connecting peers and growing pools rise once and stay, a leak goes on at
all times.

The best staircase of at most four treads (dynamic programming over all places of its three jumps, least squares) is
compared with the straight line. A line that is cut into four treads leaves a seventh of its growth as error; a
staircase leaves only its noise.
"""

from __future__ import annotations

import numpy as np

from leakwarden.core.detection.rollups import SLOTS
from leakwarden.core.model.readings import Floats

TREADS = 4


def staircase(y: Floats) -> Floats:
    """(rows,) squared error of the best staircase over that of the best straight line, of (rows, 24) levels, NaN where
    missing. 1 where neither can be decided. Small: a staircase; large: a climb."""
    there = ~np.isnan(y)
    w = there.astype(np.float64)
    mean = np.nansum(y, axis=1) / np.maximum(w.sum(axis=1), 1)
    x = np.where(there, y - mean[:, None], 0.0)
    # Sums before each place, so that the error of any tread [i, j) is three differences.
    n, s, q = (_sums(values) for values in (w, x, x * x))
    best = q - s**2 / np.maximum(n, 1)  # of one tread over the first j places
    for _ in range(TREADS - 1):
        longer = best.copy()
        for j in range(2, SLOTS + 1):
            some = s[:, j, None] - s[:, :j]
            error = q[:, j, None] - q[:, :j] - some**2 / np.maximum(n[:, j, None] - n[:, :j], 1)
            longer[:, j] = np.min(best[:, :j] + error, axis=1)
        best = longer
    t = np.where(there, np.arange(SLOTS), 0.0)
    t = np.where(there, t - (t.sum(axis=1) / np.maximum(w.sum(axis=1), 1))[:, None], 0.0)
    line = q[:, -1] - (t * x).sum(axis=1) ** 2 / np.maximum((t * t).sum(axis=1), 1e-9)
    # A perfect line has no error, and no staircase is better than that.
    return np.where(line > 1e-9 * q[:, -1], np.maximum(best[:, -1], 0.0) / np.maximum(line, 1e-18), np.inf)


def _sums(values: Floats) -> Floats:
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
