"""Text from other sources, made safe to be shown."""

from __future__ import annotations


def printable(text: str) -> str:
    """Without control characters, and without those that reverse the direction of text, which make a name read as
    another one: a tenant's text must not control a terminal, and must not break a log line or XML."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\n\t\r" else "\N{REPLACEMENT CHARACTER}" for c in text)
