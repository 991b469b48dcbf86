"""Workloads that are no Deployments, through the whole tick: everything is held by UID, whatever names come again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leakwarden.api.v1alpha1.leakreport import Phase
from leakwarden.core.model.workload import Pod, Workload
from tests.builders import enforcing, pod, points, sampled, snapshot, workload
from tests.unit.engine.engine_world import World

KINDS = ["StatefulSet", "DaemonSet", "Rollout"]


def selecting(*kinds: str, **changes: Any) -> dict[str, Any]:
    quick = enforcing(cooldown="10s", podCooldown="10s", warmUp="0s", **changes)
    return {**quick, "workloads": list(kinds)}


def one_of(kind: str, name: str = "db", **changes: Any) -> Workload:
    return workload(name, kind=kind, uid=f"uid-{kind}-{name}", **changes)


def member(number: int, kind: str = "StatefulSet", life: int = 0, **changes: Any) -> Pod:
    """The pod of that ordinal; each life has a UID of its own."""
    return pod(
        f"db-{number}", uid=f"uid-db-{number}-{life}", workload_uid=f"uid-{kind}-db", node=f"node-{number}", **changes
    )


def world_of(kind: str, spec: dict[str, Any] | None = None) -> World:
    world = World(spec or selecting(kind))
    world.cluster.world = snapshot([one_of(kind)], [member(n, kind) for n in range(3)])
    world.levels(db_0=50, db_1=50, db_2=950)
    return world


@pytest.mark.parametrize("kind", KINDS)
async def test_a_leaking_pod_of_each_kind_is_reported_and_evicted(kind: str) -> None:
    world = world_of(kind)
    await world.later()
    await world.later()
    assert world.changes() == [("evict", "uid-db-2-0")]
    assert (world.report.spec.workload.kind, world.report.spec.workload.name) == (kind, "db")
    assert world.report.status.actions[0].workload_kind == kind
    [shown] = world.status.workloads
    assert (shown.kind, shown.name) == (kind, "db")
    assert {each.regarding.kind for each in world.recorder.told} == {kind, "ReliabilityPolicy"}


@pytest.mark.parametrize("kind", KINDS)
async def test_in_observe_nothing_of_it_is_changed(kind: str) -> None:
    world = world_of(kind, {**selecting(kind), "mode": "Observe"})
    await world.later()
    await world.later()
    assert not world.changes()
    [shown] = world.status.workloads
    assert shown.verdict == "Exhausting"
    assert shown.skipped is not None
    assert shown.skipped.reasons == ["Observing"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_policy_selects_deployments_alone_unless_it_says_more(kind: str) -> None:
    world = world_of(kind, enforcing())
    await world.later()
    assert world.status.targets.workloads == 0
    assert not world.reports


async def test_two_kinds_of_one_name_are_two_workloads() -> None:
    world = World(selecting("Deployment", "StatefulSet"))
    deployed = [pod(f"db-{letter}", uid=f"uid-db-{letter}", workload_uid="uid-db") for letter in "abc"]
    world.cluster.world = snapshot([workload("db"), one_of("StatefulSet")], [*deployed, *(member(n) for n in range(3))])
    world.levels(db_a=50, db_b=50, db_c=50, db_0=50, db_1=50, db_2=950)
    await world.later()
    shown = {(each.kind, each.name): each.verdict for each in world.status.workloads}
    assert shown == {("StatefulSet", "db"): "Exhausting", ("Deployment", "db"): "Healthy"}


async def test_a_new_pod_of_the_old_name_inherits_nothing() -> None:
    """Neither readings, nor a verdict, nor an open report, nor a pod's cooldown: the name is the old one's, the UID not."""
    world = world_of("StatefulSet", selecting("StatefulSet", verification={"settle": "30s", "timeout": "20m"}))
    await world.later()
    await world.later()
    assert world.changes() == [("evict", "uid-db-2-0")]
    first = world.report
    born = world.now + 10
    reborn = member(2, life=1, created=born)
    world.cluster.world = snapshot([one_of("StatefulSet")], [member(0), member(1), reborn])
    # The source still holds the old process's readings under the pod's name, and has one of the new process.
    old = points([950] * 5, until=born - 5)
    world.flat = {}
    world.now += 30
    world.metrics.answer = sampled({
        "db-0": points([50] * 5, until=world.now), "db-1": points([50] * 5, until=world.now),
        "db-2": type(old)(
            t=[*old.t, world.now - 5],  # type: ignore[arg-type]
            v=[*old.v, 40.0],  # type: ignore[arg-type]
        ),
    })  # fmt: skip
    await world.engine.tick()
    judged = {each.pod.uid: each for each in world.engine.last.evaluations[0].workloads[0].pods}
    assert judged["uid-db-2-1"].verdict != "Exhausting"
    assert [report.spec.pod.uid for report in world.reports] == ["uid-db-2-0"]
    assert first.status.actions[0].pod_uid == "uid-db-2-0"
    # The new one leaks in its turn: it is an episode of its own.
    world.levels(db_0=50, db_1=50, db_2=50)
    for _ in range(4):
        await world.later(60)
    world.levels(db_0=50, db_1=50, db_2=950)
    for _ in range(4):
        await world.later(60)
    assert {report.spec.pod.uid for report in world.reports} == {"uid-db-2-0", "uid-db-2-1"}
    assert len({report.name for report in world.reports}) == 2


async def test_a_stateful_set_created_again_under_its_name_is_another_one() -> None:
    world = world_of("StatefulSet")
    await world.later()
    await world.later()
    again = replace(one_of("StatefulSet"), uid="uid-second")
    pods = [replace(member(n, life=1, created=world.now), workload_uid="uid-second") for n in range(3)]
    world.cluster.world = snapshot([again], pods)
    world.levels(db_0=50, db_1=50, db_2=50)
    await world.later()
    assert world.report.ended
    assert "was deleted or replaced" in world.report.status.message
    # Its budget is not refilled by that, though: the name still counts.
    assert world.engine.last.actions[0].workload_kind == "StatefulSet"


async def test_an_episode_of_a_kind_that_is_not_read_now_goes_on() -> None:
    """That its workload is not in the view does not say that it is gone."""
    world = world_of("StatefulSet")
    await world.later()
    await world.later()
    assert world.report.status.phase is Phase.VERIFYING
    said = "the operator's account may not list statefulsets.apps (403)"
    world.cluster.world = replace(snapshot([], []), unread_kinds={"StatefulSet": said})
    await world.later()
    assert world.report.status.phase is Phase.VERIFYING
    status, reason = world.condition("Ready")
    assert (status, reason) == ("False", "KindUnread")


async def test_a_crd_that_is_absent_is_said_and_is_no_error() -> None:
    world = World(selecting("Deployment", "Rollout"))
    world.cluster.world = replace(
        world.cluster.world, unread_kinds={"Rollout": "not served"}, absent_kinds=frozenset({"Rollout"})
    )
    await world.later()
    [ready] = [each for each in world.status.conditions if each.type == "Ready"]
    assert (ready.status, ready.reason) == ("True", "Reconciled")
    assert "the cluster does not have Rollouts" in ready.message


async def test_the_status_shows_what_a_profile_stands_for() -> None:
    world = World({**enforcing(), "profile": "go-service"})
    await world.later()
    assert world.status.profile == "go-service: descriptors, goroutines, heap, db-pool, working-set"
    assert world.status.signals[0].name == "descriptors"
    assert len(world.status.signals) == 5


async def test_the_condition_counts_what_is_selected_by_kind() -> None:
    world = World(selecting("Deployment", "StatefulSet"))
    world.cluster.world = snapshot([workload("api"), workload("web"), one_of("StatefulSet")], [])
    await world.later()
    [ready] = [each for each in world.status.conditions if each.type == "Ready"]
    assert ready.message.startswith("2 Deployments and 1 StatefulSet selected")


async def test_the_action_after_the_first_waits_until_the_ordinal_serves_again() -> None:
    world = world_of("StatefulSet", selecting("StatefulSet", budget={"maxUnavailable": 2, "quorum": "None"}))
    world.levels(db_0=50, db_1=950, db_2=950)
    await world.later()
    await world.later()
    assert world.changes() == [("evict", "uid-db-2-0")], "the highest ordinal first"
    coming = member(2, life=1, created=world.now, ready=False)
    world.cluster.world = snapshot([one_of("StatefulSet")], [member(0), member(1), coming])
    world.levels(db_0=50, db_1=950, db_2=50)
    for _ in range(30):
        await world.later(60)
    assert world.changes() == [("evict", "uid-db-2-0")]
    [shown] = world.status.workloads
    assert shown.skipped is not None
    assert "OneAtATime" in shown.skipped.reasons
    served = replace(coming, ready=True)
    world.cluster.world = snapshot([one_of("StatefulSet")], [member(0), member(1), served])
    for _ in range(3):
        await world.later(60)
    assert world.changes()[1:] == [("evict", "uid-db-1-0")]
