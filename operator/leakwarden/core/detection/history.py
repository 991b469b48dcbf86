"""The bounded memory of readings between ticks: for each signal and series, the points of the lookback.

Keyed by the pod's UID, never by its name alone, and cut at the start of the present incarnation of the
process: a restarted container is another incarnation, and joining two incarnations draws slopes that never happened.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.detection.stored import PART, PIECES, Cutoff, StoredSeries, picked, recent
from leakwarden.core.model.readings import (
    Counts,
    Floats,
    Points,
    Sampled,
    SeriesBlock,
    SeriesKey,
    limits_beside,
)
from leakwarden.core.model.workload import Pod

Look = TypeVar("Look")
_LOOKS = 16  # looks at all series of a signal that are kept: one for each standard that policies have for it


class PodSeries(NamedTuple):
    """One series of a pod's present incarnation."""

    key: SeriesKey
    points: Points
    limit: float | None  # in the signal's unit; None where the source gave none


@dataclass(frozen=True, slots=True, eq=False)
class _Owned:
    """The owners of the series in a list of names."""

    names: Sequence[SeriesKey]
    pods: Mapping[tuple[str, str], Pod]
    uids: PodUids  # empty where there is no such pod (any more)
    earliest: Floats  # epoch s; earlier points are of another incarnation
    namespaces: list[str]  # each once
    of_namespace: NDArray[np.intp]  # place in `namespaces`
    everybody: bool  # whether each series has a pod

    @classmethod
    def of(cls, names: Sequence[SeriesKey], pods: Mapping[tuple[str, str], Pod]) -> _Owned:
        uids, earliest, codes = [], [], []
        places: dict[str, int] = {}
        for name in names:
            pod = pods.get((name.namespace, name.pod))
            uids.append(pod.uid if pod is not None else "")
            earliest.append(incarnation_start(pod, name.container) if pod is not None else np.inf)
            codes.append(places.setdefault(name.namespace, len(places)))
        return cls(
            names,
            pods,
            PodUids(uids),
            earliest=np.array(earliest, dtype=np.float64),
            namespaces=list(places),
            of_namespace=np.array(codes, dtype=np.intp),
            everybody=all(uids),
        )


class PodUids:
    """The UID of the pod of each series in a list, and the places of each pod's series, found once for all signals whose
    series are of the same pods, and as long as these stay the same."""

    def __init__(self, uids: list[str]) -> None:
        self.each = uids
        self._places: dict[str, Sequence[int]] | None = None

    def places(self) -> Mapping[str, Sequence[int]]:
        if self._places is None:
            # Most pods have one series, and tuples are smaller than lists.
            found: dict[str, Sequence[int]] = {}
            for place, uid in enumerate(self.each):
                found[uid] = (*found[uid], place) if uid in found else (place,)
            self._places = found
        return self._places


class PodsSeries(Mapping[str, Sequence[PodSeries]]):
    """The series of a signal by the pod's UID, made on request."""

    def __init__(self, uids: PodUids, block: StoredSeries, limits: Floats) -> None:
        """`uids`: the UID of the pod of each series in the block, in its order."""
        self._uids = uids
        self._block = block
        self._limits = limits
        self._arrays: tuple[Floats, Floats, Floats] | None = None
        self._looks: dict[Hashable, Any] = {}

    def places(self, uid: str) -> Sequence[int]:
        """The places of the pod's series in `newest()`."""
        return self._uids.places().get(uid, ())

    def newest(self) -> tuple[Floats, Floats, Floats]:
        """Time (epoch s), value and limit of the newest reading of each series; NaN where there is none."""
        if self._arrays is None:
            self._arrays = (*self._block.newest(), self._limits)
        return self._arrays

    @property
    def names(self) -> Sequence[SeriesKey]:
        """Of each place."""
        return self._block.names

    def at_once(self, about: Hashable, look: Callable[[], Look]) -> Look:
        """The result of a look at all places, done once for what it is `about`."""
        if about not in self._looks:
            if len(self._looks) >= _LOOKS:
                self._looks.clear()
            self._looks[about] = look()
        found: Look = self._looks[about]
        return found

    def container(self, place: int) -> str:
        return self._block.names[place].container

    def is_beside(self, other: PodsSeries) -> bool:
        """Whether each place of both is of the same pod."""
        return self._uids is other._uids

    def __getitem__(self, uid: str) -> Sequence[PodSeries]:
        found = []
        for place in self._uids.places()[uid]:
            limit = float(self._limits[place])
            found.append(PodSeries(self._block.names[place], self._block.at(place), None if limit != limit else limit))
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._uids.places())

    def __len__(self) -> int:
        return len(self._uids.places())


