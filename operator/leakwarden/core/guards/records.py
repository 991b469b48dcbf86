"""Guards that read the records: whether earlier actions helped, and whether this one would be recorded."""

from __future__ import annotations

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.evidence_status import EvidenceState
from leakwarden.core.guards.model import About, Candidate, Situation, guard
from leakwarden.core.model.policy import format_time
from leakwarden.core.records.circuit import open_circuit


@guard(
    SkipReason.CIRCUIT_OPEN,
    "The last actions on this Deployment did not help; after"
    " spec.remediation.circuitBreaker.sleepWindow one more is tried.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def circuit_open(candidate: Candidate, situation: Situation) -> str | None:
    if not candidate.changes:
        return None
    circuit = open_circuit(situation.of(candidate), candidate.spec.remediation.circuit_breaker, situation.now)
    if circuit is None:
        return None
    told = f"{circuit.failures} actions in a row did not help"
    if circuit.on_trial:
        return f"{told}; the trial is under way"
    return f"{told}; one more is tried from {format_time(circuit.until)} on"


@guard(
    SkipReason.EVIDENCE_MISSING,
    "spec.evidence.required is true and no profile of this pod could be taken yet.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def evidence_missing(candidate: Candidate, situation: Situation) -> str | None:
    if not candidate.spec.evidence.required or not candidate.changes:
        return None
    for report in situation.reports:
        evidence = report.status.evidence
        if report.ended or report.spec.pod.uid != candidate.pod.pod.uid or evidence is None:
            continue
        if evidence.state in (EvidenceState.CAPTURED, EvidenceState.PARTIAL):
            return None
        why = f": {evidence.reason}: {evidence.message}" if evidence.reason else ""
        return f"spec.evidence.required is true, the capture failed{why}"[:300]
    return "spec.evidence.required is true and nothing was captured yet"


@guard(
    SkipReason.RECORDS_UNAVAILABLE,
    "Its LeakReport cannot be read or written (yet), and nothing is done unrecorded.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def records_unavailable(candidate: Candidate, situation: Situation) -> str | None:
    here = situation.records_troubles.get(candidate.policy.namespace, "")
    return situation.records_trouble or here or None
