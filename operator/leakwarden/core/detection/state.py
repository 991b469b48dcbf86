"""The detector's memory: one row for each incarnation of each process, and the past of each workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.detection.rollups import WIDTHS, Bools, Cascade, Ints, Shorts
from leakwarden.core.model.readings import Floats

_S = len(WIDTHS)


class Key(NamedTuple):
    """One incarnation of one process, and the signal that was measured."""

    namespace: str
    workload: str
    pod: str
    uid: str
    container: str
    signal: str
    start: float  # epoch s of the process's start
    # Whether the signal is memory, by its type. Memory fills up to soft limits and is freed by collections.
    memory: bool = False
    # Whether its value also holds page cache, which the kernel takes back before the limit is reached.
    page_cache: bool = False


def _column(empty: float, kind: type) -> Mapping[str, Any]:
    return {"empty": empty, "kind": kind}


# The values of an empty row.
_MISSING, _ZERO = _column(np.nan, np.float64), _column(0.0, np.float64)
_ENDLESS, _NEVER = _column(np.inf, np.float64), _column(-np.inf, np.float64)
_COUNT, _NO = _column(0, np.int64), _column(False, np.bool_)
# Of the columns that exist once for each width, those whose values fit are narrow.
_FEW, _NOT_DONE = _column(0, np.int32), _column(-1, np.int32)
_STEADY = _column(int(VerdictReason.Steady), np.int8)
_SHORT_MISSING, _SHORT_ZERO = _column(np.nan, np.float32), _column(0.0, np.float32)
_STEADY_GROWTH = _column(int(VerdictReason.SteadyGrowth), np.int64)


@dataclass(slots=True)
class _Columns:
    """Arrays that all have one entry for each row there is room for."""

    @classmethod
    def of(cls, room: int) -> Self:
        """`room` empty rows."""
        shape = cls._shape(room)
        return cls(*(np.full(shape, each.metadata["empty"], each.metadata["kind"]) for each in fields(cls)))

    @staticmethod
    def _shape(room: int) -> tuple[int, ...]:
        return (room,)

    def grow(self, room: int) -> None:
        more = type(self).of(room - len(getattr(self, fields(self)[0].name)))
        for each in fields(self):
            setattr(self, each.name, np.concatenate([getattr(self, each.name), getattr(more, each.name)]))

    def pick(self, index: Ints | slice) -> Self:
        """The arrays of some rows: views for a slice, copies for an index."""
        return type(self)(*(getattr(self, each.name)[index] for each in fields(self)))


@dataclass(slots=True)
class Rows(_Columns):
    """One entry per row. Levels are shares of the limit, times epoch seconds, NaN where there is none."""

    group: Ints = field(metadata=_COUNT)  # place of the workload and signal in `DetectorState.groups`
    carrier: Ints = field(metadata=_COUNT)  # the row of its load in the cascade
    bound: Floats = field(metadata=_MISSING)  # the limit, in the signal's unit
    limit: Floats = field(metadata=_MISSING)  # the limit that growth is judged by: `bound`, or a multiple of the past
    past: Bools = field(metadata=_NO)  # whether `limit` is a multiple of the past (core/detection/past.py)
    # Where `past`: the level that growth must reach in a young workload unless it has gone on since its process's birth.
    far: Floats = field(metadata=_ZERO)
    first: Floats = field(metadata=_MISSING)  # time of the first reading
    peak: Floats = field(metadata=_ZERO)  # the highest reading ever, in the signal's unit
    memory: Bools = field(metadata=_NO)
    cached: Bools = field(metadata=_NO)  # whether readings hold page cache
    resident: Bools = field(metadata=_NO)  # whether the readings that are judged are RSS, without page cache
    cache: Floats = field(metadata=_ZERO)  # the latest page cache, in the signal's unit; where `resident`
    last: Floats = field(metadata=_NEVER)  # time of the latest reading
    value: Floats = field(metadata=_MISSING)  # of the latest reading, in the signal's unit
    gc: Floats = field(metadata=_MISSING)  # completed collections at the latest reading
    step: Floats = field(metadata=_MISSING)  # the scrape interval, seconds
    quantum: Floats = field(metadata=_ENDLESS)  # the least change ever seen, in the signal's unit
    seen: Ints = field(metadata=_COUNT)  # readings
    level: Floats = field(metadata=_MISSING)  # the latest ceiling
    floor: Floats = field(metadata=_MISSING)  # the latest floor
    latched: Floats = field(metadata=_MISSING)  # since when it is Leaking
    proof: Floats = field(metadata=_MISSING)  # when a window last showed the leak
    hold: Floats = field(metadata=_ZERO)  # seconds for which a leak is believed without another proof
    top: Floats = field(metadata=_ZERO)  # the highest floor of the leak
    base: Ints = field(metadata=_COUNT)  # the width that showed the leak
    why: Ints = field(metadata=_STEADY_GROWTH)  # the leak's reason
    ended: Ints = field(metadata=_COUNT)  # how the latest leak ended: 0 there was none, 1 it fell back, 2 it stopped
    plateau: Floats = field(metadata=_ZERO)  # the highest level at which growth has stopped by itself
    acute: Bools = field(metadata=_NO)  # Exhausting
    flew: Floats = field(metadata=_NEVER)  # when a window's growth last came and went (core/detection/in_flight.py)
    sure: Bools = field(metadata=_NO)  # a window of this leak was clear enough to act on


@dataclass(slots=True)
class Widths(_Columns):
    """One entry per row and width of bucket: the result of the latest complete window of that width."""

    done: NDArray[np.int32] = field(metadata=_NOT_DONE)  # the bucket up to which it was measured
    streak: NDArray[np.int32] = field(metadata=_FEW)  # evaluations in a row that showed a leak
    near: Bools = field(metadata=_NO)
    suspect: Bools = field(metadata=_NO)
    at: Floats = field(metadata=_ZERO)  # when it was measured
    best: Floats = field(metadata=_ENDLESS)  # seconds to exhaustion from then on: best, low and high estimate
    low: Floats = field(metadata=_ENDLESS)
    high: Floats = field(metadata=_ENDLESS)
    slope_low: Floats = field(metadata=_MISSING)  # growth in the signal's unit per hour
    slope_high: Floats = field(metadata=_MISSING)
    reason: NDArray[np.int8] = field(metadata=_STEADY)  # the reason if the verdict is Leaking
    calmest: NDArray[np.int8] = field(metadata=_STEADY)  # the reason if the verdict is Healthy
    sure: Bools = field(metadata=_NO)
    flight: Bools = field(metadata=_NO)  # what has grown comes and goes (core/detection/in_flight.py)
    # For the strongest reasons (core/detection/because.py): hours of the line, growth over its noise, the share of the
    # growth that load or siblings explain (NaN: neither is known), and the highest level that it came down from.
    hours: Shorts = field(metadata=_SHORT_ZERO)
    clear: Floats = field(metadata=_ZERO)
    explained: Shorts = field(metadata=_SHORT_MISSING)
    known: Shorts = field(metadata=_SHORT_ZERO)

    @staticmethod
    def _shape(room: int) -> tuple[int, ...]:
        return (room, _S)


class DetectorState:
    """Everything remembered between two ticks. Rows are added by `row` and forgotten by `keep`."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self._rows: dict[Key, int] = {}
        self.groups: list[tuple[str, str, str]] = []  # namespace, workload, signal
        self._groups: dict[tuple[str, str, str], int] = {}
        # The rows of loads: signals of one process whose buckets begin at the same moment share one.
        self._carriers: dict[tuple[Key, float], int] = {}
        self.cascade = Cascade()
        self._room = 0
        self.rows = Rows.of(0)
        self.widths = Widths.of(0)
        # For each workload and signal: the origin of its buckets, the highest level that it came down from, and the
        # depth of that fall.
        self.origin = np.zeros(0)
        self.known = np.zeros((0, _S))
        self.fall = np.zeros((0, _S))
        self.exhausted = np.zeros(0, np.bool_)  # whether a process of it was ever Exhausting
        # The usual level, in the signal's unit, and the number of ages at which it was stored (past.py).
        self.usual = np.zeros(0)
        self.noted = np.zeros(0, np.int64)
        self.multiple = np.zeros(0)  # of the usual level, as a limit

    def __len__(self) -> int:
        return len(self.keys)

    def row_of(self, key: Key) -> int | None:
        """The row of a process that has one."""
        return self._rows.get(key)

    def row(self, key: Key, limit: float | None, first: float) -> int:
        """The row of a process, made at its first sight. `first`: the time of its first reading, epoch s. `limit` may
        change at any time; zero, negative and infinite ones are none."""
        limits = np.array([np.nan if limit is None else limit])
        return int(self.place([key], limits, np.array([first]))[0])

    def place(self, keys: Sequence[Key], limits: Floats, firsts: Floats) -> Ints:
        """The rows of many processes at once; as `row`, with NaN where there is no limit."""
        known = len(self.keys)
        at = np.array([self._rows.setdefault(key, len(self._rows)) for key in keys], dtype=np.int64)
        if len(self._rows) > known:
            self._add(list(islice(self._rows, known, None)))
            first = np.full(len(self.origin), np.inf)
            new = np.flatnonzero(at >= known)
            np.minimum.at(first, self.rows.group[at[new]], firsts[new])
            begun = np.isnan(self.origin) & np.isfinite(first)
            self.origin[begun] = first[begun]
            self._carry(known)
        self.bind(at, limits)
        return at

    def _carry(self, known: int) -> None:
        """Give the rows from `known` on their carriers."""
        origins = self.origin[self.rows.group[known : len(self.keys)]].tolist()
        self.rows.carrier[known : len(self.keys)] = [
            self._carriers.setdefault((key._replace(signal="", memory=False), origin), len(self._carriers))
            for key, origin in zip(self.keys[known:], origins, strict=True)
        ]

    def bind(self, rows: Ints, limits: Floats) -> None:
        """The present limits of rows that were placed before; NaN where there is none."""
        usable = np.isfinite(limits) & (limits > 0)
        bound = np.where(usable, limits, np.nan)
        self.rows.limit[rows] = np.where(self.rows.past[rows], self.rows.limit[rows], bound)
        self.rows.bound[rows] = bound

    def reserve(self, rows: int) -> None:
        """Make room for so many rows at once, since each growth copies everything."""
        if rows > self._room:
            self._grow(rows)

    def _add(self, new: Sequence[Key]) -> None:
        known = len(self.keys)
        if known + len(new) > self._room:
            self._grow(max(64, 2 * self._room, known + len(new)))
        self.keys.extend(new)
        group = [self._group((key.namespace, key.workload, key.signal)) for key in new]
        more = len(self.groups) - len(self.origin)
        if more > 0:
            more = max(64, len(self.origin), more)
            self.origin = np.concatenate([self.origin, np.full(more, np.nan)])
            self.known = np.concatenate([self.known, np.zeros((more, _S))])
            self.fall = np.concatenate([self.fall, np.zeros((more, _S))])
            self.exhausted = np.concatenate([self.exhausted, np.zeros(more, np.bool_)])
            self.usual = np.concatenate([self.usual, np.full(more, np.nan)])
            self.noted = np.concatenate([self.noted, np.zeros(more, np.int64)])
            self.multiple = np.concatenate([self.multiple, np.zeros(more)])
        self.rows.group[known : known + len(new)] = group
        self.rows.memory[known : known + len(new)] = [key.memory for key in new]
        self.rows.cached[known : known + len(new)] = [key.page_cache for key in new]

    def _group(self, name: tuple[str, str, str]) -> int:
        at = self._groups.get(name)
        if at is None:
            at = self._groups[name] = len(self.groups)
            self.groups.append(name)
        return at

    def _grow(self, room: int) -> None:
        self.rows.grow(room)
        self.widths.grow(room)
        self.cascade.grow(room)
        self._room = room

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all rows but these, which are renumbered in the order given. Workloads are not forgotten: the level
        that a workload came down from is kept longer than the process that showed it."""
        index = np.asarray(rows, dtype=np.int64)
        self.keys = [self.keys[i] for i in index]
        self._rows = {key: i for i, key in enumerate(self.keys)}
        self.rows, self.widths = self.rows.pick(index), self.widths.pick(index)
        carriers, self.rows.carrier = np.unique(self.rows.carrier, return_inverse=True)
        self.cascade.keep(index, carriers)
        names = list(self._carriers)
        self._carriers = {names[carrier]: place for place, carrier in enumerate(carriers.tolist())}
        self._room = len(index)
