"""A clock that runs at its own speed while the operator works and jumps between two ticks: a week takes an hour.

`python -m tests.bench.scale.pressed` is the operator on that clock. All of its work takes as long as it takes: within a
tick a second is a second, and so it is for leases, requests and watches, which are timed by monotonic clocks. Only the
waits between ticks are longer on the clock than on the wall.

The clock is a file that several processes map: its header and one row per tick, written by the operator alone.

Where Python traces its memory (`PYTHONTRACEMALLOC=1`), the operator writes to its log what holds it whenever it gets
SIGUSR2.
"""

from __future__ import annotations

import bisect
import mmap
import os
import signal
import struct
import sys
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

FILE = "LEAKWARDEN_BENCH_CLOCK"
_HEADER = struct.Struct("<Qddd")  # rows; real epoch s of the begin, rate, s before which it does not run faster
_ROW = struct.Struct("<ddd")  # real begin of a tick, offset from then on, real end (0 while it runs)
_ROWS = 200_000
_machine = time.time  # `main` puts the clock in the place of `time.time`


class TickTimes(NamedTuple):
    """Epoch s of the machine's clock; `ended` is 0 for a tick that did not end."""

    began: float
    ended: float


class PressedClock:
    """Epoch s. Without a tick so far it is the machine's clock."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._begins: list[float] = []
        self._offsets: list[float] = []

    @classmethod
    def create(cls, path: Path, rate: float) -> PressedClock:
        """`rate`: seconds of the clock in one of the machine's, once `start` was called."""
        with path.open("wb") as file:
            file.truncate(_HEADER.size + _ROWS * _ROW.size)
        made = cls(path)
        _HEADER.pack_into(made._map, 0, 0, float("inf"), rate, 0.0)
        return made

    def start(self) -> None:
        """From now on it is pressed."""
        count, _, rate, _ = _HEADER.unpack_from(self._map, 0)
        _HEADER.pack_into(self._map, 0, count, _machine(), rate, 0.0)

    def _refresh(self) -> None:
        count = _HEADER.unpack_from(self._map, 0)[0]
        for number in range(len(self._begins), count):
            began, offset, _ = _ROW.unpack_from(self._map, _HEADER.size + number * _ROW.size)
            self._begins.append(began)
            self._offsets.append(offset)

    def at(self, real: float) -> float:
        """The clock's time when the machine's was `real`, in the past or now."""
        self._refresh()
        place = bisect.bisect_right(self._begins, real) - 1
        return real + (self._offsets[place] if place >= 0 else 0.0)

    def now(self) -> float:
        return self.at(_machine())

    @property
    def offset(self) -> float:
        """How far it is ahead of the machine's clock, s."""
        self._refresh()
        return self._offsets[-1] if self._offsets else 0.0

    def monotonic(self) -> float:
        """A monotonic clock that jumps with this one, s."""
        return time.monotonic() + self.offset

    def begin_tick(self) -> None:
        """Jump to where the rate puts the clock; never back."""
        count, started, rate, _ = _HEADER.unpack_from(self._map, 0)
        real = _machine()
        offset = max(self.offset, (real - started) * (rate - 1.0) if real > started else 0.0)
        _ROW.pack_into(self._map, _HEADER.size + count * _ROW.size, real, offset, 0.0)
        _HEADER.pack_into(self._map, 0, count + 1, started, rate, 0.0)

    def end_tick(self) -> None:
        self._refresh()
        struct.pack_into("<d", self._map, _HEADER.size + (len(self._begins) - 1) * _ROW.size + 16, _machine())

    def ticks(self) -> list[TickTimes]:
        count = _HEADER.unpack_from(self._map, 0)[0]
        rows = (_ROW.unpack_from(self._map, _HEADER.size + number * _ROW.size) for number in range(count))
        return [TickTimes(began, ended) for began, _, ended in rows]


def stamp(epoch: float) -> str:
    """As the API server writes times."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def memory_held(lines: int = 40) -> str:
    """The lines of the program whose memory is in use, the largest first."""
    found = tracemalloc.take_snapshot().statistics("lineno")[:lines]
    return "\n".join([f"memory held: {tracemalloc.get_traced_memory()[0]:,} bytes", *map(str, found)])


def main() -> int:
    """The operator, whose wall clock is the file's. The modules that compare it with the API server's get both clocks
    of it; everything else that measures time goes on with the machine's."""
    clock = PressedClock(Path(os.environ.pop(FILE)))
    time.time = clock.now
    from leakwarden.adapters.cluster.servertime import ServerTime
    from leakwarden.engine.tick import Engine, Tick

    ServerTime.__init__.__defaults__ = (clock.now, clock.monotonic)
    tick = Engine.tick

    async def pressed(self: Engine) -> Tick:
        clock.begin_tick()
        try:
            return await tick(self)
        finally:
            clock.end_tick()

    Engine.tick = pressed  # type: ignore[method-assign]
    if tracemalloc.is_tracing():
        signal.signal(signal.SIGUSR2, lambda *_: print(memory_held(), file=sys.stderr, flush=True))
    from leakwarden.__main__ import main as run

    return run(["run"])


if __name__ == "__main__":
    sys.exit(main())
