"""Kinds of leaks by what is known of a library's call alone: the type that it gives, or the call that undoes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from leakwarden.core.profile.kept_shapes import REGISTERED
from leakwarden.core.profile.modules import guessed
from leakwarden.core.profile.ownership import enclosing, package, receiver, symbol
from leakwarden.core.profile.pprof import Frame
from leakwarden.core.profile.shapes import CHANNEL_SEND, SELECT, Shape
from leakwarden.core.profile.stacks import Stack
from leakwarden.core.profile.standard_shapes import UNKNOWN

# What stands in the list in place of a type: the call gives a function that ends it, or another method takes out what this
# one puts in, or the library keeps something for each value of a parameter.
FUNCTION, OPPOSITE, NAME = "func", "^", "="

NOT_ENDED = Shape(
    "LibraryObjectNotEnded",
    "an object of a library that is never ended",
    "it stays, with its memory, and its goroutines and connections if it has some, until the method that ends it is called",
    "call that method on every path (defer it right after the error check), or make one object at start and share it",
    docs="https://pkg.go.dev",
    specific=False,
)
NOT_STOPPED = Shape(
    "StopFunctionNotCalled",
    "the stop function that a call gives is never called",
    "what the call began stays until the function that it returned is called",
    "keep that function and call it on every path, with defer",
    docs="https://pkg.go.dev",
    specific=False,
)
NAMES_GROW = Shape(
    "NamesWithoutBound",
    "something kept for ever new names",
    "the library keeps an entry, and often goroutines, for each name that it was ever given",
    "give it a bounded set of names: leave identifiers, users and paths out of them",
    docs="https://pkg.go.dev",
    specific=False,
)
OBJECT_KEPT = Shape(
    "LibraryObjectKept",
    "objects of a library that are made over and over and kept",
    "each call makes another object, and something keeps it",
    "make one at start and share it; where there has to be one for each key, take out those that are idle, or bound what holds them",
    docs="https://pkg.go.dev",
    specific=False,
)
HARVESTED = (NOT_ENDED, NOT_STOPPED, NAMES_GROW, OBJECT_KEPT)

_STATES = (
    (("Shutdown", "ShutDown"), "not shut down"),
    (("Stop", "StopAndWait", "GracefulStop", "StopWatch"), "not stopped"),
    (("Release", "Free", "Return"), "not released"),
    (("Unsubscribe",), "not unsubscribed"),
    (("Unregister", "Deregister"), "not unregistered"),
    (("Disconnect", "Logout", "Quit", "Leave"), "not disconnected"),
    (("Rollback", "Discard", "Abort", "Finish", "End", "EndSession"), "not finished"),
    (("Kill", "Terminate", "Destroy"), "not terminated"),
    (("Unmount",), "not unmounted"),
    (("Unmap",), "not unmapped"),
    (("Cancel",), "not cancelled"),
    (("Close", "CloseNow", "CloseWithError", "CloseAndReceive", "CloseAndRecv", "CloseResponse"), "not closed"),
)  # fmt: skip
_STATE = {method: state for methods, state in _STATES for method in methods}


_GENERAL = ("io.", "net.", "fs.", "os.")
_CACHES = re.compile(r"(?i)cache|lru|memo$")
# Names of calls that make an object, and of calls that add something to one.
_MAKES = re.compile(r"^(Must)?(New|Open|Make|Clone|Load|Parse|Compile|Dial|Mount|Create|Build|Init)(?![a-z])")
_ADDS = re.compile(
    r"^(Add|Register|Subscribe|Sub|Set|Put|Store|Insert|Handle|On|Watch|Schedule|Join|Use|Listen|Notify|Hook|Bind|Signal|Observe|Append)"
    r"(?![a-z])"
)
_VERSION, _VERSION_AFTER = re.compile(r"v[0-9]+"), re.compile(r"\.v[0-9]+$")
# Bytes; smaller ones are values, such as identifiers and numbers.
OBJECT = 256


def spoken(function: str) -> str:
    """A function's or type's name as people write it: `github.com/a/b/v2.(*T[...]).M.func1` -> `b.T.M`."""
    path, rest = symbol(enclosing(function))
    parts = [part for part in path.split("/") if not _VERSION.fullmatch(part)]
    name = _VERSION_AFTER.sub("", parts[-1].replace("%2e", ".")) if parts else ""
    return name + rest.replace("(*", "").replace(")", "").replace("[...]", "")


# Names of packages that do not show the library; two types of one such name are not of one library.
_PLAIN_PACKAGES = frozenset(
    [
        "api",
        "cache",
        "client",
        "common",
        "conn",
        "core",
        "db",
        "driver",
        "events",
        "internal",
        "log",
        "model",
        "models",
        "pool",
        "proto",
        "sdk",
        "server",
        "service",
        "session",
        "sql",
        "storage",
        "store",
        "stream",
        "trace",
        "types",
        "utils",
        "v1",
        "v2",
        "worker",
    ]
)


def _of_module(name: str, modules: Sequence[str]) -> str:
    """` (go-imap)` for `client.Client`: the library, where the type's package does not show it; else nothing."""
    if name.partition(".")[0] not in _PLAIN_PACKAGES or not modules:
        return ""
    module = guessed(modules[0])
    library = module.rpartition("/")[2]
    library = module if library in _PLAIN_PACKAGES else library
    return f" ({library})" if library != name.partition(".")[0] else ""


