"""The judgement on one signal of one pod. Every verdict has a reason that an engineer can check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Ordered by `SEVERITY`. Only EXHAUSTING ever acts."""

    HEALTHY = "Healthy"
    UNKNOWN = "Unknown"
    SUSPECT = "Suspect"
    LEAKING = "Leaking"
    EXHAUSTING = "Exhausting"


SEVERITY = {verdict: rank for rank, verdict in enumerate(Verdict)}


@dataclass(frozen=True, slots=True)
class Interval:
    """A range with its ends, in the unit of whatever it estimates. `high` may be infinite."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """`reason` is a CamelCase constant (see `core.reasons`), `message` one line with numbers and units."""

    signal: str
    verdict: Verdict
    reason: str
    message: str
    value: float | None = None
    limit: float | None = None
    growth_per_hour: Interval | None = None
    seconds_to_exhaustion: Interval | None = None
