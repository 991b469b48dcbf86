"""Round numbers and times for an axis."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from leakwarden.core.page.figures import LAST_SECOND

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TIME_STEPS = (
    1, 5, 10, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE,
    _HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 30 * _DAY, 365 * _DAY,
)  # fmt: skip


def ticks(low: float, high: float, most: int, unit: str = "") -> list[float]:
    """At most about `most` round values from `low` to `high`; bytes are round in powers of two, and counts have no half
    values."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low] if math.isfinite(low) else []
    step = _binary_step(span / most) if unit == "bytes" else _decimal_step(span / most)
    if unit not in ("bytes", "seconds", "of requests", "") and span >= 1:
        step = max(1.0, step)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [n * step for n in range(first, min(last, first + 3 * most) + 1)]


def _decimal_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next((f * power for f in (1, 2, 2.5, 5) if f * power >= least * (1 - 1e-9)), 10 * power)


def _binary_step(least: float) -> float:
    if least <= 1:
        return 1.0
    power = 1024.0 ** math.floor(math.log(least, 1024))
    factors = (1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 128, 200, 256, 500, 512)
    return next((f * power for f in factors if f * power >= least * (1 - 1e-9)), 1024 * power)


def time_ticks(begin: float, end: float, most: int) -> list[tuple[float, str]]:
    """At most about `most` round times, UTC, with their labels: the time of day, or the day at midnight."""
    span = end - begin
    step = next((s for s in _TIME_STEPS if span / s <= most), _TIME_STEPS[-1])
    found: list[tuple[float, str]] = []
    at = math.ceil(begin / step) * step
    while at <= min(end, LAST_SECOND) and len(found) < 3 * most:
        found.append((float(at), _label(at, step)))
        at += step
    return found


def _label(at: float, step: int) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    if step >= _DAY or (moment.hour == 0 and moment.minute == 0 and moment.second == 0):
        return f"{moment.day} {moment:%b}"
    return f"{moment:%H:%M:%S}" if step < _MINUTE else f"{moment:%H:%M}"
