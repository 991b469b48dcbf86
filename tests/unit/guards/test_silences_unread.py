"""A policy that respects silences reports where they cannot be read; a policy that does not respect them acts as
usual."""

from __future__ import annotations

from typing import Any

import pytest

from leakwarden.core.guards.silences import Silences
from leakwarden.engine.guard_context import GuardContext
from tests.builders import enforcing
from tests.unit.engine.engine_world import World

ALERT = {"name": "alert", "type": "Alert", "role": "Leak", "alert": {"name": "Leaks"}}


class Quiet:
    """An Alertmanager without silences; one that answers, or does not."""

    def __init__(self, trouble: str = "") -> None:
        self.trouble = trouble

    async def active(self) -> Silences:
        return Silences(trouble=self.trouble)


def scene(alertmanager: Quiet | None, spec: dict[str, Any] | None = None, **more: Any) -> World:
    world = World(spec={**(spec or enforcing()), **more})
    world.engine.guard_context = GuardContext(lambda _: "nobody is asked", alertmanager)
    return world


def message(world: World, kind: str) -> str:
    return next(condition.message for condition in world.status.conditions if condition.type == kind)


async def test_the_conditions_say_so_and_nothing_is_acted_on() -> None:
    world = scene(None, respectSilences=True)
    await world.engine.tick()
    assert world.changes() == []
    assert world.condition("Ready") == ("False", "SilencesUnread")
    assert world.condition("Stalled") == ("True", "SilencesUnread")
    assert world.condition("Healthy") == ("False", "LeakDetected"), "it is judged all the same"
    for kind in ("Ready", "Stalled"):
        assert "spec.respectSilences is true, and no Alertmanager is configured" in message(world, kind)
    skipped = world.status.workloads[0].skipped
    assert skipped is not None
    assert skipped.reasons == ["Silenced"]
    assert "chart value alertmanager" in skipped.message
    assert "PolicyNotReady" in world.recorder.reasons("ReliabilityPolicy")


async def test_it_is_said_while_the_policy_only_observes_and_no_pod_leaks() -> None:
    world = scene(None, {**enforcing(), "mode": "Observe"}, respectSilences=True)
    world.levels(api_1=50, api_2=50, api_3=50)
    await world.engine.tick()
    assert world.condition("Ready") == ("False", "SilencesUnread")


@pytest.mark.parametrize("spec", [{}, {"respectSilences": False}])
async def test_a_cluster_without_an_alertmanager_is_acted_in_where_nobody_asked_for_silences(
    spec: dict[str, Any],
) -> None:
    world = scene(None, **spec)
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")]
    assert world.condition("Ready") == ("True", "Reconciled")


@pytest.mark.parametrize(("trouble", "acts"), [("", True), ("it cannot be reached", False)])
async def test_with_one_configured_the_policy_is_in_force_and_waits_only_for_its_answer(
    trouble: str, acts: bool
) -> None:
    world = scene(Quiet(trouble), respectSilences=True)
    await world.engine.tick()
    assert world.condition("Ready") == ("True", "Reconciled")
    assert all(condition.type != "Stalled" for condition in world.status.conditions)
    assert bool(world.changes()) is acts


async def test_it_is_acted_on_as_soon_as_one_is_configured() -> None:
    world = scene(None, respectSilences=True)
    await world.engine.tick()
    world.engine.guard_context = GuardContext(lambda _: "nobody is asked", Quiet())
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later()
    assert world.changes() == [("evict", "uid-api-1")]
    assert world.condition("Ready") == ("True", "Reconciled")


@pytest.mark.parametrize(("alertmanager", "told"), [(None, True), (Quiet(), False)])
async def test_who_acts_on_alerts_is_told_that_silences_of_them_are_not_read(
    alertmanager: Quiet | None, told: bool
) -> None:
    world = scene(alertmanager, enforcing(ALERT))
    await world.engine.tick()
    said = [note for note in world.status.notes if "alerts count while they are silenced, too" in note]
    assert bool(said) is told
    assert world.condition("Ready") == ("True", "Reconciled")
