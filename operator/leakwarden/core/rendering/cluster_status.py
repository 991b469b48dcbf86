"""The statuses of a ClusterReliabilityPolicy in all of its namespaces -> the one status that people read.

What a namespace brings is bounded, and shared out fairly: of each the worst comes before a second of any, so that one
with thousands of leaking workloads does not push out the others. What is wrong in one namespace does not make the policy
as a whole unready: a tenant could do that at will.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from leakwarden.api.v1alpha1.cluster_status import (
    MAX_NAMESPACES,
    NAMESPACE_MESSAGE,
    ClusterActionStatus,
    ClusterOtherWorkload,
    ClusterPolicyStatus,
    ClusterWorkloadStatus,
    NamespaceCounts,
    NamespaceStatus,
)
from leakwarden.api.v1alpha1.conditions import ConditionReason, ConditionType
from leakwarden.api.v1alpha1.policy import Mode
from leakwarden.api.v1alpha1.status import (
    MAX_ACTIONS,
    MAX_OTHERS,
    MAX_WORKLOADS,
    Condition,
    LastAction,
    OtherWorkload,
    PolicyStatus,
    SignalStatus,
    TargetCounts,
    WorkloadStatus,
)
from leakwarden.core.model.cluster_policy import ClusterPolicy
from leakwarden.core.model.judgement import SEVERITY, Verdict
from leakwarden.core.model.policy import Policy, parse_time
from leakwarden.core.rendering.conditions import Truth, counted, with_times

T = TypeVar("T")
_NAMED = 5  # namespaces that a condition names
_LEAKS = frozenset({Verdict.LEAKING, Verdict.EXHAUSTING})


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why a ClusterReliabilityPolicy as a whole is not in force, or not known to be; empty texts where nothing hinders."""

    unsure: str = ""  # the labels of namespaces are not known
    defect: str = ""  # a defect of ours
    waiting: int = 0  # namespaces for which its queries are not read yet


def cluster_status(
    policy: ClusterPolicy, within: Sequence[Policy], hindrance: Hindrance, now: float
) -> ClusterPolicyStatus:
    """The status for these policies, derived from `policy`, with their statuses. `now` in epoch s."""
    places = [_namespace(each) for each in within]
    totals: Counter[str] = Counter()
    for each in within:
        totals.update(each.status.targets.model_dump())
    actions = _actions(within)
    newest = actions[0] if actions else None
    workloads = _in_turn(within, lambda status: [*status.workloads, *status.others])
    return ClusterPolicyStatus(
        observed_generation=policy.generation,
        conditions=with_times(
            _truths(policy, within, places, hindrance), policy.status.conditions, policy.generation, now
        ),
        source=next((each.status.source for each in within if each.status.source), ""),
        profile=next((each.status.profile for each in within if each.status.profile), ""),
        namespace_counts=NamespaceCounts(
            selected=len(within) + hindrance.waiting,
            enforcing=sum(each.mode == Mode.ENFORCE for each in places),
            observing=sum(each.mode != Mode.ENFORCE for each in places),
            not_ready=sum(each.ready == "False" for each in places),
            leaking=sum(bool(each.leaking + each.exhausting) for each in places),
        ),
        namespaces=sorted(places, key=_trouble_first)[:MAX_NAMESPACES],
        targets=TargetCounts(**totals),
        workloads=[_whole(namespace, each) for namespace, each in workloads[:MAX_WORKLOADS]],
        others=[_short(namespace, each) for namespace, each in workloads[MAX_WORKLOADS : MAX_WORKLOADS + MAX_OTHERS]],
        signals=_signals(within),
        actions=actions[:MAX_ACTIONS],
        last_action=(
            LastAction(
                summary=f"{newest.type} {newest.namespace}/{newest.pod or newest.workload} ({newest.phase}"
                f"{f', {newest.result}' if newest.result is not None else ''})"[:300],
                time=newest.intended_at,
            )
            if newest is not None
            else None
        ),
    )


def condition_of(status: PolicyStatus, kind: ConditionType) -> Condition | None:
    return next((each for each in status.conditions if each.type == kind), None)


def _namespace(policy: Policy) -> NamespaceStatus:
    status, ready = policy.status, condition_of(policy.status, ConditionType.READY)
    counts = status.targets
    verdicts = {
        Verdict.EXHAUSTING: counts.exhausting,
        Verdict.LEAKING: counts.leaking,
        Verdict.SUSPECT: counts.suspect,
        Verdict.UNKNOWN: counts.unknown,
        Verdict.HEALTHY: counts.healthy,
    }
    found = [verdict for verdict, pods in verdicts.items() if pods]
    acts = policy.spec is not None and policy.spec.mode is Mode.ENFORCE
    return NamespaceStatus(
        name=policy.namespace,
        mode=str(Mode.ENFORCE if acts else Mode.OBSERVE),
        bound=policy.origin.bound[:NAMESPACE_MESSAGE] if policy.origin is not None else "",
        ready=ready.status if ready is not None else "Unknown",
        reason=ready.reason[:64] if ready is not None else "",
        message=ready.message[:NAMESPACE_MESSAGE] if ready is not None else "",
        verdict=str(max(found, key=lambda verdict: SEVERITY[verdict], default=Verdict.UNKNOWN)),
        workloads=counts.workloads,
        pods=counts.pods,
        leaking=counts.leaking,
        exhausting=counts.exhausting,
    )


