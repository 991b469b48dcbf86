"""How many replicas a load needs, with a pod or a zone lost, and which answers lie beyond the measured range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from leakwarden.core.capacity.curve import Line, Point, Sustained, knee, memory_line, sustained


@dataclass(frozen=True, slots=True)
class Question:
    """`objective` seconds of P99; `qps` of the whole service, None: no size is asked for; `zones` that pods are spread
    over evenly; `pool` connections that one pod may open, `database` how many the database takes."""

    objective: float = 0.2
    qps: float | None = None
    zones: int = 1
    pool: int | None = None
    database: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Measurements in addition to the curve; None where they are not known. `today` requests/s of the busiest pod now,
    `highest` the most requests/s that the service as a whole ever answered, `per_million` bytes of memory for a million
    requests."""

    today: float | None = None
    highest: float | None = None
    per_million: float | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """One answer. `per_pod` requests/s when the loss has happened; `extrapolated`: the service as a whole was never
    measured under so much load, so a resource that its pods share may be the limit."""

    losing: str
    replicas: int
    per_pod: float
    memory: float | None  # bytes per pod at that load
    extrapolated: bool
    connections: int | None = None
    too_many_connections: bool = False


@dataclass(frozen=True, slots=True)
class Capacity:
    """The whole answer. `headroom` is the share of the sustained load that is left today, negative where there is none;
    None where one of the two is not known. `notes` name the unknown values and the reasons."""

    curve: Sequence[Point]
    knee: float | None
    sustained: Sustained | None
    memory: Line | None
    headroom: float | None
    sizes: Sequence[Size]
    memory_per_million: float | None = None
    notes: Sequence[str] = field(default_factory=tuple)


def capacity(curve: Sequence[Point], question: Question, seen: Seen) -> Capacity:
    carried, line = sustained(curve, question.objective), memory_line(curve)
    headroom = 1 - seen.today / carried.qps if carried is not None and seen.today is not None else None
    sizes = _sizes(question, carried, line, seen)
    notes = tuple(_notes(curve, question, carried, seen))
    return Capacity(
        curve,
        knee(curve),
        carried,
        memory=line,
        headroom=headroom,
        sizes=sizes,
        memory_per_million=seen.per_million,
        notes=notes,
    )


def replicas_needed(qps: float, per_pod: float) -> int:
    """Without any loss; one at least."""
    return max(1, math.ceil(qps / per_pod - 1e-9))


def _sizes(question: Question, carried: Sustained | None, line: Line | None, seen: Seen) -> list[Size]:
    if question.qps is None or carried is None or carried.qps <= 0:
        return []
    needed = replicas_needed(question.qps, carried.qps)
    wanted = [("nothing", needed, needed), ("one pod", needed + 1, needed)]
    if question.zones > 1:
        # Pods are spread evenly, so each zone has as many pods as each of the remaining zones needs.
        in_each = math.ceil(needed / (question.zones - 1))
        wanted.append(("one zone", in_each * question.zones, in_each * (question.zones - 1)))
    extrapolated = seen.highest is None or question.qps > seen.highest
    found = []
    for losing, replicas, left in wanted:
        per_pod = question.qps / left
        connections = question.pool * replicas if question.pool is not None else None
        found.append(
            Size(
                losing, replicas, per_pod, memory=line.at(per_pod) if line is not None else None, extrapolated=extrapolated,
                connections=connections, too_many_connections=connections is not None and question.database is not None and connections > question.database,
            )
        )  # fmt: skip
    return found


def _notes(curve: Sequence[Point], question: Question, carried: Sustained | None, seen: Seen) -> list[str]:
    notes = []
    if not any(point.p99 is not None for point in curve):
        notes.append("no latency is known, so neither is what a pod carries")
    elif carried is None:
        notes.append(f"not even the lowest load was carried with a P99 of {question.objective:g}s")
    elif not carried.bounded:
        notes.append(
            f"no load was seen at which a pod fails, up to {carried.qps:,.1f}/s: it carries this at least, and sizes are"
            " on the safe side"
        )
    if not any(point.memory is not None for point in curve):
        notes.append("no memory is known")
    elif seen.per_million is None:
        notes.append("whether memory grows with the number of requests is not known: it was read for too short a time")
    return notes
