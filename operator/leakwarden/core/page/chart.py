"""The signal's readings as a picture, with their gaps, the limit, the time of reaching it, and the actions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from leakwarden.api.v1alpha1.leakreport import LeakReportStatus, VerdictStatus
from leakwarden.core.page.axis import ticks, time_ticks
from leakwarden.core.page.figures import LAST_SECOND, amount, moment, segments
from leakwarden.core.page.markup import Markup, join, tag
from leakwarden.core.page.story import Step, Tone

Point = tuple[float, float]

# A limit this many times above every reading would flatten the readings; it is written instead of drawn.
FAR_LIMIT = 12.0
# How far beyond the readings the picture goes at most, in parts of their time.
AHEAD = 0.7
_CHARACTER = 6.6  # px of a 12 px sans serif letter on average, a little generously
_LANE = 17
_MOST_LANES = 6
_LONGEST = 24  # characters of a mark


@dataclass(frozen=True, slots=True)
class Course:
    """The content of the picture. `cone` is the earliest and the latest time of reaching the limit, from `origin`."""

    points: tuple[Point, ...]
    unit: str
    limit: float | None
    origin: Point | None
    cone: tuple[float, float | None] | None
    marks: tuple[Step, ...]

    @property
    def limit_drawn(self) -> bool:
        top = max((value for _, value in self.points), default=0.0)
        return self.limit is not None and (top <= 0 or self.limit <= FAR_LIMIT * top)


def readings(status: LeakReportStatus) -> tuple[Point, ...]:
    """Times and values in order; pairs that cannot be drawn are left out."""
    series = status.series
    if series is None:
        return ()
    pairs = zip(series.times, series.values, strict=False)
    return tuple(
        sorted({float(t): v for t, v in pairs if 0 < t <= LAST_SECOND and math.isfinite(v) and abs(v) < 1e18}.items())
    )


def course(status: LeakReportStatus, steps: Sequence[Step]) -> Course:
    points, verdict = readings(status), status.verdict
    unit = verdict.unit if verdict else ""
    limit = verdict.limit if verdict and verdict.limit and 0 < verdict.limit < 1e18 else None
    marks = tuple(step for step in steps if step.mark)
    origin, cone = _cone(points, verdict, limit)
    return Course(points, unit, limit, origin=origin, cone=cone, marks=marks)


def _cone(
    points: tuple[Point, ...], verdict: VerdictStatus | None, limit: float | None
) -> tuple[Point | None, tuple[float, float | None] | None]:
    judged = moment(verdict.judged_at) if verdict else None
    left = verdict.seconds_to_exhaustion if verdict else None
    if not points or verdict is None or judged is None or left is None or limit is None or not math.isfinite(left.low):
        return None, None
    value = verdict.value if verdict.value is not None and math.isfinite(verdict.value) else points[-1][1]
    if value >= limit:
        return None, None
    low = max(0.0, left.low)
    high = max(low, left.high) if left.high is not None and math.isfinite(left.high) else None
    return (judged, value), (judged + low, None if high is None else judged + high)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The place of the plot in the picture, and the ranges of its axes."""

    left: float
    top: float
    width: float
    height: float
    t0: float
    t1: float
    v0: float
    v1: float

    def x(self, t: float) -> float:
        return round((t - self.t0) / (self.t1 - self.t0) * self.width, 1)

    def y(self, v: float) -> float:
        return round((1 - (v - self.v0) / (self.v1 - self.v0)) * self.height, 1)


def picture(what: Course, width: int, height: int, label: str, class_: str) -> Markup | None:
    """The picture `width` by `height` px, more for its marks; None where there are no readings."""
    if not what.points:
        return None
    t0, t1 = _times(what)
    v0, v1 = _values(what)
    levels = ticks(v0, v1, 5 if height > 200 else 4, what.unit)
    names = [amount(v, what.unit) for v in levels]
    left = max(34.0, 12 + max((len(name) for name in names), default=0) * _CHARACTER)
    plot = width - left - 10
    marks = [step for step in what.marks if t0 <= step.at <= t1]
    lanes = _lanes([((s.at - t0) / (t1 - t0) * plot, _name(s)) for s in marks], plot)
    rows = min(_MOST_LANES, max((row for row, _ in lanes), default=-1) + 1)
    frame = _Frame(left, 8 + rows * _LANE, plot, height=height - 38, t0=t0, t1=t1, v0=v0, v1=v1)
    total = round(frame.top + frame.height + 30)
    return tag(
        "svg",
        _grid(frame, levels, names, width),
        tag("svg", _inside(what, frame), x=frame.left, y=frame.top, width=frame.width, height=frame.height),
        _limit(what, frame),
        _marks(marks, lanes, frame),
        class_=f"chart {class_}",
        viewBox=f"0 0 {width} {total}",
        role="img",
        aria_label=label,
    )


def _name(step: Step) -> str:
    return step.mark if len(step.mark) <= _LONGEST else f"{step.mark[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _times(what: Course) -> tuple[float, float]:
    t0, last = what.points[0][0], what.points[-1][0]
    span = max(last - t0, 60.0)
    ends = [last, *(step.at for step in what.marks)]
    if what.cone is not None:
        ends.append(what.cone[0] if what.cone[1] is None else what.cone[1])
    furthest = last + AHEAD * span
    end = max(min(furthest, 1.04 * (e - t0) + t0) for e in ends)
    return t0, max(end, t0 + 60.0)


