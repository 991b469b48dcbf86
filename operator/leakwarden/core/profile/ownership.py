"""Whose code a call is: the team's, a library's, or Go's own.

The name alone does not say: a team's module may be called github.com/shop/orders. What a binary does tell:
modules from the module cache carry their version in the path (`module@v1.2.3/`), vendored ones stand below
`/vendor/`, and the package `main` is the team's by definition; so whatever lies in main's module is too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache

from leakwarden.core.profile.pprof import Frame, Profile

# The first elements of the import paths of Go's own packages (go list std, Go 1.27). A path whose first element has
# no dot is either one of these or a private module.
_STANDARD = frozenset(
    {
        "archive",
        "arena",
        "bufio",
        "builtin",
        "bytes",
        "cmp",
        "compress",
        "container",
        "context",
        "crypto",
        "database",
        "debug",
        "embed",
        "encoding",
        "errors",
        "expvar",
        "flag",
        "fmt",
        "go",
        "hash",
        "html",
        "image",
        "index",
        "internal",
        "io",
        "iter",
        "log",
        "maps",
        "math",
        "mime",
        "net",
        "os",
        "path",
        "plugin",
        "reflect",
        "regexp",
        "runtime",
        "simd",
        "slices",
        "sort",
        "strconv",
        "strings",
        "structs",
        "sync",
        "syscall",
        "testing",
        "text",
        "time",
        "type",
        "unicode",
        "unique",
        "unsafe",
        "uuid",
        "vendor",
        "weak",
        "_cgo_export",
        "cmd",
    }
)
_CLOSURE = re.compile(r"(\.(func|gowrap|deferwrap)\d+(\.\d+)*)+$")
# Hosts where the first two elements after the host name a repository.
_FORGES = frozenset({"github.com", "gitlab.com", "bitbucket.org", "codeberg.org"})


class CodeOwner(Enum):
    TEAM = "team"
    LIBRARY = "library"
    STANDARD = "standard"


@lru_cache(maxsize=8192)
def package(function: str) -> str:
    """The import path of a function's package: `example.com/a/b.(*T).M` -> `example.com/a/b`."""
    name = function.partition("[")[0]  # type arguments may hold paths of their own
    slash = name.rfind("/") + 1
    return name[:slash] + name[slash:].partition(".")[0]


def receiver(function: str) -> str:
    """The type a method belongs to, with its package: `main.(*cache).get.func1` -> `main.cache`; empty for functions."""
    path = package(function)
    rest = function[len(path) + 1 :].replace("[...]", "")
    if rest.startswith("(*"):
        return f"{path}.{rest[2:].partition(')')[0]}"
    parts = rest.split(".")
    # main.gateway.charge is a method of a value; main.first.func1 is a closure.
    if len(parts) > 1 and not parts[1].startswith(("func", "gowrap", "deferwrap")):
        return f"{path}.{parts[0]}"
    return ""


def enclosing(function: str) -> str:
    """The function a closure is written in, which for `go func() {...}()` is also the one that starts it:
    `main.first.func1.2` -> `main.first`; a function that is no closure is its own."""
    return _CLOSURE.sub("", function)


class Ownership:
    """Judges calls of one binary. `modules` are paths known to be the team's, e.g. from a policy; they come first."""

    def __init__(self, profiles: Iterable[Profile], modules: Sequence[str] = ()) -> None:
        self._modules = tuple(modules)
        self._main = next(
            (f.file for p in profiles for s in p.samples for f in s.stack if package(f.function) == "main" and f.file),
            "",
        )
        self._known: dict[tuple[str, str], CodeOwner] = {}

    def of(self, frame: Frame) -> CodeOwner:
        path = package(frame.function)
        directory = frame.file.rpartition("/")[0]
        key = (path, directory)
        if (owner := self._known.get(key)) is None:
            owner = self._known[key] = self._judge(path, directory)
        return owner

    def _judge(self, path: str, directory: str) -> CodeOwner:
        if path == "main":
            return CodeOwner.TEAM
        first = path.partition("/")[0]
        if first in _STANDARD or (not directory and "." not in first):
            return CodeOwner.STANDARD
        if self._modules:
            mine = any(path == m or path.startswith(m + "/") for m in self._modules)
            return CodeOwner.TEAM if mine else CodeOwner.LIBRARY
        if "@" in directory or "/vendor/" in directory:
            return CodeOwner.LIBRARY
        return CodeOwner.TEAM if self._beside_main(path, directory) else CodeOwner.LIBRARY

    def _beside_main(self, path: str, directory: str) -> bool:
        main = self._main.rpartition("/")[0]
        if not main:
            return True  # nothing to compare with: no version and not vendored is the best there is
        if not main.startswith(("/", "\\")) and ":" not in main[:2]:  # -trimpath: paths are import paths
            return _module(path) == _module(main)
        root = _root(path, directory)
        return main == root or main.startswith(root + "/")


def _module(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[: 3 if parts[0] in _FORGES else 2 if "." in parts[0] else 1])


def _root(path: str, directory: str) -> str:
    """The directory that holds the package's module, or one above it: what the import path and the directory have in
    common at their ends is taken off the directory. `github.com/shop/orders/internal/db` in /src/internal/db -> /src."""
    ours, theirs = path.split("/"), directory.split("/")
    while ours and theirs and ours[-1] == theirs[-1]:
        ours.pop()
        theirs.pop()
    return "/".join(theirs)
