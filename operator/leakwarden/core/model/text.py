"""Text that somebody else wrote, made fit to be shown."""

from __future__ import annotations


def printable(text: str) -> str:
    """Without control characters, and without those that turn the direction of text round, which make a name read as
    another one: what a tenant wrote drives no terminal, breaks no line of a log and no XML."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\n\t\r" else "\N{REPLACEMENT CHARACTER}" for c in text)
