"""Which rung of `spec.remediation.actions` is next for a pod, from the earlier actions.

An action that did not help, could not be seen to help, or was not seen to help within its timeout is spent, for its
Deployment and until an action helps again. When all are spent the ladder begins again: the circuit breaker bounds that.
"""

from __future__ import annotations

from collections.abc import Sequence

from leakwarden.api.scalars import format_duration, parse_duration
from leakwarden.api.v1alpha1.policy import Action, ActionType, PolicySpec
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult, ActionStatus
from leakwarden.core.model.policy import parse_time

REMEMBERED = 86_400.0  # s; an action that failed longer ago concerned another image, or another load
DEFAULT_TIMEOUT = 600.0  # s; for an action that the policy does not have any more

_FAILED = frozenset({"Ineffective", "Inconclusive"})


def _timeout(kind: str, spec: PolicySpec) -> float:
    for action in spec.remediation.actions:
        if action.type == kind:
            return parse_duration(action.timeout)
    return DEFAULT_TIMEOUT


def is_overdue(record: ActionStatus, spec: PolicySpec, now: float) -> bool:
    """Whether it is carried out, not verified, and its action's timeout is over."""
    waited = now - parse_time(record.finished_at or record.intended_at)
    return record.result is ActionResult.VERIFYING and waited > _timeout(record.type, spec)


def _since_it_helped(records: Sequence[ActionStatus], now: float) -> list[ActionStatus]:
    """Newest first, back to the last action that helped."""
    kept = []
    for record in sorted(records, key=lambda record: parse_time(record.intended_at), reverse=True):
        helped = record.result is ActionResult.EFFECTIVE and record.type != ActionType.SCALE_OUT
        if helped or now - parse_time(record.intended_at) > REMEMBERED:
            break
        kept.append(record)
    return kept


def spent(
    action: Action, spec: PolicySpec, pod_uid: str, *, records: Sequence[ActionStatus], since: float, now: float
) -> str:
    """Why the action is not tried again for now, in words; empty where it may be.

    `records` are those of the Deployment; `since` is when the pod's episode began, epoch s.
    """
    patience = parse_duration(action.timeout)
    for record in _since_it_helped(records, now):
        if record.type != action.type or action.type is ActionType.ESCALATE:
            continue
        if str(record.result) in _FAILED:
            return f"{action.type} was {record.result}"
        if is_overdue(record, spec, now):
            return f"{action.type} was not seen to help within {format_duration(patience)}"
        same_pod = record.pod_uid == pod_uid
        # One whose answer was lost may have added its replica, and another would be one too many.
        added = record.phase in (ActionPhase.DONE, ActionPhase.INTERRUPTED)
        if action.type is ActionType.SCALE_OUT and same_pod and added:
            return "the pod leaks on beside the replica that was added"
        refused = record.phase in (ActionPhase.BLOCKED, ActionPhase.FAILED)
        if same_pod and refused and now - since > patience:
            return f"{action.type} was {record.phase} for {format_duration(patience)}"
    return ""


def may_be_out(action: Action, pod_uid: str, records: Sequence[ActionStatus], replicas: int) -> bool:
    """Whether a replica may have been added for the pod already, by an action with an unknown outcome.

    It is never verified, so no circuit would end a ladder that begins again and again with one more. Where the Deployment
    has the `replicas` that it had before, none was added.
    """
    return action.type is ActionType.SCALE_OUT and any(
        record.type == action.type
        and record.pod_uid == pod_uid
        and record.phase is ActionPhase.INTERRUPTED
        and record.returned_at is None
        and record.replicas_before != replicas
        for record in records
    )
