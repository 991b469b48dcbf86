"""Evaluation -> the conditions of a policy: status, reason and one line for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.conditions import ConditionReason, ConditionType
from leakwarden.api.v1alpha1.signal import SYMPTOMS, Signal
from leakwarden.api.v1alpha1.status import (
    MESSAGE_LENGTH,
    ActionStatus,
    Condition,
    PolicyStatus,
)
from leakwarden.core.evaluation.asked import says_which_alerts_fire
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation
from leakwarden.core.guards.silences import NOBODY_TO_ASK
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.readings import NoData, QueryFailed, Sampled
from leakwarden.core.records.circuit import open_circuit
from leakwarden.core.signals.criteria import JudgementReason

Truth = tuple[str, ConditionReason, str]  # status, reason, message


@dataclass(frozen=True, slots=True)
class Records:
    """The facts for a policy's status that come from LeakReports and from the installation."""

    actions: Sequence[ActionStatus] = ()  # the policy's newest records
    by_workload: Mapping[str, Sequence[ActionStatus]] = field(default_factory=dict)  # records of all policies
    trouble: str = ""  # why reports cannot be read or written, or empty
    reported: Set[str] = frozenset()  # UIDs of the pods with an open report
    missing_rights: Sequence[str] = ()  # rights that the policy needs and the operator lacks
    # Pod UID -> the call for a person in its open report.
    calls: Mapping[str, ActionStatus] = field(default_factory=dict)
    silences_read: bool = False  # whether there is an Alertmanager to read silences from
    # The step that a defect of ours prevented for the policy in this tick, and since when, in words; or empty.
    defect: str = ""


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def ready(
    evaluation: PolicyEvaluation,
    trouble: str = "",
    missing_rights: Sequence[str] = (),
    unread: Truth | None = None,
) -> Truth:
    """`unread`: the result of `silences_unread`."""
    policy = evaluation.policy
    if policy.over_limit:
        return ("False", ConditionReason.LIMIT_EXCEEDED, policy.error)
    if policy.spec is None:
        return ("False", ConditionReason.INVALID_SPEC, policy.error)
    if evaluation.source_error:
        return ("False", ConditionReason.UNKNOWN_SOURCE, evaluation.source_error)
    if trouble:
        return ("False", ConditionReason.RECORDS_UNAVAILABLE, f"{trouble}; nothing is acted on")
    if unread is not None:
        return ("False", unread[1], unread[2])
    if evaluation.unread_kinds:
        named = "; ".join(f"{kind}s are not read: {why}" for kind, why in sorted(evaluation.unread_kinds.items()))
        return ("False", ConditionReason.KIND_UNREAD, f"{named}; the other kinds are")
    if missing_rights:
        return ("False", ConditionReason.RIGHTS_MISSING, "; ".join(missing_rights[:4]))
    conflicts = [w for w in evaluation.workloads if w.conflicts_with and not w.own_first]
    if conflicts:
        named = ", ".join(f"{w.workload.title} ({w.conflicts_with} {w.conflict})" for w in conflicts[:5])
        more = f" and {len(conflicts) - 5} more" if len(conflicts) > 5 else ""
        return ("False", ConditionReason.CONFLICTED, f"older policies select the same workloads: {named}{more}")
    in_vain = "".join(f"; veto {name} can never object: {why}" for name, why in policy.vetoes_in_vain.items())
    # A kind that the cluster does not have has no workloads: that is no fault of the policy.
    absent = "".join(f"; the cluster does not have {kind}s" for kind in sorted(evaluation.absent_kinds))
    if not evaluation.workloads:
        kinds = " or ".join(policy.spec.workloads)
        nothing = f"no {kinds} of this namespace matches the selector"
        return ("True", ConditionReason.NO_TARGETS, f"{nothing}{absent}{in_vain}")
    told = f"{_selected(evaluation)} selected, mode {policy.spec.mode}"
    bound = f": {policy.origin.bound}" if policy.origin is not None and policy.origin.bound else ""
    return ("True", ConditionReason.RECONCILED, f"{told}{bound}{_left_to_own(evaluation)}{absent}{in_vain}")


