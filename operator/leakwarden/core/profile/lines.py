"""Goroutines by the line that explains them: the team's own on their stacks, else the one that made the object which
they serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from leakwarden.core.profile.blocked_shapes import IDLE
from leakwarden.core.profile.catalogue import shape_of
from leakwarden.core.profile.endings import ending_below, specialised
from leakwarden.core.profile.evidence import CallSite
from leakwarden.core.profile.growth import FEW, Capture, Series, Standing, beyond_noise, standings
from leakwarden.core.profile.harvested_shapes import kind_by_names
from leakwarden.core.profile.kept_shapes import COMMAND_HANGS
from leakwarden.core.profile.modules import launches, serves
from leakwarden.core.profile.origins import Origin, Origins
from leakwarden.core.profile.ownership import CodeOwner, Ownership, enclosing
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.stacks import Stack, innermost
from leakwarden.core.profile.standard_shapes import (
    BODY,
    EXEC,
    RECEIVE,
    SELECTING,
    SERVED,
    TIMEOUT,
    TRANSPORT,
    UNKNOWN,
)
from leakwarden.core.profile.waits import Waits

# Two kinds of goroutines that belong to one thing grow by the same number, or one by a small multiple.
MULTIPLES = 6
ALIKE = 0.12


@dataclass(slots=True, eq=False)
class Line:
    """Goroutines that one line explains. `place` None: no line of the team's was found."""

    shape: Shape
    place: CallSite | None
    module: str  # of the library that runs them; empty where the team's own code is on their stacks
    standing: list[Standing]
    reasons: list[str] = field(default_factory=list)
    certain: bool = True  # of the line, not of the leak
    load: bool = False  # goroutines of requests, or equally many
    holds_most: bool = False  # nearly all things that a growing signal counts are held here
    first: bool = False  # a known cause: its victims come after it
    later: bool = False  # a victim whose cause is known
    faint: bool = False  # it grew no more than its own noise, and all goroutines together grew by more
    victims: list[Line] = field(default_factory=list)  # lines that suffer from this one: it explains their growth too

    _summed: tuple[int, Series] | None = None  # over how many stacks

    @property
    def series(self) -> Series:
        if self._summed is None or self._summed[0] != len(self.standing):
            total = self.standing[0].series
            for one in self.standing[1:]:
                total = total.plus(one.series)
            self._summed = len(self.standing), total
        return self._summed[1]

    @property
    def explains(self) -> float:
        """The part of the goroutines' growth that this line explains, with that of its victims."""
        return max(0.0, self.series.grown) + sum(max(0.0, line.series.grown) for line in self.victims)

    @property
    def leaked(self) -> int:
        return sum(one.leaked for one in self.standing)

    @property
    def count(self) -> int:
        return max(round(self.series.last), self.leaked)

    @property
    def heaviest(self) -> Standing:
        """The stack that represents all: of those that grew most, one that shows the line's kind."""
        most = max(max(one.series.grown, one.leaked) for one in self.standing)
        near = [one for one in self.standing if max(one.series.grown, one.leaked) >= most * (1 - ALIKE)]
        return max(near, key=lambda one: (_named(shape_of(one.group)) == self.shape.name, one.series.last, one.leaked))

    @property
    def labels(self) -> Mapping[str, str]:
        shared = dict(self.standing[0].labels)
        for one in self.standing[1:]:
            shared = {k: v for k, v in shared.items() if one.labels.get(k) == v}
        return shared

    @property
    def concluded(self) -> bool:
        return bool(self.module) and self.place is not None


def _named(shape: Shape | None) -> str:
    return shape.name if shape is not None else ""


def lines_of(capture: Capture, ownership: Ownership, origins: Origins) -> list[Line]:
    """Every line with its goroutines; one line per kind for libraries. Raises ProfileError."""
    waits = Waits(origins, ownership)
    direct: dict[tuple[str, object], Line] = {}
    indirect: dict[tuple[str, str, object], Line] = {}
    for one in standings(capture):
        stack = one.group.stack
        if not stack or _profiles(stack):
            continue
        at = innermost(stack, ownership)
        shape = shape_of(one.group) or UNKNOWN
        if at is not None and not (ownership.added(stack[at]) and shape is not SERVED):
            # A library that calls the team back is on the stack as well, and is not the thing that is waited for.
            shape = shape_of(replace(one.group, stack=stack[:at] or stack[:1])) or UNKNOWN
            shape = waits.shape(shape, stack, at)
            place = CallSite.on(stack, at, ownership)
            # `serves` is of the whole stack: a goroutine that a request started is not one of the request.
            line = direct.setdefault((shape.name, place.frame), Line(shape, place, "", []))
            line.load = line.load or serves(stack)
        else:
            module = _module(stack, ownership)
            if serves(stack) and not (shape.specific and "." in module.partition("/")[0]):
                shape = IDLE if _idle(stack) else SERVED
            # The way a library's goroutine waits does not show its kind; its function does.
            shape = shape if shape.modules else UNKNOWN
            # An added module has code for many things, so its goroutines are told apart by their line.
            added = CallSite.on(stack, at, ownership) if at is not None else None
            key = (shape.name if shape.modules else "", module, added and added.frame)
            line = indirect.setdefault(key, Line(shape, added, module, []))  # the caller of that place may be found yet
            line.load = line.load or shape in (SERVED, IDLE)
        line.standing.append(one)
    return [*direct.values(), *_gathered(list(indirect.values()))]


