"""Victims and causes. A goroutine in Lock, in Acquire or at a full pool suffers from another line, which took the lock
or the connection and did not return it. That line is found among the others that take the same lock or pool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from leakwarden.core.profile.blocked_shapes import LOCK_TWICE
from leakwarden.core.profile.evidence import CallSite
from leakwarden.core.profile.growth import Standing
from leakwarden.core.profile.lines import Line
from leakwarden.core.profile.origins import Origins
from leakwarden.core.profile.ownership import CodeOwner, Ownership, package, receiver
from leakwarden.core.profile.pprof import Frame
from leakwarden.core.profile.retention import by_shape
from leakwarden.core.profile.stacks import Stack, innermost
from leakwarden.core.profile.standard_shapes import MUTEX, POOL, ROWS, TX

# Kinds that hold connections of a database pool.
_HOLDERS = (ROWS, TX)


def order_causes(accused: Sequence[Line], every: Sequence[Line], origins: Origins, ownership: Ownership) -> list[Line]:
    """The accused lines, with causes added and put before their victims."""
    found = list(accused)
    found += _lock_holders(found, every, ownership)
    _chains(found, ownership)
    _readers_and_writers(found)
    _taken_twice(found, every, ownership)
    found += _pool_holders(found, every, origins)
    found += _pools(found, every, origins, ownership)
    _pairs(found)
    return found


def _pairs(accused: Sequence[Line]) -> None:
    """Of a lock that is not released: the type that has it, and the two calls that have to come in pairs."""
    of_types: dict[str, list[Line]] = {}
    for line in accused:
        if line.shape is MUTEX and line.place is not None and _calls(line.standing, *_LOCKS):
            of_types.setdefault(_locks(line), []).append(line)
    for kind, lines in of_types.items():
        standing = [one for line in lines for one in line.standing]
        reads = _calls(standing, "sync.(*RWMutex).RLock")
        writes = _calls(standing, "sync.(*RWMutex).Lock")
        forgotten = "RLock" if any(_waits_for_readers(one.group.stack) for one in standing) else "Lock"
        if reads and not writes:
            forgotten = "Lock"  # readers wait for nothing but a writer
        owner = kind.rpartition("/")[2]
        for line in lines:
            line.shape = replace(
                MUTEX,
                title=f"a lock of {owner} that is not released ({forgotten} without {_UNLOCKS[forgotten]})",
                why=f"a goroutine called {forgotten} in {owner} and returned without {_UNLOCKS[forgotten]} on one path (an early return, an"
                " error, a panic), or waits for something itself while it holds the lock",
                fix=f"defer {_UNLOCKS[forgotten]}() right after {forgotten}() in every method of {owner}; look at early returns between the"
                " two; never wait for a channel or a call while holding a lock",
            )


_UNLOCKS = {"Lock": "Unlock", "RLock": "RUnlock"}
_LOCKS = ("sync.(*Mutex).Lock", "sync.(*RWMutex).Lock", "sync.(*RWMutex).RLock")


def _locks(line: Line) -> str:
    """The type whose lock is waited for: the type of the method that locks. For functions it is their package."""
    if line.place is None:
        return ""
    function = line.place.frame.function
    return receiver(function) or package(function)


def _lock_holders(accused: Sequence[Line], every: Sequence[Line], ownership: Ownership) -> list[Line]:
    """Goroutines that wait for something else inside a method of the type whose lock others wait for, or further on in
    the function in which others wait for it, which may be a library's: a logger whose output does not take any more."""
    waiting = [line for line in accused if line.shape is MUTEX and line.place is not None]
    wanted = {receiver(line.place.frame.function) for line in waiting if line.place is not None} - {""}
    locking = _locking(waiting)
    found: list[Line] = []
    known = set(accused)
    for line in every if waiting else ():
        if line.shape is MUTEX or line in known:
            continue
        # A holder must be there in both captures: one that moves on is no reason to wait for ever.
        for one in line.standing:
            stack = one.group.stack
            at = innermost(stack, ownership)
            if at is None or not (one.series.first and one.series.last):
                continue
            held = [receiver(f.function) for f in stack[at:] if ownership.of(f) is CodeOwner.TEAM]
            mine = next((kind for kind in held if kind in wanted), "")
            passed = next((f for f in stack if f.line > locking.get(f.function, (f.line, ()))[0]), None)
            if passed is not None:
                victims = list(locking[passed.function][1])
                reason = (
                    f"others wait for a lock in {short(passed)}, and this goroutine is further on in the same function"
                )
            elif mine:
                victims = [victim for victim in waiting if _locks(victim) == mine]
                reason = f"others wait for a lock of {mine}, and this goroutine is inside a method of it"
            else:
                continue
            holder = Line(line.shape, CallSite.on(stack, at, ownership), "", [one], [reason], first=True)
            found.append(holder)
            holder.victims += victims
            for victim in holder.victims:
                victim.later = True
    return found


