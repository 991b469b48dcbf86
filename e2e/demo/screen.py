"""The output: redrawn in place on a terminal, appended line by line anywhere else."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol, TextIO

from e2e.demo.text import Line, Look, Span, Style, drawn, line, padded
from e2e.demo.view import Happened, Scene, clock, codes_line, event_lines, level, number, scene_lines, verdict_span

_LOG_WIDTH = 120


class Screen(Protocol):
    """`interval` is the seconds that a scene's status codes should cover."""

    look: Look
    interval: float

    def tell(self, lines: Sequence[Line] | str = "") -> None:
        """Print lines that stay."""
        ...

    def show(self, scene: Scene) -> None:
        """Show the present state."""
        ...

    def width(self) -> int: ...


def choose(out: TextIO, environment: Mapping[str, str]) -> Screen:
    """Chosen by the kind of output. NO_COLOR (no-color.org) removes the colours and nothing else."""
    encoding = (getattr(out, "encoding", None) or "ascii").lower().replace("-", "")
    live = out.isatty() and environment.get("TERM", "dumb") != "dumb"
    look = Look(colours=live and not environment.get("NO_COLOR"), unicode=encoding.startswith("utf"))
    return LiveScreen(out, look) if live else PlainScreen(out, look)


class LiveScreen:
    """A block of lines at the end of the terminal that is redrawn; printed lines stay above it."""

    interval = 5.0

    def __init__(self, out: TextIO, look: Look) -> None:
        self._out = out
        self.look = look
        self._block: list[str] = []  # as drawn last, without colours
        self._colourless = Look(colours=False, unicode=look.unicode)

    def tell(self, lines: Sequence[Line] | str = "") -> None:
        self._block = []
        for each in [line(lines)] if isinstance(lines, str) else lines:
            print(drawn(each, self.look), file=self._out)
        self._out.flush()

    def show(self, scene: Scene) -> None:
        size = shutil.get_terminal_size()
        # The last column and row stay free: a terminal wraps, or scrolls, when they are written.
        lines = scene_lines(scene, size.columns - 1, size.lines - 1, self.look)
        text = self._erasure(size.columns) + "".join(f"{drawn(each, self.look)}\x1b[K\n" for each in lines)
        self._block = [drawn(each, self._colourless) for each in lines]
        print(text, end="", file=self._out, flush=True)

    def _erasure(self, columns: int) -> str:
        """Up to the block's first line. A terminal that became narrower has wrapped its lines meanwhile."""
        rows = sum(max(1, -(-len(text) // columns)) for text in self._block)
        return f"\x1b[{rows}F\x1b[J" if rows else ""

    def width(self) -> int:
        return shutil.get_terminal_size().columns - 1


class PlainScreen:
    """Lines that are only appended: Events as they come, the services every ten seconds."""

    interval = 10.0

    def __init__(self, out: TextIO, look: Look) -> None:
        self._out = out
        self.look = look
        self._next = 0.0
        self._now = ""
        self._seen: set[str] = set()

    def tell(self, lines: Sequence[Line] | str = "") -> None:
        for each in [line(lines)] if isinstance(lines, str) else lines:
            print(drawn(each, self.look), file=self._out)
        self._out.flush()

    def show(self, scene: Scene) -> None:
        if scene.now != self._now:
            self._now = scene.now
            self.tell([line(f"{clock(scene.elapsed):>5} {scene.now} (mode {scene.mode})")])
        for happened in scene.events:
            self._event(happened)
        if scene.elapsed >= self._next:
            self._next = scene.elapsed + self.interval
            self.tell([self._row(scene, index) for index in range(len(scene.rows))])

    def _event(self, happened: Happened) -> None:
        if happened.told.key not in self._seen:
            self._seen.add(happened.told.key)
            self.tell(event_lines(happened, _LOG_WIDTH, self.look, rows=4))

    def _row(self, scene: Scene, index: int) -> Line:
        row = scene.rows[index]
        state = row.state
        return [
            Span(f"{clock(scene.elapsed):>5}   {row.name:<13}"),
            *padded(codes_line(row.codes, self.look), 24),
            Span(f"{level(state):>7} descriptors {number(state.levels.goroutines):>5} goroutines  "),
            *padded([verdict_span(state.verdict)], 11),
            Span(state.pod.name if state.pod else "no pod"),
        ]

    def width(self) -> int:
        return _LOG_WIDTH


def standard_screen() -> Screen:
    """For standard output; a character that its encoding does not have becomes a question mark."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return choose(sys.stdout, os.environ)


def heading(text: str) -> list[Line]:
    return [line(), line(text, Style.BOLD)]


def command_lines(command: Sequence[str]) -> list[Line]:
    """A command as a person would type it."""
    shown = " ".join(f"'{word}'" if any(c in word for c in ' {}"') else word for word in command)
    return [[Span("  $ ", Style.DIM), Span(shown, Style.CYAN)]]
