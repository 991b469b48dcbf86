"""Memory: the team's lines whose allocations are kept and become more, separated from caches that fill."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from leakwarden.core.profile.catalogue import kind_of_call
from leakwarden.core.profile.confidence import MOST, NOTABLE, Watched
from leakwarden.core.profile.evidence import CallSite, Confidence, Suspect
from leakwarden.core.profile.growth import Capture
from leakwarden.core.profile.heap_growth import HeapGrowth, bookkeeping
from leakwarden.core.profile.keepers import Keepers
from leakwarden.core.profile.kept import KeptKinds, Tables, kept_by_call, waiting_finalizers
from leakwarden.core.profile.kept_shapes import REQUESTS
from leakwarden.core.profile.modules import serves
from leakwarden.core.profile.origins import KEPT_PART, SEEN, Origins
from leakwarden.core.profile.ownership import CodeOwner, Ownership, enclosing
from leakwarden.core.profile.pprof import Profile
from leakwarden.core.profile.retention import HeldSite, by_shape
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.stacks import Stack, innermost
from leakwarden.core.profile.standard_shapes import CONNECTION, FILE, KEPT, LISTENER, MEMORY, ROWS, TX, UNKNOWN

# Few lines open files, so where descriptors are known to grow one sampled allocation is enough.
WELL_SEEN, SEEN_FILES = 5.0, 0.5
# Bytes. Nearly every allocation of this size is sampled (at the default rate 86 %), so that the growth of one buffer is
# no chance of the sampling. Half as much again is more than an append that made room once.
SURELY_SAMPLED, SWELLED = 2.0**20, 0.5
EAGER = 0.9  # more samples, where nothing else grew
# A line that freed half of its new allocations, or more, grows only where that is beyond its own noise.
RETAINED, HEAP_DEVIATIONS = 0.5, 3.0
# Where a signal is known to grow and this line is most of what the heap grew by, less is enough to tell the line, and so
# many deviations, with more at each capture than at the one before, to be more than a guess.
RISING_DEVIATIONS = 2.0
# The growing signals that support each kind; all other kinds hold memory.
_SIGNALS = {
    FILE.name: frozenset({"descriptors"}),
    CONNECTION.name: frozenset({"descriptors"}),
    LISTENER.name: frozenset({"descriptors"}),
    ROWS.name: frozenset({"memory", "connections"}),
    TX.name: frozenset({"memory", "connections"}),
}


GROWS = "the signal grows"
_LIBRARYS = replace(UNKNOWN, name=MEMORY.name, title="memory that a library keeps")


@dataclass(frozen=True, slots=True)
class MemoryLine:
    """A suspected line with the values that decide its place in the list."""

    suspect: Suspect
    load: bool
    specific: bool


def memory_lines(
    capture: Capture,
    origins: Origins,
    ownership: Ownership,
    *,
    growing: frozenset[str],
    in_requests: Callable[[str], bool],
    modules: frozenset[str] = frozenset(),
    eager: bool = False,
) -> list[MemoryLine]:
    """Lines whose memory became more, or that hold the things that a growing signal counts, the heaviest first.
    `in_requests`: whether a function is on the stacks of requests that became more. `modules`: those whose goroutines
    are suspects already; the memory they keep is counted with them. `eager`: one more kept sample is enough."""
    if not capture.heaps:
        return []
    heap = HeapGrowth.of(capture, ownership)
    found = _of_kinds(capture, origins, heap, ownership, growing)
    kinds = KeptKinds(
        ownership,
        _made_there(origins, ownership),
        Tables.of(capture.heaps[-1], ownership),
        waiting_finalizers(capture, ownership),
        Keepers(ownership, capture.heaps[-1], capture.goroutines[-1] if capture.goroutines else None),
    )
    named = {line.suspect.function for line in found}
    for site in origins.sites(lambda below: not _taking(below)):
        if site.frame.function in named or bookkeeping(site.stack):
            continue
        line = _kept_here(
            site,
            capture,
            heap,
            ownership=ownership,
            growing=growing,
            in_requests=in_requests,
            kinds=kinds,
            least=EAGER if eager else SEEN,
        )
        if line is not None:
            found.append(line)
    found += _without_team(capture, origins, ownership, heap=heap, modules=modules)
    return found


def _taking(below: Stack) -> bool:
    return any(f.function.startswith(("runtime/pprof.", "net/http/pprof.")) for f in below)


def _of_kinds(
    capture: Capture, origins: Origins, heap: HeapGrowth, ownership: Ownership, growing: frozenset[str]
) -> list[MemoryLine]:
    """Leaks that need no goroutine: files, timers, contexts, rows and transactions that are still referred to."""
    found: list[tuple[float, MemoryLine]] = []
    for shape in KEPT:
        known = not growing.isdisjoint(_SIGNALS.get(shape.name, {"memory"}))
        for shared in (False, True) if shape.shared else (False,):
            through = by_shape(shape, ownership, shared)
            here = [
                line
                for site in origins.sites(lambda below, through=through: bool(below) and through(below))  # type: ignore[misc]
                if (line := _held(shape, site, capture, heap=heap, ownership=ownership, known=known))
            ]
            found += [(line.suspect.count, line) for line in here]
            if here:
                break
    return [line for _, line in sorted(found, key=lambda pair: pair[0], reverse=True)]


def _made_there(origins: Origins, ownership: Ownership) -> dict[str, Shape]:
    """For each function of the team the kind of the object that it also makes and keeps. A timer, a file or a
    registration is small and seldom sampled; the memory kept with it, allocated in the same function, is large."""
    found: dict[str, Shape] = {}
    for shape in KEPT:
        through = by_shape(shape, ownership)
        for site in origins.sites(lambda below, through=through: bool(below) and through(below)):  # type: ignore[misc]
            if site.sampled >= SEEN_FILES and site.ratio >= RETAINED and site.gained > 0:
                found.setdefault(site.frame.function, shape)
    # What a library, or a context, keeps of a function belongs to what the function allocates for it.

    def keeps(below: Stack) -> Shape | None:
        kind = kind_of_call(below)
        return kind if kind is not None and kind.modules and _foreign(kind) else kept_by_call(below, ownership)

    for site in origins.sites(lambda below: keeps(below) is not None):
        # A registry's own array grows by copies, so that half of what it allocated is let go.
        if site.sampled < SEEN_FILES or site.ratio < KEPT_PART or site.gained <= 0:
            continue
        for frame in site.stack[:2]:
            if ownership.of(frame) is CodeOwner.TEAM and (kind := keeps(site.below)) is not None:
                found.setdefault(frame.function, kind)
    return found


def _of_library(shape: Shape, site: HeldSite) -> Shape:
    """A thing of Go's own that a library opened for the team belongs to the library's object, where its call is known:
    an IMAP client has to be logged out, and not only its connection closed."""
    kind = kind_of_call(site.below)
    return kind if kind is not None and _foreign(kind) else shape


def _foreign(kind: Shape) -> bool:
    return kind.library and not kind.victim


def _held(
    shape: Shape, site: HeldSite, capture: Capture, *, heap: HeapGrowth, ownership: Ownership, known: bool
) -> MemoryLine | None:
    # A cache that fills looks like this for a while, so growth must be clear, or known from elsewhere.
    plain = site.sampled >= WELL_SEEN and site.gained > 0
    least = SEEN_FILES if shape is FILE else SEEN
    if site.ratio < KEPT_PART or not (plain or (known and site.sampled >= least)):
        return None
    why = [f"{site.ratio:.0%} of what was ever obtained here is still kept ({site.sampled:.0f} samples)"]
    if site.gained > 0:
        why.append(f"{site.gained / 1024:.0f} KiB more within {capture.seconds:.0f}s")
    if known:
        why.append("the signal grows")
    # A leak that stands still at its limit does not grow between two captures; the held objects are visible all the
    # same.
    sure = Confidence.MEDIUM if known and site.sampled >= WELL_SEEN else Confidence.LOW
    suspect = _suspect(_of_library(shape, site), site, capture, heap=heap, ownership=ownership, sure=sure, why=why)
    if "memory" not in _SIGNALS.get(shape.name, {"memory"}):
        # Its objects are counted by another signal: its part of the heap's growth does not matter.
        suspect = replace(suspect, explains=None)
    return MemoryLine(suspect, False, True)


def _suspect(
    shape: Shape,
    site: HeldSite,
    capture: Capture,
    *,
    heap: HeapGrowth,
    ownership: Ownership,
    sure: Confidence,
    why: Sequence[str],
) -> Suspect:
    place = CallSite.on(site.stack, 0, ownership)
    growth = site.gained_objects / capture.seconds if capture.seconds > 0 and site.gained_objects > 0 else None
    grown = max(site.gained, heap.function(site.frame.function).grown)
    return Suspect(
        shape.name, shape.title, site.frame.function, file=site.frame.file, line=site.frame.line, count=round(site.objects), unit="objects", growth_per_s=growth,
        confidence=sure, reasons=tuple(why), why=shape.why, fix=shape.fix, stack=site.stack[:32], callers=place.callers[:32], explains=heap.share(grown), docs=shape.docs,
    )  # fmt: skip


def _kept_here(
    site: HeldSite,
    capture: Capture,
    heap: HeapGrowth,
    *,
    ownership: Ownership,
    growing: frozenset[str],
    in_requests: Callable[[str], bool],
    kinds: KeptKinds,
    least: float,
) -> MemoryLine | None:
    series = heap.function(site.frame.function)
    grown = max(site.gained, series.grown)
    each = site.in_use / site.sampled if site.sampled > 0 else 0.0
    seen = grown / each if each > 0 else 0.0
    verdict = "memory" in growing
    part = heap.share(grown)
    swelled = each >= SURELY_SAMPLED and grown >= SWELLED * (site.in_use - grown) and grown >= SURELY_SAMPLED
    noise = math.sqrt(max(0.0, 2 * site.sampled - seen))
    beyond = swelled or (seen >= least and (site.ratio >= RETAINED or seen >= HEAP_DEVIATIONS * noise))
    # A line that lets go of most of what it allocates, and yet is most of what grew.
    # Where no signal is known to grow (`least` is smaller then), it has to be more at each of three captures.
    surely = least >= SEEN or series.rises
    rising = verdict and not beyond and surely and seen >= SEEN and (part or 0.0) >= MOST
    # A leak that pauses, or has reached its limit, is most of the memory in use.
    rests = (
        verdict
        and site.sampled >= SEEN
        and site.ratio >= KEPT_PART
        and site.in_use >= NOTABLE * max(1.0, heap.total.last)
    )
    if not (beyond or rising or rests):
        return None
    shape = kinds.of(site)
    load = in_requests(site.frame.function) or any(f.function.startswith("net/http.(*Server)") for f in site.below)
    why = [f"{site.ratio:.0%} of what was ever allocated here is still kept ({site.sampled:.0f} samples)"]
    if grown > 0:
        why.append(f"{grown / 1024:.0f} KiB more within {capture.span:.0f}s")
    if part is not None:
        why.append(f"this explains {part:.0%} of the growth of the heap")
    shown = beyond or (rising and series.rises and seen >= RISING_DEVIATIONS * noise)
    sure, reason = _sure(shape, part or 0.0, shown, load, Watched.of(capture, verdict, series.slows(heap.times)))
    if rising and not shown:
        sure, reason = Confidence.LOW, f"{GROWS}, and this is most of what the heap grew by, though hardly beyond noise"
    if part is None and sure is Confidence.LOW and reason == GROWS and site.in_use >= MOST * max(1.0, heap.total.last):
        sure, reason = (
            Confidence.MEDIUM,
            "the signal grows, and most of the heap is kept here; other parts of it shrank",
        )
    why.append(reason)
    return MemoryLine(
        _suspect(shape, site, capture, heap=heap, ownership=ownership, sure=sure, why=why), load, shape.specific
    )


def _sure(shape: Shape, part: float, beyond: bool, load: bool, watched: Watched) -> tuple[Confidence, str]:
    if watched.slows:
        return Confidence.LOW, "it grew less lately than before: a cache that fills ends like this"
    if not watched.verdict:
        if load:
            return Confidence.LOW, "as many requests are open: more load looks the same"
        # A cache without a name for what it keeps may fill for hours; objects that have to be ended should not become more.
        if watched.outlasts_ramps and beyond and part >= MOST and shape.specific:
            return Confidence.MEDIUM, "it grew steadily over many minutes"
        return Confidence.LOW, f"a cache that fills looks the same for a while; {watched.undecided}"
    if not beyond:
        return (
            Confidence.LOW,
            "the signal grows, and most of what is there is kept here; between the captures it did not grow",
        )
    if part >= MOST and watched.long and shape.specific:
        return Confidence.HIGH, GROWS
    return (Confidence.MEDIUM if part >= NOTABLE else Confidence.LOW), GROWS


def _without_team(
    capture: Capture, origins: Origins, ownership: Ownership, *, heap: HeapGrowth, modules: frozenset[str]
) -> list[MemoryLine]:
    """Growing memory of a library without a call of the team's on the stack: the team's line that keeps objects of that
    library is named where there is one, and the library's own line after it."""
    last = capture.heaps[-1]
    first = capture.heaps[0] if len(capture.heaps) > 1 else None
    grown: dict[str, float] = {}
    heaviest: dict[str, tuple[float, Stack]] = {}
    for sign, profile in ((1, last), (-1, first)):
        column = profile.column("inuse_space") if profile is not None else None
        for sample in profile.samples if profile is not None and column is not None else ():
            stack = sample.stack
            if not stack or bookkeeping(stack) or innermost(stack, ownership) is not None:
                continue
            library = next((f for f in reversed(stack) if ownership.of(f) is CodeOwner.LIBRARY), stack[-1])
            module = ownership.module(library)
            value = float(max(0, sample.values[column or 0]))
            grown[module] = grown.get(module, 0.0) + sign * value
            if sign > 0 and value > heaviest.get(module, (0.0, ()))[0]:
                heaviest[module] = (value, stack)
    found = []
    period = max(last.period, 1)
    for module, more in sorted(grown.items(), key=lambda pair: -pair[1]):
        stack = heaviest.get(module, (0.0, ()))[1]
        if first is None or more < 2 * period or not stack or module in modules:
            continue
        at = next((n for n, f in enumerate(stack) if ownership.of(f) is CodeOwner.LIBRARY), 0)
        why = (
            f"{more / 1024:.0f} KiB more in {module} within {capture.seconds:.0f}s",
            "no call of the team's is on the way to it",
        )
        frame = stack[at]
        origin = origins.of(UNKNOWN, module) if "." in module.partition("/")[0] else None
        if origin is not None:
            kind = origin.kind or MEMORY
            suspect = Suspect(
                kind.name, kind.title, origin.place.frame.function, file=origin.place.frame.file, line=origin.place.frame.line, count=0, unit="objects", growth_per_s=None,
                confidence=Confidence.LOW, reasons=(why[0], origin.reason), why=kind.why, fix=kind.fix, stack=origin.place.stack[:32], callers=origin.place.callers[:32], explains=heap.share(more), docs=kind.docs,
                concluded=True,
            )  # fmt: skip
            found.append(MemoryLine(suspect, serves(stack), False))
        kind = REQUESTS if any(f.function.startswith("net/http.(*conn).readRequest") for f in stack) else _LIBRARYS
        suspect = Suspect(
            kind.name, kind.title, frame.function, file=frame.file, line=frame.line, count=0, unit="objects", growth_per_s=None,
            confidence=Confidence.LOW, reasons=why, why=kind.why, fix=kind.fix, stack=stack[:32], callers=(), explains=heap.share(more), docs=kind.docs, team=False,
        )  # fmt: skip
        found.append(MemoryLine(suspect, serves(stack), False))
    return found


def functions_of(stacks: Iterable[Stack], ownership: Ownership) -> frozenset[str]:
    """The team's functions on these stacks, and the functions that enclose their closures."""
    names = {f.function for stack in stacks for f in stack if ownership.of(f) is CodeOwner.TEAM}
    return frozenset(names | {enclosing(name) for name in names})


def total_in_use(profile: Profile) -> float:
    column = profile.column("inuse_space")
    return float(sum(max(0, s.values[column]) for s in profile.samples)) if column is not None else 0.0
