"""Order, distance and limits of actions: leaking replicas one after another, budgets, and no storm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from e2e.faults.exporter import Kind
from e2e.faults.nodes import deployment
from e2e.faults.pace import POLICY
from e2e.faults.remedies import (
    COOLDOWN,
    amend,
    assert_event,
    judged,
    ready,
    remedy,
    replicas,
    report_of,
    seconds,
    team,
    uid,
    wait_for_evictions,
    wait_for_results,
)
from e2e.faults.scenarios import Scenario, cases, side_by_side
from e2e.faults.scene import Scene, World
from e2e.harness.kube import Object, apply
from e2e.harness.policies import signal
from e2e.harness.waiting import NotYet

pytestmark = pytest.mark.long

AT_ONCE = 5
#: Budgets and storms are about many Deployments; by default one is acted on at a time.
MANY_AT_ONCE = {"LEAKWARDEN_MAX_CONCURRENT": "10"}


@pytest.fixture(scope="module")
def running(world: World, request: pytest.FixtureRequest) -> Iterator[Mapping[Scenario, Future[None]]]:
    with side_by_side(request, world, AT_ONCE) as begun:
        yield begun


# Order


def the_fullest_replica_goes_first_and_the_others_only_once_that_was_seen_to_help(world: World) -> None:
    with world.scene("canary") as scene:
        # Verification takes longer than the cooldown, so that the others do not wait for the cooldown.
        pods = judged(scene, 3, "EvictPod", verification={"settle": "15s", "timeout": "60s"})
        by_level = dict(zip((175.0, 195.0, 185.0), pods, strict=True))
        amend(scene, pauseRequests=[{"name": "e2e", "reason": "until all leak"}])
        for level, pod in by_level.items():
            scene.leak(pod, value=level)
        scene.wait("all to run out", lambda: _exhausting(scene, 3))
        amend(scene, pauseRequests=None)
        fullest_first = [uid(by_level[level]) for level in sorted(by_level, reverse=True)]

        def only_the_canary_is_awaited() -> bool | NotYet:
            _never_two_away(scene)
            skips = scene.skips()
            return True if skips == ["CanaryPending"] else NotYet(str(scene.workload()))

        scene.wait("the others to wait for nothing but the canary", only_the_canary_is_awaited)
        assert scene.evicted() == fullest_first[:1]

        def all_replaced() -> bool | NotYet:
            _never_two_away(scene)
            return True if len(scene.evicted()) >= 3 else NotYet(str(scene.workload()))

        scene.wait("all three to be replaced", all_replaced)
        assert scene.evicted() == fullest_first
        records = wait_for_results(scene, "Effective", "Effective", "Effective")
        assert seconds(records[0]["verifiedAt"]) <= seconds(records[1]["intendedAt"]), "acted before the proof"
        for earlier, later in pairwise(records):
            assert seconds(later["intendedAt"]) - seconds(earlier["intendedAt"]) >= COOLDOWN


def _exhausting(scene: Scene, number: int) -> bool | NotYet:
    targets = scene.status().get("targets", {})
    return True if targets.get("exhausting") == number else NotYet(str(targets))


def _never_two_away(scene: Scene) -> None:
    assert ready(scene) >= replicas(scene) - 1, "two pods of one Deployment were away at a time"


def replicas_that_leak_together_are_taken_by_the_time_they_have_left_and_are_kept_out_of_step(world: World) -> None:
    """The one that runs out first is the emptiest. The second's turn comes later than its cooldown would let it."""
    growing = [signal("Descriptors", "60%", "4s", growth={"enabled": True})]
    with world.scene("stagger") as scene:
        pods = scene.deploy(replicas=3)
        soonest, second, _ = pods
        for pod, (level, per_second) in zip(pods, ((14, 2.3), (108, 0.6), (125, 0.38)), strict=True):
            scene.leak(pod, value=_rising(level, per_second))
        _restarted(scene, pods)
        held_back = [{"name": "e2e", "reason": "until it is known how long each has"}]
        scene.guard(signals=growing, remediation=remedy("EvictPod"), pauseRequests=held_back)
        scene.start()
        # Where no time is known the fullest comes first.
        scene.wait("the emptiest to be the first in the queue", lambda: _waits_first(scene, soonest), 90)
        amend(scene, pauseRequests=None)
        assert wait_for_evictions(scene, 1) == [uid(soonest)]

        def staggered() -> Object | NotYet:
            found: Object = scene.workload().get("skipped", {})
            return found if found.get("reasons") == ["Staggered"] else NotYet(str(scene.workload()))

        told = scene.wait("the second to wait for its turn alone", staggered)
        assert told["pod"] == second["metadata"]["name"]
        assert "its turn comes at" in told["message"]
        assert scene.evicted() == [uid(soonest)]
        assert wait_for_evictions(scene, 2) == [uid(soonest), uid(second)]
        first, last = (each.at for each in scene.evictions())
        assert last - first > 1.2 * COOLDOWN, "the cooldown alone held it back"