def _left_to_own(evaluation: PolicyEvaluation) -> str:
    """Of a ClusterReliabilityPolicy: what the namespace's own policies have taken. They come first, which is no fault."""
    left = [w for w in evaluation.workloads if w.own_first]
    if not left:
        return ""
    named = ", ".join(f"{w.workload.title} ({w.conflicts_with})" for w in left[:5])
    more = f" and {len(left) - 5} more" if len(left) > 5 else ""
    return f"; left to policies of the namespace: {named}{more}"


def _selected(evaluation: PolicyEvaluation) -> str:
    """`2 Deployments and 1 StatefulSet`"""
    found = Counter(target.workload.kind for target in evaluation.workloads)
    return " and ".join(counted(number, kind) for kind, number in sorted(found.items()))


def metrics_available(evaluation: PolicyEvaluation, now: float) -> Truth:
    if evaluation.source_error:
        return ("Unknown", ConditionReason.UNKNOWN_SOURCE, evaluation.source_error)
    if not evaluation.cluster_fresh:
        cause = f": {evaluation.cluster_trouble}" if evaluation.cluster_trouble else ""
        message = f"the operator's view of the cluster is incomplete or too old{cause}"
        return ("Unknown", ConditionReason.CLUSTER_NOT_SYNCED, message)
    if not evaluation.workloads:
        return ("Unknown", ConditionReason.NO_TARGETS, "nothing is selected")
    failed = [
        f"{name} ({a.reason}: {a.message})" for name, a in evaluation.answers.items() if isinstance(a, QueryFailed)
    ]
    if failed:
        return (
            "False",
            ConditionReason.QUERY_FAILED,
            f"{evaluation.source} could not be queried for {'; '.join(failed[:3])}",
        )
    spec = evaluation.policy.spec
    silent = {signal.name for signal in spec.signals if rightly_silent(evaluation, signal)} if spec else set()
    max_age = parse_duration(spec.source.max_age) if spec is not None else 0.0
    empty = [name for name, a in evaluation.answers.items() if isinstance(a, NoData) and name not in silent]
    measured = [name for name, a in evaluation.answers.items() if isinstance(a, Sampled)]
    blind = [w for w in evaluation.workloads if w.pods and all(_is_blind(pod) for pod in w.pods)]
    if (empty and not measured) or (blind and len(blind) == len(evaluation.workloads)):
        if all(_is_new(pod, max_age, now) for target in evaluation.workloads for pod in target.pods):
            # The first scrape is still to come: nothing is wrong yet, and every new Deployment would get a Warning.
            return ("Unknown", ConditionReason.NO_DATA, f"{evaluation.source} has no readings yet; all pods are new")
        return ("False", ConditionReason.NO_DATA, f"{evaluation.source} has no fresh readings for the targets")
    if empty or blind:
        parts = [f"no readings of {', '.join(empty)}"] if empty else []
        parts += [f"none for {', '.join(w.workload.title for w in blind[:5])}"] if blind else []
        return ("True", ConditionReason.SIGNALS_MISSING, "; ".join(parts))
    return ("True", ConditionReason.ALL_SIGNALS_FRESH, f"read from {evaluation.source}")


def rightly_silent(evaluation: PolicyEvaluation, signal: Signal) -> bool:
    """An alert that is not firing does not count as a missing reading, and without requests there is no error ratio."""
    answer = evaluation.answers.get(signal.name)
    if not isinstance(answer, NoData):
        return False
    if signal.alert is not None:
        return says_which_alerts_fire(answer)
    return signal.type in SYMPTOMS and answer.reason == "NoNumbers"


