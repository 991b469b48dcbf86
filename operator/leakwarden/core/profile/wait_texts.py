"""The words for goroutines that wait: what the frames show, and the possible causes with the likeliest first.

A profile shows neither channels nor who has them. It shows the function that waits, the way it waits (one value or a loop
over a channel), whether it serves a request, the function that started it (by the name of a closure), and which goroutines
are there to take or to give. From these the order of the causes follows; every cause that fits is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from leakwarden.core.profile.harvested_shapes import spoken
from leakwarden.core.profile.modules import launches, serves
from leakwarden.core.profile.ownership import CodeOwner, Ownership, enclosing, package, receiver
from leakwarden.core.profile.pprof import Frame, Profile
from leakwarden.core.profile.shapes import CHANNEL_RECEIVE, SELECT, Shape
from leakwarden.core.profile.stacks import Group, Stack
from leakwarden.core.profile.standard_shapes import RECEIVE, SELECTING, SEND, SLEEP, TICKER, TIMEOUT, WAITGROUP

# `for x := range c` and `x, ok := <-c`: a loop, in nearly all code. `<-c` for one value is chanrecv1.
_LOOP = "runtime.chanrecv2"
# The runtime makes the goroutine of a time.AfterFunc's callback below this call, and keeps its descriptor there.
_TIMER = "time.goFunc"
# Part of the waiting goroutines that the timers' goroutines must be at least, by the heap's estimate.
_MOST = 0.5

_IN_REQUEST = (
    "select on the request's context as well (r.Context().Done(), in gRPC stream.Context().Done()), which ends when the client"
    " goes, and hand that context to what is called"
)


@dataclass(frozen=True)
class Around:
    """What else the captures show: which functions wait, and how goroutines were started."""

    groups: Sequence[tuple[Group, float]]  # at each stack, with the number at the last capture
    ownership: Ownership
    heap: Profile | None = None

    @cached_property
    def _collecting(self) -> frozenset[str]:
        """The team's functions in which a goroutine takes from a channel, at any capture."""
        taking = (group for group, _ in self.groups if group.operation in CHANNEL_RECEIVE | SELECT)
        return frozenset(next((f.function for f in group.stack if self.team(f)), "") for group in taking)

    @cached_property
    def _taking(self) -> frozenset[str]:
        """Packages of the team in which a goroutine takes from a channel at the last capture."""
        found = set()
        for group, number in self.groups:
            if number > 0 and group.operation in CHANNEL_RECEIVE | SELECT:
                found.add(next((package(f.function) for f in group.stack if self.team(f)), ""))
        return frozenset(found - {""})

    @cached_property
    def _timers(self) -> float:
        """Goroutines that timers started, and whose descriptors the heap shows as kept."""
        column = self.heap.column("inuse_objects") if self.heap is not None else None
        if self.heap is None or column is None:
            return 0.0
        return float(
            sum(max(0, s.values[column]) for s in self.heap.samples if s.stack and s.stack[0].function == _TIMER)
        )

    def team(self, frame: Frame) -> bool:
        return self.ownership.of(frame) is CodeOwner.TEAM

    def collects(self, function: str) -> bool:
        """Whether a goroutine takes from a channel in the function itself, at any capture."""
        return function in self._collecting

    def takes(self, function: str) -> bool:
        """Whether a goroutine takes from a channel in the package of the function."""
        return package(function) in self._taking

    def by_timers(self, count: float) -> bool:
        """Whether most of `count` goroutines were started by time.AfterFunc."""
        return count > 0 and self._timers >= _MOST * count


@dataclass(frozen=True, slots=True)
class Wait:
    """Goroutines that wait at one line of the team."""

    operation: str
    stack: Stack  # of the goroutine, innermost first
    function: str  # the team's, that waits
    count: float
    around: Around

    @property
    def name(self) -> str:
        return spoken(self.function)

    @property
    def closure(self) -> bool:
        return enclosing(self.function) != self.function

    @property
    def starter(self) -> str:
        """The function of which a closure runs as the goroutine; empty where it runs none."""
        roots = [f.function for f in self.stack if self.around.team(f)]
        return enclosing(roots[-1]) if roots and enclosing(roots[-1]) != roots[-1] else ""

    @property
    def own(self) -> bool:
        """Whether the function was started as a goroutine of its own."""
        rest = next((n for n, f in enumerate(self.stack) if f.function == self.function), len(self.stack))
        return all(launches(f.function) for f in self.stack[rest + 1 :])

    @property
    def kind(self) -> str:
        """The type of the method that waits, as people write it; empty for functions."""
        kind = receiver(self.function)
        return spoken(kind) if kind else ""


