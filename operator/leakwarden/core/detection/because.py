"""The strongest reasons for and against a verdict, in words that an engineer can check against a chart."""

from __future__ import annotations

import numpy as np

from leakwarden.api.scalars import format_duration
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.detection.state import DetectorState

_MOST = 3  # reasons for a leak, and as many against it
_STRAIGHT = 12.0  # growth over noise, from which a line looks straight in a chart
_EXPLAINED = 0.5  # the share of the growth that load must explain to weigh against a leak
_HIGH = 0.75  # the share of the limit below which the distance to it weighs against a leak


def because(state: DetectorState, row: int, width: int, reason: int, seconds_low: float) -> str:
    """The two or three strongest reasons for a leak, then those against it; empty where no window was judged.
    `width`: the window that decides. `seconds_low`: to exhaustion at the earliest, infinite where it is not known."""
    estimates, rows = state.estimates, state.rows
    at = int(rows.estimate[row])
    hours = float(estimates.hours[at, width]) if at >= 0 else 0.0
    if not hours > 0:
        return ""
    clear, explained = float(estimates.clear[at, width]), float(estimates.explained[at, width])
    known, level = float(estimates.known[at, width]), float(rows.level[row])
    speaks_for: list[tuple[float, str]] = []
    against: list[tuple[float, str]] = []
    length = format_duration(round(hours * 60) * 60.0 if hours < 10 else round(hours) * 3600.0)
    if clear >= _STRAIGHT:
        speaks_for.append((clear / _STRAIGHT, f"straight for {length}"))
    elif np.isfinite(clear):
        against.append((_STRAIGHT / max(clear, 0.1), f"it wavers: {max(clear, 0.0):.0f} times its noise in {length}"))
    if np.isfinite(explained):
        says = f"load explains {100 * explained:.0f}% of it"
        if explained < _EXPLAINED:
            speaks_for.append((2 - 2 * explained, says))
        else:
            against.append((4 * explained, says))
    else:
        against.append((0.5, "its load is not known"))
    if known <= 0:
        speaks_for.append((1.5, "never came back from such a level"))
    elif known < level:
        speaks_for.append((1.0, f"came back from {100 * known:.0f}% at most, and is at {100 * level:.0f}%"))
    else:
        against.append((3.0, f"has come back from {100 * known:.0f}% before"))
    if np.isfinite(seconds_low):
        speaks_for.append((1.2, f"{format_duration(round(seconds_low / 60) * 60.0)} left at the earliest"))
    if reason == VerdictReason.SlowsDown:
        against.append((5.0, "it grows ever slower"))
    if rows.past[row]:
        times = level * float(rows.limit[row]) / float(state.usual[rows.group[row]])
        speaks_for.append((2.0, f"{times:.1f} times its usual level"))
    elif level < _HIGH:
        against.append((1.0 + _HIGH - level, f"at {100 * level:.0f}% of its limit"))
    said = "; ".join(text for _, text in sorted(speaks_for, reverse=True)[:_MOST])
    but = "; ".join(text for _, text in sorted(against, reverse=True)[:_MOST])
    return f"{said}; against it: {but}" if said and but else said or f"against it: {but}"
