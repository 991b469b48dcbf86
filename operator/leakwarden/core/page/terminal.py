"""The report on a terminal: at most a hundred columns, plain text where nothing else can be shown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from leakwarden.api.v1alpha1.leakreport import Measurement
from leakwarden.api.v1alpha1.outcome import OutcomeTable
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.text import printable
from leakwarden.core.page import cause, chart, figures, outcome
from leakwarden.core.page.story import Answer, Step, Story, Tone, explained, held, place, shape, short, tell

WIDEST = 100
_ROWS = 6  # of the plot
_TABLE = 20  # of the column of names
_SGR = {Tone.BAD: "31", Tone.WARN: "33", Tone.GOOD: "32", Tone.CALM: "36"}  # ECMA-48's plain colours
_ASCII = str.maketrans({
    "\N{MULTIPLICATION X}": "x", "\N{CHECK MARK}": "+", "\N{BULLET}": "-", "\N{MINUS SIGN}": "-",
    "\N{PLUS-MINUS SIGN}": "=", "\N{REPLACEMENT CHARACTER}": "?",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class TerminalStyle:
    """The abilities of the terminal: colours, characters beyond ASCII, and its number of columns."""

    colours: bool = False
    unicode: bool = True
    columns: int = WIDEST

    @property
    def width(self) -> int:
        return max(40, min(WIDEST, self.columns))


def screen(report: LeakReport, look: TerminalStyle) -> str:
    """Lines for people, without a line end at the last; the same values give the same text."""
    story = tell(report)
    lines = [
        *_head(report, story, look),
        *_course(report, story, look),
        *_suspects(report, look),
        *_comparison(report, look),
        *_cause(report, look),
        *_guards(report, look),
        *_steps(story, look),
    ]
    text = "\n".join(line.rstrip() for line in lines)
    return text if look.unicode else text.translate(_ASCII).encode("ascii", "replace").decode()


def _paint(text: str, tone: Tone | None, look: TerminalStyle, bold: bool = False) -> str:
    codes = [code for code in ("1" if bold else "", _SGR[tone] if tone else "") if code]
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if look.colours and codes and text else text


def _wrap(text: str, look: TerminalStyle, indent: int = 0, most: int = 6) -> list[str]:
    """Lines that fit, each indented; names that are too long are cut where they must be."""
    room = look.width - indent
    wrapped = textwrap.wrap(printable(text), room, break_on_hyphens=False, max_lines=most, placeholder=" ...")
    return [" " * indent + line for line in wrapped]


def _row(name: str, text: str, look: TerminalStyle, tone: Tone | None = None, bold: bool = False) -> list[str]:
    """A name in its column and the text next to it."""
    lines = _wrap(text, look, _TABLE) or [" " * _TABLE]
    first = f"{printable(name)[: _TABLE - 1]:<{_TABLE}}"
    return [first + _paint(lines[0][_TABLE:], tone, look, bold), *lines[1:]]


def _title(text: str, look: TerminalStyle) -> list[str]:
    return ["", *(_paint(line, None, look, bold=True) for line in _wrap(text, look))]


def _head(report: LeakReport, story: Story, look: TerminalStyle) -> Iterator[str]:
    name = f"{report.namespace}/{report.name}" if report.namespace else report.name
    yield f"{_paint(f'{story.tone.mark} {story.outcome}', story.tone, look, bold=True)}"
    yield from _wrap(story.headline, look)
    if story.lead:
        yield from _wrap(story.lead, look)
    if report.from_cluster:
        yield from _wrap(f"LeakReport {name}", look)
    yield ""
    for answer in story.answers:
        yield from _answer(answer, look)


def _answer(answer: Answer, look: TerminalStyle) -> Iterator[str]:
    text = f"{answer.text}  {answer.place}".rstrip()
    tone = None if answer.tone is Tone.CALM else answer.tone
    yield from _row(answer.question, text, look, tone, bold=True)
    if answer.detail:
        yield from _wrap(answer.detail, look, _TABLE)


def _course(report: LeakReport, story: Story, look: TerminalStyle) -> Iterator[str]:
    what = chart.course(report.status, story.steps)
    if not what.points:
        return
    first, last = what.points[0][0], what.points[-1][0]
    span = f"{figures.day(first)} {figures.clock(first)} to {figures.clock(last)} UTC"
    yield from _title(f"{report.spec.signal}, {span}", look)
    yield from _plot(what, look)
    verdict = report.status.verdict
    left = figures.wait(verdict.seconds_to_exhaustion) if verdict else ""
    if left:
        yield from _row("time to exhaustion", f"{left}, as of the last judgement", look)
    bought = report.status.restart_buys_seconds
    if bought is not None:
        yield from _row("a restart buys", f"about {figures.duration(bought)}", look)


def _plot(what: chart.Course, look: TerminalStyle) -> Iterator[str]:
    values = [value for _, value in what.points]
    limit = what.limit if what.limit_drawn else None
    top, low = max([*values, limit or 0.0]), min([0.0, *values])
    names = {0: figures.amount(top, what.unit), _ROWS - 1: figures.amount(low, what.unit)}
    margin = max(len(name) for name in names.values()) + 1
    width = min(look.width - margin - 2, 72)
    cells = _columns(what.points, width)
    blocks = " ▁▂▃▄▅▆▇█" if look.unicode else " ...::::#"
    for row in range(_ROWS):
        base = _ROWS - 1 - row
        drawn = ""
        for value in cells:
            eighths = 0 if value is None or top <= low else round((value - low) / (top - low) * _ROWS * 8) - base * 8
            drawn += blocks[min(8, max(1 if value is not None and base == 0 else 0, eighths))]
        note = " limit" if row == 0 and limit is not None and margin + width + 8 <= look.width else ""
        yield f"{names.get(row, ''):>{margin}}{'│' if look.unicode else '|'}{drawn}{note}"
    yield from _mark_lines(what, margin + 1, width)


def _columns(points: Sequence[chart.Point], width: int) -> list[float | None]:
    """The highest value of each column; None where readings are missing."""
    t0, span = points[0][0], max(points[-1][0] - points[0][0], 1.0)
    cells: list[float | None] = [None] * width

    def put(t: float, value: float) -> None:
        column = min(width - 1, int((t - t0) / span * width))
        cells[column] = value if cells[column] is None else max(cells[column] or 0.0, value)

    for part in figures.segments(points):
        for (ta, va), (tb, vb) in pairwise(part):
            # Columns between two readings lie on the line that joins them.
            steps = max(1, int((tb - ta) / span * width) + 1)
            for n in range(steps):
                put(ta + (tb - ta) * n / steps, va + (vb - va) * n / steps)
        put(*part[-1])
    return cells


def _mark_lines(what: chart.Course, margin: int, width: int) -> Iterator[str]:
    """Letters under the plot; events after the last reading are in the list of steps only."""
    t0, t1 = what.points[0][0], what.points[-1][0]
    inside = [step for step in what.marks if t0 <= step.at <= t1][:9]
    if not inside:
        return
    under, legend = [" "] * width, []
    for letter, step in zip("abcdefghi", inside, strict=False):
        column = min(width - 1, int((step.at - t0) / max(t1 - t0, 1.0) * width))
        while column < width - 1 and under[column] != " ":
            column += 1
        under[column] = letter
        legend.append(f"{letter} {printable(step.mark)} {figures.clock(step.at)}")
    yield " " * margin + "".join(under)
    yield from textwrap.wrap(
        "   ".join(legend), width, initial_indent=" " * margin, subsequent_indent=" " * margin, max_lines=4
    )


def _suspects(report: LeakReport, look: TerminalStyle) -> Iterator[str]:
    found = report.status.evidence
    if found is None:
        return
    yield from _title("Suspects", look)
    greatest = max((s.count for s in found.suspects), default=0)
    full = "█" if look.unicode else "#"
    longest = max(4, min(24, look.width - 6 - max((len(held(s)) for s in found.suspects), default=0)))
    for suspect in found.suspects:
        bar = full * max(1, round(longest * suspect.count / greatest)) if greatest > 0 and suspect.count > 0 else ""
        yield from _wrap(f"{short(suspect.function)}  {place(suspect)}", look, 2)
        sure = f"{suspect.confidence} confidence" if suspect.confidence else ""
        yield from _wrap("; ".join(x for x in (shape(suspect), explained(suspect), sure) if x), look, 4)
        yield f"    {_paint(bar, Tone.WARN, look)} {held(suspect)}".rstrip()
        yield from _wrap(suspect.explanation, look, 4)
    if not found.suspects:
        said = found.message or found.summary or ("" if found.reason else "no line of the team's own stands out")
        yield from _wrap(": ".join(part for part in (found.state, found.reason, said) if part), look, 2)
    if found.pool:
        yield from _wrap(f"database pool: {found.pool}", look, 2)
    if found.descriptors:
        yield from _wrap(f"open descriptors: {'; '.join(found.descriptors)}", look, 2)
    elif found.descriptor_reader is not None and found.descriptor_reader.reason:
        reader = found.descriptor_reader
        yield from _wrap(f"open descriptors were not read: {reader.reason}: {reader.message}", look, 2)


def _comparison(report: LeakReport, look: TerminalStyle) -> Iterator[str]:
    found = report.status.verification
    if found is None:
        return
    unit = report.status.verdict.unit if report.status.verdict else ""
    yield from _title("Before and after", look)
    for name, measured in (("before", found.before), ("after", found.after), ("siblings", found.siblings)):
        if measured is not None:
            yield from _row(f"  {name}", _measured(measured, unit), look)
    yield from _wrap(found.message, look, 2)
    if found.outcome is not None:
        yield from _outcome(found.outcome, look)


def _cause(report: LeakReport, look: TerminalStyle) -> Iterator[str]:
    found = report.status.cause
    if found is not None:
        yield from _title(cause.TITLE, look)
        for line in cause.lines(found, look.width - 2):
            yield f"  {printable(line)}"


def _outcome(found: OutcomeTable, look: TerminalStyle) -> Iterator[str]:
    yield ""
    for line in outcome.lines(found, look.width - 2):
        yield f"  {printable(line)}"


def _measured(measured: Measurement, unit: str) -> str:
    parts = [f"growth {figures.growth(measured.growth_per_hour, unit)}"]
    if measured.value is not None:
        parts.append(f"last value {figures.amount(measured.value, unit)}")
    if measured.pods:
        parts.append(f"{measured.pods} pod{'' if measured.pods == 1 else 's'}")
    return "; ".join([*parts, *measured.symptoms])


def _guards(report: LeakReport, look: TerminalStyle) -> Iterator[str]:
    if not report.status.guards:
        return
    answers = sorted(report.status.guards, key=lambda guard: guard.passed)
    passing = [guard.guard for guard in answers if guard.passed]
    yield from _title("Guards", look)
    for guard in answers:
        if not guard.passed:
            reason = guard.reason if guard.reason != guard.guard else ""
            told = ": ".join(part for part in (guard.guard, reason, guard.message) if part)
            yield from _row(f"{Tone.WARN.mark} held back", told, look, Tone.WARN)
    if passing:
        yield from _row(f"{Tone.GOOD.mark} passed", ", ".join(passing), look)


def _steps(story: Story, look: TerminalStyle) -> Iterator[str]:
    if not story.steps:
        return
    yield from _title("What was done, and when (UTC)", look)
    for step in story.steps:
        yield from _step(step, look)


def _step(step: Step, look: TerminalStyle) -> Iterator[str]:
    when = f"{figures.day(step.at)} {figures.clock(step.at)}"
    text = f"{step.tone.mark} {step.title}" + (f": {step.detail}" if step.detail else "")
    yield from _row(when, text, look, None if step.tone is Tone.CALM else step.tone)
