"""Windows of readings joined to recorded series: one line for each process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from leakwarden.core.detection.recording import Series
from leakwarden.core.model.readings import Floats, Points, SeriesKey

# A process's start is computed from the machine's boot time, which moves by a second when its clock is set (proc(5),
# btime); a restart differs by more, since the process before it was scraped.
_SAME_START = 2.0


@dataclass(frozen=True, slots=True)
class Part:
    """One window of one series; `rate`, `gc`, `rss` and `latency` NaN where not known, `limit` None, `uid` empty."""

    t: Floats
    v: Floats
    rate: Floats
    gc: Floats
    rss: Floats
    latency: Floats
    limit: float | None
    uid: str


@dataclass(slots=True)
class Starts:
    """The start times of processes, by series: only the moments at which they change are kept."""

    _seen: dict[SeriesKey, list[tuple[Floats, Floats]]] = field(default_factory=dict)

    def learn(self, series: Mapping[SeriesKey, Points]) -> None:
        for key, points in series.items():
            if points.t.size:
                # Names of pods are reused by later processes only, so a start never goes back: where it seems to, the
                # readings are of a second process of the pod.
                highest = np.maximum.accumulate(points.v)
                changed = np.append(True, np.diff(highest) > _SAME_START)
                self._seen.setdefault(key, []).append((points.t[changed], highest[changed]))

    def of(self, key: SeriesKey) -> Points | None:
        """(time from which it was seen, start) in order of time."""
        seen = self._seen.get(key)
        if seen is None:
            return None
        t, v = np.concatenate([part[0] for part in seen]), np.concatenate([part[1] for part in seen])
        highest = np.maximum.accumulate(v)
        # Compared with the start of the process that it would continue, so that small moves of the clock do not add up.
        kept, last = [], -np.inf
        for i, start in enumerate(highest):
            if start - last > _SAME_START:
                kept.append(i)
                last = start
        return Points(t=t[kept], v=highest[kept])

    def of_pod(self, namespace: str, pod: str) -> Points | None:
        """The starts of the pod's youngest process: rather forgets too much than joins two processes."""
        found = [self.of(key) for key in self._seen if (key.namespace, key.pod) == (namespace, pod)]
        return max((one for one in found if one is not None), key=lambda one: float(one.v[-1]), default=None)


@dataclass(slots=True)
class RecordedHistory:
    """All readings, by signal and series."""

    processes: Starts = field(default_factory=Starts)
    containers: Starts = field(default_factory=Starts)
    readings: int = 0
    _parts: dict[tuple[str, SeriesKey], list[Part]] = field(default_factory=dict)

    def add(self, signal: str, key: SeriesKey, part: Part) -> None:
        """Add a part. The parts of one series come in order of time and do not overlap."""
        self._parts.setdefault((signal, key), []).append(part)
        self.readings += part.t.size

    def series(self, workload: Callable[[str, str], str]) -> list[Series]:
        """All series, as recorded. `workload` finds a series' workload by namespace and pod."""
        containers: dict[tuple[str, str, str], set[str]] = {}
        for signal, key in self._parts:
            containers.setdefault((signal, key.namespace, key.pod), set()).add(key.container)
        found: list[Series] = []
        for (signal, key), parts in sorted(self._parts.items(), key=lambda item: item[0]):
            several = len(containers[signal, key.namespace, key.pod]) > 1 and key.container
            name = f"{key.pod}/{key.container}" if several else key.pod
            of = workload(key.namespace, key.pod)
            found += _lives(signal, key.namespace, of, pod=name, parts=parts, starts=self._starts(key))
        return found

    def _starts(self, key: SeriesKey) -> Points | None:
        exact = self.processes.of(key) or self.containers.of(key)
        if exact is not None:
            return exact
        whole = self.processes.of(SeriesKey(key.namespace, key.pod))
        if whole is not None or key.container:
            return whole
        return self.processes.of_pod(key.namespace, key.pod) or self.containers.of_pod(key.namespace, key.pod)


def _lives(
    signal: str, namespace: str, workload: str, *, pod: str, parts: list[Part], starts: Points | None
) -> list[Series]:
    """One line for each process, and within a process one for each limit: a line has one limit."""
    t = np.concatenate([part.t for part in parts])
    v = np.concatenate([part.v for part in parts])
    rate = np.concatenate([part.rate for part in parts])
    gc = np.concatenate([part.gc for part in parts])
    rss = np.concatenate([part.rss for part in parts])
    latency = np.concatenate([part.latency for part in parts])
    lengths = [part.t.size for part in parts]
    limit = np.repeat([np.nan if part.limit is None else part.limit for part in parts], lengths)
    window = np.repeat(np.arange(len(parts)), lengths)
    began = _began(t, starts)
    found: list[Series] = []
    for life in _runs(began):
        # A window in which the limit was not read (its exporter was away) has that of the window before, or the next.
        known = _filled(limit[life])
        uids = [parts[i].uid for i in np.unique(window[life]) if parts[i].uid]
        for run in _runs(known):
            part = slice(life.start + run.start, life.start + run.stop)
            one = float(known[run.start])
            found.append(
                Series(
                    signal, namespace, workload, pod=pod, uid=uids[-1] if uids else "", start=float(began[part.start]),
                    limit=None if np.isnan(one) else one, t=t[part], v=v[part], rate=_or_none(rate[part]), gc=_or_none(gc[part]),
                    rss=_or_none(rss[part]), latency=_or_none(latency[part]),
                )
            )  # fmt: skip
    return found


def _began(t: Floats, starts: Points | None) -> Floats:
    """The start of the process that each reading belongs to; that of the first reading where no start is known."""
    if starts is None:
        return np.full(t.size, t[0])
    at = np.searchsorted(starts.t, t, side="right") - 1
    began = starts.v[np.maximum(at, 0)]
    # Readings before the first known start belong to another process, if that start is later than they are.
    return np.where((at < 0) & (began > t), t[0], began)


def _runs(values: Floats) -> list[slice]:
    """The stretches of equal values; NaN equals NaN."""
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    edges = [0, *(np.flatnonzero(~same) + 1).tolist(), values.size]
    return [slice(a, b) for a, b in pairwise(edges)]


def _filled(values: Floats) -> Floats:
    """With the last known value carried forward, and the first known one carried back."""
    there = np.flatnonzero(~np.isnan(values))
    if not there.size:
        return values
    at = np.searchsorted(there, np.arange(values.size), side="right") - 1
    return values[there[np.maximum(at, 0)]]


def _or_none(values: Floats) -> Floats | None:
    return None if np.isnan(values).all() else values
