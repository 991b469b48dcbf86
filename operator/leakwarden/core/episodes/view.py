"""Compares a report's statuses, and decides which changes are worth a write."""

from __future__ import annotations

from collections.abc import Mapping

from leakwarden.api.v1alpha1.leakreport import LeakReportStatus, SeriesStatus
from leakwarden.core.episodes.parts import series_in_short
from leakwarden.core.evaluation.asked import Readings
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy
from leakwarden.core.signals.queries import answer_key

_MOVING = {
    "message",
    "verdict",
    "series",
    "guards",
    "plan",
    "verification",
    "calm_since",
    "restart_buys_seconds",
    "cause",
}


def essence(status: LeakReportStatus) -> object:
    """The status without readings and wording, which move with every tick."""
    verdict, plan, verification = status.verdict, status.plan, status.verification
    cause = status.cause
    return (
        (cause.kind, cause.confidence) if cause is not None else None,
        verdict.verdict if verdict is not None else "",
        [(guard.guard, guard.passed, guard.reason) for guard in status.guards],
        (plan.action, plan.step) if plan is not None else None,
        (verification.since, verification.new_pods, verification.outcome is None) if verification is not None else None,
        status.calm_since is None,
        status.model_dump(exclude=_MOVING),
    )


def one_line(status: LeakReportStatus, action: str, message: str) -> str:
    """The readings and the conclusions from them."""
    seen = status.verdict.message if status.verdict is not None else ""
    follows = f"{action} {message}" if action else message
    return f"{seen}; {follows}".strip("; ")[:1024]


class SeriesOf:
    """The series of reports in short; each signal's series are grouped by pod once, and only if asked for."""

    def __init__(self, policies: Mapping[str, Policy], readings: Mapping[str, Readings]) -> None:
        self._policies = policies
        self._readings = readings

    def of(self, report: LeakReport) -> SeriesStatus | None:
        """None where the pod is not known (any more)."""
        uid = report.spec.policy.uid
        policy, readings = self._policies.get(uid), self._readings.get(uid)
        if policy is None or policy.spec is None or readings is None:
            return None
        signal = next((each for each in policy.spec.signals if each.name == report.spec.signal), None)
        if signal is None:
            return None
        found = readings.history.by_pod(answer_key(signal, policy.namespace)).get(report.spec.pod.uid)
        return series_in_short(max((each.points for each in found), key=lambda each: each.t.size)) if found else None
