"""The catalogue of leaks: what each looks like in a profile, why it is one, and what usually repairs it.

A goroutine fits the first row whose `operations` hold the runtime call it waits in, whose `calls` all are on its
stack, and whose `at` is the innermost call. What a goroutine's stack cannot tell, because the goroutine belongs to a
library, the heap profile does: `packages` and `acquires` say through which calls the resource was obtained.
Function names are those of Go 1.25, 1.26 and 1.27, seen in profiles of all three.
"""

from __future__ import annotations

from dataclasses import dataclass

from leakwarden.core.profile.stacks import Group

CHANNEL_SEND = frozenset({"runtime.chansend1"})
CHANNEL_RECEIVE = frozenset({"runtime.chanrecv1", "runtime.chanrecv2"})
SELECT = frozenset({"runtime.selectgo", "runtime.block"})


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    title: str
    why: str
    fix: str
    operations: frozenset[str] = frozenset()  # any of; empty: any operation
    at: frozenset[str] = frozenset()  # the innermost call is one of these; empty: any
    calls: frozenset[str] = frozenset()  # all of them are on the stack
    packages: frozenset[str] = frozenset()  # heap: the calls next below the caller's are of these packages
    acquires: frozenset[str] = frozenset()  # heap: and one of them is one of these
    shared: frozenset[str] = frozenset()  # heap: but none of these, whose objects outlive the call that made them
    victim: bool = False  # who waits like this may only suffer from what somebody else does


_CLIENT = frozenset({"net/http"})
_SQL = frozenset({"database/sql"})
# Connections go from one caller to the next: whoever had to open one is not who forgets it.
_DIALS = frozenset({"net/http.(*Transport).getConn"})
_CONNECTS = frozenset({"database/sql.(*DB).conn"})

BODY = Shape(
    "body",
    "response body not closed",
    "the connection can neither be used again nor closed until the body is: a descriptor and two goroutines stay",
    "defer resp.Body.Close() right after the error check, on every path",
    operations=SELECT,
    at=frozenset({"net/http.(*persistConn).readLoop"}),
    packages=_CLIENT,
    acquires=frozenset({"net/http.(*Client).do", "net/http.(*Transport).roundTrip", "net/http.NewRequestWithContext"}),
    shared=_DIALS,
)
TRANSPORT = Shape(
    "transport",
    "a transport for every request",
    "each http.Transport keeps its own idle connections, which nobody will use again",
    "make one http.Client (or http.Transport) at start and share it; it is safe for concurrent use",
    calls=frozenset({"net/http.(*persistConn).readLoop", "bufio.(*Reader).Peek"}),
    packages=_CLIENT,
    acquires=frozenset(
        {"net/http.(*Transport).Clone", "net/http.(*Client).do", "net/http.(*Transport).roundTrip"},
    ),
)
ROWS = Shape(
    "rows",
    "rows not closed",
    "open rows hold a connection of the pool until they are closed or read to their end",
    "defer rows.Close() right after the error check; use QueryRow for one row",
    at=frozenset({"database/sql.(*Rows).awaitDone"}),
    packages=_SQL,
    acquires=frozenset(
        {"database/sql.(*DB).queryDC", "database/sql.(*DB).QueryContext", "database/sql.(*Stmt).QueryContext"}
    ),
    shared=_CONNECTS,
)
TX = Shape(
    "tx",
    "transaction not finished",
    "a transaction holds a connection of the pool until Commit or Rollback",
    "defer tx.Rollback() right after Begin; after a Commit it does nothing",
    at=frozenset({"database/sql.(*Tx).awaitDone"}),
    packages=_SQL,
    acquires=frozenset({"database/sql.(*DB).BeginTx", "database/sql.(*DB).beginDC"}),
    shared=_CONNECTS,
)
DBOPEN = Shape(
    "dbopen",
    "a connection pool for every request",
    "sql.Open makes a pool with a goroutine of its own, which stays until DB.Close",
    "open the pool once, at start, and share it",
    at=frozenset({"database/sql.(*DB).connectionOpener"}),
    packages=_SQL,
    acquires=frozenset({"database/sql.Open", "database/sql.OpenDB"}),
)
POOL = Shape(
    "pool",
    "waiting for a database connection",
    "every connection of the pool is in use and none comes back: rows or transactions are left open",
    "close rows and finish transactions on every path; give the call a deadline",
    operations=SELECT,
    at=frozenset({"database/sql.(*DB).conn"}),
    victim=True,
)
TIMEOUT = Shape(
    "timeout",
    "a call without a deadline",
    "the peer does not answer, and nothing ends the wait",
    "set a Timeout on the client, a deadline on the connection, or use a context with one",
)
MUTEX = Shape(
    "mutex",
    "a lock that is not released",
    "whoever holds the lock returned without unlocking, or waits for something itself",
    "defer Unlock() right after Lock(); never wait for a channel or a call while holding a lock",
    victim=True,
)
WAITGROUP = Shape(
    "waitgroup",
    "a WaitGroup that is never done",
    "fewer Done than Add: a worker returned without Done, or does not return",
    "defer wg.Done() as the worker's first line, or use WaitGroup.Go",
    victim=True,
)
COND = Shape(
    "cond",
    "a condition that is never signalled",
    "nobody calls Signal or Broadcast any more",
    "signal on every change and at shutdown; prefer a channel",
    victim=True,
)
TICKER = Shape(
    "ticker",
    "a loop on a ticker that never ends",
    "the goroutine started for one request ticks for ever",
    "end the loop with the request's context; defer ticker.Stop()",
    packages=frozenset({"time"}),
    acquires=frozenset({"time.NewTicker", "time.Tick", "time.NewTimer", "time.After"}),
)
CONTEXT = Shape(
    "context",
    "context never cancelled",
    "a context derived from a long-lived one stays registered there, and who waits for its end waits for ever",
    "defer cancel() right after WithCancel, WithTimeout or WithDeadline",
    packages=frozenset({"context"}),
    acquires=frozenset(
        f"context.{name}"
        for name in ("WithCancel", "WithCancelCause", "WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause",
                     "AfterFunc")
    ),
)  # fmt: skip
SLEEP = Shape(
    "sleep",
    "a loop that sleeps and never ends",
    "the goroutine started for one request tries for ever",
    "bound the number of tries; wait with select on a timer and the context's Done",
)
SEND = Shape(
    "send",
    "channel send that nobody receives",
    "the receiver is gone (it took another answer, or gave up), and the channel has no room",
    "give the channel room for every sender, or select on the context's Done beside the send",
    operations=CHANNEL_SEND,
)
RECEIVE = Shape(
    "receive",
    "channel receive that nobody sends to or closes",
    "the sender ended without sending or closing",
    "close the channel on every path of the sender, or select on the context's Done beside the receive",
    operations=CHANNEL_RECEIVE,
)
SELECTING = Shape(
    "select",
    "select that nothing wakes",
    "none of its channels is sent to or closed any more; often the stop channel was forgotten",
    "close the stop channel, or select on the context's Done, when the request or the owner ends",
    operations=SELECT,
)
FILE = Shape(
    "file",
    "file not closed",
    "an open file that is still referenced keeps its descriptor",
    "defer file.Close() right after the error check; take it out of the map or slice that holds it",
    packages=frozenset({"os", "io/ioutil"}),
    acquires=frozenset({"os.newFile", "os.NewFile", "os.OpenFile", "os.openFileNolog"}),
)
TIMER = Shape(
    "timer",
    "timer never stopped",
    "a pending timer keeps what its function refers to until it fires",
    "keep the timer and Stop() it when it is no longer needed",
    packages=frozenset({"time"}),
    acquires=frozenset({"time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick"}),
)