def _is_new(pod: PodEvaluation, max_age: float, now: float) -> bool:
    return now - pod.pod.created <= max_age


def _is_blind(pod: PodEvaluation) -> bool:
    return pod.calm is None and all(
        judgement.value is None and judgement.reason != JudgementReason.TOO_LITTLE_TRAFFIC
        for judgement in pod.judgements
    )


def healthy(evaluation: PolicyEvaluation) -> Truth:
    pods = [pod for target in evaluation.workloads for pod in target.pods]
    verdicts = Counter(pod.verdict for pod in pods)
    if evaluation.policy.spec is None or evaluation.source_error or not pods:
        return ("Unknown", ConditionReason.NOT_JUDGED, "there is nothing to judge")
    leaking = verdicts[Verdict.EXHAUSTING] + verdicts[Verdict.LEAKING]
    if leaking:
        return (
            "False",
            ConditionReason.LEAK_DETECTED,
            f"{leaking} of {counted(len(pods), 'pod')}: {_worst_line(pods[0])}",
        )
    if verdicts[Verdict.SUSPECT]:
        suspect = next(p for p in pods if p.verdict is Verdict.SUSPECT)
        return (
            "Unknown",
            ConditionReason.LEAK_SUSPECTED,
            f"{verdicts[Verdict.SUSPECT]} of {counted(len(pods), 'pod')}: {_worst_line(suspect)}",
        )
    if verdicts[Verdict.UNKNOWN]:
        unknown = next(p for p in pods if p.verdict is Verdict.UNKNOWN)
        return (
            "Unknown",
            ConditionReason.NOT_JUDGED,
            f"{verdicts[Verdict.UNKNOWN]} of {counted(len(pods), 'pod')}: {_worst_line(unknown)}",
        )
    return ("True", ConditionReason.NO_LEAK, f"{counted(len(pods), 'pod')} judged")


def _worst_line(pod: PodEvaluation) -> str:
    why = f": {pod.deciding.signal}: {pod.deciding.message}" if pod.deciding else ""
    return f"{pod.pod.name} is {pod.verdict}{why}"


def compliant(evaluation: PolicyEvaluation) -> Truth:
    if evaluation.policy.spec is None or not evaluation.workloads:
        return ("Unknown", ConditionReason.NO_TARGETS, "nothing is selected")
    if not evaluation.policy.spec.audit.enabled:
        return ("Unknown", ConditionReason.AUDIT_DISABLED, "spec.audit.enabled is false")
    found = [(w.workload.title, f) for w in evaluation.workloads for f in w.findings or ()]
    errors = [(name, f) for name, f in found if str(f.severity) == "Error"]
    excepted = sum(len(w.excepted) for w in evaluation.workloads)
    accepted = f", {excepted} excepted" if excepted else ""
    if errors:
        name, first = errors[0]
        return (
            "False",
            ConditionReason.FINDINGS,
            f"{counted(len(errors), 'error')}, {counted(len(found), 'finding')}{accepted}; {name}: {first.id} {first.message}",
        )
    return ("True", ConditionReason.NO_FINDINGS, f"no errors, {counted(len(found), 'lesser finding')}{accepted}")


def silences_unread(evaluation: PolicyEvaluation, records: Records) -> Truth | None:
    """Whether the policy must respect silences that cannot be read: it waits until an Alertmanager is configured."""
    spec = evaluation.policy.spec
    if spec is None or not spec.respect_silences or records.silences_read:
        return None
    message = (
        f"spec.respectSilences is true, and {NOBODY_TO_ASK}: targets are judged, and nothing is acted on until there is one"
        " or the field is false"
    )
    return ("True", ConditionReason.SILENCES_UNREAD, message)


