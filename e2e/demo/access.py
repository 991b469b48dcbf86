"""nginx's answers, from its access log, read in pieces that overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from e2e.stack.logs import json_lines

Codes = Counter[int]


@dataclass(frozen=True)
class _Answer:
    second: float  # when nginx logged it, epoch seconds, whole
    location: str
    status: int


@dataclass(frozen=True)
class Answers:
    """The log as it was read at one moment. `newest` is nginx's time of its newest line, in epoch seconds.

    All times are nginx's, so that the clocks of the node and of the reader need not agree.
    """

    answers: Sequence[_Answer] = ()
    newest: float = 0.0

    def codes(self, location: str, seconds: float | None = None) -> Codes:
        """How often /LOCATION/ was answered with which status, in all or in the last whole seconds.

        The newest second is still being written, so it is not one of them.
        """
        begin = float("-inf") if seconds is None else self.newest - seconds
        end = float("inf") if seconds is None else self.newest
        return Counter(a.status for a in self.answers if a.location == location and begin <= a.second < end)


class AccessLog:
    """Each request once, however often its line is read."""

    def __init__(self) -> None:
        self._answers: list[_Answer] = []
        self._known: set[str] = set()
        # : nginx's time of its newest line, RFC 3339; empty before the first. The next lines are not older.
        self.since = ""

    def add(self, text: str) -> Answers:
        """Lines of the log, some of them perhaps read already -> all lines so far."""
        for entry in json_lines(text):
            identity, status = str(entry.get("request_id", "")), str(entry.get("status", ""))
            location = str(entry.get("uri", "")).strip("/").split("/")[0]
            when = _epoch(entry.get("time"))
            if not identity or identity in self._known or not status.isdigit() or when is None:
                continue
            self._known.add(identity)
            self._answers.append(_Answer(when, location, int(status)))
            if when >= self._newest():
                self.since = str(entry["time"])
        return Answers(tuple(self._answers), self._newest())

    def _newest(self) -> float:
        return _epoch(self.since) or 0.0


def _epoch(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


def errors(codes: Codes) -> int:
    """Answers that users see as a failure: 5xx."""
    return sum(count for code, count in codes.items() if code >= 500)


def error_rate(codes: Codes) -> float | None:
    """Share of failures, 0 to 1; None without requests."""
    total = sum(codes.values())
    return errors(codes) / total if total else None
