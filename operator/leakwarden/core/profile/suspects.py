"""Names the lines that leak: goroutine groups that grow, what the heap keeps, and how sure that makes us.

Two captures some seconds apart show growth exactly for goroutines. A growing number of requests in flight looks the
same for these seconds; so a difference counts from four standard deviations of such noise on. Where a detector has
already established over minutes that a signal grows (`growing`), concentration at one line is enough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from leakwarden.core.profile.evidence import CallSite, Confidence, Suspect, UnrankedSuspect
from leakwarden.core.profile.held import Heap, held_suspects
from leakwarden.core.profile.ownership import CodeOwner, Ownership, enclosing, package, receiver
from leakwarden.core.profile.pprof import Profile
from leakwarden.core.profile.shapes import (
    BODY,
    CONTEXT,
    HOLDING,
    MUTEX,
    POOLED,
    RECEIVE,
    SELECTING,
    TICKER,
    Shape,
    shape_of,
)
from leakwarden.core.profile.stacks import Group, groups, innermost

# Fewer goroutines than this at one line are not what exhausts anything, whatever they wait for.
FEW = 10
# In-flight requests come and go like a Poisson count; the difference of two has variance a + b. Four deviations
# are one false alarm in 30,000 lines looked at.
DEVIATIONS = 4.0
# Uber's LeakProf reports 10,000 goroutines blocked at one line even without knowing whether they grow.
HUGE = 10_000
# With a signal known to grow, a line that holds this part of the parked goroutines is what grew.
CONCENTRATED = 0.3
# What leaked stays; of the few requests in flight that stand at the same line, some may be gone at the second look.
STAYING = 0.98


@dataclass(frozen=True, slots=True)
class Capture:
    """What one pod gave, oldest first. `seconds` lie between the first and the last of each kind.

    `leaked` is the goroutineleak profile (Go 1.27); None where there is none, which says nothing.
    """

    goroutines: Sequence[Profile]
    heaps: Sequence[Profile] = ()
    leaked: Profile | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class _Counts:
    shape: Shape
    stack: tuple[int, Group]  # the count and group of the heaviest stack
    first: int = 0
    last: int = 0
    leaked: int = 0
    labels: Mapping[str, str] | None = None

    @property
    def count(self) -> int:
        return max(self.last, self.leaked)


def suspects(
    capture: Capture, *, growing: frozenset[str] = frozenset(), modules: Sequence[str] = (), limit: int = 10
) -> list[Suspect]:
    """The suspects, the likeliest first; none for a healthy service. Raises ProfileError for profiles of a wrong kind.

    `growing`: which of "goroutines", "descriptors", "connections" (of a database pool), "memory" a detector found to grow. `modules`: paths of the team's
    code, where they are known better than the binary tells.
    """
    everything = [*capture.goroutines, *capture.heaps]
    ownership = Ownership(everything, modules)
    heap = Heap(capture.heaps, ownership, capture.goroutines)
    if not capture.goroutines:
        return held_suspects(heap, capture.seconds, growing)[:limit]
    counts = _count(capture, ownership, heap)
    total = sum(c.last for c in counts.values())
    named: list[UnrankedSuspect] = []
    for counted in counts.values():
        accused = (
            "goroutines" in growing
            or ("descriptors" in growing and counted.shape in HOLDING)
            or ("connections" in growing and counted.shape in POOLED)
        )
        if (sure := _judge(counted, capture, total, accused)) is not None:
            named.append(_locate(counted, capture, ownership, heap, *sure))
    named += _holders(named, counts, ownership)
    found = _ranked(named)
    found += [s for s in held_suspects(heap, capture.seconds, growing) if not any(_same(s, f) for f in found)]
    found.sort(key=lambda s: s.confidence.rank)  # stable: within one confidence the order above stays
    return found[:limit]


def _count(capture: Capture, ownership: Ownership, heap: Heap) -> dict[tuple[str, object], _Counts]:
    """Goroutines by shape and line, in the first and the last capture and in the runtime's own list of leaked ones."""
    counts: dict[tuple[str, object], _Counts] = {}
    moments = [("first", capture.goroutines[0]), ("last", capture.goroutines[-1])]
    if capture.leaked is not None:
        moments.append(("leaked", capture.leaked))
    for moment, profile in moments:
        for group in groups(profile).values():
            if (shape := _shape(group, ownership, heap)) is None:
                continue
            at = innermost(group.stack, ownership)
            key = (shape.name, group.stack[at] if at is not None else group.stack[-1].function)
            counted = counts.setdefault(key, _Counts(shape, (0, group)))
            setattr(counted, moment, getattr(counted, moment) + group.count)
            if group.count >= counted.stack[0]:
                counted.stack = (group.count, group)
            # None so far, or those that all stacks that meet here share.
            known = group.labels if counted.labels is None else counted.labels
            counted.labels = {k: v for k, v in known.items() if group.labels.get(k) == v}
    return counts


def _shape(group: Group, ownership: Ownership, heap: Heap) -> Shape | None:
    shape = shape_of(group)
    if shape is None:
        return None
    team = [f.function for f in group.stack if ownership.of(f) is CodeOwner.TEAM]
    if not team and not shape.acquires and all(ownership.of(f) is CodeOwner.STANDARD for f in group.stack):
        return None  # Go's own: idle connections of clients, writers beside readers, dialling
    if shape in (RECEIVE, SELECTING) and team:
        waiting = {team[0], enclosing(team[0])}
        if waiting & heap.ticking:
            return TICKER
        if waiting & heap.awaiting:
            return CONTEXT
    return shape


