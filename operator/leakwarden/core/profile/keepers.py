"""What may keep memory whose container the heap profile does not show.

An entry of a map, a list element or a registered function is some ten bytes, and at the usual rate of sampling seldom
recorded, while what it keeps is large and recorded well. What is known then is how the kept part compares with all that
was made, whether it was made for a request that has ended since, and the libraries that its callers use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from leakwarden.core.profile.endings import put_in_by
from leakwarden.core.profile.harvested_shapes import spoken
from leakwarden.core.profile.kept_shapes import CONTEXT_CHAIN, LIST, SYNC_MAP
from leakwarden.core.profile.modules import serves
from leakwarden.core.profile.ownership import CodeOwner, Ownership, enclosing, package
from leakwarden.core.profile.pprof import Frame, Profile
from leakwarden.core.profile.retention import HeldSite
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.shapes_of_registrations import REGISTRATIONS
from leakwarden.core.profile.stacks import Stack

# Kinds of things that are given to an object which outlives them. Left out are libraries that most callers use for other
# things: one that records a metric or a span near the line says nothing of it.
_GIVEN = (
    "RequestContextNotCleared",
    "LoaderCacheGrows",
    "JobNeverRemoved",
    "SubscriptionKept",
    "MqttRouteKept",
    "SseStreamKept",
    "ConcurrentMapGrows",
)
KEEPERS = (*(row for row in REGISTRATIONS if row.name in _GIVEN), SYNC_MAP, LIST)
# Callers of the line that may put what it makes into something.
NEAR = 3
# The part that is kept, below which most of what is made is let go in time: the call that removes it is there, and one
# path does not reach it.
FORGOTTEN = 0.6
# Things that are kept for each request that is open now, from which on they have outlived theirs.
OUTLIVED = 3.0
# Calls that give a cancel function.
_CANCELS = ("context.WithCancel", "context.WithTimeout", "context.WithDeadline")
# Requests at one function, from which on they stay open for long, and the team's innermost functions on their stacks that
# count as the place.
STAY_OPEN, WAITING_IN = 3, 2


@dataclass(frozen=True)
class Keepers:
    """What the last capture shows of what the team's functions call."""

    ownership: Ownership
    heap: Profile | None = None
    goroutines: Profile | None = None

    @cached_property
    def _calls(self) -> dict[str, frozenset[str]]:
        """By the team's function, without its closures: the functions of libraries and of Go that it calls itself."""
        found: dict[str, set[str]] = {}
        for profile in (self.heap, self.goroutines):
            for sample in profile.samples if profile is not None else ():
                for inner, outer in zip(sample.stack, sample.stack[1:], strict=False):
                    if self._team(outer) and not self._team(inner):
                        found.setdefault(enclosing(outer.function), set()).add(inner.function)
        return {function: frozenset(called) for function, called in found.items()}

    @cached_property
    def _running(self) -> frozenset[str]:
        """Packages of libraries that run goroutines."""
        roots = (s.stack[-1] for s in (self.goroutines.samples if self.goroutines is not None else ()) if s.stack)
        return frozenset(package(f.function) for f in roots if self.ownership.of(f) is CodeOwner.LIBRARY)

    @cached_property
    def _open(self) -> dict[str, int]:
        """Goroutines of requests by the team's functions in which they wait, with the callers: not by those farther up, which
        pass all requests on."""
        found: dict[str, int] = {}
        for sample in self.goroutines.samples if self.goroutines is not None else ():
            if serves(sample.stack):
                for function in {
                    enclosing(f.function) for f in [f for f in sample.stack if self._team(f)][:WAITING_IN]
                }:
                    found[function] = found.get(function, 0) + max(0, sample.values[0])
        return found

    def _team(self, frame: Frame) -> bool:
        return self.ownership.of(frame) is CodeOwner.TEAM

    def near(self, site: HeldSite) -> Shape | None:
        """The kind by a container or a library's object that the line's function or a caller of it uses."""
        callers = [enclosing(frame.function) for frame in site.stack[:NEAR] if self._team(frame)]
        return next((row for caller in callers if (row := self._uses(caller)) is not None), None)

    @cached_property
    def _known(self) -> dict[str, Shape | None]:
        return {}

    def _uses(self, caller: str) -> Shape | None:
        """The kind by what one of the team's functions calls; looked up once for each, however many lines it leads to."""
        if caller not in self._known:
            found = ((row, function) for function in sorted(self._calls.get(caller, ())) if (row := _keeper(function)))
            row, function = next(found, (None, ""))
            self._known[caller] = _used(row, function, caller) if row is not None else None
        return self._known[caller]

    @cached_property
    def around(self) -> Shape | None:
        """The only library that runs goroutines in the process and keeps what it is given; None where there are more."""
        rows = {row.name: row for row in KEEPERS if row.library and any(_of(row, f"{p}.x") for p in self._running)}
        return next(iter(rows.values())) if len(rows) == 1 else None

    @cached_property
    def _cancelling(self) -> dict[str, Frame]:
        """By the team's functions that make a context with a cancel function, and their nearest callers: the line that does.
        Samples of which nothing is in use count as well: they show that the call is made."""
        found: dict[str, Frame] = {}
        for sample in self.heap.samples if self.heap is not None else ():
            for at, (inner, outer) in enumerate(zip(sample.stack, sample.stack[1:], strict=False)):
                if inner.function.startswith(_CANCELS) and self._team(outer):
                    for frame in [f for f in sample.stack[at + 1 :] if self._team(f)][:NEAR]:
                        found.setdefault(enclosing(frame.function), outer)
                    break
        return found

    def cancels(self, site: HeldSite) -> Frame | None:
        """The team's line that makes a context with a cancel function for the same call as this line; None where no profile
        shows one."""
        near = [enclosing(f.function) for f in site.stack if self._team(f)][:NEAR]
        return next((self._cancelling[one] for one in near if one in self._cancelling), None)

    def outlived(self, site: HeldSite) -> tuple[str, int]:
        """The team's function that answers a request which the things of this line have outlived, and the number of such
        requests that are open; an empty name where they are of no request, or of those that are open."""
        if not serves(site.stack):
            return "", 0
        handlers = [enclosing(f.function) for f in site.stack[:NEAR] if self._team(f)]
        waiting = [function for function in handlers if self._open.get(function, 0) >= STAY_OPEN]
        now = self._open[waiting[0]] if waiting else 0
        handler = (waiting[:1] or handlers[-1:] or [""])[0]
        return (handler, now) if site.objects >= OUTLIVED * max(1, now) else ("", 0)


