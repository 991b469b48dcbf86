"""The owner of a call's code: the team, a library, or Go itself.

The name alone does not show it: a team's module may be called github.com/shop/orders. But the paths in a binary do:
modules from the module cache have their version in the path (`module@v1.2.3/`), vendored ones are below `/vendor/`, and
the package `main` is the team's by definition; so is everything in main's module.

Of the team's own calls some are only on the way to the place: generated code, the chassis that hands requests from one
handler to the next, and modules that were added to main's. The place is then their caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import cached_property, lru_cache

from leakwarden.core.profile.modules import generated, guessed, hands_on, module
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

# A closure of a method that was inlined is named after the caller first: `main.main.(*Books).Mount.func1`.
_INLINED = re.compile(r"\.\(\*(\w+)\)\.\w+\.func\d")

_ESCAPED = re.compile(r"(?:%[0-9a-fA-F]{2})+")


class CodeOwner(Enum):
    TEAM = "team"
    LIBRARY = "library"
    STANDARD = "standard"


@lru_cache(maxsize=65536)
def package(function: str) -> str:
    """The import path of a function's package: `example.com/a/b.(*T).M` -> `example.com/a/b`. A dot in its last element
    is written as %2e by the compiler: `gopkg.in/yaml%2ev3.Unmarshal` -> `gopkg.in/yaml.v3`."""
    return symbol(function)[0].replace("%2e", ".")


@lru_cache(maxsize=65536)
def symbol(function: str) -> tuple[str, str]:
    """A function's package as the compiler writes it, and the rest of its name: `.(*T).M`."""
    name = function.partition("[")[0]  # type arguments may hold paths of their own
    slash = name.rfind("/") + 1
    end = slash + len(name[slash:].partition(".")[0])
    return function[:end], function[end:]


