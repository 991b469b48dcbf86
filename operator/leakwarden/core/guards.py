"""Guards: each a small named function that may say no to a candidate, with its reason.

GUARDS is the list. All of them are asked, so that a person reads every reason at once; their order does
not matter to the outcome. Adding one is a function, a line in the list and two tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from leakwarden.api import names
from leakwarden.api.scalars import format_duration, parse_duration, parse_int_or_percent
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.policy import Action, ActionType, Mode, PolicySpec, SignalType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionStatus
from leakwarden.core.evaluation import PodEvaluation, WorkloadEvaluation
from leakwarden.core.judgement import Judgement
from leakwarden.core.leakreport import LeakReport
from leakwarden.core.policy import Policy, parse_time

BLOCKED_WAIT = 60.0  # s; a PodDisruptionBudget that said no is asked again after this, not every tick


@dataclass(frozen=True, slots=True)
class Candidate:
    """An action that a judgement calls for, before anybody said no."""

    policy: Policy
    spec: PolicySpec
    target: WorkloadEvaluation
    pod: PodEvaluation
    judgement: Judgement
    action: Action


@dataclass(frozen=True, slots=True)
class Situation:
    """What guards know besides the candidate. `records` are the actions on a workload, by its UID, whoever's
    policy they stand in; `permitted` the actions that the installation allows; `reports` every LeakReport there is."""

    now: float
    cluster_fresh: bool
    permitted: frozenset[ActionType]
    records: Mapping[str, Sequence[ActionStatus]] = field(default_factory=dict)
    reports: Sequence[LeakReport] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    reason: SkipReason
    message: str


Guard = Callable[[Candidate, Situation], Skip | None]


def suspended(candidate: Candidate, _: Situation) -> Skip | None:
    if candidate.spec.suspend:
        return Skip(SkipReason.SUSPENDED, "spec.suspend is true")
    return None


def observing(candidate: Candidate, _: Situation) -> Skip | None:
    if candidate.spec.mode is not Mode.ENFORCE:
        return Skip(SkipReason.OBSERVING, "spec.mode is Observe")
    return None


def conflicted(candidate: Candidate, _: Situation) -> Skip | None:
    if candidate.target.conflicts_with:
        return Skip(
            SkipReason.CONFLICTED, f"the older policy {candidate.target.conflicts_with} acts on this Deployment"
        )
    return None


def opted_out(candidate: Candidate, _: Situation) -> Skip | None:
    value = candidate.target.workload.annotations.get(names.SKIP_ANNOTATION)
    if value is not None and value != "false":
        return Skip(SkipReason.OPTED_OUT, f"annotation {names.SKIP_ANNOTATION}: {value[:100] or 'no reason given'}")
    return None


def not_permitted(candidate: Candidate, situation: Situation) -> Skip | None:
    if candidate.action.type not in situation.permitted:
        return Skip(SkipReason.NOT_PERMITTED, f"this installation does not allow {candidate.action.type}")
    return None


def cluster_not_synced(_: Candidate, situation: Situation) -> Skip | None:
    if not situation.cluster_fresh:
        return Skip(SkipReason.CLUSTER_NOT_SYNCED, "the operator's view of the cluster is incomplete or too old")
    return None


def rollout_in_progress(candidate: Candidate, _: Situation) -> Skip | None:
    workload = candidate.target.workload
    if workload.paused:
        return Skip(SkipReason.ROLLOUT_IN_PROGRESS, "the Deployment's rollout is paused")
    if workload.rollout_in_progress:
        done = f"{workload.updated_replicas} of {workload.replicas} replicas updated"
        return Skip(SkipReason.ROLLOUT_IN_PROGRESS, f"the Deployment is rolling out, {done}")
    return None


def action_pending(candidate: Candidate, situation: Situation) -> Skip | None:
    for record in situation.records.get(candidate.target.workload.uid, ()):
        if record.phase is ActionPhase.PENDING:
            return Skip(SkipReason.ACTION_PENDING, f"{record.type} of {record.pod or record.workload} has not ended")
    return None


def cooldown_active(candidate: Candidate, situation: Situation) -> Skip | None:
    """Counts from the intent of whatever may have changed something: a crash never shortens it."""
    cooldown = parse_duration(candidate.spec.remediation.cooldown)
    for record in situation.records.get(candidate.target.workload.uid, ()):
        if record.phase is ActionPhase.BLOCKED:
            continue  # nothing was changed; `disruption_budget` paces those
        left = parse_time(record.intended_at) + cooldown - situation.now
        if left > 0:
            message = f"{record.type} was decided at {record.intended_at}; next action in {format_duration(left)}"
            return Skip(SkipReason.COOLDOWN_ACTIVE, message)
    return None


def budget_exhausted(candidate: Candidate, _: Situation) -> Skip | None:
    """Counts what is unavailable now whatever the cause, and the pod itself. Leaking pods that still serve do not
    count: replicas leak together, and such a breaker would block the normal case."""
    if candidate.action.type is ActionType.SCALE_OUT:
        return None
    workload = candidate.target.workload
    allowed = parse_int_or_percent(candidate.spec.remediation.budget.max_unavailable, workload.replicas)
    others = sum(p.pod.available and p.pod.uid != candidate.pod.pod.uid for p in candidate.target.pods)
    unavailable = max(0, workload.replicas - 1 - others)
    if unavailable + 1 > allowed:
        message = f"{unavailable} other pods of {workload.replicas} are unavailable, {allowed} may be with this one"
        return Skip(SkipReason.BUDGET_EXHAUSTED, message)
    return None


def disruption_budget(candidate: Candidate, situation: Situation) -> Skip | None:
    """After a refused eviction: wait before asking again."""
    if candidate.action.type is not ActionType.EVICT_POD:
        return None
    for record in situation.records.get(candidate.target.workload.uid, ()):
        if record.phase is ActionPhase.BLOCKED and situation.now - parse_time(record.finished_at) < BLOCKED_WAIT:
            return Skip(SkipReason.DISRUPTION_BUDGET, record.message)
    return None


def at_max_replicas(candidate: Candidate, _: Situation) -> Skip | None:
    maximum = candidate.action.max_replicas
    if candidate.action.type is ActionType.SCALE_OUT and candidate.target.workload.replicas >= (maximum or 0):
        return Skip(SkipReason.AT_MAX_REPLICAS, f"{candidate.target.workload.replicas} replicas, maxReplicas {maximum}")
    return None


def worsens_leak(candidate: Candidate, _: Situation) -> Skip | None:
    kinds = {signal.name: signal.type for signal in candidate.spec.signals}
    is_pool = kinds.get(candidate.judgement.signal) is SignalType.DB_POOL
    if candidate.action.type is ActionType.SCALE_OUT and is_pool:
        return Skip(SkipReason.WORSENS_LEAK, "another replica would open more connections to the same database")
    return None


GUARDS: list[Guard] = [
    suspended,
    observing,
    conflicted,
    opted_out,
    not_permitted,
    cluster_not_synced,
    rollout_in_progress,
    action_pending,
    cooldown_active,
    budget_exhausted,
    disruption_budget,
    at_max_replicas,
    worsens_leak,
]

# Answers that waiting does not change; only then is the policy's next action considered.
IMPOSSIBLE = frozenset({SkipReason.NOT_PERMITTED, SkipReason.AT_MAX_REPLICAS, SkipReason.WORSENS_LEAK})


def ask(candidate: Candidate, situation: Situation) -> tuple[Skip, ...]:
    """Every guard's no."""
    return tuple(skip for guard in GUARDS if (skip := guard(candidate, situation)) is not None)
