"""Numbers, units, times and intervals as a person reads them. A value that is not a number is shown as unknown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from leakwarden.api.scalars import format_duration
from leakwarden.api.v1alpha1.leakreport import Range
from leakwarden.core.model.policy import parse_time

UNKNOWN = "unknown"
SHARE = "of requests"  # the unit of a share of 1, which reads as percent
# No signal is larger; larger numbers overflow in the arithmetic.
LARGEST = 1e300
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
# Calendar dates end with the year 9999; ten years before that leave room for additions to a time.
LAST_SECOND = 253_086_768_000


def amount(value: float | None, unit: str = "") -> str:
    """A value in its unit, short enough for an axis: `1,024`, `12.5 MiB`, `4.2 %`. The unit's name is left out."""
    if value is None or not math.isfinite(value) or abs(value) > LARGEST:
        return UNKNOWN
    if unit == "bytes":
        size, step = float(value), 0
        while abs(size) >= 1024 and step < len(_BYTES) - 1:
            size, step = size / 1024, step + 1
        return f"{_short(size)} {_BYTES[step]}"
    if unit == SHARE:
        return f"{_short(value * 100)} %"
    if unit == "seconds" and abs(value) < 1:
        return f"{_short(value * 1000)} ms"
    return f"{_short(value)} s" if unit == "seconds" else _short(value)


def _short(value: float) -> str:
    if abs(value) >= 1e15:
        return f"{value:.3g}"
    if value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-4 else "0"


def rate(value: float, unit: str = "") -> str:
    """A change per hour, with its sign."""
    if not math.isfinite(value) or abs(value) > LARGEST:
        return UNKNOWN
    return f"{'+' if value > 0 else ''}{amount(value, unit)}/h".replace("-", "\N{MINUS SIGN}", 1)


def growth(interval: Range | None, unit: str = "") -> str:
    """`+590/h to +640/h`, or the known part of it."""
    if interval is None or not math.isfinite(interval.low):
        return UNKNOWN
    if interval.high is None or not math.isfinite(interval.high):
        return f"{rate(interval.low, unit)} or more"
    low, high = rate(interval.low, unit), rate(interval.high, unit)
    return low if low == high else f"{low} to {high}"


def wait(interval: Range | None) -> str:
    """Seconds until something as an interval in words: `12m to 21m`; empty where it is not known."""
    if interval is None or not math.isfinite(interval.low):
        return ""
    low = max(0.0, interval.low)
    if interval.high is None or not math.isfinite(interval.high):
        return f"{duration(low)} or later"
    first, last = duration(low), duration(max(low, interval.high))
    return first if first == last else f"{first} to {last}"


def duration(seconds: float) -> str:
    """`12m`, `3h20m`, `4d`: days from two on, since 76 hours are hard to imagine."""
    if not math.isfinite(seconds):
        return UNKNOWN
    seconds = min(seconds, 1e9)
    return format_duration(seconds) if seconds < 48 * 3600 else f"{seconds / 86400:.0f}d"


def moment(text: str | None) -> float | None:
    """The epoch seconds of an RFC 3339 time; None where there is none that can be read."""
    epoch = parse_time(text)
    return epoch if 0 < epoch <= LAST_SECOND else None


def clock(epoch: float) -> str:
    return f"{datetime.fromtimestamp(epoch, UTC):%H:%M:%S}"


def day(epoch: float) -> str:
    """`26 Nov`"""
    at = datetime.fromtimestamp(epoch, UTC)
    return f"{at.day} {at:%b}"


def date(epoch: float) -> str:
    """`26 Nov 2026`"""
    return f"{day(epoch)} {datetime.fromtimestamp(epoch, UTC):%Y}"


def machine_time(epoch: float) -> str:
    """For the datetime attribute."""
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%SZ}"


def offset(seconds: float) -> str:
    """`+2m10s`: how long after."""
    return f"{'+' if seconds >= 0 else chr(0x2212)}{duration(abs(seconds))}"


def segments(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Points cut where readings are missing: a line over a gap would claim values that were not measured.

    A gap is 2.5 times the usual distance, which one lost scrape of an even series does not reach and two do.
    """
    if len(points) < 2:
        return [list(points)] if points else []
    distances = sorted(b[0] - a[0] for a, b in pairwise(points))
    usual = distances[len(distances) // 2]
    parts = [[points[0]]]
    for before, after in pairwise(points):
        if after[0] - before[0] > 2.5 * usual:
            parts.append([])
        parts[-1].append(after)
    return parts
