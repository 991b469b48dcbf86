"""Answers of Prometheus, joined: the series of each pod, each with its own limit.

All series are handled together, by arrays. Only the few unusual ones are handled one by one: several of one container,
or points out of order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from leakwarden.adapters.prometheus.decoding import BadResponse, SentSeries
from leakwarden.adapters.prometheus.origins import Found, Kept, Origin, Origins, Scope
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
from leakwarden.core.signals.catalogue import UNLIMITED, real_limit

# Of several series with different limits, the one that was shown last stays until another's usage is higher by this
# factor: a change at every crossing would draw steps that are not growth.
_CHANGE_AT = 2.0


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

    kept: Kept
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
    there = _numbers(values, found, scope, origins)
    if not there.kept.names:
        unnamed = found.origins.count(None)
        if unnamed == len(values):
            return NoData("NoPodLabel", f"none of its {unnamed} series has the label {scope.labels.pod}")
        everything = replace(scope, drop_zeros=False)
        if scope.drop_zeros and _numbers(values, found, everything, origins, everybody=True).kept.names:
            return NoData("ConstantZero", "every reading is 0, which means that it is not measured")
        return NoData("NoNumbers", "its series hold no number")
    of_each = _limits_of(there.kept, limits, origins.of(limits, scope) if len(limits) else None)
    chosen: dict[SeriesKey, bytes] = {}
    if not there.kept.unique:
        there, of_each, chosen = _one_a_key(there, of_each, choices)
    if chosen or choices.shown:
        others = {key: each for key, each in choices.shown.items() if key.namespace not in scope.namespaces}
        choices.shown = {**others, **chosen}
    return _sampled(there, of_each, scope.since, origins)


def _sampled(there: _Numbers, limits: Floats, since: float, origins: Origins) -> Sampled:
    """The points newer than `since`; limits also of series without new points."""
    every = origins.one_list(there.kept.names)
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


def _numbers(values: SentSeries, found: Found, scope: Scope, origins: Origins, *, everybody: bool = False) -> _Numbers:
    """The finite points up to the end of the range, in order of time, of the series that have any and are of a pod in
    the scope; or of `everybody`."""
    good = np.isfinite(values.v) & np.isfinite(values.t) & (values.t <= scope.until)
    if scope.drop_zeros:
        good &= values.v != 0
    every = bool(good.all())
    sizes = values.sizes if every else _counted(good, values.sizes)
    asked = found.asked(None if everybody else scope.namespaces)
    for place in values.bad:
        if asked[place]:
            raise BadResponse
    which = asked & (sizes > 0)
    if not which.all():
        good &= np.repeat(which, values.sizes)
        sizes, every = sizes[which], False
    t, v = (values.t, values.v) if every else (values.t[good], values.v[good])
    return _in_order(_Numbers(found.kept(which, origins.one_list), sizes, t, v))


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
        there.kept,
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


def _limits_of(kept: Kept, limits: SentSeries, found: Found | None) -> Floats:
    """The limit of each series, NaN where there is none."""
    if found is None:
        return np.full(len(kept.origins), np.nan)
    if not limits.bad and bool((limits.sizes > 0).all()):
        at = found.limits_beside(kept)
        if at is not None:
            sent = limits.v[np.cumsum(limits.sizes)[at] - 1]
            return np.where((sent > 0) & (sent < UNLIMITED), sent, np.nan)  # as `real_limit`
    known = _Limits(limits, found.origins)
    return np.array([np.nan if (limit := known.of(origin)) is None else limit for origin in kept.origins], np.float64)


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
    firsts: dict[SeriesKey, Origin] = {}
    for origin, points, limit in zip(there.kept.origins, there.points(), limits.tolist(), strict=True):
        one = _Candidate(origin.identity, points, None if limit != limit else limit)
        candidates.setdefault(origin.key, []).append(one)
        firsts.setdefault(origin.key, origin)
    chosen: dict[SeriesKey, bytes] = {}
    best = []
    for key, several in candidates.items():
        best.append(_reduce(several, choices.shown.get(key)))
        if len(several) > 1:
            chosen[key] = best[-1].identity
    reduced = _Numbers(
        Kept.of(there.kept.which, list(firsts.values())),
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
