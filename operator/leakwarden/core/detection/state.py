"""What the detector remembers: one row for each life of each process, and what each workload has shown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.detection.rollups import WIDTHS, Cascade, Ints
from leakwarden.core.detection.verdict import VerdictReason
from leakwarden.core.model.readings import Floats

_S = len(WIDTHS)


class Key(NamedTuple):
    """One life of one process, and what was measured of it."""

    namespace: str
    workload: str
    pod: str
    uid: str
    container: str
    signal: str
    start: float  # epoch s of the process's start


def is_memory(signal: str) -> bool:
    """Whether a signal is memory, which fills up to soft limits and is emptied by collections."""
    name = signal.lower()
    return any(word in name for word in ("heap", "mem", "working", "rss", "bytes"))


_COLUMNS: dict[str, tuple[float, type]] = {
    # of each row
    "group": (0, np.int64), "limit": (np.nan, np.float64), "memory": (False, np.bool_),
    "last": (-np.inf, np.float64), "value": (np.nan, np.float64), "gc": (np.nan, np.float64),
    "step": (np.nan, np.float64), "quantum": (np.inf, np.float64), "seen": (0, np.int64), "level": (np.nan, np.float64),
    "latched": (np.nan, np.float64), "proof": (np.nan, np.float64), "hold": (0.0, np.float64),
    "top": (0.0, np.float64), "base": (0.0, np.float64), "why": (int(VerdictReason.SteadyGrowth), np.int64),
    "ended": (0, np.int64), "plateau": (0.0, np.float64), "acute": (False, np.bool_), "sure": (False, np.bool_),
}  # fmt: skip
PER_WIDTH: dict[str, tuple[float, type]] = {
    "done": (-1, np.int64), "streak": (0, np.int64), "near": (False, np.bool_), "suspect": (False, np.bool_), "at": (0.0, np.float64),
    "best": (np.inf, np.float64), "low": (np.inf, np.float64), "high": (np.inf, np.float64),
    "slope_low": (np.nan, np.float64), "slope_high": (np.nan, np.float64), "reason": (int(VerdictReason.Steady), np.int64),
    "calmest": (int(VerdictReason.Steady), np.int64), "sure": (False, np.bool_),
}  # fmt: skip


class DetectorState:
    """Everything remembered between two ticks. Rows are added by `row` and forgotten by `keep`."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self._rows: dict[Key, int] = {}
        self.groups: list[tuple[str, str, str]] = []  # namespace, workload, signal
        self._groups: dict[tuple[str, str, str], int] = {}
        self.cascade = Cascade()
        self._room = 0
        self.c: dict[str, NDArray[Any]] = {}  # a column a name: (rows,) or (rows, widths)
        for name, (empty, kind) in _COLUMNS.items():
            self.c[name] = np.full(0, empty, kind)
        for name, (empty, kind) in PER_WIDTH.items():
            self.c["w_" + name] = np.full((0, _S), empty, kind)
        # Of each workload and signal: the origin of its buckets, the highest level it came back from, and how deep.
        self.origin = np.zeros(0)
        self.known = np.zeros((0, _S))
        self.fall = np.zeros((0, _S))
        self.convicted = np.zeros(0, np.bool_)  # whether a process of it was ever Exhausting

    def __len__(self) -> int:
        return len(self.keys)

    def row(self, key: Key, limit: float | None, first: float) -> int:
        """The row of a process, made at its first sight. `first`: the time of its first reading, epoch s. `limit` may
        change at any time; zero, negative and infinite ones are none."""
        limits = np.array([np.nan if limit is None else limit])
        return int(self.rows([key], limits, np.array([first]))[0])

    def rows(self, keys: Sequence[Key], limits: Floats, firsts: Floats) -> Ints:
        """The rows of many processes at once; as `row`, with NaN where there is no limit."""
        known = len(self.keys)
        at = np.array([self._rows.setdefault(key, len(self._rows)) for key in keys], dtype=np.int64)
        if len(self._rows) > known:
            self._add(list(islice(self._rows, known, None)))
            first = np.full(len(self.origin), np.inf)
            new = np.flatnonzero(at >= known)
            np.minimum.at(first, self.c["group"][at[new]], firsts[new])
            begun = np.isnan(self.origin) & np.isfinite(first)
            self.origin[begun] = first[begun]
        usable = np.isfinite(limits) & (limits > 0)
        self.c["limit"][at] = np.where(usable, limits, np.nan)
        return at

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
            self.convicted = np.concatenate([self.convicted, np.zeros(more, np.bool_)])
        self.c["group"][known : known + len(new)] = group
        of_memory = {signal: is_memory(signal) for signal in {key.signal for key in new}}
        self.c["memory"][known : known + len(new)] = [of_memory[key.signal] for key in new]

    def _group(self, name: tuple[str, str, str]) -> int:
        at = self._groups.get(name)
        if at is None:
            at = self._groups[name] = len(self.groups)
            self.groups.append(name)
        return at

    def _grow(self, room: int) -> None:
        more = room - self._room
        for name, (empty, kind) in _COLUMNS.items():
            self.c[name] = np.concatenate([self.c[name], np.full(more, empty, kind)])
        for name, (empty, kind) in PER_WIDTH.items():
            self.c["w_" + name] = np.concatenate([self.c["w_" + name], np.full((more, _S), empty, kind)])
        self.cascade.grow(room)
        self._room = room

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all rows but these, which are renumbered in the order given. Workloads are not forgotten: what a
        level has come back from outlives the process that showed it."""
        index = np.asarray(rows, dtype=np.int64)
        self.keys = [self.keys[i] for i in index]
        self._rows = {key: i for i, key in enumerate(self.keys)}
        for name in self.c:
            self.c[name] = self.c[name][index]
        self.cascade.keep(index)
        self._room = len(index)
