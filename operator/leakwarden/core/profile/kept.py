"""The kind of leak of memory that a line keeps: by the call that the line makes, else by the way the memory is kept.

The heap profile holds no types, and what the runtime allocates for a map is counted at the line that puts the entry in.
But it holds the sizes of allocations: a map grows by tables of a few known sizes, a slice by one array that doubles.
Where no size shows the way, the name of the method does: what `Subscribe` adds, `Unsubscribe` has to take out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from leakwarden.core.profile.catalogue import row_made_by
from leakwarden.core.profile.endings import ending_below, specialised
from leakwarden.core.profile.growth import Capture
from leakwarden.core.profile.harvested_shapes import kept_by_names, spoken
from leakwarden.core.profile.keepers import Keepers, described, never_cancelled
from leakwarden.core.profile.kept_shapes import (
    BUFFER,
    CONNECTION_STATE,
    CONTENT,
    CONTEXT_CHAIN,
    CONTEXT_STORED,
    ENTRIES,
    FINALIZER,
    HANDLER_ENTRIES,
    KEPT_BY_CALL,
    MAP,
    POOLED,
    REGISTERED,
    STATS_ENTRIES,
)
from leakwarden.core.profile.modules import serves
from leakwarden.core.profile.ownership import CodeOwner, Ownership, enclosing, package, receiver
from leakwarden.core.profile.pprof import Profile
from leakwarden.core.profile.purposes import with_purpose
from leakwarden.core.profile.retention import HeldSite
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.stacks import Stack, innermost
from leakwarden.core.profile.standard_shapes import MEMORY

# Kinds that name the way memory is kept, and not the thing.
BY_WAY = frozenset({MEMORY.name, MAP.name, BUFFER.name, CONTENT.name, REGISTERED.name, ENTRIES.name})

# internal/runtime/maps (Go 1.24 and later): a table has up to 128 groups of 8 slots and a word of 8 bytes, so that a full
# one has 1024 * (1 + slot) bytes, rounded up to the allocator's size class (runtime/sizeclasses.go) or to whole pages. By
# slots of 8, 16 ... 64 bytes; 56 is left out, since its 64 KiB are also a usual size of a buffer.
FULL_TABLES = frozenset({9472, 18432, 27264, 40960, 49152, 57344, 73728})
# Each array is about twice as large as the one before (append: at least 1.25 times), and at least so many were seen.
DOUBLED, SIZES = 1.7, 3
# Things of one size at one line are no tables of a map where all of them are kept.
LET_GO = 0.9
# Bytes; a single array of this size is what a line keeps, not one of many things.
LARGE = 64 * 1024
# Things at one line, from which on they are taken for entries.
ENTRIES_FROM = 8
# Bytes of a thing from which on a part of it, a sub-slice or substring, may be all that is needed.
SLICED = 2048

# Calls that give one array of raw content. Decoders and builders give what the team asked for, to be kept in something.
_READS = (
    "io.ReadAll", "io.Copy", "os.ReadFile", "bytes.(*Buffer).", "bytes.growSlice", "bufio.(*Reader).Read", "bufio.(*Scanner).",
    "io/ioutil.ReadAll",
)  # fmt: skip

# What the method's name says is added, and the name of the method that takes it out.
OPPOSITES = {
    "subscribe": "Unsubscribe", "register": "Unregister", "join": "Leave", "attach": "Detach", "watch": "Unwatch or Stop",
    "listen": "Close or Remove", "track": "Untrack", "follow": "Unfollow or Stop", "connect": "Disconnect", "observe": "Remove",
    "bind": "Unbind", "hook": "Unhook", "enter": "Leave", "on": "Off", "notify": "Stop", "mount": "Unmount", "login": "Logout",
    "signin": "SignOut", "addlistener": "RemoveListener", "addhandler": "RemoveHandler", "addhook": "RemoveHook",
    "addcallback": "RemoveCallback", "addobserver": "RemoveObserver", "addclient": "RemoveClient", "addpeer": "RemovePeer",
    "acquire": "Release", "reserve": "Release", "lease": "Release", "pin": "Unpin", "enlist": "Delist", "announce": "Withdraw",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tables:
    """The team's functions and types at which a map grew, and the lines at which one array did, by a heap profile."""

    maps: frozenset[str] = frozenset()  # functions, and types with their package
    arrays: frozenset[str] = frozenset()  # functions

    @classmethod
    def of(cls, heap: Profile, ownership: Ownership) -> Tables:
        in_use, ever = heap.column("inuse_space"), heap.column("alloc_space")
        objects = heap.column("inuse_objects")
        sizes: dict[tuple[str, int], dict[int, int]] = {}
        replaced: set[tuple[str, int]] = set()  # lines that let go of full tables: a map splits a table that is full
        if in_use is None or ever is None or objects is None:
            return cls()
        for sample in heap.samples:
            stack = sample.stack
            # The runtime's own calls are left out of heap profiles: a map's tables are allocated by the team's line.
            if sample.size and stack and sample.values[ever] > 0 and innermost(stack, ownership) == 0:
                at = sizes.setdefault((stack[0].function, stack[0].line), {})
                at[sample.size] = at.get(sample.size, 0) + max(0, sample.values[objects])
                if sample.size in FULL_TABLES and 0 < sample.values[in_use] < LET_GO * sample.values[ever]:
                    replaced.add((stack[0].function, stack[0].line))
        maps: set[str] = set()
        arrays: set[str] = set()
        for (function, line), seen in sizes.items():
            largest = max(seen)
            if (function, line) in replaced or (_doubles(seen) and seen[largest] > 1):
                maps |= {function, enclosing(function), receiver(function)} - {""}
            elif _doubles(seen) or (largest >= LARGE and seen[largest] == 1):
                arrays.add(function)
        return cls(frozenset(maps), frozenset(arrays))


