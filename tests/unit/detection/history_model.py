"""The memory of readings, series by series: the arrays of `ReadingHistory` have to agree with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from leakwarden.core.detection.history import PodSeries, incarnation_start
from leakwarden.core.detection.stored import HOLE
from leakwarden.core.model.readings import Points, Sampled, SeriesKey
from leakwarden.core.model.workload import Pod

_EMPTY = Points(t=np.empty(0), v=np.empty(0))


@dataclass
class OneSeries:
    uid: str
    points: Points
    limit: float | None


@dataclass
class HistoryModel:
    lookback: float
    lookbacks: Mapping[tuple[str, str], float] = field(default_factory=dict)
    kept: dict[SeriesKey, OneSeries] = field(default_factory=dict)

    def append(self, signal: str, answer: Sampled, pods: Mapping[tuple[str, str], Pod], now: float) -> None:
        for key in [key for key in self.kept if (key.namespace, key.pod) not in pods]:
            del self.kept[key]
        for key, new in answer.series.items():
            pod = pods.get((key.namespace, key.pod))
            if pod is None:
                continue
            old = self.kept.get(key)
            before = old.points if old is not None and old.uid == pod.uid else _EMPTY
            lived = _merge(before, new, incarnation_start(pod, key.container))
            reach = self.lookbacks.get((signal, key.namespace), self.lookback)
            self.kept[key] = OneSeries(pod.uid, _recent(lived, now - reach), answer.limits.get(key))

    def by_pod(self) -> dict[str, list[PodSeries]]:
        grouped: dict[str, list[PodSeries]] = {}
        for key, series in self.kept.items():
            grouped.setdefault(series.uid, []).append(PodSeries(key, series.points, series.limit))
        return grouped


def _merge(old: Points, new: Points, earliest: float) -> Points:
    after = old.t[-1] if old.t.size else -np.inf
    fresh = (new.t > after) & (new.t >= earliest)
    kept = old.t >= earliest
    return Points(np.concatenate([old.t[kept], new.t[fresh]]), np.concatenate([old.v[kept], new.v[fresh]]))


def _recent(points: Points, earliest: float) -> Points:
    first = int(np.searchsorted(points.t, earliest))
    if 0 < first < points.t.size and points.t[first] - points.t[first - 1] > HOLE:
        first -= 1
    return Points(t=points.t[first:], v=points.v[first:])
