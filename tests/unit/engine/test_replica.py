"""The life of a replica: its steps before it leads, and the order of its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from leakwarden.adapters.cluster.lease import LeaseElection
from leakwarden.adapters.events import EventRecorder
from leakwarden.adapters.handlers import PolicyWatch
from leakwarden.replica import Replica
from leakwarden.ticking import Runner


@dataclass
class World:
    """The events that the parts of a replica wait for, and the order of their steps. A tick acts until `acted` is
    set."""

    told: list[str] = field(default_factory=list)
    leading: asyncio.Event = field(default_factory=asyncio.Event)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    acted: asyncio.Event = field(default_factory=asyncio.Event)
    seen: asyncio.Event = field(default_factory=asyncio.Event)
    resigned: asyncio.Event = field(default_factory=asyncio.Event)

    async def look_anew(self) -> None:
        self.told.append("looks anew")
        await self.seen.wait()

    def resign(self) -> None:
        self.told.append("resigns")
        self.resigned.set()


class FakeElection:
    def __init__(self, world: World) -> None:
        self.world = world
        self.identity = "me"
        self.leading = world.leading
        self.resign = world.resign

    async def run(self) -> str:
        first = [asyncio.create_task(event.wait()) for event in (self.world.lost, self.world.resigned)]
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in first:
                each.cancel()
        return "" if self.world.resigned.is_set() else "it could not be renewed"


class FakeRunner:
    def __init__(self, world: World) -> None:
        self.world = world
        self.began = False

    def stop(self) -> None:
        self.world.told.append("begins nothing new")

    async def run(self) -> None:
        self.began = True
        self.world.told.append("ticks")
        try:
            await self.world.acted.wait()
        except asyncio.CancelledError:
            self.world.told.append("is cut short")
            raise
        self.world.told.append("finished its action")


class FakeWatch:
    def __init__(self, world: World) -> None:
        self.ended = world.ended
        self.failure = "ProtocolError"

    async def stop(self) -> None:
        pass


class FakeRecorder:
    def __init__(self, world: World) -> None:
        self.world = world

    async def stop(self, grace: float) -> None:
        self.world.told.append("tells its last Events")


@asynccontextmanager
async def life(world: World, elects: bool = True) -> AsyncIterator[tuple[Replica, asyncio.Task[int]]]:
    replica = Replica(
        cast("Runner", FakeRunner(world)),
        cast("PolicyWatch", FakeWatch(world)),
        cast("EventRecorder", FakeRecorder(world)),
        look_anew=world.look_anew,
        election=cast("LeaseElection", FakeElection(world)) if elects else None,
        ending_within=0.5,
    )
    living = asyncio.create_task(replica.run())
    try:
        yield replica, living
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def code(living: asyncio.Task[int]) -> int:
    return await asyncio.wait_for(living, 20)


@pytest.fixture
def world() -> World:
    return World()


async def lead(world: World) -> None:
    world.leading.set()
    world.seen.set()
    await turns()


async def test_it_does_not_tick_before_it_leads_and_not_before_it_has_looked_anew(world: World) -> None:
    async with life(world):
        await turns()
        assert world.told == []
        world.leading.set()
        await turns()
        assert world.told == ["looks anew"]
        world.seen.set()
        await turns()
        assert world.told == ["looks anew", "ticks"]


async def test_asked_to_end_it_finishes_its_action_then_tells_then_resigns(world: World) -> None:
    async with life(world) as (replica, living):
        await lead(world)
        replica.stop()
        await turns()
        assert world.told[2:] == ["begins nothing new"]
        world.acted.set()
        assert await code(living) == 0
        assert world.told[3:] == ["finished its action", "tells its last Events", "resigns"]


async def test_an_action_that_does_not_end_is_cut_short_and_the_lease_is_kept_until_it_runs_out(world: World) -> None:
    async with life(world) as (replica, living):
        await lead(world)
        replica.stop()
        assert await code(living) == 1
        assert world.told[2:] == ["begins nothing new", "is cut short"]


async def test_a_lost_lease_cuts_the_work_short_and_ends_it_with_1(world: World) -> None:
    async with life(world) as (_, living):
        await lead(world)
        world.lost.set()
        assert await code(living) == 1
        assert world.told[-1] == "is cut short"
        assert "resigns" not in world.told


async def test_a_lease_lost_while_it_ends_cuts_the_work_short_all_the_same(world: World) -> None:
    async with life(world) as (replica, living):
        await lead(world)
        replica.stop()
        await turns()
        world.lost.set()
        assert await code(living) == 1
        assert world.told[-1] == "is cut short"


async def test_a_standby_that_is_asked_to_end_has_nothing_to_finish(world: World) -> None:
    async with life(world) as (replica, living):
        await turns()
        replica.stop()
        assert await code(living) == 0
        assert "ticks" not in world.told


async def test_a_new_leader_that_is_asked_to_end_while_it_looks_hands_over(world: World) -> None:
    async with life(world) as (replica, living):
        world.leading.set()
        await turns()
        replica.stop()
        assert await code(living) == 0
        assert world.told[-1] == "resigns"
        assert "ticks" not in world.told


async def test_policies_that_can_no_longer_be_watched_end_it_in_order_and_with_1(world: World) -> None:
    async with life(world) as (_, living):
        await lead(world)
        world.acted.set()
        world.ended.set()
        assert await code(living) == 1
        assert world.told[-1] == "resigns"


async def test_alone_it_ticks_at_once(world: World) -> None:
    async with life(world, elects=False) as (replica, living):
        await turns()
        assert world.told == ["ticks"]
        world.acted.set()
        replica.stop()
        assert await code(living) == 0
