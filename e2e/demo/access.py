"""What nginx answered, from its access log, read in pieces that overlap."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from e2e.stack.logs import json_lines

Codes = Counter[int]

#: No two pieces are further apart than this many requests.
_REMEMBERED = 5000


@dataclass(frozen=True)
class _Answer:
    read_at: float
    location: str
    status: int


class AccessLog:
    """Each request once, however often its line is read. Times are those of the reader: clocks need not agree."""

    def __init__(self) -> None:
        self._answers: list[_Answer] = []
        self._known: dict[str, None] = {}
        #: nginx's time of its newest line, RFC 3339; empty before the first. Whatever comes next is not older.
        self.newest = ""

    def add(self, text: str, read_at: float) -> None:
        """Lines of the log, read at `read_at` seconds of a clock that only moves forward."""
        for entry in json_lines(text):
            identity, status = str(entry.get("request_id", "")), str(entry.get("status", ""))
            location = str(entry.get("uri", "")).strip("/").split("/")[0]
            if not identity or identity in self._known or not status.isdigit():
                continue
            self._known[identity] = None
            self._answers.append(_Answer(read_at, location, int(status)))
            self.newest = max(self.newest, str(entry.get("time", "")))
        while len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]

    def codes(self, location: str, after: float = float("-inf"), until: float = float("inf")) -> Codes:
        """How often /LOCATION/ was answered with which status, in what was read within (after, until]."""
        return Counter(
            answer.status for answer in self._answers if answer.location == location and after < answer.read_at <= until
        )


def errors(codes: Codes) -> int:
    """Answers that users see as a failure: 5xx."""
    return sum(count for code, count in codes.items() if code >= 500)


def error_rate(codes: Codes) -> float | None:
    """Share of failures, 0 to 1; None where nothing was asked."""
    total = sum(codes.values())
    return errors(codes) / total if total else None