def _locking(waiting: Sequence[Line]) -> dict[str, tuple[int, tuple[Line, ...]]]:
    """By the function that calls Lock: the last line at which one waits for it, and the lines of the team that do."""
    found: dict[str, tuple[int, dict[Line, None]]] = {}
    for line in waiting:
        for one in line.standing:
            frame = next((f for f in one.group.stack if package(f.function) not in ("sync", "internal/sync")), None)
            if frame is not None:
                last, lines = found.setdefault(frame.function, (0, {}))
                lines[line] = None
                found[frame.function] = (max(last, frame.line), lines)
    return {function: (last, tuple(lines)) for function, (last, lines) in found.items()}


def _chains(accused: Sequence[Line], ownership: Ownership) -> None:
    """Of locks that wait for each other, the one whose holder waits for no other lock comes first."""
    waiting = [line for line in accused if line.shape is MUTEX and line.place is not None]
    wanted = {_locks(line) for line in waiting}
    held_by_waiters: set[str] = set()
    for line in waiting:
        for one in line.standing:
            held_by_waiters |= (_above(one.group.stack, ownership) & wanted) - {_locks(line)}
    if held_by_waiters >= wanted:
        return  # each waits for another: none of them is the first
    for line in waiting:
        if _locks(line) in held_by_waiters:
            line.later = True
            line.reasons.append("the lock's holder waits for another lock itself")


def _above(stack: Stack, ownership: Ownership) -> set[str]:
    at = innermost(stack, ownership)
    outer = stack[at + 1 :] if at is not None else ()
    return {receiver(f.function) or package(f.function) for f in outer if ownership.of(f) is CodeOwner.TEAM}


def _readers_and_writers(accused: Sequence[Line]) -> None:
    """Of a RWMutex: a writer that waits for readers, inside Lock itself, shows that a reader did not unlock; readers
    and writers that only queue show that a writer did not unlock. (sync.RWMutex: Lock takes the writers' own mutex
    first.)"""
    for line in accused:
        if line.shape is not MUTEX or line.place is None:
            continue
        same = [other for other in accused if other.shape is MUTEX and _locks(other) == _locks(line)]
        reads = [other for other in same if _calls(other.standing, "sync.(*RWMutex).RLock")]
        if not reads or len(reads) == len(same):
            continue
        blocked = any(_waits_for_readers(one.group.stack) for other in same for one in other.standing)
        guilty = reads if blocked else [other for other in same if other not in reads]
        if line not in guilty:
            line.later = True
            side = "a reader" if blocked else "a writer"
            line.reasons.append(f"who waits here waits for {side} of the same lock")


# So many goroutines at most hold what they wait for: the first one stops all others before they come so far.
TWICE = 3


def _taken_twice(accused: Sequence[Line], every: Sequence[Line], ownership: Ownership) -> None:
    """A goroutine waits for a lock in one method, called by another method of the same type at which others wait for that
    lock: the caller holds it already. (sync.RWMutex: "This prohibits recursive read-locking".)"""
    waiting = [line for line in every if line.shape is MUTEX and line.place is not None]
    locked = {line.place.frame.function: line.place.frame for line in waiting if line.place is not None}
    for line in waiting:
        for one in line.standing:
            stack = one.group.stack
            at = innermost(stack, ownership)
            if at is None or not 0 < one.series.last <= TWICE:
                continue
            inner = stack[at]
            outer = next((f for f in stack[at + 1 :] if f.function in locked and f.function != inner.function), None)
            if outer is None or receiver(outer.function) != receiver(inner.function) or not receiver(inner.function):
                continue
            if outer.line < locked[outer.function].line:
                continue  # it called before it locked
            reason = f"a goroutine waits for it in {short(inner)}, called by {short(outer)}, where others wait for the same lock"
            for other in accused:
                if other.shape is MUTEX and _locks(other) == receiver(inner.function):
                    other.shape = LOCK_TWICE
                    other.reasons.append(reason)


