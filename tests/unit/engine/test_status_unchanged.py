"""A status is built again only where something that it follows from has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from unittest.mock import MagicMock, patch

import pytest

from leakwarden.core.model.readings import QueryFailed
from leakwarden.core.rendering.status import build_status
from leakwarden.engine import publisher
from tests.builders import snapshot, workload
from tests.unit.engine.engine_world import World

pytestmark = pytest.mark.asyncio
SETTLED = 12  # ticks after which nothing in a calm world changes any more


@pytest.fixture
def building() -> Iterator[MagicMock]:
    with patch.object(publisher, "build_status", wraps=build_status) as builds:
        yield builds


async def settled() -> World:
    world = World()
    world.levels(api_1=50, api_2=50, api_3=50)
    for _ in range(SETTLED):
        await world.later()
    assert world.condition("Healthy")[0] == "True"
    return world


async def test_the_status_of_calm_pods_is_not_built_again(building: MagicMock) -> None:
    world = await settled()
    building.reset_mock()

    await world.later()
    await world.later()

    assert building.call_count == 0


def a_pod_more(world: World) -> None:
    more = replace(world.pods[0], name="api-4", uid="uid-api-4")
    world.cluster.world = snapshot([workload()], [*world.pods, more])
    world.flat["api-4"] = 50


def a_pod_is_not_ready(world: World) -> None:
    world.cluster.world = snapshot([workload()], [*world.pods[:2], replace(world.pods[2], ready=False)])


def a_pod_grows_full(world: World) -> None:
    world.flat["api-2"] = 990


def the_source_fails(world: World) -> None:
    world.flat = {}
    world.metrics.answer = QueryFailed("Unreachable", "it cannot be reached")


def a_container_has_no_probe(world: World) -> None:
    bare = replace(world.cluster.world.workloads["uid-api"].containers[0], readiness=None)
    world.cluster.world = snapshot([workload(containers=(bare,))], world.pods)


def reports_cannot_be_read(world: World) -> None:
    world.cluster.synced = False


@pytest.mark.parametrize(
    "change",
    [
        a_pod_more,
        a_pod_is_not_ready,
        a_pod_grows_full,
        the_source_fails,
        a_container_has_no_probe,
        reports_cannot_be_read,
    ],
)
async def test_the_status_is_built_again_after_each_change(
    change: Callable[[World], None], building: MagicMock
) -> None:
    world = await settled()
    before = world.status
    building.reset_mock()

    change(world)
    await world.later(90)

    assert building.call_count > 0
    assert world.status != before or change is a_pod_is_not_ready
