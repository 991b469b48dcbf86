"""Feeds one source's readings to the detector and keeps its state between ticks.

The detector's clock is the bucket: its shortest window is made of buckets of one minute, and it was tuned on
readings at that resolution. Where readings come more often (`bucket` below 60 s) time is stretched so that a
bucket is a minute to it; growth and times to exhaustion are turned back into real ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.detection.because import because
from leakwarden.core.detection.detector import (
    LEAKING,
    SUSPECT,
    VERDICTS,
    Context,
    DetectorState,
    Key,
    NewReadings,
    advance,
    judge,
)
from leakwarden.core.detection.growth import GrowthFinding
from leakwarden.core.detection.history import incarnation_start
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.detection.resampling import aligned, of_process
from leakwarden.core.detection.rollups import Ints
from leakwarden.core.detection.runs_out import runs_out
from leakwarden.core.model.judgement import Interval
from leakwarden.core.model.readings import Floats, Sampled, SeriesKey
from leakwarden.core.model.readings import Points as Series
from leakwarden.core.model.workload import Snapshot, Workload, container_memory_limit
from leakwarden.core.signals.catalogue import is_memory
from leakwarden.core.signals.criteria import Standard
from leakwarden.core.signals.queries import limit_from_container
from leakwarden.engine.defects import Defects

MINUTE = 60.0
# What policies ask of a signal, by its key and the workload's name with namespace.
Standards: TypeAlias = Mapping[tuple[str, str], Standard]
_DEFAULT = Standard()
_REASONS = {int(reason): reason.name for reason in VerdictReason}


@dataclass(frozen=True, slots=True)
class LoadAndCollections:
    """What explains growth: requests per second and completed GC cycles, by series; empty where not known."""

    rate: Mapping[SeriesKey, Series] = field(default_factory=dict)
    collections: Mapping[SeriesKey, Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Life:
    """A process that is a target's: `name` of the workload with namespace, `start` in epoch s."""

    workload: Workload
    name: str
    uid: str
    start: float
    rate: Series | None
    cycles: Series | None


class _Lives:
    """Whose the series of one tick are. Each is asked for once a signal, and looked up once."""

    def __init__(self, snapshot: Snapshot, beside: LoadAndCollections) -> None:
        self._workloads, self._beside = snapshot.workloads, beside
        self._pods = {(pod.namespace, pod.name): pod for pods in snapshot.pods_by_workload.values() for pod in pods}
        self._known: dict[SeriesKey, _Life | None] = {}
        self._last: tuple[Sequence[_Life], Floats, Ints, tuple[Floats, Floats]] | None = None

    def of(self, key: SeriesKey) -> _Life | None:
        """None where it is no target's."""
        try:
            return self._known[key]
        except KeyError:
            life = self._known[key] = self._look(key)
            return life

    def explaining(self, lives: Sequence[_Life], t: Floats, sizes: Ints) -> tuple[Floats, Floats]:
        """Request rates and GC cycles at the moments `t` of these series, one after the other."""
        # As a rule all signals of a tick were read of the same processes at the same moments.
        if self._last is not None:
            same, moments, parts, values = self._last
            if same == lives and np.array_equal(parts, sizes) and np.array_equal(moments, t):
                return values
        found = aligned([life.rate for life in lives], t, sizes), aligned([life.cycles for life in lives], t, sizes)
        self._last = (lives, t.copy(), sizes, found)
        return found

    def _look(self, key: SeriesKey) -> _Life | None:
        pod = self._pods.get((key.namespace, key.pod))
        workload = self._workloads.get(pod.workload_uid or "") if pod is not None else None
        if pod is None or workload is None:
            return None
        rate, cycles = of_process(self._beside.rate, key), of_process(self._beside.collections, key)
        return _Life(
            workload, workload.key, pod.uid, start=incarnation_start(pod, key.container), rate=rate, cycles=cycles
        )


