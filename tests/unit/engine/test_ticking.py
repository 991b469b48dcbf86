"""The clockwork around the engine: when it ticks, when it stops, and when it is taken for stuck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

import pytest

from leakwarden.adapters.telemetry import Telemetry
from leakwarden.engine.tick import Engine, Tick
from leakwarden.ticking import STUCK_AFTER_AT_LEAST, Runner


class FakeEngine:
    """A tick reads until `read` is set, then acts until `acted` is."""

    def __init__(self) -> None:
        self.ending = self.acting = False
        self.begun = self.ended = self.given_up = 0
        self.wake: Callable[[], None] = lambda: None
        self.read, self.acted = asyncio.Event(), asyncio.Event()

    async def tick(self) -> Tick:
        self.acting = False
        self.begun += 1
        await self.read.wait()
        self.acting = True
        await self.acted.wait()
        self.ended += 1
        return Tick()

    async def end(self) -> None:
        self.given_up += 1


def runner(engine: FakeEngine, clock: Callable[[], float] = time.monotonic) -> Runner:
    return Runner(cast("Engine", engine), Telemetry(), 3600.0, clock)


async def until(condition: Callable[[], object]) -> None:
    """Some turns of the loop: nothing here waits for anything but its tasks."""
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


async def test_asked_to_stop_while_it_only_reads_it_ends_at_once() -> None:
    engine = FakeEngine()
    clockwork = runner(engine)
    running = asyncio.create_task(clockwork.run())
    await until(lambda: engine.begun)
    clockwork.stop()
    await asyncio.wait_for(running, 20)
    assert engine.ended == 0


async def test_asked_to_stop_while_it_acts_it_finishes_and_begins_no_other_tick() -> None:
    engine = FakeEngine()
    clockwork = runner(engine)
    running = asyncio.create_task(clockwork.run())
    engine.read.set()
    await until(lambda: engine.acting)
    clockwork.stop()
    assert engine.ending
    for _ in range(20):
        await asyncio.sleep(0)
    assert not running.done()
    engine.acted.set()
    await asyncio.wait_for(running, 20)
    assert (engine.begun, engine.ended) == (1, 1)


async def test_cancelled_it_takes_its_tick_along_and_does_not_go_on() -> None:
    engine = FakeEngine()
    clockwork = runner(engine)
    running = asyncio.create_task(clockwork.run())
    engine.read.set()
    await until(lambda: engine.acting)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    engine.acted.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert engine.ended == 0


async def test_a_replica_that_stands_by_is_well_and_one_whose_tick_does_not_end_is_not() -> None:
    now = 1000.0
    engine = FakeEngine()
    clockwork = runner(engine, lambda: now)
    clockwork.telemetry.last_tick_ended = now
    now += 7 * 24 * 3600
    assert clockwork.alive() == "", "it stood by for a week"
    running = asyncio.create_task(clockwork.run())
    await until(lambda: engine.begun)
    assert clockwork.alive() == "", "it has just begun"
    now += 5 * clockwork.interval + STUCK_AFTER_AT_LEAST
    assert "no tick has ended" in clockwork.alive()
    clockwork.stop()
    await running
