"""The kind of a wait at a line of the team: by the library's call that waits, or by what the function keeps."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from leakwarden.core.profile.blocked_shapes import RUNNING, own_task
from leakwarden.core.profile.catalogue import kind_of_call, row_of_call
from leakwarden.core.profile.endings import ends_of
from leakwarden.core.profile.kept_shapes import SIGNAL_NOTIFY
from leakwarden.core.profile.origins import Origins
from leakwarden.core.profile.ownership import CodeOwner, Ownership, enclosing, receiver
from leakwarden.core.profile.retention import by_shape
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.stacks import Stack
from leakwarden.core.profile.standard_shapes import (
    CALL_WAITS,
    COND,
    CONTEXT,
    MUTEX,
    RECEIVE,
    SELECTING,
    SEND,
    TICKER,
    UNKNOWN,
    WAITGROUP,
)

# A wait for a context's end allocates its channel at the first call of Done.
AWAITED = Shape("", "", "", "", modules=("context",), acquires=("cancelCtx.Done",))


def waits_in(function: str) -> Shape:
    """The kind of a wait inside a call of a library, with the call's name, and the ways to end what it is a method of."""
    kind = receiver(function).rpartition("/")[2]
    ends = ends_of(function)
    closed = f", or call {' or '.join(ends)} on its {kind.rpartition('.')[2]}" if ends else ""
    name = enclosing(function).rpartition("/")[2].replace("(*", "").replace(")", "")
    return replace(CALL_WAITS, title=f"{name} does not return", fix=f"{CALL_WAITS.fix}{closed}")


def taken_by_another(below: Stack) -> Shape | None:
    """The kind of a wait for a lock inside a call of a library that gives a thing of which there is one at a time: another
    line took it and did not end it. None where that is not known of the call."""
    kind = kind_of_call(below)
    return _victim(kind) if kind is not None and kind.modules and not kind.shared else None


@lru_cache(maxsize=1024)
def _victim(kind: Shape) -> Shape:
    return replace(kind, victim=True, goroutines=(), acquires=())


# Calls of the system that are no file's and no connection's.
_IN_SYSTEM = ("syscall.", "internal/runtime/syscall.", "golang.org/x/sys/unix.")


class Waits:
    """The thing that a plain receive or select waits for, by the objects that the function keeps: a ticker, or a
    context's end."""

    def __init__(self, origins: Origins, ownership: Ownership) -> None:
        self._origins = origins
        self._ownership = ownership
        self._known: dict[str, frozenset[str]] = {}

    def shape(self, shape: Shape, stack: Stack, at: int) -> Shape:
        if (own := own_task(stack, at)) is not None:
            return own
        if shape in (MUTEX, COND, WAITGROUP) and at and self._ownership.of(stack[at - 1]) is CodeOwner.LIBRARY:
            return taken_by_another(stack[:at]) or shape
        if shape.specific and shape not in (RECEIVE, SELECTING):
            return shape
        if (row := row_of_call(stack[:at])) is not None and not row.victim and shape is not UNKNOWN:
            return row if row.modules and "." in row.modules[0].partition("/")[0] else shape
        if (
            shape in (RECEIVE, SELECTING, SEND)
            and at
            and self._ownership.of(stack[at - 1]) is not CodeOwner.TEAM
            and not stack[at - 1].function.startswith("reflect.")
        ):
            # A channel of Go's own code is nothing that the team could close.
            return waits_in(stack[at - 1].function)
        if shape is UNKNOWN and (at == 0 or stack[0].function.startswith(_IN_SYSTEM)):
            return RUNNING
        if shape not in (RECEIVE, SELECTING):
            return shape
        waiting = {stack[at].function, enclosing(stack[at].function)}
        return next((kind for kind in (TICKER, SIGNAL_NOTIFY, CONTEXT) if waiting & self._keeping(kind)), shape)

    def _keeping(self, shape: Shape) -> frozenset[str]:
        if shape.name not in self._known:
            through = by_shape(AWAITED if shape is CONTEXT else shape, self._ownership)
            self._known[shape.name] = self._origins.keeping(lambda below: bool(below) and through(below))
        return self._known[shape.name]
