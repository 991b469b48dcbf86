"""From evaluations to a plan, and every guard's no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.scalars import parse_int_or_percent
from leakwarden.api.v1alpha1.conditions import SKIP_MEANINGS, SkipReason
from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult, ActionStatus
from leakwarden.core.evaluation import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards import GUARDS, Situation
from leakwarden.core.judgement import Interval, Judgement, Verdict
from leakwarden.core.policy import format_time
from leakwarden.core.remediation import Decision, plan, recover
from leakwarden.core.workload import Pod, Workload
from tests.builders import NOW, enforcing, pod, policy, workload

EVERYTHING = frozenset(ActionType)


def exhausting(one: Pod, left: float | None = None, signal: str = "descriptors", value: float = 950) -> PodEvaluation:
    tte = Interval(left, left * 2) if left is not None else None
    found = Judgement(signal, Verdict.EXHAUSTING, "ThresholdHeld", "too many", value, 1000, None, tte)
    return PodEvaluation(one, Verdict.EXHAUSTING, found, found, (found,))


def healthy(one: Pod, value: float | None = 10.0) -> PodEvaluation:
    found = Judgement("descriptors", Verdict.HEALTHY, "WithinLimits", "fine", value, 1000)
    return PodEvaluation(one, Verdict.HEALTHY, found, None, (found,))


def target(pods: Sequence[PodEvaluation], conflict: str = "", **changes: Any) -> WorkloadEvaluation:
    worst = max((p.verdict for p in pods), key=list(Verdict).index, default=Verdict.UNKNOWN)
    return WorkloadEvaluation(workload(**changes), worst, tuple(pods), (), conflict)


def three(conflict: str = "", **changes: Any) -> WorkloadEvaluation:
    pods = [exhausting(pod("api-1")), healthy(pod("api-2")), healthy(pod("api-3"))]
    return target(pods, conflict, **changes)


def record(phase: ActionPhase = ActionPhase.DONE, ago: float = 60, **changes: Any) -> ActionStatus:
    values = {
        "id": "a1", "type": "EvictPod", "workload": "api", "workload_uid": "uid-api", "pod": "api-0",
        "pod_uid": "uid-api-0", "signal": "descriptors", "value": 950.0, "phase": phase,
        "intended_at": format_time(NOW - ago), "finished_at": format_time(NOW - ago),
    }  # fmt: skip
    return ActionStatus(**{**values, **changes})


def decide(
    one: WorkloadEvaluation | None = None,
    spec: dict[str, Any] | None = None,
    records: Sequence[ActionStatus] = (),
    permitted: frozenset[ActionType] = EVERYTHING,
    fresh: bool = True,
    trouble: str = "",
) -> Decision:
    one = one or three()
    evaluation = PolicyEvaluation(policy(spec=spec or enforcing()), "Prometheus/main", "", fresh, (one,))
    situation = Situation(NOW, fresh, permitted, {"uid-api": records}, records_trouble=trouble)
    (decision,) = plan([evaluation], situation)
    return decision


def test_an_exhausting_pod_is_evicted_when_nobody_says_no() -> None:
    decision = decide()
    assert decision.go
    assert decision.candidate.pod.pod.name == "api-1"
    assert decision.candidate.action.type is ActionType.EVICT_POD


SCALE = {"actions": [{"type": "ScaleOut", "maxReplicas": 3}]}
POOL = {"name": "pool", "type": "DBPool", "threshold": {"above": "90%"}}
PER_GUARD: dict[SkipReason, dict[str, Any]] = {
    SkipReason.SUSPENDED: {"spec": {**enforcing(), "suspend": True}},
    SkipReason.OBSERVING: {"spec": {"mode": "Observe"}},
    SkipReason.CONFLICTED: {"one": three(conflict="older")},
    SkipReason.OPTED_OUT: {"one": three(annotations={"leakwarden.dev/skip": "we know"})},
    SkipReason.NOT_PERMITTED: {"permitted": frozenset()},
    SkipReason.CLUSTER_NOT_SYNCED: {"fresh": False},
    SkipReason.ROLLOUT_IN_PROGRESS: {"one": three(updated_replicas=2)},
    SkipReason.ACTION_PENDING: {"records": [record(ActionPhase.PENDING, ago=7200)]},
    SkipReason.COOLDOWN_ACTIVE: {"records": [record(ago=60)]},
    SkipReason.BUDGET_EXHAUSTED: {
        "one": target([exhausting(pod("api-1")), healthy(pod("api-2", ready=False)), healthy(pod("api-3"))])
    },
    SkipReason.DISRUPTION_BUDGET: {"records": [record(ActionPhase.BLOCKED, ago=20, message="web-pdb forbids it")]},
    SkipReason.AT_MAX_REPLICAS: {"spec": enforcing(**SCALE)},
    SkipReason.WORSENS_LEAK: {
        "spec": enforcing(POOL, actions=[{"type": "ScaleOut", "maxReplicas": 9}]),
        "one": target([exhausting(pod("api-1"), signal="pool")], replicas=1, updated_replicas=1),
    },
    SkipReason.CIRCUIT_OPEN: {
        "records": [
            record(id=f"a{n}", ago=3600 * n, result=ActionResult.INEFFECTIVE, verified_at=format_time(NOW - 3600 * n))
            for n in (1, 2, 3)
        ]
    },
    SkipReason.EVIDENCE_MISSING: {"spec": {**enforcing(), "evidence": {"required": True}}},
    SkipReason.RECORDS_UNAVAILABLE: {"trouble": "the operator's account may not list leakreports"},
}


@pytest.mark.parametrize("reason", list(SkipReason))
def test_each_guard_says_no_for_its_own_reason_and_no_other(reason: SkipReason) -> None:
    decision = decide(**PER_GUARD[reason])
    assert [skip.reason for skip in decision.skips] == [reason]
    assert decision.skips[0].message


def test_every_reason_has_a_guard_and_a_meaning() -> None:
    assert len(GUARDS) == len(SkipReason) == len(PER_GUARD) == len(SKIP_MEANINGS)


@pytest.mark.parametrize(
    "changes",
    [
        {"records": [record(ago=1801)]},  # the cooldown is over
        {"records": [record(ActionPhase.BLOCKED, ago=61)]},  # ask the PodDisruptionBudget again
        {"one": three(annotations={"leakwarden.dev/skip": "false"})},
        {"one": target([exhausting(pod("api-1", ready=False)), healthy(pod("api-2")), healthy(pod("api-3"))])},
        {"one": target([exhausting(pod(f"api-{n}")) for n in range(3)])},  # replicas leak together
        {"spec": enforcing(actions=[{"type": "ScaleOut", "maxReplicas": 4}])},
        {"spec": enforcing(POOL), "one": target([exhausting(pod("api-1"), signal="pool")], replicas=1)},
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
    return one, spec, Situation(NOW, draw(st.booleans()), permitted, {"uid-api": records})


@given(situations())
def test_no_plan_exceeds_its_budget_or_acts_where_it_may_not(
    case: tuple[WorkloadEvaluation, dict[str, Any], Situation],
) -> None:
    one, spec, situation = case
    decisions = plan([PolicyEvaluation(policy(spec=spec), "", "", True, (one,))], situation)
    assert len(decisions) <= 1
    for decision in (d for d in decisions if d.go):
        assert spec["mode"] == "Enforce"
        assert not spec["suspend"]
        assert situation.cluster_fresh
        assert decision.candidate.action.type in situation.permitted
        assert decision.candidate.pod.acting is not None
        if decision.candidate.action.type is ActionType.SCALE_OUT:
            assert one.workload.replicas < (decision.candidate.action.max_replicas or 0)
        else:
            _assert_within_budget(one.workload, one, decision, spec)


def _assert_within_budget(
    deployment: Workload, one: WorkloadEvaluation, decision: Decision, spec: dict[str, Any]
) -> None:
    serving_after = sum(p.pod.available and p.pod.uid != decision.candidate.pod.pod.uid for p in one.pods)
    allowed = parse_int_or_percent(spec["remediation"]["budget"]["maxUnavailable"], deployment.replicas)
    assert serving_after >= deployment.replicas - allowed
