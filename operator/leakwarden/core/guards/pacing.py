"""Guards that keep actions apart: one after the other, each verified before the next."""

from __future__ import annotations

from collections.abc import Sequence

from leakwarden.api.scalars import format_duration, parse_duration
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult, ActionStatus
from leakwarden.core.guards.model import About, Candidate, Situation, guard
from leakwarden.core.model.policy import format_time, parse_time
from leakwarden.core.records.action_counts import changes, is_under_way
from leakwarden.core.records.escalation import is_overdue

BLOCKED_WAIT = 60.0  # s; an eviction that a PodDisruptionBudget refused is tried again after this, not every tick
# A canary's outcome counts for its siblings this long, s: longer ago it had another image, or another load.
CANARY_SPEAKS_FOR = 86_400.0


@guard(
    SkipReason.ACTION_PENDING,
    "An action on this Deployment has not ended yet, or whether the pod's own one helped is not known yet.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def action_pending(candidate: Candidate, situation: Situation) -> str | None:
    """A person is also not called for a pod whose own action, such as a scale-out, may still prove to help: the pod
    stays."""
    for record in situation.of(candidate):
        subject = f"{record.type} of {record.pod or record.workload}"
        if candidate.changes and record.phase is ActionPhase.PENDING:
            return f"{subject} has not ended"
        mine = record.pod_uid == candidate.pod.pod.uid and record.result is ActionResult.VERIFYING
        if mine and not is_overdue(record, candidate.spec, situation.now):
            return f"whether {subject} helped is not known yet"
    return None


@guard(
    SkipReason.CANARY_PENDING,
    "Whether the first action on this Deployment helped is not known yet; no other pod is touched before.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def canary_pending(candidate: Candidate, situation: Situation) -> str | None:
    """The first pod's outcome must be known before the next pod is acted on; once one action helped, its siblings need
    not wait for each other's proof."""
    if not candidate.changes:
        return None
    records = situation.of(candidate)
    canary = next((record for record in records if is_under_way(record)), None)
    if canary is None or canary.phase is ActionPhase.PENDING or is_overdue(canary, candidate.spec, situation.now):
        return None
    if _proven(records, situation.now):
        return None
    subject = canary.pod or canary.workload
    return f"whether {canary.type} of {subject} helped is not known yet"


def _proven(records: Sequence[ActionStatus], now: float) -> bool:
    for record in sorted(records, key=lambda record: parse_time(record.intended_at), reverse=True):
        if record.result is ActionResult.EFFECTIVE:
            return now - parse_time(record.intended_at) <= CANARY_SPEAKS_FOR
        if record.result not in (None, ActionResult.VERIFYING):
            return False
    return False


@guard(
    SkipReason.STAGGERED,
    "Another pod of the Deployment was acted on; this one's turn comes later, so that replicas that leak"
    " together get out of step.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def staggered(candidate: Candidate, situation: Situation) -> str | None:
    """Replicas that leak together are acted on one by one, far enough apart that they do not run out together again."""
    left = candidate.not_before - situation.now
    if candidate.disturbs and left > 0 and cooldown_active(candidate, situation) is None:
        due = format_time(candidate.not_before)
        return f"its turn comes at {due}, in {format_duration(left)}: {candidate.why}"
    return None


@guard(
    SkipReason.OTHERS_IN_FLIGHT,
    "Actions on other Deployments are under way or not verified yet, as many as guards.maxConcurrent"
    " (chart values) allows. Each counts for guards.slotTime at the most.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def others_in_flight(candidate: Candidate, situation: Situation) -> str | None:
    if not candidate.changes:
        return None
    limits = situation.surroundings.limits
    others = situation.ledger.others_in_flight(candidate.target.workload.uid, situation.now - limits.slot_time)
    allowed = limits.max_concurrent
    if others >= allowed:
        return f"actions on {others} other Deployments are under way, {allowed} may be"
    return None


@guard(
    SkipReason.COOLDOWN_ACTIVE,
    "The last action on this Deployment is younger than spec.remediation.cooldown.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def cooldown_active(candidate: Candidate, situation: Situation) -> str | None:
    """Counts from the intent of every action that may have changed something: a crash never shortens it."""
    cooldown = parse_duration(candidate.spec.remediation.cooldown)
    return _too_soon(candidate, situation, situation.of(candidate), cooldown)


@guard(
    SkipReason.POD_COOLDOWN_ACTIVE,
    "The last action for this pod is younger than spec.remediation.podCooldown.",
    about=About.POD,
    waiting_helps=True,
)
def pod_cooldown_active(candidate: Candidate, situation: Situation) -> str | None:
    cooldown = parse_duration(candidate.spec.remediation.pod_cooldown)
    mine = [record for record in situation.of(candidate) if record.pod_uid == candidate.pod.pod.uid]
    return _too_soon(candidate, situation, mine, cooldown)


def _too_soon(
    candidate: Candidate, situation: Situation, records: Sequence[ActionStatus], cooldown: float
) -> str | None:
    for record in records:
        if not candidate.changes or not changes(record):
            continue  # nothing was changed; `disruption_budget` paces refused evictions
        left = parse_time(record.intended_at) + cooldown - situation.now
        if left > 0:
            subject = f"{record.type} of {record.pod or record.workload}"
            return f"{subject} was decided at {record.intended_at}; next action in {format_duration(left)}"
    return None


@guard(
    SkipReason.DISRUPTION_BUDGET,
    "A PodDisruptionBudget forbids the eviction or the rollout now, or whether one does cannot be read.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def disruption_budget(candidate: Candidate, situation: Situation) -> str | None:
    """After a refusal: wait before the next attempt."""
    if not candidate.disturbs:
        return None
    for record in situation.of(candidate):
        asked = parse_time(record.finished_at)
        if (
            record.type == candidate.action.type
            and record.phase is ActionPhase.BLOCKED
            and situation.now - asked < BLOCKED_WAIT
        ):
            return record.message
    return None