def phrased(shape: Shape, wait: Wait) -> Shape:
    """The kind of a wait with the names of what waits and the causes in the order of their likelihood; kinds of other
    things as they are."""
    text = _TEXTS.get(shape.name)
    # A kind that was replaced by a better one of the same name has words of its own.
    return (
        text(shape, wait)
        if text is not None and shape in (SEND, RECEIVE, SELECTING, SLEEP, TICKER, TIMEOUT, WAITGROUP)
        else shape
    )


def _send(shape: Shape, wait: Wait) -> Shape:
    if serves(wait.stack):
        return replace(
            shape,
            title=f"requests that wait for a place in a full channel, a semaphore or a queue ({wait.name})",
            why="the reader of the channel has ended (at an error, a bad item, a panic), waits itself, or is too slow; where the channel counts"
            " places (a semaphore), a path took one and did not give it back",
            fix="where the send takes a place of a semaphore, give it back with defer right after it (defer func() { <-sem }()), so that errors and"
            " early returns do as well; where it hands work on, see that the reader goes on until the channel is closed, with as many readers as"
            f" the load needs; {_IN_REQUEST}; more room in the channel only delays it",
        )
    by_timers = wait.around.by_timers(wait.count)
    if not by_timers and not _QUEUES.search(wait.name):
        return _of_one_call(shape, wait)
    callbacks = "callbacks of time.AfterFunc" if by_timers else "goroutines"
    nobody = "" if wait.around.takes(wait.function) else f": no goroutine takes from a channel in {_short(wait)}"
    return replace(
        shape,
        title=f"channel send that nobody receives: what reads the channel of {wait.kind or wait.name} has gone, or waits itself",
        why=f"{callbacks} in {wait.name} wait to send{nobody}; the loop that reads the channel returned (at a bad item, an error, a panic,"
        " or because its caller left) or waits for something itself, and the channel is full",
        fix="look for the loop that reads this channel: it has to go on until the channel is closed (at an item that fails continue in place"
        " of return; recover from panics; start it again), or, where it may leave first, to tell the senders: let them select on a done"
        " channel or a context's Done together with the send. More room only delays it, except where every sender sends once and their"
        " number is known (make(chan T, n))",
    )


# Names of things that hand work on to a reader which outlives the call.
_QUEUES = re.compile(
    r"(?i)queue|outbox|mailbox|inbox|retry|retries|dispatch|broker|publish|emit|broadcast|bus\b|hub\b|spool|enqueue|later|schedule|buffer"
)


def _of_one_call(shape: Shape, wait: Wait) -> Shape:
    """Senders that a call started: to itself, or, where it gives the channel away, to its caller."""
    starter = wait.starter
    name = spoken(starter) if starter else wait.name
    room = "where each goroutine sends once, give the channel room for every sender (make(chan T, n))"
    if starter and wait.around.collects(starter):
        return replace(
            shape,
            title=f"channel send that nobody receives: {name} has left its senders",
            why=f"goroutines that {name} started send to a channel which is no longer read: it returned with another answer, an error,"
            " at its deadline or before it had read all, and the channel has no room",
            fix=f"{room}; where it sends more, select on a context's Done together with the send, and cancel that context when {name}"
            " returns (defer cancel()). If the reader runs elsewhere: it must go on until the channel is closed",
        )
    if starter and any(launches(f.function) for f in wait.stack):
        return replace(
            shape,
            title=f"channel send that nobody receives: the reader of what {name} started has left",
            why=f"goroutines that {name} started send to a channel which is no longer read: {name} itself, or where it gives the channel away the"
            " function that reads it, left with another answer, an error, at a deadline or before it had read all, and the channel has no room",
            fix=f"{room}; where it sends more, select on a done channel or a context's Done together with the send, and close or cancel that when"
            f" the reader leaves: where {name} reads by itself when it returns (defer cancel()), else in the stop or close that its reader"
            " calls (to close only what feeds the goroutine does not end its send)",
        )
    made = f"that {name} makes or fills" if starter else f"that {name} fills"
    return replace(
        shape,
        title=f"channel send that nobody receives: the reader of the channel {made} has left",
        why=f"goroutines {'that ' + name + ' started' if starter else 'in ' + name} wait to send: the reader of the channel (a caller, a client, a"
        " subscriber) stopped reading early (the first answer or item was enough, an error, a deadline, a break out of the loop), and the"
        " channel has no room",
        fix=f"select on a context's Done, or on a done channel, together with the send, and let the reader cancel or close that when it leaves"
        f" (defer cancel()), or read to the end; {room}. If one loop reads for all senders: it must go on until the channel is closed (at an"
        " item that fails continue in place of return)",
    )


