"""Calls of libraries that begin something which has to be ended, and how: `endings.txt`, harvested from the libraries.

A row of the catalogue says more, but there are more libraries than rows. Where no row fits, this list still names the
type of the thing, and the method that ends it; where a row is of several libraries, the list names the one that was
called. `python -m tests.profiles harvest` writes the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import resources

from leakwarden.core.profile.harvested_shapes import (
    FUNCTION,
    NAME,
    OPPOSITE,
    kept_for_names,
    not_ended,
    not_stopped,
    put_in,
)
from leakwarden.core.profile.modules import guessed
from leakwarden.core.profile.ownership import enclosing, package, receiver, symbol
from leakwarden.core.profile.pprof import Frame
from leakwarden.core.profile.shapes import Shape, within

LIST = "endings.txt"
# Calls of a library below the team's that are looked at: wrappers of the same library are passed through.
DEEP = 3
# Lines of the list that are read, so that a list that was damaged costs no more than its size.
MOST_LINES = 40_000


@dataclass(frozen=True, slots=True)
class Ending:
    """A call, what it gives, and the calls that end that, the most usual one first."""

    call: str  # `tail.TailFile`, `nats.Conn.Subscribe`
    kind: str  # `*tail.Tail`, FUNCTION for a function that ends it, OPPOSITE for a registration, NAME + a parameter's name
    methods: tuple[str, ...]
    package: str  # import path, with the version of the library that was looked at

    @property
    def object(self) -> bool:
        """Whether the call gives a thing that has to be ended, and not only adds to one."""
        return self.kind not in (FUNCTION, OPPOSITE) and not self.kind.startswith(NAME)

    @property
    def shape(self) -> Shape:
        """A kind of leak for this call, with the words for people."""
        modules, own = (unversioned(self.package),), self.call.rpartition(".")[2]
        if self.kind == FUNCTION:
            return not_stopped(self.call, docs=self._docs(own), modules=modules)
        if self.kind == OPPOSITE:
            return put_in(self.call, self.methods, docs=self._docs(self.methods[0]), modules=modules)
        if self.kind.startswith(NAME):
            return kept_for_names(self.call, self.kind[len(NAME) :], docs=self._docs(own), modules=modules)
        return not_ended(self.call, self.kind, self.methods, docs=self._docs(self.methods[0]), modules=modules)

    def _docs(self, method: str) -> str:
        """The place of what ends it in the library's documentation; the package's where the type is of another one."""
        page = f"https://pkg.go.dev/{self.package}"
        home, *owner = self.call.split(".")[:-1]
        if self.object:
            path, _, kind = self.kind.lstrip("*").rpartition(".")
            owner = [kind] if path == home else []
        if not all(part[:1].isupper() for part in owner) or (self.object and not owner):
            return page
        return f"{page}#{'.'.join([*owner, method])}"


@cache
def endings() -> Mapping[tuple[str, str], Ending]:
    """By the package without version and the call: ("github.com/nxadm/tail", "TailFile")."""
    text = resources.files("leakwarden.core.profile").joinpath(LIST).read_text(encoding="utf-8")
    return parsed(text.splitlines()[:MOST_LINES])


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


@lru_cache(maxsize=16384)
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


@lru_cache(maxsize=65536)
def ending_of(function: str) -> Ending | None:
    """The ending of what a call gives, by its name in a profile: `github.com/a/b/v2.(*Client).Open`."""
    _, rest = symbol(function)
    name = enclosing(rest[1:]).replace("(*", "").replace(")", "").replace("[...]", "")
    return endings().get((unversioned(package(function)), name))


@cache
def _by_kind() -> Mapping[tuple[str, str], Ending]:
    """By the package without version and the type: a call of the same package that gives such a thing."""
    found: dict[tuple[str, str], Ending] = {}
    for (path, _), ending in endings().items():
        package_name, _, kind = ending.kind.lstrip("*").rpartition(".")
        if ending.object and package_name in path:  # else the type is of another package
            before = found.setdefault((path, kind), ending)
            if len(ending.call) < len(before.call):  # the shortest name is the one that people know
                found[path, kind] = ending
    return found


def thing_of(function: str) -> Ending | None:
    """The ending of the thing that a function of a library is a method of; None where it is not known. A type that is
    not exported is mostly the one behind an interface of the same name: `mqtt.client` and `mqtt.Client`."""
    path, _, kind = receiver(function).rpartition(".")
    key = unversioned(path.replace("%2e", "."))
    return _by_kind().get((key, kind)) or _by_kind().get((key, kind[:1].upper() + kind[1:]))


# Calls that give something to an object for as long as that lasts, the usual ones.
_GIVES_TO = ("Subscribe", "AddHandler", "AddListener", "AddCallback", "AddObserver", "AddRoute")


@cache
def _opposites() -> Mapping[tuple[str, str], Ending]:
    """By the package without version and the type: a method by which such an object is given something to keep."""
    found: dict[tuple[str, str], Ending] = {}
    for (path, call), ending in endings().items():
        kind, _, method = call.rpartition(".")
        if kind and ending.kind == OPPOSITE and method.startswith(_GIVES_TO):
            before = found.setdefault((path, kind), ending)
            if len(ending.call) < len(before.call):
                found[path, kind] = ending
    return found


def put_in_by(function: str) -> Shape | None:
    """The kind of what is given to the library's object that a function is a method of, and not taken out; None where no
    such method of it is known."""
    path, _, kind = receiver(function).rpartition(".")
    found = _opposites().get((unversioned(path.replace("%2e", ".")), kind)) if kind else None
    return found.shape if found is not None else None


def ends_of(function: str) -> tuple[str, ...]:
    """The methods that end the thing that a function of a library is a method of; empty where none is known."""
    found = thing_of(function)
    return found.methods if found is not None else ()


def ending_below(below: Iterable[Frame]) -> Ending | None:
    """The ending of what the team's call gives. `below`: the calls below the team's, innermost first."""
    calls = list(below)[-DEEP:]
    return next((found for frame in reversed(calls) if (found := ending_of(frame.function)) is not None), None)


def specialised(row: Shape, ending: Ending | None) -> Shape:
    """A row of several libraries with the type, the method and the link of the one that was called; others as they
    are."""
    if ending is None or not row.library or not row.modules or not ending.object:
        return row
    if row.victim or not within(f"{ending.package}.x", row.modules):
        return row
    known, documented = ending.shape, row.docs.removeprefix("https://pkg.go.dev/").partition("#")[0]
    if _family(documented) == _family(ending.package):
        return replace(row, title=known.title) if _one_of_several(row, ending) else row
    return replace(row, title=known.title, why=known.why, fix=known.fix, docs=known.docs)


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SEVERAL = re.compile(r"^(.* or .*) (not|never|that) ")


def _one_of_several(row: Shape, ending: Ending) -> bool:
    """Whether a row's title names several things and the call gives one of them: `decoder or encoder not closed` does for
    a zstd.Decoder, and `informer or reflector not stopped` does not for the watch.Interface below it."""
    match = _SEVERAL.match(row.title)
    if match is None:
        return False
    named = {word.lower().removesuffix("s") for word in _WORDS.findall(match[1])}
    return not named.isdisjoint(word.lower() for word in _WORDS.findall(ending.kind.rpartition(".")[2]))


def _family(path: str) -> str:
    """Modules of one owner that belong together: k8s.io/client-go and k8s.io/apimachinery; on github.com the repository."""
    module = guessed(unversioned(path))
    return module if module.startswith("github.com/") else module.partition("/")[0]
