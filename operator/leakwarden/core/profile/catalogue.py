"""All kinds of leaks in the order in which they are tried, and the lookup of the kind of a goroutine or a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from leakwarden.core.profile.blocked_shapes import EMPTY_SELECT, FILE_WAITS, IDLE, LOCK_TWICE, OWN_TASK, RUNNING
from leakwarden.core.profile.endings import ending_below, specialised
from leakwarden.core.profile.harvested_shapes import HARVESTED
from leakwarden.core.profile.kept_shapes import KEPT_BY_CALL, KEPT_BY_WAY
from leakwarden.core.profile.library_shapes import LIBRARIES, WAITING
from leakwarden.core.profile.ownership import package
from leakwarden.core.profile.pprof import Frame
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.stacks import Group
from leakwarden.core.profile.standard_shapes import (
    AFTER_CONTEXT,
    BY_STACK,
    BY_WAIT,
    CALL_WAITS,
    CONNECTION,
    FILE,
    MEMORY,
    OFF_HEAP,
    OPENED,
    SERVED,
    STATEMENT,
    TICKER,
    TIMEOUT,
    TIMER,
    UNKNOWN,
)

# A library's own rows come first: the library that the team called is a better name than the packages it uses.
CATALOGUE = (
    *WAITING, *LIBRARIES, *BY_STACK, SERVED, TIMEOUT, FILE_WAITS, *BY_WAIT, TICKER, FILE, TIMER, AFTER_CONTEXT, STATEMENT, CONNECTION, MEMORY, OPENED,
    UNKNOWN, OFF_HEAP, CALL_WAITS, *KEPT_BY_WAY, *KEPT_BY_CALL, *HARVESTED, LOCK_TWICE, OWN_TASK, EMPTY_SELECT, IDLE, RUNNING,
)  # fmt: skip
TITLES = {shape.name: shape.title for shape in reversed(CATALOGUE)}


def _indexed(rows: Iterable[Shape]) -> dict[str, list[tuple[int, Shape]]]:
    """Rows by the first elements of their modules: a profile has thousands of functions, and few belong to a row."""
    found: dict[str, list[tuple[int, Shape]]] = {}
    for place, shape in enumerate(rows):
        for key in {_head(path) for path in shape.modules}:
            found.setdefault(key, []).append((place, shape))
    return found


def _head(path: str) -> str:
    """`k8s.io/client-go`, `gopkg.in/natefinch`; of Go's own packages the first element alone."""
    first, _, rest = path.partition("/")
    second = rest.partition("/")[0]
    stem, dot, version = second.rpartition(".v")
    return first if "." not in first or not second else f"{first}/{stem if dot and version.isdigit() else second}"


_INDEX = _indexed(shape for shape in CATALOGUE if shape not in KEPT_BY_CALL)
_AT = {function: shape for shape in BY_STACK for function in shape.at if not shape.goroutines}


# Rows of libraries that are found by whole names of calls.
_BY_NAME = tuple(shape for shape in WAITING if shape.waits)


def _near(function: str) -> list[tuple[int, Shape]]:
    head = _head(package(function))
    host = head.partition("/")[0]
    # Some modules have the name of a host alone: go.starlark.net.
    return _INDEX.get(head, []) + (_INDEX.get(host, []) if host != head else [])


@lru_cache(maxsize=65536)
def rows_running(function: str) -> tuple[int, ...]:
    """Places in the catalogue of the rows whose own goroutines have this function on their stacks."""
    return tuple(place for place, shape in _near(function) if shape.goroutines and shape._runs(function))


@lru_cache(maxsize=65536)
def row_made_by(function: str) -> Shape | None:
    """The row that names the call that has to follow this one."""
    # The row of what was taken before that of those who wait for it.
    rows = sorted(_near(function), key=lambda pair: (pair[1].victim, pair[0]))
    return next((shape for _, shape in rows if shape.made_by(function)), None)


def row_of_call(below: Iterable[Frame]) -> Shape | None:
    """The row of a call of the team, by the calls below it, innermost first: the row of the outermost call that has
    one."""
    found = None
    for frame in below:
        found = row_made_by(frame.function) or found
    return found


def kind_of_call(below: Sequence[Frame]) -> Shape | None:
    """The row of a call of the team, with what is known of the library that was called; where there is no row, the kind
    by the type that the call gives."""
    found, ending = row_of_call(below), ending_below(below)
    if found is not None and found.library:
        return specialised(found, ending)
    return ending.shape if ending is not None and found is None else found


_NETWORK = frozenset({"internal/poll.runtime_pollWait"})
_ROUND_TRIP = frozenset({"net/http.(*persistConn).roundTrip", "net/http.(*Transport).getConn"})


def shape_of(group: Group) -> Shape | None:
    """The shape of a parked goroutine; None where it is not parked, or in a way that fits no shape."""
    if not group.stack:
        return None
    first = group.stack[0].function
    places = sorted({place for frame in group.stack for place in rows_running(frame.function)})
    for shape in (CATALOGUE[place] for place in places):
        # Every handler runs below a server's goroutine: that is its place, not the thing it waits for.
        if shape is not SERVED and shape.matches(group):
            return shape
    exact = _AT.get(first)
    if exact is not None and exact.matches(group):
        return exact
    names = {frame.function for frame in group.stack}
    for shape in _BY_NAME:
        if not shape.waits.isdisjoint(names) and shape.matches(group):
            return shape
    if not FILE_WAITS.waits.isdisjoint(names):
        return FILE_WAITS
    if first in _NETWORK or _ROUND_TRIP & names:
        return TIMEOUT
    if first == "time.Sleep" or group.operation == "time.Sleep":
        return next(shape for shape in BY_WAIT if "time.Sleep" in shape.waits)
    return next((shape for shape in (EMPTY_SELECT, *BY_WAIT) if shape.matches(group)), None)
