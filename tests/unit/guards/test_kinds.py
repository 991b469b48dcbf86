"""What the kind of a workload forbids: ordinals and nodes one at a time, a quorum, actions that a kind does not have."""

from __future__ import annotations

from typing import Any

import pytest

from leakwarden.api.v1alpha1.action import Action
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.leakreport import PodReference, WorkloadReference
from leakwarden.api.v1alpha1.status import ActionResult
from leakwarden.core.evaluation.results import WorkloadEvaluation
from leakwarden.core.guards import ask
from leakwarden.core.guards.budgets import taken_away
from leakwarden.core.model.workload import Pod
from leakwarden.core.planning.ordering import queue
from tests.builders import NOW, enforcing, pod, policy, workload
from tests.guard_builders import candidate, decide, exhausting, healthy, record, report, situation, target

RESTART = {"type": "RolloutRestart"}
SCALE = {"type": "ScaleOut", "maxReplicas": 9}


def members(count: int, leaking: int = 1, away: int = 0, **changes: Any) -> WorkloadEvaluation:
    """A StatefulSet; its highest ordinals leak, its lowest are not ready."""
    pods = [pod(f"db-{n}", ready=n >= away) for n in range(count)]
    judged = [exhausting(one) if n >= count - leaking else healthy(one) for n, one in enumerate(pods)]
    given = {"kind": "StatefulSet", "replicas": count, "updated_replicas": count, **changes}
    return target(list(reversed(judged)), **given)


def nodes(*pods: Pod, **changes: Any) -> WorkloadEvaluation:
    judged = [exhausting(pods[0]), *(healthy(one) for one in pods[1:])]
    return target(judged, kind="DaemonSet", replicas=len(pods), updated_replicas=len(pods), **changes)


def reasons(*arguments: Any, **changes: Any) -> set[SkipReason]:
    around = changes.pop("around", None) or situation()
    return {skip.reason for skip in ask(candidate(*arguments, **changes), around)}


def test_the_highest_ordinal_comes_first_although_another_runs_out_earlier() -> None:
    soon = {0: 300.0, 1: 7200.0, 2: 3600.0, 10: 9000.0}
    pods = [exhausting(pod(f"db-{n}"), left=left) for n, left in soon.items()]
    spec = policy(spec=enforcing()).spec
    assert spec is not None
    stateful = target(pods, kind="StatefulSet", replicas=11, updated_replicas=11)
    assert [turn.pod.pod.name for turn in queue(stateful, spec, (), NOW)] == ["db-10", "db-2", "db-1", "db-0"]
    deployment = target(pods, replicas=11, updated_replicas=11)
    assert queue(deployment, spec, (), NOW)[0].pod.pod.name == "db-0"


@pytest.mark.parametrize(
    ("replicas", "budget", "allowed"),
    [
        (1, {}, False),
        (2, {}, False),  # one of two is no majority
        (2, {"quorum": "None"}, True),
        (3, {}, True),
        (3, {"minReady": 3}, False),
        (1, {"quorum": "None", "minReady": 0}, True),
        (1, {"minReady": 0}, False),
        (4, {}, True),
    ],
)
def test_a_majority_must_be_left_unless_the_pods_do_not_vote(
    replicas: int, budget: dict[str, Any], allowed: bool
) -> None:
    found = reasons(members(replicas), enforcing(budget=budget))
    assert (SkipReason.TOO_FEW_REPLICAS not in found) is allowed
    assert found <= {SkipReason.TOO_FEW_REPLICAS}


def test_a_majority_that_is_away_already_is_waited_for() -> None:
    found = reasons(members(5, away=2), enforcing(budget={"maxUnavailable": 4}))
    assert found == {SkipReason.BELOW_MIN_READY, SkipReason.ONE_AT_A_TIME}


@pytest.mark.parametrize("ordered", [True, False])
def test_an_ordinal_waits_until_all_others_serve_whatever_the_budget_allows(ordered: bool) -> None:
    generous = enforcing(budget={"maxUnavailable": "50%", "quorum": "None"})
    assert SkipReason.ONE_AT_A_TIME in reasons(members(7, away=1, ordered=ordered), generous)
    assert not reasons(members(7, ordered=ordered), generous)
    missing = members(7, ordered=ordered, replicas=8, updated_replicas=8)  # one is not even made yet
    assert SkipReason.ONE_AT_A_TIME in reasons(missing, generous)


def test_a_deployment_needs_no_majority_and_no_order() -> None:
    pods = [exhausting(pod("api-1")), healthy(pod("api-2")), healthy(pod("api-3", ready=False))]
    generous = enforcing(budget={"maxUnavailable": 2})
    assert not reasons(target(pods), generous)


