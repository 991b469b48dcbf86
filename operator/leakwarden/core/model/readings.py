"""Readings: what was measured, or why it was not. Absent, failed and measured are different types.

A gauge that was not scraped is not zero, and a query that failed is not an empty answer; every
function that consumes readings has to say what it does with each of the three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


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
