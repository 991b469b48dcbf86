"""The signals in one scrape of a process's own metrics page, by the names of the catalogue."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.signals.catalogue import CATALOGUE, REQUEST_COUNTERS, Alias, Row, real_limit

CYCLES = "go_gc_duration_seconds_count"
STARTED = "process_start_time_seconds"
RESIDENT = "process_resident_memory_bytes"
# Series of one signal that are followed: the series beyond it are not read, and the result reports that.
MOST_SERIES = 16
_MATCHER = re.compile(r'(\w+)="([^"]*)"')


class Sample(NamedTuple):
    """One line of the text exposition format."""

    name: str
    labels: Mapping[str, str]
    value: float


class TrackKey(NamedTuple):
    """One followed series. `label` distinguishes several of one signal, such as two database pools; else empty."""

    kind: SignalType
    label: str = ""

    @property
    def name(self) -> str:
        """`Descriptors`, `DBPool orders`"""
        return f"{self.kind} {self.label}".rstrip()


@dataclass(frozen=True, slots=True)
class Scrape:
    """The readings of one moment `t`, epoch s."""

    t: float
    values: Mapping[TrackKey, float]
    limits: Mapping[TrackKey, float] = field(default_factory=dict)
    requests: float | None = None  # answered since the process began; None where no known counter is exported
    cycles: float | None = None  # completed garbage collections since the process began
    started: float | None = None  # epoch s of the process's start
    left_out: int = 0  # series beyond MOST_SERIES
    resident: float | None = None  # bytes of memory that the process holds


def followed() -> dict[SignalType, Row]:
    """The signals that a process exports of itself and whose growth is judged."""
    return {kind: row for kind, row in CATALOGUE.items() if row.grows and _aliases(row)}


def _aliases(row: Row) -> list[Alias]:
    """Those that need no label of a container, which only the kubelet's metrics have."""
    return [alias for alias in row.aliases if "<<" not in alias.where]


@cache
def wanted() -> frozenset[str]:
    """Every metric name that is read."""
    found = {CYCLES, STARTED, RESIDENT, *REQUEST_COUNTERS}
    for row in followed().values():
        for alias in _aliases(row):
            found |= {alias.value, alias.limit or alias.value}
    return frozenset(found)


def read(samples: Iterable[Sample], t: float) -> Scrape:
    """Of several exporters' names for one thing, the first that is present counts, as in the operator's queries."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        if math.isfinite(sample.value):
            by_name.setdefault(sample.name, []).append(sample)
    values: dict[TrackKey, float] = {}
    limits: dict[TrackKey, float] = {}
    left_out = 0
    for kind, row in followed().items():
        found = _series(kind, row, by_name)
        left_out += max(0, len(found) - MOST_SERIES)
        for key in sorted(found)[:MOST_SERIES]:
            values[key], limit = found[key]
            if limit is not None:
                limits[key] = limit
    return Scrape(
        t, values, limits, requests=_requests(by_name), cycles=_first(by_name, CYCLES), started=_first(by_name, STARTED), left_out=left_out,
        resident=_first(by_name, RESIDENT),
    )  # fmt: skip


def _series(
    kind: SignalType, row: Row, by_name: Mapping[str, Sequence[Sample]]
) -> dict[TrackKey, tuple[float, float | None]]:
    for alias in _aliases(row):
        matchers = dict(_MATCHER.findall(alias.where))
        samples = [s for s in by_name.get(alias.value, ()) if matchers.items() <= s.labels.items()]
        if not samples:
            continue
        ceilings = {_label(s.labels, ()): s.value for s in by_name.get(alias.limit or "", ())}
        found: dict[TrackKey, tuple[float, float | None]] = {}
        for sample in samples:
            if sample.value == 0 and row.never_zero:
                continue
            label = _label(sample.labels, matchers)
            limit = ceilings.get(label)
            found[TrackKey(kind, label)] = (sample.value, real_limit(limit) if limit is not None else None)
        return found
    return {}


def _label(labels: Mapping[str, str], without: Iterable[str]) -> str:
    return ",".join(value for name, value in sorted(labels.items()) if name not in without)[:63]


def _requests(by_name: Mapping[str, Sequence[Sample]]) -> float | None:
    for name in REQUEST_COUNTERS:
        if name in by_name:
            return sum(sample.value for sample in by_name[name])
    return None


def _first(by_name: Mapping[str, Sequence[Sample]], name: str) -> float | None:
    samples = by_name.get(name)
    return samples[0].value if samples else None
