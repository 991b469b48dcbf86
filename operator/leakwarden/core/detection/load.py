"""The part of a level that the load explains.

A ridge regression of the floor on time and load: level = a + c·time + b·load. Where load and time run together (a
morning) the data cannot tell b from c, and the prior on b decides: the level is believed to follow load with an
elasticity of 0.75 ± 0.5 (in flight = rate x latency gives 1, fixed parts less, queues more), and the uncertainty that
remains widens the growth's interval, so that a morning is not called a leak. Where load comes and goes, the data
decide.

Connections that are kept alive and streams follow the load with a lag: they go on climbing while the rate stands still
already. So the load is tried as it is, and smoothed with some time constants (`LAGS`). The fit with the smallest error
is used, a lagged one only where its error is much smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leakwarden.core.detection.rollups import SLOTS
from leakwarden.core.model.readings import Floats

ELASTICITY, ELASTICITY_SPREAD = 0.75, 0.5
# Load must be known for this share of the floors, else the missing part would decide.
MIN_KNOWN = 0.8
# Time constants in buckets, and the share of the squared error at which a lag is used: for a level that follows no load
# at all, one of three lags fits better by chance, by a tenth of its error at the most.
LAGS = (2.0, 6.0)
LAG_LEAVES = 0.6
_TIME = np.arange(SLOTS, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Explained:
    """`part`: (rows, 24) the level that the load above its last value explains, share of the limit.
    `slope_error`: the error of the slope that comes from the uncertainty of b, share of the limit per bucket."""

    part: Floats
    slope_error: Floats


def explain_by_load(lo: Floats, load: Floats, quantum: Floats) -> Explained:
    """As `_fit`, with the load or the lagged load whose error is the smallest."""
    explained, least = _fit(lo, load, quantum)
    for buckets in LAGS:
        other, left = _fit(lo, _lagged(load, buckets), quantum)
        better = left < LAG_LEAVES * least
        explained = Explained(
            np.where(better[:, None], other.part, explained.part),
            np.where(better, other.slope_error, explained.slope_error),
        )
        least = np.where(better, left, least)
    return explained


def _lagged(load: Floats, buckets: float) -> Floats:
    """(rows, 24) `load`, smoothed with a time constant of `buckets`, settled at the first bucket; gaps stay gaps."""
    share = 1 - np.exp(-1 / buckets)
    there = ~np.isnan(load)
    at = load[np.arange(len(load)), np.argmax(there, axis=1)]
    result = np.empty_like(load)
    for slot in range(SLOTS):
        at = np.where(there[:, slot], at + share * (load[:, slot] - at), at)
        result[:, slot] = np.where(there[:, slot], at, np.nan)
    return result


def _fit(lo: Floats, load: Floats, quantum: Floats) -> tuple[Explained, Floats]:
    """The explained part, and the mean squared error that is left. For windows in which `load` is known for enough of
    the floors (`MIN_KNOWN`); gaps in load are filled by the mean.
    `quantum`: (rows,) the least amount by which a level changes, share of the limit."""
    there = ~np.isnan(lo)
    both = there & ~np.isnan(load)
    w = both.astype(np.float64)
    n = np.maximum(w.sum(axis=1), 1.0)

    def centred(values: Floats) -> tuple[Floats, Floats]:
        mean = np.sum(np.where(both, values, 0.0), axis=1) / n
        return np.where(both, values - mean[:, None], 0.0), mean

    x, x_mean = centred(lo)
    r, r_mean = centred(load)
    t, _ = centred(np.broadcast_to(_TIME, lo.shape))
    tt, rr, tr = (t * t).sum(1), (r * r).sum(1), (t * r).sum(1)
    tx, rx, xx = (t * x).sum(1), (r * x).sum(1), (x * x).sum(1)
    scale = np.maximum(x_mean, 1e-6) / np.maximum(r_mean, 1e-9)  # level per unit of load
    tt = np.maximum(tt, 1e-9)
    free = np.maximum(rr - tr**2 / tt, 0.0)  # the part of the load that time does not explain
    raw_b = np.where(free > 1e-12 * np.maximum(rr, 1e-12), (rx - tr * tx / tt) / np.maximum(free, 1e-12), 0.0)
    raw_c = (tx - raw_b * tr) / tt
    left = np.maximum(xx - raw_c * tx - raw_b * rx, 0.0) / np.maximum(n - 3, 1.0)
    # Residuals are autocorrelated, so 24 buckets are worth perhaps eight: three times the variance. They are never
    # less than the error of rounding alone (0.29 quanta, uniform): the few values of a small pool fit by chance.
    variance = 3 * np.maximum(left, (0.29 * quantum) ** 2) + (1e-4) ** 2
    prior = variance / np.maximum(ELASTICITY_SPREAD * scale, 1e-12) ** 2
    b = np.where(free + prior > 0, (raw_b * free + ELASTICITY * scale * prior) / np.maximum(free + prior, 1e-18), 0.0)
    b = np.maximum(b, 0.0)  # more load never lowers a level
    b_error = np.sqrt(variance / np.maximum(free + prior, 1e-18))
    now = np.where(both, load, np.nan)
    last = now[np.arange(len(now)), SLOTS - 1 - np.argmax(both[:, ::-1], axis=1)]
    last = np.where(np.isnan(last), r_mean, last)
    filled = np.where(np.isnan(load), r_mean[:, None], load)
    return Explained(part=b[:, None] * (filled - last[:, None]), slope_error=b_error * np.abs(tr) / tt), variance
