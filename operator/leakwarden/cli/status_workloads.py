"""All workloads that a policy's status holds: the twenty worst in full, and those after them in short."""

from __future__ import annotations

from leakwarden.api.v1alpha1.status import FIX_LENGTH, MissingStatus, OtherWorkload, WorkloadStatus
from leakwarden.core.evaluation.capabilities import PPROF, PPROF_FIX, fix_of
from leakwarden.core.model.policy import Policy


def all_workloads(policy: Policy) -> list[WorkloadStatus]:
    """In the status' order, the worst first. What is held in short is completed by what the policy says."""
    return [*policy.status.workloads, *(_whole(each, policy) for each in policy.status.others)]


def _whole(other: OtherWorkload, policy: Policy) -> WorkloadStatus:
    return WorkloadStatus(
        name=other.name,
        kind=other.kind,
        verdict=other.verdict,
        pods=other.pods,
        available=other.available,
        missing=[_missing(each, policy) for each in other.missing],
        missing_total=other.missing_total,
    )


def _missing(text: str, policy: Policy) -> MissingStatus:
    name, _, reason = text.partition("=")
    signals = {signal.name: signal for signal in policy.spec.signals} if policy.spec is not None else {}
    fix = PPROF_FIX if name == PPROF else fix_of(signals[name], reason) if name in signals else ""
    return MissingStatus(signal=name[:63], reason=reason[:64], fix=fix[:FIX_LENGTH])
