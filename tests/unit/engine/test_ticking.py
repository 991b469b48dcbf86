"""The clockwork around the engine: when it ticks, when it stops, and when it counts as stuck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

import pytest

from leakwarden.adapters.telemetry import Telemetry
from leakwarden.engine.tick import Engine, Tick
from leakwarden.ticking import FAILS_AFTER, STUCK_AFTER_AT_LEAST, Runner


class FakeEngine:
    """A tick reads until `read` is set, then acts until `acted` is."""

    def __init__(self) -> None:
        self.ending = self.acting = False
        self.begun = self.ended = self.given_up = 0
        self.wake: Callable[[], None] = lambda: None
        self.error: Exception | None = None
        self.failed: list[BaseException] = []
        self.read, self.acted = asyncio.Event(), asyncio.Event()

    async def tick(self) -> Tick:
        self.acting = False
        self.begun += 1
        await self.read.wait()
        if self.error is not None:
            raise self.error
        self.acting = True
        await self.acted.wait()
        self.ended += 1
        return Tick()

    async def fail(self, error: BaseException) -> None:
        self.failed.append(error)

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


async def test_when_ticks_fail_the_probes_say_so_and_the_policies_do_and_one_that_ends_is_enough() -> None:
    engine = FakeEngine()
    engine.error = KeyError("checkout")
    engine.read.set()
    clockwork = Runner(cast("Engine", engine), Telemetry(), 3600.0)  # no second tick comes by itself
    assert clockwork.troubled() == ""
    running = asyncio.create_task(clockwork.run())
    await asyncio.wait_for(_seen(lambda: len(engine.failed) == 1), 20)
    assert "1 ticks in a row have failed (KeyError)" in clockwork.troubled(), "the readiness probe at once"
    assert clockwork.alive() == "", "one tick may meet what is gone by the next"
    await asyncio.wait_for(_woken(clockwork, lambda: len(engine.failed) >= FAILS_AFTER), 60)
    assert "ticks in a row have failed" in clockwork.alive()
    assert clockwork.telemetry.whole_tick._value.get() == 0
    engine.error = None
    engine.acted.set()
    await asyncio.wait_for(_woken(clockwork, lambda: engine.ended), 60)
    await until(lambda: clockwork.alive() == clockwork.troubled() == "")
    assert clockwork.telemetry.whole_tick._value.get() == pytest.approx(time.time(), abs=60)
    clockwork.stop()
    await running


async def _woken(clockwork: Runner, condition: Callable[[], object]) -> None:
    while not condition():
        clockwork.wake()
        await asyncio.sleep(0.005)


async def _seen(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what it waits for is set by no event
        await asyncio.sleep(0.005)
