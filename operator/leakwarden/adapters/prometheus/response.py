"""Answers of Prometheus, joined: the series of each pod, each with its own limit.

All series are handled together, by arrays. Only the few unusual ones are handled one by one: several of one container,
or points out of order.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from leakwarden.adapters.prometheus.decoding import BadResponse, SentSeries, label_set
from leakwarden.core.model.readings import (
    Answer,
    Counts,
    Floats,
    LimitBlock,
    NoData,
    Points,
    Sampled,
    SeriesBlock,
    SeriesKey,
)
from leakwarden.core.signals.catalogue import Labels, real_limit

# Labels by which the series of a value and of its limit differ although they belong together: the name, and the labels
# that select one of several values of one thing (`status="inuse"`, `ulimit="max_open_files"`).
_NOT_IDENTITY = frozenset({"__name__", "status", "state", "ulimit"})
# Of several series with different limits, the one that was shown last stays until another's usage is higher by this
# factor: a change at every crossing would draw steps that are not growth.
_CHANGE_AT = 2.0
_LISTS = 16  # lists of names that are kept, so that equal ones are one object


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The pod and container of a series, and the labels that distinguish it from others of the same container, as
    JSON."""

    key: SeriesKey
    identity: bytes


@dataclass(frozen=True, slots=True)
class Scope:
    """The pods whose readings are needed, the times, and the names of labels."""

    labels: Labels
    namespaces: frozenset[str]
    since: float  # epoch s, excluded
    until: float  # epoch s, included
    # Overrides the label: a confined query can only have read this namespace, and aggregations drop the label.
    namespace: str | None = None
    drop_zeros: bool = False


# s; label sets that were not sent for one to two times so long are forgotten: their pods are gone.
_REMEMBERED = 600.0


class Origins:
    """The origins of label sets, computed once for each and then found by the bytes that were sent, as long as they are
    sent."""

    def __init__(self) -> None:
        self._found: dict[tuple[str | None, bytes], Origin | None] = {}
        self._before: dict[tuple[str | None, bytes], Origin | None] = {}  # those of the time before `_since`
        self._since = -math.inf  # epoch s
        self._origins: dict[tuple[SeriesKey, bytes], Origin] = {}
        self._lists: list[list[SeriesKey]] = []

    def __len__(self) -> int:
        return len(self._found) + len(self._before)

    def of(self, series: SentSeries, scope: Scope) -> list[Origin | None]:
        """The origin of each series; None where no pod or no namespace is named. Raises BadResponse."""
        if scope.until - self._since >= _REMEMBERED:
            self._before, self._found, self._origins, self._since = self._found, {}, {}, scope.until
        if len(self._found) > 16 * len(series) + 1_000_000:
            self._before, self._found = {}, {}  # label sets that are new each time
        known, namespace = self._found, scope.namespace
        found = []
        for sent in series.labels:
            try:
                found.append(known[namespace, sent])
            except KeyError:
                found.append(self._look(sent, scope))
        return found

    def one_list(self, names: list[SeriesKey]) -> list[SeriesKey]:
        """The names, as the same object as before where they are equal."""
        for known in self._lists:
            if known == names:
                return known
        self._lists = [names, *self._lists[: _LISTS - 1]]
        return names

    def _look(self, sent: bytes, scope: Scope) -> Origin | None:
        origin = (
            self._before[scope.namespace, sent] if (scope.namespace, sent) in self._before else _origin(sent, scope)
        )
        if origin is not None:
            # One object for all label sets of the same origin: limits are often sent with other labels than values.
            origin = self._origins.setdefault((origin.key, origin.identity), origin)
        self._found[scope.namespace, sent] = origin
        return origin


def _origin(sent: bytes, scope: Scope) -> Origin | None:
    """None where no pod or no namespace is named. Raises BadResponse."""
    metric = label_set(sent)
    key = _key(metric, scope)
    if key is None:
        return None
    return Origin(
        key, msgspec.json.encode({name: metric[name] for name in sorted(metric) if name not in _NOT_IDENTITY})
    )


def _key(metric: Mapping[str, str], scope: Scope) -> SeriesKey | None:
    labels = scope.labels
    pod = metric.get(labels.pod)
    namespace = scope.namespace or metric.get(labels.namespace)
    if not pod or not namespace:
        return None
    return SeriesKey(sys.intern(namespace), sys.intern(pod), sys.intern(metric.get(labels.container, "")))


