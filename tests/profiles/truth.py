"""The truth about each program: the line that leaks, read from a comment on that line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "e2e" / "profiles"
# Written last and never tuned on: their score shows the result to expect for unseen programs.
HELD_OUT_PREFIX = "unseen_"

_TRUTH = re.compile(r"//truth:(?P<shape>[A-Za-z0-9]+)(?:/(?P<program>\w+))? (?P<function>\S+)\s*$")
_IDLE = re.compile(r"^//load:idle=(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a program leaks: the innermost line of its own that acquires, or waits."""

    shape: str
    function: str
    file: str  # the base name
    line: int


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    site: Site | None  # None: a healthy one
    idle: int = 0  # connections its load leaves open

    @property
    def held_out(self) -> bool:
        return self.name.startswith(HELD_OUT_PREFIX)


def programs() -> list[Program]:
    """Every program of the corpus, by name. Raises ValueError where one has not exactly one truth."""
    found: dict[str, Site] = {}
    for path in sorted(SOURCES.rglob("*.go")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if match := _TRUTH.search(line):
                name = match["program"] or path.parent.name
                if name in found:
                    raise ValueError(f"{name} has two lines that leak: {path.name}:{number} is the second")
                found[name] = Site(match["shape"], match["function"], path.name, number)
    names = sorted(path.name for path in (SOURCES / "cmd").iterdir() if path.name != "world")
    if unknown := sorted(set(found) - set(names)):
        raise ValueError(f"no such programs: {', '.join(unknown)}")
    if unclear := [name for name in names if (name in found) == ("healthy" in name)]:
        raise ValueError(f"neither healthy nor with a line that leaks, or both: {', '.join(unclear)}")
    return [Program(name, found.get(name), _idle(name)) for name in names]


def _idle(name: str) -> int:
    match = _IDLE.search((SOURCES / "cmd" / name / "main.go").read_text())
    return int(match[1]) if match else 0
