"""Names the lines that leak, by their growth between captures: goroutines by line, the heap by line, and the
confidence. Growth beyond noise is always reported; where no line of the team's is found, with the library's own line.

The steps, each in a module of its own:

    standings ─► lines ─► located ─► accused ─► causes ─► confidence ─► ranked
    growth.py    lines.py  origins.py  here      causes.py  confidence.py  here, with memory.py's lines
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from leakwarden.core.profile.advice import for_caller, in_loops, still_running
from leakwarden.core.profile.blocked_shapes import IDLE
from leakwarden.core.profile.candidates import barely, holders, placed
from leakwarden.core.profile.causes import order_causes
from leakwarden.core.profile.confidence import MOST, NOTABLE, Watched, of_goroutines, spell
from leakwarden.core.profile.evidence import SHOWN, CallSite, Confidence, Findings, Suspect
from leakwarden.core.profile.growth import (
    DEVIATIONS,
    FEW,
    FEW_LIBRARYS,
    LIBRARYS,
    STEADY,
    Capture,
    Series,
    beyond_noise,
)
from leakwarden.core.profile.kept import BY_WAY
from leakwarden.core.profile.lines import Line, lines_of, located, mark_load
from leakwarden.core.profile.memory import MemoryLine, functions_of, memory_lines, total_in_use
from leakwarden.core.profile.modules import serves
from leakwarden.core.profile.off_heap import outside_of_heap
from leakwarden.core.profile.origins import Origins
from leakwarden.core.profile.ownership import Ownership
from leakwarden.core.profile.possibility import as_possibility
from leakwarden.core.profile.standard_shapes import KEPT, OPENED, SERVED
from leakwarden.core.profile.wait_texts import Around, Wait, phrased

__all__ = ["Capture", "explain", "suspects"]

# Uber's LeakProf reports 10,000 goroutines blocked at one line even without knowing whether they grow.
HUGE = 10_000
# Leaked goroutines stay; of the few requests in flight at the same line, some may be gone at the second capture.
STAYING = 0.98
# A line that explains less of the growth than this comes after those that explain more, whatever its kind.
MINOR = 0.2
# Allocations of a leak that have to be recorded to be told from chance, and s of captures that show a slow leak.
SAMPLES, LONGER = 3, 300.0
# Bytes; where the heap grew by less, and only the whole process is known to grow, memory outside of it is named as well.
HEAP_SHOWS = 2.0**20
# A line that holds this part of the things that a growing signal counts holds nearly all.
NEARLY_ALL = 0.8


def suspects(
    capture: Capture, *, growing: frozenset[str] = frozenset(), modules: Sequence[str] = (), limit: int = 10
) -> list[Suspect]:
    """The suspects of `explain`."""
    return list(explain(capture, growing=growing, modules=modules, limit=limit).suspects)


def explain(
    capture: Capture, *, growing: frozenset[str] = frozenset(), modules: Sequence[str] = (), limit: int = 10
) -> Findings:
    """The lines that grew, the likeliest cause first; no suspects where none did. Raises ProfileError for profiles of a
    wrong kind.

    `growing`: which of "goroutines", "descriptors", "connections" (of a database pool), "memory", "rss" (of the whole
    process) a detector found to grow. `modules`: paths of the team's code in addition to main's module.
    """
    ownership = Ownership([*capture.goroutines, *capture.heaps], modules)
    origins = Origins(capture.heaps, capture.goroutines, ownership)
    lines = lines_of(capture, ownership, origins) if capture.goroutines else []
    grown = sum(max(0.0, one.series.grown) for line in lines for one in line.standing)
    mark_load(lines)
    total = sum(line.series.last for line in lines)
    accused = [line for line in lines if _notable(line, total, growing)]
    accused = located(accused or _faint(lines), origins)
    mark_load([*accused, *(line for line in lines if line.load)])
    accused = order_causes(accused, lines, origins, ownership)
    _mark_holders(list({id(line): line for line in (*accused, *lines)}.values()), growing)
    standing = [(one.group, one.series.last) for line in lines for one in line.standing]
    near = Around(standing, ownership, capture.heaps[-1] if capture.heaps else None)
    named = [(line, _suspect(line, grown, capture, _verdict(line, growing), near)) for line in accused]
    named_modules = _modules(accused, ownership)
    memory = memory_lines(
        capture,
        origins,
        ownership,
        growing=growing | _memory(growing),
        in_requests=_requests(accused, ownership),
        modules=named_modules,
    )
    if "descriptors" in growing and not any("descriptors" in line.shape.holds for line in accused):
        memory = _opened(memory)
    found = _ranked(placed(named, [line.suspect for line in memory]), memory)
    if not any(suspect.team for suspect in found):
        little = barely(capture, origins, ownership)
        found = _ranked(placed(named, little), memory)
        known = {(one.function, one.file, one.line) for one in found}
        found = [*(one for one in little if (one.function, one.file, one.line) not in known), *found]
    if not found:
        found = holders(origins, ownership, growing)
    if "rss" in growing and (not found or ("memory" not in growing and _heap_grew(capture) < HEAP_SHOWS)):
        told = looked_at(capture)
        outside = outside_of_heap(capture, origins, ownership, looked_at=told, others=bool(found))
        found = [*found[: limit - 1], *outside]
    running = still_running(lines, len(capture.goroutines))
    found = [as_possibility(in_loops(for_caller(one), running)) for one in found[:limit]]
    return Findings(tuple(found), looked_at(capture), "" if found else unseen(capture, growing))


def looked_at(capture: Capture) -> str:
    """`goroutines 167 -> 331, heap in use 1.0 MiB -> 1.3 MiB, within 10s`"""
    parts = []
    if capture.goroutines:
        counts = [sum(max(0, s.values[0]) for s in profile.samples) for profile in capture.goroutines]
        parts.append("goroutines " + " -> ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1]))))
    if capture.heaps:
        sizes = [f"{total_in_use(heap) / 2**20:.1f} MiB" for heap in (capture.heaps[0], capture.heaps[-1])]
        parts.append("heap in use " + " -> ".join(dict.fromkeys(sizes)))
    if capture.leaked is not None:
        parts.append(f"{sum(max(0, s.values[0]) for s in capture.leaked.samples)} listed as leaked by the runtime")
    if capture.span > 0:
        parts.append(
            f"within {spell(capture.span)}" + (" (since a healthy time)" if capture.baseline is not None else "")
        )
    return ", ".join(parts)


def _memory(growing: frozenset[str]) -> frozenset[str]:
    return frozenset({"memory"}) if "rss" in growing else frozenset()


def _verdict(line: Line, growing: frozenset[str]) -> bool:
    """Whether a signal that is known to grow counts the things that this line holds."""
    if "goroutines" in growing:
        return True
    return (
        bool(line.shape.holds & growing)
        or (
            # The resources behind a library or a wait are not known; growing descriptors support every line that grows
            # then.
            bool(growing & {"descriptors"}) and line.series.lately >= FEW
        )
        or (bool(growing & {"memory", "rss"}) and line.series.lately >= FEW)
    )


def _notable(line: Line, total: float, growing: frozenset[str]) -> bool:
    """Whether the goroutines at one line are worth reporting."""
    series = line.series
    if line.leaked >= FEW:
        return True
    measured = len(series.values) > 1 or series.base is not None
    if measured and line.shape.library and line.module and beyond_noise(series, LIBRARYS, FEW_LIBRARYS):
        return True
    if series.last < FEW:
        return False
    if measured and beyond_noise(series, DEVIATIONS if line.load or line.module else STEADY):
        return True
    if line.shape in (SERVED, IDLE):
        return False
    accused = "goroutines" in growing or bool(line.shape.holds & growing)
    # A leak of ten an hour does not grow within seconds, nor does any leak without calls.
    stays = len(series.values) < 2 or series.last >= series.first * STAYING
    if accused and stays and series.last >= NOTABLE * total:
        return True
    return series.last >= HUGE


def _faint(lines: Sequence[Line]) -> list[Line]:
    """Where no line grew beyond its own noise and all goroutines together did: the lines that are most of it."""
    total = Series([0.0, 0.0])
    for line in lines:
        total = total.plus(Series([line.series.started, line.series.last]))
    if not beyond_noise(total, STEADY):
        return []
    found = [line for line in lines if line.series.grown >= max(FEW, MINOR * total.grown)]
    for line in found:
        line.faint = True
    return found


def _mark_holders(lines: Sequence[Line], growing: frozenset[str]) -> None:
    """Mark the line that holds nearly all descriptors or connections that a growing signal counts."""
    holding = [line for line in lines if line.shape.holds & growing and not line.shape.victim]
    total = sum(line.series.last for line in holding)
    for line in holding:
        line.holds_most = line.series.last >= max(FEW, NEARLY_ALL * total)


def _suspect(line: Line, grown: float, capture: Capture, verdict: bool, near: Around) -> Suspect:
    series, times = line.series, tuple(profile.taken for profile in capture.goroutines)
    explains = min(1.0, line.explains / grown) if grown > 0 and line.explains > 0 else None
    slows = series.slows(times)
    sure, why = of_goroutines(line, explains, Watched.of(capture, verdict, slows))
    # Without a verdict, a holder that is slow for a while, and the goroutines that wait for it, are load.
    if line.first and verdict and sure is Confidence.LOW:
        sure = Confidence.MEDIUM
    stack = line.heaviest.group.stack
    place = line.place or CallSite(stack[-1], stack, ())
    measured = len(capture.goroutines) > 1 and capture.seconds > 0
    inner = stack[0].function
    shape, frame = line.shape, place.frame
    if line.load and shape not in (SERVED, IDLE) and not verdict:
        sure = Confidence.LOW if line.leaked < FEW else sure
    if line.place is not None and not line.module:
        shape = phrased(shape, Wait(line.heaviest.group.operation, stack, frame.function, line.count, near))
    if line.faint:
        sure = Confidence.LOW
        why.append("it grew hardly more than such goroutines come and go")
    return Suspect(
        shape.name, shape.title, frame.function, file=frame.file, line=frame.line, count=line.count, unit="goroutines",
        growth_per_s=series.lately / capture.seconds if measured else None, confidence=sure, reasons=(*why, *line.reasons), why=shape.why, fix=shape.fix,
        stack=place.stack[:SHOWN], callers=place.callers[:SHOWN], waiting_in="" if inner == frame.function else inner,
        concluded=bool(line.module), labels=tuple(sorted(line.labels.items())), explains=explains, docs=shape.docs, team=line.place is not None,
    )  # fmt: skip


def _requests(accused: Sequence[Line], ownership: Ownership) -> Callable[[str], bool]:
    """Whether a function is on the stacks of requests that became more: the memory they hold belongs to them."""
    stacks = [
        one.group.stack for line in accused for one in line.standing if serves(one.group.stack) and one.series.grown > 0
    ]
    functions = functions_of(stacks, ownership)
    return lambda function: function in functions


def _modules(accused: Sequence[Line], ownership: Ownership) -> frozenset[str]:
    """The modules whose goroutines are suspects: libraries, and the server where requests are suspects."""
    stacks = [one.group.stack for line in accused if line.module or line.load for one in line.standing]
    roots = {ownership.module(frame) for stack in stacks for frame in stack[-3:]}
    return frozenset(roots | {line.module for line in accused if line.module})


def _ranked(named: Sequence[tuple[Line, Suspect]], memory: Sequence[MemoryLine]) -> list[Suspect]:
    """Causes before lines that may only suffer, lines that explain much before those that explain little, known kinds
    before unknown ones; within that by certainty and growth."""
    entries: list[tuple[tuple[object, ...], Suspect]] = []
    causes = any(line.first for line, _ in named)
    for line, suspect in named:
        part = suspect.explains or 0.0
        entries.append((
            (
                line.later,
                (line.shape.victim or line.load) and not line.first,
                not line.first,
                suspect.confidence.rank,
                part < MINOR and not line.leaked and causes is False and suspect.explains is not None,
                not suspect.team,
                not (suspect.concluded and line.shape.specific),
                -part,
                -suspect.count,
            ),
            suspect,
        ))  # fmt: skip
    # A waiting goroutine holds memory as well, and at no line of its own.
    waiting = sum(suspect.explains or 0.0 for line, suspect in named if line.shape.victim)
    for held in memory:
        suspect = held.suspect
        part = suspect.explains or 0.0
        piled = waiting >= MOST or (waiting >= NOTABLE and part < MINOR)
        entries.append((
            (piled, held.load, True, suspect.confidence.rank, part < MINOR, not suspect.team, True, 0.0 if named else -part, 0),
            suspect,
        ))  # fmt: skip
    found: dict[tuple[str, str, int], Suspect] = {}
    for _, suspect in sorted(entries, key=lambda pair: pair[0]):
        at = (suspect.function, suspect.file, suspect.line)
        before = found.setdefault(at, suspect)
        if suspect.confidence.rank < before.confidence.rank:
            found[at] = replace(before, confidence=suspect.confidence)
    return list(found.values())


def _opened(memory: Sequence[MemoryLine]) -> list[MemoryLine]:
    """Lines that keep memory of no known kind, where descriptors grow and no other line is known to hold them. A file
    is some hundred bytes and seldom sampled; its buffer is sampled."""
    holders = {shape.name for shape in KEPT if "descriptors" in shape.holds}
    if any(line.suspect.shape in holders for line in memory):
        return list(memory)
    return [
        replace(line, suspect=replace(line.suspect, shape=OPENED.name, title=OPENED.title, why=OPENED.why, fix=OPENED.fix, docs=OPENED.docs))
        if line.suspect.shape in BY_WAY and line.suspect.team
        else line
        for line in memory
    ]  # fmt: skip


def _heap_grew(capture: Capture) -> float:
    """Bytes that the heap in use grew by, between the first and the last capture."""
    return total_in_use(capture.heaps[-1]) - total_in_use(capture.heaps[0]) if capture.heaps else 0.0


def unseen(capture: Capture, growing: frozenset[str]) -> str:
    """The leaks that a capture cannot show, and the captures that would: where nothing is named, that must not read as if
    nothing leaked."""
    known = " and ".join(sorted(growing))
    return (
        f"{known} grow, and these profiles do not show what holds them: {_blind(capture)}" if known else _blind(capture)
    )


def _blind(capture: Capture) -> str:
    period = capture.heaps[-1].period if capture.heaps else 0
    if not period:
        return "no heap profile was taken, so that memory and what holds descriptors were not looked at"
    if len(capture.heaps) < 2 or capture.span <= 0:
        return "there is one heap profile, so that growth of memory was not looked at: take a second one"
    rate = SAMPLES * period / capture.span / 1024
    longer = max(10 * capture.span, LONGER)
    return (
        f"the heap profile records one allocation in {period / 1024:.0f} KiB, so that within {spell(capture.span)} it shows memory"
        f" that grows by {rate:.0f} KiB/s or more, and within {spell(longer)} by {rate * capture.span / longer:.1f} KiB/s (suspects --for);"
        " a service that is started with GODEBUG=memprofilerate=65536 shows eight times less"
    )
