"""The readings of many series between ticks, in half of the memory that arrays of doubles need.

A source is usually read at the same moments for all series, so of each reading the number of its moment is stored, and the
moments once. Values that are exact as 32-bit numbers, as counts and memory in pages are, are stored as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.model.readings import Counts, Floats, Points, SeriesBlock, SeriesKey

PART = 1 << 14  # series that are stored, and worked on, at a time
_MOMENTS = 1 << 16  # that a number of 16 bits can tell apart


@dataclass(frozen=True, slots=True)
class _Part:
    ends: NDArray[np.int32]  # of the readings of each series
    moments: Floats  # ascending; epoch s
    # Of each reading the place of its moment; None where there are too many moments, and `moments` has one for each.
    which: NDArray[np.uint16] | None
    v: NDArray[Any]

    @classmethod
    def of(cls, sizes: Counts, t: Floats, v: Floats) -> _Part:
        ends = np.cumsum(sizes).astype(np.int32)
        short = v.astype(np.float32) if np.abs(v).max(initial=0.0) < np.finfo(np.float32).max else v
        if not np.array_equal(short, v):
            short = v.copy()
        moments = np.unique(t)
        if len(moments) > _MOMENTS:
            return cls(ends, t.copy(), None, short)
        return cls(ends, moments, np.searchsorted(moments, t).astype(np.uint16), short)

    def readings(self, part: slice) -> tuple[Floats, Floats]:
        t = self.moments[part] if self.which is None else self.moments[self.which[part]]
        return t, self.v[part].astype(np.float64)

    @property
    def nbytes(self) -> int:
        return self.ends.nbytes + self.moments.nbytes + self.v.nbytes + (0 if self.which is None else self.which.nbytes)


class StoredSeries:
    """The series of a list of names."""

    __slots__ = ("_parts", "names")

    def __init__(self, names: Sequence[SeriesKey], parts: Sequence[tuple[Counts, Floats, Floats]] = ()) -> None:
        """`parts`: sizes, times and values of `PART` series after the other."""
        self.names = names
        self._parts = [_Part.of(*part) for part in parts]

    @property
    def nbytes(self) -> int:
        """Of the readings, without the names."""
        return sum(part.nbytes for part in self._parts)

    def at(self, place: int) -> Points:
        part = self._parts[place // PART]
        place %= PART
        t, v = part.readings(slice(int(part.ends[place - 1]) if place else 0, int(part.ends[place])))
        return Points(t, v)

    def newest(self) -> tuple[Floats, Floats]:
        """Time and value of the newest reading of each series; NaN where it has none."""
        t, v = np.full(len(self.names), np.nan), np.full(len(self.names), np.nan)
        for number, part in enumerate(self._parts):
            there = np.flatnonzero(np.diff(part.ends, prepend=0))
            last = part.ends[there] - 1
            t[number * PART + there] = part.moments[last if part.which is None else part.which[last]]
            v[number * PART + there] = part.v[last]
        return t, v

    def pick(self, places: Counts) -> SeriesBlock:
        """The series at some places, in the order of these, without their names."""
        sizes, t, v = np.zeros(len(places), np.int64), [np.empty(0)], [np.empty(0)]
        for number, mine in _runs(places // PART):
            part = self._parts[number]
            ends = part.ends.astype(np.int64)
            within, sizes[mine] = _readings_at(ends, np.diff(ends, prepend=0), places[mine] % PART)
            some = part.readings(within)
            t.append(some[0])
            v.append(some[1])
        return SeriesBlock((), sizes, np.concatenate(t), np.concatenate(v))


def picked(block: SeriesBlock, places: Counts) -> SeriesBlock:
    """The series of a block at some places, in the order of these, without their names."""
    if len(places) == len(block.names) and np.array_equal(places, np.arange(len(places))):
        return block
    which, sizes = _readings_at(block.ends(), block.sizes, places)
    return SeriesBlock((), sizes, block.t[which], block.v[which])


def _runs(of: Counts) -> Iterator[tuple[int, slice]]:
    """The runs of equal numbers."""
    edges = [0, *(np.flatnonzero(of[1:] != of[:-1]) + 1).tolist(), len(of)] if len(of) else []
    for begin, end in pairwise(edges):
        yield int(of[begin]), slice(begin, end)


def _readings_at(ends: Counts, sizes: Counts, places: Counts) -> tuple[Any, Counts]:
    """The places of the readings of some series, one after the other, and how many each has."""
    wanted = sizes[places]
    if len(places) and int(places[-1]) - int(places[0]) == len(places) - 1 and np.all(np.diff(places) == 1):
        return slice(int(ends[places[0]] - sizes[places[0]]), int(ends[places[-1]])), wanted
    begins = ends[places] - wanted
    to = np.cumsum(wanted)
    total = int(to[-1]) if len(to) else 0
    return np.arange(total) + np.repeat(begins - (to - wanted), wanted), wanted
