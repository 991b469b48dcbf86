"""Guards that ask what the records say: whether earlier actions helped, and whether this one would be recorded."""

from __future__ import annotations

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.evidence_status import EvidenceState
from leakwarden.core.guards.model import Candidate, Situation, Skip
from leakwarden.core.model.policy import format_time
from leakwarden.core.records.circuit import open_circuit


def circuit_open(candidate: Candidate, situation: Situation) -> Skip | None:
    if not candidate.changes:
        return None
    circuit = open_circuit(situation.of(candidate), candidate.spec.remediation.circuit_breaker, situation.now)
    if circuit is None:
        return None
    told = f"{circuit.failures} actions in a row did not help"
    if circuit.on_trial:
        return Skip(SkipReason.CIRCUIT_OPEN, f"{told}; the trial is under way")
    return Skip(SkipReason.CIRCUIT_OPEN, f"{told}; one more is tried from {format_time(circuit.until)} on")


def evidence_missing(candidate: Candidate, situation: Situation) -> Skip | None:
    if not candidate.spec.evidence.required or not candidate.changes:
        return None
    for report in situation.reports:
        evidence = report.status.evidence
        if report.ended or report.spec.pod.uid != candidate.pod.pod.uid or evidence is None:
            continue
        if evidence.state in (EvidenceState.CAPTURED, EvidenceState.PARTIAL):
            return None
        why = f": {evidence.reason}: {evidence.message}" if evidence.reason else ""
        return Skip(SkipReason.EVIDENCE_MISSING, f"spec.evidence.required is true, the capture failed{why}"[:300])
    return Skip(SkipReason.EVIDENCE_MISSING, "spec.evidence.required is true and nothing was captured yet")


def records_unavailable(_: Candidate, situation: Situation) -> Skip | None:
    if situation.records_trouble:
        return Skip(SkipReason.RECORDS_UNAVAILABLE, situation.records_trouble)
    return None