def _doubles(sizes: Iterable[int]) -> bool:
    ordered = sorted(sizes)
    return len(ordered) >= SIZES and all(
        1.2 <= b / a <= 2.5 for a, b in zip(ordered[-SIZES:-1], ordered[-SIZES + 1 :], strict=True)
    )


@dataclass(frozen=True, slots=True)
class KeptKinds:
    """What is known of one capture about the ways in which its memory is kept."""

    ownership: Ownership
    made: dict[str, Shape] = field(default_factory=dict)  # by function: what it also makes and keeps
    tables: Tables = field(default_factory=Tables)
    finalizers: Sequence[Stack] = ()  # the team's calls of finalizers that wait
    keepers: Keepers | None = None  # what the team's functions use

    def of(self, site: HeldSite) -> Shape:
        """The kind of the memory that a line keeps; MEMORY where nothing shows it."""
        kind = self._of(site)
        return self._of_values(site) if kind is CONTEXT_CHAIN else kind

    def _of(self, site: HeldSite) -> Shape:
        by_call = self._by_call(site.below)
        if by_call is not None and by_call.library:
            return by_call
        function = site.frame.function
        made, ending = self.made.get(function), ending_below(site.below)
        # A connection of Go's own that a library's call opened belongs to the object which that call gives.
        if made is not None and (made.library or ending is None or not ending.object):
            return made
        if by_call is not None:
            return by_call
        if ending is not None:
            return ending.shape
        if self._finalized(site):
            return FINALIZER
        if (made := self._given_by_caller(site)) is not None:
            return made
        if (caller := self._called_back(site)) is not None:
            return caller
        each = site.in_use / site.objects if site.objects > 0 else 0.0
        if (named := kept_by_names(site.below, each)) is not None:
            return named
        return self._by_way(site)

    def _by_call(self, below: Stack) -> Shape | None:
        """A library's row by its outermost call; one of Go's own only where the team makes the call itself."""
        found = None
        for frame in below:
            row = row_made_by(frame.function)
            found = row if row is not None and row.library else found
        found = specialised(found, ending_below(below)) if found is not None else None
        return found if found is not None else kept_by_call(below, self.ownership)

    def _of_values(self, site: HeldSite) -> Shape:
        """The kind of contexts with values that are kept: children of a parent that lives on, where the same call makes
        contexts with a cancel function; else a chain, or contexts that are stored."""
        cancels = self.keepers.cancels(site) if self.keepers is not None else None
        if cancels is not None:
            return never_cancelled(cancels)
        return CONTEXT_STORED if serves(site.stack) else CONTEXT_CHAIN

    def _given_by_caller(self, site: HeldSite) -> Shape | None:
        """What a helper makes, its caller may give to a library that keeps it, in a call of its own."""
        caller = next((f for f in site.stack[1:2] if self.ownership.of(f) is CodeOwner.TEAM), None)
        made = self.made.get(caller.function) if caller is not None else None
        return made if made is not None and made.library else None

    def _called_back(self, site: HeldSite) -> Shape | None:
        """The kind by the call that called the team's function back: a hook that is told of beginnings and ends, or a
        library's loader, which keeps what it was given."""
        frame = next((f for f in site.stack[1:] if self.ownership.of(f) is not CodeOwner.TEAM), None)
        if frame is None:
            return None
        for starts, shape in _CALLED_BACK:
            if frame.function.startswith(starts):
                return shape
        if self.ownership.of(frame) is not CodeOwner.LIBRARY:
            return None
        rows = (row_made_by(f.function) for f in site.stack if self.ownership.of(f) is CodeOwner.LIBRARY)
        row = next((row for row in rows if row is not None and row.library), None)
        if row is None and _LOADS.search(frame.function):
            row = rows_of_loads(frame.function)
        return row

    def _finalized(self, site: HeldSite) -> bool:
        mine = package(site.frame.function)
        return any(package(frame.function) == mine for stack in self.finalizers for frame in stack)

    def _by_way(self, site: HeldSite) -> Shape:
        function = site.frame.function
        each = site.in_use / site.objects if site.objects > 0 else 0.0
        if function in self.tables.maps:
            return _named(MAP, function)
        if (function in self.tables.arrays and site.objects <= 2) or (each >= LARGE and site.objects <= 2):
            return BUFFER
        if any(frame.function.startswith(_READS) for frame in site.below):
            return CONTENT
        for at, frame in enumerate(site.stack[:2]):
            if self._handler(site.stack, at):
                break  # it is named after the function that registered it
            if self.ownership.of(frame) is CodeOwner.TEAM and (opposite := opposite_of(frame.function)):
                verb = enclosing(frame.function).replace("[...]", "").rpartition(".")[2]
                return replace(
                    REGISTERED,
                    fix=f"call the opposite of {verb} ({opposite}, or as it is named here) on every path, with defer; it has to"
                    " delete the entry, and close its channel where it has one",
                )
        near = {receiver(function), *(frame.function for frame in site.stack[:3])}
        if near & self.tables.maps:
            return _named(MAP, function)
        entries = _entries(site, function)
        if entries.name == ENTRIES.name:
            team = [f.function for f in site.stack if self.ownership.of(f) is CodeOwner.TEAM]
            entries = with_purpose(entries, team, receiver(function).rpartition("/")[2])
        if self.keepers is None:
            return entries
        return self.keepers.near(site) or described(entries, site, self.keepers)

    def _handler(self, stack: Stack, at: int) -> bool:
        """Whether a call is a closure that a library or Go calls, such as a handler."""
        function = stack[at].function
        outer = stack[at + 1] if at + 1 < len(stack) else None
        return enclosing(function) != function and outer is not None and self.ownership.of(outer) is not CodeOwner.TEAM


