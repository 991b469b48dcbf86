"""An episode from its first judgement to its end: pure steps from one LeakReport status to the next.

Detected --- intent ---> Remediating --- carried out ---> Verifying ---> Effective | Ineffective | Inconclusive
   ^  |                       |                              |                       | RecoveredAnyway
   |  |                       +--- blocked, failed,          +--- ScaleOut: the pod
   |  |                            interrupted: Detected          leaks on: Detected
   |  +--- the pod is calm for long, or gone by itself ---> RecoveredAnyway
   +--- judged Leaking or Exhausting, no open report
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leakwarden.api import names
from leakwarden.api.scalars import format_duration, parse_duration
from leakwarden.api.v1alpha1.leakreport import (
    MAX_EPISODE_ACTIONS,
    LeakReportSpec,
    LeakReportStatus,
    Phase,
    PodReference,
    PolicyReference,
    WorkloadReference,
)
from leakwarden.api.v1alpha1.policy import ActionType, PolicySpec
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult, ActionStatus
from leakwarden.core.detection.history import incarnation_start
from leakwarden.core.episodes.parts import verdict_status
from leakwarden.core.episodes.uptime import Lifespan
from leakwarden.core.episodes.verification import Conclusion, verify
from leakwarden.core.evaluation.results import PodEvaluation, WorkloadEvaluation
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, format_time, parse_time
from leakwarden.core.model.workload import Pod
from leakwarden.core.records.record import given_up, recover
from leakwarden.core.signals.queries import unit_of

MESSAGE = 1024
# A pod that goes within this time (s) is explained by an action that may have been carried out unseen: an eviction
# takes at most so long with the longest common grace period.
UNSEEN_WITHIN = 600.0


# Identity.


def _short(name: str, length: int) -> str:
    return name[:length].rstrip("-._")


def label_value(name: str) -> str:
    """A name as a label's value, of which 63 characters are allowed: longer ones are cut and made unique by a hash."""
    if len(name) <= 63:
        return name
    return f"{_short(name, 54)}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def report_name(workload: str, pod_uid: str, ordinal: int) -> str:
    """The same for the same episode, so that creating it twice after a crash is an AlreadyExists."""
    return f"{_short(workload, 40)}-{hashlib.sha256(f'{pod_uid}/{ordinal}'.encode()).hexdigest()[:8]}"


def next_name(workload: str, pod_uid: str, taken: Iterable[str]) -> str:
    """The name of the pod's next episode: the first that none of the reports in its namespace (`taken`) has."""
    occupied = set(taken)
    ordinal = 0
    while (name := report_name(workload, pod_uid, ordinal)) in occupied:
        ordinal += 1
    return name


def labels(policy: Policy, workload: str) -> dict[str, str]:
    key = names.POLICY_LABEL if policy.origin is None else names.CLUSTER_POLICY_LABEL
    return {key: label_value(policy.name), names.WORKLOAD_LABEL: label_value(workload)}


# Beginning.


def is_leak(pod: PodEvaluation) -> bool:
    return pod.verdict in (Verdict.LEAKING, Verdict.EXHAUSTING)


def identity(policy: Policy, target: WorkloadEvaluation, pod: PodEvaluation, now: float) -> LeakReportSpec:
    """The report's spec, for a pod that is judged a leak: the pod, its owner and the signal."""
    judged = pod.acting or pod.deciding
    signal = judged.signal if judged is not None else ""
    types = {each.name: str(each.type) for each in policy.spec.signals} if policy.spec is not None else {}
    one = pod.pod
    return LeakReportSpec(
        policy=PolicyReference(name=policy.name, uid=policy.uid, kind=policy.kind),
        workload=WorkloadReference(name=target.workload.name, kind=target.workload.kind, uid=target.workload.uid),
        pod=PodReference(
            name=one.name,
            uid=one.uid,
            node=one.node,
            created_at=format_time(one.created) if one.created else None,
            started_at=format_time(start) if (start := incarnation_start(one, "")) else None,
        ),
        signal=signal,
        signal_type=types.get(signal, ""),
        detected_at=format_time(now),
    )


# Going on.


@dataclass(frozen=True, slots=True)
class Outlook:
    """This tick's facts about one episode. The view of the cluster is fresh, or there is no Outlook."""

    now: float
    spec: PolicySpec | None  # None: gone, or it cannot be understood at present
    exists: bool  # whether the workload of that UID does
    pods: Sequence[Pod]  # of the workload, those on their way out too
    target: WorkloadEvaluation | None  # None where the policy does not select or cannot judge it
    left_by: str  # why the policy does not apply to the pod any more, in words; empty where it does
    records: Sequence[ActionStatus]  # all actions on the workload
    lifespan: Lifespan | None

    def pod(self, uid: str) -> Pod | None:
        return next((pod for pod in self.pods if pod.uid == uid and pod.phase not in ("Succeeded", "Failed")), None)


