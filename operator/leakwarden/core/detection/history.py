"""The bounded memory of readings between ticks: for each signal and series, the points of the lookback.

Keyed by the pod's UID, never by its name alone, and cut at the start of the present incarnation of the
process: a restarted container has another life, and joining two lives draws slopes nobody lived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from leakwarden.core.model.readings import Points, Sampled, SeriesKey
from leakwarden.core.model.workload import Pod

# A hole longer than this is remembered by the last point before it, for as long as the first one after it is: else a
# hole as long as the lookback would leave no trace, and readings that have just come back would look whole. In s.
HOLE = 60.0

_EMPTY = Points(t=np.empty(0), v=np.empty(0))


@dataclass(slots=True)
class _Series:
    uid: str
    points: Points
    limit: float | None


class PodSeries(NamedTuple):
    """One series of a pod's present incarnation."""

    key: SeriesKey
    points: Points
    limit: float | None  # in the signal's unit; None where the source gave none


@dataclass(slots=True)
class ReadingHistory:
    """Readings of one source. `lookback` in seconds bounds every series; `lookbacks` those of a signal in a namespace whose
    policies look further back, by signal and namespace."""

    lookback: float
    lookbacks: Mapping[tuple[str, str], float] = field(default_factory=dict)
    _signals: dict[str, dict[SeriesKey, _Series]] = field(default_factory=dict)
    _grouped: dict[str, Mapping[str, Sequence[PodSeries]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._signals)

    def knows(self, signal: str) -> bool:
        """Whether the signal was ever answered, so that only newer points are needed."""
        return signal in self._signals

    def append(self, signal: str, answer: Sampled, pods: Mapping[tuple[str, str], Pod], now: float) -> None:
        """Add an answer's points for the pods that exist; forget pods that do not, and points out of the lookback."""
        kept = self._signals.setdefault(signal, {})
        self._grouped.pop(signal, None)
        for key in [key for key in kept if (key.namespace, key.pod) not in pods]:
            del kept[key]
        for key, new in answer.series.items():
            pod = pods.get((key.namespace, key.pod))
            if pod is None:
                continue
            old = kept.get(key)
            before = old.points if old is not None and old.uid == pod.uid else _EMPTY
            lived = _merge(before, new, incarnation_start(pod, key.container))
            reach = self.lookbacks.get((signal, key.namespace), self.lookback)
            kept[key] = _Series(pod.uid, _recent(lived, now - reach), answer.limits.get(key))

    def keep(self, signals: Set[str]) -> None:
        """Forget all other signals: nobody asks them any more."""
        for signal in self._signals.keys() - signals:
            del self._signals[signal]
            self._grouped.pop(signal, None)

    def by_pod(self, signal: str) -> Mapping[str, Sequence[PodSeries]]:
        """All series of a signal, grouped by the pod's UID. Grouped once for an answer, however many policies ask."""
        if signal not in self._grouped:
            grouped: dict[str, list[PodSeries]] = {}
            for key, series in self._signals.get(signal, {}).items():
                grouped.setdefault(series.uid, []).append(PodSeries(key, series.points, series.limit))
            self._grouped[signal] = grouped
        return self._grouped[signal]


def incarnation_start(pod: Pod, container: str) -> float:
    """Epoch seconds since when the container's present process can have lived.

    Where the source does not name the container the latest start of any of them counts: it forgets too
    much rather than join two lives.
    """
    starts = [c.started for c in pod.containers if c.started is not None and container in ("", c.name)]
    if not starts:
        starts = [c.started for c in pod.containers if c.started is not None]
    return max([pod.created, *starts])


def _merge(old: Points, new: Points, earliest: float) -> Points:
    """Old points, then those of `new` that are later, all from `earliest` on."""
    after = old.t[-1] if old.t.size else -np.inf
    fresh = (new.t > after) & (new.t >= earliest)
    kept = old.t >= earliest
    return Points(
        t=np.concatenate([old.t[kept], new.t[fresh]]),
        v=np.concatenate([old.v[kept], new.v[fresh]]),
    )


def _recent(points: Points, earliest: float) -> Points:
    """The points from `earliest` on, and the one before a hole that they begin with."""
    first = int(np.searchsorted(points.t, earliest))
    if 0 < first < points.t.size and points.t[first] - points.t[first - 1] > HOLE:
        first -= 1
    return Points(t=points.t[first:], v=points.v[first:])