def not_ended(call: str, kind: str, methods: Sequence[str], *, docs: str, modules: tuple[str, ...]) -> Shape:
    """`call` gives a `kind`, which one of `methods` ends."""
    first, *others = methods
    name, more = kind.lstrip("*"), f" (or {', '.join(others)})" if others else ""
    # A type of Go's own says little.
    thing = f"what {call} gives is" if name.startswith(_GENERAL) else f"{name}{_of_module(name, modules)}"
    return replace(
        NOT_ENDED,
        title=f"{thing} {_STATE.get(first, 'never ended')}",
        why=f"{call} gives a {name}, which stays, with its memory, and its goroutines and connections if it has some, until {first}",
        fix=f"call {first}{more} on the {name} that {call} gives, on every path (defer it right after the error check), or make"
        " one at start and share it",
        docs=docs,
        modules=modules,
    )  # fmt: skip


def not_stopped(call: str, *, docs: str, modules: tuple[str, ...]) -> Shape:
    return replace(
        NOT_STOPPED,
        title=f"the function that {call} gives is never called",
        why=f"what {call} begins stays until the function that it returns is called",
        fix=f"keep the function that {call} returns, and call it on every path (defer it); or call {call} once, at start",
        docs=docs,
        modules=modules,
    )


def put_in(call: str, methods: Sequence[str], *, docs: str, modules: tuple[str, ...]) -> Shape:
    if _CACHES.search(call):
        return replace(
            REGISTERED,
            title=f"entries that {call} adds and nothing evicts",
            why=f"each new key of {call} adds an entry, which stays until it is removed, expires or is evicted",
            fix="give the cache a bound on its entries or bytes and a time to live, and see that its cleanup runs (some have to be started);"
            f" else call {' or '.join(methods)} when an entry is done",
            docs=docs,
            modules=modules,
        )  # fmt: skip
    return replace(
        REGISTERED,
        title=f"what {call} adds is never taken out",
        why=f"each call of {call} adds an entry, and no call takes it out again",
        fix=f"call {' or '.join(methods)} for what {call} added, on every path, when its owner ends; or call {call} once, at"
        " start; where it is a cache, give it a bound",
        docs=docs,
        modules=modules,
    )  # fmt: skip


def kept_for_names(call: str, parameter: str, *, docs: str, modules: tuple[str, ...]) -> Shape:
    return replace(
        NAMES_GROW,
        title=f"{call} with ever new values of its {parameter}",
        why=f"the library keeps an entry, and often goroutines, for each {parameter} that {call} was ever given",
        fix=f"give {call} a bounded set of values for {parameter}: leave identifiers, users and paths out of it",
        docs=docs,
        modules=modules,
    )


def kept_by_names(below: Stack, size: float) -> Shape | None:
    """The kind of memory of `size` bytes each that is kept below a call of a library of which nothing is known, by the
    call's name: it makes an object, or adds something to one. None for other names."""
    function = next((f.function for f in reversed(below) if _library(f)), "")
    said = spoken(function)
    name = said.rpartition(".")[2]
    docs, modules = f"https://pkg.go.dev/{package(function)}", (package(function),)
    if _MAKES.match(name) and size >= OBJECT:
        return replace(
            OBJECT_KEPT,
            title=f"what {said} makes is kept, one for each call",
            why=f"each call of {said} makes another object of about {size / 1024:.1f} KiB, and something keeps it",
            fix=f"call {said} once, at start, and share what it gives; where there has to be one for each key, take out those that are"
            " idle, or bound what holds them; see whether it has a Close or Stop",
            docs=docs,
            modules=modules,
        )  # fmt: skip
    if _ADDS.match(name) and receiver(function):
        kind = said.rpartition(".")[0]
        return replace(
            REGISTERED,
            title=f"what {said} is given stays in the {kind}",
            why=f"each call of {said} adds to a {kind} that lives longer, and no call takes it out again",
            fix=f"take it out of the {kind} when its owner ends (look for Remove, Delete, Unsubscribe or the like), or call {said} once,"
            " at start; where it is a cache, give it a bound",
            docs=docs,
            modules=modules,
        )  # fmt: skip
    return None