CATALOGUE = (
    BODY, TRANSPORT, ROWS, TX, DBOPEN, POOL, TIMEOUT, MUTEX, WAITGROUP, COND, TICKER, CONTEXT, SLEEP, SEND, RECEIVE,
    SELECTING, FILE, TIMER,
)  # fmt: skip
# Leaks that need no goroutine: a service may hold these and nothing of it shows in the goroutine profile.
KEPT = (FILE, TIMER, CONTEXT, ROWS, TX)

# Goroutines of these hold a descriptor each.
HOLDING = (BODY, TRANSPORT, ROWS, TX, TIMEOUT)
# And of these a connection of a database pool, or wait for one.
POOLED = (ROWS, TX, POOL)

_BY_OPERATION = (SEND, RECEIVE, SELECTING)
_EXACT = (BODY, ROWS, TX, DBOPEN, POOL)
_LOCKS = frozenset({"sync.(*Mutex).Lock", "sync.(*RWMutex).Lock", "sync.(*RWMutex).RLock"})
_NETWORK = frozenset({"internal/poll.runtime_pollWait"})
_ROUND_TRIP = frozenset({"net/http.(*persistConn).roundTrip", "net/http.(*Transport).getConn"})


def shape_of(group: Group) -> Shape | None:
    """What a parked goroutine looks like; None where it is not parked, or in a way that says nothing."""
    if not group.stack:
        return None
    first = group.stack[0].function
    names = {frame.function for frame in group.stack}
    for shape in _EXACT:
        if first in shape.at and (not shape.operations or group.operation in shape.operations):
            return shape
    if names >= TRANSPORT.calls:
        return TRANSPORT
    if first in _NETWORK or _ROUND_TRIP & names:
        return TIMEOUT
    if names & _LOCKS:
        return MUTEX
    if "sync.(*WaitGroup).Wait" in names:
        return WAITGROUP
    if "sync.(*Cond).Wait" in names:
        return COND
    if first == "time.Sleep" or group.operation == "time.Sleep":
        return SLEEP
    return next((shape for shape in _BY_OPERATION if group.operation in shape.operations), None)
