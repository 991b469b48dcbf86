"""The live picture as lines of text: pure, so that any moment can be drawn at any size."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from e2e.demo.access import Codes
from e2e.demo.observation import ServiceState, Told
from e2e.demo.text import Line, Look, Span, Style, cut, line, padded, spark

_NAME, _CODES, _LEVEL, _GOROUTINES, _VERDICT, _POD = 12, 18, 7, 10, 10, 5
_GAPS = 6
_LEAST_SPARK, _MOST_SPARK = 6, 40
_EVENT_ROWS = 2

_VERDICT_STYLES = {
    "Healthy": Style.GREEN,
    "Suspect": Style.YELLOW,
    "Leaking": Style.YELLOW,
    "Exhausting": Style.RED,
    "Unknown": Style.DIM,
}


@dataclass(frozen=True)
class Row:
    """One service: answers of the last interval, and shares of the descriptor limit over time, oldest first."""

    name: str
    codes: Codes
    state: ServiceState
    shares: Sequence[float | None] = ()


@dataclass(frozen=True)
class Happened:
    """An Event and when it was seen, in seconds since the load began."""

    at: float
    told: Told


@dataclass(frozen=True)
class Scene:
    """One moment. `elapsed` in seconds since the load began, `interval` the seconds that `Row.codes` cover."""

    elapsed: float
    mode: str
    now: str  # the present step, in a sentence
    interval: float
    rows: Sequence[Row]
    events: Sequence[Happened] = ()


def clock(seconds: float) -> str:
    """Minutes and seconds, as a stopwatch has them."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def codes_line(codes: Codes, look: Look) -> Line:
    """Each status with its count, the good ones first."""
    spans: list[Span] = []
    for code, count in sorted(codes.items()):
        style = Style.RED if code >= 500 else Style.GREEN if code < 400 else Style.YELLOW
        spans += [Span(" ")] if spans else []
        spans.append(Span(f"{count}{look.times}{code}", style))
    return spans or [Span("none", Style.DIM)]


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def level(state: ServiceState) -> str:
    """Open descriptors out of their limit."""
    return f"{number(state.levels.descriptors)}/{number(state.levels.limit)}"


def level_style(state: ServiceState) -> Style:
    share = state.levels.share
    if share is None:
        return Style.DIM
    return Style.RED if share > 0.95 else Style.YELLOW if share > 0.8 else Style.PLAIN


def verdict_span(verdict: str) -> Span:
    return Span(verdict or "-", _VERDICT_STYLES.get(verdict, Style.DIM))


def pod_suffix(state: ServiceState) -> str:
    """The part of the pod's name that changes with every pod."""
    return state.pod.name.rsplit("-", 1)[-1] if state.pod else "none"


def event_lines(happened: Happened, width: int, look: Look, rows: int = _EVENT_ROWS) -> list[Line]:
    """Time, reason and note, wrapped to at most `rows` lines of `width` characters."""
    told = happened.told
    note = told.note if told.subject in told.note else f"{told.subject}: {told.note}"
    head = f"{clock(happened.at):>5} "
    style = Style.YELLOW if told.warning else Style.CYAN
    wrapped = textwrap.wrap(
        f"{told.reason}  {note}", max(20, width - len(head)), subsequent_indent="  ", max_lines=rows,
        placeholder=look.ellipsis,
    ) or [told.reason]  # fmt: skip
    first = wrapped[0]
    result: list[Line] = [
        [Span(head, Style.DIM), Span(first[: len(told.reason)], style), Span(first[len(told.reason) :])]
    ]
    return result + [[Span(" " * len(head)), Span(rest)] for rest in wrapped[1:]]


def table_lines(scene: Scene, width: int, look: Look) -> list[Line]:
    """The services, one line each, under a header. Wider output gets a longer history."""
    fixed = _NAME + _CODES + _LEVEL + 1 + _GOROUTINES + _VERDICT + _POD + _GAPS - 1
    bars = min(_MOST_SPARK, max(_LEAST_SPARK, width - fixed))
    header = [
        f"{'SERVICE':<{_NAME}}",
        f"{f'NGINX, LAST {scene.interval:.0f} s':<{_CODES}}",
        f"{'DESCRIPTORS':<{_LEVEL + 1 + bars}}",
        f"{'GOROUTINES':>{_GOROUTINES}}",
        f"{'VERDICT':<{_VERDICT}}",
        "POD",
    ]
    lines: list[Line] = [cut(line(" ".join(header), Style.DIM), width, look)]
    for row in scene.rows:
        cells: list[Line] = [
            padded(line(row.name, Style.BOLD), _NAME),
            padded(cut(codes_line(row.codes, look), _CODES, look), _CODES),
            line(f"{level(row.state):>{_LEVEL}}", level_style(row.state)),
            padded(line(spark(row.shares, bars, look), level_style(row.state)), bars),
            line(f"{number(row.state.levels.goroutines):>{_GOROUTINES}}"),
            padded([verdict_span(row.state.verdict)], _VERDICT),
            line(pod_suffix(row.state), Style.PLAIN if row.state.pod and row.state.pod.ready else Style.DIM),
        ]
        spans: list[Span] = []
        for cell in cells:
            spans += [Span(" "), *cell] if spans else cell
        lines.append(cut(spans, width, look))
    return lines


def scene_lines(scene: Scene, width: int, height: int, look: Look) -> list[Line]:
    """The whole moment within `width` by `height` characters; where there is little room the newest Events stay."""
    mode = Span(f"mode {scene.mode or '-'}", Style.BOLD if scene.mode == "Enforce" else Style.PLAIN)
    lines = [
        cut([Span(f"{clock(scene.elapsed):>5} ", Style.BOLD), mode, Span(f"  {scene.now}")], width, look),
        line(),
        *table_lines(scene, width, look),
        line(),
        line("EVENTS OF THE OPERATOR", Style.DIM),
    ]
    room = height - len(lines)
    told: list[Line] = []
    for happened in reversed(scene.events):
        wrapped = event_lines(happened, width, look)
        if len(told) + len(wrapped) > room:
            break
        told = [*wrapped, *told]
    return [*lines, *(told or [line("  none yet", Style.DIM)])][: max(1, height)]
