"""Did it help? Each outcome, and the facts needed before one is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leakwarden.api.v1alpha1.leakreport import Phase, VerificationStatus
from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionStatus
from leakwarden.core.episodes.verification import Conclusion, before_action, verify
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards import Situation
from leakwarden.core.model.judgement import Interval, Judgement, Verdict
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.workload import Pod
from leakwarden.core.planning.intent import intent
from leakwarden.core.planning.planning import plan
from leakwarden.core.records.record import finish
from tests.builders import NOW, enforcing, pod, policy, workload

ERRORS = {"name": "errors", "type": "HTTPErrors", "threshold": {"above": "5%", "for": "1m"}}
DESCRIPTORS = {"name": "descriptors", "type": "Descriptors", "threshold": {"above": "80%", "for": "1m"}}
ACTED = NOW - 300.0


def judged(
    one: Pod, verdict: Verdict, value: float | None, growth: Interval | None = None, errors: bool = False
) -> PodEvaluation:
    found = Judgement(
        "descriptors", verdict, "Some", message="said so", value=value, limit=1000, growth_per_hour=growth
    )
    symptom = Judgement("errors", Verdict.EXHAUSTING if errors else Verdict.HEALTHY, "Some", "12% of requests", 0.12)
    acting = found if verdict is Verdict.EXHAUSTING else None
    return PodEvaluation(one, verdict, found, acting, (found, symptom))


def old(name: str, verdict: Verdict = Verdict.HEALTHY, value: float | None = 30, **more: Any) -> PodEvaluation:
    return judged(pod(name), verdict, value, **more)


def new(
    name: str = "api-9", verdict: Verdict = Verdict.HEALTHY, value: float | None = 12, **more: Any
) -> PodEvaluation:
    return judged(pod(name, created=ACTED + 5, ready=more.pop("ready", True)), verdict, value, **more)


def target(*pods: PodEvaluation, **changes: Any) -> WorkloadEvaluation:
    return WorkloadEvaluation(workload(**changes), Verdict.HEALTHY, pods, ())


LEAKING = old("api-1", Verdict.EXHAUSTING, 950, errors=True)
BEFORE = target(LEAKING, old("api-2"), old("api-3"))


def spec(kind: str = "EvictPod") -> dict[str, Any]:
    action = {"type": kind, **({"maxReplicas": 9} if kind == "ScaleOut" else {})}
    settling = {"settle": "1m", "timeout": "10m"}
    return enforcing(DESCRIPTORS, ERRORS, actions=[action], verification=settling)


def acted(before: WorkloadEvaluation = BEFORE, kind: str = "EvictPod") -> tuple[ActionStatus, VerificationStatus]:
    evaluation = PolicyEvaluation(policy(spec=spec(kind)), "", "", True, (before,))
    (decision,) = plan([evaluation], Situation(ACTED, True, frozenset(ActionType)))
    record = finish(intent(decision, "a1", ACTED), ActionPhase.DONE, "evicted", ACTED)
    return record, before_action(decision.candidate)


def seen(
    after: WorkloadEvaluation,
    *,
    settled_for: float | None = 70,
    late: bool = False,
    before: WorkloadEvaluation = BEFORE,
    kind: str = "EvictPod",
) -> tuple[VerificationStatus, Conclusion | None]:
    record, held = acted(before, kind)
    if settled_for is not None:
        held = held.model_copy(update={"since": format_time(NOW - settled_for)})
    if late:
        record = record.model_copy(update={"finished_at": format_time(NOW - 601)})
    known = policy(spec=spec(kind)).spec
    assert known is not None
    return verify(record, held, after, known, NOW)


def outcome(after: WorkloadEvaluation, **more: Any) -> Phase | None:
    _, conclusion = seen(after, **more)
    return conclusion.phase if conclusion is not None else None


CALM = target(new(), old("api-2"), old("api-3"))


def test_a_calm_new_pod_makes_the_action_effective_and_the_message_compares() -> None:
    status, conclusion = seen(CALM)
    assert conclusion is not None
    assert conclusion.phase is Phase.EFFECTIVE
    assert "3 of 3 replicas serve, descriptors at most 12, was 950" in conclusion.message
    assert status.new_pods == ["uid-api-9"]
    assert status.before is not None
    assert status.after is not None
    assert status.siblings is not None
    assert (status.before.value, status.after.value, status.siblings.value) == (950, 12, 30)


def test_growth_that_is_seen_again_is_said_beside_it() -> None:
    _, conclusion = seen(target(new(growth=Interval(300, 400)), old("api-2"), old("api-3")))
    assert conclusion is not None
    assert conclusion.phase is Phase.EFFECTIVE
    assert "grows again by 300 an hour or more: the restart bought time, the leak goes on" in conclusion.message


def test_nothing_is_concluded_before_the_deployment_has_settled_for_long_enough() -> None:
    assert outcome(CALM, settled_for=59) is None
    status, conclusion = seen(CALM, settled_for=None)
    assert conclusion is None
    assert status.since == format_time(NOW)


@pytest.mark.parametrize(
    "after",
    [
        target(old("api-2"), old("api-3")),  # no successor yet
        target(new(ready=False), old("api-2"), old("api-3")),
        target(new(), old("api-2"), old("api-3"), updated_replicas=2),
        target(new(), LEAKING, old("api-2"), old("api-3"), replicas=4, updated_replicas=4),  # it is still there
    ],
    ids=["no successor", "not ready", "rolling out", "still there"],
)
def test_a_deployment_that_does_not_settle_is_inconclusive_in_the_end(after: WorkloadEvaluation) -> None:
    status, conclusion = seen(after)
    assert status.since is None
    assert conclusion is None
    assert outcome(after, late=True) is Phase.INCONCLUSIVE


def test_what_settles_at_the_last_moment_is_still_compared() -> None:
    assert outcome(CALM, late=True, settled_for=None) is None
    assert outcome(CALM, late=True, settled_for=30) is None
    assert outcome(CALM, late=True, settled_for=70) is Phase.EFFECTIVE


@pytest.mark.parametrize("verdict", [Verdict.LEAKING, Verdict.EXHAUSTING])
def test_a_new_pod_that_leaks_again_makes_it_ineffective_at_once(verdict: Verdict) -> None:
    assert outcome(target(new(verdict=verdict), old("api-2"), old("api-3")), settled_for=None) is Phase.INEFFECTIVE


def test_a_level_that_does_not_come_back_makes_it_ineffective_at_the_end() -> None:
    high = target(new(value=600), old("api-2"), old("api-3"))
    assert outcome(high) is None
    assert outcome(high, late=True) is Phase.INEFFECTIVE


def test_a_pod_no_worse_than_its_healthy_siblings_is_back_whatever_half_would_be() -> None:
    assert outcome(target(new(value=600), old("api-2", value=550), old("api-3"))) is Phase.EFFECTIVE


def test_symptoms_that_were_there_and_stay_make_it_ineffective_and_new_ones_inconclusive() -> None:
    failing = target(new(errors=True), old("api-2"), old("api-3"))
    assert outcome(failing) is None
    assert outcome(failing, late=True) is Phase.INEFFECTIVE
    quiet = target(old("api-1", Verdict.EXHAUSTING, 950), old("api-2"), old("api-3"))
    assert outcome(failing, late=True, before=quiet) is Phase.INCONCLUSIVE


def test_without_readings_of_the_new_pod_it_is_inconclusive() -> None:
    blind = target(new(verdict=Verdict.UNKNOWN, value=None), old("api-2"), old("api-3"))
    assert outcome(blind) is None
    assert outcome(blind, late=True) is Phase.INCONCLUSIVE
    warming_up = target(new(verdict=Verdict.UNKNOWN, value=12), old("api-2"), old("api-3"))
    assert outcome(warming_up) is Phase.EFFECTIVE


def test_leaking_siblings_left_alone_that_recover_show_that_it_would_have_gone_by_itself() -> None:
    both = target(LEAKING, old("api-2", Verdict.LEAKING, 700), old("api-3"))
    assert outcome(CALM, before=both) is Phase.RECOVERED_ANYWAY
    still = target(new(), old("api-2", Verdict.LEAKING, 720), old("api-3"))
    assert outcome(still, before=both) is Phase.EFFECTIVE
    gone = target(new(), new("api-8"), old("api-3"))
    assert outcome(gone, before=both) is Phase.EFFECTIVE


def test_pods_are_told_apart_by_uid_and_age_and_not_by_name() -> None:
    namesake = judged(replace(pod("api-1", created=ACTED + 5), uid="another"), Verdict.HEALTHY, 10)
    status, conclusion = seen(target(namesake, old("api-2"), old("api-3")))
    assert status.new_pods == ["another"]
    assert conclusion is not None
    assert conclusion.phase is Phase.EFFECTIVE


def test_a_rollout_restart_is_compared_once_every_pod_is_new() -> None:
    half = target(new("api-7"), new("api-8"), old("api-3"))
    assert outcome(half, kind="RolloutRestart") is None
    whole = target(new("api-7"), new("api-8"), new("api-9"))
    assert outcome(whole, kind="RolloutRestart") is Phase.EFFECTIVE


def test_scaling_out_helps_as_soon_as_one_more_serves_although_the_pod_leaks_on() -> None:
    wider = target(LEAKING, old("api-2"), old("api-3"), new(), replicas=4, updated_replicas=4)
    assert outcome(wider, kind="ScaleOut") is Phase.EFFECTIVE
    waiting = target(LEAKING, old("api-2"), old("api-3"), replicas=4, updated_replicas=4)
    assert outcome(waiting, kind="ScaleOut") is None
    assert outcome(waiting, kind="ScaleOut", late=True) is Phase.INCONCLUSIVE