@dataclass(slots=True)
class Detection:
    """`bucket` in seconds. One for each source: two sources' readings of one thing are two things."""

    bucket: float
    defects: Defects = field(default_factory=Defects)
    _state: DetectorState = field(default_factory=DetectorState)
    _asked: Set[str] | None = None

    @property
    def _stretch(self) -> float:
        return MINUTE / self.bucket

    def learn(
        self,
        answers: Mapping[str, Sampled],
        snapshot: Snapshot,
        beside: LoadAndCollections,
        standards: Standards,
        now: float,
    ) -> None:
        """Fold the points of each signal's answer in. What was read before is known and passed over, so overlaps do no
        harm."""
        lives = _Lives(snapshot, beside)
        self._state.reserve(sum(len(answer.series) for answer in answers.values()))
        for signal, answer in answers.items():
            try:
                self._learn(signal, answer, lives, standards, now)
            except Exception:
                # One namespace's readings must not cost the others theirs; points that were learnt are passed over.
                for namespace, part in _by_namespace(answer).items():
                    with self.defects.contained("learnt", about=f"{signal} of {namespace}"):
                        self._learn(signal, part, lives, standards, now)

    def _learn(self, signal: str, answer: Sampled, lives: _Lives, standards: Standards, now: float) -> None:
        # Ten thousands of series come by here each tick: whatever can be done to all at once is done below.
        stretch = self._stretch
        of_container, memory = limit_from_container(signal), is_memory(signal)
        keys: list[Key] = []
        known: list[_Life] = []
        found: list[Series] = []
        limits: list[float | None] = []
        for key, series in answer.series.items():
            life = lives.of(key)
            if life is None or not series.t.size:
                continue
            limit = answer.limits.get(key)
            if limit is None:
                if of_container:
                    limit = container_memory_limit(life.workload, key.container)
                limit = standards.get((signal, life.name), _DEFAULT).bound(limit)
            keys.append(
                Key(
                    key.namespace,
                    life.workload.name,
                    key.pod,
                    uid=life.uid,
                    container=key.container,
                    signal=signal,
                    start=life.start * stretch,
                    memory=memory,
                )
            )
            known.append(life)
            found.append(series)
            limits.append(limit)
        if not keys:
            return
        sizes = np.array([series.t.size for series in found])
        t = np.concatenate([series.t for series in found])
        v = np.concatenate([series.v for series in found])
        rate, cycles = lives.explaining(known, t, sizes)
        begins = np.cumsum(sizes) - sizes
        starts = np.array([life.start for life in known])
        if np.any(t[begins] < starts):  # what came before this process is another's
            lived = t >= np.repeat(starts, sizes)
            sizes = np.add.reduceat(lived, begins, dtype=np.int64)
            t, v, rate, cycles = t[lived], v[lived], rate[lived], cycles[lived]
            some = np.flatnonzero(sizes)
            if not some.size:
                return
            sizes, keys, limits = sizes[some], [keys[i] for i in some], [limits[i] for i in some]
            begins = np.cumsum(sizes) - sizes
        t *= stretch
        rows = self._state.place(keys, np.array(limits, dtype=np.float64), t[begins])
        advance(self._state, NewReadings(np.repeat(rows, sizes), t, v, rate, cycles), now * stretch)

    def keep(self, signals: Set[str]) -> None:
        """Rows of other signals may go."""
        self._asked = signals

    def judge(self, snapshot: Snapshot, standards: Standards, now: float) -> dict[tuple[str, str, str], GrowthFinding]:
        """The findings by signal, pod UID and container."""
        self._forget(snapshot)
        keys = self._state.keys
        if not keys:
            return {}
        stretch = self._stretch
        asked = [
            standards.get((signal, f"{namespace}/{name}"), _DEFAULT) for namespace, name, signal in self._state.groups
        ]
        group = self._state.rows.group[: len(keys)]
        soon = np.array([one.exhausts_within for one in asked])[group]
        max_age = np.array([one.max_age for one in asked])[group]
        judged = judge(self._state, Context(exhausts_within=soon * stretch, max_age=max_age * stretch), now * stretch)
        # As lists: taking numbers out of arrays one by one costs ten times as much.
        growth = _intervals(judged.growth_low * stretch, judged.growth_high * stretch)
        seconds = _intervals(judged.seconds_low / stretch, judged.seconds_high / stretch)
        limits = [None if limit != limit else limit for limit in self._state.rows.bound[: len(keys)].tolist()]
        weighed = ["" for _ in keys]
        for row in np.flatnonzero(judged.verdict >= SUSPECT).tolist():
            left = float(judged.seconds_low[row]) / stretch
            weighed[row] = because(self._state, row, int(judged.width[row]), int(judged.reason[row]), left)
            if self._state.rows.past[row] and judged.verdict[row] >= LEAKING:
                weighed[row] = "; ".join(text for text in (weighed[row], self._runs_out(row, growth[row])) if text)
        told = zip(keys, judged.verdict.tolist(), judged.reason.tolist(), growth, seconds, limits, weighed, strict=True)
        return {
            (key.signal, key.uid, key.container): GrowthFinding(
                VERDICTS[code], _REASONS[reason], grows, left=left, limit=limit, because=why
            )
            for key, code, reason, grows, left, limit, why in told
        }

    def _runs_out(self, row: int, growth: Interval | None) -> str:
        """What will run out first of a process whose signal has no limit."""
        key, rows = self._state.keys[row], self._state.rows
        if growth is None:
            return ""
        memory_left = memory_per_hour = None
        memory = self._state.row_of(key._replace(signal=str(SignalType.WORKING_SET), memory=True))
        if memory is not None and np.isfinite(rows.bound[memory]):
            memory_left = float(rows.bound[memory] - rows.value[memory])
            slopes = self._state.widths.slope_low[memory]
            if np.isfinite(slopes).any():
                memory_per_hour = float(np.nanmax(slopes)) * self._stretch
        middle = (growth.low + growth.high) / 2
        return runs_out(key.signal, float(rows.value[row]), middle, memory_left, memory_per_hour)

    def _forget(self, snapshot: Snapshot) -> None:
        """Drop rows of processes that are gone and of signals that nobody asks any more, once they are a quarter: dropping
        renumbers all others."""
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
            if (self._asked is None or key.signal in self._asked)
            and key.uid in uids
            and living.get((key.uid, key.container), key.start) == key.start
        ]
        if len(kept) * 4 < len(self._state.keys) * 3:
            self._state.keep(kept)


def _by_namespace(answer: Sampled) -> dict[str, Sampled]:
    split: dict[str, dict[SeriesKey, Series]] = {}
    for key, series in answer.series.items():
        split.setdefault(key.namespace, {})[key] = series
    return {
        namespace: Sampled(series, {key: limit for key, limit in answer.limits.items() if key in series})
        for namespace, series in split.items()
    }


def _intervals(low: Floats, high: Floats) -> list[Interval | None]:
    pairs = zip(np.isfinite(low).tolist(), low.tolist(), high.tolist(), strict=True)
    return [Interval(a, b) if known else None for known, a, b in pairs]
