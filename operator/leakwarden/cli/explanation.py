"""The findings of `leakwarden explain` about one workload: a value, its text for people and its JSON for tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leakwarden.api.v1alpha1.status import WorkloadStatus
from leakwarden.cli.liveness import Liveness, OperatorState, age
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, format_time
from leakwarden.core.model.text import printable
from leakwarden.core.page import cause, outcome

LEAK_VERDICTS = ("Leaking", "Exhausting")
_OF_THE_WORKLOAD = {"verdict", "pods", "unhealthy", "unreported", "skipped"}  # fields of WorkloadStatus that are shown
_OF_THE_REPORT = {
    "phase",
    "message",
    "plan",
    "guards",
    "actions",
    "verification",
}  # fields of LeakReportStatus that are shown


@dataclass(frozen=True, slots=True)
class PolicyView:
    """The part of one policy's status about the workload."""

    policy: Policy
    workload: WorkloadStatus
    written: float  # when the status was written, epoch s; 0: not known
    age: str  # the same in words; empty: not known

    @property
    def mode(self) -> str:
        """Observe or Enforce; empty where the spec is invalid."""
        return str(self.policy.spec.mode) if self.policy.spec is not None else ""

    @property
    def bound(self) -> str:
        """Why a policy of the cluster only observes in this namespace; empty where it does what its spec says."""
        return self.policy.origin.bound if self.policy.origin is not None else ""

    @property
    def stalled(self) -> str:
        """Why the policy cannot go on by itself, or empty."""
        return " ".join(
            f"{condition.reason}: {condition.message}"
            for condition in self.policy.status.conditions
            if condition.type == "Stalled" and condition.status == "True"
        )

    @property
    def judged(self) -> bool:
        """Whether the workload has a verdict by the present spec: one by a spec that is invalid now is out of date."""
        return self.workload.verdict != "Unknown" and not self.policy.error

    def as_json(self) -> dict[str, Any]:
        return {
            "policy": self.policy.title,
            "mode": self.mode,
            "bound": self.bound,
            "error": self.policy.error,
            "written": format_time(self.written) if self.written else None,
            "age": self.age,
            "stalled": self.stalled,
            "profile": self.policy.status.profile,
            **self.workload.model_dump(mode="json", by_alias=True, exclude_none=True, include=_OF_THE_WORKLOAD),
        }

    def lines(self) -> list[str]:
        mode = self.mode or "invalid: " + self.policy.error
        mode += f": {self.bound}" if self.bound else ""
        when = f" (status {self.age})" if self.age else ""
        about = "" if self.workload.title == self.workload.name else f"{self.workload.title} by "
        lines = [f"{about}policy {self.policy.title} ({mode}): {self.workload.verdict}{when}"]
        lines += [f"  profile {self.policy.status.profile}"] if self.policy.status.profile else []
        lines += [f"  stalled: {self.stalled}"] if self.stalled else []
        lines += [f"  {pod.name} is {pod.verdict}: {pod.message}" for pod in self.workload.unhealthy]
        if skipped := self.workload.skipped:
            lines.append(f"  {skipped.action} of {skipped.pod} waits: {', '.join(skipped.reasons)}: {skipped.message}")
        if more := self.workload.unreported:
            lines.append(f"  {more} more leak and have no report yet: the pods that run out first have theirs")
        return lines


@dataclass(frozen=True, slots=True)
class Explanation:
    """One workload, as every policy that selects it and every LeakReport of it describes it."""

    namespace: str
    workload: str
    operator: Liveness
    policies: tuple[PolicyView, ...]
    open: tuple[LeakReport, ...]  # newest first
    ended: tuple[LeakReport, ...]  # newest first

    @property
    def unrecorded(self) -> bool:
        """Whether it leaks without an open report, such as where LeakReports cannot be written."""
        return not self.open and any(view.workload.verdict in LEAK_VERDICTS for view in self.policies)

    @property
    def judged(self) -> bool:
        return any(view.judged for view in self.policies)

    def as_json(self) -> dict[str, Any]:
        return {
            "namespace": self.namespace,
            "workload": self.workload,
            "operator": {"state": str(self.operator.state), "message": self.operator.message},
            "policies": [view.as_json() for view in self.policies],
            "open": [_report_as_json(report) for report in self.open],
            "ended": [_report_as_json(report) for report in self.ended],
        }

    def text(self) -> str:
        lines = [f"warning: {self.operator.message}", ""] if self.operator.stopped else []
        for view in self.policies:
            lines += view.lines()
        for report in self.open:
            lines += ["", *_open_lines(report)]
        for report in self.ended:
            status = f"{report.spec.pod.name} {report.spec.signal} ({report.name}): {report.status.phase}"
            lines += ["", f"earlier: {status}", *_action_lines(report)]
        if outcome := self._outcome():
            lines += ["", outcome]
        if self.operator.state is OperatorState.UNKNOWN:
            lines += ["", self.operator.message]
        return "\n".join(printable(line) for line in lines)

    def _outcome(self) -> str:
        if self.open:
            return ""
        if self.unrecorded:
            return "it leaks, but no LeakReport of it is open, and without one nothing is done"
        if not self.judged:
            return "no leak is open, but whether it leaks is not known: nothing is done without readings"
        return "" if self.operator.stopped else "no leak is open, so nothing is due"


def view_of(policy: Policy, workload: WorkloadStatus, written: float, now: float) -> PolicyView:
    """`written` and `now` in epoch seconds of the API server's clock."""
    return PolicyView(policy, workload, written, age(written, now))


def _report_as_json(report: LeakReport) -> dict[str, Any]:
    status = report.status.model_dump(mode="json", by_alias=True, exclude_none=True, include=_OF_THE_REPORT)
    return {"report": report.name, "pod": report.spec.pod.name, "signal": report.spec.signal, **status}


def _open_lines(report: LeakReport) -> list[str]:
    status = report.status
    lines = [f"{report.spec.pod.name} leaks {report.spec.signal} ({report.name}): {status.phase}"]
    lines += [f"  {status.message}"] if status.message else []
    if status.plan:
        lines.append(f"  planned: {status.plan.action}  {status.plan.message}".rstrip())
    refusals = [guard for guard in status.guards if not guard.passed]
    lines += [f"  no  {guard.guard}: {guard.reason}: {guard.message}" for guard in refusals]
    passed = [guard.guard for guard in status.guards if guard.passed]
    lines += [f"  yes {', '.join(passed)}"] if passed else []
    return lines + _action_lines(report)


def _action_lines(report: LeakReport) -> list[str]:
    told = [
        f"  {action.intended_at} {action.type} {action.phase} {action.result or ''}: {action.message}"
        for action in report.status.actions
    ]
    measured = report.status.verification.outcome if report.status.verification else None
    told += [f"    {line}" for line in outcome.lines(measured, 96)] if measured is not None else []
    why = report.status.cause
    return told + ([f"  errors: {line}" for line in cause.lines(why, 96)] if why is not None else [])
