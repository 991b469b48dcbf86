"""Kinds of leaks by what goroutines wait for: a file that sends nothing, a lock that they hold themselves, a client that is
silent."""

from __future__ import annotations

from dataclasses import replace

from leakwarden.core.profile.harvested_shapes import spoken
from leakwarden.core.profile.ownership import enclosing, package, receiver
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.stacks import Stack

FILE_WAITS = Shape(
    "FileReadNeverReturns",
    "a read or write of a file, pipe or terminal that does not return",
    "the other end neither sends nor closes: the goroutine and the descriptor stay, and so does a process behind a pipe or terminal",
    "Close the file (pipe, FIFO, terminal, device) when its user leaves or its context ends, which ends the read; end the process behind"
    " it and Wait for it; where it has deadlines, set one (SetReadDeadline)",
    docs="https://pkg.go.dev/os#File.Close",
    waits=frozenset(
        {"os.(*File).Read", "os.(*File).Write", "os.(*File).ReadFrom", "os.(*File).WriteTo", "os.(*File).ReadAt"}
    ),
    holds=frozenset({"descriptors"}),
)
LOCK_TWICE = Shape(
    "LockTakenTwice",
    "a lock that is most likely taken twice by one goroutine",
    "a method that holds the lock calls another one that locks it again: a Mutex stops there at once, a read lock as soon as a writer"
    " waits between the two",
    "lock once: let the outer method call a version of the inner one that does not lock, or unlock before the call; if it is not locked"
    " twice, defer Unlock() right after Lock()",
    docs="https://pkg.go.dev/sync#RWMutex",
    waits=frozenset({"sync.(*Mutex).Lock", "sync.(*RWMutex).Lock", "sync.(*RWMutex).RLock"}),
    victim=True,
)
EMPTY_SELECT = Shape(
    "EmptySelect",
    "an empty select, which never returns",
    "select {} waits for nothing: the goroutine, and all that it refers to, stay for the life of the process",
    "wait for the context's end in its place (<-ctx.Done()), or let the function return; only main may wait like this",
    docs="https://go.dev/ref/spec#Select_statements",
    operations=frozenset({"runtime.block"}),
)
RUNNING = Shape(
    "GoroutinesRunOn",
    "goroutines that run on and do not end",
    "they wait for nothing that the runtime knows: a loop without an end, a computation that grows with its input, or a call of C or of the"
    " system that does not return",
    "give the loop an end: look at the context in each turn (if ctx.Err() != nil { return }); bound the input; give the call of C or of the"
    " system a timeout",
    docs="https://pkg.go.dev/context#Context",
    specific=False,
)
OWN_TASK = Shape(
    "TaskWaitsForItself",
    "a task that waits for the group or pool that runs it",
    "the place, or the end, that it waits for comes only when a task ends, and the tasks that could end wait as well: nothing moves"
    " any more",
    "do not hand tasks to a limited group or pool from within its own tasks, and do not wait there for its end: run them inline when no"
    " place is free (errgroup's TryGo), use a group for each level, or collect the tasks first and start them from outside",
    docs="https://pkg.go.dev/golang.org/x/sync/errgroup#Group.SetLimit",
)
IDLE = Shape(
    "IdleConnectionsKept",
    "connections of clients that are idle, or send no request",
    "a connection on which the client sends nothing keeps a goroutine, its buffers and a descriptor; without ReadHeaderTimeout and"
    " IdleTimeout for ever; more users with keep-alive look the same",
    "set ReadHeaderTimeout, ReadTimeout and IdleTimeout of the http.Server that is served here; look at the number of open connections of"
    " each client",
    docs="https://pkg.go.dev/net/http#Server",
    modules=("net/http",),
    holds=frozenset({"descriptors"}),
    specific=False,
)

# Packages whose groups, pools and once-only calls run functions that they are given, and let callers wait for a place or
# an end.
_RUN_TASKS = (
    "golang.org/x/sync/errgroup", "golang.org/x/sync/singleflight", "github.com/panjf2000/ants", "github.com/alitto/pond",
    "github.com/gammazero/workerpool", "github.com/sourcegraph/conc", "github.com/Jeffail/tunny", "github.com/remeh/sizedwaitgroup",
)  # fmt: skip
_RUN_TASKS_STANDARD = ("sync.Once", "sync.WaitGroup")


def own_task(stack: Stack, at: int) -> Shape | None:
    """The kind of a wait in a call of a group or pool, within a function that this group or pool runs; else None. `at`:
    the place of the team's call that waits."""
    if at < 1:
        return None
    waiting = stack[at - 1].function
    path, kind = package(waiting), receiver(waiting)
    if path.startswith(_RUN_TASKS):
        runs = any(package(frame.function) == path for frame in stack[at + 1 :])
    else:
        runs = kind in _RUN_TASKS_STANDARD and any(receiver(frame.function) == kind for frame in stack[at + 1 :])
    if not runs:
        return None
    named, call = spoken(kind or path), enclosing(waiting).rpartition(".")[2]
    return replace(
        OWN_TASK,
        title=f"tasks of one {named} that wait in its own {call}",
        why=f"{call} is called within a function that the {named} runs, most likely the same one: {OWN_TASK.why}",
        docs=f"https://pkg.go.dev/{path}" if "." in path.partition("/")[0] else "https://pkg.go.dev/sync",
    )
