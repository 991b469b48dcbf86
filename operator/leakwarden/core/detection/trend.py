"""Growth of floors with its confidence interval, for many windows at once.

Theil and Sen's slope (the median over pairs, unmoved by 29 % of outliers; Sen, JASA 63, 1968) with the confidence
interval of Kendall's statistic, widened for autocorrelation as Hamed and Rao (J. Hydrology 204, 1998) do, here with
the first lag only. Levels are shares of the limit, times are buckets; the caller turns them into hours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leakwarden.core.detection.load import Explained
from leakwarden.core.detection.rollups import SLOTS, Bools, Shorts
from leakwarden.core.model.readings import Floats

APART = 4  # buckets: neighbouring ones show more noise than growth; pairs at least so far apart are 210 of 276
_FIRST, _SECOND = (index.astype(np.intp) for index in np.triu_indices(SLOTS, k=APART))
_LAG = (_SECOND - _FIRST).astype(np.float32)
_TIME = np.arange(SLOTS, dtype=np.float64)
# The two-sided 95 % quantile of the normal distribution.
Z = 1.96
_PART = 512  # windows whose pairs are formed at a time: as many as fit into the processor's cache


@dataclass(frozen=True, slots=True)
class Trend:
    """One value per window. Slopes in share of the limit per bucket."""

    n: Floats  # buckets with a floor
    span: Floats  # buckets from the first to the last of them
    slope: Floats
    slope_low: Floats
    slope_high: Floats
    slope_ceiling: Floats
    noise: Floats  # robust standard deviation around the line, share of the limit
    start: Floats  # the line at the window's first floor
    floor: Floats  # the line at the window's end
    level: Floats  # the ceiling now, which reaches the limit first
    late: Floats  # slope at the end of the window over the mean slope, from a parabola: 1 steady, < 1 slowing down
    step: Floats  # the least growth from one quarter of the window to the next, as a share of a steady climb's
    drawdown: Floats  # the deepest fall from an earlier high, over the growth
    behind: Floats  # distance of the latest floor below the line, over the growth
    still: Floats  # share of neighbouring buckets with exactly the same floor: a high-water mark stands still
    garbage: Floats  # usual distance from floor to ceiling of a bucket, share of the limit
    sawtooth_height: Floats  # the second highest ceiling above the line of the floors, share of the limit


def median_rows(values: Floats) -> Floats:
    """Row medians ignoring NaN (NaN for a row without values), by one sort: np.nanmedian is 20 times slower."""
    ordered = np.sort(values, axis=1)
    count = np.count_nonzero(~np.isnan(ordered), axis=1)
    rows = np.arange(len(ordered))
    low = ordered[rows, np.maximum((count - 1) // 2, 0)]
    high = ordered[rows, np.minimum(count // 2, ordered.shape[1] - 1)]
    return np.where(count > 0, (low + high) / 2, np.nan)


def _at(ordered: Shorts, position: Floats, count: Floats) -> Floats:
    index = np.clip(np.round(position), 0, np.maximum(count - 1, 0)).astype(np.intp)
    return np.asarray(ordered[np.arange(len(ordered)), index], dtype=np.float64)


def _sen(y: Floats, valid: Bools) -> tuple[Floats, Shorts, Floats]:
    """Sorted pair slopes as (median, sorted, count)."""
    pairs: Shorts = np.empty((len(y), len(_LAG)), np.float32)
    for begin in range(0, len(y), _PART):
        part = slice(begin, begin + _PART)
        with np.errstate(invalid="ignore"):
            rise = y[part].take(_SECOND, axis=1)
            rise -= y[part].take(_FIRST, axis=1)
            np.divide(rise.astype(np.float32), _LAG, out=pairs[part])
        pairs[part].sort(axis=1)
    count = np.count_nonzero(valid[:, _SECOND] & valid[:, _FIRST], axis=1).astype(np.float64)
    middle = (_at(pairs, (count - 1) / 2 - 0.25, count) + _at(pairs, (count - 1) / 2 + 0.25, count)) / 2
    return middle, pairs, count


def _interval(pairs: Shorts, count: Floats, n: Floats, rho: Floats, z: float) -> tuple[Floats, Floats]:
    spread = z * np.sqrt(n * (n - 1) * (2 * n + 5) / 18 * (1 + rho) / (1 - rho))
    spread = spread * count / np.maximum(n * (n - 1) / 2, 1)  # the statistic is over all pairs, ours over the far ones
    return _at(pairs, (count - spread) / 2, count), _at(pairs, (count + spread) / 2, count)


def _curve(y: Floats, valid: Bools, first: Floats, span: Floats) -> Floats:
    """End slope over mean slope of the least-squares parabola."""
    u = np.where(valid, (_TIME - first[:, None]) / np.maximum(span, 1)[:, None], 0.0)
    w = valid.astype(np.float64)
    basis = np.stack([w, u * w, u * u * w], axis=2)
    gram = np.einsum("rni,rnj->rij", basis, basis) + 1e-9 * np.eye(3)
    right = np.einsum("rni,rn->ri", basis, np.where(valid, y, 0.0))
    a = np.linalg.solve(gram, right[:, :, None])[:, :, 0]
    mean = a[:, 1] + a[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(mean > 0, (a[:, 1] + 2 * a[:, 2]) / mean, -1.0)


def _now(values: Floats, slope: Floats, offset: float) -> Floats:
    """The level at the window's end from the latest five buckets: their median, extended along the slope. Otherwise a
    median lags two buckets behind, a tenth of a fast leak's duration. `offset`: the place of a value in its bucket."""
    ahead = SLOTS - _TIME[-5:] - offset
    return median_rows(values[:, -5:] + np.maximum(slope, 0.0)[:, None] * ahead)


