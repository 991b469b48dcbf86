"""Kinds of leaks by library: the call that makes the object, the call that has to end it, and the documentation.

One row per kind. To add one: the module's import path without a version, the constructor or acquire call (`NewClient`,
`Pool.Acquire`, `.Subscribe` for any type), parts of names that only its own goroutines have, and a link to the
library's documentation. It goes into the module of its topic (`shapes_of_services`, `shapes_of_messaging`,
`shapes_of_registrations`, `shapes_of_runtimes`, `shapes_of_tools`); no other file has to be changed.
"""

from __future__ import annotations

from leakwarden.core.profile.shapes import Shape, row
from leakwarden.core.profile.shapes_of_messaging import MESSAGING
from leakwarden.core.profile.shapes_of_registrations import REGISTRATIONS
from leakwarden.core.profile.shapes_of_runtimes import RUNTIMES
from leakwarden.core.profile.shapes_of_services import SERVICES
from leakwarden.core.profile.shapes_of_tools import TOOLS

_BOTH = frozenset({"descriptors", "connections"})
_REDIS = ("github.com/redis/go-redis", "github.com/go-redis/redis", "github.com/redis/rueidis")
_PGX = ("github.com/jackc/pgx", "github.com/jackc/puddle", "github.com/jackc/pgconn")
_MONGO = ("go.mongodb.org/mongo-driver",)

# The innermost calls of a WaitGroup's Wait.
_IN_WAIT = frozenset({"sync.runtime_SemacquireWaitGroup", "sync.runtime_Semacquire"})

# Waits for a library's pool or limit: the waiting goroutine is a victim, and the cause is one of those that took and
# did not return.
WAITING = (
    row(
        "PgxConnectionNotReleased",
        "connection of a pgx pool not released",
        "a connection that was acquired and not released is missing from the pool: in the end everyone waits in Acquire",
        fix="defer conn.Release() right after Acquire; close rows and finish transactions on every path",
        docs="https://pkg.go.dev/github.com/jackc/pgx/v5/pgxpool#Pool.Acquire",
        modules=_PGX,
        makes="Pool.Acquire Pool.Begin Pool.BeginTx Pool.Query Pool.acquire",
        waits="(*Pool).Acquire (*Pool[...]).Acquire (*Pool[...]).acquire",
        holds=_BOTH,
        victim=True,
    ),
    row(
        "RedisPoolExhausted",
        "waiting for a connection of a Redis pool",
        "every connection is in use and none comes back: a Conn, a PubSub or a Tx was taken and not closed",
        fix="Close what Client.Conn, Subscribe or Watch gave, on every path; set PoolTimeout",
        docs="https://pkg.go.dev/github.com/redis/go-redis/v9#Conn.Close",
        modules=_REDIS,
        makes="Client.Conn ConnPool.Get ConnPool.waitTurn",
        waits="(*ConnPool).waitTurn (*FIFOSemaphore) (*FastSemaphore)",
        holds=_BOTH,
        victim=True,
    ),
    row(
        "MongoPoolExhausted",
        "waiting for a connection of a MongoDB pool",
        "every connection of the pool is checked out: cursors or sessions are left open",
        fix="defer cursor.Close(ctx) and session.EndSession(ctx); give the call a deadline",
        docs="https://pkg.go.dev/go.mongodb.org/mongo-driver/v2/mongo#Cursor.Close",
        modules=_MONGO,
        makes="Collection.Find Collection.Aggregate",
        waits="(*pool).checkOut (*wantConn)",
        holds=_BOTH,
        victim=True,
    ),
    row(
        "SemaphoreNotReleased",
        "weight of a semaphore not released",
        "what was acquired and not released is missing: in the end everyone waits in Acquire",
        fix="defer sem.Release(n) right after Acquire succeeded, on every path",
        docs="https://pkg.go.dev/golang.org/x/sync/semaphore#Weighted.Release",
        modules=("golang.org/x/sync/semaphore",),
        makes="Weighted.Acquire",
        waits="(*Weighted).Acquire",
        victim=True,
    ),
    Shape(
        "SingleflightStuck",
        "waiting for a call that others share",
        "singleflight lets everyone with the same key wait for the one call under way, and that does not return",
        "give the shared call a deadline; use DoChan with the context's Done",
        docs="https://pkg.go.dev/golang.org/x/sync/singleflight#Group.DoChan",
        waits=frozenset({"golang.org/x/sync/singleflight.(*Group).Do", "internal/singleflight.(*Group).Do"}),
        at=_IN_WAIT,
        victim=True,
    ),
    Shape(
        "GroupNeverDone",
        "an errgroup that is never done",
        "one of its functions does not return, so Wait, or Go at the limit, waits for ever",
        "let each function end with the group's context: errgroup.WithContext",
        docs="https://pkg.go.dev/golang.org/x/sync/errgroup#Group.Wait",
        waits=frozenset({"golang.org/x/sync/errgroup.(*Group).Wait", "golang.org/x/sync/errgroup.(*Group).Go"}),
        victim=True,
    ),
)

LIBRARIES = (*REGISTRATIONS, *RUNTIMES, *SERVICES, *MESSAGING, *TOOLS)