def _values(what: Course) -> tuple[float, float]:
    values = [value for _, value in what.points]
    low, high = min(0.0, *values), max(0.0, *values)
    if what.limit is not None and what.limit_drawn:
        high = max(high, what.limit)
    # A range that hardly differs from zero is drawn as zero: an empty scale has no ticks.
    return low, low + (high - low) * 1.06 if high - low > 1e-9 else low + 1.0


def _lanes(labels: Sequence[tuple[float, str]], width: float) -> list[tuple[int, bool]]:
    """For each label, left to right, the row where it overlaps no other, and whether it stands left of its line.

    A row beyond the last means that there is no room for the label; the line still stands.
    """
    taken: list[list[tuple[float, float]]] = []
    found = []
    for x, text in labels:
        size = len(text) * _CHARACTER + 14
        leftwards = x + size > width and x - size >= -20
        start, end = (x - size, x) if leftwards else (x, x + size)
        row = next((n for n, lane in enumerate(taken) if all(end < a or start > b for a, b in lane)), len(taken))
        if row == len(taken):
            taken.append([])
        if row < _MOST_LANES:
            taken[row].append((start, end))
        found.append((min(row, _MOST_LANES), leftwards))
    return found


def _grid(frame: _Frame, levels: Sequence[float], names: Sequence[str], width: int) -> Markup:
    parts = []
    for value, name in zip(levels, names, strict=True):
        y = frame.top + frame.y(value)
        parts.append(tag("line", class_="grid", x1=frame.left, x2=frame.left + frame.width, y1=y, y2=y))
        parts.append(tag("text", name, class_="tick", x=frame.left - 6, y=y + 4, text_anchor="end"))
    bottom = frame.top + frame.height
    for at, name in time_ticks(frame.t0, frame.t1, 8 if width > 500 else 4):
        x = frame.left + frame.x(at)
        parts.append(tag("line", class_="grid", x1=x, x2=x, y1=bottom, y2=bottom + 4))
        if x < frame.left + frame.width - 14:
            parts.append(tag("text", name, class_="tick", x=x, y=bottom + 18, text_anchor="middle"))
    return join(parts)


def _inside(what: Course, frame: _Frame) -> Markup:
    """The parts that may reach beyond the plot and are cut off there."""
    parts = []
    if what.origin is not None and what.cone is not None and what.limit is not None:
        early, late = what.cone
        beyond = frame.t1 + (frame.t1 - frame.t0)
        x0, y0, top = frame.x(what.origin[0]), frame.y(what.origin[1]), frame.y(what.limit)
        if late is None:
            corners = [(x0, y0), (frame.x(early), top), (frame.x(max(beyond, early)), top), (frame.x(beyond), y0)]
        else:
            corners = [(x0, y0), (frame.x(early), top), (frame.x(late), top)]
        shape = " ".join(f"{_near(x)},{_near(y)}" for x, y in corners)
        parts.append(tag("polygon", class_="cone", points=shape))
    for part in segments(what.points):
        if len(part) == 1:
            parts.append(tag("circle", class_="dot", cx=frame.x(part[0][0]), cy=frame.y(part[0][1]), r=2.5))
            continue
        line = " ".join(f"{frame.x(t)},{frame.y(v)}" for t, v in part)
        foot = frame.y(max(frame.v0, 0.0))
        area = f"{frame.x(part[0][0])},{foot} {line} {frame.x(part[-1][0])},{foot}"
        parts.append(tag("polygon", class_="area", points=area))
        parts.append(tag("polyline", class_="line", points=line))
    return join(parts)


def _near(coordinate: float) -> float:
    """Renderers fail with very large coordinates; a point that is cut off anyway may lie nearer."""
    return min(max(coordinate, -1e5), 1e5)


def _limit(what: Course, frame: _Frame) -> Markup | None:
    if what.limit is None:
        return None
    text = f"limit {amount(what.limit, what.unit)}"
    if not what.limit_drawn:
        return tag("text", f"{text}, far above", class_="limit-text", x=frame.left + 6, y=frame.top + 12)
    y = frame.top + frame.y(what.limit)
    return join(
        tag("line", class_="limit", x1=frame.left, x2=frame.left + frame.width, y1=y, y2=y),
        tag("text", text, class_="limit-text", x=frame.left + 6, y=y + 15),
    )


def _marks(marks: Sequence[Step], lanes: Sequence[tuple[int, bool]], frame: _Frame) -> Markup:
    parts = []
    for step, (row, leftwards) in zip(marks, lanes, strict=True):
        fits = row < _MOST_LANES
        x, y = frame.left + frame.x(step.at), 12 + min(row, _MOST_LANES - 1) * _LANE
        kind = f"mark {step.tone}"
        parts.append(tag("line", class_=kind, x1=x, x2=x, y1=y - 8, y2=frame.top + frame.height))
        anchor, at = ("end", x - 5) if leftwards else ("start", x + 5)
        if fits:
            parts.append(tag("text", _name(step), class_=f"mark-text {step.tone}", x=at, y=y + 2, text_anchor=anchor))
        if fits and step.tone is not Tone.CALM:
            parts.append(tag("circle", class_=f"pin {step.tone}", cx=x, cy=y - 3, r=3))
    return join(parts)
