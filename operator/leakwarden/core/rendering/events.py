"""The difference of two statuses -> Events. Only changes are announced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from leakwarden.api import names
from leakwarden.api.v1alpha1.conditions import ConditionReason, ConditionType, SkipReason
from leakwarden.api.v1alpha1.evidence_status import EvidenceState
from leakwarden.api.v1alpha1.kinds import KINDS, WorkloadKind
from leakwarden.api.v1alpha1.status import (
    ActionPhase,
    ActionResult,
    ActionStatus,
    Condition,
    PolicyStatus,
    WorkloadStatus,
)
from leakwarden.core.evaluation.results import PolicyEvaluation
from leakwarden.core.model.judgement import SEVERITY, Verdict
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Workload
from leakwarden.core.rendering.announcement import Announcement, ObjectRef

NOTE_LENGTH = 1000  # events.k8s.io/v1 allows 1024 bytes

# Skips that end by themselves within minutes and follow from an action that was announced already, or is right ahead.
_QUIET_SKIPS = {
    SkipReason.COOLDOWN_ACTIVE, SkipReason.ACTION_PENDING, SkipReason.ROLLOUT_IN_PROGRESS, SkipReason.EVIDENCE_PENDING,
}  # fmt: skip

# The obstacles in a policy that only observes what Leakwarden would do.
_TRYING_OUT = {SkipReason.OBSERVING, SkipReason.NOT_PERMITTED}

_CONDITION_EVENTS = {
    (ConditionType.METRICS_AVAILABLE, "False"): ("SignalsUnavailable", True),
    (ConditionType.METRICS_AVAILABLE, "True"): ("SignalsAvailable", False),
    (ConditionType.READY, "False"): ("PolicyNotReady", True),
    (ConditionType.READY, "True"): ("PolicyReady", False),
    (ConditionType.COMPLIANT, "False"): ("AuditFailed", True),
    (ConditionType.COMPLIANT, "True"): ("AuditPassed", False),
}

_VERDICT_EVENTS = {
    Verdict.SUSPECT: ("LeakSuspected", False),
    Verdict.LEAKING: ("LeakDetected", True),
    Verdict.EXHAUSTING: ("LeakExhausting", True),
}


def policy_ref(policy: Policy) -> ObjectRef:
    """The object that people wrote: of a policy that was derived for a namespace the ClusterReliabilityPolicy."""
    if policy.origin is not None:
        return ObjectRef(names.API_VERSION, names.CLUSTER_POLICY_KIND, "", policy.name, policy.origin.uid)
    return ObjectRef(names.API_VERSION, names.POLICY_KIND, policy.namespace, policy.name, policy.uid)


def workload_ref(workload: Workload) -> ObjectRef:
    return ObjectRef(
        KINDS[WorkloadKind(workload.kind)].group_version, workload.kind, workload.namespace, workload.name, workload.uid
    )


def _both(
    policy: Policy,
    workload: Workload | None,
    reason: str,
    *,
    action: str,
    note: str,
    warning: bool,
    of_cluster: bool = False,
) -> list[Announcement]:
    """On the workload, where its owners look, and on the policy, where its authors look. On a ClusterReliabilityPolicy
    only what is `of_cluster`: the Events of one object are limited, and one namespace must not use up those of all."""
    told = []
    if policy.origin is None or of_cluster:
        where = f"{policy.namespace}: " if policy.origin is not None else ""
        told.append(
            Announcement(
                policy_ref(policy),
                workload_ref(workload) if workload else None,
                reason,
                action=action,
                note=f"{where}{note}"[:NOTE_LENGTH],
                warning=warning,
            )
        )
    note = note[:NOTE_LENGTH]
    if workload is not None:
        told.append(
            Announcement(workload_ref(workload), policy_ref(policy), reason, action=action, note=note, warning=warning)
        )
    return told


def changed_conditions(before: Sequence[Condition], after: Sequence[Condition]) -> list[tuple[str, bool, str]]:
    """Reason, whether it is a warning, and note of the Event for each condition that changed."""
    old = {condition.type: condition.status for condition in before}
    told = []
    for condition in after:
        was = old.get(condition.type)
        event = _CONDITION_EVENTS.get((ConditionType(condition.type), condition.status))
        if event is None or was == condition.status:
            continue
        reason, warning = event
        if not warning and was != "False":
            continue  # the recovered state is announced only after a bad one
        told.append((reason, warning, f"{condition.reason}: {condition.message}"))
    return told


def _conditions(policy: Policy, before: PolicyStatus, after: PolicyStatus) -> list[Announcement]:
    return [
        announcement
        for reason, warning, note in changed_conditions(before.conditions, after.conditions)
        for announcement in _both(policy, None, reason, action="Evaluate", note=note, warning=warning)
    ]


def _suspected(suspects: Mapping[str, str], pod: str) -> str:
    """The line of code that the pod's profiles point to, for the end of a sentence."""
    return f"; suspect: {suspects[pod]}" if pod in suspects else ""