def _judge(
    c: _Counts, capture: Capture, total: int, accused: bool
) -> tuple[Confidence, list[str], float | None] | None:
    """Whether the goroutines at one line are a leak, how sure that is and why; None where they need not be."""
    measured = len(capture.goroutines) > 1 and capture.seconds > 0
    growth = (c.last - c.first) / capture.seconds if measured else None
    if c.leaked >= FEW:
        return Confidence.HIGH, [f"the runtime itself says that {c.leaked} of them can never wake"], growth
    if c.last < FEW:
        return None
    if growth is not None and c.last - c.first >= max(FEW, DEVIATIONS * math.sqrt(c.first + c.last)):
        return Confidence.HIGH, [f"{c.first} became {c.last} within {capture.seconds:.0f}s"], growth
    share = c.last / total if total else 0.0
    # A leak of ten an hour gains nothing within seconds, nor does any leak while nobody asks.
    stays = growth is None or c.last >= c.first * STAYING
    if accused and share >= CONCENTRATED and stays:
        why = "" if growth is None else f", {growth:+.1f}/s"
        reasons = [f"{share:.0%} of the parked goroutines stand here{why}, and the signal grows"]
        # A busy pool gains one goroutine by chance too.
        if growth is not None and c.last - c.first < math.sqrt(c.first + c.last):
            reasons.append(f"within {capture.seconds:.0f}s they grew no more than requests in flight may")
            return Confidence.LOW, reasons, growth
        return Confidence.MEDIUM, reasons, growth
    if c.last >= HUGE:
        return Confidence.LOW, [f"over {HUGE} goroutines wait at one line"], growth
    return None


def _locate(
    c: _Counts,
    capture: Capture,
    ownership: Ownership,
    heap: Heap,
    sure: Confidence,
    why: list[str],
    growth: float | None,
) -> UnrankedSuspect:
    group = c.stack[1]
    at = innermost(group.stack, ownership)
    if c.shape.victim:
        sure = max(sure, Confidence.MEDIUM, key=lambda s: s.rank)
        why.append("who waits here may only suffer from what another line does")
    place, concluded = CallSite.on(group.stack, len(group.stack) - 1 if at is None else at, ownership), at is None
    if at is not None:
        if capture.leaked is not None and not c.leaked and c.shape in (TICKER, CONTEXT, SELECTING, RECEIVE):
            why.append("the runtime can still wake them: something refers to what they wait for")
    elif (found := heap.creator(c.shape, package(group.stack[-1].function) if not c.shape.acquires else "")) is None:
        why.append("nothing in the heap profile tells yet who started them")
        sure = Confidence.LOW
    else:
        place, reason, surest = found
        why.append(reason)
        sure = max(sure, surest, key=lambda s: s.rank)
    innermost_call = group.stack[0].function
    suspect = replace(
        Suspect.at(c.shape, place, c.count, growth, sure, why),
        waiting_in="" if innermost_call == place.frame.function else innermost_call,
        concluded=concluded,
        labels=tuple(sorted((c.labels or {}).items())),
    )
    return UnrankedSuspect(suspect, c.shape, group, concluded=concluded)


def _holders(
    named: Sequence[UnrankedSuspect], counts: dict[tuple[str, object], _Counts], ownership: Ownership
) -> list[UnrankedSuspect]:
    """Goroutines that wait for something else inside a method of the type whose lock others wait for."""
    wanted = {
        receiver(f.function)
        for candidate in named
        if candidate.shape is MUTEX
        for f in candidate.group.stack
        if ownership.of(f) is CodeOwner.TEAM
    } - {""}
    found: list[UnrankedSuspect] = []
    for c in counts.values():
        group = c.stack[1]
        at = innermost(group.stack, ownership)
        # One that was there in both captures: a holder that moves on is no reason to wait for ever.
        if (
            c.shape is MUTEX
            or at is None
            or not (c.first and c.last)
            or receiver(group.stack[at].function) not in wanted
        ):
            continue
        why = [
            f"others wait for a lock of {receiver(group.stack[at].function)}, and this goroutine is inside a method of it"
        ]
        suspect = Suspect.at(c.shape, CallSite.on(group.stack, at, ownership), c.count, None, Confidence.MEDIUM, why)
        found.append(UnrankedSuspect(suspect, c.shape, group, holder=True))
    return found


def _ranked(named: Sequence[UnrankedSuspect]) -> list[Suspect]:
    """Causes before those who may only suffer, then by certainty, growth and number."""

    def order(c: UnrankedSuspect) -> tuple[bool, bool, int, bool, float, int]:
        s = c.suspect
        return c.shape.victim, not c.holder, s.confidence.rank, c.concluded, -(s.growth_per_s or 0.0), -s.count

    has_body = any(c.shape is BODY for c in named)
    found: list[Suspect] = []
    for candidate in sorted(named, key=order):
        suspect = candidate.suspect
        if candidate.shape.name == "transport" and has_body:
            # Bodies that stay open keep connections that look like those of forgotten transports at times.
            suspect = replace(suspect, confidence=Confidence.LOW)
        if not any(_same(suspect, other) for other in found):
            found.append(suspect)
    return found


def _same(a: Suspect, b: Suspect) -> bool:
    return (a.function, a.file, a.line) == (b.function, b.file, b.line)
