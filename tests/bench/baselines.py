"""What people arm today, on the same series and the same clock: levels, extrapolation, slopes and rank tests.

Each is evaluated every `STEP` seconds on the past only and gives the times at which an alarm episode begins. An episode
ends when the condition does; what is missing is carried on for five minutes, as Prometheus does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from leakwarden.core.cascade import Bools
from leakwarden.core.readings import Floats
from leakwarden.core.recording import Series

STEP = 60.0
_LOOKBACK = 300.0
Alarms = list[float]


def _grid(s: Series) -> tuple[Floats, Floats]:
    """The share of the limit each minute, NaN where nothing was read for five minutes."""
    assert s.limit is not None
    good = ~np.isnan(s.v)
    t, v = s.t[good], s.v[good] / s.limit
    clock = np.arange(s.t[0], s.t[-1] + STEP, STEP)
    at = np.searchsorted(t, clock, side="right") - 1
    there = (at >= 0) & (clock - t[np.maximum(at, 0)] <= _LOOKBACK)
    return clock, np.where(there, v[np.maximum(at, 0)], np.nan)


def _episodes(clock: Floats, on: Bools, hold: float = 0.0) -> Alarms:
    """Begins of the stretches in which `on` holds, `hold` seconds after they began (a `for` clause)."""
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


def above_80(s: Series) -> Alarms:
    clock, v = _grid(s)
    return _episodes(clock, v > 0.8)


def predict_linear(s: Series) -> Alarms:
    """predict_linear(x[1h], 4h) > limit."""
    clock, v = _grid(s)
    slope, end = _line(v, int(3600 / STEP))
    return _episodes(clock, end + slope * 4 * 3600 / STEP > 1.0)


def deriv_positive(s: Series) -> Alarms:
    """deriv(x[30m]) > 0 for 30 min."""
    clock, v = _grid(s)
    slope, _ = _line(v, int(1800 / STEP))
    return _episodes(clock, slope > 0, 1800.0)


def mann_kendall(s: Series) -> Alarms:
    """Mann-Kendall over 1 h at p < 0.05 with Sen's slope, exhausted within 24 h. On the minima of three minutes, every
    three minutes: as good and nine times as fast."""
    clock, v = _grid(s)
    usable = len(v) // 3 * 3
    if usable < 60:
        return []
    filled = np.where(np.isnan(v), np.inf, v)[:usable].reshape(-1, 3).min(axis=1)
    floor = np.where(np.isfinite(filled), filled, np.nan)
    n = 20
    windows = np.lib.stride_tricks.sliding_window_view(floor, n)
    first, second = np.triu_indices(n, k=1)
    on = np.zeros(len(windows), bool)
    for part in np.array_split(np.arange(len(windows)), max(len(windows) // 2000, 1)):
        w = windows[part]
        rise = w[:, second] - w[:, first]
        score = np.nansum(np.sign(rise), axis=1)
        z = (np.abs(score) - 1) / np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
        slope = np.where(np.isnan(rise), 0.0, rise) / (second - first)
        sen = np.median(slope, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            left = (1 - w[:, -1]) / sen * 3 * STEP
        on[part] = (score > 0) & (z > 1.645) & (left < 86_400) & (left > 0)
    return _episodes(clock[2::3][n - 1 : n - 1 + len(on)], on)


BASELINES: Mapping[str, Callable[[Series], Alarms]] = {
    "above 80 %": above_80,
    "predict_linear(x[1h], 4h)": predict_linear,
    "deriv(x[30m]) > 0 for 30m": deriv_positive,
    "Mann-Kendall 1h + Sen, 24h": mann_kendall,
}
