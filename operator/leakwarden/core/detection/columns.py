"""The columns of the detector's memory: arrays with one entry for each row, or for each row and width of bucket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.detection.rollups import WIDTHS, Bools, Ints, Shorts
from leakwarden.core.model.readings import Floats

_S = len(WIDTHS)
Numbers: TypeAlias = NDArray[np.int32]
Codes: TypeAlias = NDArray[np.int8]


def _column(empty: float, kind: type) -> Mapping[str, Any]:
    return {"empty": empty, "kind": kind}


# The values of an empty row.
_MISSING, _ZERO = _column(np.nan, np.float64), _column(0.0, np.float64)
_ENDLESS, _NEVER = _column(np.inf, np.float64), _column(-np.inf, np.float64)
_NO = _column(False, np.bool_)
# Hundreds of thousands of rows are usual, so each column is as narrow as its values allow.
_COUNT, _NONE, _FEW, _SMALL = _column(0, np.int32), _column(-1, np.int32), _column(0, np.int16), _column(0, np.int8)
_STEADY = _column(int(VerdictReason.Steady), np.int8)
_SHORT_MISSING, _SHORT_ZERO = _column(np.nan, np.float32), _column(0.0, np.float32)
_SHORT_ENDLESS = _column(np.inf, np.float32)
_STEADY_GROWTH = _column(int(VerdictReason.SteadyGrowth), np.int8)


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

    def pick(self, index: Ints | Numbers | slice) -> Self:
        """The arrays of some rows: views for a slice, copies for an index."""
        return type(self)(*(getattr(self, each.name)[index] for each in fields(self)))


@dataclass(slots=True)
class Rows(_Columns):
    """One entry per row. Levels are shares of the limit, times epoch seconds, NaN where there is none."""

    process: Numbers = field(metadata=_COUNT)  # place of the process in `DetectorState.processes`
    signal: NDArray[np.int16] = field(metadata=_FEW)  # place of the signal in `DetectorState.signals`
    group: Numbers = field(metadata=_COUNT)  # place of the workload and signal in `DetectorState.groups`
    carrier: Numbers = field(metadata=_COUNT)  # the row of its load in the cascade
    estimate: Numbers = field(metadata=_NONE)  # its row in `DetectorState.estimates`; -1 where no window was weighed
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
    seen: Numbers = field(metadata=_COUNT)  # readings
    level: Floats = field(metadata=_MISSING)  # the latest ceiling
    floor: Floats = field(metadata=_MISSING)  # the latest floor
    latched: Floats = field(metadata=_MISSING)  # since when it is Leaking
    proof: Floats = field(metadata=_MISSING)  # when a window last showed the leak
    hold: Floats = field(metadata=_ZERO)  # seconds for which a leak is believed without another proof
    top: Floats = field(metadata=_ZERO)  # the highest floor of the leak
    base: Codes = field(metadata=_SMALL)  # the width that showed the leak
    why: Codes = field(metadata=_STEADY_GROWTH)  # the leak's reason
    ended: Codes = field(metadata=_SMALL)  # how the latest leak ended: 0 there was none, 1 it fell back, 2 it stopped
    plateau: Floats = field(metadata=_ZERO)  # the highest level at which growth has stopped by itself
    acute: Bools = field(metadata=_NO)  # Exhausting
    full: Floats = field(metadata=_MISSING)  # since when it is at its limit (core/detection/filled.py)
    filled: Codes = field(metadata=_SMALL)  # the explanation of that (core/detection/filled.py), 0 where there is none
    flew: Floats = field(metadata=_NEVER)  # when a window's growth last came and went (core/detection/in_flight.py)
    waited: Floats = field(metadata=_NEVER)  # when a window's load last rose as its level did
    sure: Bools = field(metadata=_NO)  # a window of this leak was clear enough to act on


@dataclass(slots=True)
class Widths(_Columns):
    """One entry per row and width of bucket: the result of the latest complete window of that width."""

    done: Numbers = field(metadata=_NONE)  # the bucket up to which it was measured
    streak: NDArray[np.int16] = field(metadata=_FEW)  # evaluations in a row that showed a leak, as far as they count
    near: Bools = field(metadata=_NO)
    suspect: Bools = field(metadata=_NO)
    reason: Codes = field(metadata=_STEADY)  # the reason if the verdict is Leaking
    calmest: Codes = field(metadata=_STEADY)  # the reason if the verdict is Healthy
    sure: Bools = field(metadata=_NO)
    waits: Bools = field(metadata=_NO)  # the load has risen as the level has (core/detection/in_flight.py)

    @staticmethod
    def _shape(room: int) -> tuple[int, ...]:
        return (room, _S)


@dataclass(slots=True)
class Estimates(_Columns):
    """The figures of the latest window of each width, of the rows of which a window was weighed: most are far below
    their limit or do not move, and have none."""

    at: Floats = field(metadata=_ZERO)  # when it was measured; 0 where the latest window was not worth weighing
    best: Shorts = field(metadata=_SHORT_ENDLESS)  # seconds to exhaustion from then on: best, low and high estimate
    low: Shorts = field(metadata=_SHORT_ENDLESS)
    high: Shorts = field(metadata=_SHORT_ENDLESS)
    slope_low: Shorts = field(metadata=_SHORT_MISSING)  # growth in the signal's unit per hour
    slope_high: Shorts = field(metadata=_SHORT_MISSING)
    # For the strongest reasons (core/detection/because.py): hours of the line, growth over its noise, the share of the
    # growth that load or siblings explain (NaN: neither is known), and the highest level that it came down from.
    hours: Shorts = field(metadata=_SHORT_ZERO)
    clear: Shorts = field(metadata=_SHORT_ZERO)
    explained: Shorts = field(metadata=_SHORT_MISSING)
    known: Shorts = field(metadata=_SHORT_ZERO)

    @staticmethod
    def _shape(room: int) -> tuple[int, ...]:
        return (room, _S)

    def clear_rows(self, rows: Numbers) -> None:
        for each in fields(self):
            getattr(self, each.name)[rows] = each.metadata["empty"]
