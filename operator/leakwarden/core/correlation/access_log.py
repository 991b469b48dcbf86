"""A proxy's access log as readings: requests per second by status code, and the time that they took.

nginx itself exports no metric by status code, so only its log has them. Lines are JSON objects (`log_format` with
`escape=json`, fields named for nginx's variables) or the combined format, which has no times of requests.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from leakwarden.core.model.readings import Answer, NoData, Points, Sampled, SeriesKey

MOST_LINES = 2_000_000
LONGEST = 16_384  # characters of a line
_COMBINED = re.compile(
    r'\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "[A-Z]{1,16} ([^ "]{1,8192})[^"]{0,64}" ([1-5]\d\d) '
)
_TIMES = ("time", "time_iso8601", "msec", "@timestamp", "timestamp")
_PATHS = ("uri", "request_uri", "path")
_TOOK = ("request_time", "upstream_response_time")


@dataclass(slots=True)
class AccessLog:
    """The content of a log."""

    codes: Counter[tuple[int, str]] = field(default_factory=Counter)  # number of requests by (moment, code)
    took: dict[int, list[float]] = field(default_factory=dict)  # s, by moment
    unread: int = 0  # lines that were not understood
    left_out: int = 0  # lines that were too many

    def answers(self, errors: str, p99: str, namespace: str, step: float) -> Mapping[str, Answer]:
        """As a source would answer the queries with these keys. A moment is the end of the `step` s before it."""
        if not self.codes:
            return dict.fromkeys((errors, p99), NoData("NoSeries", "the access log holds no request of the route"))
        moments = range(min(at for at, _ in self.codes), max(at for at, _ in self.codes) + 1)
        t = np.array([at * step for at in moments], np.float64)
        series = {
            SeriesKey(namespace, code): Points(t, np.array([self.codes[at, code] / step for at in moments], np.float64))
            for code in sorted({code for _, code in self.codes})
        }
        known = [at for at in moments if self.took.get(at)]
        slow = Points(
            np.array([at * step for at in known], np.float64),
            np.array([float(np.quantile(self.took[at], 0.99)) for at in known], np.float64),
        )
        found: dict[str, Answer] = {errors: Sampled(series, {})}
        found[p99] = Sampled({SeriesKey(namespace, "proxy"): slow}, {}) if known else NoData("NoSeries", "no times")
        return found


def read_access_log(lines: Iterable[str], prefix: str, since: float, until: float, *, step: float) -> AccessLog:
    """Requests whose path begins with `prefix`, answered after `since` and up to `until` (epoch s)."""
    found = AccessLog()
    for number, line in enumerate(lines):
        if number >= MOST_LINES:
            found.left_out += 1
            continue
        entry = _entry(line[:LONGEST])
        if entry is None:
            found.unread += bool(line.strip())
            continue
        at, path, code, took = entry
        if not since < at <= until or not path.startswith(prefix):
            continue
        moment = math.ceil(at / step)
        found.codes[moment, code] += 1
        if took is not None:
            found.took.setdefault(moment, []).append(took)
    return found


def _entry(line: str) -> tuple[float, str, str, float | None] | None:
    """Time, path, status code and duration; None where the line is not one of an access log."""
    text = line.lstrip()
    # `kubectl logs --timestamps` puts a time before it.
    begins = text.find("{") if text[:1].isdigit() else 0
    if text[begins : begins + 1] == "{":
        return _of_json(text[begins:])
    match = _COMBINED.search(text)
    if match is None:
        return None
    try:
        at = datetime.strptime(match[1], "%d/%b/%Y:%H:%M:%S %z").timestamp()
    except (ValueError, OverflowError):
        return None
    return at, match[2], match[3], None


def _of_json(text: str) -> tuple[float, str, str, float | None] | None:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    at = next((when for name in _TIMES if (when := _moment(entry.get(name))) is not None), None)
    path = next((str(entry[name]) for name in _PATHS if entry.get(name)), None)
    code = str(entry.get("status", ""))
    if at is None or path is None or re.fullmatch(r"[1-5][0-9][0-9]", code) is None:
        return None
    return at, path, code, next((t for name in _TOOK if (t := _seconds(entry.get(name))) is not None), None)


def _moment(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    try:
        when = datetime.fromisoformat(value)
        return when.timestamp() if when.tzinfo is not None else None
    except (ValueError, OverflowError):
        return _seconds(value)


def _seconds(value: object) -> float | None:
    """`0.012`, or the last of several tries: `0.001, 0.012`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(str(value).replace(":", ",").rpartition(",")[2])
    except ValueError:
        return None
    return found if math.isfinite(found) and found >= 0 else None
