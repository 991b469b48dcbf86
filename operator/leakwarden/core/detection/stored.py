"""The readings of many series between ticks, in less than half of the memory that arrays of doubles need.

A source is usually read at the same moments for all series, so of each reading the number of its moment is stored, and the
moments once. Where all series of a part have a reading at each moment not even that is needed. Values that are exact as
32-bit numbers, as counts and memory in pages are, are stored as such.

The readings of a tick are stored in a piece of their own. Only every few ticks are pieces put together again, since that
takes work on all readings.
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
PIECES = 8  # of which the readings of a part consist at the most
# In s. Of a longer hole the last point before it is kept for as long as the first point after it: otherwise a hole as
# long as the lookback would leave no trace, and readings that have just come back would look complete.
HOLE = 60.0
_MOMENTS = 1 << 16  # that a number of 16 bits can tell apart


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some readings of each series of a part."""

    count: int  # of series
    # The ends of the readings of each series; None where each series has a reading at each of the moments.
    ends: NDArray[np.int32] | None
    moments: Floats  # ascending; epoch s
    # Of each reading the place of its moment; None where there are too many moments, and `moments` has one for each.
    which: NDArray[np.uint16] | None
    v: NDArray[Any]

    @classmethod
    def of(cls, sizes: Counts, t: Floats, v: Floats) -> _Piece:
        short = v.astype(np.float32) if np.abs(v).max(initial=0.0) < np.finfo(np.float32).max else v
        if not np.array_equal(short, v):
            short = v.copy()
        each = int(sizes[0]) if len(sizes) else 0
        if each and np.all(sizes == each) and np.all(t.reshape(-1, each) == t[:each]):
            return cls(len(sizes), None, t[:each].copy(), None, short)
        ends = np.cumsum(sizes).astype(np.int32)
        moments = np.unique(t)
        if len(moments) > _MOMENTS:
            return cls(len(sizes), ends, t.copy(), None, short)
        return cls(len(sizes), ends, moments, np.searchsorted(moments, t).astype(np.uint16), short)

    def bounds(self) -> tuple[Counts, Counts]:
        """Where the readings of each series end, and how many there are."""
        if self.ends is None:
            sizes = np.full(self.count, len(self.moments), np.int64)
            return np.cumsum(sizes), sizes
        ends = self.ends.astype(np.int64)
        return ends, np.diff(ends, prepend=0)

    def of_series(self, place: int) -> tuple[Floats, Floats]:
        if self.ends is None:
            each = len(self.moments)
            return self.moments, self.v[place * each : (place + 1) * each].astype(np.float64)
        return self.readings(slice(int(self.ends[place - 1]) if place else 0, int(self.ends[place])))

    def readings(self, part: slice | Counts) -> tuple[Floats, Floats]:
        if self.ends is None:
            every = np.tile(self.moments, self.count)
            return every[part], self.v[part].astype(np.float64)
        t = self.moments[part] if self.which is None else self.moments[self.which[part]]
        return t, self.v[part].astype(np.float64)

    @property
    def nbytes(self) -> int:
        arrays = (self.ends, self.moments, self.which, self.v)
        return sum(array.nbytes for array in arrays if array is not None)


