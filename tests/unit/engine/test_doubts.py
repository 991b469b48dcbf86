"""Actions that do not pass the Eviction API check the PodDisruptionBudgets themselves, and another client's success
does not count as ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from leakwarden.core.model.workload import Disruption
from leakwarden.engine.ports import Attempt, ClusterUnavailable, Forbidden, Outcome
from tests.builders import enforcing, snapshot, workload
from tests.unit.engine.engine_world import World

RESTART = [{"type": "RolloutRestart"}]


def rolling(**strategy: Any) -> World:
    """Three replicas; by default a rollout takes one of them away at once."""
    world = World(spec=enforcing(actions=RESTART))
    world.cluster.world = snapshot([workload(**{"max_unavailable": 1, "max_surge": 0, **strategy})], world.pods)
    return world


@pytest.mark.parametrize(
    ("budgets", "restarts"),
    [
        ((), True),
        ([Disruption("shop", "web-pdb", 1)], True),
        ([Disruption("shop", "web-pdb", 0)], False),
        ([Disruption("shop", "wide", 5), Disruption("shop", "narrow", 0)], False),
        (ClusterUnavailable("500"), False),
        (Forbidden("may not list poddisruptionbudgets"), False),
    ],
)
async def test_a_rollout_is_restarted_only_where_every_budget_of_its_pods_allows_it(
    budgets: Sequence[Disruption] | Exception, restarts: bool
) -> None:
    world = rolling()
    world.cluster.budgets = budgets
    await world.engine.tick()
    assert world.changes() == ([("restart", "uid-api")] if restarts else [])
    assert world.report.status.actions[0].phase == ("Done" if restarts else "Blocked")


async def test_a_rollout_that_brings_new_pods_first_takes_none_away() -> None:
    world = rolling(max_unavailable=0, max_surge=1)
    world.cluster.budgets = [Disruption("shop", "web-pdb", 0)]
    await world.engine.tick()
    assert world.changes() == [("restart", "uid-api")]


async def test_a_budget_that_refused_a_rollout_is_asked_again_after_a_minute_and_not_every_tick() -> None:
    world = rolling()
    world.cluster.budgets = [Disruption("shop", "web-pdb", 0)]
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later(30)
    await world.later(30)
    skipped = world.status.workloads[0].skipped
    assert skipped is not None
    assert skipped.reasons == ["DisruptionBudget"]
    assert "web-pdb allows 0 disruptions now, it takes 1" in skipped.message
    world.cluster.budgets = ()
    await world.later(60)
    assert world.changes() == [("restart", "uid-api")]


async def test_a_missing_right_to_read_budgets_is_a_condition() -> None:
    world = rolling()
    world.cluster.budgets = Forbidden("the operator's account may not list poddisruptionbudgets.policy")
    await world.engine.tick()
    assert world.condition("Ready") == ("False", "RightsMissing")


async def test_a_pod_that_somebody_else_took_away_is_not_our_success() -> None:
    world = World()
    world.cluster.outcome = Attempt(Outcome.GONE, "pod shop/api-1 no longer exists")
    await world.engine.tick()
    (record,) = world.report.status.actions
    assert (record.phase, record.result) == ("Failed", None)