# Calls of hooks that are told of beginnings and of ends.
_CALLED_BACK = (
    (("net/http.(*conn).setState",), CONNECTION_STATE),
    (("sync.(*Pool).Get",), POOLED),
    (("k8s.io/client-go/tools/cache.",), HANDLER_ENTRIES),
    (("google.golang.org/grpc/internal/transport.", "google.golang.org/grpc/stats."), STATS_ENTRIES),
)
_LOADS = re.compile(r"(?i)load|cache|memo|groupcache")


def rows_of_loads(function: str) -> Shape:
    """A library that loads or caches calls the team's function: it keeps what that gives."""
    kind = spoken(receiver(function) or package(function))
    return replace(
        ENTRIES,
        title=f"what {kind} is given and keeps",
        why=f"{kind} calls this function and keeps what it gives, most likely in a cache without a bound",
        fix=f"bound the cache of {kind} by size or time, delete what is done, or make it for each request where it is meant to be",
        docs=f"https://pkg.go.dev/{package(function)}",
    )


def kept_by_call(below: Stack, ownership: Ownership) -> Shape | None:
    """The kind by a call of Go's own packages that the team makes itself and that keeps what it is given."""
    found = None
    for frame in below:
        if ownership.of(frame) is not CodeOwner.STANDARD:
            found = None
            continue
        found = next((shape for shape in KEPT_BY_CALL if shape.made_by(frame.function)), found)
    return found