def advance(report: LeakReport, outlook: Outlook) -> LeakReportStatus:
    """The status after this tick; equal to the one before where nothing happened."""
    status = report.status
    if report.ended:
        return status
    status = _settle_intent(status, report, outlook)
    if outlook.lifespan is not None:
        status = status.model_copy(update={"restart_buys_seconds": outlook.lifespan.seconds})
    if status.phase is Phase.VERIFYING:
        return _verified(status, outlook)
    status = _carried_out_unseen(status, report, outlook)
    if status.phase is Phase.VERIFYING:
        return _verified(status, outlook)
    if why := _gone(report, outlook):
        return ended(status, Phase.RECOVERED_ANYWAY, why, outlook.now)
    judged = (
        next((p for p in outlook.target.pods if p.pod.uid == report.spec.pod.uid), None) if outlook.target else None
    )
    return status if judged is None else _judged(status, report, judged, outlook)


def _settle_intent(status: LeakReportStatus, report: LeakReport, outlook: Outlook) -> LeakReportStatus:
    """An action that an earlier process left Pending: closed, never repeated."""
    newest = status.actions[0] if status.actions else None
    if newest is None or newest.phase is not ActionPhase.PENDING:
        stray = status.phase is Phase.REMEDIATING  # another client removed its intent
        return status.model_copy(update={"phase": Phase.DETECTED}) if stray else status
    pod = outlook.pod(report.spec.pod.uid)
    closed = recover(newest, pod is not None and not pod.terminating, outlook.now)
    return with_outcome(status, closed)


def with_outcome(status: LeakReportStatus, record: ActionStatus) -> LeakReportStatus:
    """The newest action with its outcome, and the phase that follows from it."""
    # A call for a person needs no proof that it helped: the leak goes on.
    to_verify = record.phase is ActionPhase.DONE and record.type != ActionType.ESCALATE
    phase = Phase.VERIFYING if to_verify else Phase.DETECTED
    subject = record.pod or record.workload
    return status.model_copy(
        update={
            "phase": phase,
            "actions": [record, *status.actions[1:]],
            "message": f"{record.type} {subject}: {record.phase}: {record.message}"[:MESSAGE],
        }
    )


def _carried_out_unseen(status: LeakReportStatus, report: LeakReport, outlook: Outlook) -> LeakReportStatus:
    """The pod went after an action with an unknown outcome: so it was carried out, and its benefit counts."""
    newest = status.actions[0] if status.actions else None
    if newest is None or newest.phase not in (ActionPhase.FAILED, ActionPhase.INTERRUPTED) or newest.result is not None:
        return status
    young = outlook.now - parse_time(newest.intended_at) <= UNSEEN_WITHIN
    if newest.type == "ScaleOut" or not young or outlook.pod(report.spec.pod.uid) is not None or not outlook.exists:
        return status
    message = f"{newest.message}; the pod is gone, so it was carried out"
    record = newest.model_copy(update={"result": ActionResult.VERIFYING, "message": message[:MESSAGE]})
    return status.model_copy(update={"phase": Phase.VERIFYING, "actions": [record, *status.actions[1:]]})


def _gone(report: LeakReport, outlook: Outlook) -> str:
    """Why there is nothing left to remediate, in words; empty while there is."""
    if not outlook.exists:
        return f"the {report.spec.workload.kind} was deleted or replaced by another of its name"
    if outlook.pod(report.spec.pod.uid) is None:
        for record in outlook.records:
            with_it = record.phase is ActionPhase.DONE and record.type == "RolloutRestart"
            if with_it and parse_time(record.intended_at) >= parse_time(report.spec.detected_at):
                return f"the pod went with the RolloutRestart that was decided at {record.intended_at}"
        return "the pod is gone, without an action of ours"
    return outlook.left_by


def _judged(status: LeakReportStatus, report: LeakReport, pod: PodEvaluation, outlook: Outlook) -> LeakReportStatus:
    now, spec = outlook.now, outlook.spec
    units = {signal.name: unit_of(signal.type) for signal in spec.signals} if spec is not None else {}
    if pod.verdict is Verdict.UNKNOWN:
        return status  # no readings: the last judgement stays, and no episode ends on missing data
    calm = (status.calm_since or format_time(now)) if pod.verdict is Verdict.HEALTHY else None
    exhausting = pod.verdict is Verdict.EXHAUSTING and status.exhausting_at is None
    verdict = verdict_status(pod, units, now)
    status = status.model_copy(
        update={
            "verdict": verdict,
            "calm_since": calm,
            "exhausting_at": format_time(now) if exhausting else status.exhausting_at,
        }
    )
    patience = parse_duration(spec.remediation.verification.timeout) if spec is not None else UNSEEN_WITHIN
    if calm is not None and now - parse_time(calm) >= patience:
        return _calm(status, report, pod.pod, now, patience)
    return status


