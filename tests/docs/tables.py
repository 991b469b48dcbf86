"""Tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def cell(text: object) -> str:
    """Text as one cell: on one line, and without a bar that would end it."""
    return " ".join(str(text).split()).replace("|", "\\|")


def code(text: object) -> str:
    """Text in a fixed-width font; nothing where there is none."""
    return f"`{cell(text)}`" if str(text) else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with one line per row; the cells are Markdown already."""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"
