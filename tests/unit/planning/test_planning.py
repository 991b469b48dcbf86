"""From evaluations to a plan, and every guard's refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.scalars import parse_int_or_percent
from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase
from leakwarden.core.evaluation.results import PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards import Situation
from leakwarden.core.model.workload import Workload
from leakwarden.core.planning.planning import Decision, plan
from leakwarden.core.records.record import recover
from tests.builders import NOW, enforcing, pod, policy
from tests.guard_builders import decide, exhausting, healthy, record, situation, target, three


def test_an_exhausting_pod_is_evicted_when_nobody_says_no() -> None:
    decision = decide()
    assert decision.go
    assert decision.candidate.pod.pod.name == "api-1"
    assert decision.candidate.action.type is ActionType.EVICT_POD


POOL = {"name": "pool", "type": "DBPool", "threshold": {"above": "90%"}}


@pytest.mark.parametrize(
    "changes",
    [
        {"records": [record(ago=1801)]},  # the cooldown is over
        {"records": [record(ActionPhase.BLOCKED, ago=61)]},  # ask the PodDisruptionBudget again
        {"one": three(annotations={"leakwarden.dev/skip": "false"})},
        {"one": target([exhausting(pod("api-1", ready=False)), healthy(pod("api-2")), healthy(pod("api-3"))])},
        {"one": target([exhausting(pod(f"api-{n}")) for n in range(3)])},  # replicas leak together
        {"spec": enforcing(actions=[{"type": "ScaleOut", "maxReplicas": 4}])},
        {"spec": enforcing(POOL), "one": target([exhausting(pod("api-1"), signal="pool"), *three().pods[1:]])},
    ],
)
def test_what_must_not_stop_an_action_does_not(changes: dict[str, Any]) -> None:
    assert decide(**changes).go


def test_a_failed_action_counts_for_the_cooldown_because_nobody_knows_what_it_did() -> None:
    assert not decide(records=[record(ActionPhase.FAILED)]).go
    assert not decide(records=[record(ActionPhase.INTERRUPTED)]).go


def test_the_pod_that_runs_out_first_comes_first() -> None:
    pods = [exhausting(pod("api-1"), left=900), exhausting(pod("api-2"), left=300), exhausting(pod("api-3"))]
    assert decide(target(pods)).candidate.pod.pod.name == "api-2"


def test_where_no_time_is_known_the_fullest_comes_first() -> None:
    pods = [exhausting(pod("api-1"), value=900), exhausting(pod("api-2"), value=990)]
    assert decide(target(pods, replicas=2, updated_replicas=2)).candidate.pod.pod.name == "api-2"


def test_the_next_action_is_considered_only_where_the_first_is_impossible() -> None:
    both = enforcing(actions=[{"type": "ScaleOut", "maxReplicas": 3}, {"type": "EvictPod"}])
    assert decide(spec=both).candidate.action.type is ActionType.EVICT_POD
    waiting = decide(spec=enforcing(actions=[{"type": "EvictPod"}, {"type": "ScaleOut", "maxReplicas": 9}]),
                     records=[record(ago=60)])  # fmt: skip
    assert waiting.candidate.action.type is ActionType.EVICT_POD
    assert not waiting.go


def test_in_observe_the_plan_says_what_would_have_been_done() -> None:
    assert decide(spec={"mode": "Observe"}).only_observing


def test_a_pending_eviction_whose_pod_is_gone_is_done_and_not_repeated() -> None:
    closed = recover(record(ActionPhase.PENDING), pod_exists=False, now=NOW)
    assert closed.phase is ActionPhase.DONE


def test_a_pending_action_whose_outcome_is_unknown_is_never_repeated() -> None:
    assert recover(record(ActionPhase.PENDING), pod_exists=True, now=NOW).phase is ActionPhase.INTERRUPTED
    scaled = recover(record(ActionPhase.PENDING, type="ScaleOut"), pod_exists=False, now=NOW)
    assert scaled.phase is ActionPhase.INTERRUPTED


@st.composite
def situations(draw: st.DrawFn) -> tuple[WorkloadEvaluation, dict[str, Any], Situation]:
    replicas = draw(st.integers(1, 12))
    pods = []
    for index in range(draw(st.integers(0, replicas + 2))):
        member = pod(f"api-{index}", ready=draw(st.booleans()), terminating=False)
        pods.append(draw(st.sampled_from([exhausting(member), exhausting(member, left=60), healthy(member)])))
    one = target(pods, replicas=replicas, updated_replicas=draw(st.integers(0, replicas)), paused=draw(st.booleans()))
    spec = enforcing(
        budget={"maxUnavailable": draw(st.integers(1, 5) | st.sampled_from(["10%", "50%", "99%"]))},
        actions=draw(st.sampled_from([
            [{"type": "EvictPod"}], [{"type": "RolloutRestart"}],
            [{"type": "ScaleOut", "maxReplicas": 5}, {"type": "EvictPod"}],
        ])),
    )  # fmt: skip
    spec["mode"] = draw(st.sampled_from(["Observe", "Enforce"]))
    spec["suspend"] = draw(st.booleans())
    records = draw(st.lists(st.builds(record, st.sampled_from(list(ActionPhase)), st.floats(0, 4000)), max_size=3))
    permitted = draw(st.frozensets(st.sampled_from(list(ActionType))))
    return one, spec, situation(records, cluster_fresh=draw(st.booleans()), permitted=permitted)


@given(situations())
def test_no_plan_exceeds_its_budget_or_acts_where_it_may_not(
    case: tuple[WorkloadEvaluation, dict[str, Any], Situation],
) -> None:
    one, spec, known = case
    decisions = plan([PolicyEvaluation(policy(spec=spec), "", "", True, (one,))], known)
    assert len(decisions) <= 1
    for decision in (d for d in decisions if d.go):
        assert spec["mode"] == "Enforce"
        assert not spec["suspend"]
        assert known.cluster_fresh
        assert decision.candidate.action.type in known.permitted | {ActionType.ESCALATE}
        assert decision.candidate.pod.acting is not None
        if decision.candidate.action.type is ActionType.SCALE_OUT:
            assert one.workload.replicas < (decision.candidate.action.max_replicas or 0)
        elif decision.candidate.disturbs:
            _assert_within_budget(one.workload, one, decision, spec)


def _assert_within_budget(
    deployment: Workload, one: WorkloadEvaluation, decision: Decision, spec: dict[str, Any]
) -> None:
    serving = {p.pod.uid for p in one.pods if p.pod.available}
    if decision.candidate.action.type is ActionType.EVICT_POD:
        serving_after = len(serving - {decision.candidate.pod.pod.uid})
    else:  # a rollout takes a quarter away before its replacement is ready, rounded down, by its strategy
        assert (deployment.max_unavailable, deployment.strategy) == ("25%", "RollingUpdate")
        serving_after = len(serving) - deployment.replicas // 4
    allowed = parse_int_or_percent(spec["remediation"]["budget"]["maxUnavailable"], deployment.replicas)
    assert serving_after >= deployment.replicas - allowed
