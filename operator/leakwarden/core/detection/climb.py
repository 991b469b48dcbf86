"""Since when a climb has been going on in a straight line.

A window that is wider than the age of a fast leak also holds the quiet time before it. As a whole it is not a straight
line, but its end is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leakwarden.core.detection.rollups import SLOTS, Ints
from leakwarden.core.model.readings import Floats


def climbed_for(y: Floats, least: int, straight: float) -> Ints:
    """(rows,) how many of the latest buckets of (rows, 24) floors lie on one rising line.

    As many as possible, and `least` or none (0): the growth over them must be `straight` times the error (root mean
    square) of their least-squares line. A level that is flat for a quarter of its buckets before it rises shows 17. A
    fifth of the buckets may be missing (NaN)."""
    line = latest_lines(y)
    many = np.arange(1, SLOTS + 1)
    good = (many >= least) & (line.n >= 0.8 * many) & (line.growth > straight * line.error)
    return np.where(good.any(axis=1), SLOTS - np.argmax(good[:, ::-1], axis=1), 0)


@dataclass(frozen=True, slots=True)
class Lines:
    """The least-squares lines over the latest 1, 2, ... 24 buckets, one column each; in the unit of the levels."""

    n: Floats  # buckets with a floor, one at the least
    growth: Floats  # along the line from its first bucket to its last
    error: Floats  # root mean square


def latest_lines(y: Floats) -> Lines:
    """Of (rows, 24) levels, NaN where missing."""
    there = ~np.isnan(y)
    w = there.astype(np.float64)
    x = np.where(there, y, 0.0)
    x -= np.where(there, (x.sum(axis=1) / np.maximum(w.sum(axis=1), 1))[:, None], 0.0)
    t = np.arange(SLOTS, dtype=np.float64)
    # Sums over the latest m buckets, for every m at once.
    n, sx, st, stt, stx, sxx = (
        np.cumsum(values[:, ::-1], axis=1) for values in (w, x, w * t, w * t * t, x * t, x * x)
    )  # fmt: skip
    n = np.maximum(n, 1)
    across = np.maximum(stt - st * st / n, 1e-9)
    slope = (stx - st * sx / n) / across
    error = np.sqrt(np.maximum(sxx - sx * sx / n - slope * slope * across, 0.0) / n)
    return Lines(n, slope * np.arange(SLOTS), error)