def _receive(shape: Shape, wait: Wait) -> Shape:
    if serves(wait.stack):
        return replace(
            shape,
            title=f"requests that wait for an answer or a free place that does not come ({wait.name})",
            why="the side that answers has ended at an error, dropped this request, or was never started; where the channel holds places or"
            " free objects (a pool), a path took one and did not put it back",
            fix=f"it waits within a request: {_IN_REQUEST}; send or close on every path of the side that answers, with defer; where the channel is a"
            " pool, put back with defer what was taken from it",
        )
    if wait.operation == _LOOP and wait.own:
        return _loop(shape, wait)
    return replace(
        shape,
        title=f"channel receive that nobody sends to or closes ({wait.name})",
        why=f"{wait.name} waits for a value or an end: what should send or close has ended without it (an error, an early return), lost its"
        " owner, or was never started; or it is the Done of a context that is never cancelled",
        fix="send or close on every path of the other side, with defer, also when its owner leaves or is removed; if it is a context's Done,"
        " call its cancel (defer cancel()); else select on a context's Done together with the receive; a channel given to signal.Notify or"
        " to a ticker is never closed: Stop those, and end the goroutine with a context",
    )


def _loop(shape: Shape, wait: Wait) -> Shape:
    """`for x := range c`, in a goroutine of its own: it ends with the channel."""
    if wait.closure:
        where = (
            f"{wait.name} starts it, so what {wait.name} gives needs an end that closes the channel (Close, Stop or the like): call that with"
            f" defer right after {wait.name}, so that errors and early returns reach it as well"
        )
    elif wait.kind:
        where = (
            f"in the Close or Stop of {wait.kind}, and where a {wait.kind} leaves, is replaced or is taken out of a map, hub or registry"
            " (next to the delete: to forget it is not to end it)"
        )
    else:
        where = f"in what started {wait.name}, with defer, so that errors and early returns reach it as well"
    return replace(
        shape,
        title=f"a loop over a channel that is never closed ({wait.name})",
        why=f"{'each goroutine that ' + wait.name + ' started' if wait.closure else wait.name} takes from its channel until that is closed, and"
        " is still there after its work: the owner of the channel forgot it without closing it (a client that left, a worker or subscriber"
        " that was dropped, an early return)",
        fix=f"close the channel where its owner ends: {where}; or let the loop select on a context's Done as well; a channel given to"
        " signal.Notify is never closed: Stop that, and end the goroutine with a context",
    )


def _select(shape: Shape, wait: Wait) -> Shape:
    if serves(wait.stack):
        return replace(
            shape,
            title=f"requests that wait in a select ({wait.name})",
            why="none of its channels is ready: the answer or event does not come, or the place that it waits for (a semaphore, a pool, a queue)"
            " was taken and not given back, and nothing watches whether the client is still there",
            fix=f"it waits within a request: {_IN_REQUEST}; give back with defer what is taken from a pool or semaphore; {shape.fix}",
        )
    return replace(
        shape,
        title=f"select that nothing wakes ({wait.name})",
        why="none of its channels ends it: a stop or done channel that is not closed, a context that is never cancelled, or an answer that"
        " does not come",
        fix=f"{_end_it(wait)}; where no case ends it, add one (case <-ctx.Done(): return)",
    )


def _ticker(shape: Shape, wait: Wait) -> Shape:
    return replace(
        shape,
        title=f"a loop on a ticker that never ends ({wait.name})",
        why=f"{wait.name} ticks on after the owner that started it (a request, a connection, a thing that was closed or replaced) has gone",
        fix=f"{_end_it(wait)}: select on that next to the ticker; defer ticker.Stop(), which alone does not end the loop",
    )


def _sleep(shape: Shape, wait: Wait) -> Shape:
    return replace(
        shape,
        title=f"goroutines that sleep again and again, or for long ({wait.name})",
        why=f"{wait.name} tries, polls or delays without a bound that its caller knows: each goes on after the call that started it has ended",
        fix=f"bound the number of tries and the delay between them; {_end_it(wait)}: wait with select on a timer and on that in place of"
        " time.Sleep",
    )


def _group(shape: Shape, wait: Wait) -> Shape:
    return replace(
        shape,
        title=f"a wait for workers that do not all end ({wait.name})",
        why="a WaitGroup or group is never done: a worker returned without Done (an early return, a panic), Add was called too often, or a worker"
        " waits for something itself",
        fix="look for goroutines of the same package that wait: they hold it up; defer wg.Done() as the worker's first line, or use WaitGroup.Go;"
        " give the workers a context that ends them",
    )


