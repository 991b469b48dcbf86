"""The record of an action: its intent, its outcome, and whether it helped."""

from __future__ import annotations

from collections.abc import Sequence

from leakwarden.api.scalars import format_duration, parse_duration
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.policy import ActionType, PolicySpec
from leakwarden.api.v1alpha1.status import MAX_ACTIONS, ActionPhase, ActionResult, ActionStatus
from leakwarden.core.evaluation import WorkloadEvaluation
from leakwarden.core.guards import Skip
from leakwarden.core.judgement import Judgement, Verdict
from leakwarden.core.ordering import urgency as urgency
from leakwarden.core.planning import Decision as Decision
from leakwarden.core.planning import ask_again as ask_again
from leakwarden.core.planning import plan as plan
from leakwarden.core.policy import format_time, parse_time

# After this an action that was carried out but whose benefit could not be seen is Inconclusive, s.
# Kubernetes' own progressDeadlineSeconds default: a Deployment that has not recovered by then is stuck.
VERIFY_WITHIN = 600.0


def still_needed(dropped: Sequence[ActionStatus], spec: PolicySpec, now: float) -> Skip | None:
    """Why the records that one more would push out must stay: an action whose cooldown they keep, or that has not
    ended. The list is bounded, so a policy acts at most as often in a cooldown as it holds records."""
    cooldown = parse_duration(spec.remediation.cooldown)
    for record in dropped:
        ended = record.phase is not ActionPhase.PENDING and record.result is not ActionResult.VERIFYING
        left = parse_time(record.intended_at) + cooldown - now
        if record.phase is ActionPhase.BLOCKED or (ended and left <= 0):
            continue
        message = f"{len(dropped) + MAX_ACTIONS - 1} actions of this policy are within their cooldown, which is all it may have"
        return Skip(SkipReason.BUDGET_EXHAUSTED, message)
    return None


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
    """The record with its outcome. That a person was called needs no proof that it helped."""
    to_verify = phase is ActionPhase.DONE and record.type != ActionType.ESCALATE
    return record.model_copy(
        update={
            "phase": phase,
            "message": message[:1024],
            "finished_at": format_time(now),
            "result": ActionResult.VERIFYING if to_verify else None,
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


def _reading_now(target: WorkloadEvaluation, signal: str) -> list[Judgement]:
    return [j for pod in target.pods for j in pod.judgements if j.signal == signal and j.value is not None]


def verify(record: ActionStatus, target: WorkloadEvaluation | None, now: float) -> ActionStatus:
    """Whether a carried-out action helped: all replicas serve, the acted-on pod is gone, no pod is Exhausting
    and every pod has a reading of the signal again."""
    if record.phase is not ActionPhase.DONE or record.result is not ActionResult.VERIFYING:
        return record
    elapsed = now - parse_time(record.intended_at)
    if target is not None:
        serving = sum(pod.pod.available for pod in target.pods)
        readings = _reading_now(target, record.signal)
        replaced = record.type == "ScaleOut" or all(pod.pod.uid != record.pod_uid for pod in target.pods)
        calm = all(pod.verdict is not Verdict.EXHAUSTING for pod in target.pods)
        complete = serving >= target.workload.replicas and not target.workload.rollout_in_progress
        if replaced and calm and complete and target.pods and len(readings) >= len(target.pods):
            now_at = max(j.value for j in readings if j.value is not None)
            was = f", was {record.value:g}" if record.value is not None else ""
            message = (
                f"{record.message}; after {format_duration(elapsed)} {serving} of {target.workload.replicas} replicas"
                f" serve, {record.signal} at most {now_at:g}{was}"
            )
            return record.model_copy(update={"result": ActionResult.EFFECTIVE, "message": message[:1024]})
    if elapsed > VERIFY_WITHIN:
        message = f"{record.message}; whether it helped could not be seen within {format_duration(VERIFY_WITHIN)}"
        return record.model_copy(update={"result": ActionResult.INCONCLUSIVE, "message": message[:1024]})
    return record
