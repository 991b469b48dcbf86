"""The result of a replay, for people (a table with a timeline, a picture) and for programs (JSON lines)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from textwrap import wrap
from typing import IO
from xml.sax.saxutils import escape

import msgspec
import numpy as np

from leakwarden.api.scalars import format_duration
from leakwarden.cli.backtest.policy import Rules
from leakwarden.core.detection.detector import EXHAUSTING, HEALTHY, LEAKING, SUSPECT, UNKNOWN, VERDICTS
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.replay import Change
from leakwarden.core.model.text import printable

Changes = Sequence[tuple[int, Change]]
_MARKS = {HEALTHY: ".", UNKNOWN: "?", SUSPECT: "s", LEAKING: "L", EXHAUSTING: "E"}
_COLOURS = {HEALTHY: "#7fbf7b", UNKNOWN: "#cccccc", SUSPECT: "#fee08b", LEAKING: "#f46d43", EXHAUSTING: "#a50026"}
_LEAST_WIDTH, _MOST_WIDTH = 60, 120  # columns of a terminal
_INDENT = " " * 19  # aligns a line with the text after a time
_MOST = 200  # pods in the table; -o jsonl has all of them


def write_jsonl(stream: IO[str], series: Sequence[Series], changes: Changes) -> None:
    """One object per change, by time."""
    encoder = msgspec.json.Encoder()
    for i, change in changes:
        s = series[i]
        line = {
            "time": _number(change.time),
            "namespace": s.namespace,
            "workload": s.workload,
            "pod": s.pod,
            "uid": s.uid,
            "signal": s.signal,
            "verdict": str(VERDICTS[change.verdict]),
            "reason": change.reason,
            "because": change.because,
            "tte": {"low": _number(change.seconds_low), "high": _number(change.seconds_high)},
        }
        stream.write(encoder.encode(line).decode() + "\n")


def _number(value: float) -> float | int | None:
    if not np.isfinite(value):
        return None
    rounded = round(float(value), 3)  # numpy's own numbers cannot be encoded
    return int(rounded) if rounded == int(rounded) else rounded


def _ends(series: Sequence[Series]) -> tuple[float, float]:
    return min(float(s.t[0]) for s in series), max(float(s.t[-1]) for s in series)


def _spans(s: Series, own: Iterable[Change]) -> list[tuple[float, float, int]]:
    """(from, to, verdict) of one series, up to its last reading."""
    ordered, end = list(own), float(s.t[-1])
    ends = [*(change.time for change in ordered[1:]), end]
    return [
        (change.time, min(until, end), change.verdict)
        for change, until in zip(ordered, ends, strict=True)
        if change.time <= end
    ]


def _line(spans: list[tuple[float, float, int]], begin: float, end: float, width: int) -> str:
    """The worst verdict of each slot."""
    slots = [-1] * width
    scale = width / max(end - begin, 1.0)
    for since, until, verdict in spans:
        for slot in range(int((since - begin) * scale), min(int((until - begin) * scale), width - 1) + 1):
            slots[slot] = max(slots[slot], verdict)
    return "".join(_MARKS.get(slot, " ") for slot in slots)


def _name(s: Series) -> str:
    return printable(f"{s.namespace}/{s.pod} {s.signal}")


def _when(t: float) -> str:
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d %H:%M")


def table(series: Sequence[Series], changes: Changes, rules: Rules, columns: int = 80) -> str:
    """A summary, then each process that was ever Leaking or worse, with a timeline and its changes, worst first.
    `columns`: the width of the terminal."""
    if not series:
        return "Nothing was replayed: there are no readings.\n"
    by_series: dict[int, list[Change]] = {}
    for i, change in changes:
        by_series.setdefault(i, []).append(change)
    # Every series is Unknown at first; that is only mentioned where no other verdict followed.
    worst = {
        i: max((change.verdict for change in own if change.verdict != UNKNOWN), default=UNKNOWN)
        for i, own in by_series.items()
    }
    begin, end = _ends(series)
    counts = {code: sum(1 for verdict in worst.values() if verdict == code) for code in range(len(VERDICTS))}
    workloads = len({(s.namespace, s.workload) for s in series})
    lines = [
        f"{len(series)} series of {workloads} workload{'' if workloads == 1 else 's'},"
        f" {_when(begin)} to {_when(end)} UTC ({_span(end - begin)})",
        "worst verdict: " + ", ".join(f"{VERDICTS[code]} {counts[code]}" for code in reversed(range(len(VERDICTS)))),
    ]
    shown = sorted((i for i in worst if worst[i] >= LEAKING), key=lambda i: (-worst[i], by_series[i][0].time))
    if not shown:
        return "\n".join([*lines, "Nothing was ever judged Leaking."]) + "\n"
    width = min(max(columns, _LEAST_WIDTH), _MOST_WIDTH) - 2
    lines += ["", f"  {_when(begin)}{_when(end):>{width - 16}}"]
    for i in shown[:_MOST]:
        own = by_series[i]
        lines += [_name(series[i]), f"  {_line(_spans(series[i], own), begin, end, width).rstrip()}"]
        for change in _worsenings(own):
            said = f"{_when(change.time)} {_said(change)}"
            lines += wrap(said, width + 2, initial_indent="  ", subsequent_indent=_INDENT)
            if change.verdict == EXHAUSTING:
                lines.append(_INDENT + rules.consequence(series[i].signal))
                break
    if len(shown) > _MOST:
        lines.append(f"and {len(shown) - _MOST} more; -o jsonl has all")
    lines += ["", "  ".join(f"{_MARKS[code]} {VERDICTS[code]}" for code in range(len(VERDICTS)))]
    return "\n".join(lines) + "\n"


def _span(seconds: float) -> str:
    """Rounded to hours where the text has only hours: a day of readings ends a minute before its 24th."""
    return format_duration(seconds if seconds < 36_000 else round(seconds / 3600) * 3600)


def _worsenings(own: Iterable[Change]) -> list[Change]:
    """Changes to Leaking or worse; not those that only return after a gap in the readings."""
    found, before = [], HEALTHY
    for change in own:
        if change.verdict >= LEAKING and change.verdict > before:
            found.append(change)
        if change.verdict != UNKNOWN:
            before = change.verdict
    return found


def _said(change: Change) -> str:
    text = f"{VERDICTS[change.verdict]} ({change.reason})"
    if np.isfinite(change.seconds_low):
        low = format_duration(change.seconds_low)
        high = format_duration(change.seconds_high) if np.isfinite(change.seconds_high) else "?"
        text += f", exhausted in about {low}" if low == high else f", exhausted in {low} to {high}"
    return text


def write_picture(file: str, series: Sequence[Series], changes: Changes) -> None:
    """The timeline as SVG: one bar per process, one colour per verdict. Processes that were always healthy are left out
    unless all were."""
    by_series: dict[int, list[Change]] = {}
    for i, change in changes:
        by_series.setdefault(i, []).append(change)
    shown = [i for i, own in by_series.items() if max(c.verdict for c in own) >= SUSPECT] or list(by_series)
    shown.sort(key=lambda i: (-max(c.verdict for c in by_series[i]), series[i].namespace, series[i].pod))
    shown = shown[:_MOST]
    begin, end = _ends(series)
    left, wide, row = 320, 900, 16
    height = row * (len(shown) + 3)
    scale = wide / max(end - begin, 1.0)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + wide + 20}" height="{height}"'
        ' font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="12">{_when(begin)} UTC</text>',
        f'<text x="{left + wide}" y="12" text-anchor="end">{_when(end)} UTC</text>',
    ]
    for place, i in enumerate(shown):
        y = row * (place + 1.5)
        name = escape(_name(series[i])[:52])
        out.append(f'<text x="{left - 6}" y="{y + 9}" text-anchor="end">{name}</text>')
        for since, until, verdict in _spans(series[i], by_series[i]):
            x, w = left + (since - begin) * scale, max((until - since) * scale, 0.5)
            out.append(f'<rect x="{x:.1f}" y="{y}" width="{w:.1f}" height="11" fill="{_COLOURS[verdict]}"/>')
    y = row * (len(shown) + 2)
    for code in range(len(VERDICTS)):
        x = left + 120 * code
        out.append(f'<rect x="{x}" y="{y}" width="11" height="11" fill="{_COLOURS[code]}"/>')
        out.append(f'<text x="{x + 16}" y="{y + 10}">{VERDICTS[code]}</text>')
    with open(file, "w", encoding="utf-8") as stream:
        stream.write("\n".join([*out, "</svg>", ""]))