def spelled(function: str) -> str:
    """A function's name for people: dots in the last element of a path, and characters outside of ASCII, are written as
    %xx by the compiler. `github.com/eclipse/paho%2emqtt%2egolang.NewClient` -> `...paho.mqtt.golang.NewClient`"""
    return _ESCAPED.sub(lambda match: bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace"), function)


def receiver(function: str) -> str:
    """The type a method belongs to, with its package: `main.(*cache).get.func1` -> `main.cache`; empty for functions."""
    path, rest = symbol(function)
    rest = rest[1:].replace("[...]", "")
    if rest.startswith("(*"):
        return f"{path}.{rest[2:].partition(')')[0]}"
    parts = rest.split(".")
    if (inlined := _INLINED.search(rest)) is not None:
        return f"{path}.{inlined[1]}"
    # main.gateway.charge is a method of a value; main.first.func1 is a closure.
    if len(parts) > 1 and not parts[1].startswith(("func", "gowrap", "deferwrap")):
        return f"{path}.{parts[0]}"
    return ""


def enclosing(function: str) -> str:
    """The function that encloses a closure, which for `go func() {...}()` is also the one that starts it:
    `main.first.func1.2` -> `main.first`; for other functions the function itself."""
    return _CLOSURE.sub("", function)


class Ownership:
    """Judges calls of one binary. `modules` are paths of the team's code, in addition to main's module."""

    def __init__(self, profiles: Iterable[Profile], modules: Sequence[str] = ()) -> None:
        self._modules = tuple(modules)
        self._profiles = tuple(profiles)
        self._known: dict[tuple[str, str], CodeOwner] = {}

    def of(self, frame: Frame) -> CodeOwner:
        path = self.package(frame)
        directory = frame.file.rpartition("/")[0]
        key = (path, directory)
        if (owner := self._known.get(key)) is None:
            owner = self._known[key] = self._judge(path, directory)
        return owner

    def package(self, frame: Frame) -> str:
        """The import path of the package that a call is written in.

        A closure that the compiler inlines with its function is named after the caller: where `main.main` calls `Query`
        of a company library, its closure is `main.main.Query[...].func1`. Its file shows where it belongs."""
        path = package(frame.function)
        if enclosing(frame.function) == frame.function or not frame.file:
            return path
        directory = frame.file.rpartition("/")[0]
        return path if path in self._directories.get(directory, {path}) else min(self._directories[directory])

    @cached_property
    def _frames(self) -> frozenset[Frame]:
        return frozenset(frame for profile in self._profiles for sample in profile.samples for frame in sample.stack)

    @cached_property
    def _directories(self) -> dict[str, set[str]]:
        """The packages of each directory, by the functions and methods that are no closures."""
        found: dict[str, set[str]] = {}
        for frame in self._frames:
            if frame.file and enclosing(frame.function) == frame.function:
                found.setdefault(frame.file.rpartition("/")[0], set()).add(package(frame.function))
        return found

    @cached_property
    def _main(self) -> str:
        """A file of the package main; empty where none is seen. A closure that is named after main may be another's."""
        of_main = [frame for frame in self._frames if frame.file and package(frame.function) == "main"]
        surest = [frame for frame in of_main if enclosing(frame.function) == frame.function]
        return min((frame.file for frame in surest or of_main), default="")

    def module(self, frame: Frame) -> str:
        """The module of a call without its version; of Go's own the package, without what is internal to it."""
        path = self.package(frame)
        if self.of(frame) is CodeOwner.STANDARD:
            return path.partition("/internal/")[0]
        return module(path, frame.file)

    def place(self, stack: Sequence[Frame], start: int = 0) -> int | None:
        """The place of the team's call that is nearest to the innermost one, from `start` on: not generated code, not
        the chassis and not an added module, unless there is no other call of the team's. None without any."""
        team = [n for n in range(start, len(stack)) if self.of(stack[n]) is CodeOwner.TEAM]
        if len(team) < 2:
            return team[0] if team else None
        written = [n for n in team if not generated(stack[n].file)] or team
        own = [n for n in written if not self.added(stack[n])] or written
        return next((n for n in own if self.package(stack[n]) not in self.chassis), own[0])

    def added(self, frame: Frame) -> bool:
        """Whether a call is the team's only because its module was added."""
        path = self.package(frame)
        return (
            bool(self._modules)
            and path != "main"
            and self._listed(path)
            and not self._main_has(path, frame.file.rpartition("/")[0])
        )

    @cached_property
    def chassis(self) -> frozenset[str]:
        """The team's packages that wrap handlers: one of their calls hands a request on, to other code of the team."""
        found: set[str] = set()
        for profile in self._profiles:
            for sample in profile.samples:
                stack = sample.stack
                for n in range(1, len(stack)):
                    if not hands_on(stack[n - 1].function):
                        continue
                    path = self.package(stack[n])
                    if (
                        path != "main"
                        and path not in found
                        and self.of(stack[n]) is CodeOwner.TEAM
                        and any(self.of(frame) is CodeOwner.TEAM for frame in stack[: n - 1])
                    ):
                        found.add(path)
        return frozenset(found)

    def _judge(self, path: str, directory: str) -> CodeOwner:
        if path == "main":
            return CodeOwner.TEAM
        first = path.partition("/")[0]
        if first in _STANDARD or (not directory and "." not in first):
            return CodeOwner.STANDARD
        if self._listed(path):
            return CodeOwner.TEAM
        return CodeOwner.TEAM if self._main_has(path, directory) else CodeOwner.LIBRARY

    def _listed(self, path: str) -> bool:
        return any(path == m or path.startswith(m + "/") for m in self._modules)

    def _main_has(self, path: str, directory: str) -> bool:
        if "@" in directory or "/vendor/" in directory:
            return False
        return self._beside_main(path, directory)

    def _beside_main(self, path: str, directory: str) -> bool:
        main = self._main.rpartition("/")[0]
        if not main:
            return True  # nothing to compare with: no version and not vendored is the best sign
        if not main.startswith(("/", "\\")) and ":" not in main[:2]:  # -trimpath: paths are import paths
            return guessed(path) == guessed(main)
        root = _root(path, directory)
        return main == root or main.startswith(root + "/")


def _root(path: str, directory: str) -> str:
    """The directory that holds the package's module, or one above it: the common end of the import path and the
    directory is removed from the directory. `github.com/shop/orders/internal/db` in /src/internal/db -> /src. The part
    that names the repository is not removed: a library in /home/me/kit is not all of /home/me."""
    ours, theirs = path.split("/"), directory.split("/")
    least = guessed(path).count("/") + 1
    while len(ours) > least and theirs and ours[-1] == theirs[-1]:
        ours.pop()
        theirs.pop()
    return "/".join(theirs)
