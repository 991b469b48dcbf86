"""The purpose of memory that the team's own code keeps, by the names of its types and functions.

The heap profile holds no types and no containers. But a type that is called `Sessions`, or a method `remember`, was named by
people for what it keeps, and the way entries of each purpose are taken out is known. A name is no proof: the title keeps to
what the profile shows where no name fits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from leakwarden.core.profile.ownership import enclosing, symbol
from leakwarden.core.profile.shapes import Shape


@dataclass(frozen=True, slots=True)
class Purpose:
    words: frozenset[str]  # of names, in lower case
    title: str  # {kind}: the type that keeps them
    fix: str


def _purpose(words: str, title: str, fix: str) -> Purpose:
    return Purpose(frozenset(words.split()), title, fix)


# The most telling words first.
PURPOSES = (
    _purpose(
        "seen processed dedup dedupe deduper deduplicate idempotency idempotent nonce nonces replayed visited",
        "keys that {kind} has seen and never forgets",
        "forget a key after the time in which it can come again (a sweep by time, or two maps that are swapped), or keep the newest N",
    ),
    _purpose(
        "pending inflight waiter waiters awaiting correlation correlations replies future futures promise promises",
        "pending entries of {kind} that nothing takes out",
        "delete the entry with defer in the call that waits for it, so that a timeout, a cancelled context and an error take it out as well",
    ),
    _purpose(
        "cache caches cached caching cacher lru memo memoize memoized memoizer",
        "a cache of {kind} that only grows",
        "bound it by entries or bytes (an LRU), and let a sweep enforce the time to live; for a key that is there already replace its"
        " element in place of adding another; look for a key with a part that is ever new (a time, an identifier)",
    ),
    _purpose(
        "history histories journal trail audit log logs events samples timeline recent recorder ledger tape",
        "a history of {kind} that only grows",
        "keep the newest N or the last minutes (a ring), and write older ones out; after slicing the front off, copy the rest, since the"
        " whole array stays",
    ),
    _purpose(
        "session sessions visitor visitors conn conns connections peer peers subscriber subscribers listeners viewer viewers members"
        " presence sockets participants players",
        "entries that {kind} keeps after those they stand for have gone",
        "delete the entry when its owner leaves (defer it in the handler, so that errors take it out as well), and sweep those that were"
        " idle",
    ),
    _purpose(
        "limiter limiters quota quotas throttle throttles throttler buckets attempts strikes counters tally tallies",
        "state of {kind} that is kept for every key ever seen",
        "drop keys that were not seen for a while (a sweep by the time of their last use, or a bounded LRU), and key it by something of which"
        " there is a bounded number: no identifiers, addresses or paths",
    ),
    _purpose(
        "hooks observers callbacks observer callback",
        "callbacks that {kind} keeps and never takes out",
        "let the call that registers give a function that takes it out again, and defer that where the owner ends; or register once, at start",
    ),
    _purpose(
        "keyed mutexes keylock keylocks lockmap",
        "locks of {kind} that are kept for every key",
        "count the users of each lock and delete it with the last one, or use a fixed number of locks and choose one by a hash of the key",
    ),
    _purpose(
        "refresh refreshed renew renewed update updated upsert replace replaced reload reloaded rewarm",
        "entries that {kind} keeps and never removes",
        "for a key that is there already replace the old entry everywhere it is kept: a list, heap or slice beside the map keeps the old element,"
        " and bounds that count the map do not see it; end or unregister the old thing where it has to be ended",
    ),
    _purpose(
        "queue queues queued backlog outbox retries dlq deadletter spooler mailbox",
        "work that {kind} queues and does not get rid of",
        "bound the queue, and reject or drop what comes when it is full; give up after a number of tries; see whether what takes work out"
        " still runs, and copy the rest after slicing the front off",
    ),
)  # fmt: skip
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# The named function, and its caller: farther ones have other purposes.
NEAR = 2


def with_purpose(shape: Shape, functions: Sequence[str], kind: str) -> Shape:
    """A kind by the way memory is kept, with the purpose that the names of the functions show. `functions`: the team's
    calls, innermost first; `kind`: the type that keeps it, or empty."""
    found = next((purpose for function in functions[:NEAR] if (purpose := _of(function)) is not None), None)
    if found is None:
        return shape
    title = found.title.format(kind=kind) if kind else shape.title
    return replace(shape, title=title, fix=f"{found.fix}. Else {shape.fix}")


@lru_cache(maxsize=4096)
def _of(function: str) -> Purpose | None:
    """By the words of the package's last element, the type and the method."""
    path, rest = symbol(enclosing(function))
    words = {word.lower() for word in _WORDS.findall(f"{path.rpartition('/')[2]} {rest}")}
    return next((purpose for purpose in PURPOSES if purpose.words & words), None)