class StoredSeries:
    """The series of a list of names. Never changed; `followed_by` gives the next state."""

    __slots__ = ("_cutoff", "_newest", "_parts", "names")

    def __init__(self, names: Sequence[SeriesKey], parts: Sequence[tuple[Counts, Floats, Floats]] = ()) -> None:
        """`parts`: sizes, times and values of `PART` series after the other."""
        self.names = names
        self._parts: list[tuple[_Piece, ...]] = [(_Piece.of(*part),) for part in parts]
        # Epoch s for each series, before which its readings do not count any more (see `recent`); None where all that are
        # stored count.
        self._cutoff: Cutoff | None = None
        self._newest: tuple[Floats, Floats] | None = None

    @property
    def nbytes(self) -> int:
        """Of the readings, without the names."""
        return sum(piece.nbytes for part in self._parts for piece in part)

    def at(self, place: int) -> Points:
        found = [piece.of_series(place % PART) for piece in self._parts[place // PART]]
        t, v = found[0] if len(found) == 1 else tuple(np.concatenate(each) for each in zip(*found, strict=True))
        if self._cutoff is not None:
            first = int(np.searchsorted(t, self._cutoff.of(place)))
            if 0 < first < t.size and t[first] - t[first - 1] > HOLE:
                first -= 1
            t, v = t[first:], v[first:]
        return Points(t, v)

    def newest(self) -> tuple[Floats, Floats]:
        """Time and value of the newest reading of each series; NaN where it has none. Not to be changed."""
        if self._newest is None:
            t, v = np.full(len(self.names), np.nan), np.full(len(self.names), np.nan)
            for number, part in enumerate(self._parts):
                for piece in part:
                    ends, sizes = piece.bounds()
                    there = np.flatnonzero(sizes)
                    at = number * PART + there
                    t[at], v[at] = piece.readings(ends[there] - 1)
            self._newest = (t, v)
        return self._newest

    def pick(self, places: Counts) -> SeriesBlock:
        """The series at some places, in the order of these, without their names."""
        rows, times, values = [np.empty(0, np.int64)], [np.empty(0)], [np.empty(0)]
        for number, mine in _runs(places // PART):
            for piece in self._parts[number]:
                ends, sizes = piece.bounds()
                within, wanted = _readings_at(ends, sizes, places[mine] % PART)
                t, v = piece.readings(within)
                rows.append(np.repeat(np.arange(mine.start, mine.stop), wanted))
                times.append(t)
                values.append(v)
        row, t, v = np.concatenate(rows), np.concatenate(times), np.concatenate(values)
        if any(len(part) > 1 for part in self._parts):
            order = np.argsort(row, kind="stable")  # pieces are in order of time
            row, t, v = row[order], t[order], v[order]
        if self._cutoff is not None:
            counts = recent(row, t, self._cutoff.of(places)[row])
            row, t, v = row[counts], t[counts], v[counts]
        return SeriesBlock((), np.bincount(row, minlength=len(places)).astype(np.int64), t, v)

    def followed_by(
        self, new: SeriesBlock, earliest: Floats, cutoff: Cutoff, *, pieces: int = PIECES
    ) -> StoredSeries | None:
        """The same series with the later ones of these readings, which are of the same series. None where all have to be
        put together again.

        `earliest`: epoch s, of each series; earlier readings do not count. `cutoff`: of each series. `pieces`: the most that
        there may be of a part."""
        t, v = self.newest()
        latest = np.where(np.isnan(t), -np.inf, t)
        every = np.repeat(np.arange(len(self.names)), new.sizes)
        comes = np.flatnonzero((new.t > latest[every]) & (new.t >= earliest[every]))
        row, later, values = every[comes], new.t[comes], new.v[comes]
        last = np.flatnonzero(np.append(row[1:] != row[:-1], True)) if len(row) else row
        latest[row[last]] = later[last]
        if self._cutoff is not None:
            cutoff = cutoff.not_before(self._cutoff)
        # Where nothing is recent, what is stored is forgotten now: later readings would make it count again.
        if np.any(latest < cutoff.of_each()):
            return None
        parts = self._parts
        if len(row):
            if any(len(part) >= pieces for part in parts):
                return None
            parts = []
            for number, part in enumerate(self._parts):
                begin, end = np.searchsorted(row, (number * PART, (number + 1) * PART)).tolist()
                sizes = np.bincount(row[begin:end] - number * PART, minlength=part[0].count).astype(np.int64)
                parts.append((*part, _Piece.of(sizes, later[begin:end], values[begin:end])))
        found = StoredSeries(self.names)
        found._parts, found._cutoff = parts, cutoff
        newest_v = v.copy()
        newest_v[row[last]] = values[last]
        found._newest = (np.where(np.isinf(latest), np.nan, latest), newest_v)
        return found


@dataclass(frozen=True, slots=True)
class Cutoff:
    """A moment for each series, by its namespace."""

    of_namespace: Floats  # epoch s
    namespaces: NDArray[np.intp]  # of each series, the place of its namespace

    def of(self, places: Any) -> Any:
        return self.of_namespace[self.namespaces[places]]

    def of_each(self) -> Floats:
        return self.of_namespace[self.namespaces]

    def not_before(self, other: Cutoff) -> Cutoff:
        """`other`: of the same namespaces."""
        return Cutoff(np.maximum(self.of_namespace, other.of_namespace), self.namespaces)


def recent(row: Counts, t: Floats, cutoff: Floats) -> NDArray[np.bool_]:
    """Of readings sorted by row and time those from their cutoff on, and the one before a hole that they begin with."""
    found = t >= cutoff
    first = np.flatnonzero(found[1:] & ~found[:-1] & (row[1:] == row[:-1]))
    found[first[t[first + 1] - t[first] > HOLE]] = True
    return found


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
