"""Shows a running watch: redrawn in place on a terminal, and one line now and then anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import IO

from leakwarden.api.scalars import format_duration
from leakwarden.cli.watch.session import Progress
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.text import printable
from leakwarden.core.page.figures import amount
from leakwarden.core.signals.catalogue import CATALOGUE
from leakwarden.core.watch.judging import TrackJudgement, this_process

_BARS, _PLAIN_BARS = " ▁▂▃▄▅▆▇█", " ._-=+*%#"
_WIDE = 32  # columns of the bars
_SGR = {Verdict.EXHAUSTING: "31", Verdict.LEAKING: "31", Verdict.SUSPECT: "33", Verdict.HEALTHY: "32"}
_LINES = 12  # plain lines in a whole watch, in addition to those for a changed verdict
# A watched process is never called healthy: only signals that were judged by their limits are.
_WORDS = {Verdict.HEALTHY: "no growth", Verdict.UNKNOWN: "not enough seen"}


def word(one: TrackJudgement) -> str:
    return _WORDS.get(one.judgement.verdict, str(one.judgement.verdict))


def course(values: Sequence[float], unicode: bool, width: int = _WIDE) -> str:
    """The values as bars of one line, from zero to their highest."""
    bars = _BARS if unicode else _PLAIN_BARS
    if not values:
        return " " * width
    top = max(max(values), 1e-9)
    columns = [
        values[n * len(values) // width : max(n * len(values) // width + 1, (n + 1) * len(values) // width)]
        for n in range(width)
    ]
    return "".join(bars[max(1, round(max(part) / top * 8))] for part in columns)


class LiveScreen:
    """Redraws its lines in place."""

    def __init__(self, title: str, length: float, stream: IO[str], unicode: bool, colours: bool) -> None:
        self._title, self._length, self._stream = title, length, stream
        self._unicode, self._colours = unicode, colours
        self._drawn = 0

    def __call__(self, progress: Progress) -> None:
        lines = [f"{printable(self._title)}  {progress.elapsed:.0f}s of {format_duration(self._length)}"]
        lines += [self._line(one) for one in progress.judged]
        requests = this_process(progress.scrapes)[-1].requests
        state = "taking profiles" if progress.capturing else "watching"
        lines.append(
            f"  {state}; {'requests are not counted' if requests is None else f'{requests:,.0f} requests answered so far'}"
        )
        back = f"\x1b[{self._drawn}F" if self._drawn else ""
        self._stream.write(back + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[0J")
        self._stream.flush()
        self._drawn = len(lines)

    def _line(self, one: TrackJudgement) -> str:
        track = one.track
        unit = CATALOGUE[track.key.kind].unit
        first, last = amount(float(track.points.v[0]), unit), amount(float(track.points.v[-1]), unit)
        colour = _SGR.get(one.judgement.verdict, "") if self._colours else ""
        verdict = f"\x1b[{colour}m{word(one)}\x1b[0m" if colour else word(one)
        return f"  {printable(track.key.name)[:20]:<20} {course(track.points.v.tolist(), self._unicode)} {first:>9} to {last:<9} {verdict}"


class PlainLines:
    """A line now and then, and one for each verdict that changes."""

    def __init__(self, length: float, stream: IO[str]) -> None:
        self._length, self._stream = length, stream
        self._next = 0.0
        self._said: dict[str, str] = {}

    def __call__(self, progress: Progress) -> None:
        changed = []
        for one in progress.judged:
            if self._said.get(one.track.key.name) != word(one):
                self._said[one.track.key.name] = word(one)
                changed.append(one)
        if progress.elapsed >= self._next:
            self._next = progress.elapsed + self._length / _LINES
            shown: Sequence[TrackJudgement] = progress.judged
        else:
            shown = changed
        if shown:
            self._stream.write(f"{progress.elapsed:5.0f}s  {'; '.join(_short(one) for one in shown)}\n")
            self._stream.flush()


def _short(one: TrackJudgement) -> str:
    unit = CATALOGUE[one.track.key.kind].unit
    return f"{printable(one.track.key.name)} {amount(float(one.track.points.v[-1]), unit)}, {word(one)}"


def screen_for(title: str, length: float, colours: bool, unicode: bool, live: bool) -> LiveScreen | PlainLines:
    """On standard error, so that standard output holds the result alone."""
    return LiveScreen(title, length, sys.stderr, unicode, colours) if live else PlainLines(length, sys.stderr)
