"""Readings: what was measured, or why it was not. Absent, failed and measured are different types.

A gauge that was not scraped is not zero, and a query that failed is not an empty answer; every
function that consumes readings has to say what it does with each of the three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    """An answer with data. `limits` holds the latest limit for the keys that have one."""

    series: Mapping[SeriesKey, Points]
    limits: Mapping[SeriesKey, float]


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
