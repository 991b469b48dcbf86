"""Buckets of several widths for many rows, each stored once.

The finest level holds the 26 newest buckets: the one being filled, one that a late tick may still complete, and 24 for the
window. A bucket that leaves a level is merged into the bucket of the next one that contains it. So a coarse level only
holds what is older than all finer ones, and a window of a coarse width is put together from its own level and the
finer ones. That takes 142 places instead of 182, and most ticks write to the finest level only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# 1 min is the widest bucket that still gives ten floors of a leak that is over in 20 minutes; a rank statistic needs
# 24 buckets for a slope within about 10 % at the noise of the bench.
WIDTHS = (*(60.0 * 3**k for k in range(6)), 86_400.0)
SLOTS = 24
_DAY = len(WIDTHS) - 1
_DAY_OF = 2  # days are made of whole buckets of nine minutes
_HELD = SLOTS + 2  # buckets of a width that are known: the window, the one being filled, and a late one
# Places of each level. 26 buckets of the next finer width contain eight whole ones, which need no place.
_PLACES = (_HELD, *[_HELD - 8] * (_DAY - 1), _HELD)
_OFFSETS = tuple(int(n) for n in np.cumsum((0, *_PLACES)))
PLACES = _OFFSETS[-1]  # of each row together
_TIMES = tuple(int(wide / fine) for fine, wide in pairwise(WIDTHS))
_DAY_TIMES = int(WIDTHS[_DAY] / WIDTHS[_DAY_OF])
_BACK = np.arange(-SLOTS, 0, dtype=np.int32)[:, None]

Array: TypeAlias = NDArray[Any]
Rows: TypeAlias = NDArray[np.int32] | NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Kind:
    """A number that is stored of each bucket."""

    type: type  # zero stands for a bucket without readings
    merge: np.ufunc  # of two buckets of the same time


@dataclass(frozen=True, slots=True)
class Items:
    """Buckets of one width: one entry for each row and bucket, in any order."""

    row: Rows
    bucket: Rows
    values: tuple[Array, ...]  # of each kind

    def pick(self, which: NDArray[np.bool_]) -> Items:
        at = np.flatnonzero(which)
        if len(at) == len(which):
            return self
        return Items(self.row.take(at), self.bucket.take(at), tuple(each.take(at) for each in self.values))

    def with_(self, others: Items) -> Items:
        if not len(others.row):
            return self
        if not len(self.row):
            return others
        return Items(
            np.concatenate([self.row, others.row]),
            np.concatenate([self.bucket, others.bucket]),
            tuple(np.concatenate(pair) for pair in zip(self.values, others.values, strict=True)),
        )

    def of_width(self, times: int, kinds: Sequence[Kind]) -> Items:
        """The same in buckets that are so many times as wide. Adjacent items of one bucket become one."""
        bucket = self.bucket // times
        if len(bucket) < 2:
            return Items(self.row, bucket, self.values)
        first = np.flatnonzero(np.append(True, (bucket[1:] != bucket[:-1]) | (self.row[1:] != self.row[:-1])))
        merged = (kind.merge.reduceat(values, first) for kind, values in zip(kinds, self.values, strict=True))
        return Items(self.row.take(first), bucket.take(first), tuple(merged))


def _ends(newest: Array) -> Iterator[Array]:
    """The newest bucket that each level may hold, of rows whose newest bucket of the finest width is given; below zero
    where the level holds nothing."""
    last = newest
    day = newest
    for level in range(_DAY):
        yield last
        if level == _DAY_OF:
            day = (last - _PLACES[level]) // _DAY_TIMES
        if level < _DAY - 1:
            last = (last - _PLACES[level]) // _TIMES[level]
    yield day


def _end(level: int, newest: Array) -> Array:
    """The same of one level."""
    end = newest
    for finer in _chain(level):
        end = (end - _PLACES[finer]) // (_DAY_TIMES if finer == _DAY_OF and level == _DAY else _TIMES[finer])
    return end


def _chain(level: int) -> Sequence[int]:
    """The finer levels whose buckets are part of those of a level."""
    return range(_DAY_OF + 1) if level == _DAY else range(level)


def _times(fine: int, wide: int) -> int:
    """Buckets of a width in one of a wider one."""
    return int(3 ** (_DAY_OF - fine)) * _DAY_TIMES if wide == _DAY else int(3 ** (wide - fine))


class Levels:
    """The buckets of all levels of each row: for each kind a (place, row) array, so that the values of all rows at one
    time are adjacent. `used`: the kind that is zero exactly where a bucket has no reading.

    Memory of buckets that were never written is not in use yet: the system gives it when it is written, so nothing here
    writes zeros where there are zeros.
    """

    def __init__(self, kinds: Sequence[Kind], used: int, rows: int = 0) -> None:
        self.kinds = tuple(kinds)
        self._used = used
        self.newest: NDArray[np.int32] = np.full(rows, -1, np.int32)  # bucket of the finest width, of each row
        self.arrays: list[Array] = [np.zeros((PLACES, rows), kind.type) for kind in self.kinds]

    @property
    def rows(self) -> int:
        return len(self.newest)

    def grow(self, rows: int) -> None:
        more = rows - self.rows
        self.newest = np.concatenate([self.newest, np.full(more, -1, np.int32)])
        for number, kind in enumerate(self.kinds):  # one after the other, so that only one array exists twice
            wider: Array = np.zeros((PLACES, rows), kind.type)
            for place, values in enumerate(self.arrays[number]):
                if values.any():
                    wider[place, : rows - more] = values
            self.arrays[number] = wider

    def keep(self, rows: Rows) -> None:
        self.newest = self.newest.take(rows)
        for number in range(len(self.arrays)):
            self.arrays[number] = self.arrays[number].take(rows, axis=1)

    def write(self, items: Items, upto: tuple[Rows, Rows] | None = None) -> None:
        """Merge buckets of the finest width. `upto`: rows and their newest buckets, where these are not of `items`."""
        rows, bucket = upto or (items.row, items.bucket)
        # Readings come sorted by row, so of several of a row it is enough to look at where the rows change.
        heads = np.flatnonzero(np.append(True, rows[1:] != rows[:-1])) if len(rows) else np.zeros(0, np.int64)
        who: Array = rows[heads]
        if np.any(who[1:] <= who[:-1]):
            who = np.unique(who)
        before = self.newest[who]
        np.maximum.at(self.newest, rows, bucket.astype(np.int32))
        moved = np.flatnonzero((self.newest[who] > before) & (before >= 0))
        self._pass_on(items, who[moved], before[moved])

    def _pass_on(self, items: Items, who: Rows, before: Array) -> None:
        """Write to the finest level, and to each next one what has left the one before. `who`: the rows whose newest
        bucket has changed, and the one that it was `before`."""
        coming = items.pick(items.bucket >= 0)
        ends = zip(_ends(before), _ends(self.newest[who]), strict=True)
        of_days: Items | None = None
        for level, (was, now) in enumerate(ends):
            if level == _DAY:
                coming = of_days if of_days is not None else coming.pick(np.zeros(len(coming.row), np.bool_))
            left = self._left(level, who, was, now)
            if len(coming.row):
                stays = coming.bucket > _end(level, self.newest[coming.row]) - _PLACES[level]
                self._merge(level, coming.pick(stays))
                left = coming.pick(~stays).with_(left)
            if level == _DAY_OF:
                of_days = left.of_width(_DAY_TIMES, self.kinds)
            if level < _DAY - 1:
                coming = left.of_width(_TIMES[level], self.kinds)

    def _merge(self, level: int, items: Items) -> None:
        at = (items.bucket % _PLACES[level] + _OFFSETS[level]) * self.rows + items.row
        for array, kind, values in zip(self.arrays, self.kinds, items.values, strict=True):
            kind.merge.at(array.reshape(-1), at, values)

    def _left(self, level: int, who: Rows, was: Array, now: Array) -> Items:
        """Take out the buckets that are too old for a level, of rows whose newest one moved from `was` to `now`."""
        places = _PLACES[level]
        first = np.maximum(was.astype(np.int64) - places + 1, 0)
        last = np.minimum(now.astype(np.int64) - places, was)
        found: list[Items] = []
        some = np.flatnonzero(last >= first)
        while len(some):
            row, bucket = who[some], first[some]
            at = (bucket % places + _OFFSETS[level]) * self.rows + row
            there = self.arrays[self._used].reshape(-1)[at] != 0
            row, bucket, at = row[there], bucket[there], at[there]
            values = tuple(array.reshape(-1)[at] for array in self.arrays)
            for array in self.arrays:
                array.reshape(-1)[at] = 0
            found.append(Items(row, bucket, values))
            first[some] += 1
            some = some[first[some] <= last[some]]
        nothing = np.zeros(0, np.int64)
        left = Items(nothing, nothing, tuple(np.zeros(0, kind.type) for kind in self.kinds))
        for each in found:
            left = each.with_(left)
        return left

    def window(self, level: int, rows: Rows, current: Rows) -> list[Array]:
        """Of each kind a (24, rows) array: the buckets of a width before `current`, oldest first."""
        newest = self.newest[rows].astype(np.int32)
        ends = list(_ends(newest))
        known = newest // _times(0, level) if level else newest  # the newest bucket of this width
        wanted = current.astype(np.int32) + _BACK
        oldest = np.maximum(np.maximum(ends[level] - _PLACES[level], known - _HELD), -1)
        at = ((wanted % _PLACES[level]) + _OFFSETS[level]).astype(np.int64) * self.rows + rows
        there = (wanted <= ends[level]) & (wanted > oldest)
        found = []
        for array in self.arrays:
            values = array.reshape(-1).take(at)
            values[~there] = 0
            found.append(values)
        for fine in _chain(level):
            back = np.arange(_PLACES[fine], dtype=np.int32)[:, None]
            bucket = ends[fine] - back
            to = bucket // _times(fine, level) - wanted[0]
            counts = np.flatnonzero((bucket >= 0) & (to >= 0) & (to < SLOTS))
            bucket, to = bucket.reshape(-1)[counts], to.reshape(-1)[counts].astype(np.int64)
            of = counts % max(len(rows), 1)
            at = (bucket % _PLACES[fine] + _OFFSETS[fine]).astype(np.int64) * self.rows + rows[of]
            place = to * len(rows) + of
            for array, kind, values in zip(self.arrays, self.kinds, found, strict=True):
                kind.merge.at(values.reshape(-1), place, array.reshape(-1).take(at))
        return found
