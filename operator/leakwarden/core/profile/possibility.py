"""What is Low reads as a possibility: the harmless cause that looks the same, the condition under which it is a leak, the way
to see which of the two it is, and only then the kind.

Every suspect passes through here (`suspects.explain`), so that no row of the catalogue has to be written twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from leakwarden.core.profile.catalogue import CATALOGUE
from leakwarden.core.profile.evidence import Confidence, Suspect
from leakwarden.core.profile.harvested_shapes import HARVESTED
from leakwarden.core.profile.modules import serves
from leakwarden.core.profile.standard_shapes import OFF_HEAP, SERVED, UNKNOWN

# Begins every title of Low confidence.
MAYBE = "may be a leak: "


@dataclass(frozen=True, slots=True)
class Harmless:
    """A cause that is no leak and looks like one for a while."""

    cause: str  # follows on "may be"
    leak: str  # follows on "it is a leak if"
    look: str  # follows on "to see which"


_LOOK_LONGER = "take captures over 15 minutes at a steady load (suspects --for 15m)"

_LOAD = Harmless(
    "more requests or connections that are open",
    "these stay when their requests and clients have ended",
    f"compare the number with that of open requests and connections, and {_LOOK_LONGER}",
)
_QUEUE = Harmless(
    "callers that wait their turn under load",
    "the same callers never get their turn",
    f"see whether the number falls when the load does, and {_LOOK_LONGER}",
)
_BOUNDED = Harmless(
    "one for each of a bounded number of peers, keys or workers that come up one after the other",
    "there are more of them than such peers, keys or workers, or they outlive them",
    f"compare the number with that of the peers, keys or workers, and {_LOOK_LONGER}",
)
_WORK = Harmless(
    "work in progress: jobs, batches or workers that grow with the load",
    "these stay when their work has ended",
    f"compare the number with that of jobs in progress, and {_LOOK_LONGER}",
)
_CACHE = Harmless(
    "a cache, pool or buffer that fills, or more that is in use under load",
    "it goes on growing at a steady load and after the time in which it should be full",
    f"{_LOOK_LONGER}, and compare the number with the bound of what keeps it",
)
_OUTSIDE = Harmless(
    "memory that the runtime has not given back yet, or more load on libraries with memory of their own",
    "the process goes on growing at a steady load",
    "watch the memory of the process for an hour at a steady load",
)
# Kinds of a library's object that are told by its type or call.
_OBJECTS = frozenset({*(shape.name for shape in HARVESTED), UNKNOWN.name})
_ROWS = {shape.name: shape for shape in reversed(CATALOGUE)}


def as_possibility(suspect: Suspect) -> Suspect:
    """A suspect of Low confidence in words of possibility; others as they are."""
    if suspect.confidence is not Confidence.LOW or suspect.title.startswith(MAYBE):
        return suspect
    other = _harmless(suspect)
    return replace(
        suspect,
        title=f"{MAYBE}{suspect.title}",
        why=f"may be {other.cause}; it is a leak if {other.leak}, and then: {suspect.why}",
        fix=f"to see which: {other.look}; if it is a leak: {suspect.fix}",
    )


def _harmless(suspect: Suspect) -> Harmless:
    row = _ROWS.get(suspect.shape)
    if suspect.shape == OFF_HEAP.name:
        return _OUTSIDE
    if suspect.shape == SERVED.name or (suspect.unit == "goroutines" and serves(suspect.stack)):
        return _LOAD
    if row is not None and row.victim:
        return _QUEUE
    thing = row is not None and (row.library or bool(row.holds) or row.name in _OBJECTS)
    if suspect.unit == "goroutines":
        return _BOUNDED if thing or (row is not None and row.modules) else _WORK
    return _BOUNDED if thing else _CACHE


__all__ = ["MAYBE", "Harmless", "as_possibility"]