def _waits_first(scene: Scene, pod: Object) -> bool | NotYet:
    skipped = scene.workload().get("skipped", {})
    return True if skipped.get("pod") == pod["metadata"]["name"] else NotYet(str(scene.workload()))


def _restarted(scene: Scene, pods: list[Object]) -> None:
    """Their processes begin again: earlier readings do not apply to them."""
    at = datetime.fromtimestamp(time.time() + 3, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for pod in pods:
        (state,) = pod["status"]["containerStatuses"]
        running = {**state, "restartCount": 1, "state": {"running": {"startedAt": at}}}
        path = f"api/v1/namespaces/{scene.namespace}/pods/{pod['metadata']['name']}/status"
        scene.world.api.merge(path, {"status": {"containerStatuses": [running]}})


def _rising(level: float, per_second: float) -> Callable[[], float]:
    begin = time.monotonic()
    return lambda: level + per_second * (time.monotonic() - begin)


# Budgets


def a_namespace_sees_no_more_actions_within_the_window_than_its_budget_and_the_rest_after_it(world: World) -> None:
    window = 60.0
    settings = {"LEAKWARDEN_NAMESPACE_ACTIONS": "2", "LEAKWARDEN_BUDGET_WINDOW": f"{window:g}s", **MANY_AT_ONCE}
    with world.scene("budget", settings=settings) as scene:
        pods = {**team(scene, "cart", ("cart", "orders")), **team(scene, "search", ("search",))}
        for name in ("cart", "search"):
            scene.guard(name, {"team": name}, remediation=remedy("EvictPod"))
        scene.start()
        scene.wait("all to be judged healthy", lambda: _all_healthy(scene, "cart", "search"))
        leaking = [found[0] for found in pods.values()]
        for pod, level in zip(leaking, (195.0, 185.0, 175.0), strict=True):
            scene.leak(pod, value=level)
        wait_for_evictions(scene, 2)
        left = {uid(pod): name for name, (pod, _) in pods.items()}
        for each in scene.evicted():
            left.pop(each)
        (name,) = left.values()
        policy = "search" if name == "search" else "cart"
        scene.wait_for_skip("NamespaceBudgetExhausted", workload=name, name=policy)
        assert "2 actions in the namespace within 1m" in scene.workload(name, policy)["skipped"]["message"]
        assert_event(scene, "RemediationSkipped", words="NamespaceBudgetExhausted")
        evicted = wait_for_evictions(scene, 3, timeout=window + 30)
        assert sorted(evicted) == sorted(uid(pod) for pod in leaking)
        at = [each.at for each in scene.evictions()]
        assert at[2] - at[0] >= window - 1, "three within one window"


def _all_healthy(scene: Scene, *policies: str) -> bool | NotYet:
    found = [scene.condition("Healthy", name).get("status") for name in policies]
    return True if found == ["True"] * len(policies) else NotYet(str(found))


def a_cluster_sees_no_more_actions_than_its_budget_whichever_namespaces_they_are_in(world: World) -> None:
    settings = {"LEAKWARDEN_CLUSTER_ACTIONS": "2", "LEAKWARDEN_BUDGET_WINDOW": "10m", **MANY_AT_ONCE}
    with world.scene("cluster", settings=settings, beside=True) as scene:
        other = scene.beside
        here, there = team(scene, "shop", ("cart", "orders")), team(other, "shop", ("search",))
        for each in (scene, other):
            each.guard(selector={"team": "shop"}, remediation=remedy("EvictPod"))
        scene.start()
        for each in (scene, other):
            each.wait_for_condition("Healthy", "True")
        full = [found[0] for found in here.values()]
        scene.leak(*full, value=195.0)
        wait_for_evictions(scene, 2)
        scene.leak(there["search"][0])
        other.wait_for_skip("ClusterBudgetExhausted", workload="search")
        skipped = other.workload("search")["skipped"]
        assert skipped["reasons"] == ["ClusterBudgetExhausted"], "its own namespace has had none"
        assert "2 actions in the cluster within 10m" in skipped["message"]
        scene.wait_for_ticks(5)
        scene.assert_quiet(but=[uid(pod) for pod in full])


# Storms


def a_storm_of_deployments_that_run_out_together_stops_everything_until_it_is_over(world: World) -> None:
    cooldown = 20.0
    settings = {
        "LEAKWARDEN_STORM_WORKLOADS": "4",
        "LEAKWARDEN_STORM_WINDOW": "30s",
        "LEAKWARDEN_STORM_COOLDOWN": f"{cooldown:g}s",
    }
    services = ("cart", "orders", "search", "stock")
    with world.scene("storm", settings=settings) as scene:
        leaking = [pods[0] for pods in team(scene, "shop", services).values()]
        scene.guard(selector={"team": "shop"}, remediation=remedy("EvictPod"))
        scene.start()
        scene.wait_for_condition("Healthy", "True")
        scene.leak(*leaking)
        for name in services:
            scene.wait_for_skip("StormActive", workload=name)
        told = scene.workload(services[0])["skipped"]["message"]
        assert "4 Deployments began to run out within 30s" in told
        scene.assert_quiet()
        burst = max(seconds(report_of(scene, pod)["status"]["exhaustingAt"]) for pod in leaking)

        def one_at_a_time() -> bool | NotYet:
            records = scene.actions(None)  # in one read: separate reads show states of different moments
            under_way = [each for each in records if each.get("result", each["phase"]) in ("Pending", "Verifying")]
            assert len(under_way) <= 1, "more Deployments at once than guards.maxConcurrent"
            done = [each for each in records if each.get("result") == "Effective"]
            return True if len(done) == len(services) else NotYet(f"{len(done)} done; {scene.workload(services[0])}")

        scene.wait("all to be dealt with, one after another", one_at_a_time, 120)
        records = scene.actions(None)
        assert min(seconds(each["intendedAt"]) for each in records) >= burst + cooldown - 1, "acted in the storm"
        assert sorted(scene.evicted()) == sorted(uid(pod) for pod in leaking)


# Actions that do not suit a Deployment


def scaling_out_is_refused_for_a_leak_of_database_connections_and_what_is_next_is_done(world: World) -> None:
    pool = [signal("DBPool", "80%", "4s", name="pool")]
    scale_out = {"type": "ScaleOut", "maxReplicas": 5}
    with world.scene("pool") as scene:
        scene.world.exporter.presume(scene.namespace, "victim", 20.0, Kind.CONNECTIONS)
        pods = judged(scene, 2, scale_out, policy={"signals": pool})
        scene.leak(pods[0], kind=Kind.CONNECTIONS)
        scene.wait_for_skip("WorsensLeak")
        scene.wait_for_ticks(5)
        assert not scene.actions()
        amend(scene, remediation={"actions": [scale_out, {"type": "EvictPod"}]})
        record = scene.wait_for_action()
        assert (record["type"], record["podUID"]) == ("EvictPod", uid(pods[0]))
        plan = report_of(scene, pods[0])["status"]["plan"]
        assert plan["step"] == 1
        assert "ScaleOut is impossible: another replica would open more connections" in plan["message"]
        wait_for_results(scene, "Effective")
        assert replicas(scene) == 2
        assert not [each for each in scene.api.log if each.path.endswith("/scale") and each.changes]


def a_pod_that_would_drop_its_requests_is_not_evicted_until_that_is_waived(world: World) -> None:
    with world.scene("abrupt") as scene:
        abrupt = deployment("victim", scene.namespace, 2)
        abrupt["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 0
        apply(abrupt)
        pods = scene.wait_for_pods("victim", 2)
        scene.guard(remediation=remedy("EvictPod"), audit={"enabled": True, "callEndpoints": False})
        scene.start()
        scene.wait_for_condition("Healthy", "True")
        scene.leak(pods[0])
        scene.wait_for_skip("DropsRequests")
        skipped = scene.workload()["skipped"]
        assert skipped["reasons"] == ["DropsRequests"]
        assert "terminationGracePeriodSeconds is 0" in skipped["message"]
        assert_event(scene, "RemediationSkipped", words="DropsRequests")
        scene.wait_for_ticks(5)
        scene.assert_quiet()
        amend(scene, POLICY, audit={"enabled": False})
        assert wait_for_evictions(scene, 1) == [uid(pods[0])]


@cases(
    replicas_that_leak_together_are_taken_by_the_time_they_have_left_and_are_kept_out_of_step,
    a_namespace_sees_no_more_actions_within_the_window_than_its_budget_and_the_rest_after_it,
    a_storm_of_deployments_that_run_out_together_stops_everything_until_it_is_over,
    the_fullest_replica_goes_first_and_the_others_only_once_that_was_seen_to_help,
    a_cluster_sees_no_more_actions_than_its_budget_whichever_namespaces_they_are_in,
    scaling_out_is_refused_for_a_leak_of_database_connections_and_what_is_next_is_done,
    a_pod_that_would_drop_its_requests_is_not_evicted_until_that_is_waived,
)
def test_what_is_done_is_done_in_order_and_within_its_limits(
    scenario: Scenario, running: Mapping[Scenario, Future[None]]
) -> None:
    running[scenario].result()
