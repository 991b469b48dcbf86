"""A right that is missing where it is needed is a condition that names the verb, and goes when the right is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leakwarden.core.guards import Surroundings, ask
from leakwarden.core.model.workload import Disruption, Pod
from leakwarden.engine.ports import Attempt, Forbidden, Outcome
from tests.builders import body, enforcing, snapshot, workload
from tests.guard_builders import candidate, situation
from tests.unit.engine.engine_world import World

LACKS_EVICTION = "the operator's account lacks the right `create pods/eviction` in namespace shop"
LACKS_SCALERS = "the operator's account may not list horizontalpodautoscalers.autoscaling (403)"
SOON = {"cooldown": "1m", "podCooldown": "1m"}
SCALE = {"type": "ScaleOut", "maxReplicas": 5}


def ready(world: World) -> tuple[str, str, str]:
    (found,) = [c for c in world.status.conditions if c.type == "Ready"]
    return found.status, found.reason, found.message


async def test_without_the_right_to_evict_the_condition_names_it_until_an_eviction_passes() -> None:
    world = World(spec=enforcing(**SOON))
    world.cluster.outcome = Attempt(Outcome.FORBIDDEN, LACKS_EVICTION)
    await world.engine.tick()
    assert ready(world) == ("False", "RightsMissing", f"EvictPod: {LACKS_EVICTION}")
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later(30)
    assert ready(world)[1] == "RightsMissing", "nobody has tried again yet"
    world.cluster.outcome = Attempt(Outcome.DONE)
    await world.later(60)
    assert len(world.changes()) == 2
    assert ready(world)[:2] == ("True", "Reconciled")


async def test_a_right_that_the_policy_needs_no_more_is_not_spoken_of() -> None:
    world = World(spec=enforcing(**SOON))
    world.cluster.outcome = Attempt(Outcome.FORBIDDEN, LACKS_EVICTION)
    await world.engine.tick()
    observing = {**enforcing(**SOON), "mode": "Observe"}
    world.policies.put(body(spec=observing, metadata={"generation": 2}, status=world.cluster.statuses[-1]))
    await world.later(30)
    assert ready(world)[:2] == ("True", "Reconciled")


async def test_without_the_right_to_read_the_policy_again_nothing_is_done_and_the_condition_names_it() -> None:
    world = World()
    world.cluster.generation = Forbidden("the operator's account may not get reliabilitypolicies.leakwarden.dev (403)")
    await world.engine.tick()
    assert world.changes() == []
    status, reason, message = ready(world)
    assert (status, reason) == ("False", "RightsMissing")
    assert "may not get reliabilitypolicies.leakwarden.dev" in message
    world.cluster.generation = 1
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later()
    assert len(world.changes()) == 1
    assert ready(world)[:2] == ("True", "Reconciled")


async def test_a_refusal_that_names_no_budget_is_explained_or_the_right_to_do_so_is_named() -> None:
    world = World()
    world.cluster.outcome = Attempt(Outcome.BLOCKED, "a PodDisruptionBudget does not allow a disruption now")
    refused = Forbidden("the operator's account may not list poddisruptionbudgets.policy in namespace shop (403)")
    said: list[Any] = [refused, (Disruption("shop", "api", 0), Disruption("shop", "all", 3))]

    async def budgets(pod: Pod) -> Any:
        answer = said.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    world.cluster.disruption_budgets = budgets  # type: ignore[method-assign]
    await world.engine.tick()
    assert ready(world)[1] == "RightsMissing"
    assert "may not list poddisruptionbudgets.policy" in ready(world)[2]
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later(61)
    assert ready(world)[:2] == ("True", "Reconciled")
    assert world.status.actions[0].message == "a PodDisruptionBudget does not allow a disruption now: api"


async def test_a_refusal_that_names_its_budget_needs_no_other_right() -> None:
    world = World()
    world.cluster.outcome = Attempt(Outcome.BLOCKED, "PodDisruptionBudget api does not allow it", budget="api")

    async def budgets(pod: Pod) -> Any:
        raise AssertionError("nobody has to ask")

    world.cluster.disruption_budgets = budgets  # type: ignore[method-assign]
    await world.engine.tick()
    assert ready(world)[:2] == ("True", "Reconciled")


@pytest.mark.parametrize("mode", ["Observe", "Enforce"])
async def test_without_the_right_to_read_autoscalers_a_policy_that_scales_out_says_so(mode: str) -> None:
    world = World(spec={**enforcing(actions=[SCALE]), "mode": mode})
    world.cluster.world = snapshot([workload()], world.pods, autoscalers_denied=LACKS_SCALERS)
    await world.engine.tick()
    assert ready(world) == ("False", "RightsMissing", f"{LACKS_SCALERS}, so ScaleOut is refused")


async def test_whoever_only_evicts_needs_no_autoscalers() -> None:
    world = World()
    world.cluster.world = snapshot([workload()], world.pods, autoscalers_denied=LACKS_SCALERS)
    await world.engine.tick()
    assert len(world.changes()) == 1
    assert ready(world)[:2] == ("True", "Reconciled")


def test_the_guard_that_refuses_to_scale_out_names_the_right_as_well() -> None:
    around = replace(Surroundings(), autoscalers=None, autoscalers_denied=LACKS_SCALERS)
    (skip,) = ask(candidate(action=SCALE), situation(around=around))
    assert skip.message == f"whether an autoscaler owns the replicas is not known: {LACKS_SCALERS}"
