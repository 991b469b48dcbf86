"""Guards that count disturbances: those under way, and those within a time."""

from __future__ import annotations

import math

from leakwarden.api.scalars import format_duration, parse_duration, parse_int_or_percent
from leakwarden.api.v1alpha1.budget import Quorum
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.kinds import WorkloadKind
from leakwarden.api.v1alpha1.policy import Action, ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionStatus
from leakwarden.core.guards.model import About, Candidate, Situation, guard
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.policy import format_time, parse_time
from leakwarden.core.model.workload import Workload
from leakwarden.core.records.action_counts import last_burst


def _share(value: int | str | None, of: int, up: bool) -> int:
    """A Deployment's own maxUnavailable or maxSurge, rounded as the Deployment controller does; 25% where unset."""
    if isinstance(value, int):
        return value
    exact = of * float((value or "25%").rstrip("%")) / 100
    return math.ceil(exact) if up else math.floor(exact)


def taken_away(action: Action, workload: Workload) -> int:
    """How many pods of the workload the action takes away at once."""
    match action.type:
        case ActionType.EVICT_POD:
            return 1
        case ActionType.ROLLOUT_RESTART if workload.strategy == "Recreate":
            return workload.replicas
        case ActionType.ROLLOUT_RESTART if workload.kind == WorkloadKind.STATEFUL_SET:
            # One after the other, unless its own maxUnavailable, which is rounded up, allows more.
            return (
                max(1, _share(workload.max_unavailable, workload.replicas, up=True)) if workload.max_unavailable else 1
            )
        case ActionType.ROLLOUT_RESTART if workload.kind == WorkloadKind.DAEMON_SET:
            missing = _share(
                1 if workload.max_unavailable is None else workload.max_unavailable, workload.replicas, up=True
            )
            return missing if missing or workload.max_surge else 1
        case ActionType.ROLLOUT_RESTART if workload.kind == WorkloadKind.ROLLOUT:
            # Argo Rollouts evicts without a new pod before, one at a time, later versions by maxUnavailable.
            return max(1, _share(workload.max_unavailable, workload.replicas, up=False))
        case ActionType.ROLLOUT_RESTART:
            missing = _share(workload.max_unavailable, workload.replicas, up=False)
            surge = _share(workload.max_surge, workload.replicas, up=True)
            return missing if missing or surge else 1
        case _:
            return 0


# s in which an eviction with an unknown outcome must have become visible: no action uses an older view of the cluster.
UNSEEN_FOR = 180.0


def _takes_its_pod(record: ActionStatus, now: float) -> bool:
    """Whether the record's pod is gone, or may be, although a watch that lags still shows it ready."""
    if record.phase is ActionPhase.PENDING:
        return True
    if record.type != ActionType.EVICT_POD:
        return False
    unknown = record.phase in (ActionPhase.INTERRUPTED, ActionPhase.FAILED)
    lately = now - parse_time(record.finished_at or record.intended_at) < UNSEEN_FOR
    return record.phase is ActionPhase.DONE or (unknown and lately)


def _serving(candidate: Candidate, situation: Situation) -> int:
    """Pods that are known to serve and that are neither being removed nor possibly removed already; without the
    candidate's own where the action is about that pod alone."""
    gone = {record.pod_uid for record in situation.of(candidate) if _takes_its_pod(record, situation.now)}
    if candidate.action.type is ActionType.EVICT_POD:
        gone.add(candidate.pod.pod.uid)
    return sum(
        each.pod.available and each.pod.uid not in gone and each.verdict is not Verdict.UNKNOWN
        for each in candidate.target.pods
    )