def _verdicts(
    policy: Policy,
    workload: Workload,
    before: WorkloadStatus | None,
    after: WorkloadStatus,
    suspects: Mapping[str, str],
) -> list[Announcement]:
    was = Verdict(before.verdict) if before is not None else Verdict.UNKNOWN
    now = Verdict(after.verdict)
    if was == now:
        return []
    worst = after.unhealthy[0] if after.unhealthy else None
    if event := _VERDICT_EVENTS.get(now):
        if SEVERITY[now] < SEVERITY[was]:
            return []  # on its way down; announced again only when it is Healthy
        note = f"{worst.name}: {worst.signal}: {worst.message}" if worst else f"{workload.name} is {now}"
        note += _suspected(suspects, worst.name if worst else "")
        return _both(policy, workload, event[0], action="Judge", note=note, warning=event[1])
    if now is Verdict.HEALTHY and SEVERITY[was] >= SEVERITY[Verdict.LEAKING]:
        return _both(
            policy,
            workload,
            "LeakGone",
            action="Judge",
            note=f"all {after.pods} pods are judged Healthy",
            warning=False,
        )
    return []


def _bound(policy: Policy) -> str:
    return policy.origin.bound if policy.origin is not None else ""


def _skips(
    policy: Policy, workload: Workload, before: WorkloadStatus | None, after: WorkloadStatus
) -> list[Announcement]:
    skip = after.skipped
    if skip is None:
        return []
    was = before.skipped if before is not None else None
    loud = [reason for reason in skip.reasons if reason not in _QUIET_SKIPS]
    old_loud = [reason for reason in was.reasons if reason not in _QUIET_SKIPS] if was is not None else []
    if not loud or (was is not None and loud == old_loud and was.action == skip.action and was.pod == skip.pod):
        return []
    # An installation without values allows no action: there, too, Observe is to show what Enforce would do.
    if SkipReason.OBSERVING in skip.reasons and set(skip.reasons) <= _TRYING_OUT:
        note = f"{_bound(policy) or 'mode Observe'}: would {skip.action} {skip.pod}"
        if SkipReason.NOT_PERMITTED in skip.reasons:
            note += f"; in mode Enforce the installation would have to allow {skip.action}, too"
        return _both(policy, workload, "WouldAct", action=skip.action, note=note, warning=False)
    note = f"{skip.action} {skip.pod} skipped: {', '.join(loud)}: {skip.message}"
    return _both(policy, workload, "RemediationSkipped", action=skip.action or "Remediate", note=note, warning=False)


_DONE_EVENTS = {
    "EvictPod": ("PodEvicted", False),
    "RolloutRestart": ("RolloutRestarted", False),
    "ScaleOut": ("ScaledOut", False),
    "Escalate": ("Escalated", True),  # a person has to come: this is the only call
}


_RESULT_EVENTS = {
    ActionResult.EFFECTIVE: ("RemediationEffective", False),
    ActionResult.INEFFECTIVE: ("RemediationIneffective", True),
    ActionResult.INCONCLUSIVE: ("RemediationInconclusive", True),
    ActionResult.RECOVERED_ANYWAY: ("RecoveredAnyway", False),
}


