"""Calls of libraries whose result has to be ended, and how: `endings.txt`, made from the libraries' compiled packages.

A row of the catalogue says more, but there are more libraries than rows. Where no row fits, this list still names the
type of the thing, and the method that ends it. `python -m tests.profiles symbols` writes the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from leakwarden.core.profile.ownership import enclosing, package, receiver, symbol
from leakwarden.core.profile.pprof import Frame
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.standard_shapes import UNKNOWN

LIST = "endings.txt"
# Calls of a library below the team's that are looked at: wrappers of the same library are passed through.
DEEP = 3


@dataclass(frozen=True, slots=True)
class Ending:
    """A call, the type of its result, and the methods that end that, the most usual one first."""

    call: str  # `tail.TailFile`, `nats.Conn.Subscribe`
    kind: str  # `*tail.Tail`
    methods: tuple[str, ...]
    package: str  # import path, with the version of the library that was looked at

    @property
    def shape(self) -> Shape:
        """A kind of leak for this call, with the words for people."""
        first, *others = self.methods
        more = f" (or {', '.join(others)})" if others else ""
        path = self.package
        return Shape(
            UNKNOWN.name,
            f"{self.kind.lstrip('*')} made here and never ended",
            f"{self.call} gives a {self.kind}, which stays, with its goroutines, memory and connections, until {first}",
            f"call {first}{more} on what {self.call} gives, on every path (defer it right after the error check), or make one at"
            " start and share it",
            docs=f"https://pkg.go.dev/{path}",
            modules=(unversioned(path),),
            specific=False,
        )


@cache
def endings() -> Mapping[tuple[str, str], Ending]:
    """By the package without version and the call: ("github.com/nxadm/tail", "TailFile")."""
    text = resources.files("leakwarden.core.profile").joinpath(LIST).read_text(encoding="utf-8")
    return parsed(text.splitlines())


def parsed(lines: Iterable[str]) -> dict[tuple[str, str], Ending]:
    """A line that begins with a tab is a call of the package of the last line that does not; # begins a comment."""
    found: dict[tuple[str, str], Ending] = {}
    path = ""
    for line in lines:
        if not line.startswith("\t"):
            path = line.strip() if not line.startswith("#") else path
            continue
        call, kind, methods = line.strip().split("\t")
        name = path.rpartition("/")[2] if not _version(path.rpartition("/")[2]) else path.split("/")[-2]
        found[unversioned(path), call] = Ending(f"{name}.{call}", kind, tuple(methods.split(",")), path)
    return found


def unversioned(path: str) -> str:
    """`github.com/redis/go-redis/v9/internal` -> `github.com/redis/go-redis/internal`, `gopkg.in/yaml.v3` ->
    `gopkg.in/yaml`."""
    parts = [part for part in path.split("/") if not _version(part)]
    stem, dot, version = parts[-1].rpartition(".v") if parts else ("", "", "")
    if dot and version.isdigit():
        parts[-1] = stem
    return "/".join(parts)


def _version(part: str) -> bool:
    return part[:1] == "v" and part[1:].isdigit()


def ending_of(function: str) -> Ending | None:
    """The ending of what a call gives, by its name in a profile: `github.com/a/b/v2.(*Client).Open`."""
    _, rest = symbol(function)
    name = enclosing(rest[1:]).replace("(*", "").replace(")", "").replace("[...]", "")
    return endings().get((unversioned(package(function)), name))


@cache
def _by_kind() -> Mapping[tuple[str, str], tuple[str, ...]]:
    """By the package without version and the type: methods that end it."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for (path, _), ending in endings().items():
        package_name, _, kind = ending.kind.lstrip("*").rpartition(".")
        if package_name in path:  # else the type is of another package
            found.setdefault((path, kind), ending.methods)
    return found


def ends_of(function: str) -> tuple[str, ...]:
    """The methods that end the thing that a function of a library is a method of; empty where none is known."""
    path, _, kind = receiver(function).rpartition(".")
    return _by_kind().get((unversioned(path.replace("%2e", ".")), kind), ())


def ending_below(below: Iterable[Frame]) -> Ending | None:
    """The ending of what the team's call gives. `below`: the calls below the team's, innermost first."""
    calls = list(below)[-DEEP:]
    return next((found for frame in reversed(calls) if (found := ending_of(frame.function)) is not None), None)
