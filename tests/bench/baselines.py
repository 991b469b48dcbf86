"""The usual alert rules, on the same series and the same clock: levels, extrapolation, slopes and rank tests.

Each is evaluated every `STEP` seconds on the past only and gives the times at which an alarm episode begins, for several
settings of its threshold: the trade-off between settings is part of the comparison. An episode ends when the condition
does; a missing value is replaced by the last one for five minutes, as in Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.rollups import Bools
from leakwarden.core.model.readings import Floats

STEP = 60.0
_LOOKBACK = 300.0
Alarms = list[float]
Sweep = dict[str, Alarms]  # by setting


def _grid(s: Series) -> tuple[Floats, Floats]:
    """The share of the limit each minute, NaN where there was no reading for five minutes."""
    assert s.limit is not None
    good = ~np.isnan(s.v)
    t, v = s.t[good], s.v[good] / s.limit
    clock = np.arange(s.t[0], s.t[-1] + STEP, STEP)
    at = np.searchsorted(t, clock, side="right") - 1
    there = (at >= 0) & (clock - t[np.maximum(at, 0)] <= _LOOKBACK)
    return clock, np.where(there, v[np.maximum(at, 0)], np.nan)


def _episodes(clock: Floats, on: Bools, hold: float = 0.0) -> Alarms:
    """Begins of the times in which `on` holds, `hold` seconds after they began (a `for` clause)."""
    n = int(hold / STEP)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(int), [0]])))
    return [float(clock[a + n]) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > n]


def _line(v: Floats, n: int) -> tuple[Floats, Floats]:
    """Least-squares slope (per step) and end value over the last `n` samples, ignoring NaN; NaN below n/2 samples."""
    good = ~np.isnan(v)
    x = np.arange(len(v), dtype=np.float64)
    w, y = good.astype(np.float64), np.where(good, v, 0.0)

    def window(values: Floats) -> Floats:
        total = np.concatenate([[0.0], np.cumsum(values)])
        end = np.arange(1, len(values) + 1)
        return np.asarray(total[end] - total[np.maximum(end - n, 0)], dtype=np.float64)

    count, sx, sy = window(w), window(w * x), window(y)
    sxx, sxy = window(w * x * x), window(x * y)
    spread = count * sxx - sx * sx
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where((count >= n / 2) & (spread > 0), (count * sxy - sx * sy) / spread, np.nan)
        end = (sy - slope * sx) / count + slope * x
    return slope, end


def above(s: Series) -> Sweep:
    """A static level."""
    clock, v = _grid(s)
    shares = (0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99)
    return {f"{100 * share:.0f} %": _episodes(clock, v > share) for share in shares}


def predict_linear(s: Series) -> Sweep:
    """predict_linear(x[1h], ahead) > limit, at once or for 15 min."""
    clock, v = _grid(s)
    slope, end = _line(v, int(3600 / STEP))
    return {
        f"{name} ahead{', for 15m' if hold else ''}":
            _episodes(clock, end + slope * ahead / STEP > 1.0, hold)
        for name, ahead in (("4h", 14_400), ("2h", 7200), ("1h", 3600), ("30m", 1800), ("10m", 600))
        for hold in (0.0, 900.0)
    }  # fmt: skip


def deriv_positive(s: Series) -> Sweep:
    """deriv(x[30m]) > 0 for a while."""
    clock, v = _grid(s)
    slope, _ = _line(v, int(1800 / STEP))
    holds = (("30m", 1800.0), ("1h", 3600.0), ("2h", 7200.0), ("4h", 14_400.0), ("8h", 28_800.0))
    return {f"for {name}": _episodes(clock, slope > 0, hold) for name, hold in holds}


def mann_kendall(s: Series) -> Sweep:
    """Mann-Kendall over 1 h at p < 0.05 with Sen's slope, exhausted within some hours. On the minima of three minutes,
    every three minutes: as good and nine times as fast."""
    within = {f"within {hours:g}h": hours * 3600 for hours in (24.0, 8.0, 4.0, 2.0, 1.0, 0.5)}
    clock, v = _grid(s)
    usable = len(v) // 3 * 3
    if usable < 60:
        return {name: [] for name in within}
    filled = np.where(np.isnan(v), np.inf, v)[:usable].reshape(-1, 3).min(axis=1)
    floor = np.where(np.isfinite(filled), filled, np.nan)
    n = 20
    windows = np.lib.stride_tricks.sliding_window_view(floor, n)
    first, second = np.triu_indices(n, k=1)
    left = np.full(len(windows), np.inf)
    for part in np.array_split(np.arange(len(windows)), max(len(windows) // 2000, 1)):
        w = windows[part]
        rise = w[:, second] - w[:, first]
        score = np.nansum(np.sign(rise), axis=1)
        z = (np.abs(score) - 1) / np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
        slope = np.where(np.isnan(rise), 0.0, rise) / (second - first)
        sen = np.median(slope, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            rest = (1 - w[:, -1]) / sen * 3 * STEP
        left[part] = np.where((score > 0) & (z > 1.645) & (rest > 0), rest, np.inf)
    at = clock[2::3][n - 1 : n - 1 + len(left)]
    return {name: _episodes(at, left < seconds) for name, seconds in within.items()}


# Each rule with its settings, the usual one first.
BASELINES: Mapping[str, Callable[[Series], Sweep]] = {
    "above a level": above,
    "predict_linear(x[1h]) over the limit": predict_linear,
    "deriv(x[30m]) > 0": deriv_positive,
    "Mann-Kendall 1h with Sen's slope": mann_kendall,
}