def _profiles(stack: Stack) -> bool:
    """Whether a goroutine only takes the profile."""
    return any(f.function.startswith(("runtime/pprof.", "net/http/pprof.")) for f in stack)


def _module(stack: Stack, ownership: Ownership) -> str:
    """The owner of the goroutine: the module of the outermost call of a library; without any, Go's package."""
    own = [f for f in reversed(stack) if not launches(f.function)] or list(reversed(stack))
    library = next((f for f in own if ownership.of(f) is not CodeOwner.STANDARD), None)
    return ownership.module(library if library is not None else own[0])


def _gathered(lines: list[Line]) -> list[Line]:
    """Goroutines of one library that show no kind by themselves are counted with the library's kind that grew most."""
    kept = [line for line in lines if line.shape.modules or line.place is not None]
    for line in lines:
        if line in kept:
            continue
        akin = [other for other in kept if line.module in other.shape.modules and other.shape not in (SERVED, IDLE)]
        akin += [
            other
            for other in kept
            if other.module == line.module and other.shape not in (SERVED, IDLE) and other not in akin
        ]
        if akin:
            max(akin, key=lambda other: other.series.grown).standing.extend(line.standing)
        else:
            kept.append(line)
    return kept


def located(lines: Sequence[Line], origins: Origins) -> list[Line]:
    """Lines of libraries with the team's line that made the object which they serve; those of one line become one."""
    found = [line for line in lines if not line.module]
    libraries = [line for line in lines if line.module]
    by_place: dict[tuple[str, str], Line] = {}
    left: list[Line] = []
    for line in sorted(libraries, key=_standing_of):
        if line.shape in (SERVED, IDLE):
            line.place = origins.serving() if line.shape is IDLE else None
            found.append(line)
            continue
        origin = origins.of(line.shape, line.module)
        if origin is None:
            left.append(line)
            continue
        line.shape = _kind(line, origin)
        key = (enclosing(origin.place.frame.function), origin.place.frame.file)
        before = by_place.get(key)
        if before is None:
            line.place, line.certain = origin.place, origin.certain
            line.reasons.append(origin.reason)
            by_place[key] = line
        else:
            if before.shape.part_of and before.shape.part_of == line.shape.name:
                before.shape = line.shape  # all of it leaks, and not only the part
            before.standing.extend(line.standing)
    for line in left:
        cause = _like(line, by_place.values()) if line.place is None else None
        if cause is None and (reader := _reader(line, found)) is not None:
            cause, reader.shape, reader.certain = reader, line.shape, False
            reader.reasons.append(f"as many goroutines of {line.module} became more: this one serves them")
        if cause is None:
            line.certain = False
            if line.shape is UNKNOWN and line.place is None:
                group = line.heaviest.group
                line.shape = kind_by_names((), group.stack, group.operation)
            found.append(line)
        else:
            cause.standing.extend(line.standing)
    _copies_of_commands(list(by_place.values()), found)
    return _calls_under_way(found, _of_libraries_first(list(by_place.values())))


def _copies_of_commands(libraries: Iterable[Line], found: Iterable[Line]) -> None:
    """Goroutines that copy a command's output, as many as wait for the copies to end, are of that kind: somebody does
    call Wait."""
    hanging = [line for line in found if line.shape is COMMAND_HANGS and line.series.grown > 0]
    for line in libraries:
        if line.shape is EXEC and any(in_step(line.series.grown, other.series.grown) for other in hanging):
            line.shape = COMMAND_HANGS


