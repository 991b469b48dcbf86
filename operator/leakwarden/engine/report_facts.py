"""The facts of one tick, and those of them that belong into a LeakReport: values only, nothing is written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leakwarden.api.v1alpha1.leakreport import LeakReportStatus
from leakwarden.core.episodes.parts import guard_answers, plan_status, verdict_status, waiting_plan
from leakwarden.core.episodes.steps import is_leak
from leakwarden.core.episodes.uptime import Lifespan, lifespan
from leakwarden.core.episodes.view import one_line
from leakwarden.core.evaluation.asked import Readings
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards import Situation
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, format_time
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.planning.ordering import urgency
from leakwarden.core.planning.planning import Decision
from leakwarden.core.signals.queries import unit_of


@dataclass(frozen=True, slots=True)
class TickFacts:
    """The facts that this tick gathered and judged. `readings` by policy UID."""

    policies: Mapping[str, Policy]
    evaluations: Sequence[PolicyEvaluation]
    snapshot: Snapshot
    fresh: bool
    readings: Mapping[str, Readings]
    now: float

    def target(self, report: LeakReport) -> WorkloadEvaluation | None:
        for evaluation in self.evaluations:
            if evaluation.policy.uid == report.spec.policy.uid:
                return next((t for t in evaluation.workloads if t.workload.uid == report.spec.workload.uid), None)
        return None


def considered(
    report: LeakReport,
    target: WorkloadEvaluation,
    pod: PodEvaluation,
    *,
    decision: Decision | None,
    first: Decision | None,
    situation: Situation,
) -> dict[str, object]:
    """The changes of the report's status: `decision` about its pod, or `first` about another pod of the Deployment."""
    if decision is not None:
        answers = guard_answers(decision.candidate, situation)
        plan = plan_status(decision)
        return {"plan": plan, "guards": answers, "message": one_line(report.status, plan.action, plan.message)}
    waits = waiting_plan(target, pod.pod.uid, str(first.candidate.action.type)) if first else None
    message = waits.message if waits else "not Exhausting: nothing is due yet"
    return {"plan": waits, "guards": [], "message": one_line(report.status, "", message)}


def leaks(
    evaluations: Iterable[PolicyEvaluation],
) -> list[tuple[Policy, WorkloadEvaluation, PodEvaluation]]:
    """Pods judged a leak, each by the policy that acts on its Deployment."""
    return [
        (evaluation.policy, target, pod)
        for evaluation in evaluations
        for target in evaluation.workloads
        if not target.conflicts_with
        for pod in target.pods
        if is_leak(pod)
    ]


def pressure(pod: PodEvaluation) -> tuple[float, float, str]:
    return urgency(pod) if pod.acting is not None else (float("inf"), 1.0, pod.pod.name)


def lifespans(reports: Sequence[LeakReport]) -> dict[str, Lifespan]:
    grouped: dict[str, list[LeakReport]] = {}
    for report in reports:
        grouped.setdefault(report.spec.workload.uid, []).append(report)
    return {uid: lived for uid, mine in grouped.items() if (lived := lifespan(mine)) is not None}


def begun(
    report: LeakReport, policy: Policy, pod: PodEvaluation, lived: Lifespan | None, now: float
) -> LeakReportStatus:
    units = {signal.name: unit_of(signal.type) for signal in policy.spec.signals} if policy.spec is not None else {}
    return report.status.model_copy(
        update={
            "verdict": verdict_status(pod, units, now),
            "exhausting_at": format_time(now) if pod.acting is not None else None,
            "restart_buys_seconds": lived.seconds if lived is not None else None,
        }
    )