@guard(
    SkipReason.BUDGET_EXHAUSTED,
    "As many pods as spec.remediation.budget.maxUnavailable allows are unavailable already.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def budget_exhausted(candidate: Candidate, situation: Situation) -> str | None:
    """Counts the pods that are unavailable now for any cause, and those that the action takes. Leaking pods that still
    serve do not count: replicas leak together, and such a breaker would block the normal case."""
    if not candidate.disturbs:
        return None
    workload = candidate.target.workload
    allowed = parse_int_or_percent(candidate.spec.remediation.budget.max_unavailable, workload.replicas)
    taken = taken_away(candidate.action, workload)
    evicts = candidate.action.type is ActionType.EVICT_POD
    unavailable = max(0, workload.replicas - evicts - _serving(candidate, situation))
    if unavailable + taken > allowed:
        others = "other pods" if evicts else "pods"
        told = f"{unavailable} {others} of {workload.replicas} are unavailable or unknown, it takes {taken} more"
        return f"{told}, and maxUnavailable is {allowed}"
    return None


@guard(
    SkipReason.BELOW_MIN_READY,
    "Fewer pods than spec.remediation.budget.minReady, or than a StatefulSet's majority, would be left to serve.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def below_min_ready(candidate: Candidate, situation: Situation) -> str | None:
    minimum = must_serve(candidate)
    if not candidate.disturbs or _left(candidate) < minimum:
        return None  # `too_few_replicas` reports this, and that waiting does not help
    taken = (
        0 if candidate.action.type is ActionType.EVICT_POD else taken_away(candidate.action, candidate.target.workload)
    )
    left = max(0, _serving(candidate, situation) - taken)
    if left < minimum:
        return f"{left} pods would be left to serve, at least {minimum} must be"
    return None


def _min_ready(candidate: Candidate) -> int:
    return candidate.spec.remediation.budget.min_ready


def must_serve(candidate: Candidate) -> int:
    """How many pods must serve while one is disturbed: minReady, and of a StatefulSet, whose pods may vote, more than
    half."""
    budget, workload = candidate.spec.remediation.budget, candidate.target.workload
    votes = workload.kind == WorkloadKind.STATEFUL_SET and budget.quorum is Quorum.MAJORITY
    return max(budget.min_ready, workload.replicas // 2 + 1) if votes else budget.min_ready


def _left(candidate: Candidate) -> int:
    workload = candidate.target.workload
    return workload.replicas - taken_away(candidate.action, workload)


@guard(
    SkipReason.TOO_FEW_REPLICAS,
    "The workload has too few replicas to spare one (spec.remediation.budget: minReady, and a StatefulSet's quorum); it is"
    " scaled out first where spec.remediation.actions has ScaleOut, else a person is called.",
    about=About.WORKLOAD,
    waiting_helps=False,
)
def too_few_replicas(candidate: Candidate, _: Situation) -> str | None:
    """A Deployment that cannot spare a pod is scaled out first, or a person is called; its last pod is never simply
    taken."""
    minimum = must_serve(candidate)
    if candidate.disturbs and _left(candidate) < minimum:
        replicas = candidate.target.workload.replicas
        why = ", a majority (spec.remediation.budget.quorum)" if minimum > _min_ready(candidate) else ""
        return f"of {replicas} replicas {max(_left(candidate), 0)} would be left, at least {minimum} must serve{why}"
    return None


@guard(
    SkipReason.WORKLOAD_BUDGET_EXHAUSTED,
    "The Deployment has had spec.remediation.budget.actions within its window.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def workload_budget(candidate: Candidate, situation: Situation) -> str | None:
    budget = candidate.spec.remediation.budget
    window = parse_duration(budget.window)
    used = situation.ledger.used_on(candidate.target.workload, situation.now - window)
    if candidate.changes and used >= budget.actions:
        return f"{used} actions on it within {format_duration(window)}, {budget.actions} may be"
    return None


@guard(
    SkipReason.NAMESPACE_BUDGET_EXHAUSTED,
    "The namespace has had guards.namespaceActions (chart values) within guards.window.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def namespace_budget(candidate: Candidate, situation: Situation) -> str | None:
    limits = situation.surroundings.limits
    namespace = candidate.target.workload.namespace
    used = situation.ledger.used_in(namespace, situation.now - limits.window)
    if candidate.changes and used >= limits.namespace_actions:
        message = f"{used} actions in the namespace within {format_duration(limits.window)}"
        return f"{message}, {limits.namespace_actions} may be"
    return None


@guard(
    SkipReason.CLUSTER_BUDGET_EXHAUSTED,
    "The cluster has had guards.clusterActions (chart values) within guards.window.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def cluster_budget(candidate: Candidate, situation: Situation) -> str | None:
    limits = situation.surroundings.limits
    used = situation.ledger.used_anywhere(situation.now - limits.window, of_one=limits.namespace_actions)
    if candidate.changes and used >= limits.cluster_actions:
        message = f"{used} actions in the cluster within {format_duration(limits.window)}"
        return f"{message}, {limits.cluster_actions} may be"
    return None


@guard(
    SkipReason.STORM_ACTIVE,
    "Many actions, or many Deployments that began to run out, within a short time: one cause, which"
    " restarts do not remove. Nothing is done in that namespace, or anywhere where it is more than one namespace, until"
    " guards.storm.cooldown (chart values) is over.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def storm_active(candidate: Candidate, situation: Situation) -> str | None:
    """Many at once have one cause outside of them: restarting them all would be a second outage."""
    limits = situation.surroundings.limits
    if not candidate.changes or not limits.storm_enabled:
        return None
    home = candidate.target.workload.namespace
    for times, count, what in (
        (situation.ledger.times(), limits.storm_actions, "actions"),
        (_began_to_run_out(situation), limits.storm_workloads, "Deployments began to run out"),
    ):
        at_home = last_burst([each for each in times if each[1] == home], count, limits.storm_window, of_one=count)
        # One namespace alone stops only itself: its own policies define what counts as running out.
        anywhere = last_burst(times, count, limits.storm_window, of_one=math.ceil(count / 2))
        for burst, where in ((anywhere, "anywhere"), (at_home, f"in {home}")):
            if burst is not None and situation.now < burst + limits.storm_cooldown:
                until = format_time(burst + limits.storm_cooldown)
                within = format_duration(limits.storm_window)
                return f"{count} {what} within {within}; nothing is done {where} until {until}"
    return None


def _began_to_run_out(situation: Situation) -> list[tuple[float, str]]:
    """The times since when Deployments run out of a resource, epoch s, and their namespaces, in order of time. Those of
    policies in Observe do not count: they lead to no action that could make a storm."""
    since = {uid: (at, situation.namespaces.get(uid, "")) for uid, at in situation.exhausting.items()}
    for report in situation.reports:
        uid = report.spec.workload.uid
        if report.status.exhausting_at is None or report.spec.policy.uid in situation.looking_on:
            continue
        at = parse_time(report.status.exhausting_at)
        if uid not in since or at > since[uid][0]:
            since[uid] = (at, report.namespace)
    return sorted(since.values())
