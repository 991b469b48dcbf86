"""The pods and containers that the series of an answer belong to, found by the bytes of their label sets."""

from __future__ import annotations

import hashlib
import math
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from leakwarden.adapters.prometheus.decoding import SentSeries, label_set
from leakwarden.core.model.readings import Counts, SeriesKey
from leakwarden.core.signals.catalogue import Labels

# Labels by which the series of a value and of its limit differ although they belong together: the name, and the labels
# that select one of several values of one thing (`status="inuse"`, `ulimit="max_open_files"`).
_NOT_IDENTITY = frozenset({"__name__", "status", "state", "ulimit"})
_LISTS = 64  # lists of names that are kept, so that equal ones are one object
_ANSWERS = 512  # lists of label sets; a query that is answered in parts has one for each part


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The pod and container of a series, and its labels as JSON, which distinguish it from others of the same container;
    empty where it has no others than those of the key."""

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


@dataclass(eq=False, slots=True)
class Kept:
    """The series of an answer that count."""

    which: NDArray[np.bool_]  # of the answer's series
    origins: list[Origin]
    names: list[SeriesKey]
    unique: bool  # whether no two have one name

    @classmethod
    def of(cls, which: NDArray[np.bool_], origins: list[Origin]) -> Kept:
        names = [origin.key for origin in origins]
        return cls(which, origins, names, len(set(names)) == len(names))


class Found:
    """The origins of a list of label sets, None where no pod or no namespace is named; and what was found out about them
    as long as the same list is sent, as in most ticks. Several threads may ask at once: each uses what it has looked up."""

    def __init__(self, origins: list[Origin | None]) -> None:
        self.origins = origins
        self._asked: tuple[frozenset[str] | None, NDArray[np.bool_]] | None = None
        self._kept: Kept | None = None
        self._limits: tuple[Kept, Counts | None] | None = None

    def asked(self, namespaces: frozenset[str] | None) -> NDArray[np.bool_]:
        """Whether each is of a pod of these namespaces; None stands for everything."""
        known = self._asked
        if known is None or known[0] != namespaces:
            of = [namespaces is None or (each is not None and each.key[0] in namespaces) for each in self.origins]
            known = self._asked = (namespaces, np.array(of, dtype=np.bool_))
        return known[1]

    def kept(self, which: NDArray[np.bool_], one_list: Callable[[list[SeriesKey]], list[SeriesKey]]) -> Kept:
        """`one_list`: the names, as the same object as before where they are equal."""
        kept = self._kept
        if kept is None or not np.array_equal(kept.which, which):
            nobody = Origin(SeriesKey("", ""), b"")
            kept = Kept.of(which, [self.origins[place] or nobody for place in np.flatnonzero(which).tolist()])
            kept.names = one_list(kept.names)
            self._kept = kept
        return kept

    def limits_beside(self, kept: Kept) -> Counts | None:
        """The place here of the limit of each value; None where not each of them has exactly one."""
        known = self._limits
        if known is None or known[0] is not kept:
            place_of = {origin: place for place, origin in enumerate(self.origins) if origin is not None}
            once = len(place_of) == len(self.origins) - self.origins.count(None)
            places = [place_of.get(origin, -1) for origin in kept.origins] if once else [-1]
            known = self._limits = (kept, None if min(places, default=0) < 0 else np.array(places, dtype=np.int64))
        return known[1]


class Origins:
    """The origins of label sets, computed once for each and then found by the bytes that were sent, as long as they are
    sent; and those of whole lists, found by their digests. Used by several threads."""

    def __init__(self) -> None:
        # By the namespace that overrides the label, and the label set as it was sent.
        self._found: dict[str | None, dict[bytes, Origin | None]] = {}
        self._before: dict[str | None, dict[bytes, Origin | None]] = {}  # those of the time before `_since`
        self._since = -math.inf  # epoch s
        self._origins: dict[tuple[SeriesKey, bytes], Origin] = {}
        self._lists: list[list[SeriesKey]] = []
        self._answers: dict[tuple[str | None, bytes], Found] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(len(each) for known in (self._found, self._before) for each in known.values())

    def of(self, series: SentSeries, scope: Scope) -> Found:
        """The origin of each series. Raises BadResponse."""
        # JSON has no bare zero byte, so two lists that are joined alike are alike.
        digest = hashlib.blake2b(b"\0".join(series.labels), digest_size=16).digest()
        with self._lock:
            if scope.until - self._since >= _REMEMBERED:
                self._forget_what_is_not_sent()
                self._since = scope.until
            if len(self) > 16 * len(series) + 1_000_000:
                self._forget_what_is_not_sent()
                self._before = {}  # label sets that are new each time
            same = self._answers.pop((scope.namespace, digest), None)
            if same is None:
                same = Found(self._each(series, scope))
                if len(self._answers) >= _ANSWERS:
                    del self._answers[next(iter(self._answers))]
            self._answers[scope.namespace, digest] = same  # the latest last
            return same

    def _forget_what_is_not_sent(self) -> None:
        self._before, self._found, self._origins, self._answers = self._found, {}, {}, {}

    def _each(self, series: SentSeries, scope: Scope) -> list[Origin | None]:
        known = self._found.setdefault(scope.namespace, {})
        found = []
        for sent in series.labels:
            try:
                found.append(known[sent])
            except KeyError:
                found.append(self._look(sent, scope, known))
        return found

    def one_list(self, names: list[SeriesKey]) -> list[SeriesKey]:
        """The names, as the same object as before where they are equal."""
        with self._lock:
            for known in self._lists:
                if known is names or known == names:
                    return known
            self._lists = [names, *self._lists[: _LISTS - 1]]
            return names

    def _look(self, sent: bytes, scope: Scope, known: dict[bytes, Origin | None]) -> Origin | None:
        before = self._before.get(scope.namespace, {})
        origin = before[sent] if sent in before else _origin(sent, scope)
        if origin is not None:
            # One object for all label sets of the same origin: limits are often sent with other labels than values.
            origin = self._origins.setdefault((origin.key, origin.identity), origin)
        known[sent] = origin
        return origin


def _origin(sent: bytes, scope: Scope) -> Origin | None:
    """None where no pod or no namespace is named. Raises BadResponse."""
    metric = label_set(sent)
    key = _key(metric, scope)
    if key is None:
        return None
    known = {name: metric[name] for name in sorted(metric) if name not in _NOT_IDENTITY}
    labels = scope.labels
    if scope.namespace is None and known.keys() == {labels.namespace, labels.pod, labels.container}:
        return Origin(key, b"")  # the key says all; of a hundred thousand pods the JSON would take 20 MB
    return Origin(key, msgspec.json.encode(known))


def _key(metric: Mapping[str, str], scope: Scope) -> SeriesKey | None:
    labels = scope.labels
    pod = metric.get(labels.pod)
    namespace = scope.namespace or metric.get(labels.namespace)
    if not pod or not namespace:
        return None
    return SeriesKey(sys.intern(namespace), sys.intern(pod), sys.intern(metric.get(labels.container, "")))
