"""Replicas that were added for a while are taken back, once, and only while they are ours."""

from __future__ import annotations

from dataclasses import replace

from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.model.workload import Workload
from leakwarden.engine.ports import Attempt, Outcome, StatusConflict
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


async def test_a_policy_that_is_gone_leaves_no_replica_behind() -> None:
    world = await scaled_out()
    world.policies.remove(world.policies.all()[0].uid)
    await later(world, 700)
    assert world.changes()[1:] == [("scale", "uid-api 3")]


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


async def test_what_a_policy_that_is_gone_left_behind_is_told_in_its_report() -> None:
    world = await scaled_out()
    world.policies.remove(world.policies.all()[0].uid)
    world.cluster.outcome = Attempt(Outcome.FORBIDDEN, LACKS)
    await later(world, 700)
    assert f"not taken back yet: {LACKS}" in record(world).message