def _end_it(wait: Wait) -> str:
    """Where the loop has to be ended: `where a fleet.resolver ends (its Close ...)`."""
    if wait.kind and not wait.closure:
        return (
            f"end it in the Close or Stop of {wait.kind}, and where a {wait.kind} is dropped or replaced, by a stop channel that is closed"
            " there or a context that is cancelled there"
        )
    return (
        f"end it when what {wait.name} was called for ends: by a context that is cancelled there (defer cancel()) or a stop channel that is"
        " closed there"
    )


# Calls on the stack, with the words for the wait and the way to end it; the first that fits.
_NETWORK = (
    (("net.(*UDPConn).Read", "net.(*IPConn).Read", "net.(*UnixConn).ReadFrom"), "a read from a packet socket that is never closed",
     "no end of file comes on such a socket: only Close or a deadline ends the read",
     "Close the socket where its owner ends, which also ends the read; set SetReadDeadline before each read where an answer is expected"),
    (("crypto/tls.(*Conn).Handshake", "crypto/tls.(*Conn).handshake"), "a TLS handshake without a deadline",
     "the peer connected and says nothing more", "set a deadline on the connection before the handshake, or use HandshakeContext;"
     " in an http.Server set ReadHeaderTimeout"),
    (("net/http.(*body).Read", "net/http.(*maxBytesReader).Read"), "a request body that the client does not finish",
     "the client sends slowly, or not at all, and nothing bounds the time", "set ReadTimeout of the http.Server, or for one handler"
     " http.NewResponseController(w).SetReadDeadline"),
    (("net/http.(*response).Write", "net/http.(*response).Flush"), "an answer that the client does not read",
     "the client takes nothing, and nothing bounds the time", "set WriteTimeout of the http.Server, or for one handler"
     " http.NewResponseController(w).SetWriteDeadline"),
    (("net/http.(*persistConn).roundTrip", "net/http.(*Transport).getConn", "net/http.(*Client).do"), "an HTTP request without a deadline",
     "the server does not answer, and nothing ends the wait", "set Timeout of the http.Client, or make the request with a context that has a"
     " deadline or ends with its caller; for a stream set ResponseHeaderTimeout of the Transport and Close its body when its reader leaves"),
    (("net.(*Resolver).", "net.(*Dialer).Dial", "net.Dial"), "a connection attempt without a deadline",
     "the peer, or the name server, does not answer", "use DialContext with a deadline, or set Timeout of the net.Dialer"),
    (("net.(*conn).Write",), "a write to a connection whose peer takes nothing", "the peer does not read, and the buffers are full",
     "set SetWriteDeadline before each write, and Close the connection when it is missed or its owner ends"),
    (("net.(*conn).Read",), "a read from a network connection that does not return",
     "the peer is silent or gone without a word, or the connection's owner left without closing it",
     "Close the connection where its owner ends and on every error path, which ends the read; where two copies join two connections, close"
     " both when one copy ends; set SetReadDeadline before each read, so that silent peers are noticed"),
)  # fmt: skip


# First elements of the paths of packages that only pass bytes on.
_PLAIN = frozenset({"net", "crypto", "bufio", "io", "internal", "os", "compress", "encoding", "bytes", "fmt"})


def _network(shape: Shape, wait: Wait) -> Shape:
    names = [f.function for f in wait.stack]
    # Frames above the team's are its callers, such as the server that calls a handler.
    at = names.index(wait.function) if wait.function in names else len(names)
    if at and package(names[at - 1]).partition("/")[0] not in _PLAIN:
        call = spoken(names[at - 1])
        return replace(
            shape,
            title=f"{call} without a deadline ({wait.name})",
            why=f"{call} waits for the other side of its connection, which does not answer, and nothing ends the wait",
            fix=f"give {call} a context that has a deadline or ends with its caller (for SQL the ...Context forms), or set the timeouts of its"
            " client or driver; where it is meant to wait (a subscription, a stream), Close it when its owner ends",
        )
    for starts, title, why, fix in _NETWORK:
        if any(name.startswith(starts) for name in names[:at]):
            return replace(shape, title=f"{title} ({wait.name})", why=why, fix=fix)
    return shape


def _short(wait: Wait) -> str:
    return package(wait.function).rpartition("/")[2]


_TEXTS: dict[str, Callable[[Shape, Wait], Shape]] = {
    SEND.name: _send, RECEIVE.name: _receive, SELECTING.name: _select, TICKER.name: _ticker, SLEEP.name: _sleep, TIMEOUT.name: _network,
    WAITGROUP.name: _group,
}  # fmt: skip
