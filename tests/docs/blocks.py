"""Generated blocks within hand-written pages.

A page holds `<!-- generated: NAME -->` ... `<!-- /generated -->`; the text between is replaced by the output of the
generator of that name. A page may hold several blocks, and a block may be on several pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- /generated -->)", re.DOTALL)
_FOLDERS = ("docs", "charts", "examples", "tests")

Generators = Mapping[str, Callable[[], str]]


class UnknownBlock(Exception):
    """A page asks for a block that no generator makes; the message names both."""


def pages() -> Iterator[Path]:
    """Every page of the project: those at the top, and those in the folders that hold some."""
    yield from sorted(ROOT.glob("*.md"))
    for folder in _FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.md"))


def blocks(text: str) -> list[str]:
    """The names of the blocks of a page, in order."""
    return [match.group(2) for match in _BLOCK.finditer(text)]


def filled(text: str, generators: Generators) -> str:
    """The page with all its blocks as they should be. Raises UnknownBlock."""

    def replaced(match: re.Match[str]) -> str:
        name = match.group(2)
        if name not in generators:
            raise UnknownBlock(f"no generator makes the block {name!r}; there are {', '.join(sorted(generators))}")
        return f"{match.group(1)}{generators[name]().strip()}\n{match.group(4)}"

    return _BLOCK.sub(replaced, text)
