"""Guards that check whether the facts are complete, and have been for long enough."""

from __future__ import annotations

from leakwarden.api.scalars import format_duration, parse_duration
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.core.detection.history import incarnation_start
from leakwarden.core.guards.model import About, Candidate, Situation, guard


@guard(
    SkipReason.CLUSTER_NOT_SYNCED,
    "The operator's view of the cluster is not complete or too old.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def cluster_not_synced(candidate: Candidate, situation: Situation) -> str | None:
    if not situation.cluster_fresh:
        return "the operator's view of the cluster is incomplete or too old"
    kind = candidate.target.workload.kind
    if kind in situation.unread_kinds:
        return f"{kind}s as they are now are not known: {situation.unread_kinds[kind]}"
    return None


@guard(
    SkipReason.QUIET_AFTER_START,
    "The operator started, or took the lead, less than guards.quietAfterStart (chart values) ago.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def quiet_after_start(candidate: Candidate, situation: Situation) -> str | None:
    """An upgrade of the operator, or a new leader, must not be the moment at which much happens at once."""
    left = situation.surroundings.started + situation.surroundings.limits.quiet_after_start - situation.now
    if candidate.changes and left > 0:
        return f"the operator began to lead just now; it looks on for {format_duration(left)} more"
    return None


@guard(
    SkipReason.REFILLING,
    "The pod's readings had a hole less than spec.source.refill ago; what was averaged over it is wrong.",
    about=About.POD,
    waiting_helps=True,
)
def refilling(candidate: Candidate, situation: Situation) -> str | None:
    """After a gap in the readings averages are too low, and growth is computed across a time without readings."""
    resumed = candidate.pod.resumed
    if not candidate.changes or resumed is None:
        return None
    left = resumed + parse_duration(candidate.spec.source.refill) - situation.now
    if left > 0:
        return f"its readings had a hole and are whole again; {format_duration(left)} to wait"
    return None


@guard(
    SkipReason.WARMING_UP,
    "The pod, its process or the Deployment's last rollout is younger than spec.remediation.warmUp.",
    about=About.POD,
    waiting_helps=True,
)
def warming_up(candidate: Candidate, situation: Situation) -> str | None:
    """A process that was restarted by the kubelet is as young as a new pod."""
    warm_up = parse_duration(candidate.spec.remediation.warm_up)
    if not candidate.changes or warm_up == 0:
        return None
    age = situation.now - incarnation_start(candidate.pod.pod, "")
    if age < warm_up:
        return (
            f"the pod is {format_duration(max(age, 0))} old; it is left alone for its first {format_duration(warm_up)}"
        )
    rolled_out = candidate.target.workload.rolled_out
    if rolled_out is not None and situation.now - rolled_out < warm_up:
        ago = format_duration(max(situation.now - rolled_out, 0))
        return f"the last rollout ended {ago} ago; nothing is done for {format_duration(warm_up)} after it"
    return None


@guard(
    SkipReason.ROLLOUT_IN_PROGRESS,
    "The Deployment is rolling out or is paused; its pods are about to change anyway.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def rollout_in_progress(candidate: Candidate, _situation: Situation) -> str | None:
    workload = candidate.target.workload
    if not candidate.changes:
        return None
    if workload.paused:
        return "the Deployment's rollout is paused"
    if workload.rollout_in_progress:
        done = f"{workload.updated_replicas} of {workload.replicas} replicas updated"
        return f"the Deployment is rolling out, {done}"
    return None