def test_the_node_of_the_last_action_is_waited_for() -> None:
    pods = [pod(f"agent-{n}", node=f"node-{n}", owner="agent") for n in (1, 2, 3)]
    underway = record(
        id="a9", ago=1200, workload_uid="uid-api", pod="agent-0", pod_uid="uid-agent-0", result=ActionResult.VERIFYING
    )

    def going_on(node: str) -> Any:
        one = report(
            "agent", underway, workload=WorkloadReference(name="api", kind="DaemonSet", uid="uid-api"),
            pod=PodReference(name="agent-0", uid="uid-agent-0", node=node),
        )  # fmt: skip
        proven = record(ago=3600, id="a8", result=ActionResult.EFFECTIVE)
        return situation([underway, proven], reports=[one])

    generous = enforcing(budget={"maxUnavailable": 3}, cooldown="10s")
    assert reasons(nodes(*pods), generous, around=going_on("node-9")) == {SkipReason.ONE_AT_A_TIME}
    assert not reasons(nodes(*pods), generous, around=going_on("node-3")), "it has a pod that serves again"


@pytest.mark.parametrize(
    ("changes", "action", "refused"),
    [
        ({"kind": "DaemonSet"}, SCALE, True),
        ({"kind": "StatefulSet"}, SCALE, False),
        ({"kind": "Rollout"}, SCALE, False),
        ({"kind": "DaemonSet"}, RESTART, False),
        ({"kind": "DaemonSet", "strategy": "OnDelete"}, RESTART, True),
        ({"kind": "StatefulSet", "strategy": "OnDelete"}, RESTART, True),
        ({"kind": "StatefulSet", "strategy": "OnDelete"}, {"type": "EvictPod"}, False),
        ({"kind": "StatefulSet", "to_update": 2}, RESTART, False),  # of ordinals 0 to 2 the partition keeps only 0
        ({"kind": "StatefulSet", "to_update": 0}, RESTART, True),
        ({"kind": "StatefulSet", "to_update": 0}, {"type": "EvictPod"}, False),
    ],
)
def test_an_action_that_the_kind_does_not_have_is_refused(
    changes: dict[str, Any], action: dict[str, Any], refused: bool
) -> None:
    one = members(3, **changes)
    assert (SkipReason.UNSUPPORTED_BY_KIND in reasons(one, action=action)) is refused


def test_the_next_action_is_considered_where_the_kind_lacks_the_first() -> None:
    ladder = enforcing(actions=[SCALE, {"type": "EvictPod"}])
    decision = decide(nodes(*(pod(f"api-{n}", node=f"node-{n}") for n in (1, 2, 3))), ladder)
    assert decision.go
    assert decision.candidate.action.type == "EvictPod"
    assert "ScaleOut is impossible: a DaemonSet has no replicas to add" in decision.candidate.why


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"kind": "StatefulSet", "max_unavailable": None}, 1),
        ({"kind": "StatefulSet", "max_unavailable": "25%"}, 3),  # rounded up
        ({"kind": "DaemonSet", "max_unavailable": None, "max_surge": None}, 1),
        ({"kind": "DaemonSet", "max_unavailable": "25%", "max_surge": 0}, 3),
        ({"kind": "DaemonSet", "max_unavailable": 0, "max_surge": 1}, 0),
        ({"kind": "Rollout", "max_unavailable": "25%"}, 2),
        ({"kind": "Rollout", "max_unavailable": 0, "max_surge": 3}, 1),  # it evicts first, whatever its surge
    ],
)
def test_a_restart_takes_as_many_pods_as_the_kinds_controller(changes: dict[str, Any], taken: int) -> None:
    one = workload(replicas=10, updated_replicas=10, **changes)
    assert taken_away(Action.model_validate(RESTART), one) == taken


def test_a_kind_that_is_not_read_now_is_not_acted_on() -> None:
    denied = situation(unread_kinds={"StatefulSet": "the operator's account may not list statefulsets.apps (403)"})
    assert reasons(members(3), around=denied) == {SkipReason.CLUSTER_NOT_SYNCED}
    pods = [exhausting(pod("api-1")), healthy(pod("api-2")), healthy(pod("api-3"))]
    assert not reasons(target(pods), around=denied)


def test_a_budget_is_not_shared_by_two_kinds_of_one_name() -> None:
    budget = enforcing(budget={"actions": 1, "window": "1h"}, cooldown="10s", podCooldown="10s")
    old = record(ago=1200, workload="api", workload_uid="uid-old", result=ActionResult.EFFECTIVE, pod_uid="uid-x")
    spent = situation(reports=[report("api", old, workload=WorkloadReference(name="api", uid="uid-old"))])
    assert SkipReason.WORKLOAD_BUDGET_EXHAUSTED in reasons(None, budget, around=spent)
    assert SkipReason.WORKLOAD_BUDGET_EXHAUSTED not in reasons(members(3), budget, around=spent)