def _reader(line: Line, found: Iterable[Line]) -> Line | None:
    """The team's goroutines that grew one for one with those that a library runs for itself: a loop that reads the
    channels of an object of the library. The object it waits for shows more than the way it waits."""
    if not line.shape.specific or line.shape.victim or "." not in line.module.partition("/")[0]:
        return None
    grown = line.series.grown
    if grown < FEW:
        return None
    return next(
        (
            other
            for other in found
            if not other.module
            and other.shape in (RECEIVE, SELECTING)
            and abs(other.series.grown - grown) <= ALIKE * grown
        ),
        None,
    )


def _kind(line: Line, origin: Origin) -> Shape:
    """The kind of the library that the team called, where that library uses the one that runs these goroutines; else
    the goroutines' own kind, with what is known of the call."""
    made = origin.kind
    if made is not None and not made.victim and made.library and line.module not in made.modules:
        return made
    if line.shape.specific and line.shape is not UNKNOWN:
        return specialised(line.shape, ending_below(origin.below))
    if made is not None and not made.victim:
        return made
    group = line.heaviest.group
    return kind_by_names(origin.below, group.stack, group.operation)


def _calls_under_way(found: list[Line], libraries: list[Line]) -> list[Line]:
    """Connections at the line of a call that is still under way are part of that call: of a request that waits for its
    answer, or of a library that makes requests for the thing it runs, such as a watch."""
    calls = {
        (line.place.frame.function, line.place.frame.file): line
        for line in found
        if (line.shape is TIMEOUT or line.shape.library) and line.place is not None and not line.module
    }
    for line in libraries:
        frame = line.place.frame if line.place is not None else None
        call = (
            calls.get((frame.function, frame.file)) if frame is not None and line.shape in (BODY, TRANSPORT) else None
        )
        each = max((one.series.grown for one in line.standing), default=0.0)
        if call is not None and call.series.grown >= each * (1 - ALIKE):
            call.standing.extend(line.standing)
        else:
            found.append(line)
    return found


def _standing_of(line: Line) -> tuple[bool, bool, float]:
    """The best name for a thing first: a library's kind, then one of Go's own; within these the one that grew most."""
    library = "." in line.module.partition("/")[0]
    return not (library and line.shape.specific), not line.shape.specific, -line.series.grown


def _of_libraries_first(lines: list[Line]) -> list[Line]:
    """Connections and contexts of Go's own that grew with a library's goroutines belong to the library."""
    libraries = [line for line in lines if "." in line.module.partition("/")[0]]
    kept = list(libraries)
    for line in lines:
        if line in libraries:
            continue
        cause = _like(line, libraries)
        if cause is None:
            kept.append(line)
        else:
            cause.standing.extend(line.standing)
    return kept


def _like(line: Line, others: Iterable[Line]) -> Line | None:
    """The line whose goroutines grew by the same number, or by a small multiple of it."""
    grown = line.series.grown
    if grown < FEW:
        return None
    for other in others:
        each = max((one.series.grown for one in other.standing), default=0.0)
        if each >= FEW and in_step(grown, each):
            return other
    return None


def in_step(a: float, b: float) -> bool:
    """Whether the ratio of two growths is one, or a small whole number."""
    low, high = sorted((a, b))
    ratio = high / low if low > 0 else 0.0
    return 1 <= round(ratio) <= MULTIPLES and abs(ratio - round(ratio)) <= ALIKE * max(1.0, ratio / 2)


def mark_load(lines: Iterable[Line]) -> float:
    """Mark the lines that grew as requests did; returns the growth of requests."""
    every = list(lines)
    requests = [
        one for line in every for one in line.standing if serves(one.group.stack) and not _connection(one.group.stack)
    ]
    more = sum(max(0.0, one.series.grown) for one in requests)
    started = sum(one.series.started for one in requests)
    if not beyond_noise(Series([started, started + more])):
        return more
    for line in every:
        grown = line.series.grown
        each = max((one.series.grown for one in line.standing), default=0.0)
        if grown > 0 and (each <= more * (1 + ALIKE) or in_step(grown, more)):
            line.load = True
    return more


def _connection(stack: Stack) -> bool:
    """Whether a goroutine only waits for a client."""
    return stack[-1].function.startswith("net/http.(*connReader)") or _idle(stack)


def _idle(stack: Stack) -> bool:
    """Whether a goroutine waits for a client's first or next request."""
    return (
        stack[0].function == "internal/poll.runtime_pollWait"
        and any(f.function.startswith(("net/http.(*conn).readRequest", "net/http.(*connReader)")) for f in stack)
        and any(f.function == "net/http.(*conn).serve" for f in stack[-3:])
        and all(not f.function.startswith("net/http.serverHandler") for f in stack)
    )