@dataclass(slots=True)
class Choices:
    """The choices among several series with different limits."""

    shown: dict[SeriesKey, bytes] = field(default_factory=dict)  # the series that was shown last, by key
    asked: float = 0.0  # monotonic s of the latest query


@dataclass(slots=True)
class _Candidate:
    identity: bytes
    points: Points
    limit: float | None = None


@dataclass(slots=True)
class _Numbers:
    """The points of the series that count, one after the other."""

    places: list[int]  # of the series among the sent ones
    origins: list[Origin]
    sizes: Counts
    t: Floats
    v: Floats

    def points(self) -> Iterator[Points]:
        end = 0
        for size in self.sizes.tolist():
            begin, end = end, end + size
            yield Points(self.t[begin:end], self.v[begin:end])


def join(
    values: SentSeries, limits: SentSeries, scope: Scope, choices: Choices, origins: Origins | None = None
) -> Answer:
    """One series per key. Sampled may have no points, where nothing is newer than `since`. `origins`: those found
    before. Raises BadResponse."""
    if not len(values):
        return NoData("NoSeries", "no pod of these namespaces has it")
    origins = Origins() if origins is None else origins
    found = origins.of(values, scope)
    there = _numbers(values, found, scope)
    if not there.places:
        unnamed = found.count(None)
        if unnamed == len(values):
            return NoData("NoPodLabel", f"none of its {unnamed} series has the label {scope.labels.pod}")
        if scope.drop_zeros and _numbers(values, found, replace(scope, drop_zeros=False), everybody=True).places:
            return NoData("ConstantZero", "every reading is 0, which means that it is not measured")
        return NoData("NoNumbers", "its series hold no number")
    names = [origin.key for origin in there.origins]
    of_each = _limits_of(there.origins, limits, origins.of(limits, scope) if len(limits) else ())
    chosen: dict[SeriesKey, bytes] = {}
    if len(set(names)) < len(names):
        there, of_each, chosen = _one_a_key(there, of_each, choices)
        names = [origin.key for origin in there.origins]
    others = {key: each for key, each in choices.shown.items() if key.namespace not in scope.namespaces}
    choices.shown = {**others, **chosen}
    return _sampled(names, there, of_each, scope.since, origins)


def _sampled(names: list[SeriesKey], there: _Numbers, limits: Floats, since: float, origins: Origins) -> Sampled:
    """The points newer than `since`; limits also of series without new points."""
    every = origins.one_list(names)
    sizes, t, v = there.sizes, there.t, there.v
    new = t > since
    shown = every
    if not new.all():
        sizes = _counted(new, sizes)
        t, v = t[new], v[new]
        some = sizes > 0
        if not some.all():
            shown = origins.one_list([every[place] for place in np.flatnonzero(some).tolist()])
            sizes = sizes[some]
    return Sampled(SeriesBlock(shown, sizes, t, v), LimitBlock(every, limits))


def _numbers(values: SentSeries, found: Sequence[Origin | None], scope: Scope, everybody: bool = False) -> _Numbers:
    """The finite points up to the end of the range, in order of time, of the series that have any and are of a pod in
    the scope; or of `everybody`."""
    good = np.isfinite(values.v) & np.isfinite(values.t) & (values.t <= scope.until)
    if scope.drop_zeros:
        good &= values.v != 0
    sizes = _counted(good, values.sizes)
    nobody = Origin(SeriesKey("", ""), b"")
    asked = np.array([everybody or (origin is not None and origin.key[0] in scope.namespaces) for origin in found])
    for place in values.bad:
        if asked[place]:
            raise BadResponse
    kept = asked & (sizes > 0)
    if not kept.all():
        good &= np.repeat(kept, values.sizes)
        sizes = sizes[kept]
    t, v = (values.t, values.v) if good.all() else (values.t[good], values.v[good])
    places = np.flatnonzero(kept).tolist()
    there = _Numbers(places, [found[place] or nobody for place in places], sizes, t, v)
    return _in_order(there)


def _counted(kept: np.ndarray, sizes: Counts) -> Counts:
    """The number of points of each series that are kept."""
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
    ends = np.cumsum(sizes)
    return np.asarray(total[ends] - total[ends - sizes], dtype=np.int64)