def opposite_of(function: str) -> str:
    """The name of the method that takes out what this one adds, by its name; empty where it does not show."""
    name = enclosing(function).replace("[...]", "").rpartition(".")[2].casefold()
    best = max((verb for verb in OPPOSITES if name == verb or _begins(name, verb)), key=len, default="")
    return OPPOSITES.get(best, "")


def _begins(name: str, verb: str) -> bool:
    # `on` begins `only` as well: short verbs count where they are the whole name.
    return len(verb) > 3 and name.startswith(verb)


def _named(shape: Shape, function: str) -> Shape:
    kind = receiver(function).rpartition("/")[2]
    return replace(shape, title=f"a map of {kind} that only grows") if kind else shape


def _entries(site: HeldSite, function: str) -> Shape:
    """Many things of one line that nothing lets go are entries of something; few may be anything."""
    kind = receiver(function).rpartition("/")[2]
    if site.objects < ENTRIES_FROM:
        return replace(MEMORY, title=f"what {kind} keeps and never lets go") if kind else MEMORY
    size = site.in_use / site.objects
    shape = replace(ENTRIES, why=ENTRIES.why.replace("an object here", f"about {size / 1024:.1f} KiB here"))
    if size >= SLICED:
        shape = replace(
            shape,
            why=f"{shape.why}, or a small part of it (a sub-slice or substring keeps the whole array)",
            fix=f"{shape.fix}; where only a part of it is needed, copy that (bytes.Clone, strings.Clone)",
        )
    return replace(shape, title=f"entries that {kind} keeps and never removes") if kind else shape


# Roots of the goroutines in which the runtime runs finalizers and cleanups.
_RUNS_FINALIZERS = ("runtime.runFinalizers", "runtime.runfinq", "runtime.runCleanups")


def waiting_finalizers(capture: Capture, ownership: Ownership) -> list[Stack]:
    """The team's calls of finalizers and cleanups that wait at the same place in every goroutine profile."""
    waiting: set[Stack] | None = None
    for profile in capture.goroutines:
        here: set[Stack] = set()
        for sample in profile.samples:
            stack = sample.stack
            if not any(frame.function.startswith(_RUNS_FINALIZERS) for frame in stack[-3:]):
                continue
            at = innermost(stack, ownership)
            if at is not None:
                here.add(stack[at:])
        waiting = here if waiting is None else waiting & here
    return sorted(waiting or (), key=str)


__all__ = ["BY_WAY", "KeptKinds", "Tables", "kept_by_call", "opposite_of", "waiting_finalizers"]