def _sawtooth_height(hi: Floats, line: _Line) -> Floats:
    """The second highest ceiling above the floors' line: a single odd reading does not count as a sawtooth."""
    above = hi - (line.offset[:, None] + line.slope[:, None] * _TIME)
    highest = np.sort(np.where(np.isnan(above), -np.inf, above), axis=1)
    return np.where(np.isfinite(highest[:, -2]), np.maximum(highest[:, -2], 0.0), 0.0)


def _quarters(y: Floats, valid: Bools, first: Floats, *, span: Floats, growth: Floats, quantum: Floats) -> Floats:
    """The least growth between neighbouring quarters, as a share of the growth of a steady climb."""
    part = np.clip((_TIME - first[:, None]) / (np.maximum(span, 1)[:, None] + 1) * 4, 0, 3).astype(np.intp)
    of_each = np.where(valid & (part == np.arange(4)[:, None, None]), y, np.nan)
    middles = median_rows(of_each.reshape(-1, SLOTS)).reshape(4, -1)
    steps = np.diff(middles, axis=0) + quantum / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        least = np.min(steps, axis=0) * 4 / growth
    return np.where(np.isfinite(least), least, -1.0)  # an empty quarter proves nothing


@dataclass(frozen=True, slots=True)
class ResidualTrend:
    """The properties of the unexplained growth that are needed; as in `Trend`."""

    slope: Floats
    slope_low: Floats
    late: Floats

    @classmethod
    def of(cls, trend: Trend) -> ResidualTrend:
        return cls(trend.slope, trend.slope_low, trend.late)


@dataclass(frozen=True, slots=True)
class _Line:
    valid: Bools
    n: Floats
    first: Floats
    span: Floats
    slope: Floats
    slope_low: Floats
    slope_high: Floats
    offset: Floats
    noise: Floats
    late: Floats


def _line(y: Floats, quantum: Floats) -> _Line:
    valid = ~np.isnan(y)
    n = np.count_nonzero(valid, axis=1).astype(np.float64)
    first = np.argmax(valid, axis=1).astype(np.float64)
    last = (SLOTS - 1 - np.argmax(valid[:, ::-1], axis=1)).astype(np.float64)
    span = np.where(n > 1, last - first, 0.0)
    slope, pairs, count = _sen(y, valid)
    some = count > 0
    slope = np.where(some, slope, 0.0)
    resid = y - slope[:, None] * _TIME
    offset = median_rows(resid)
    resid = resid - offset[:, None]
    # Rounding alone leaves a uniform error of 0.29 quanta.
    noise = np.maximum(1.4826 * median_rows(np.abs(resid)), 0.29 * quantum)
    resid[~valid] = 0.0
    power = np.sum(resid**2, axis=1)
    rho = np.sum(resid[:, 1:] * resid[:, :-1], axis=1) / np.maximum(power, 1e-18)
    rho = np.clip(np.where(power > 1e-12, rho, 0.0), 0.0, 0.8)
    low, high = _interval(pairs, count, n, rho, Z)
    return _Line(
        valid, n, first, span=span, slope=slope, slope_low=np.where(some, low, -np.inf), slope_high=np.where(some, high, np.inf), offset=offset, noise=noise,
        late=_curve(y, valid, first, span),
    )  # fmt: skip


def beyond(lo: Floats, quantum: Floats, explained: Explained) -> ResidualTrend:
    """The growth of floors `lo` that the load leaves unexplained."""
    line = _line(lo - explained.part, quantum)
    return ResidualTrend(line.slope, line.slope_low - Z * explained.slope_error, line.late)


def measure(lo: Floats, hi: Floats, quantum: Floats) -> Trend:
    """Trends of (rows, 24) floors `lo` and ceilings `hi`, shares of the limit, NaN where missing. `quantum`: the least
    amount by which a reading changes, a share of the limit: in a pool of ten, one connection more or less does not
    count as a fall."""
    line = _line(lo, quantum)
    valid, slope, span, n = line.valid, line.slope, line.span, line.n
    ceiling, _, ceilings = _sen(hi, ~np.isnan(hi))
    ceiling = np.where(ceilings > 0, ceiling, 0.0)
    # A rising floor is read at the beginning of its bucket, the ceiling at its end.
    floor, level = _now(lo, slope, 0.0), _now(hi, ceiling, 1.0)
    growth = slope * np.maximum(span, 1)
    top = np.where(valid, lo, -np.inf)
    fall = np.max(np.where(valid, np.maximum.accumulate(top, axis=1) - lo, 0.0), axis=1)
    fall = np.maximum(fall - quantum, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawdown = np.where(growth > 0, fall / growth, np.inf)
    last = np.minimum(line.first + span, SLOTS - 1)
    below = line.offset + slope * last - lo[np.arange(len(lo)), last.astype(np.intp)]
    with np.errstate(invalid="ignore", divide="ignore"):
        behind = np.where(growth > 0, below / growth, np.inf)
    still = np.count_nonzero(lo[:, 1:] == lo[:, :-1], axis=1) / np.maximum(n - 1, 1.0)
    return Trend(
        n=n, span=span, slope=slope, slope_low=line.slope_low, slope_high=line.slope_high, slope_ceiling=ceiling,
        noise=np.where(np.isnan(line.noise), np.inf, line.noise), start=line.offset + slope * line.first,
        floor=np.where(np.isnan(floor), line.offset + slope * SLOTS, floor), level=level, late=line.late,
        step=_quarters(lo, valid, line.first, span=span, growth=growth, quantum=quantum), drawdown=drawdown, behind=behind, still=still,
        garbage=median_rows(hi - lo), sawtooth_height=_sawtooth_height(hi, line),
    )  # fmt: skip
