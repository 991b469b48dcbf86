"""Feeds one source's readings to the detector and keeps its state between ticks.

The detector's clock is the bucket: its shortest window is made of buckets of one minute, and it was tuned on readings
at that resolution. Where readings come more often (`bucket` below 60 s) time is stretched so that a bucket counts as a
minute there; growth and times to exhaustion are turned back into real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
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
from leakwarden.core.detection.history import incarnation_start
from leakwarden.core.detection.rollups import Ints
from leakwarden.core.detection.runs_out import runs_out
from leakwarden.core.evaluation.growth_findings import Findings, Ranges, RowFindings
from leakwarden.core.model.judgement import Interval
from leakwarden.core.model.readings import Floats, Sampled, SeriesBlock, SeriesKey, limits_beside
from leakwarden.core.model.readings import Points as Series
from leakwarden.core.model.workload import Snapshot, container_memory_limit
from leakwarden.core.signals.catalogue import holds_page_cache, is_memory
from leakwarden.core.signals.criteria import Standard
from leakwarden.core.signals.queries import limit_from_container
from leakwarden.engine.defects import Defects
from leakwarden.engine.processes import Life, Lives, LoadAndCollections, Processes

MINUTE = 60.0
# The policies' standards for a signal, by its key and the workload's name with namespace.
Standards: TypeAlias = Mapping[tuple[str, str], Standard]
_DEFAULT = Standard()


@dataclass(slots=True, eq=False)
class _Placed:
    """The detector's rows of a signal's series, as long as these belong to the same processes."""

    names: Sequence[SeriesKey]
    lives: list[Life]
    rows: Ints
    lacking: Floats  # the limits of series without one from the source
    standards: Standards  # those for which `lacking` was computed


class _RowIndex(Mapping[tuple[str, str, str], int]):
    """Rows by signal, pod UID and container; of several processes the latest that has the signal."""

    def __init__(self, state: DetectorState, processes: Mapping[tuple[str, str], tuple[int, ...]]) -> None:
        self._state, self._processes = state, processes
        self._signals = {signal.name: signal for signal in state.signals}

    def __getitem__(self, key: tuple[str, str, str]) -> int:
        name, uid, container = key
        signal = self._signals[name]
        for process in self._processes[uid, container]:
            row = self._state.row_of_process(process, signal)
            if row is not None:
                return row
        raise KeyError(key)

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        for uid, container in self._processes:
            for name in self._signals:
                if (name, uid, container) in self:
                    yield name, uid, container

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(slots=True)
class Detection:
    """The detector for one source: readings of one quantity from two sources are kept apart."""

    bucket: float  # s
    defects: Defects = field(default_factory=Defects)
    _state: DetectorState = field(default_factory=DetectorState)
    _placed: dict[str, _Placed] = field(default_factory=dict)  # by signal
    # The processes of each pod's UID and container, the latest first, among those indexed so far.
    _processes_of: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    _indexed: int = 0
    _asked: Set[str] | None = None
    _processes: Processes | None = None  # of the view of the cluster that was seen last
    # What rows were last dropped by: the view's pods, the signals, and the number of rows left.
    _forgotten: tuple[object, Set[str] | None, int] | None = None
    _times: tuple[Standards, Floats, Floats] | None = None  # see `_times_of_groups`

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
        """Add the points of each signal's answer. Points that were added before are passed over, so overlaps do no
        harm."""
        if self._processes is None or not self._processes.are_in(snapshot):
            self._processes = Processes(snapshot)
        lives = Lives(self._processes, beside)
        for signal, answer in answers.items():
            try:
                self._learn(signal, answer, lives, standards, now)
            except Exception:
                # One namespace's readings must not cost the others theirs; points that were added before are passed
                # over.
                for namespace, part in _by_namespace(answer).items():
                    with self.defects.contained("learnt", about=f"{signal} of {namespace}"):
                        self._learn(signal, part, lives, standards, now)

    def _learn(self, signal: str, answer: Sampled, lives: Lives, standards: Standards, now: float) -> None:
        # Tens of thousands of series pass here in each tick, so work on all of them is done with arrays.
        stretch = self._stretch
        block = SeriesBlock.of(answer.series)
        resolved = lives.of(block.names)
        chosen = resolved.places[block.sizes[resolved.places] > 0]
        if not chosen.size:
            return
        limits = limits_beside(block.names, answer.limits)[chosen]
        if len(chosen) == len(block.names):
            names, sizes, t, v = block.names, block.sizes, block.t.copy(), block.v
            mine, starts, of_workload = resolved.lives, resolved.starts, resolved.keys
        else:
            at = np.searchsorted(resolved.places, chosen).tolist()
            names = [block.names[place] for place in chosen.tolist()]
            mine, of_workload = [resolved.lives[place] for place in at], [resolved.keys[place] for place in at]
            starts, sizes = resolved.starts[at], block.sizes[chosen]
            which = np.zeros(len(block.names), np.bool_)
            which[chosen] = True
            which = np.repeat(which, block.sizes)
            t, v = block.t[which], block.v[which]
        rate, cycles = lives.explaining(names, t, sizes)
        rss = lives.resident(names, t, sizes) if holds_page_cache(signal) else None
        begins = np.cumsum(sizes) - sizes
        if np.any(t[begins] < starts):  # readings from before this process began belong to another one
            lived = t >= np.repeat(starts, sizes)
            sizes = np.add.reduceat(lived, begins, dtype=np.int64)
            t, v, rate, cycles = t[lived], v[lived], rate[lived], cycles[lived]
            rss = None if rss is None else rss[lived]
            some = np.flatnonzero(sizes)
            if not some.size:
                return
            sizes, limits, places = sizes[some], limits[some], some.tolist()
            names, mine = [names[i] for i in places], [mine[i] for i in places]
            of_workload = [of_workload[i] for i in places]
            begins = np.cumsum(sizes) - sizes
        t *= stretch
        placed = self._place(signal, names, mine, firsts=t[begins], standards=standards, of_workload=of_workload)
        self._state.bind(placed.rows, np.where(np.isnan(limits), placed.lacking, limits))
        advance(self._state, NewReadings(np.repeat(placed.rows, sizes), t, v, rate, cycles, rss=rss), now * stretch)

    def _place(
        self,
        signal: str,
        names: Sequence[SeriesKey],
        lives: list[Life],
        *,
        firsts: Floats,
        standards: Standards,
        of_workload: Sequence[str],
    ) -> _Placed:
        """The rows of these series, computed again only where the series belong to other processes than in the last
        tick."""
        known = self._placed.get(signal)
        same = known is not None and (known.names is names or known.names == names) and known.lives == lives
        if known is not None and same and (known.standards is standards or known.standards == standards):
            known.standards = standards  # the same object for the next tick
            return known
        stretch, memory, page_cache = self._stretch, is_memory(signal), holds_page_cache(signal)
        keys = [
            Key(
                name.namespace,
                life.workload.title,
                name.pod,
                uid=life.uid,
                container=name.container,
                signal=signal,
                start=life.start * stretch,
                memory=memory,
                page_cache=page_cache,
            )
            for name, life in zip(names, lives, strict=True)
        ]
        of_container = limit_from_container(signal)
        lacking = []
        for name, life, workload in zip(names, lives, of_workload, strict=True):
            limit = container_memory_limit(life.workload, name.container) if of_container else None
            limit = standards.get((signal, workload), _DEFAULT).bound(limit)
            lacking.append(np.nan if limit is None else limit)
        bounds = np.array(lacking, dtype=np.float64)
        placed = self._placed[signal] = _Placed(
            names, lives, self._state.place(keys, bounds, firsts), lacking=bounds, standards=standards
        )
        return placed

    def expect(self, rows: int) -> None:
        """So many series are to come, which need not all exist."""
        self._state.reserve(rows)

    def keep(self, signals: Set[str]) -> None:
        """Rows of all other signals may be dropped."""
        self._asked = signals

    def judge(self, snapshot: Snapshot, standards: Standards, now: float) -> Findings:
        """The findings by signal, pod UID and container."""
        self._forget(snapshot)
        count = len(self._state)
        if not count:
            return {}
        stretch = self._stretch
        group = self._state.rows.group[:count]
        exhausts_within, max_age = self._times_of_groups(standards)
        context = Context(exhausts_within=exhausts_within[group] * stretch, max_age=max_age[group] * stretch)
        judged = judge(self._state, context, now * stretch)
        growth = Ranges(judged.growth_low * stretch, judged.growth_high * stretch)
        seconds = Ranges(judged.seconds_low / stretch, judged.seconds_high / stretch)
        weighed = {}
        for row in np.flatnonzero(judged.verdict >= SUSPECT).tolist():
            left = float(judged.seconds_low[row]) / stretch
            weighed[row] = because(self._state, row, int(judged.width[row]), int(judged.reason[row]), left)
            if self._state.rows.past[row] and judged.verdict[row] >= LEAKING:
                weighed[row] = "; ".join(text for text in (weighed[row], self._runs_out(row, growth.of(row))) if text)
        return RowFindings(
            self._index(),
            VERDICTS,
            judged.verdict,
            judged.reason,
            growth=growth,
            left=seconds,
            limits=self._state.rows.bound[:count].copy(),
            weighed=weighed,
            resident=np.where(self._state.rows.resident, self._state.rows.value, np.nan)[:count],
            filled=self._state.rows.filled[:count].copy(),
            placed={signal: (placed.names, placed.rows) for signal, placed in self._placed.items()},
        )

    def _times_of_groups(self, standards: Standards) -> tuple[Floats, Floats]:
        """The standards' times, s, for each group of the detector: within what an exhaustion counts, and the age up to
        which a reading does. Looked up again only for other standards or new groups."""
        groups = self._state.groups
        if self._times is None or self._times[0] is not standards or len(self._times[1]) != len(groups):
            asked = [standards.get((signal, f"{namespace}/{name}"), _DEFAULT) for namespace, name, signal in groups]
            self._times = (
                standards,
                np.array([one.exhausts_within for one in asked]),
                np.array([one.max_age for one in asked]),
            )
        return self._times[1:]

    def _index(self) -> _RowIndex:
        processes = self._state.processes
        for number in range(self._indexed, len(processes)):
            name = processes[number].uid, processes[number].container
            self._processes_of[name] = (number, *self._processes_of.get(name, ()))
        self._indexed = len(processes)
        return _RowIndex(self._state, self._processes_of)

    def _runs_out(self, row: int, growth: Interval | None) -> str:
        """The resource that will be exhausted first in a process whose signal has no limit."""
        key, rows = self._state.key(row), self._state.rows
        if growth is None:
            return ""
        memory_left = memory_per_hour = None
        memory = self._state.row_of(key._replace(signal=str(SignalType.WORKING_SET), memory=True, page_cache=True))
        if memory is not None and np.isfinite(rows.bound[memory]):
            memory_left = float(rows.bound[memory] - rows.value[memory])
            estimate = int(rows.estimate[memory])
            slopes = self._state.estimates.slope_low[estimate] if estimate >= 0 else np.full(1, np.nan)
            if np.isfinite(slopes).any():
                memory_per_hour = float(np.nanmax(slopes)) * self._stretch
        middle = (growth.low + growth.high) / 2
        return runs_out(key.signal, float(rows.value[row]), middle, memory_left, memory_per_hour)

    def _forget(self, snapshot: Snapshot) -> None:
        """Drop rows of processes that are gone and of signals that no policy uses any more, once they are a quarter of
        all: dropping renumbers all others."""
        known = self._forgotten
        if known is not None and known[0] is snapshot.pods_by_workload and known[1:] == (self._asked, len(self._state)):
            return
        living = {
            (pod.uid, container.name): incarnation_start(pod, container.name) * self._stretch
            for pods in snapshot.pods_by_workload.values()
            for pod in pods
            for container in pod.containers
        }
        uids = {uid for uid, _ in living}
        state, count = self._state, len(self._state)
        lives = np.array(
            [
                key.uid in uids and living.get((key.uid, key.container), key.start) == key.start
                for key in state.processes
            ],
            dtype=np.bool_,
        )
        asked = np.array([self._asked is None or each.name in self._asked for each in state.signals], dtype=np.bool_)
        if not count:
            return
        kept = np.flatnonzero(lives[state.rows.process[:count]] & asked[state.rows.signal[:count]])
        if len(kept) * 4 < count * 3:
            state.keep(kept.tolist())
            self._placed, self._processes_of, self._indexed = {}, {}, 0
        self._forgotten = (snapshot.pods_by_workload, self._asked, len(state))


def _by_namespace(answer: Sampled) -> dict[str, Sampled]:
    split: dict[str, dict[SeriesKey, Series]] = {}
    for key, series in answer.series.items():
        split.setdefault(key.namespace, {})[key] = series
    return {
        namespace: Sampled(series, {key: limit for key, limit in answer.limits.items() if key in series})
        for namespace, series in split.items()
    }
