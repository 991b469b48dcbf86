"""The module of a call, and the calls that are only on the way: launchers, generated code, callbacks.

A profile has no build information, but it has source paths: in the module cache a path holds the module and its version
(`/pkg/mod/example.com/lib@v1.2.3/sub/file.go`, and with -trimpath the same without the part before it). Vendored and
replaced modules have no version there; their module is derived from the import path.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from leakwarden.core.profile.pprof import Frame

# Hosts where the first two elements after the host name a repository.
_FORGES = frozenset({"github.com", "gitlab.com", "bitbucket.org", "codeberg.org"})
# Hosts of module paths that have one element after the host, but for a few well-known longer ones.
_NESTED = (
    "cloud.google.com/go",
    "golang.org/x/",
    "google.golang.org/",
    "go.opentelemetry.io/otel",
    "go.mongodb.org/mongo-driver",
)
_VERSION = re.compile(r"v[0-9]+$")
_UPPER = re.compile(r"!([a-z])")


@lru_cache(maxsize=16384)
def module(path: str, file: str) -> str:
    """The module of a library's package by its import path and one of its source files, without a version."""
    normal = file.replace("\\", "/")
    before, at, _ = normal.partition("@")
    if at:
        if "/pkg/mod/" in before:
            before = before.rpartition("/pkg/mod/")[2]
        elif before.startswith("/"):
            # Another place of the module cache: the module is the part that its end has in common with the import path.
            while before and not path.startswith(before.lstrip("/")):
                before = before.lstrip("/").partition("/")[2]
        found = _UPPER.sub(lambda match: match[1].upper(), before.lstrip("/"))
        if found:
            return unversioned(found)
    return unversioned(guessed(path))


@lru_cache(maxsize=16384)
def guessed(path: str) -> str:
    """The module that an import path most likely belongs to: host, owner and repository."""
    parts = path.split("/")
    if parts[0] in _FORGES:
        size = 3
    elif "." not in parts[0]:
        size = 1
    else:
        size = 3 if path.startswith("golang.org/x/") else 2
    return "/".join(parts[:size])


def unversioned(path: str) -> str:
    """`example.com/lib/v2` -> `example.com/lib`"""
    head, _, last = path.rpartition("/")
    return head if head and _VERSION.match(last) else path


# Functions that start others' functions: the goroutine belongs to the function that was given to them.
_LAUNCHERS = (
    "sync.(*WaitGroup).Go.",
    "golang.org/x/sync/errgroup.(*Group).Go.",
    "golang.org/x/sync/errgroup.(*Group).TryGo.",
    "golang.org/x/sync/singleflight.(*Group).",
    "k8s.io/apimachinery/pkg/util/wait.",
    "github.com/sourcegraph/conc",
    "github.com/oklog/run.",
    "github.com/panjf2000/ants",
    "github.com/alitto/pond",
    "github.com/gammazero/workerpool",
    "gopkg.in/tomb.v",
    "github.com/cenkalti/backoff",
    "github.com/avast/retry-go",
    "runtime/pprof.Do",
    "time.goFunc",
    "context.afterFuncCtx",
    "context.AfterFunc.",
    "sync.(*Once).",
    "sync.OnceFunc",
)


@lru_cache(maxsize=16384)
def launches(function: str) -> bool:
    """Whether a function only runs the function that it was given."""
    return function.startswith(_LAUNCHERS)


_GENERATED = re.compile(
    r"(\.(pb|pb\.gw|gen|sql|connect|twirp)|_(gen|generated|grpc|easyjson|string|mock)|/?zz_generated\.[^/]*|/?wire_gen)\.go$"
)
_GENERATED_FOLDERS = ("/gen/", "/generated/", "/mocks/")


@lru_cache(maxsize=16384)
def generated(file: str) -> bool:
    """Whether a source file is one that tools write, by the names they give: profiles do not hold its first line."""
    normal = "/" + file.replace("\\", "/")
    return bool(_GENERATED.search(normal)) or any(folder in normal for folder in _GENERATED_FOLDERS)


# Go's own and routers' calls that hand a request from one handler to the next: their callers wrap handlers.
_HANDS_ON = (
    "net/http.HandlerFunc.ServeHTTP",
    "net/http.(*ServeMux).ServeHTTP",
    "github.com/go-chi/chi",
    "github.com/gorilla/mux.(*Router).ServeHTTP",
    "github.com/gin-gonic/gin.(*Context).Next",
    "github.com/labstack/echo",
    "github.com/gofiber/fiber",
    "github.com/julienschmidt/httprouter.(*Router).ServeHTTP",
    "google.golang.org/grpc.getChainUnaryHandler",
    "google.golang.org/grpc.chainUnaryInterceptors",
    "google.golang.org/grpc.chainStreamInterceptors",
    "google.golang.org/grpc.getChainStreamHandler",
)


def hands_on(function: str) -> bool:
    return function.startswith(_HANDS_ON)


# Roots of goroutines that answer one request or serve one connection of a client.
_SERVES = (
    "net/http.(*conn).serve",
    "net/http.(*http2serverConn)",
    "net/http/internal/http2.(*serverConn)",
    "golang.org/x/net/http2.(*serverConn)",
    "google.golang.org/grpc.(*Server).",
    "google.golang.org/grpc/internal/transport.(*http2Server)",
    "google.golang.org/grpc/internal/transport.NewServerTransport",
    "net/http.(*connReader)",
    "github.com/valyala/fasthttp.",
    "net/rpc.(*Server)",
    "net/rpc.(*service)",
    "connectrpc.com/connect.",
    "github.com/twitchtv/twirp",
    "storj.io/drpc",
    "github.com/apache/thrift",
)


def serves(stack: Sequence[Frame]) -> bool:
    """Whether a goroutine answers a request, by its outermost calls."""
    return any(frame.function.startswith(_SERVES) for frame in stack[-4:])
