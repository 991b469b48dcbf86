"""Evaluation and outcomes -> the status a person reads. Bounded, and equal inputs give equal bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from leakwarden.api.v1alpha1.policy import PROFILES, PolicySpec
from leakwarden.api.v1alpha1.signal import Role, Signal
from leakwarden.api.v1alpha1.status import (
    FIX_LENGTH,
    MAX_ACTIONS,
    MAX_FINDINGS,
    MAX_MISSING,
    MAX_OTHERS,
    MAX_PODS,
    MAX_WORKLOADS,
    MESSAGE_LENGTH,
    FindingStatus,
    LastAction,
    MissingStatus,
    OtherWorkload,
    PodStatus,
    PolicyStatus,
    SignalStatus,
    SkipStatus,
    TargetCounts,
    WorkloadStatus,
)
from leakwarden.core.episodes.report_cap import unreported
from leakwarden.core.evaluation.capabilities import NOTES, Capability, Coverage, Lack, Presence, capabilities, fix_of
from leakwarden.core.evaluation.results import PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards.silences import NOBODY_TO_ASK
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.readings import NoData, QueryFailed
from leakwarden.core.planning.planning import Decision
from leakwarden.core.rendering.conditions import Records, conditions, counted, rightly_silent


def _workload_status(
    target: WorkloadEvaluation, decision: Decision | None, capability: Capability, records: Records
) -> WorkloadStatus:
    unhealthy = [pod for pod in target.pods if pod.verdict is not Verdict.HEALTHY]
    findings = target.findings or ()
    skipped = None
    if decision is not None and decision.skips:
        skipped = SkipStatus(
            action=str(decision.candidate.action.type),
            pod=decision.candidate.pod.pod.name,
            reasons=[str(skip.reason) for skip in decision.skips],
            message="; ".join(skip.message for skip in decision.skips)[:1024],
        )
    return WorkloadStatus(
        name=target.workload.name,
        kind=target.workload.kind,
        verdict=str(target.verdict),
        pods=len(target.pods),
        unhealthy=[
            PodStatus(
                name=pod.pod.name,
                verdict=str(pod.verdict),
                signal=pod.deciding.signal if pod.deciding else "",
                reason=str(pod.deciding.reason)[:64] if pod.deciding else "",
                message=pod.deciding.message[:MESSAGE_LENGTH] if pod.deciding else "",
            )
            for pod in unhealthy[:MAX_PODS]
        ],
        unreported=0 if records.trouble else unreported(target, records.reported),
        findings=[
            FindingStatus(
                id=f.id,
                check=f.check,
                severity=str(f.severity),
                container=f.container,
                message=f.message[:MESSAGE_LENGTH],
                hint=f.hint[:MESSAGE_LENGTH],
            )
            for f in findings[:MAX_FINDINGS]
        ],
        findings_total=len(findings),
        findings_excepted=len(target.excepted),
        available=list(capability.available),
        missing=[
            MissingStatus(signal=one.signal, reason=one.reason, fix=one.fix) for one in capability.missing[:MAX_MISSING]
        ],
        missing_total=len(capability.missing),
        skipped=skipped,
    )


def _other(target: WorkloadEvaluation, capability: Capability) -> OtherWorkload:
    return OtherWorkload(
        name=target.workload.name,
        kind=target.workload.kind,
        verdict=str(target.verdict),
        pods=len(target.pods),
        available=list(capability.available),
        missing=[f"{one.signal}={one.reason}" for one in capability.missing[:MAX_MISSING]],
        missing_total=len(capability.missing),
    )


def _signal_status(evaluation: PolicyEvaluation, signal: Signal, coverage: Coverage) -> SignalStatus:
    answer = evaluation.answers.get(signal.name)
    idle = coverage.pods[Presence.IDLE]
    too_little = f"too little traffic to judge {counted(idle, 'pod')}" if idle else ""
    match answer:
        case QueryFailed(reason, message):
            return SignalStatus(name=signal.name, state="QueryFailed", reason=reason, message=message[:MESSAGE_LENGTH])
        case NoData() if rightly_silent(evaluation, signal):
            told = too_little or ("the alert is not firing" if signal.alert is not None else "no requests to judge by")
            return SignalStatus(name=signal.name, state="Available", message=told)
        case NoData(reason, message):
            fix = fix_of(signal, reason)
            told = message if not coverage.lacking_everywhere or fix in message else f"{message}; {fix}"
            return SignalStatus(name=signal.name, state="NoData", reason=reason, message=told[:MESSAGE_LENGTH])
    if coverage.lacking_everywhere:
        # The source has it, for other policies' pods only.
        told = f"none of the targets has it; {fix_of(signal, coverage.lacking_everywhere)}"
        return SignalStatus(name=signal.name, state="NoData", reason=coverage.lacking_everywhere, message=told)
    pods = sum(len(target.pods) for target in evaluation.workloads)
    fresh, unlimited = coverage.pods[Presence.READ], coverage.pods[Presence.NO_LIMIT]
    role = f"role {signal.effective_role}" if signal.effective_role is not Role.LEAK else ""
    if fresh + idle >= pods:
        told = ", ".join(part for part in (role, too_little) if part)
        return SignalStatus(name=signal.name, state="Available", pods=fresh, message=told)
    told = f"fresh readings for {fresh} of {pods} pods"
    if unlimited:
        told += f"; {unlimited} cannot be judged: {fix_of(signal, Lack.NO_LIMIT)}"
    return SignalStatus(
        name=signal.name,
        state="Partial",
        pods=fresh,
        reason=str(Lack.NO_LIMIT) if unlimited else "",
        message=told[:MESSAGE_LENGTH],
    )


def _notes(evaluation: PolicyEvaluation, records: Records) -> list[str]:
    if not evaluation.workloads:
        return []
    spec = evaluation.policy.spec
    alerts = [signal.name for signal in spec.signals if signal.alert is not None] if spec is not None else []
    unread = list(dict.fromkeys(why for target in evaluation.workloads for why in target.unread))
    audit = [f"audit: {'; '.join(unread)}"[:FIX_LENGTH]] if unread else []
    if not alerts or records.silences_read:
        return [*NOTES, *audit]
    more = f" and {len(alerts) - 1} more" if len(alerts) > 1 else ""
    return [*NOTES, f"signal {alerts[0]}{more}: alerts count while they are silenced, too: {NOBODY_TO_ASK}", *audit]


def _profile(spec: PolicySpec) -> str:
    """What the profile stands for: its signals, by name."""
    if spec.profile is None:
        return ""
    names = [signal.name for signal in PROFILES[spec.profile]()]
    return f"{spec.profile}: {', '.join(names)}"


def build_status(
    evaluation: PolicyEvaluation,
    decisions: Sequence[Decision],
    records: Records,
    now: float,
) -> PolicyStatus:
    """The status for this evaluation. From `now` follow transition times, and which pods are too new to have
    readings."""
    policy = evaluation.policy
    by_workload = {decision.candidate.target.workload.uid: decision for decision in decisions}
    counts = Counter(pod.verdict for target in evaluation.workloads for pod in target.pods)
    able = capabilities(evaluation, now)
    actions = records.actions
    newest = actions[0] if actions else None
    last = None
    if newest is not None:
        result = f", {newest.result}" if newest.result is not None else ""
        last = LastAction(
            summary=f"{newest.type} {newest.pod or newest.workload} ({newest.phase}{result})", time=newest.intended_at
        )
    return PolicyStatus(
        observed_generation=policy.generation,
        conditions=conditions(evaluation, policy.status, records, now),
        source=evaluation.source,
        profile=_profile(policy.spec) if policy.spec is not None else "",
        targets=TargetCounts(
            workloads=len(evaluation.workloads),
            pods=sum(counts.values()),
            healthy=counts[Verdict.HEALTHY],
            suspect=counts[Verdict.SUSPECT],
            leaking=counts[Verdict.LEAKING],
            exhausting=counts[Verdict.EXHAUSTING],
            unknown=counts[Verdict.UNKNOWN],
        ),
        workloads=[
            _workload_status(
                target, by_workload.get(target.workload.uid), able.of_workload[target.workload.uid], records
            )
            for target in evaluation.workloads[:MAX_WORKLOADS]
        ],
        others=[
            _other(target, able.of_workload[target.workload.uid])
            for target in evaluation.workloads[MAX_WORKLOADS : MAX_WORKLOADS + MAX_OTHERS]
        ],
        signals=[
            _signal_status(evaluation, signal, able.of_signal[signal.name])
            for signal in (policy.spec.signals if policy.spec else ())
        ],
        notes=_notes(evaluation, records),
        actions=list(actions[:MAX_ACTIONS]),
        last_action=last,
    )
