"""How far our clock is from the API server's, by the `Date` of its answers: a second opinion that costs no request."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from leakwarden.api.scalars import format_duration

# Seconds, either way. Far more than synchronised clocks differ, and far less than the day for which action records are
# kept under every policy (core.retention.LEAST_MEMORY): with a clock that runs ahead further, they would be deleted.
CLOCK_MAY_BE_OFF = 300.0


class ServerTime:
    """`wall` and `monotonic` are our own clocks, in seconds."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._heard: float | None = None  # the server's epoch s when our monotonic clock was 0

    def hear(self, date: str | None) -> None:
        """Take in the Date header of an answer that has just come; one that cannot be read is ignored."""
        try:
            sent = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, OverflowError):
            return
        self._heard = sent - self._monotonic()

    @property
    def now(self) -> float:
        """The API server's time, epoch s; ours where it has not answered yet."""
        return self._wall() if self._heard is None else self._heard + self._monotonic()

    @property
    def trouble(self) -> str:
        """In one line, why no time can be trusted; empty while the clocks agree, or before the first answer."""
        ahead = self._wall() - self.now
        if abs(ahead) <= CLOCK_MAY_BE_OFF:
            return ""
        way = "ahead of" if ahead > 0 else "behind"
        allowed = format_duration(CLOCK_MAY_BE_OFF)
        return f"the operator's clock is {format_duration(abs(ahead))} {way} the API server's, {allowed} may be"