def kind_by_names(below: Stack, running: Stack, operation: str = "") -> Shape:
    """The kind of goroutines of a library of which nothing is known, by the names of the library's call that the team made
    (`below`: the calls below the team's) and of the type that runs the goroutine, both innermost first, and by the runtime's
    entry that it waits in."""
    call = next((f.function for f in reversed(below) if _library(f)), "")
    mine = [f.function for f in reversed(running) if _library(f)]
    owner = next((kind for one in mine if (kind := receiver(one))), "")
    kind = owner or (mine[0] if mine else "")
    begun = next((shape for one in mine if (shape := begun_by(one)) is not None), None)
    if begun is not None:
        return begun
    if (call or kind) and _feeds(running, operation, call):
        return _left_early(call, mine[0] if mine else call)
    return _made_and_kept(call, kind, named=bool(owner)) if call or kind else UNKNOWN


def _feeds(running: Stack, operation: str, call: str) -> bool:
    """Whether a library's own code waits in a send, or in a select of a closure of the very call that the team made: such a
    call gives a channel and fills it."""
    if not running or not _library(running[0]):
        return False
    root = next(frame.function for frame in reversed(running) if _library(frame))
    name = call.replace("[...]", "").rpartition(".")[2]
    own = root != call and enclosing(root) == call and not _MAKES.match(name)
    return operation in CHANNEL_SEND or (own and operation in SELECT)


def _left_early(call: str, sends: str) -> Shape:
    said = spoken(call or sends)
    return replace(
        UNKNOWN,
        title=f"what {said} sends is not read to its end",
        why=f"a goroutine of {spoken(sends)} waits to send on a channel that is no longer read: the loop that read what {said} gives left early (it"
        " had enough, met an error, returned), and there is one more with each call",
        fix="where a loop leaves early use the form of the call that ends with it, if the library has one (an iterator, a callback, Next and Close);"
        f" else pass {said} a context that is cancelled when this function returns (defer cancel()), and read the rest after that (for range ch {{}}),"
        " since some send the context's error too; where there is a Close or Stop instead: call it",
        docs=f"https://pkg.go.dev/{package(call or sends)}",
    )


# Beginnings of methods' names, and of the methods that end what these began.
_ENDS_OF = {
    "Start": "Stop", "Begin": "End", "Enable": "Disable", "Subscribe": "Unsubscribe", "Open": "Close", "Listen": "Close",
    "Connect": "Disconnect", "Attach": "Detach", "Register": "Unregister", "Join": "Leave", "Resume": "Pause",
}  # fmt: skip
_BEGINS = re.compile(rf"^({'|'.join(_ENDS_OF)})(?![a-z])")


def begun_by(function: str) -> Shape | None:
    """The kind of goroutines that a method began whose name says so, with the name of the method that ends them by the
    libraries' custom: `(*SyncedEnforcer).StartAutoLoadPolicy.func1` -> StopAutoLoadPolicy. None for other names."""
    whole, kind = enclosing(function), receiver(function)
    name = whole.replace("[...]", "").rpartition(".")[2]
    match = _BEGINS.match(name)
    if match is None or not kind or whole == function:
        return None
    said, end = spoken(kind), _ENDS_OF[match[1]] + name[match.end() :]
    return replace(
        NOT_ENDED,
        title=f"{said} whose {name} is never ended ({end})",
        why=f"{name} runs goroutines that stay, and keep the {said}, until {end}, or what ends it in this version, is called",
        fix=f"call {end} on the {said} when its owner ends, with defer (if it is named otherwise here: the opposite of {name}, Close or Stop);"
        f" or make one {said} at start and share it",
        docs=f"https://pkg.go.dev/{package(function)}",
        modules=(package(function),),
    )


def _library(frame: Frame) -> bool:
    return "." in package(frame.function).partition("/")[0]


def _made_and_kept(call: str, running: str, *, named: bool) -> Shape:
    """By names alone: `call` of the library made the things, and `running` is the type of the goroutines, or, not `named`,
    only their function."""
    path = package(call or running)
    kind = spoken(running)
    said = spoken(call)
    made = f"what {said} makes" if said else f"a {kind}"
    of = f", most likely a {kind}," if kind and said and named else ""
    gives = f"what {said or 'made it'} gives"
    things = f"{kind or said}, or {gives}," if named or not said else gives
    return replace(
        UNKNOWN,
        title=f"{made} is kept, with its goroutines",
        why=f"goroutines of {kind or said} stay: {made}{of} was not ended, and there is one more with each call",
        fix=f"see whether {things} has a Close, Stop, Shutdown or Release, or takes a"
        " context: call it, or cancel that, when the request or the owner ends; or make one at start and share it",
        docs=f"https://pkg.go.dev/{path}",
        modules=(path,),
    )  # fmt: skip
