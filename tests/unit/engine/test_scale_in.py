"""Replicas that were added for a while are taken back, once, and only while they are ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.model.workload import Disruption, Workload
from leakwarden.engine.ports import Attempt, ClusterUnavailable, Outcome, StatusConflict
from tests.builders import body, enforcing, pod, snapshot, workload
from tests.unit.engine.engine_world import World

SCALE = [{"type": "ScaleOut", "maxReplicas": 4, "timeToLive": "10m"}]


async def scaled_out() -> World:
    """One replica was added, and the Deployment has four."""
    world = World(spec=enforcing(actions=SCALE))
    await world.engine.tick()
    assert world.changes() == [("scale", "uid-api 4")]
    become(world, 4)
    return world


def become(world: World, replicas: int, **changes: object) -> None:
    deployment: Workload = workload(replicas=replicas, updated_replicas=replicas, ready_replicas=replicas)
    pods = [*world.pods, *(pod(f"more-{n}", created=world.now) for n in range(replicas - len(world.pods)))]
    world.cluster.world = snapshot([replace(deployment, **changes)], pods)  # type: ignore[arg-type]


async def later(world: World, seconds: float) -> None:
    world.now += seconds
    world.levels(api_1=50, api_2=50, api_3=50)
    await world.engine.tick()


def record(world: World) -> ActionStatus:
    (only,) = [action for report in world.reports for action in report.status.actions]
    return only


async def test_a_replica_is_taken_back_when_its_time_is_over_and_not_before() -> None:
    world = await scaled_out()
    await later(world, 500)
    assert world.changes() == [("scale", "uid-api 4")]
    await later(world, 120)
    assert world.changes() == [("scale", "uid-api 4"), ("scale", "uid-api 3")]
    assert record(world).returned_at is not None
    become(world, 3)
    await later(world, 30)
    assert len(world.changes()) == 2


async def test_replicas_that_somebody_changed_stand() -> None:
    world = await scaled_out()
    become(world, 6)
    await later(world, 700)
    assert world.changes() == [("scale", "uid-api 4")]
    assert "somebody set 6 replicas" in record(world).message
    assert record(world).returned_at is not None


async def test_a_return_waits_for_a_rollout_and_is_tried_again_when_it_was_refused() -> None:
    world = await scaled_out()
    become(world, 4, updated_replicas=1)
    await later(world, 700)
    assert len(world.changes()) == 1
    become(world, 4)
    world.cluster.outcome = Attempt(Outcome.CONFLICT, "the Deployment changed")
    await later(world, 30)
    assert record(world).returned_at is None
    world.cluster.outcome = Attempt(Outcome.DONE)
    await later(world, 30)
    assert record(world).returned_at is not None


async def test_dying_between_the_return_and_its_record_takes_nothing_back_twice() -> None:
    world = await scaled_out()
    world.now += 700
    world.levels(api_1=50, api_2=50, api_3=50)
    world.cluster.report_error = StatusConflict("another wrote it")
    await world.engine.tick()
    world.cluster.report_error = None
    become(world, 3)
    await later(world, 30)
    assert world.changes() == [("scale", "uid-api 4"), ("scale", "uid-api 3")]
    assert record(world).returned_at is not None


async def test_a_suspended_policy_keeps_what_stands_and_returns_it_once_it_goes_on() -> None:
    world = await scaled_out()
    suspended = {**enforcing(actions=SCALE), "suspend": True}
    world.policies.put(body(spec=suspended, metadata={"generation": 2}))
    world.cluster.generation = 2
    await later(world, 700)
    assert len(world.changes()) == 1
    world.policies.put(body(spec=enforcing(actions=SCALE), metadata={"generation": 3}))
    world.cluster.generation = 3
    await later(world, 30)
    assert world.changes()[1:] == [("scale", "uid-api 3")]


async def test_what_a_policy_that_is_gone_added_stands_since_nobody_asks_for_its_return() -> None:
    world = await scaled_out()
    world.policies.remove(world.policies.all()[0].uid)
    await later(world, 700)
    assert len(world.changes()) == 1
    assert "the policy is gone" in record(world).message
    assert record(world).returned_at is not None


async def test_only_what_was_added_is_taken_back_whatever_the_record_says() -> None:
    world = await scaled_out()
    (held,) = world.cluster.stored.values()
    forged = held.status.actions[0].model_copy(update={"replicas_before": 0})
    world.cluster.stored[held.key] = replace(held, status=held.status.model_copy(update={"actions": [forged]}))
    await later(world, 700)
    assert len(world.changes()) == 1
    assert "an action adds 1 replica" in record(world).message


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"suspend": True}, "Suspended"),
        ({"mode": "Observe"}, "Observing"),
        ({"pauseRequests": [{"name": "dba", "reason": "migration"}]}, "Paused: paused by dba: migration"),
        ({"maintenance": {"allow": [{"start": "02:00", "end": "03:00"}]}}, "OutsideMaintenance"),
        ({"vetoes": [{"name": "sale", "query": "sale_running"}]}, "Vetoed: veto sale"),
        ({"remediation": {"actions": [{"type": "EvictPod"}]}}, "no action ScaleOut any more"),
        ({"selector": {"matchLabels": {"team": "other"}}}, "does not select the Deployment any more"),
    ],
)
async def test_what_the_policy_says_now_keeps_a_replica_from_being_taken_back(spec: dict[str, Any], why: str) -> None:
    world = await scaled_out()
    world.policies.put(body(spec={**enforcing(actions=SCALE), **spec}, metadata={"generation": 2}))
    world.cluster.generation = 2
    await later(world, 700)
    assert len(world.changes()) == 1
    if "select" not in why:
        assert why in record(world).message
    world.policies.put(body(spec=enforcing(actions=SCALE), metadata={"generation": 3}))
    world.cluster.generation = 3
    await later(world, 30)
    assert world.changes()[1:] == [("scale", "uid-api 3")]


async def test_the_owner_of_the_deployment_keeps_the_replica_with_the_skip_annotation() -> None:
    world = await scaled_out()
    become(world, 4, annotations={"leakwarden.dev/skip": "load test"})
    await later(world, 700)
    assert len(world.changes()) == 1
    assert "OptedOut" in record(world).message


async def test_an_installation_that_does_not_allow_scaling_any_more_takes_nothing_back() -> None:
    world = await scaled_out()
    world.engine.permitted = frozenset({ActionType.EVICT_POD})
    await later(world, 700)
    assert len(world.changes()) == 1
    assert "NotPermitted" in record(world).message


async def test_a_policy_that_changed_unseen_is_read_again_before_a_replica_goes() -> None:
    world = await scaled_out()
    world.cluster.generation = 2  # for example suspended while the watch is cut
    await later(world, 700)
    assert len(world.changes()) == 1
    assert "the policy has changed since it was read" in record(world).message


@pytest.mark.parametrize(
    ("budgets", "why"),
    [
        ([Disruption("shop", "web-pdb", 0)], "PodDisruptionBudget web-pdb allows 0 disruptions now, it takes 1"),
        (ClusterUnavailable("500"), "whether a PodDisruptionBudget forbids it is not known"),
    ],
)
async def test_a_disruption_budget_keeps_a_replica_from_being_taken_back(budgets: Any, why: str) -> None:
    world = await scaled_out()
    world.cluster.budgets = budgets
    await later(world, 700)
    assert len(world.changes()) == 1
    assert why in record(world).message
    world.cluster.budgets = [Disruption("shop", "web-pdb", 1)]
    await later(world, 30)
    assert world.changes()[1:] == [("scale", "uid-api 3")]


async def test_replicas_that_a_person_set_to_the_same_number_stand() -> None:
    world = await scaled_out()
    world.cluster.replicas_owner = "kubectl"
    await later(world, 700)
    assert len(world.changes()) == 1
    assert "somebody else set 4 replicas" in record(world).message


async def test_where_it_is_not_known_who_set_the_replicas_nothing_is_taken_back() -> None:
    world = await scaled_out()
    world.cluster.replicas_owner = ClusterUnavailable("500")
    await later(world, 700)
    assert len(world.changes()) == 1
    assert record(world).returned_at is None


async def test_a_scale_out_whose_answer_was_lost_is_interrupted_taken_back_and_not_done_twice() -> None:
    world = World(spec=enforcing(actions=SCALE, cooldown="1m", podCooldown="1m"))
    world.cluster.outcome = Attempt(Outcome.UNKNOWN, "the answer was lost")
    await world.engine.tick()
    assert record(world).phase == "Interrupted"
    world.cluster.outcome = Attempt(Outcome.DONE)
    become(world, 4)
    for _ in range(8):
        world.levels(api_1=950, api_2=50, api_3=50)
        await world.later(60)
    assert world.changes() == [("scale", "uid-api 4")], "it was not seen to help, and no other replica is added for it"
    await later(world, 300)
    assert world.changes()[1:] == [("scale", "uid-api 3")]


async def test_a_crash_before_the_request_does_not_undo_what_a_person_scaled() -> None:
    world = World(spec=enforcing(actions=SCALE))
    world.cluster.outcome = Attempt(Outcome.UNKNOWN, "the answer was lost")  # it never reached the API server
    await world.engine.tick()
    become(world, 4)
    world.cluster.replicas_owner = "kubectl"
    world.cluster.outcome = Attempt(Outcome.DONE)
    await later(world, 700)
    assert world.changes() == [("scale", "uid-api 4")]
    assert "somebody else set 4 replicas" in record(world).message


LACKS = "the operator's account lacks the right `patch deployments/scale` in namespace shop"


def ready(world: World) -> tuple[str, str]:
    (found,) = [c for c in world.status.conditions if c.type == "Ready"]
    return found.reason, found.message


async def test_a_missing_right_to_take_back_is_a_condition_until_the_replica_went() -> None:
    world = await scaled_out()
    added = record(world).message
    world.cluster.outcome = Attempt(Outcome.FORBIDDEN, LACKS)
    await later(world, 700)
    assert ready(world) == ("RightsMissing", f"a replica of api is not taken back: {LACKS}")
    assert "PolicyNotReady" in world.recorder.reasons("ReliabilityPolicy")
    for _ in range(3):
        await later(world, 60)
    assert world.changes()[1:] == [("scale", "uid-api 3")] * 4, "it is tried again and again"
    assert record(world).message == f"{added}; not taken back yet: {LACKS}", "said once, however often it was tried"
    assert ready(world)[0] == "RightsMissing"
    world.cluster.outcome = Attempt(Outcome.DONE)
    await later(world, 30)
    assert ready(world)[0] == "Reconciled"
    assert record(world).message == f"{added}; taken back: back to 3 replicas"


async def test_a_right_to_take_back_is_not_spoken_of_once_somebody_else_took_the_replica() -> None:
    world = await scaled_out()
    world.cluster.outcome = Attempt(Outcome.FORBIDDEN, LACKS)
    await later(world, 700)
    assert ready(world)[0] == "RightsMissing"
    become(world, 3)
    await later(world, 30)
    assert ready(world)[0] == "Reconciled"
