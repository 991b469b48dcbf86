"""Readings: what was measured, or why it was not. Absent, failed and measured are different types.

A gauge that was not scraped is not zero, and a query that failed is not an empty answer; every
function that consumes readings has to say what it does with each of the three.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]


class SeriesKey(NamedTuple):
    """Whose reading it is. `container` is empty where the source does not say."""

    namespace: str
    pod: str
    container: str = ""


@dataclass(frozen=True, slots=True)
class Points:
    """One series: `t` epoch seconds, ascending; `v` the values in the signal's unit. Equal lengths, no NaN."""

    t: Floats
    v: Floats


class SeriesBlock(Mapping[SeriesKey, Points]):
    """Many series in two arrays, one after the other: tens of thousands of `Points` cost more time and memory than
    what they hold.

    Whoever handles all series takes the arrays; as a mapping it makes the `Points` that are asked for, as views. Equal
    lists of names should be one object, so that what was found out about them can be remembered by it.
    """

    __slots__ = ("_at", "_ends", "names", "sizes", "t", "v")

    def __init__(self, names: Sequence[SeriesKey], sizes: Counts, t: Floats, v: Floats) -> None:
        """`names`: of each series, no two alike. `sizes`: points of each. `t` (epoch s, ascending within a series) and `v`
        (finite, in the signal's unit): the points of all series, in the order of `names`."""
        self.names = names
        self.sizes = sizes
        self.t = t
        self.v = v
        self._ends: Counts | None = None
        self._at: dict[SeriesKey, int] | None = None

    @classmethod
    def of(cls, series: Mapping[SeriesKey, Points]) -> SeriesBlock:
        """The same series as a block."""
        if isinstance(series, SeriesBlock):
            return series
        parts = list(series.values())
        return cls(
            list(series),
            np.array([part.t.size for part in parts], dtype=np.int64),
            np.concatenate([part.t for part in parts]) if parts else np.empty(0),
            np.concatenate([part.v for part in parts]) if parts else np.empty(0),
        )

    @classmethod
    def together(cls, blocks: Sequence[SeriesBlock]) -> SeriesBlock:
        """One block of several that have no name in common."""
        if len(blocks) == 1:
            return blocks[0]
        return cls(
            [name for block in blocks for name in block.names],
            np.concatenate([np.empty(0, np.int64), *(block.sizes for block in blocks)]),
            np.concatenate([np.empty(0), *(block.t for block in blocks)]),
            np.concatenate([np.empty(0), *(block.v for block in blocks)]),
        )

    def ends(self) -> Counts:
        """Where in the arrays each series ends."""
        if self._ends is None:
            self._ends = np.cumsum(self.sizes)
        return self._ends

    def at(self, place: int) -> Points:
        """The series at a place of `names`."""
        end = int(self.ends()[place])
        part = slice(end - int(self.sizes[place]), end)
        return Points(self.t[part], self.v[part])

    def __getitem__(self, key: SeriesKey) -> Points:
        if self._at is None:
            self._at = {name: place for place, name in enumerate(self.names)}
        return self.at(self._at[key])

    def __iter__(self) -> Iterator[SeriesKey]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class LimitBlock(Mapping[SeriesKey, float]):
    """The limits of many series: an array beside their names. As a mapping it has those that are known."""

    __slots__ = ("_at", "limits", "names")

    def __init__(self, names: Sequence[SeriesKey], limits: Floats) -> None:
        """`limits`: in the signal's unit, in the order of `names`; NaN where there is none."""
        self.names = names
        self.limits = limits
        self._at: dict[SeriesKey, int] | None = None

    @classmethod
    def of(cls, limits: Mapping[SeriesKey, float]) -> LimitBlock:
        """The same limits as a block."""
        if isinstance(limits, LimitBlock):
            return limits
        return cls(list(limits), np.array(list(limits.values()), dtype=np.float64))

    def __getitem__(self, key: SeriesKey) -> float:
        if self._at is None:
            known = np.flatnonzero(~np.isnan(self.limits)).tolist()
            self._at = {self.names[place]: place for place in known}
        return float(self.limits[self._at[key]])

    def __iter__(self) -> Iterator[SeriesKey]:
        return (name for name, limit in zip(self.names, self.limits.tolist(), strict=True) if limit == limit)

    def __len__(self) -> int:
        return int(np.count_nonzero(~np.isnan(self.limits)))


def limits_beside(names: Sequence[SeriesKey], limits: Mapping[SeriesKey, float]) -> Floats:
    """The limits of these series, NaN where there is none."""
    if isinstance(limits, LimitBlock) and limits.names is names:
        return limits.limits
    return np.array([limits.get(name, np.nan) for name in names], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Sampled:
    """An answer with data. `limits` holds the latest limit for the keys that have one; `failed` the namespaces of which the
    source did not answer, although it did of the others."""

    series: Mapping[SeriesKey, Points]
    limits: Mapping[SeriesKey, float]
    failed: Mapping[str, QueryFailed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoData:
    """The source answered, and had nothing. `reason` is a CamelCase constant, `message` one line for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class QueryFailed:
    """The source did not answer. `message` never holds the upstream's own text, which may carry secrets."""

    reason: str
    message: str


Answer: TypeAlias = Sampled | NoData | QueryFailed


@dataclass(frozen=True, slots=True)
class Query:
    """One signal, for all pods of `namespaces`: asked once, whoever needs it.

    `value` and `limit` are PromQL templates with `<<matchers>>` where label matchers belong for the
    built-in signals, or complete confined PromQL for a user's own; the kubelet source looks at `key`.
    """

    key: str  # the signal's name in the catalogue, or a policy's own
    value: str
    limit: str | None
    namespaces: frozenset[str]
    confined: bool = False  # True: `value` is a user's PromQL, already parsed and confined
