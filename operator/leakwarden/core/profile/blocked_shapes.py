"""Kinds of leaks by what goroutines wait for: a file that sends nothing, a lock that they hold themselves, a client that is
silent."""

from __future__ import annotations

from leakwarden.core.profile.shapes import Shape

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
