"""Lines of a log that point to a cause: counted by kind, the first few kept, bounded and with secrets cut out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from leakwarden.core.correlation.episode import LogKind
from leakwarden.core.promql import literal_regex

MOST_LINES = 500_000
LONGEST = 400  # characters of a line that are read; a log's text of an error is near its beginning
KEPT = 3  # lines of each kind
# Texts of Go's net, database/sql and syscall packages, of drivers and servers, and of nginx, in lower case. A line counts
# for the first kind that it fits.
TEXTS: Mapping[LogKind, tuple[str, ...]] = {
    LogKind.OPEN_FILES: ("too many open files", "emfile"),
    LogKind.POOL_WAIT: (
        "too many connections", "too many clients already", "connection pool exhausted", "pool timeout",
        "waiting for a connection", "timeout acquiring", "acquiring connection",
    ),
    LogKind.REFUSED: ("connection refused", "connect() failed (111", "no live upstreams"),
    LogKind.CANCELLED: ("context canceled", "client closed request", "write: broken pipe"),
    LogKind.DEADLINE: ("context deadline exceeded", "i/o timeout", "upstream timed out", "client.timeout exceeded"),
}  # fmt: skip
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)")
_HIDDEN = "[cut]"
# Text that may be a secret: the value after such a name, the part before an @ in a URL, and long runs without a space.
_SECRETS = (
    (re.compile(r"(?i)((?:authorization|password|passwd|secret|token|api[-_]?key|cookie)[\"']?\s*[:=]\s*[\"']?)(?:bearer\s+|basic\s+)?[^\s\"',;&]+"), r"\1" + _HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]+"), r"\1 " + _HIDDEN),
    (re.compile(r"//[^/\s@]+@"), f"//{_HIDDEN}@"),
    (re.compile(r"\b(?=[A-Za-z0-9+_-]*\d)[A-Za-z0-9+_-]{24,}={0,2}"), _HIDDEN),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """What logs say."""

    counts: Mapping[LogKind, int] = field(default_factory=dict)  # lines
    first: tuple[tuple[LogKind, str], ...] = ()  # the first few lines of each kind, in order
    read: int = 0  # lines
    left_out: int = 0  # lines that were too many
    times: Mapping[LogKind, Sequence[float]] = field(default_factory=dict)  # epoch s, of the lines that have one


def log_evidence(lines: Iterable[str], since: float, until: float) -> LogEvidence:
    """Of the lines between `since` and `until` (epoch s). A line without a time counts: most logs have one, and those
    that have none were taken for this time."""
    counts: Counter[LogKind] = Counter()
    first: list[tuple[LogKind, str]] = []
    times: dict[LogKind, list[float]] = {}
    read = left_out = 0
    for line in lines:
        if read >= MOST_LINES:
            left_out += 1
            continue
        read += 1
        text = line[:LONGEST].strip()
        kind = kind_of(text)
        if kind is None:
            continue
        at = _time(text)
        if at is not None and not since <= at <= until:
            continue
        counts[kind] += 1
        if at is not None:
            times.setdefault(kind, []).append(at)
        if counts[kind] <= KEPT:
            first.append((kind, without_secrets(text)))
    return LogEvidence(dict(counts), tuple(first), read, left_out, times)


def kind_of(text: str) -> LogKind | None:
    lower = text.lower()
    return next((kind for kind, known in TEXTS.items() if any(part in lower for part in known)), None)


def any_known() -> str:
    """A regular expression (RE2, for lower case) that matches every line of a known kind."""
    return "|".join(literal_regex(text) for known in TEXTS.values() for text in known)


def _time(text: str) -> float | None:
    match = _TIME.search(text)
    if match is None:
        return None
    try:
        return datetime.fromisoformat(match[0]).timestamp()
    except (ValueError, OverflowError):
        return None


def without_secrets(text: str) -> str:
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text
