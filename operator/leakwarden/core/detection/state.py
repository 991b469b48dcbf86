"""The detector's memory: one row for each incarnation of each process, and the past of each workload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.detection.columns import Estimates, Numbers, Rows, Widths
from leakwarden.core.detection.rollups import WIDTHS, Cascade, Ints
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


class Signal(NamedTuple):
    """What a key says about its signal."""

    name: str
    memory: bool = False
    page_cache: bool = False


class DetectorState:
    """Everything remembered between two ticks. Rows are added by `row` and forgotten by `keep`."""

    def __init__(self) -> None:
        self.processes: list[Key] = []  # without a signal
        self.signals: list[Signal] = []
        self._process_of: dict[Key, int] = {}
        self._signal_of: dict[Signal, int] = {}
        # For each signal the row of each process, -1 where it has none.
        self._rows: list[Numbers] = []
        self.groups: list[tuple[str, str, str]] = []  # namespace, workload, signal
        self._groups: dict[tuple[str, str, str], int] = {}
        # The rows of loads: signals of one process whose buckets begin at the same moment share one.
        self._carriers: dict[tuple[int, float], int] = {}
        self.cascade = Cascade()
        self._len = self._room = 0
        self.rows = Rows.of(0)
        self.widths = Widths.of(0)
        self.estimates = Estimates.of(0)
        self._free: Numbers = np.zeros(0, np.int32)  # rows of `estimates` that are not used
        # For each workload and signal: the origin of its buckets, the highest level that it came down from, and the
        # depth of that fall.
        self.origin = np.zeros(0)
        self.known = np.zeros((0, _S))
        self.fall = np.zeros((0, _S))
        self.exhausted = np.zeros(0, np.bool_)  # whether a process of it was ever Exhausting
        self.spell = np.zeros(
            0
        )  # the longest time, s, that one of its processes was at its limit and came back from it
        # The usual level, in the signal's unit, and the number of ages at which it was stored (past.py).
        self.usual = np.zeros(0)
        self.noted = np.zeros(0, np.int64)
        self.multiple = np.zeros(0)  # of the usual level, as a limit

    def __len__(self) -> int:
        return self._len

    def key(self, row: int) -> Key:
        """The process and the signal of a row."""
        signal = self.signals[self.rows.signal[row]]
        process: Key = self.processes[int(self.rows.process[row])]
        return process._replace(signal=signal.name, memory=signal.memory, page_cache=signal.page_cache)

    def row_of(self, key: Key) -> int | None:
        """The row of a process that has one."""
        process = self._process_of.get(_process(key))
        return None if process is None else self.row_of_process(process, _signal(key))

    def row_of_process(self, process: int, signal: Signal) -> int | None:
        """The same for the place of a process in `processes`."""
        number = self._signal_of.get(signal)
        row = -1 if number is None or process >= len(self._rows[number]) else int(self._rows[number][process])
        return row if row >= 0 else None

    def row(self, key: Key, limit: float | None, first: float) -> int:
        """The row of a process, made at its first sight. `first`: the time of its first reading, epoch s. `limit` may
        change at any time; zero, negative and infinite ones are none."""
        limits = np.array([np.nan if limit is None else limit])
        return int(self.place([key], limits, np.array([first]))[0])

    def place(self, keys: Sequence[Key], limits: Floats, firsts: Floats) -> Ints:
        """The rows of many processes at once; as `row`, with NaN where there is no limit."""
        known = self._len
        process = np.array([self._process(key) for key in keys], dtype=np.int32)
        signal = np.array([self._signal(key) for key in keys], dtype=np.int16)
        at = self._known(signal, process)
        lacking = np.flatnonzero(at < 0)
        if len(lacking):
            pairs = process[lacking].astype(np.int64) * len(self.signals) + signal[lacking]
            first = lacking[np.sort(np.unique(pairs, return_index=True)[1])]  # in the order of their first sight
            self._add(signal[first], process[first])
            at = self._known(signal, process)
            first = np.full(len(self.origin), np.inf)
            new = np.flatnonzero(at >= known)
            np.minimum.at(first, self.rows.group[at[new]], firsts[new])
            begun = np.isnan(self.origin) & np.isfinite(first)
            self.origin[begun] = first[begun]
            self._carry(known)
        self.bind(at, limits)
        return at

    def _known(self, signal: NDArray[np.int16], process: Numbers) -> Ints:
        """The rows of these signals and processes; -1 where there is none."""
        at = np.empty(len(signal), np.int64)
        for number in np.unique(signal).tolist():
            table = self._rows[number]
            if len(table) < len(self.processes):
                more = max(64, len(self.processes) - len(table), len(table) // 4)
                table = self._rows[number] = np.concatenate([table, np.full(more, -1, np.int32)])
            mine = signal == number
            at[mine] = table[process[mine]]
        return at

    def _process(self, key: Key) -> int:
        key = _process(key)
        at = self._process_of.setdefault(key, len(self.processes))
        if at == len(self.processes):
            self.processes.append(key)
        return at

    def _signal(self, key: Key) -> int:
        signal = _signal(key)
        at = self._signal_of.setdefault(signal, len(self.signals))
        if at == len(self.signals):
            self.signals.append(signal)
            self._rows.append(np.zeros(0, np.int32))
        return at

    def _carry(self, known: int) -> None:
        """Give the rows from `known` on their carriers."""
        new = slice(known, self._len)
        origins = self.origin[self.rows.group[new]].tolist()
        self.rows.carrier[new] = [
            self._carriers.setdefault(each, len(self._carriers))
            for each in zip(self.rows.process[new].tolist(), origins, strict=True)
        ]

    def estimate_for(self, rows: Ints) -> Numbers:
        """The rows of `estimates` of these rows, each there once, made where there is none."""
        lacking = rows[self.rows.estimate[rows] < 0]
        if len(lacking):
            if len(self._free) < len(lacking):
                had = len(self.estimates.at)
                room = max(64, had * 5 // 4, had + len(lacking) - len(self._free))
                self.estimates.grow(room)
                self._free = np.concatenate([self._free, np.arange(had, room, dtype=np.int32)])
            taken, self._free = self._free[: len(lacking)], self._free[len(lacking) :]
            self.rows.estimate[lacking] = taken
        return self.rows.estimate[rows]

    def forget_estimates(self, rows: Ints) -> None:
        """Of rows of which no window is worth weighing any more."""
        places = self.rows.estimate[rows]
        places = places[places >= 0]
        self.estimates.clear_rows(places)
        self.rows.estimate[rows] = -1
        self._free = np.concatenate([self._free, places])

    def bind(self, rows: Ints, limits: Floats) -> None:
        """The present limits of rows that were placed before; NaN where there is none."""
        usable = np.isfinite(limits) & (limits > 0)
        bound = np.where(usable, limits, np.nan)
        self.rows.limit[rows] = np.where(self.rows.past[rows], self.rows.limit[rows], bound)
        self.rows.bound[rows] = bound

    def reserve(self, rows: int) -> None:
        """Make room for the buckets of so many rows at once, since each growth copies everything."""
        self.cascade.reserve(rows)

    def _add(self, signals: NDArray[np.int16], processes: Numbers) -> None:
        known, new = self._len, len(processes)
        if known + new > self._room:
            self._grow(max(64, self._room * 5 // 4, known + new))
        self._len = known + new
        of = [self.signals[signal] for signal in signals.tolist()]
        members = [self.processes[process] for process in processes.tolist()]
        group = [
            self._group((key.namespace, key.workload, signal.name)) for key, signal in zip(members, of, strict=True)
        ]
        more = len(self.groups) - len(self.origin)
        if more > 0:
            more = max(64, len(self.origin) // 4, more)
            self.origin = np.concatenate([self.origin, np.full(more, np.nan)])
            self.known = np.concatenate([self.known, np.zeros((more, _S))])
            self.fall = np.concatenate([self.fall, np.zeros((more, _S))])
            self.exhausted = np.concatenate([self.exhausted, np.zeros(more, np.bool_)])
            self.spell = np.concatenate([self.spell, np.zeros(more)])
            self.usual = np.concatenate([self.usual, np.full(more, np.nan)])
            self.noted = np.concatenate([self.noted, np.zeros(more, np.int64)])
            self.multiple = np.concatenate([self.multiple, np.zeros(more)])
        added = slice(known, self._len)
        self.rows.process[added], self.rows.signal[added] = processes, signals
        self.rows.group[added] = group
        self.rows.memory[added] = [signal.memory for signal in of]
        self.rows.cached[added] = [signal.page_cache for signal in of]
        for number in np.unique(signals).tolist():
            mine = signals == number
            self._rows[number][processes[mine]] = np.arange(known, self._len)[mine]

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
        self.rows, self.widths = self.rows.pick(index), self.widths.pick(index)
        self._len = self._room = len(index)
        self._keep_processes()
        carriers, of_row = np.unique(self.rows.carrier, return_inverse=True)
        self.rows.carrier = of_row.astype(np.int32)
        self.cascade.keep(index, carriers.astype(np.int64))
        origins = self.origin[self.rows.group].tolist()
        of_process = zip(self.rows.process.tolist(), origins, strict=True)
        self._carriers = dict(zip(of_process, self.rows.carrier.tolist(), strict=True))
        estimated = np.flatnonzero(self.rows.estimate >= 0)
        self.estimates = self.estimates.pick(self.rows.estimate[estimated])
        self.rows.estimate[estimated] = np.arange(len(estimated))
        self._free = np.zeros(0, np.int32)

    def _keep_processes(self) -> None:
        """Forget the processes without a row."""
        kept, of_row = np.unique(self.rows.process, return_inverse=True)
        self.processes = [self.processes[process] for process in kept.tolist()]
        self._process_of = {key: place for place, key in enumerate(self.processes)}
        self.rows.process = of_row.astype(np.int32)
        for signal in range(len(self.signals)):
            table = self._rows[signal] = np.full(len(self.processes), -1, np.int32)
            mine = np.flatnonzero(self.rows.signal == signal)
            table[self.rows.process[mine]] = mine


def _process(key: Key) -> Key:
    return key._replace(signal="", memory=False, page_cache=False)


def _signal(key: Key) -> Signal:
    return Signal(key.signal, key.memory, key.page_cache)
