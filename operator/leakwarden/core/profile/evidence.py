"""Suspects, and how sure one can be of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from leakwarden.core.profile.ownership import CodeOwner, Ownership, spelled
from leakwarden.core.profile.pprof import Frame
from leakwarden.core.profile.stacks import Stack

# Calls of a suspect's stack that are kept: enough to reach the team's handler through a framework.
SHOWN = 32


class Confidence(Enum):
    HIGH = "High"  # the runtime lists it, or it grows at a line of the team's own
    MEDIUM = "Medium"  # it grows, but the line is concluded; or the line is clear, and only the signal is known to grow
    LOW = "Low"  # a guess, which may save a search

    @property
    def rank(self) -> int:
        """0 is the surest."""
        return ("High", "Medium", "Low").index(self.value)


@dataclass(frozen=True, slots=True)
class CallSite:
    """A call, its stack, and the team's calls above it."""

    frame: Frame
    stack: Stack
    callers: Stack

    @classmethod
    def on(cls, stack: Stack, at: int, ownership: Ownership) -> CallSite:
        return cls(stack[at], stack, tuple(f for f in stack[at + 1 :] if ownership.of(f) is CodeOwner.TEAM))


@dataclass(frozen=True, slots=True)
class Suspect:
    """One suspected line. Where no line of the team's was found, it is a line of the library or the runtime."""

    shape: str  # a name of the catalogue
    title: str
    function: str
    file: str
    line: int
    count: int  # goroutines, or objects as the heap profile estimates them
    unit: str  # "goroutines" | "objects"
    growth_per_s: float | None
    confidence: Confidence
    reasons: tuple[str, ...]  # for the confidence
    why: str
    fix: str
    stack: Stack  # innermost call first
    callers: Stack  # the team's own calls above the named one, innermost first: a helper may not be the one to repair
    waiting_in: str = ""  # the goroutines' innermost call, where that is not the named function itself
    concluded: bool = False  # the line comes from the heap profile: no call of the team is on the goroutines' stacks
    labels: tuple[tuple[str, str], ...] = ()  # pprof labels that all of them share; their values are the service's own
    explains: float | None = None  # part of the growth of goroutines, or of the heap, 0 to 1; None where nothing grew
    docs: str = ""  # a link to the documentation of the library's authors
    team: bool = True  # whether the named call is the team's

    @property
    def headline(self) -> str:
        """`148 goroutines in net/http.(*persistConn).readLoop created by main.fetchUser (user.go:42), +10.0/s: response
        body not closed`. Of a stack that holds the named function: `in sync.(*Mutex).Lock at main.take (...)`."""
        growth = "" if self.growth_per_s is None else f", {self.growth_per_s:+.1f}/s"
        if not self.function:
            return self.title
        place = f"{spelled(self.function)} ({self.file.replace(chr(92), '/').rpartition('/')[2]}:{self.line})"
        about = "about " if self.unit == "objects" else ""
        within = f" in {spelled(self.waiting_in)}" if self.waiting_in else ""
        return (
            f"{about}{self.count} {self.unit}{within} {'created by' if self.concluded else 'at'} {place}{growth}:"
            f" {self.title}"
        )

    @property
    def explained(self) -> str:
        """`explains 94% of the growth`, or nothing."""
        return "" if self.explains is None else f"explains {self.explains:.0%} of the growth"


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of a capture: suspects, the likeliest first, and a summary of the profiles that were read."""

    suspects: tuple[Suspect, ...]
    looked_at: str  # `goroutines 167 -> 331, heap in use 1.0 MiB -> 1.0 MiB, within 10s`
    unseen: str = ""  # without suspects: the leaks that these profiles cannot show, and those that would
