"""What `leakwarden diagnose` prints: the cause, its clues, the episode in time, and what is not known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from leakwarden.cli.audit.report import printable
from leakwarden.core.correlation.behind import behind
from leakwarden.core.correlation.causes import Explanation
from leakwarden.core.correlation.episode import Episode
from leakwarden.core.correlation.log_lines import LogEvidence
from leakwarden.core.correlation.protection import Protection, as_values, in_lines
from leakwarden.core.correlation.timeline import Row, coincide, timeline
from leakwarden.core.correlation.trouble import BAD_SHARE


@dataclass(frozen=True, slots=True)
class Shown:
    """The whole answer."""

    found: Explanation
    episode: Episode
    logs: LogEvidence | None
    protection: Sequence[Protection]


def text(shown: Shown) -> str:
    found, episode, logs = shown.found, shown.episode, shown.logs
    if not found.happened:
        calm = f"hardly any errors: never more than {BAD_SHARE:.0%} of the requests failed, and it did not get slow"
        lines = [calm, *_protection(shown)]
        return "".join(f"{printable(line)}\n" for line in lines)
    lines = [f"cause: {found.cause}" if found.cause is not None else "the cause cannot be told from what was read"]
    if found.slowness:
        lines.insert(0, "hardly any errors, but it was slow")
    lines += [f"  {clue.why}" for clue in found.clues if (clue.points > 0) == (found.cause is not None) and clue.points]
    lines += [f"  {line}" for line in (coincide(episode, logs.times) if logs else ())]
    lines += [f"also: {cause}" for cause in found.also]
    lines += [f"pod {pod}: {what}" for pod, what in behind(episode)]
    lines += [f"log, {kind}: {count:,} lines" for kind, count in (logs.counts if logs else {}).items()]
    lines += [f"  {line}" for _, line in (logs.first if logs else ())]
    lines += _table(timeline(episode, logs.times if logs else None))
    lines += [f"not read: {what}" for what in found.unknown]
    lines += _protection(shown)
    return "".join(f"{printable(line)}\n" for line in lines)


def _protection(shown: Shown) -> list[str]:
    return ["", "protection", *(f"  {line}" for line in in_lines(shown.protection))]


def _table(rows: list[Row]) -> list[str]:
    head = "time (UTC)  requests/s   errors        P99  descriptors   pool  goroutines  starts  log lines"
    return ["", head, *(_row(row) for row in rows), ""]


def _row(row: Row) -> str:
    at = datetime.fromtimestamp(row.at, UTC).strftime("%H:%M:%S")
    requests = "-" if row.requests is None else f"{row.requests:,.1f}"
    p99 = "-" if row.p99 is None else f"{row.p99 * 1000:,.0f} ms"
    goroutines = "-" if row.goroutines is None else f"{row.goroutines:,.0f}"
    lines = ", ".join(f"{kind} {count}" for kind, count in row.lines.items())
    return (
        f"{at:<10}  {requests:>10} {_share(row.errors, 1):>8} {p99:>10} {_share(row.descriptors):>12}"
        f" {_share(row.pool):>6} {goroutines:>11} {row.starts or '':>7}  {lines}"
    ).rstrip()


def _share(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}%}"


def as_json(shown: Shown) -> str:
    found, episode, logs = shown.found, shown.episode, shown.logs
    body = {
        "happened": found.happened,
        "slowness": found.slowness,
        "cause": found.cause,
        "also": list(found.also),
        "points": found.points,
        "clues": [{"points": clue.points, "why": clue.why} for clue in found.clues],
        "pods": [{"pod": pod, "why": what} for pod, what in behind(episode)],
        "logs": dict(logs.counts) if logs is not None else None,
        "logLines": [line for _, line in logs.first] if logs is not None else [],
        "coincide": coincide(episode, logs.times) if logs is not None else [],
        "timeline": [asdict(row) for row in timeline(episode, logs.times if logs else None)] if found.happened else [],
        "protection": as_values(shown.protection),
        "unknown": list(found.unknown),
    }
    return json.dumps(body, indent=2) + "\n"