@dataclass(frozen=True, slots=True)
class _Kept:
    """The stored readings of a signal."""

    uids: PodUids
    block: StoredSeries
    limits: Floats
    pods: Mapping[tuple[str, str], Pod]  # those that existed when it was stored
    owned: _Owned | None = None  # the owners of all series, if it was stored from an answer with all of them


@dataclass(slots=True)
class ReadingHistory:
    """Readings of one source."""

    lookback: float  # seconds of readings that are kept of every series
    # ... and where the policies of a namespace look further back, by signal and namespace.
    lookbacks: Mapping[tuple[str, str], float] = field(default_factory=dict)
    _signals: dict[str, _Kept] = field(default_factory=dict)
    _grouped: dict[str, PodsSeries] = field(default_factory=dict)
    _owned: list[_Owned] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self._signals)

    def knows(self, signal: str) -> bool:
        """Whether the signal was ever answered; then only newer points are needed."""
        return signal in self._signals

    def append(self, signal: str, answer: Sampled, pods: Mapping[tuple[str, str], Pod], now: float) -> None:
        """Add an answer's points for the pods that exist; forget pods that do not, and points out of the lookback."""
        new = SeriesBlock.of(answer.series)
        old = self._signals.get(signal) or _Kept(PodUids([]), StoredSeries(()), np.empty(0), pods)
        if not len(new.names) and old.pods is pods:
            return  # nothing is new, and no pod has gone: so it is in ticks between two readings of the source
        self._grouped.pop(signal, None)
        owned = self._owners(new.names, pods)
        limits = limits_beside(new.names, answer.limits)
        by_namespace = [self.lookbacks.get((signal, name), self.lookback) for name in owned.namespaces]
        reach = np.array(by_namespace, dtype=np.float64)
        if old.owned is owned:  # the same series of the same processes
            # Not all signals at once, so that no tick puts all readings together.
            pieces = PIECES - list(self._signals).index(signal) % (PIECES // 2)
            since = Cutoff(now - reach, owned.of_namespace)
            block = old.block.followed_by(new, owned.earliest, since, pieces=pieces)
            if block is not None:
                self._signals[signal] = _Kept(old.uids, block, limits, pods, owned)
                return
        names, uids, was, now_at = _rows(old, owned, pods)
        answered = now_at >= 0
        earliest = np.where(answered, owned.earliest[now_at] if len(new.names) else 0.0, -np.inf)
        cutoff = np.full(len(names), -np.inf)
        if len(new.names):
            cutoff[answered] = now - reach[owned.of_namespace[now_at[answered]]]
        block = _merged(old, new, _Rows(names, was, now_at, uids, earliest, cutoff))
        known = np.full(len(names), np.nan)
        known[~answered] = old.limits[was[~answered]]
        known[answered] = limits[now_at[answered]]
        self._signals[signal] = _Kept(uids, block, known, pods, owned if uids is owned.uids else None)

    def keep(self, signals: Set[str]) -> None:
        """Forget all other signals: no policy reads them any more."""
        for signal in self._signals.keys() - signals:
            del self._signals[signal]
            self._grouped.pop(signal, None)

    def by_pod(self, signal: str) -> PodsSeries:
        """All series of a signal, grouped by the pod's UID. Grouped once per answer, however many policies read it."""
        if signal not in self._grouped:
            kept = self._signals.get(signal)
            if kept is None:
                return _NOTHING
            self._grouped[signal] = PodsSeries(kept.uids, kept.block, kept.limits)
        return self._grouped[signal]

    def _owners(self, names: Sequence[SeriesKey], pods: Mapping[tuple[str, str], Pod]) -> _Owned:
        """The owners are found once per list of names, which all signals of a tick usually share."""
        for known in self._owned:
            if known.names is names and known.pods is pods:
                return known
        found = _Owned.of(names, pods)
        self._owned = [found, *(known for known in self._owned[:3] if known.pods is pods)]
        return found


_NOTHING = PodsSeries(PodUids([]), StoredSeries(()), np.empty(0))


class _Rows(NamedTuple):
    """The series that will be stored."""

    names: Sequence[SeriesKey]
    was: Counts  # their places in the stored block, -1 where they are not in it
    answered_at: Counts  # their places in the answer, -1 where they are not in it
    uids: PodUids
    # Bounds in epoch s of the points of the answered ones.
    earliest: Floats
    cutoff: Floats


def _rows(
    old: _Kept, owned: _Owned, pods: Mapping[tuple[str, str], Pod]
) -> tuple[Sequence[SeriesKey], PodUids, Counts, Counts]:
    """Names and pods' UIDs of the stored series that still exist, then of the new ones."""
    if owned.names is old.block.names and owned.everybody:
        same = np.arange(len(owned.names))
        return owned.names, owned.uids, same, same
    if not len(old.block.names) and owned.everybody:
        places = np.arange(len(owned.names))
        return owned.names, owned.uids, np.full(len(places), -1), places
    at = {name: place for place, name in enumerate(owned.names) if owned.uids.each[place]}
    names, uids, was, answered = [], [], [], []
    for place, name in enumerate(old.block.names):
        if (name.namespace, name.pod) in pods:
            new = at.pop(name, -1)
            names.append(name)
            uids.append(owned.uids.each[new] if new >= 0 else old.uids.each[place])
            was.append(place)
            answered.append(new)
    for name, new in at.items():
        names.append(name)
        uids.append(owned.uids.each[new])
        was.append(-1)
        answered.append(new)
    return names, PodUids(uids), np.array(was, dtype=np.int64), np.array(answered, dtype=np.int64)


def _merged(old: _Kept, new: SeriesBlock, rows: _Rows) -> StoredSeries:
    """Old points of the present incarnation, then those of `new` that are later, from the cutoff on."""
    answered = rows.answered_at >= 0
    # Another pod of the same name is another incarnation.
    same = (
        np.array(
            [at < 0 or uid == old.uids.each[at] for at, uid in zip(rows.was.tolist(), rows.uids.each, strict=True)],
            dtype=np.bool_,
        )
        if rows.uids is not old.uids
        else np.ones(len(answered), np.bool_)
    )
    kept = (rows.was >= 0) & (same | ~answered)
    # One part at a time, since the work on it takes several times the memory of its points.
    parts = []
    for begin in range(0, len(rows.names), PART):
        part = slice(begin, begin + PART)
        parts.append(_merged_part(old.block, new, _Part(rows, part, kept[part], answered[part])))
    return StoredSeries(rows.names, parts)


class _Part(NamedTuple):
    """Some of the rows."""

    rows: _Rows
    part: slice
    kept: NDArray[np.bool_]  # whether their old points are of the present incarnation
    answered: NDArray[np.bool_]


def _merged_part(old: StoredSeries, new: SeriesBlock, some: _Part) -> tuple[Counts, Floats, Floats]:
    rows, part = some.rows, some.part
    stored, coming = np.flatnonzero(some.kept), np.flatnonzero(some.answered)
    before = old.pick(rows.was[part][stored])
    after = picked(new, rows.answered_at[part][coming])
    earliest, cutoff = rows.earliest[part], rows.cutoff[part]
    of_old, of_new = np.repeat(stored, before.sizes), np.repeat(coming, after.sizes)
    latest = np.full(len(some.kept), -np.inf)
    has = before.sizes > 0
    latest[stored[has]] = before.t[before.ends()[has] - 1]
    stays = ~some.answered[of_old] | (before.t >= earliest[of_old])
    comes = (after.t > latest[of_new]) & (after.t >= earliest[of_new])
    row = np.concatenate([of_old[stays], of_new[comes]])
    order = np.argsort(row, kind="stable")
    row = row[order]
    t = np.concatenate([before.t[stays], after.t[comes]])[order]
    v = np.concatenate([before.v[stays], after.v[comes]])[order]
    counts = recent(row, t, cutoff[row])
    if not counts.all():
        row, t, v = row[counts], t[counts], v[counts]
    return np.bincount(row, minlength=len(some.kept)).astype(np.int64), t, v


def incarnation_start(pod: Pod, container: str) -> float:
    """Epoch seconds of the earliest possible start of the container's present process.

    Where the source does not name the container, the latest start of all containers counts: it forgets too
    much rather than join two incarnations.
    """
    latest = of_container = -np.inf  # a loop, since tens of thousands of pods pass here in each tick
    for each in pod.containers:
        if each.started is not None:
            latest = max(latest, each.started)
            if not container or each.name == container:
                of_container = max(of_container, each.started)
    return max(pod.created, of_container if of_container > -np.inf else latest)