def _keeper(function: str) -> Shape | None:
    return next((row for row in KEEPERS if _of(row, function)), None) or put_in_by(function)


def _of(row: Shape, function: str) -> bool:
    """Whether a function belongs to a row: to its modules, or, of Go's own, to its calls."""
    if not row.library:
        return row.made_by(function)
    path = package(function)
    return any(path == module or path.startswith((f"{module}/", f"{module}.v")) for module in row.modules)


def _used(row: Shape, function: str, caller: str) -> Shape:
    """A row by what a caller uses: it may be another call of the same object that keeps it."""
    used = spoken(function)
    return replace(
        row,
        title=f"entries that are kept, most likely in what {spoken(caller)} uses: {row.title}",
        why=f"{spoken(caller)} calls {used}; {row.why}",
        specific=False,
    )


def described(shape: Shape, site: HeldSite, keepers: Keepers) -> Shape:
    """A kind by the way memory is kept, with all that is known of what keeps it."""
    if made := _made(site.below):
        shape = replace(
            shape, why=shape.why.replace("an object here", "something here").replace("KiB here", f"KiB here ({made})")
        )
    handler, now = keepers.outlived(site)
    if 0 < site.ratio < FORGOTTEN:
        shape = _forgotten(shape, 1 - site.ratio)
    elif handler:
        shape = _outlives(shape, spoken(handler), stays_open=now > 0)
    row = keepers.around
    if row is None:
        return shape
    return replace(
        shape,
        title=f"{shape.title}, possibly in {spoken(f'{row.modules[0]}.x')[:-2]}: {row.title}",
        fix=f"{row.fix} (the service runs {row.modules[0]}: {row.why}); else {shape.fix}",
    )


def _forgotten(shape: Shape, let_go: float) -> Shape:
    """Most of what is made is removed, and the rest stays."""
    title = shape.title.replace("never removes", "does not remove on every path").replace(
        "never removed", "not removed on every path"
    )
    title = title if title != shape.title else f"{title}, on some path"
    return replace(
        shape,
        title=title,
        why=f"{let_go:.0%} of what is made here is let go in time, and the rest stays; {shape.why}",
        fix="the call that removes the entry is there, and some path does not reach it: a timeout, a cancelled context, an error or an early"
        f" return; defer the delete right after the insert. Else {shape.fix}",
    )


def _outlives(shape: Shape, handler: str, *, stays_open: bool) -> Shape:
    """Things that were made for requests which have ended. `stays_open`: whether such requests stay open for long."""
    why = f"it is made for a request ({handler}) and outlives it; {shape.why}"
    if not stays_open:
        return replace(shape, why=why)
    return replace(
        shape,
        title=f"what ended requests of {handler} leave behind",
        why=why,
        fix="take out, with defer, what the request gives to something that lives longer: an entry of a hub, a subscription, a reply channel,"
        " a function given to context.AfterFunc; what has no opposite call (Server.RegisterOnShutdown, expvar.Publish, an http mux) is"
        f" registered once, at start. Else {shape.fix}",
    )


def never_cancelled(line: Frame) -> Shape:
    """The kind of contexts with values that are kept, made for the same call as a context with a cancel function at `line`."""
    made = f"{spoken(line.function)} ({line.file.replace(chr(92), '/').rpartition('/')[2]}:{line.line})"
    return replace(
        CONTEXT_CHAIN,
        name="ContextNeverCancelled",
        title=f"contexts that are never cancelled, with their values (made in {spoken(line.function)})",
        why=f"the same call makes a context with a cancel function in {made}: until that is called, the parent (of a service, for its whole"
        " life) keeps the child, and the child all values that were added to it",
        fix=f"call the cancel function of the context that {made} makes when its work ends, on every path (defer cancel()): to forget it, or to"
        " delete it from a map, does not cancel. If every one is cancelled: look for a context that is stored (a struct, a queue, a"
        " goroutine) or assigned back in place of its parent (ctx = context.WithValue(ctx, ...) in a loop)",
        docs="https://pkg.go.dev/context#WithCancel",
    )


# Calls of Go's own that give what their caller asked for; the name shows what is kept.
_GIVES = (
    "encoding/", "fmt.", "strings.", "bytes.", "bufio.New", "slices.", "maps.", "io.", "net/http.", "net/url.", "strconv.", "regexp.",
    "math/big.", "image", "crypto/", "compress/", "time.", "reflect.",
)  # fmt: skip


def _made(below: Stack) -> str:
    """The call of Go's own that made it: `json.Marshal`; empty where the team's own line did, or a library's call."""
    function = below[-1].function if below else ""
    return spoken(function) if function.startswith(_GIVES) else ""


__all__ = ["KEEPERS", "Keepers", "described", "never_cancelled"]
