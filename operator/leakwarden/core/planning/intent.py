"""The record that is written before an action is carried out."""

from __future__ import annotations

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionStatus
from leakwarden.core.model.policy import format_time
from leakwarden.core.planning.planning import Decision
from leakwarden.core.records.scale_in import ADDED


def intent(decision: Decision, action_id: str, now: float) -> ActionStatus:
    """The record that is written before anything is done."""
    candidate = decision.candidate
    replicas = candidate.target.workload.replicas
    scales = candidate.action.type is ActionType.SCALE_OUT
    return ActionStatus(
        id=action_id,
        type=str(candidate.action.type),
        workload=candidate.target.workload.name,
        workload_kind=candidate.target.workload.kind,
        workload_uid=candidate.target.workload.uid,
        pod=candidate.pod.pod.name,
        pod_uid=candidate.pod.pod.uid,
        signal=candidate.judgement.signal,
        reason=candidate.judgement.message[:1024],
        value=candidate.judgement.value,
        phase=ActionPhase.PENDING,
        intended_at=format_time(now),
        replicas_before=replicas if scales else None,
        replicas_after=replicas + ADDED if scales else None,
        return_at=format_time(now + candidate.action.lives_for) if scales else None,
    )
