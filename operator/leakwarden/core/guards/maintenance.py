"""Whether a moment lies in a maintenance window. Windows are by the wall clock of their time zone, summer time and all."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime

from leakwarden.api.v1alpha1.maintenance import Day, Maintenance, MaintenanceWindow

_DAYS = list(Day)


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return 60 * int(hours) + int(minutes)


def contains(window: MaintenanceWindow, now: float) -> bool:
    """Whether the window is open at `now`, epoch s. The days are those on which it starts."""
    local = datetime.fromtimestamp(now, UTC).astimezone(zoneinfo.ZoneInfo(window.time_zone))
    minute = 60 * local.hour + local.minute
    today = _DAYS[local.weekday()] in window.days
    start, end = _minutes(window.start), _minutes(window.end)
    if start < end:
        return today and start <= minute < end
    yesterday = _DAYS[local.weekday() - 1] in window.days
    return (today and minute >= start) or (yesterday and minute < end)


def describe(window: MaintenanceWindow) -> str:
    days = "every day" if len(window.days) == len(_DAYS) else ", ".join(str(day)[:3] for day in window.days)
    return f"{days} {window.start} to {window.end} {window.time_zone}"


def objection(maintenance: Maintenance, now: float) -> str:
    """Why no action is allowed now, in words; empty where actions are allowed."""
    for window in maintenance.deny:
        if contains(window, now):
            return f"within the denied window {describe(window)}"
    if maintenance.allow and not any(contains(window, now) for window in maintenance.allow):
        return f"outside the allowed windows: {'; '.join(describe(window) for window in maintenance.allow[:3])}"
    return ""
