"""Guards that check whether the action suits the Deployment. Most of their answers do not change by waiting."""

from __future__ import annotations

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.core.guards.model import About, Candidate, Situation, guard
from leakwarden.core.guards.ownership import owner


@guard(
    SkipReason.AT_MAX_REPLICAS,
    "The Deployment already has maxReplicas replicas.",
    about=About.WORKLOAD,
    waiting_helps=False,
)
def at_max_replicas(candidate: Candidate, _: Situation) -> str | None:
    maximum = candidate.action.max_replicas
    if candidate.action.type is ActionType.SCALE_OUT and candidate.target.workload.replicas >= (maximum or 0):
        return f"{candidate.target.workload.replicas} replicas, maxReplicas {maximum}"
    return None


@guard(
    SkipReason.DROPS_REQUESTS,
    "Pods of the Deployment are killed before they can finish their requests:"
    " terminationGracePeriodSeconds is 0, or preStop uses all of it up. Nothing that takes pods away is done;"
    " spec.audit.enabled: false waives it.",
    about=About.WORKLOAD,
    waiting_helps=False,
)
def drops_requests(candidate: Candidate, _: Situation) -> str | None:
    """A pod that gets SIGKILL at the same time as its notice of termination cuts off every request in flight: the
    errors that the action has to prevent. Where less is certain (a drain that is merely short) the audit reports it,
    and the leak weighs more. A policy that switches the audit off switches this guard off too."""
    if not candidate.disturbs or not candidate.spec.audit.enabled:
        return None
    grace = candidate.target.workload.termination_grace
    if grace == 0:
        return "terminationGracePeriodSeconds is 0: its pods are killed at once"
    for container in candidate.target.workload.containers:
        length = container.pre_stop.seconds if container.pre_stop is not None else None
        if length is not None and length >= grace:
            told = f"preStop of {container.name} takes {length} s of terminationGracePeriodSeconds {grace}"
            return f"{told}: no time is left to finish requests"
    return None


@guard(
    SkipReason.WORSENS_LEAK,
    "Scaling out would open more connections to a database whose pool is exhausted.",
    about=About.WORKLOAD,
    waiting_helps=False,
)
def worsens_leak(candidate: Candidate, _: Situation) -> str | None:
    pools = {signal.name for signal in candidate.spec.signals if signal.is_connection_pool}
    if candidate.action.type is ActionType.SCALE_OUT and candidate.judgement.signal in pools:
        return "another replica would open more connections to the same database"
    return None


@guard(
    SkipReason.REPLICAS_OWNED,
    "An autoscaler, a GitOps application or another controller owns the replicas (or whether one"
    " does is not known), so ScaleOut is refused.",
    about=About.WORKLOAD,
    waiting_helps=False,
)
def replicas_owned(candidate: Candidate, situation: Situation) -> str | None:
    """The owner of the replicas would remove the new one, or treat our number as the wish of a person."""
    if candidate.action.type is not ActionType.SCALE_OUT:
        return None
    workload = candidate.target.workload
    scalers = situation.surroundings.autoscalers
    if scalers is None:
        why = situation.surroundings.autoscalers_denied
        return f"whether an autoscaler owns the replicas is not known{f': {why}' if why else ''}"
    holder = scalers.get((workload.namespace, workload.title)) or owner(workload)
    return f"{holder} owns the replicas" if holder else None


@guard(
    SkipReason.TEMPLATE_OWNED,
    "A GitOps application or another controller owns the pod template, so RolloutRestart is refused.",
    about=About.WORKLOAD,
    waiting_helps=False,
)
def template_owned(candidate: Candidate, _: Situation) -> str | None:
    """A restart through the pod template would be drift, and would be reverted: a second rollout."""
    if candidate.action.type is not ActionType.ROLLOUT_RESTART:
        return None
    holder = owner(candidate.target.workload)
    return f"{holder} owns the pod template" if holder else None


@guard(
    SkipReason.ESCALATED,
    "A person was called for this pod already; nothing else is tried.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def escalated(candidate: Candidate, situation: Situation) -> str | None:
    """A person is called once per episode, not at every tick."""
    if candidate.action.type is not ActionType.ESCALATE:
        return None
    call = situation.call(candidate.target.workload.uid, candidate.pod.pod.uid)
    return f"a person was called at {call.intended_at}: {candidate.why}" if call else None
