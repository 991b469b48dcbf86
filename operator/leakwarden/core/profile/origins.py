"""The origin of the objects that a library's goroutines serve: the team's line that made them, by the heap profile.

A goroutine that a library runs for itself has no call of the team on its stack, and a goroutine profile does not hold
its starter. But the library's objects were allocated below the call that made them, and the heap profile holds these
stacks: the origin is the line whose objects are kept and become more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from leakwarden.core.profile.catalogue import kind_of_call, row_made_by, row_of_call
from leakwarden.core.profile.endings import ending_below, ending_of, thing_of
from leakwarden.core.profile.evidence import CallSite
from leakwarden.core.profile.modules import launches, serves
from leakwarden.core.profile.ownership import CodeOwner, Ownership, enclosing, package, receiver
from leakwarden.core.profile.pprof import Frame, Profile
from leakwarden.core.profile.retention import HeldSite, Kept, Through, by_module, by_shape, obtained, since, sites
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.stacks import Stack, groups, innermost
from leakwarden.core.profile.standard_shapes import HTTP_SERVER, LISTENER

# One allocation that happened to be sampled proves little: any line has one at times. Two at one line, out of the few
# that reach it, are no accident.
SEEN = 1.5
# A cache or a pool in use for long keeps little of all that its line ever allocated; a leak keeps most of it, except
# for the memory that the call needed only for a moment.
KEPT_PART = 0.3
# A line that makes this part of all calls of a kind is the only one that matters.
ONLY = 0.95
# One line that holds this part of all memory kept through such calls is the origin.
DOMINANT = 0.6


@dataclass(frozen=True, slots=True)
class Origin:
    """A line that made the objects which goroutines serve."""

    place: CallSite
    reason: str
    certain: bool  # the heap shows that it keeps them, and no other line keeps as many
    kind: Shape | None  # by the call that the line makes
    below: Stack = ()  # the calls below the line, innermost first


class Origins:
    """The heap profiles of one capture, oldest first, may be empty; its goroutines are used where they show nothing."""

    def __init__(self, heaps: Sequence[Profile], goroutines: Sequence[Profile], ownership: Ownership) -> None:
        self._heaps = heaps
        self._goroutines = goroutines
        self._ownership = ownership

    def of(self, shape: Shape, module: str) -> Origin | None:
        """The line that made the objects which goroutines of this shape, or of this module's code, serve."""
        origin = self._found(shape, module)
        return origin if origin is None else self._constructed(origin, shape)

    def _found(self, shape: Shape, module: str) -> Origin | None:
        made = self._ranked(by_shape(shape, self._ownership)) if shape.acquires else []
        within = self._ranked(by_module(module, self._ownership)) if module and not _own(shape) else []
        loose = self._ranked(by_shape(shape, self._ownership, shared=True)) if shape.shared else []
        for found, surest in ((made, True), (within, True), (loose, False)):
            if (origin := self._kept(found, module, surest)) is not None:
                return origin
        for found in (made, within):
            if found:
                return self._most_allocated(found, module)
        # A server that was started with `go server.Serve(listener)` has no call of the team on its stacks; its listener has.
        listens = self._ranked(by_shape(LISTENER, self._ownership)) if shape is HTTP_SERVER else []
        if (origin := self._kept(listens, module, False)) is not None:
            return origin
        return self._most_allocated(listens, module) if listens else self._caught(shape, module)

    def _constructed(self, origin: Origin, shape: Shape) -> Origin:
        """Where a line only calls a method of a library's object, the line that makes such objects, if there is one: it
        is the one that has to end them."""
        call = next((f for f in reversed(origin.below) if self._ownership.of(f) is CodeOwner.LIBRARY), None)
        if call is None or row_made_by(call.function) is not None or ending_of(call.function) is not None:
            return origin
        thing = thing_of(call.function)
        tests: list[Through] = [by_shape(shape, self._ownership)] if shape.acquires and shape.library else []
        if thing is not None:
            tests.append(lambda below: (found := ending_below(below)) is not None and found.kind == thing.kind)
        elif receiver(call.function) and not _constructs(call):
            tests.append(self._constructors(self._ownership.module(call)))
        for through in tests:
            makers = [site for site in self._ranked(through) if site.frame != origin.place.frame]
            if thing is None:
                # Nothing is known of the library: one that was made once, before the captures, is not what became more.
                makers = [site for site in makers if site.gained > 0]
            if makers:
                best = max(makers, key=lambda site: (site.in_use + 2 * max(0.0, site.gained), site.allocated))
                reason = f"what {_short(call.function)} is called on is made here; {origin.reason}"
                certain = origin.certain and len({site.frame.function for site in makers}) == 1
                place = CallSite.on(best.stack, 0, self._ownership)
                return Origin(place, reason, certain, kind_of_call(best.below), best.below)
        return origin

    def _constructors(self, module: str) -> Through:
        """Through a call of the team's into a module whose name says that it makes something."""

        def through(below: Stack) -> bool:
            call = next((f for f in reversed(below) if self._ownership.of(f) is CodeOwner.LIBRARY), None)
            return call is not None and self._ownership.module(call) == module and _constructs(call)

        return through

    def serving(self) -> CallSite | None:
        """The team's call that runs an HTTP server, by the goroutine that accepts its connections."""
        for profile in self._goroutines[-1:]:
            for group in groups(profile).values():
                if any(frame.function == "net/http.(*Server).Serve" for frame in group.stack):
                    at = innermost(group.stack, self._ownership)
                    if at is not None:
                        return CallSite.on(group.stack, at, self._ownership)
        return None

    def sites(self, through: Through) -> list[HeldSite]:
        """The team's lines that make objects through such calls."""
        if not self._heaps:
            return []
        kept = obtained(self._heaps[-1], self._ownership, through)
        if len(self._heaps) > 1:
            kept = since(kept, obtained(self._heaps[0], self._ownership, through))
        return sites(kept)

    def keeping(self, through: Through) -> frozenset[str]:
        """The team's functions that keep objects made through such calls, at any of the captures."""
        return frozenset(
            kept.stack[0].function
            for heap in self._heaps
            for kept in obtained(heap, self._ownership, through)
            if kept.in_use > 0
        )

    def _ranked(self, through: Through) -> list[HeldSite]:
        """The sites without those of the program's start: objects made only at start cannot become more."""
        found = self.sites(lambda below: bool(below) and through(below))
        return [site for site in found if not at_start(site.stack)]

    def _kept(self, found: Sequence[HeldSite], module: str, surest: bool) -> Origin | None:
        total = sum(site.in_use for site in found)
        if total <= 0:
            return None
        # Growth since the first capture counts for more than the amount at it.
        best = max(found, key=lambda site: (site.in_use + 2 * max(0.0, site.gained), site.allocated))
        share = best.in_use / total
        if best.ratio < KEPT_PART and best.gained <= 0:
            return None
        reason = f"{share:.0%} of what is kept through such calls was obtained here ({best.sampled:.0f} samples)"
        certain = surest and best.sampled >= SEEN and share >= DOMINANT
        return Origin(self._place(best, module), reason, certain, kind_of_call(best.below), best.below)

    def _most_allocated(self, found: Sequence[HeldSite], module: str) -> Origin:
        best = max(found, key=lambda site: site.allocated)
        share = best.allocated / (sum(site.allocated for site in found) or 1.0)
        reason = f"{share:.0%} of such calls are made here; too little is kept for the heap profile to show"
        # Where practically no other line makes such calls there is no other candidate.
        return Origin(self._place(best, module), reason, share >= ONLY, kind_of_call(best.below), best.below)

    def _place(self, site: HeldSite, module: str) -> CallSite:
        """The site's line. A function of the team that the library itself calls back was given to it elsewhere: in the
        enclosing function, where that keeps something."""
        frame = site.frame
        if not self._called_back(site.stack, module):
            return CallSite.on(site.stack, 0, self._ownership)
        giver = enclosing(frame.function)
        kept = [
            one
            for heap in self._heaps[-1:]
            for one in obtained(heap, self._ownership, lambda _: True)
            if one.stack[0].function == giver
        ]
        if kept:
            # Where nothing of it is kept: the call that makes the object comes before the one that waits for it.
            made = [one for one in kept if row_of_call(one.below) is not None]
            best = max(
                kept,
                key=lambda one: (one.in_use, one in made, self._into(one, module), -one.stack[0].line, one.allocated),
            )
            return CallSite.on(best.stack, 0, self._ownership)
        for profile in self._goroutines:
            for group in groups(profile).values():
                for at, call in enumerate(group.stack):
                    if call.function == giver and self._ownership.of(call) is CodeOwner.TEAM:
                        return CallSite.on(group.stack, at, self._ownership)
        return CallSite.on(site.stack, 0, self._ownership)

    def _into(self, one: Kept, module: str) -> bool:
        return any(self._ownership.module(frame) == module for frame in one.below)

    def _called_back(self, stack: Stack, module: str) -> bool:
        frame, root = stack[0], next((f for f in reversed(stack) if not launches(f.function)), stack[-1])
        if enclosing(frame.function) == frame.function or serves(stack):
            return False
        outer = [f for f in stack[1:] if self._ownership.of(f) is CodeOwner.TEAM]
        if outer or self._ownership.of(root) is not CodeOwner.LIBRARY:
            return False
        return not module or self._ownership.module(root) == module or _family(root, module)

    def _caught(self, shape: Shape, module: str) -> Origin | None:
        """Without a trace in the heap: the line that was making such a call when the goroutine profile was taken."""
        tests = [by_shape(shape, self._ownership, shared=True)] if shape.acquires else []
        if module and not _own(shape):
            tests.append(by_module(module, self._ownership))
        for through in tests:
            seen: dict[Frame, list[tuple[int, CallSite, Stack]]] = {}
            for profile in self._goroutines:
                for group in groups(profile).values():
                    at = innermost(group.stack, self._ownership)
                    if at and not at_start(group.stack) and through(group.stack[:at]):
                        place = CallSite.on(group.stack, at, self._ownership)
                        seen.setdefault(place.frame, []).append((group.count, place, group.stack[:at]))
            if seen:
                best = max(seen.values(), key=lambda ones: sum(count for count, *_ in ones))
                number = sum(count for count, *_ in best)
                reason = f"{number} goroutines were making such a call here when looked at"
                return Origin(best[0][1], reason, False, kind_of_call(best[0][2]), best[0][2])
        return None


# Names of calls that make the things that methods are called on.
_CONSTRUCTS = re.compile(r"^(Must)?(New|Dial|Open|Connect)(?![a-z])")


def _constructs(call: Frame) -> bool:
    return bool(_CONSTRUCTS.match(enclosing(call.function).replace("[...]", "").rpartition(".")[2]))


def _short(function: str) -> str:
    return enclosing(function).rpartition("/")[2].replace("(*", "").replace(")", "")


def _own(shape: Shape) -> bool:
    """Whether a shape is one of Go's own with calls of its own: then any call of the package would be too much."""
    return bool(shape.acquires) and bool(shape.modules) and not shape.library


def at_start(stack: Stack) -> bool:
    """Whether a stack is of the program's start: below main or an init, and not in a loop that the team runs."""
    roots = [frame.function for frame in stack if not frame.function.startswith("runtime.")]
    return bool(roots) and (roots[-1] == "main.main" or roots[-1].rpartition(".")[2] == "init" or ".init." in roots[-1])


def _family(frame: Frame, module: str) -> bool:
    """Modules of one owner call each other: k8s.io/client-go and k8s.io/apimachinery."""
    return package(frame.function).partition("/")[0] == module.partition("/")[0] != "github.com"
