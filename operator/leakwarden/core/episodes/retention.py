"""Which reports may be deleted: ended, beyond the policy's limit or time to live, and not needed by any guard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.history import ReportHistory
from leakwarden.api.v1alpha1.policy import PolicySpec, Remediation
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, parse_time
from leakwarden.core.records.scale_in import is_out

# s. Budgets are counted over hours; a report with an action younger than this is kept whatever its policy allows.
LEAST_MEMORY = 86_400.0
DELETES_PER_TICK = 20

_FAILURES = (ActionResult.INEFFECTIVE, ActionResult.INCONCLUSIVE)


def memory(spec: PolicySpec | None) -> float:
    """Seconds that an action must be kept: the longest time that any guard looks back."""
    remediation = spec.remediation if spec is not None else Remediation()
    windows = (remediation.cooldown, remediation.circuit_breaker.sleep_window)
    return max(LEAST_MEMORY, *(parse_duration(window) for window in windows))


def _ended_at(report: LeakReport) -> float:
    return parse_time(report.status.ended_at) or report.created


def _acted(report: LeakReport, since: float) -> bool:
    """Whether the report has an action that may have changed something since then, or that has not ended."""
    return any(
        record.phase is ActionPhase.PENDING
        or record.result is ActionResult.VERIFYING
        or is_out(record)
        or max(parse_time(record.intended_at), parse_time(record.verified_at)) > since
        for record in report.status.actions
    )


def _counted_by_the_circuit(reports: Sequence[LeakReport], failures: int) -> set[str]:
    """UIDs of the newest reports of each workload that a circuit breaker counts."""
    kept: set[str] = set()
    counted: dict[str, int] = {}
    for report in sorted(reports, key=_ended_at, reverse=True):
        workload = report.spec.workload.uid
        if any(record.result in _FAILURES for record in report.status.actions) and counted.get(workload, 0) < failures:
            counted[workload] = counted.get(workload, 0) + 1
            kept.add(report.uid)
    return kept


def expendable(reports: Sequence[LeakReport], policies: Mapping[str, Policy], now: float) -> list[LeakReport]:
    """The reports to delete in this tick, oldest first, at most `DELETES_PER_TICK`. `policies` by UID.

    Reports of a deleted policy stay as history, with the default bounds.
    """
    grouped: dict[str, list[LeakReport]] = {}
    for report in reports:
        grouped.setdefault(report.spec.policy.uid, []).append(report)
    found: list[LeakReport] = []
    for uid, mine in grouped.items():
        policy = policies.get(uid)
        spec = policy.spec if policy is not None else None
        history = spec.history if spec is not None else ReportHistory()
        breaker = (spec.remediation if spec is not None else Remediation()).circuit_breaker
        needed = _counted_by_the_circuit(mine, breaker.failures)
        ended = sorted((report for report in mine if report.ended), key=_ended_at, reverse=True)
        oldest = now - parse_duration(history.time_to_live)
        found += [
            report
            for rank, report in enumerate(ended)
            if (_ended_at(report) < oldest or (rank >= history.limit and report.uid not in needed))
            and not _acted(report, now - memory(spec))
        ]
    return sorted(found, key=_ended_at)[:DELETES_PER_TICK]
