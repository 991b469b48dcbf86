"""The processes that the series of a source belong to, and the readings that explain theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from leakwarden.core.detection.history import incarnation_start
from leakwarden.core.detection.resampling import aligned, of_process
from leakwarden.core.detection.rollups import Ints
from leakwarden.core.model.readings import Floats, SeriesBlock, SeriesKey
from leakwarden.core.model.readings import Points as Series
from leakwarden.core.model.workload import Snapshot, Workload


@dataclass(frozen=True, slots=True)
class LoadAndCollections:
    """The readings that explain growth, by series; empty where not known."""

    rate: Mapping[SeriesKey, Series] = field(default_factory=dict)  # requests per second
    # Completed GC cycles.
    collections: Mapping[SeriesKey, Series] = field(default_factory=dict)
    # Memory that cannot be reclaimed, bytes, by container.
    rss: Mapping[SeriesKey, Series] = field(default_factory=dict)


class Life(NamedTuple):
    """A process of a target: of a pod's `uid`, since `start` in epoch s."""

    workload: Workload
    uid: str
    start: float


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """The processes that the series of a list of names belong to."""

    names: Sequence[SeriesKey]
    places: Ints  # the series of targets, in the order of `lives`
    lives: list[Life]
    starts: Floats
    keys: list[str]  # names of the workloads, with namespace


_LISTS = 16  # lists of names whose processes are remembered


class Processes:
    """The processes that series belong to, in one view of the cluster. Found once per list of names, since signals usually
    have the same list, and so have the ticks between two changes of the cluster."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._workloads, self._pods_by_workload = snapshot.workloads, snapshot.pods_by_workload
        self._pods = {(pod.namespace, pod.name): pod for pods in snapshot.pods_by_workload.values() for pod in pods}
        self._known: list[Resolved] = []

    def are_in(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot shows the same workloads and pods."""
        return self._workloads is snapshot.workloads and self._pods_by_workload is snapshot.pods_by_workload

    def of(self, names: Sequence[SeriesKey]) -> Resolved:
        found = next((each for each in self._known if each.names is names), None)
        if found is None:
            found = self._look(names)
            self._known = [found, *self._known[: _LISTS - 1]]
        return found

    def _look(self, names: Sequence[SeriesKey]) -> Resolved:
        places, lives = [], []
        for place, name in enumerate(names):
            pod = self._pods.get((name.namespace, name.pod))
            workload = self._workloads.get(pod.workload_uid or "") if pod is not None else None
            if pod is not None and workload is not None:
                places.append(place)
                lives.append(Life(workload, pod.uid, incarnation_start(pod, name.container)))
        starts = np.array([life.start for life in lives], dtype=np.float64)
        # One text for all pods of a workload.
        keys = {life.workload.uid: life.workload.key for life in lives}
        of_each = [keys[life.workload.uid] for life in lives]
        return Resolved(names, np.array(places, dtype=np.int64), lives, starts, of_each)


class Lives:
    """The processes that the series of one tick belong to, and the readings that explain theirs."""

    def __init__(self, processes: Processes, beside: LoadAndCollections) -> None:
        self.of = processes.of
        self._beside = beside
        self._last: tuple[Sequence[SeriesKey], Floats, Ints, tuple[Floats, Floats]] | None = None

    def explaining(self, names: Sequence[SeriesKey], t: Floats, sizes: Ints) -> tuple[Floats, Floats]:
        """Request rates and GC cycles of these series at the moments `t`, one series after the other."""
        # Usually all signals of a tick were read from the same processes at the same moments.
        if self._last is not None:
            same, moments, parts, values = self._last
            if same == names and np.array_equal(parts, sizes) and np.array_equal(moments, t):
                return values
        found = (
            self._aligned(self._beside.rate, names, t, sizes),
            self._aligned(self._beside.collections, names, t, sizes),
        )
        self._last = (names, t.copy(), sizes, found)
        return found

    def resident(self, names: Sequence[SeriesKey], t: Floats, sizes: Ints) -> Floats:
        """The RSS of these containers at the moments `t`. That of a whole pod is not the one of its container."""
        series = self._beside.rss
        block = series if isinstance(series, SeriesBlock) and series.names == names else None
        if block is not None and np.array_equal(block.sizes, sizes) and np.array_equal(block.t, t):
            return block.v.copy()
        return aligned([series.get(name) for name in names], t, sizes)

    @staticmethod
    def _aligned(series: Mapping[SeriesKey, Series], names: Sequence[SeriesKey], t: Floats, sizes: Ints) -> Floats:
        if not series:
            return np.full(t.size, np.nan)
        block = series if isinstance(series, SeriesBlock) and series.names == names else None
        if block is not None and np.array_equal(block.sizes, sizes) and np.array_equal(block.t, t):
            return block.v.copy()
        return aligned([of_process(series, name) for name in names], t, sizes)