def _action(
    policy: Policy,
    workload: Workload | None,
    before: ActionStatus | None,
    after: ActionStatus,
    suspects: Mapping[str, str],
) -> list[Announcement]:
    told: list[Announcement] = []
    if before is None or before.phase != after.phase:
        subject = after.pod or after.workload
        match after.phase:
            case ActionPhase.DONE:
                note = f"{after.type} {subject}: {after.signal}: {after.reason}{_suspected(suspects, after.pod)}"
                reason, warning = _DONE_EVENTS.get(after.type, ("Remediated", False))
                told += _both(policy, workload, reason, action=after.type, note=note, warning=warning, of_cluster=True)
            case ActionPhase.BLOCKED:
                told += _both(
                    policy,
                    workload,
                    "EvictionBlocked",
                    action=after.type,
                    note=f"{subject}: {after.message}",
                    warning=True,
                    of_cluster=True,
                )
            case ActionPhase.FAILED:
                told += _both(
                    policy,
                    workload,
                    "RemediationFailed",
                    action=after.type,
                    note=f"{subject}: {after.message}",
                    warning=True,
                    of_cluster=True,
                )
            case ActionPhase.INTERRUPTED:
                told += _both(
                    policy,
                    workload,
                    "RemediationInterrupted",
                    action=after.type,
                    note=f"{subject}: {after.message}",
                    warning=True,
                    of_cluster=True,
                )
    was = before.result if before is not None else None
    if after.result is not None and after.result != was and (event := _RESULT_EVENTS.get(after.result)):
        note = after.message + _suspected(suspects, after.pod)
        told += _both(policy, workload, event[0], action=after.type, note=note, warning=event[1], of_cluster=True)
    return [replace(announcement, essential=True) for announcement in told]


def _circuit(policy: Policy, before: PolicyStatus, after: PolicyStatus) -> list[Announcement]:
    def opened(status: PolicyStatus) -> str:
        stalled = (
            c for c in status.conditions if c.type == ConditionType.STALLED and c.reason == ConditionReason.CIRCUIT_OPEN
        )
        return next((condition.message for condition in stalled), "")

    was, now = opened(before), opened(after)
    if now and not was:
        return _both(policy, None, "CircuitOpened", action="Remediate", note=now, warning=True, of_cluster=True)
    if was and not now:
        again = "actions may be taken again"
        return _both(policy, None, "CircuitClosed", action="Remediate", note=again, warning=False, of_cluster=True)
    return []


def announcements(
    evaluation: PolicyEvaluation,
    before: PolicyStatus,
    after: PolicyStatus,
    workloads: Mapping[str, Workload],
    suspects: Mapping[str, str],
) -> Sequence[Announcement]:
    """The Events for the changes between the two statuses. `workloads` by UID, for actions on targets that are selected
    no more; `suspects`: the captured suspects of a pod, in one line, by the pod's name."""
    policy = evaluation.policy
    told = _conditions(policy, before, after) + _circuit(policy, before, after)
    by_title = {target.workload.title: target.workload for target in evaluation.workloads}
    old = {target.title: target for target in before.workloads}
    for target in after.workloads:
        workload = by_title.get(target.title)
        if workload is None:
            continue
        told += _verdicts(policy, workload, old.get(target.title), target, suspects)
        told += _skips(policy, workload, old.get(target.title), target)
    known = {action.id: action for action in before.actions}
    for action in after.actions:
        told += _action(policy, workloads.get(action.workload_uid), known.get(action.id), action, suspects)
    return told


def report_announcements(
    before: LeakReport, after: LeakReport, policy: Policy | None, workload: Workload | None
) -> Sequence[Announcement]:
    """The Events that only a report gives, and no policy's status: captures, and the end of an episode without an
    action."""
    if policy is None:
        return []
    pod, evidence = after.spec.pod.name, after.status.evidence
    told: list[Announcement] = []
    if evidence is not None and evidence != before.status.evidence:
        if evidence.state in (EvidenceState.CAPTURED, EvidenceState.PARTIAL) or evidence.descriptors:
            note = f"{pod}: {evidence.summary or 'profiles were taken, nothing stands out'}"
            told += _both(policy, workload, "EvidenceCaptured", action="Capture", note=note, warning=False)
        elif evidence.state is EvidenceState.FAILED:
            note = f"{pod}: {evidence.reason}: {evidence.message}"
            told += _both(policy, workload, "EvidenceFailed", action="Capture", note=note, warning=False)
    unverified = all(record.result is None for record in after.status.actions)
    if after.ended and not before.ended and unverified:
        told += _both(
            policy,
            workload,
            str(after.status.phase),
            action="Judge",
            note=f"{pod}: {after.status.message}",
            warning=False,
        )
    return told