def _trouble_first(each: NamespaceStatus) -> tuple[bool, bool, bool, str]:
    """Those that leak, then those that are not ready, then those with workloads."""
    return (not (each.leaking + each.exhausting), each.ready != "False", not each.workloads, each.name)


def _in_turn(
    within: Sequence[Policy], of: Callable[[PolicyStatus], Iterable[WorkloadStatus | OtherWorkload]]
) -> list[tuple[str, WorkloadStatus | OtherWorkload]]:
    """What leaks first, then the rest; within both the worst of each namespace, then the second of each, and so on."""
    ranked: list[tuple[tuple[bool, int, int, str], WorkloadStatus | OtherWorkload]] = []
    for policy in within:
        for rank, each in enumerate(of(policy.status)):
            verdict = Verdict(each.verdict) if each.verdict in set(Verdict) else Verdict.UNKNOWN
            ranked.append(((verdict not in _LEAKS, rank, -SEVERITY[verdict], policy.namespace), each))
    ranked.sort(key=lambda item: item[0])
    return [(key[3], each) for key, each in ranked]


def _whole(namespace: str, each: WorkloadStatus | OtherWorkload) -> ClusterWorkloadStatus:
    if isinstance(each, WorkloadStatus):
        return ClusterWorkloadStatus(namespace=namespace, **dict(each))
    return ClusterWorkloadStatus(
        namespace=namespace,
        name=each.name,
        kind=each.kind,
        verdict=each.verdict,
        pods=each.pods,
        available=each.available,
        missing_total=each.missing_total,
    )


def _short(namespace: str, each: WorkloadStatus | OtherWorkload) -> ClusterOtherWorkload:
    if isinstance(each, OtherWorkload):
        return ClusterOtherWorkload(namespace=namespace, **dict(each))
    return ClusterOtherWorkload(
        namespace=namespace,
        name=each.name,
        kind=each.kind,
        verdict=each.verdict,
        pods=each.pods,
        available=each.available,
        missing=[f"{one.signal}={one.reason}"[:128] for one in each.missing],
        missing_total=each.missing_total,
    )


def _signals(within: Sequence[Policy]) -> list[SignalStatus]:
    """Each signal over all namespaces that have targets: the sum of its pods, and one namespace that lacks it by name."""
    asked: dict[str, list[tuple[str, SignalStatus]]] = {}
    for policy in within:
        if policy.status.targets.workloads:
            for each in policy.status.signals:
                asked.setdefault(each.name, []).append((policy.namespace, each))
    return [_signal(name, held) for name, held in asked.items()]


def _signal(name: str, held: Sequence[tuple[str, SignalStatus]]) -> SignalStatus:
    lacking = [(namespace, each) for namespace, each in held if each.state != "Available"]
    if not lacking:
        return SignalStatus(name=name, state="Available", pods=sum(each.pods for _, each in held))
    state = lacking[0][1].state if len({each.state for _, each in held}) == 1 else "Partial"
    namespace, first = lacking[0]
    many = f"in {len(lacking)} of {counted(len(held), 'namespace')}; {namespace}: " if len(held) > 1 else ""
    return SignalStatus(
        name=name,
        state=state,
        pods=sum(each.pods for _, each in held),
        reason=first.reason,
        message=f"{many}{first.message}"[:1024],
    )


def _actions(within: Sequence[Policy]) -> list[ClusterActionStatus]:
    found = [(policy.namespace, record) for policy in within for record in policy.status.actions]
    found.sort(key=lambda item: parse_time(item[1].intended_at), reverse=True)
    return [ClusterActionStatus(namespace=namespace, **dict(record)) for namespace, record in found[:MAX_ACTIONS]]


# Conditions.


def _truths(
    policy: ClusterPolicy, within: Sequence[Policy], places: Sequence[NamespaceStatus], hindrance: Hindrance
) -> dict[ConditionType, Truth]:
    truth = _ready(policy, within, places, hindrance)
    truths = {
        ConditionType.READY: truth,
        ConditionType.HEALTHY: _healthy(within),
        ConditionType.COMPLIANT: _worst(within, ConditionType.COMPLIANT, "the audit found errors"),
        ConditionType.METRICS_AVAILABLE: _metrics(within),
    }
    if truth[1] in _STALLS:
        truths[ConditionType.STALLED] = ("True", truth[1], truth[2])
    return truths


# Reasons for which the policy does not go on by itself.
_STALLS = frozenset({
    ConditionReason.DEFECT, ConditionReason.INVALID_SPEC, ConditionReason.LIMIT_EXCEEDED, ConditionReason.UNKNOWN_SOURCE,
    ConditionReason.SILENCES_UNREAD,
})  # fmt: skip