def circuits_open(evaluation: PolicyEvaluation, records: Records, now: float) -> Truth | None:
    """Whether a target's circuit is open: people have to look into it, since actions did not help."""
    spec = evaluation.policy.spec
    if spec is None:
        return None
    found = []
    for target in evaluation.workloads:
        breaker = spec.remediation.circuit_breaker
        circuit = open_circuit(records.by_workload.get(target.workload.uid, ()), breaker, now)
        if circuit is not None and not target.conflicts_with:
            after = (
                "a trial is under way" if circuit.on_trial else f"the next is tried from {format_time(circuit.until)}"
            )
            found.append(f"{target.workload.title}: {circuit.failures} actions in a row did not help, {after}")
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return ("True", ConditionReason.CIRCUIT_OPEN, "; ".join(found[:3]) + more) if found else None


def escalated(evaluation: PolicyEvaluation, records: Records) -> Truth | None:
    """Whether a person was called for a pod that is still there and whose episode has not ended."""
    found = [
        f"{pod.pod.name}: {call.signal}: a person was called at {call.intended_at}"
        for target in evaluation.workloads
        for pod in target.pods
        if (call := records.calls.get(pod.pod.uid)) is not None and not target.conflicts_with
    ]
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return ("True", ConditionReason.ESCALATED, "; ".join(found[:3]) + more) if found else None


def conditions(evaluation: PolicyEvaluation, previous: PolicyStatus, records: Records, now: float) -> list[Condition]:
    """All of a policy's conditions; `previous` holds the time since when each has its status. `now` in epoch s."""
    unread = silences_unread(evaluation, records)
    truths: dict[ConditionType, Truth] = {
        ConditionType.READY: ready(evaluation, records.trouble, records.missing_rights, unread),
        ConditionType.HEALTHY: healthy(evaluation),
        ConditionType.COMPLIANT: compliant(evaluation),
        ConditionType.METRICS_AVAILABLE: metrics_available(evaluation, now),
    }
    truth = truths[ConditionType.READY]
    if records.defect:
        truths[ConditionType.STALLED] = ("True", ConditionReason.DEFECT, records.defect)
        truths[ConditionType.READY] = ("False", ConditionReason.DEFECT, records.defect)
    elif truth[1] in (ConditionReason.INVALID_SPEC, ConditionReason.LIMIT_EXCEEDED, ConditionReason.UNKNOWN_SOURCE):
        truths[ConditionType.STALLED] = ("True", truth[1], truth[2])
    elif stalled := unread or circuits_open(evaluation, records, now) or escalated(evaluation, records):
        truths[ConditionType.STALLED] = stalled
    return with_times(truths, previous.conditions, evaluation.policy.generation, now)


def with_defect(previous: PolicyStatus, why: str, generation: int, now: float) -> list[Condition]:
    """The conditions of a policy that a defect of ours keeps from being judged: the others stand, as the last result.
    `why` states since when, in one line."""
    kept = [condition for condition in previous.conditions if condition.type not in _OF_A_DEFECT]
    truths: dict[ConditionType, Truth] = {
        ConditionType.READY: ("False", ConditionReason.DEFECT, why),
        ConditionType.STALLED: ("True", ConditionReason.DEFECT, why),
    }
    return [*with_times(truths, previous.conditions, generation, now), *kept]


_OF_A_DEFECT = (ConditionType.READY, ConditionType.STALLED)


def with_times(
    truths: Mapping[ConditionType, Truth], previous: Sequence[Condition], generation: int, now: float
) -> list[Condition]:
    """The conditions; each keeps its time where its status is that of `previous`. `now` in epoch s."""
    before = {condition.type: condition for condition in previous}
    result = []
    for kind, (status, reason, message) in truths.items():
        old = before.get(kind)
        since = old.last_transition_time if old is not None and old.status == status else format_time(now)
        result.append(
            Condition.model_validate(
                {
                    "type": str(kind),
                    "status": status,
                    "reason": str(reason),
                    "message": message[: MESSAGE_LENGTH * 4],
                    "observedGeneration": generation,
                    "lastTransitionTime": since,
                }
            )
        )
    return result
