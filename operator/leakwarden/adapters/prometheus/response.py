"""What Prometheus answers, decoded and joined: the series of each pod, each with its own limit.

Decoded straight from the bytes into structs: two hours of 10,000 pods are some 20 MB, and dicts of
them cost several times the time and memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import msgspec
import numpy as np

from leakwarden.core.model.readings import Answer, NoData, Points, Sampled, SeriesKey
from leakwarden.core.signals.catalogue import Labels, real_limit

Identity: TypeAlias = frozenset[tuple[str, str]]

# Labels by which the series of a value and of its limit differ although they belong together: the name, and what
# picks one of several values of one thing (`status="inuse"`, `ulimit="max_open_files"`).
_NOT_IDENTITY = frozenset({"__name__", "status", "state", "ulimit"})
# One of several series with different limits stays the one that is shown until another's usage is so much
# higher: to change at every crossing would draw steps that are no growth.
_CHANGE_AT = 2.0


class BadResponse(Exception):
    """The body is not what the query API answers."""


class PartialResponse(Exception):
    """The server says that some of its stores did not answer: whatever is missing would look like no data."""


class RawSeries(msgspec.Struct):
    """One series as sent: a range has `values`, an instant `value`; native histograms have neither."""

    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    value: tuple[float, str] | None = None


class _Data(msgspec.Struct):
    # null is what Google's frontend, Cortex and old Prometheus write where there is nothing.
    result: list[RawSeries] | None


class _Body(msgspec.Struct):
    status: str
    data: _Data | None = None
    warnings: list[str] | None = None
    isPartial: bool | None = None  # noqa: N815 (VictoriaMetrics' name)


class _Error(msgspec.Struct):
    errorType: str = ""  # noqa: N815 (the API's name)


_decoder = msgspec.json.Decoder(_Body)
_error_decoder = msgspec.json.Decoder(_Error)


def decode(body: bytes) -> list[RawSeries]:
    """The series of a 200 answer. Raises BadResponse, PartialResponse."""
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadResponse from None
    if answer.status != "success" or answer.data is None:
        raise BadResponse
    # Remarks about the query itself (Prometheus 2.48 and later) are no missing data; any other warning is.
    if answer.isPartial or any(
        not text.startswith(("PromQL info:", "PromQL warning:")) for text in answer.warnings or ()
    ):
        raise PartialResponse
    return answer.data.result or []


def error_type(body: bytes) -> str:
    """The API's own class of error, such as `timeout`, or nothing. Never its text, which may carry secrets."""
    try:
        return _error_decoder.decode(body).errorType
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose readings are wanted, between which times (epoch s, `since` excluded), and how labels are called.

    `namespace` overrides the label: a confined query can only have read that one, and aggregations drop it.
    """

    labels: Labels
    namespaces: frozenset[str]
    since: float
    until: float
    namespace: str | None = None
    drop_zeros: bool = False


@dataclass(slots=True)
class _Candidate:
    identity: Identity
    points: Points
    limit: float | None = None


@dataclass(slots=True)
class Choices:
    """Which of several series with different limits was shown last, by key; `asked` when, in monotonic s."""

    shown: dict[SeriesKey, Identity] = field(default_factory=dict)
    asked: float = 0.0


def join(values: Sequence[RawSeries], limits: Sequence[RawSeries], scope: Scope, choices: Choices) -> Answer:
    """One series a key. Sampled may have no points, where nothing is newer than `since`."""
    if not values:
        return NoData("NoSeries", "no pod of these namespaces has it")
    candidates: dict[SeriesKey, list[_Candidate]] = {}
    unnamed = numbers = 0
    for series in values:
        key = _key(series.metric, scope)
        if key is None:
            unnamed += 1
            continue
        if key.namespace not in scope.namespaces:
            continue
        points = _points(series, scope)
        if points is None:
            continue
        numbers += 1
        candidates.setdefault(key, []).append(_Candidate(_identity(series.metric), points))
    if not candidates:
        if unnamed == len(values):
            return NoData("NoPodLabel", f"none of its {unnamed} series has the label {scope.labels.pod}")
        if scope.drop_zeros and any(_points(each, replace(scope, drop_zeros=False)) for each in values):
            return NoData("ConstantZero", "every reading is 0, which means that it is not measured")
        return NoData("NoNumbers", "its series hold no number")
    found = _Limits(limits, scope)
    shown: dict[SeriesKey, Points] = {}
    known: dict[SeriesKey, float] = {}
    chosen: dict[SeriesKey, Identity] = {}
    for key, several in candidates.items():
        for candidate in several:
            candidate.limit = found.of(key, candidate.identity)
        best = _reduce(several, choices.shown.get(key))
        if len(several) > 1:
            chosen[key] = best.identity
        if best.limit is not None:
            known[key] = best.limit
        new = best.points.t > scope.since
        if new.any():
            shown[key] = Points(t=best.points.t[new], v=best.points.v[new])
    others = {key: each for key, each in choices.shown.items() if key.namespace not in scope.namespaces}
    choices.shown = {**others, **chosen}
    return Sampled(series=shown, limits=known)


def _key(metric: Mapping[str, str], scope: Scope) -> SeriesKey | None:
    labels = scope.labels
    pod = metric.get(labels.pod)
    namespace = scope.namespace or metric.get(labels.namespace)
    return SeriesKey(namespace, pod, metric.get(labels.container, "")) if pod and namespace else None


def _identity(metric: Mapping[str, str]) -> Identity:
    return frozenset(item for item in metric.items() if item[0] not in _NOT_IDENTITY)


def _points(series: RawSeries, scope: Scope) -> Points | None:
    """Its finite points up to the end of the range, in order of time; None where there is none."""
    samples = series.values or ([series.value] if series.value is not None else [])
    try:
        t = np.array([sample[0] for sample in samples], dtype=np.float64)
        v = np.array([float(sample[1]) for sample in samples], dtype=np.float64)
    except ValueError:
        raise BadResponse from None
    good = np.isfinite(v) & np.isfinite(t) & (t <= scope.until)
    if scope.drop_zeros:
        good &= v != 0
    t, v = t[good], v[good]
    if not t.size:
        return None
    if np.any(np.diff(t) <= 0):
        t, v = _highest(t, v)
    return Points(t=t, v=v)


def _highest(t: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In order of time; of several values at one moment the highest."""
    order = np.lexsort((v, t))
    t, v = t[order], v[order]
    last = np.append(t[1:] != t[:-1], True)
    return t[last], v[last]


class _Limits:
    """The limits, found by the whole label set of the value's series."""

    def __init__(self, series: Sequence[RawSeries], scope: Scope) -> None:
        self._exact: dict[tuple[SeriesKey, Identity], float | None] = {}
        self._of_key: dict[SeriesKey, set[float | None]] = {}
        for each in series:
            key = _key(each.metric, scope)
            sample = each.value if each.value is not None else each.values[-1] if each.values else None
            if key is None or sample is None:
                continue
            try:
                limit = real_limit(float(sample[1]))
            except ValueError:
                raise BadResponse from None
            self._exact[key, _identity(each.metric)] = limit
            self._of_key.setdefault(key, set()).add(limit)

    def of(self, key: SeriesKey, identity: Identity) -> float | None:
        """Where no limit has these labels, the one that all limits of the key agree on; never one of several."""
        if (key, identity) in self._exact:
            return self._exact[key, identity]
        of_key = self._of_key.get(key, set())
        return next(iter(of_key)) if len(of_key) == 1 else None


def _reduce(several: Sequence[_Candidate], before: Identity | None) -> _Candidate:
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