def _ready(
    policy: ClusterPolicy, within: Sequence[Policy], places: Sequence[NamespaceStatus], hindrance: Hindrance
) -> Truth:
    if hindrance.defect:
        return ("False", ConditionReason.DEFECT, hindrance.defect)
    if policy.over_limit:
        return ("False", ConditionReason.LIMIT_EXCEEDED, policy.error)
    if policy.spec is None:
        return ("False", ConditionReason.INVALID_SPEC, policy.error)
    if hindrance.unsure:
        return ("False", ConditionReason.CLUSTER_NOT_SYNCED, f"{hindrance.unsure}; nothing is done in any namespace")
    waiting = (
        f"; in {counted(hindrance.waiting, 'more namespace')} its queries are not read yet" if hindrance.waiting else ""
    )
    if not within:
        return ("True", ConditionReason.NO_TARGETS, f"no namespace of the cluster is selected{waiting}")
    not_ready = sorted((each for each in places if each.ready == "False"), key=lambda each: each.name)
    bound = sum(bool(each.bound) for each in places)
    told = f"{counted(len(within), 'namespace')} selected, mode {policy.spec.mode}"
    told += f" in {len(places) - bound} of them; in {bound} it only observes" if bound else ""
    if not not_ready:
        return ("True", ConditionReason.RECONCILED, f"{told}{waiting}")
    named = "; ".join(f"{each.name}: {each.reason}: {each.message}" for each in not_ready[:_NAMED])
    more = f"; and {len(not_ready) - _NAMED} more" if len(not_ready) > _NAMED else ""
    where = f"not in force in {len(not_ready)} of {len(places)}: {named}{more}"
    reasons = {each.reason for each in not_ready}
    if len(not_ready) == len(places) and reasons <= _OF_ALL:
        return ("False", ConditionReason(not_ready[0].reason), where)
    return ("True", ConditionReason.NAMESPACES_NOT_READY, f"{told}{waiting}; {where}")


# Reasons that lie in the policy or the installation where all namespaces have them. All others a namespace has alone.
_OF_ALL = frozenset({ConditionReason.UNKNOWN_SOURCE, ConditionReason.SILENCES_UNREAD, ConditionReason.KIND_UNREAD})


# How many pods are ill in a namespace, and what that makes of the condition; the worst first.
_ILL: tuple[tuple[Callable[[TargetCounts], int], str, ConditionReason], ...] = (
    (lambda each: each.leaking + each.exhausting, "False", ConditionReason.LEAK_DETECTED),
    (lambda each: each.suspect, "Unknown", ConditionReason.LEAK_SUSPECTED),
    (lambda each: each.unknown, "Unknown", ConditionReason.NOT_JUDGED),
)


def _healthy(within: Sequence[Policy]) -> Truth:
    total = sum(each.status.targets.pods for each in within)
    for found, status, reason in _ILL:
        where = [each for each in within if found(each.status.targets)]
        if where:
            pods = sum(found(each.status.targets) for each in where)
            first = condition_of(where[0].status, ConditionType.HEALTHY)
            about = f"; {where[0].namespace}: {first.message}" if first is not None else ""
            told = f"{pods} of {counted(total, 'pod')} in {counted(len(where), 'namespace')}{about}"
            return (status, reason, told)
    if not total:
        return ("Unknown", ConditionReason.NOT_JUDGED, "there is nothing to judge")
    return ("True", ConditionReason.NO_LEAK, f"{counted(total, 'pod')} judged in {counted(len(within), 'namespace')}")


def _held(within: Sequence[Policy], kind: ConditionType) -> list[tuple[str, Condition]]:
    """The condition in each namespace that has targets."""
    return [
        (each.namespace, condition)
        for each in within
        if each.status.targets.workloads and (condition := condition_of(each.status, kind)) is not None
    ]


def _worst(within: Sequence[Policy], kind: ConditionType, what: str) -> Truth:
    held = _held(within, kind)
    bad = [each for each in held if each[1].status == "False"]
    if bad:
        named = f"{bad[0][0]}: {bad[0][1].message}"
        told = f"{what} in {len(bad)} of {counted(len(held), 'namespace')}; {named}"
        return ("False", ConditionReason(bad[0][1].reason), told)
    good = [each for each in held if each[1].status == "True"]
    if good:
        return ("True", ConditionReason(good[0][1].reason), f"in {counted(len(good), 'namespace')}")
    if held:
        return ("Unknown", ConditionReason(held[0][1].reason), held[0][1].message)
    return ("Unknown", ConditionReason.NO_TARGETS, "nothing is selected")


def _metrics(within: Sequence[Policy]) -> Truth:
    """False only where no namespace has readings: some have services that export nothing."""
    held = _held(within, ConditionType.METRICS_AVAILABLE)
    bad = [each for each in held if each[1].status == "False"]
    if not bad or len(bad) == len(held):
        return _worst(within, ConditionType.METRICS_AVAILABLE, "no readings")
    told = f"no readings in {len(bad)} of {counted(len(held), 'namespace')}; {bad[0][0]}: {bad[0][1].message}"
    return ("True", ConditionReason.SIGNALS_MISSING, told)
