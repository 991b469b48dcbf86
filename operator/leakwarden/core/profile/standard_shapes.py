"""Kinds of leaks that Go's own packages make possible. Names are those of Go 1.25, 1.26 and 1.27, seen in profiles of
all three. The order matters: a goroutine is of the first kind that matches (`catalogue`)."""

from __future__ import annotations

from leakwarden.core.profile.kept_shapes import COMMAND_HANGS, COMMAND_RUNS, ITER_PULL
from leakwarden.core.profile.shapes import CHANNEL_RECEIVE, CHANNEL_SEND, SELECT, Shape

_DESCRIPTORS = frozenset({"descriptors"})
_BOTH = frozenset({"descriptors", "connections"})
_SQL = ("database/sql",)
_CONTEXTS = ("WithCancel", "WithCancelCause", "WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause")

BODY = Shape(
    "ResponseBodyNotClosed",
    "response body not closed",
    "the connection can neither be used again nor closed until the body is: a descriptor and two goroutines stay",
    "defer resp.Body.Close() right after the error check, on every path",
    docs="https://pkg.go.dev/net/http#Response",
    modules=("net/http",),
    acquires=("Client.do", "Transport.roundTrip", "NewRequestWithContext"),
    # Connections go from one caller to the next: the call that had to open one need not be the one that forgets it.
    shared=frozenset({"net/http.(*Transport).getConn"}),
    operations=SELECT,
    at=frozenset({"net/http.(*persistConn).readLoop"}),
    holds=_DESCRIPTORS,
)
BODY_HTTP2 = Shape(
    "Http2BodyNotClosed",
    "HTTP/2 response body not closed",
    "an HTTP/2 stream and its buffers stay until the body is closed or read to its end; the connection stays shared, so no descriptor grows",
    "defer resp.Body.Close() right after the error check, on every path",
    docs="https://pkg.go.dev/net/http#Response",
    modules=("net/http", "golang.org/x/net/http2"),
    acquires=("Client.do", "Transport.roundTrip", "NewRequestWithContext"),
    shared=frozenset({"net/http.(*Transport).getConn"}),
    goroutines=("clientStream).doRequest", "clientStream).writeRequest"),
    operations=SELECT,
)
TRANSPORT = Shape(
    "TransportPerRequest",
    "a transport for every request",
    "each http.Transport keeps its own idle connections, which no later request will use",
    "make one http.Client (or http.Transport) at start and share it; it is safe for concurrent use",
    docs="https://pkg.go.dev/net/http#Transport",
    modules=("net/http", "golang.org/x/net/http2"),
    acquires=("Transport.Clone", "Client.do", "Transport.roundTrip"),
    # HTTP/2 puts all streams of a host on one connection, so more connections mean more transports.
    goroutines=("(*persistConn).readLoop", "clientConnReadLoop).run"),
    waits=frozenset(
        {
            "bufio.(*Reader).Peek",
            "net/http.(*http2clientConnReadLoop).run",
            "net/http/internal/http2.(*clientConnReadLoop).run",
            "golang.org/x/net/http2.(*clientConnReadLoop).run",
        }
    ),
    holds=_DESCRIPTORS,
)
ROWS = Shape(
    "RowsNotClosed",
    "rows not closed",
    "open rows hold a connection of the pool until they are closed or read to their end",
    "defer rows.Close() right after the error check; use QueryRow for one row",
    docs="https://go.dev/doc/database/querying",
    modules=_SQL,
    acquires=("DB.queryDC", "DB.QueryContext", "Stmt.QueryContext"),
    shared=frozenset({"database/sql.(*DB).conn"}),
    at=frozenset({"database/sql.(*Rows).awaitDone"}),
    holds=_BOTH,
)
TX = Shape(
    "TransactionNotFinished",
    "transaction not finished",
    "a transaction holds a connection of the pool until Commit or Rollback",
    "defer tx.Rollback() right after Begin; after a Commit it does nothing",
    docs="https://go.dev/doc/database/execute-transactions",
    modules=_SQL,
    acquires=("DB.BeginTx", "DB.beginDC"),
    shared=frozenset({"database/sql.(*DB).conn"}),
    at=frozenset({"database/sql.(*Tx).awaitDone"}),
    holds=_BOTH,
)
DBOPEN = Shape(
    "PoolPerRequest",
    "a connection pool for every request",
    "sql.Open makes a pool with a goroutine of its own, which stays until DB.Close",
    "open the pool once, at start, and share it",
    docs="https://go.dev/doc/database/manage-connections",
    modules=_SQL,
    acquires=("Open", "OpenDB"),
    at=frozenset({"database/sql.(*DB).connectionOpener"}),
    holds=_BOTH,
)
POOL = Shape(
    "WaitingForConnection",
    "waiting for a database connection",
    "every connection of the pool is in use and none comes back: rows, transactions or connections are left open",
    "close rows, finish transactions and close what DB.Conn gave on every path; give the call a deadline",
    docs="https://go.dev/doc/database/manage-connections",
    modules=_SQL,
    acquires=("DB.Conn", "DB.conn"),
    operations=SELECT,
    at=frozenset({"database/sql.(*DB).conn"}),
    victim=True,
    holds=_BOTH,
)
EXEC = Shape(
    "CommandNotWaited",
    "a command that is started and never waited for",
    "until Cmd.Wait the process stays as a zombie, with its pipes, their goroutines and descriptors",
    "call cmd.Wait() after cmd.Start() on every path, or use cmd.Run(); read the pipes to their end first",
    docs="https://pkg.go.dev/os/exec#Cmd.Wait",
    modules=("os/exec",),
    acquires=("Cmd.Start", "Cmd.StdoutPipe", "Cmd.StderrPipe", "Cmd.StdinPipe", "CommandContext", "Command"),
    goroutines=("(*Cmd).",),
    holds=frozenset({"descriptors", "processes"}),
)
NOTIFY_CONTEXT = Shape(
    "SignalContextNotStopped",
    "signal.NotifyContext without its stop",
    "the registration for signals and a goroutine stay until stop is called or the parent context ends",
    "defer stop() right after signal.NotifyContext; call it once at start, not for each request",
    docs="https://pkg.go.dev/os/signal#NotifyContext",
    modules=("os/signal",),
    acquires=("NotifyContext",),
    goroutines=("NotifyContext.func",),
)
HTTP_SERVER = Shape(
    "ServerNotShutDown",
    "a server that is never shut down",
    "a listener, its port and a goroutine stay until Shutdown or Close",
    "call server.Shutdown(ctx), or Close, when its owner ends; start one server for the process",
    docs="https://pkg.go.dev/net/http#Server.Shutdown",
    modules=("net/http", "net/http/httptest"),
    acquires=("Server.Serve", "Server.ListenAndServe", "Server.ServeTLS", "NewServer", "NewUnstartedServer"),
    goroutines=("(*Server).Serve", "(*Server).goServe"),
    waits=frozenset({"net.(*TCPListener).Accept", "net.(*UnixListener).Accept"}),
    holds=_DESCRIPTORS,
)
LISTENER = Shape(
    "ListenerNotClosed",
    "a listener that is never closed",
    "a port, a descriptor and the goroutine in Accept stay until the listener is closed",
    "close the listener when its owner ends; that also ends Accept",
    docs="https://pkg.go.dev/net#Listener",
    modules=("net",),
    acquires=("Listen", "ListenTCP", "ListenUnix", "ListenConfig.Listen", "ListenPacket", "ListenUDP"),
    goroutines=(
        "(*TCPListener).Accept",
        "(*UnixListener).Accept",
        "(*UnixListener).AcceptUnix",
        "(*TCPListener).AcceptTCP",
    ),
    holds=_DESCRIPTORS,
)
PIPE = Shape(
    "PipeNotClosed",
    "an io.Pipe whose other end is gone",
    "each end waits for the other: a Write until it is read, a Read until it is written to or closed",
    "close both ends on every path: defer pr.Close() in the reader, pw.CloseWithError(err) in the writer",
    docs="https://pkg.go.dev/io#Pipe",
    modules=("io",),
    acquires=("Pipe",),
    goroutines=("(*pipe).write", "(*pipe).read"),
)
CONTEXT = Shape(
    "ContextNeverCancelled",
    "context never cancelled",
    "a context derived from a long-lived one stays registered there, and a wait for its end never ends",
    "defer cancel() right after WithCancel, WithTimeout or WithDeadline",
    docs="https://pkg.go.dev/context#WithCancel",
    modules=("context",),
    acquires=_CONTEXTS,
    # A context derived from one of another type has a goroutine that waits until one of the two ends.
    goroutines=("propagateCancel",),
)
AFTER_CONTEXT = Shape(
    "ContextCallbackKept",
    "context.AfterFunc never stopped",
    "the function and what it refers to stay registered at the context until that ends; a context of the process never does",
    "call the stop function that context.AfterFunc returns when the work is done: defer stop()",
    docs="https://pkg.go.dev/context#AfterFunc",
    modules=("context",),
    acquires=("AfterFunc",),
)
STATEMENT = Shape(
    "StatementNotClosed",
    "prepared statement not closed",
    "database/sql keeps a prepared statement, and the server one for each connection, until it is closed",
    "defer stmt.Close() right after the error check; or prepare it once at start and share it",
    docs="https://pkg.go.dev/database/sql#Stmt.Close",
    modules=_SQL,
    acquires=("DB.PrepareContext", "DB.Prepare", "Conn.PrepareContext", "Tx.PrepareContext", "Tx.Prepare"),
)
TICKER = Shape(
    "TickerNeverStopped",
    "a loop on a ticker that never ends",
    "the loop ticks on after the owner that started it (a request, a connection, a thing that was closed) has gone",
    "end the loop where its owner ends: select on a context's Done, or on a stop channel that is closed there; defer ticker.Stop()",
    docs="https://pkg.go.dev/time#Ticker",
    modules=("time",),
    acquires=("NewTicker", "Tick", "NewTimer", "After"),
)
TIMER = Shape(
    "TimerNeverStopped",
    "timer never stopped",
    "a pending timer keeps what its function refers to until it fires",
    "keep the timer and Stop() it when it is no longer needed",
    docs="https://pkg.go.dev/time#AfterFunc",
    modules=("time",),
    acquires=("AfterFunc", "NewTimer", "NewTicker", "Tick"),
)
FILE = Shape(
    "FileNotClosed",
    "file not closed",
    "an open file that is still referenced keeps its descriptor",
    "defer file.Close() right after the error check; take it out of the map or slice that holds it",
    docs="https://pkg.go.dev/os#File.Close",
    modules=("os", "io/ioutil"),
    acquires=("newFile", "NewFile", "OpenFile", "openFileNolog"),
    holds=_DESCRIPTORS,
)
CONNECTION = Shape(
    "ConnectionNotClosed",
    "network connection not closed",
    "a connection that is still referenced keeps its descriptor",
    "defer conn.Close() right after the error check, on every path; where two connections are joined, close both when one copy ends",
    docs="https://pkg.go.dev/net#Conn",
    modules=("net", "crypto/tls"),
    acquires=("Dial", "DialTimeout", "DialTCP", "DialUDP", "Dialer.Dial", "Dialer.DialContext", "DialWithDialer"),
    holds=_DESCRIPTORS,
)
TIMEOUT = Shape(
    "CallWithoutDeadline",
    "a call without a deadline",
    "the peer does not answer, and nothing ends the wait",
    "set a Timeout on the client, a deadline on the connection (SetReadDeadline, for UDP as well), or use a context with one; Close the"
    " connection when its caller gives up, and both connections when one of two copies between them ends",
    docs="https://pkg.go.dev/net/http#Client",
    holds=_DESCRIPTORS,
    specific=False,
)
MUTEX = Shape(
    "MutexHeld",
    "a lock that is not released",
    "the goroutine that locked it returned without Unlock on one path, or waits for something itself",
    "defer Unlock() right after Lock(); never wait for a channel or a call while holding a lock",
    docs="https://pkg.go.dev/sync#Mutex",
    waits=frozenset({"sync.(*Mutex).Lock", "sync.(*RWMutex).Lock", "sync.(*RWMutex).RLock"}),
    victim=True,
)
WAITGROUP = Shape(
    "WaitGroupNeverDone",
    "a WaitGroup that is never done",
    "fewer Done than Add: a worker returned without Done, or does not return",
    "defer wg.Done() as the worker's first line, or use WaitGroup.Go",
    docs="https://pkg.go.dev/sync#WaitGroup",
    waits=frozenset({"sync.(*WaitGroup).Wait"}),
    victim=True,
)
COND = Shape(
    "ConditionNeverSignalled",
    "a condition that is never signalled",
    "nothing calls Signal or Broadcast any more",
    "wake the waiter when its caller gives up: context.AfterFunc(ctx, cond.Broadcast), and look at ctx.Err() in its loop; signal on every"
    " change and at shutdown; or wait with select on a channel in place of the Cond",
    docs="https://pkg.go.dev/sync#Cond",
    waits=frozenset({"sync.(*Cond).Wait"}),
    victim=True,
)
SLEEP = Shape(
    "SleepLoop",
    "goroutines that sleep again and again, or for long",
    "it tries, polls or delays without a bound that its caller knows, and goes on after the call that started it has ended",
    "bound the number of tries; wait with select on a timer and the context's Done",
    docs="https://pkg.go.dev/time#Sleep",
    waits=frozenset({"time.Sleep"}),
)
SEND = Shape(
    "ChannelSend",
    "channel send that nobody receives",
    "the reader has left (with another answer, an error, at its deadline) or waits itself, and the channel has no room",
    "give the channel room for every sender where each sends once; else select on a context's Done together with the send, and see that the"
    " reader goes on until the channel is closed",
    docs="https://go.dev/blog/pipelines",
    operations=CHANNEL_SEND,
)
RECEIVE = Shape(
    "ChannelReceive",
    "channel receive that nobody sends to or closes",
    "the other side ended without sending or closing, or the owner of the channel forgot it without closing it",
    "close the channel on every path of the sender, and when its owner goes (leaves, is removed), or select on the context's Done"
    " together with the receive; a channel given to signal.Notify or to a ticker is never closed: Stop those, and end the"
    " goroutine with a context",
    docs="https://go.dev/blog/pipelines",
    operations=CHANNEL_RECEIVE,
)
SELECTING = Shape(
    "SelectNeverWoken",
    "select that nothing wakes",
    "none of its channels is sent to or closed any more: often a stop channel that was forgotten, or a context that is never cancelled",
    "close the stop channel, or select on the context's Done, when the request or the owner ends",
    docs="https://go.dev/blog/context",
    operations=SELECT,
)
CALL_WAITS = Shape(
    "LibraryCallWaits",
    "a call of a library that does not return",
    "it waits inside the library for something that does not come, and nothing ends the wait",
    "give the call a context with a deadline, or one that is cancelled when its caller or owner goes",
    docs="https://go.dev/blog/context",
    specific=False,
)
SERVED = Shape(
    "RequestsInFlight",
    "requests that are being answered",
    "a goroutine for each open request or connection: more users look the same",
    "look at how many requests are open, and at what they wait for",
    docs="https://pkg.go.dev/net/http#Server",
    modules=("net/http",),
    acquires=("Server.Serve", "Server.newConn", "conn.serve", "Server.ListenAndServe"),
    goroutines=("(*conn).serve", "(*connReader).backgroundRead", "serverConn)"),
    specific=False,
)
MEMORY = Shape(
    "MemoryKept",
    "memory that is allocated here and kept",
    "what is allocated here stays reachable: a map, slice, registry or cache that only grows, a part of a slice that keeps"
    " the whole array, or a closure that a timer or context keeps",
    "bound what keeps it: delete entries that are done, cap the cache, copy what is kept of a large slice; stop the timer"
    " and unregister the callback that refers to it",
    docs="https://go.dev/doc/diagnostics",
    specific=False,
)
OPENED = Shape(
    "OpenedHereAndKept",
    "opened here and kept",
    "descriptors grow, no goroutine holds them, and what is allocated here is kept: most likely it is, or belongs to, a"
    " file, connection or watcher that stays open",
    "Close what is opened here on every path, and take it out of the map or slice that holds it",
    docs="https://pkg.go.dev/os#File.Close",
    holds=_DESCRIPTORS,
    specific=False,
)
UNKNOWN = Shape(
    "MadeHereAndKept",
    "made here and kept",
    "goroutines that the library runs for what is made here stay",
    "is there a Close, Stop, Shutdown or Release? Call it when the request or the owner ends, or make one at start and share it",
    specific=False,
)
OFF_HEAP = Shape(
    "MemoryOutsideHeap",
    "memory outside of the Go heap",
    "the process grows and its Go heap does not: cgo, mapped files, thread stacks, or memory not yet given back to the"
    " system; no heap profile shows where it comes from",
    "compare container_memory_working_set_bytes with go_memstats_heap_inuse_bytes; look at cgo allocations, mmap and threads",
    docs="https://go.dev/doc/gc-guide",
    specific=False,
)

# Kinds that a goroutine's own stack shows, the surest sign first.
BY_STACK = (
    BODY, BODY_HTTP2, TRANSPORT, ROWS, TX, DBOPEN, POOL, COMMAND_HANGS, COMMAND_RUNS, EXEC, ITER_PULL, NOTIFY_CONTEXT, PIPE, CONTEXT, HTTP_SERVER,
    LISTENER,
)  # fmt: skip
# Kinds by the way a goroutine waits, where the thing it waits for is not known.
BY_WAIT = (MUTEX, WAITGROUP, COND, SLEEP, SEND, RECEIVE, SELECTING)
# Kinds that need no goroutine: a service may hold these, and the goroutine profile does not show it.
KEPT = (FILE, TIMER, CONTEXT, AFTER_CONTEXT, STATEMENT, ROWS, TX, CONNECTION, LISTENER)
