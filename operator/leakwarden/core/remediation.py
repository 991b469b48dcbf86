"""Evaluations -> a plan: at most one action a workload and tick, each with every guard's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult, ActionStatus
from leakwarden.core.evaluation import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards import IMPOSSIBLE, Candidate, Situation, Skip, ask
from leakwarden.core.judgement import Verdict
from leakwarden.core.policy import format_time
from leakwarden.core.workload import Snapshot


@dataclass(frozen=True, slots=True)
class Decision:
    """`skips` is empty exactly when the action is to be carried out."""

    candidate: Candidate
    skips: tuple[Skip, ...]

    @property
    def go(self) -> bool:
        return not self.skips

    @property
    def only_observing(self) -> bool:
        """Whether nothing but the mode stands in the way: what would have been done."""
        return [skip.reason for skip in self.skips] == [SkipReason.OBSERVING]


def urgency(pod: PodEvaluation) -> tuple[float, float, str]:
    """Sorts the pod that runs out first to the front; where no time is known the fullest comes first."""
    judgement = pod.acting
    assert judgement is not None
    left = judgement.seconds_to_exhaustion.low if judgement.seconds_to_exhaustion else float("inf")
    share = judgement.value / judgement.limit if judgement.value is not None and judgement.limit else 0.0
    return (left, -share, pod.pod.name)


def _decide(policy: PolicyEvaluation, target: WorkloadEvaluation, situation: Situation) -> Decision | None:
    spec = policy.policy.spec
    acting = [pod for pod in target.pods if pod.acting is not None]
    if spec is None or not acting:
        return None
    pod = min(acting, key=urgency)
    assert pod.acting is not None
    decision: Decision | None = None
    for action in spec.remediation.actions:
        candidate = Candidate(policy.policy, spec, target, pod, pod.acting, action)
        decision = Decision(candidate, ask(candidate, situation))
        if not any(skip.reason in IMPOSSIBLE for skip in decision.skips):
            break
    return decision


def plan(evaluations: Sequence[PolicyEvaluation], situation: Situation) -> list[Decision]:
    """What to do about every workload that has an Exhausting pod."""
    decisions = []
    for evaluation in evaluations:
        for target in evaluation.workloads:
            decision = _decide(evaluation, target, situation)
            if decision is not None:
                decisions.append(decision)
    return decisions


def ask_again(decision: Decision, snapshot: Snapshot, situation: Situation) -> Decision:
    """The guards' answers for the cluster as it is now: readings take seconds, in which pods fail and people edit.

    The judgement stands; what may have changed is the Deployment, the readiness of its pods and whether they exist.
    """
    candidate = decision.candidate
    workload = snapshot.workloads.get(candidate.target.workload.uid)
    now = {pod.uid: pod for pod in snapshot.pods_by_workload.get(candidate.target.workload.uid, ())}
    if workload is None or candidate.pod.pod.uid not in now:
        gone = Skip(SkipReason.ACTION_PENDING, "the pod or its Deployment is gone; judged anew by the next tick")
        return replace(decision, skips=(gone,))
    judged = {pod.pod.uid: pod for pod in candidate.target.pods}
    pods = tuple(
        replace(judged[uid], pod=pod) if uid in judged else PodEvaluation(pod, Verdict.UNKNOWN, None, None, ())
        for uid, pod in now.items()
        if not pod.terminating
    )
    acted_on = next((pod for pod in pods if pod.pod.uid == candidate.pod.pod.uid), None)
    if acted_on is None:
        return replace(decision, skips=(Skip(SkipReason.ACTION_PENDING, "the pod is on its way out already"),))
    target = replace(candidate.target, workload=workload, pods=pods)
    renewed = replace(candidate, target=target, pod=acted_on)
    return Decision(renewed, ask(renewed, situation))


def intent(decision: Decision, action_id: str, now: float) -> ActionStatus:
    """The record that is written before anything is done."""
    candidate = decision.candidate
    return ActionStatus(
        id=action_id,
        type=str(candidate.action.type),
        workload=candidate.target.workload.name,
        workload_uid=candidate.target.workload.uid,
        pod=candidate.pod.pod.name,
        pod_uid=candidate.pod.pod.uid,
        signal=candidate.judgement.signal,
        reason=candidate.judgement.message[:1024],
        value=candidate.judgement.value,
        phase=ActionPhase.PENDING,
        intended_at=format_time(now),
    )


def finish(record: ActionStatus, phase: ActionPhase, message: str, now: float) -> ActionStatus:
    """The record with its outcome."""
    return record.model_copy(
        update={
            "phase": phase,
            "message": message[:1024],
            "finished_at": format_time(now),
            "result": ActionResult.VERIFYING if phase is ActionPhase.DONE else None,
        }
    )


def recover(record: ActionStatus, pod_exists: bool, now: float) -> ActionStatus:
    """A Pending record found at start: the operator stopped between intent and outcome.

    A pod that is gone was evicted, by us or by someone else; either way it need not be done again. Whatever
    else it was is not repeated: nobody knows whether it was carried out, and the cooldown counts from the intent.
    """
    if record.type == "EvictPod" and not pod_exists:
        return finish(record, ActionPhase.DONE, "the pod is gone; seen after the operator restarted", now)
    return finish(
        record, ActionPhase.INTERRUPTED, "the operator stopped before the outcome was known; not repeated", now
    )
