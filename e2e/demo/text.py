"""Text of a known width: spans with a style, cut and padded before any colour is added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Style(StrEnum):
    """SGR codes of ECMA-48; the eight plain colours, which every palette keeps readable."""

    PLAIN = ""
    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


@dataclass(frozen=True)
class Span:
    text: str
    style: Style = Style.PLAIN


Line = Sequence[Span]


@dataclass(frozen=True)
class Look:
    """The abilities of the output: colours, and characters beyond ASCII."""

    colours: bool
    unicode: bool

    @property
    def times(self) -> str:
        return "\N{MULTIPLICATION SIGN}" if self.unicode else "x"

    @property
    def bars(self) -> str:
        return "▁▂▃▄▅▆▇█" if self.unicode else "_.-~=+*#"

    @property
    def ellipsis(self) -> str:
        return "…" if self.unicode else "~"

    def verdict_mark(self, good: bool) -> str:
        if self.unicode:
            return "✓" if good else "✗"
        return "ok" if good else "NO"


def line(text: str = "", style: Style = Style.PLAIN) -> Line:
    return [Span(text, style)]


def width_of(spans: Line) -> int:
    return sum(len(span.text) for span in spans)


def padded(spans: Line, width: int) -> Line:
    """At least `width` characters, filled up on the right."""
    return [*spans, Span(" " * max(0, width - width_of(spans)))]


def cut(spans: Line, width: int, look: Look) -> Line:
    """At most `width` characters; an ellipsis marks a cut."""
    if width_of(spans) <= width:
        return spans
    kept: list[Span] = []
    room = max(0, width - len(look.ellipsis))
    for span in spans:
        kept.append(Span(span.text[:room], span.style))
        room -= len(kept[-1].text)
        if not room:
            break
    return [*kept, Span(look.ellipsis)]


def drawn(spans: Line, look: Look) -> str:
    """As it is written out; without trailing blanks."""
    if not look.colours:
        return "".join(span.text for span in spans).rstrip()
    return "".join(f"\x1b[{s.style}m{s.text}\x1b[0m" if s.style and s.text else s.text for s in spans).rstrip()


def spark(shares: Sequence[float | None], width: int, look: Look) -> str:
    """All values, each from 0 to 1, as at most `width` bars; a blank for an unknown value.

    Where there are more values than bars each bar is the highest of its stretch, so that no peak gets lost.
    """
    bars, count = look.bars, min(width, len(shares))
    shown = []
    for index in range(count):
        stretch = shares[index * len(shares) // count : (index + 1) * len(shares) // count]
        known = [share for share in stretch if share is not None]
        shown.append(bars[min(len(bars) - 1, max(0, int(max(known) * len(bars))))] if known else " ")
    return "".join(shown)