def _in_order(there: _Numbers) -> _Numbers:
    if there.t.size < 2:
        return there
    back = np.diff(there.t) <= 0
    back[np.cumsum(there.sizes)[:-1] - 1] = False  # not between one series and the next
    if not back.any():
        return there
    ordered = [
        _highest(each.t, each.v) if np.any(np.diff(each.t) <= 0) else (each.t, each.v) for each in there.points()
    ]
    return _Numbers(
        there.places,
        there.origins,
        np.array([t.size for t, _ in ordered], dtype=np.int64),
        t=np.concatenate([t for t, _ in ordered]),
        v=np.concatenate([v for _, v in ordered]),
    )


def _highest(t: Floats, v: Floats) -> tuple[Floats, Floats]:
    """In order of time; the highest of several values at one moment."""
    order = np.lexsort((v, t))
    t, v = t[order], v[order]
    last = np.append(t[1:] != t[:-1], True)
    return t[last], v[last]


def _limits_of(wanted: Sequence[Origin], limits: SentSeries, found: Sequence[Origin | None]) -> Floats:
    """The limit of each series, NaN where there is none."""
    if not len(limits):
        return np.full(len(wanted), np.nan)
    known = _Limits(limits, found)
    return np.array([np.nan if (limit := known.of(origin)) is None else limit for origin in wanted], dtype=np.float64)


class _Limits:
    """The limits, found by the whole label set of the value's series."""

    def __init__(self, series: SentSeries, found: Sequence[Origin | None]) -> None:
        self._exact: dict[Origin, float | None] = {}
        self._of_key: dict[SeriesKey, set[float | None]] | None = None
        for place in series.bad:
            if found[place] is not None:
                raise BadResponse
        for origin, sent in zip(found, series.newest(), strict=True):
            if origin is not None and sent is not None:
                self._exact[origin] = real_limit(sent)

    def of(self, origin: Origin) -> float | None:
        """Where no limit has these labels, the common value of all limits of the key; never one of several values."""
        if origin in self._exact:
            return self._exact[origin]
        if self._of_key is None:
            self._of_key = {}
            for each, limit in self._exact.items():
                self._of_key.setdefault(each.key, set()).add(limit)
        of_key = self._of_key.get(origin.key, set())
        return next(iter(of_key)) if len(of_key) == 1 else None


def _one_a_key(there: _Numbers, limits: Floats, choices: Choices) -> tuple[_Numbers, Floats, dict[SeriesKey, bytes]]:
    """One series for each key, and the choice where there were several."""
    candidates: dict[SeriesKey, list[_Candidate]] = {}
    firsts: dict[SeriesKey, tuple[int, Origin]] = {}
    for place, origin, points, limit in zip(there.places, there.origins, there.points(), limits.tolist(), strict=True):
        one = _Candidate(origin.identity, points, None if limit != limit else limit)
        candidates.setdefault(origin.key, []).append(one)
        firsts.setdefault(origin.key, (place, origin))
    chosen: dict[SeriesKey, bytes] = {}
    best = []
    for key, several in candidates.items():
        best.append(_reduce(several, choices.shown.get(key)))
        if len(several) > 1:
            chosen[key] = best[-1].identity
    reduced = _Numbers(
        [place for place, _ in firsts.values()],
        [origin for _, origin in firsts.values()],
        np.array([one.points.t.size for one in best], dtype=np.int64),
        t=np.concatenate([one.points.t for one in best]),
        v=np.concatenate([one.points.v for one in best]),
    )
    return reduced, np.array([np.nan if one.limit is None else one.limit for one in best], dtype=np.float64), chosen


def _reduce(several: Sequence[_Candidate], before: bytes | None) -> _Candidate:
    """One series for a key that has many (two scrape jobs, two pools): the one nearest to its own limit.

    With one limit among them it is the highest value at each moment, which does not depend on where a
    read begins. With several limits it is the series whose usage is worst now: values and limits of
    different series are never mixed.
    """
    if len(several) == 1:
        return several[0]
    if len({candidate.limit for candidate in several}) == 1:
        t, v = _highest(
            np.concatenate([each.points.t for each in several]), np.concatenate([each.points.v for each in several])
        )
        return _Candidate(several[0].identity, Points(t=t, v=v), several[0].limit)
    limited = [each for each in several if each.limit is not None]
    newest = max(each.points.t[-1] for each in limited)
    live = [each for each in limited if each.points.t[-1] == newest]
    worst = max(live, key=_usage)
    kept = next((each for each in live if each.identity == before), worst)
    return kept if _usage(kept) * _CHANGE_AT >= _usage(worst) else worst


def _usage(candidate: _Candidate) -> float:
    return float(candidate.points.v[-1]) / candidate.limit if candidate.limit else 0.0
