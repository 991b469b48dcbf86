"""The engine's clockwork: a tick every interval, and one at once when a policy changes."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import time
from collections.abc import Callable

from leakwarden.adapters.telemetry import Telemetry
from leakwarden.engine.tick import Engine, Tick

log = logging.getLogger("leakwarden")

# Objects made between two runs of the cyclic garbage collector. A tick over 10,000 pods makes some hundred thousand
# that stay until the next; at Python's default of 700 they are walked over and over: a fifth of what reading costs
# (`python -m tests.bench.speed`).
_MADE_BEFORE_LOOKING = 50_000


def look_for_garbage_rarely() -> None:
    gc.set_threshold(_MADE_BEFORE_LOOKING)


# Parameters of mallopt(3), and their values in bytes or arenas.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_MAPPED_FROM = 1 << 20
_ARENAS = 2


def give_memory_back() -> None:
    """Let glibc return what a large answer took: by itself it raises the size from which memory is returned at once with
    each block that is freed, and keeps what a first read of tens of MB took in an arena for each thread."""
    with contextlib.suppress(OSError, AttributeError):  # another libc returns it by its own rules
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _MAPPED_FROM)
        libc.mallopt(_ARENA_MAX, _ARENAS)


FAILS_AFTER = 3  # ticks in a row that failed; one failure may have a cause that is gone by the next tick
STUCK_AFTER = 5  # ticks; a tick that takes as long as five is not going to end
STUCK_AFTER_AT_LEAST = 300.0  # s; a tick may wait for slow sources and for a look into a pod
TOGETHER = 0.2  # s; a burst of edits causes one tick, not many


class Runner:
    """Runs once, on the replica that leads; `interval` in seconds."""

    def __init__(
        self, engine: Engine, telemetry: Telemetry, interval: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.engine = engine
        engine.wake = self.wake
        self.telemetry = telemetry
        self.interval = interval
        self._clock = clock
        self.stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._began: float | None = None
        self._failed = 0  # ticks in a row
        self._cause = ""  # class of the exception of the last failed tick
        self._tick: asyncio.Task[Tick] | None = None

    @property
    def began(self) -> bool:
        return self._began is not None

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """Begin nothing new. A tick that only reads ends at once; one that may act finishes its action and records
        it."""
        self.engine.ending = True
        self.stopping.set()
        self._wake.set()
        if self._tick is not None and not self.engine.acting:
            self._tick.cancel()

    async def run(self) -> None:
        """Until stopped. A tick that fails is logged and the next one tries again: no state is left incomplete, since
        records are written before and after every action."""
        self._began = self._clock()
        try:
            await self._tick_on()
        finally:
            await self.engine.end()

    async def _tick_on(self) -> None:
        while not self.stopping.is_set():
            self._wake.clear()
            self._tick = asyncio.create_task(self.engine.tick())
            try:
                self.telemetry.ticked(await self._tick)
                self._failed = 0
            except asyncio.CancelledError:
                if not self.stopping.is_set():
                    raise
                return
            except Exception as error:
                self._failed += 1
                self._cause = type(error).__name__
                self.telemetry.tick_failures.inc()
                log.exception("a tick failed; nothing more is done until the next")
                await self.engine.fail(error)
            finally:
                self._tick = None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self.interval)
                await asyncio.sleep(TOGETHER)

    def troubled(self) -> str:
        """The fault in words, for the readiness probe, or empty: set from the first failed tick on."""
        return f"{self._failed} ticks in a row have failed ({self._cause}); nothing is done" if self._failed else ""

    def alive(self) -> str:
        """The fault in words, for the liveness probe, or empty. A standby replica does not tick, and counts as
        healthy."""
        if self._began is None:
            return ""
        if self._failed >= FAILS_AFTER:
            return self.troubled()
        silent = self._clock() - max(self.telemetry.last_tick_ended, self._began)
        limit = max(STUCK_AFTER * self.interval, STUCK_AFTER_AT_LEAST)
        return f"no tick has ended for {silent:.0f}s" if silent > limit else ""
