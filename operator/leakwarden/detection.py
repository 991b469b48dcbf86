"""Feeds one source's readings to the detector and keeps its state between ticks.

The detector's clock is the bucket: its shortest window is made of buckets of one minute, and it was tuned on
readings at that resolution. Where readings come more often (`bucket` below 60 s) time is stretched so that a
bucket is a minute to it; growth and times to exhaustion are turned back into real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from leakwarden.core.detector import VERDICTS, Context, Key, Points, State, advance, judge
from leakwarden.core.growth import GrowthFinding
from leakwarden.core.history import incarnation_start
from leakwarden.core.judgement import Interval
from leakwarden.core.queries import limit_from_container
from leakwarden.core.readings import Floats, Sampled, SeriesKey
from leakwarden.core.readings import Points as Series
from leakwarden.core.standard import Standard
from leakwarden.core.verdict import Reason
from leakwarden.core.workload import Snapshot, container_memory_limit

MINUTE = 60.0
# What policies ask of a signal, by its key and the workload's name with namespace.
Standards: TypeAlias = Mapping[tuple[str, str], Standard]
_DEFAULT = Standard()
_REASONS = {int(reason): reason.name for reason in Reason}


@dataclass(frozen=True, slots=True)
class Beside:
    """What explains growth: requests per second and completed GC cycles, by series; empty where not known."""

    rate: Mapping[SeriesKey, Series] = field(default_factory=dict)
    collections: Mapping[SeriesKey, Series] = field(default_factory=dict)


@dataclass(slots=True)
class Detection:
    """`bucket` in seconds. One for each source: two sources' readings of one thing are two things."""

    bucket: float
    _state: State = field(default_factory=State)

    @property
    def _stretch(self) -> float:
        return MINUTE / self.bucket

    def learn(
        self, signal: str, answer: Sampled, snapshot: Snapshot, beside: Beside, standards: Standards, now: float
    ) -> None:
        """Fold an answer's points in. What was read before is known and passed over, so overlaps do no harm."""
        pods = {(pod.namespace, pod.name): pod for pods in snapshot.pods_by_workload.values() for pod in pods}
        stretch = self._stretch
        # Ten thousands of series come by here each tick: whatever can be done to all at once is done below.
        rows: list[int] = []
        sizes: list[int] = []
        times: list[Floats] = []
        values: list[Floats] = []
        rates: list[Floats] = []
        cycles: list[Floats] = []
        for key, series in answer.series.items():
            pod = pods.get((key.namespace, key.pod))
            workload = snapshot.workloads.get(pod.workload_uid or "") if pod is not None else None
            t, v = series.t, series.v
            if pod is None or workload is None or not t.size:
                continue
            start = incarnation_start(pod, key.container)
            if t[0] < start:
                lived = t >= start
                if not lived.any():
                    continue
                t, v = t[lived], v[lived]
            limit = answer.limits.get(key)
            if limit is None and limit_from_container(signal):
                limit = container_memory_limit(workload, key.container)
            limit = standards.get((signal, workload.key), _DEFAULT).bound(limit)
            row = self._state.row(
                Key(key.namespace, workload.name, pod.name, pod.uid, key.container, signal, start * stretch),
                limit,
                float(t[0]) * stretch,
            )
            rows.append(row)
            sizes.append(t.size)
            times.append(t)
            values.append(v)
            rates.append(values_at(beside.rate, key, t))
            cycles.append(values_at(beside.collections, key, t))
        if rows:
            joined = Points(
                row=np.repeat(np.array(rows, dtype=np.int64), sizes),
                t=np.concatenate(times) * stretch,
                v=np.concatenate(values),
                rate=np.concatenate(rates),
                gc=np.concatenate(cycles),
            )
            advance(self._state, joined, now * stretch)

    def judge(self, snapshot: Snapshot, standards: Standards, now: float) -> dict[tuple[str, str, str], GrowthFinding]:
        """The findings by signal, pod UID and container."""
        self._forget(snapshot)
        keys = self._state.keys
        if not keys:
            return {}
        stretch = self._stretch
        asked = [standards.get((key.signal, f"{key.namespace}/{key.workload}"), _DEFAULT) for key in keys]
        soon = np.array([one.exhausts_within for one in asked])
        max_age = np.array([one.max_age for one in asked])
        judged = judge(self._state, Context(exhausts_within=soon * stretch, max_age=max_age * stretch), now * stretch)
        # As lists: taking numbers out of arrays one by one costs ten times as much.
        growth = _intervals(judged.growth_low * stretch, judged.growth_high * stretch)
        seconds = _intervals(judged.seconds_low / stretch, judged.seconds_high / stretch)
        limits = [None if limit != limit else limit for limit in self._state.c["limit"][: len(keys)].tolist()]
        told = zip(keys, judged.verdict.tolist(), judged.reason.tolist(), growth, seconds, limits, strict=True)
        return {
            (key.signal, key.uid, key.container): GrowthFinding(VERDICTS[code], _REASONS[reason], grows, left, limit)
            for key, code, reason, grows, left, limit in told
        }

    def _forget(self, snapshot: Snapshot) -> None:
        """Drop rows of processes that are gone, once they are a quarter: dropping renumbers all others."""
        living = {
            (pod.uid, container.name): incarnation_start(pod, container.name) * self._stretch
            for pods in snapshot.pods_by_workload.values()
            for pod in pods
            for container in pod.containers
        }
        uids = {uid for uid, _ in living}
        kept = [
            index
            for index, key in enumerate(self._state.keys)
            if key.uid in uids and living.get((key.uid, key.container), key.start) == key.start
        ]
        if len(kept) * 4 < len(self._state.keys) * 3:
            self._state.keep(kept)


def values_at(series: Mapping[SeriesKey, Series], key: SeriesKey, t: Floats) -> Floats:
    """The values of another series at the same moments, NaN where it has none."""
    other = series.get(key) or series.get(SeriesKey(key.namespace, key.pod)) if series else None
    if other is None or not other.t.size:
        return np.full(t.size, np.nan)
    if np.array_equal(other.t, t):  # as a rule: one source reads both at the same steps
        return other.v
    result = np.full(t.size, np.nan)
    at = np.minimum(np.searchsorted(other.t, t), other.t.size - 1)
    same = other.t[at] == t
    result[same] = other.v[at[same]]
    return result


def _intervals(low: Floats, high: Floats) -> list[Interval | None]:
    pairs = zip(np.isfinite(low).tolist(), low.tolist(), high.tolist(), strict=True)
    return [Interval(a, b) if known else None for known, a, b in pairs]