def _calm(status: LeakReportStatus, report: LeakReport, pod: Pod, now: float, patience: float) -> LeakReportStatus:
    why = f"judged Healthy for {format_duration(patience)}"
    if incarnation_start(pod, "") > parse_time(report.spec.detected_at):
        why += "; the kubelet restarted its process meanwhile"
    helped = any(record.result is ActionResult.EFFECTIVE for record in status.actions)
    return ended(status, Phase.EFFECTIVE if helped else Phase.RECOVERED_ANYWAY, why, now)


def _verified(status: LeakReportStatus, outlook: Outlook) -> LeakReportStatus:
    record, held = status.actions[0] if status.actions else None, status.verification
    if record is None:
        return ended(status, Phase.INCONCLUSIVE, "what was done is not recorded here any more", outlook.now)
    if held is None:
        lost = "what the pods were like before the action is not recorded here any more"
        return _concluded(status, Conclusion(Phase.INCONCLUSIVE, lost), outlook)
    if not outlook.exists:
        gone = "the workload was deleted or replaced before it could be seen whether the action helped"
        return _concluded(status, Conclusion(Phase.INCONCLUSIVE, gone), outlook)
    if outlook.left_by:
        left = f"{outlook.left_by} before it could be seen whether the action helped"
        return _concluded(status, Conclusion(Phase.INCONCLUSIVE, left), outlook)
    if outlook.target is None or outlook.spec is None:
        # An invalid spec may be corrected, so the episode stays open for a limited time.
        timeout = parse_duration(outlook.spec.remediation.verification.timeout) if outlook.spec else UNSEEN_WITHIN
        if outlook.now - parse_time(record.finished_at or record.intended_at) <= timeout:
            return status
        unseen = "the policy could not judge the workload while the action was to be verified"
        return _concluded(status, Conclusion(Phase.INCONCLUSIVE, unseen), outlook)
    seen, conclusion = verify(record, held, outlook.target, outlook.spec, outlook.now)
    status = status.model_copy(update={"verification": seen})
    if conclusion is None:
        return status.model_copy(update={"message": f"{record.type} {record.pod}: {seen.message}"[:MESSAGE]})
    return _concluded(status, conclusion, outlook)


def _concluded(status: LeakReportStatus, conclusion: Conclusion, outlook: Outlook) -> LeakReportStatus:
    said = conclusion.message
    if conclusion.phase is Phase.EFFECTIVE and outlook.lifespan is not None and status.actions[0].type != "ScaleOut":
        said += f"; {outlook.lifespan}"
    record = status.actions[0].model_copy(
        update={
            "result": ActionResult(str(conclusion.phase)),
            "verified_at": format_time(outlook.now),
            "message": f"{status.actions[0].message}; {said}"[:MESSAGE],
        }
    )
    status = status.model_copy(update={"actions": [record, *status.actions[1:]]})
    pod_left = outlook.pod(record.pod_uid) is not None and outlook.exists and not outlook.left_by
    if record.type == "ScaleOut" and pod_left:
        # The episode belongs to the pod, and the pod still leaks next to the new one.
        return status.model_copy(update={"phase": Phase.DETECTED, "message": said[:MESSAGE]})
    return ended(status, conclusion.phase, said, outlook.now)


def ended(status: LeakReportStatus, phase: Phase, why: str, now: float) -> LeakReportStatus:
    return status.model_copy(update={"phase": phase, "message": why[:MESSAGE], "ended_at": format_time(now)})


def with_intent(status: LeakReportStatus, record: ActionStatus) -> LeakReportStatus:
    """The status that is written before anything is done; an earlier form of the same record is replaced."""
    earlier = [given_up(kept, record) for kept in status.actions if kept.id != record.id]
    return status.model_copy(
        update={
            "phase": Phase.REMEDIATING,
            "actions": [record, *earlier][:MAX_EPISODE_ACTIONS],
            "message": f"{record.type} {record.pod or record.workload} is being carried out"[:MESSAGE],
        }
    )


def is_full(status: LeakReportStatus, record_id: str) -> bool:
    """Whether one more action would push a record out, which cooldowns and budgets may still need."""
    return len(status.actions) >= MAX_EPISODE_ACTIONS and all(record.id != record_id for record in status.actions)


def open_by_pod(reports: Iterable[LeakReport]) -> Mapping[str, LeakReport]:
    """The open report of each pod, by its UID; the oldest where there are several."""
    found: dict[str, LeakReport] = {}
    for report in sorted(reports, key=lambda report: (report.created, report.name), reverse=True):
        if not report.ended:
            found[report.spec.pod.uid] = report
    return found
