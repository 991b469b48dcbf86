"""More ways in which automated remediation does harm, each shown to be impossible here: what one tenant or one wrong reading
may cause. The first thirty are in tests/unit/engine/test_known_outages.py.

31  test_a_record_of_another_namespace_scales_nobody_to_nothing
32  test_a_warning_at_a_thousand_is_no_verdict_on_fifty_thousand
33  test_a_rollout_does_not_go_around_a_disruption_budget
34  test_a_slow_database_does_not_evict_its_clients
35  test_a_watch_that_lags_does_not_let_the_whole_deployment_be_evicted
36  test_an_answer_that_was_lost_adds_no_second_replica_and_none_stays
37  test_a_typo_does_not_hand_a_deployment_to_another_policy
38  test_a_wish_to_be_left_alone_holds_however_long_its_reason_is
39  test_the_descriptors_of_many_processes_are_not_held_against_the_limit_of_one
40  test_a_sidecar_does_not_hide_the_readings_of_the_application
41  test_a_pool_that_stays_full_is_not_healthy_because_it_grows_no_more
42  test_no_pool_is_scaled_out_whoever_measures_it
43  test_a_pod_that_autoscalers_must_not_touch_is_not_evicted
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from leakwarden.adapters.cluster import facts, wire
from leakwarden.adapters.kubelet.cadvisor import Memory, parse
from leakwarden.api.v1alpha1.leakreport import PodReference, WorkloadReference
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.readings import SeriesKey
from leakwarden.core.model.workload import Disruption
from leakwarden.core.signals.catalogue import CATALOGUE, Labels, render
from leakwarden.engine.ports import Attempt, Outcome
from tests.builders import NOW, body, enforcing, points, sampled, snapshot, workload
from tests.guard_builders import record, report
from tests.unit.engine.engine_world import World
from tests.unit.engine.outage_scenes import reasons, tick
from tests.unit.evaluation.test_growth_findings import goroutines, judged
from tests.unit.evaluation.test_shared_cause import course

ALL_FULL = {"api-1": 950.0, "api-2": 950.0, "api-3": 950.0}
POOL = {"name": "pool", "type": "DBPool", "threshold": {"above": "90%", "for": "5m"}}
SCALE = {"type": "ScaleOut", "maxReplicas": 9}


def become(world: World, **changes: Any) -> None:
    world.cluster.world = snapshot([workload(**changes)], world.pods)


async def test_a_record_of_another_namespace_scales_nobody_to_nothing() -> None:
    """31. Actions follow from records, and an account that may write objects in one namespace could forge records of
    another (a confused deputy: the operator's rights reach further than the tenant's)."""
    world = World(spec=enforcing(actions=[SCALE]))
    over = format_time(NOW - 60)
    forged = report(
        "theirs", record(type="ScaleOut", replicas_before=0, replicas_after=3, return_at=over), namespace="evil",
        workload=WorkloadReference(name="api", uid="uid-api"), pod=PodReference(name="x", uid="uid-x"),
    )  # fmt: skip
    world.cluster.stored[forged.key] = forged
    await tick(world, 50.0)
    assert world.changes() == []


async def test_a_warning_at_a_thousand_is_no_verdict_on_fifty_thousand() -> None:
    """32. Two rules over one metric that share their limit: the one that may act does so by the other's (seen in a review
    of this operator)."""
    world = await judged(goroutines("warn", "1k", role="Supporting"), goroutines("act", "50k"))
    assert world.changes() == []


async def test_a_rollout_does_not_go_around_a_disruption_budget() -> None:
    """33. A rollout deletes pods without the Eviction API, so PodDisruptionBudgets do not hold it up (Kubernetes
    documentation, Disruptions: "not limited by PDBs when doing rolling upgrades")."""
    world = World(spec=enforcing(actions=[{"type": "RolloutRestart"}]))
    become(world, max_unavailable=1, max_surge=0)
    world.cluster.budgets = [Disruption("shop", "quorum", 0)]
    await tick(world, ALL_FULL)
    assert world.changes() == []
    assert [each.phase for one in world.reports for each in one.status.actions] == ["Blocked"]


async def test_a_slow_database_does_not_evict_its_clients() -> None:
    """34. Liveness probes that check a database restart every client while it is slow (Kubernetes documentation,
    "Liveness, Readiness, and Startup Probes", on cascading failures)."""
    world = World(spec=enforcing(POOL))
    slow = {"api-1": course(420), "api-2": course(400), "api-3": course(450)}
    world.metrics.answer = sampled(slow, limit=100.0)
    await world.engine.tick()
    assert world.changes() == []
    assert {one.reason for one in world.status.workloads[0].unhealthy} == {"SharedCause"}


async def test_a_watch_that_lags_does_not_let_the_whole_deployment_be_evicted() -> None:
    """35. Controllers that count what their cache still shows delete one more pod for every late event
    (kubernetes/kubernetes, "expectations" of the ReplicaSet controller, exist for that)."""
    world = World(spec=enforcing(cooldown="10s", podCooldown="0s", warmUp="0s", budget={"maxUnavailable": 1}))
    for _ in range(20):
        await tick(world, ALL_FULL, seconds=61)  # the evicted pods are shown as if nothing had happened
    assert len({uid for kind, uid in world.changes() if kind == "evict"}) == 1


async def test_an_answer_that_was_lost_adds_no_second_replica_and_none_stays() -> None:
    """36. A request that timed out was carried out all the same, and is sent again (the reason why retries need
    idempotency; AWS Builders' Library, "Making retries safe with idempotent APIs")."""
    world = World(spec=enforcing(actions=[{**SCALE, "timeToLive": "20m"}], cooldown="1m", podCooldown="1m"))
    world.cluster.outcome = Attempt(Outcome.UNKNOWN, "the answer was lost")
    await tick(world, ALL_FULL)
    become(world, replicas=4, updated_replicas=4, ready_replicas=4)
    world.cluster.outcome = Attempt(Outcome.DONE)
    for _ in range(8):
        await tick(world, {**ALL_FULL, "api-2": 50.0, "api-3": 50.0}, seconds=120)
    assert world.changes() == [("scale", "uid-api 4")]
    await tick(world, 50.0, seconds=600)
    assert world.changes()[1:] == [("scale", "uid-api 3")]


async def test_a_typo_does_not_hand_a_deployment_to_another_policy() -> None:
    """37. Configuration that cannot be read is taken for configuration that is gone (seen in a review of this operator)."""
    world = World()
    typo = [{"name": "d", "type": "Descriptors", "threshold": {"above": "8O%"}}]
    old = {"creationTimestamp": format_time(NOW - 9e6)}
    world.policies.put(body("older", spec={"mode": "Observe", "signals": typo}, metadata=old))
    await tick(world, ALL_FULL)
    assert world.changes() == []


async def test_a_wish_to_be_left_alone_holds_however_long_its_reason_is() -> None:
    """38. A value too long to be kept is dropped, and with it what it decides (seen in a review of this operator)."""
    meta = {"uid": "uid-api", "name": "api", "namespace": "shop", "annotations": {"leakwarden.dev/skip": "x" * 200_000}}
    told = facts.workload(msgspec.convert({"metadata": meta}, wire.ApiDeployment))
    world = World()
    become(world, annotations=told.annotations)
    await tick(world, ALL_FULL)
    assert world.changes() == []
    assert "OptedOut" in reasons(world)


@pytest.mark.parametrize("processes", [33, 2, None])
def test_the_descriptors_of_many_processes_are_not_held_against_the_limit_of_one(processes: int | None) -> None:
    """39. cAdvisor adds up the descriptors of all processes of a container and exports the limit of its first one
    (google/cadvisor, container_file_descriptors and container_ulimits_soft)."""
    of = 'container="app",namespace="shop",pod="api-1"'
    lines = [f"container_file_descriptors{{{of}}} 990", f'container_ulimits_soft{{{of},ulimit="max_open_files"}} 1024']
    lines += [] if processes is None else [f"container_processes{{{of}}} {processes}"]
    memory = Memory(step=60.0)
    memory.add(parse("\n".join(lines), NOW), NOW)
    families = CATALOGUE["Descriptors"].kubelet  # type: ignore[index]
    assert families is not None
    assert memory.limit(families, SeriesKey("shop", "api-1", "app"), NOW) is None


def test_a_sidecar_does_not_hide_the_readings_of_the_application() -> None:
    """40. The first name under which a pod exports a metric wins for the whole pod, and a proxy in the same pod has a
    process collector of its own (seen in a review of this operator)."""
    for kind in ("Descriptors", "Goroutines", "Heap", "DBPool"):
        row = CATALOGUE[kind]  # type: ignore[index]
        asked = render(row.value, matchers='namespace="shop"', bucket=60, max_age=300, labels=Labels())
        assert " or on (namespace, pod, container) " in asked
        assert " or on (namespace, pod) " not in asked


async def test_a_pool_that_stays_full_is_not_healthy_because_it_grows_no_more() -> None:
    """41. A trend that ended at the limit has no slope, and a rule that looks at slopes alone calls it recovered (seen in
    a review of this operator)."""
    world = World(spec=enforcing({"name": "pool", "type": "DBPool"}))
    full = points([97.0] * 90, every=60)
    world.metrics.answer = sampled(
        {"api-1": full, "api-2": points([5.0] * 90, every=60), "api-3": points([5.0] * 90, every=60)}, limit=100.0
    )
    await world.engine.tick()
    assert world.status.workloads[0].unhealthy[0].verdict == "Exhausting"
    assert world.changes() == [("evict", "uid-api-1")]


@pytest.mark.parametrize(
    "signal",
    [
        {"type": "PromQL", "query": "mongo_used", "limitQuery": "mongo_max", "kind": "ConnectionPool"},
        {"type": "DBPool", "query": "mongo_used", "limitQuery": "mongo_max"},
        {"type": "DBPool"},
    ],
)
async def test_no_pool_is_scaled_out_whoever_measures_it(signal: dict[str, Any]) -> None:
    """42. More replicas open more connections to the database that has none left (HikariCP wiki, "About Pool Sizing")."""
    world = World(
        spec=enforcing({"name": "pool", **signal, "threshold": {"above": "80%", "for": "1m"}}, actions=[SCALE])
    )
    await tick(world, {**ALL_FULL, "api-2": 50.0, "api-3": 50.0})
    assert [kind for kind, _ in world.changes()] == []
    assert "WorsensLeak" in reasons(world)


@pytest.mark.parametrize("action", [{"type": "EvictPod"}, {"type": "RolloutRestart"}])
async def test_a_pod_that_autoscalers_must_not_touch_is_not_evicted(action: dict[str, Any]) -> None:
    """43. A batch of hours in a pod that is marked for the node autoscalers is lost to the next tool that moves pods
    (Karpenter documentation, "Pod-level controls"; cluster-autoscaler FAQ, safe-to-evict)."""
    world = World(spec=enforcing(actions=[action]))
    world.pods = [replace(one, protected="karpenter.sh/do-not-disrupt: true") for one in world.pods]
    become(world)
    await tick(world, ALL_FULL)
    assert [kind for kind, _ in world.changes()] == []
    assert "PodProtected" in reasons(world)


def test_all_of_them_are_shown() -> None:
    module = sys.modules[__name__]
    listed = re.findall(r"^(\d+) +(test_\w+)$", module.__doc__ or "", re.MULTILINE)
    assert [int(number) for number, _ in listed] == list(range(31, 44))
    for number, name in listed:
        told = inspect.getdoc(getattr(module, name)) or ""
        assert told.startswith(f"{number}. "), name
        assert "(" in told, f"{name} names no source"
