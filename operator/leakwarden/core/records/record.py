"""The record of an action: its intent, its outcome, and whether it helped."""

from __future__ import annotations

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult, ActionStatus
from leakwarden.core.model.policy import format_time


def finish(record: ActionStatus, phase: ActionPhase, message: str, now: float) -> ActionStatus:
    """The record with its outcome. A call for a person needs no proof that it helped."""
    to_verify = phase is ActionPhase.DONE and record.type != ActionType.ESCALATE
    return record.model_copy(
        update={
            "phase": phase,
            "message": message[:1024],
            "finished_at": format_time(now),
            "result": ActionResult.VERIFYING if to_verify else None,
        }
    )


def given_up(record: ActionStatus, successor: ActionStatus) -> ActionStatus:
    """The record after the next action has begun on its pod.

    Only the newest action of an episode is verified. One whose timeout is over ends here, therefore: else it would be
    under way for ever, and hold back all other Deployments.
    """
    if record.result is not ActionResult.VERIFYING:
        return record
    message = f"{record.message}; whether it helped could not be seen before {successor.type} was decided"
    return record.model_copy(
        update={
            "result": ActionResult.INCONCLUSIVE,
            "verified_at": successor.intended_at,
            "message": message[:1024],
        }
    )


def recover(record: ActionStatus, pod_exists: bool, now: float) -> ActionStatus:
    """A Pending record found at start: the operator stopped between intent and outcome.

    A pod that is gone was evicted, by us or by another client; in both cases the eviction need not be repeated. No
    other action is repeated either: it is not known whether it was carried out, and the cooldown counts from the
    intent.
    """
    if record.type == "EvictPod" and not pod_exists:
        return finish(record, ActionPhase.DONE, "the pod is gone; seen after the operator restarted", now)
    return finish(
        record, ActionPhase.INTERRUPTED, "the operator stopped before the outcome was known; not repeated", now
    )