def short(frame: Frame) -> str:
    """`ring.(*Ring).owner (ring.go:61)`"""
    file = frame.file.replace("\\", "/").rpartition("/")[2]
    return f"{frame.function.rpartition('/')[2]} ({file}:{frame.line})"


def _calls(standing: Iterable[Standing], *functions: str) -> bool:
    return any(f.function in functions for one in standing for f in one.group.stack)


def _waits_for_readers(stack: Stack) -> bool:
    names = [f.function for f in stack]
    return (
        "sync.(*RWMutex).Lock" in names
        and "sync.(*Mutex).Lock" not in names
        and not any("(*Mutex).Lock" in n for n in names)
    )


def _pool_holders(accused: Sequence[Line], every: Sequence[Line], origins: Origins) -> list[Line]:
    """Rows and transactions that stand still while others wait for a connection of the full pool."""
    waiting = [line for line in accused if line.shape is POOL]
    if not waiting:
        return []
    known = [line for line in accused if line.shape in _HOLDERS]
    found = []
    for line in every:
        if line.shape not in _HOLDERS or line in known or line.series.last < 1:
            continue
        if line.place is None and (origin := origins.of(line.shape, line.module)) is not None:
            line.place, line.certain = origin.place, origin.certain
            line.reasons.append(origin.reason)
        if line.place is not None:
            found.append(line)
    for line in found:
        line.reasons.append("others wait for a connection of the pool, and this is held")
    for line in (*known, *found):
        line.first = True
        line.victims += waiting
    for line in waiting:
        line.later = bool(known or found) or line.later
    return found


# Pools whose calls allocate for those that wait, and nothing for those that hold.
_ENTRIES_OF_WAITERS = frozenset({"SemaphoreNotReleased"})
# Goroutines that wait for a full pool at a line that grows too slowly to be seen by itself.
WAITING = 3


def _pools(accused: Sequence[Line], every: Sequence[Line], origins: Origins, ownership: Ownership) -> list[Line]:
    """Of the lines that wait for one pool, the likeliest cause first: the line whose objects the heap profile shows as
    kept, else the line that is called least. A line that is called all the time and never returned a connection would
    have emptied the pool at its first test. Returns the lines that were not accused by themselves."""
    added: list[Line] = []
    for shape in {
        line.shape.name: line.shape for line in accused if line.shape.victim and line.shape.acquires
    }.values():
        waiting = [line for line in accused if line.shape is shape and line.place is not None]
        others = [
            line
            for line in every
            if line.shape is shape and line.place is not None and line not in accused and line.series.last >= WAITING
        ]
        if not waiting or len(waiting) + len(others) < 2 or any(line.later for line in waiting):
            continue
        kept = origins.sites(by_shape(shape, ownership, shared=True))
        # What Acquire of a semaphore allocates is the entry of one that waits.
        keeps = {site.frame.function for site in kept if site.in_use > 0 and shape.name not in _ENTRIES_OF_WAITERS}
        every_one = [*waiting, *others]
        holding = [line for line in every_one if line.place is not None and line.place.frame.function in keeps]
        least = min(every_one, key=lambda line: (line.series.grown, line.series.last))
        chosen = holding or [least]
        for line in every_one:
            if line not in chosen:
                line.later = True
                line.reasons.append("others take from the same pool; this line may only suffer")
            elif holding:
                line.reasons.append("of the lines that take from the same pool, what this one took is kept")
            else:
                line.reasons.append(
                    f"of {len(every_one)} lines that take from the same pool this one is called least: one that is called"
                    " all the time would have emptied it at once"
                )
        for line in chosen:
            line.victims += [other for other in every_one if other is not line and other not in chosen]
        added += others
    return added
