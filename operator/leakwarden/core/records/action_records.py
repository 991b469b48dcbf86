"""Action records as guards and people read them: those of all reports, and those older than LeakReports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leakwarden.api.scalars import format_duration
from leakwarden.api.v1alpha1.status import MAX_ACTIONS, ActionPhase, ActionResult, ActionStatus
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, format_time, parse_time
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.records.record import recover

# An older operator's action is not verified any more; after this it is Inconclusive, s.
LEGACY_TIMEOUT = 600.0


def newest_first(records: Iterable[ActionStatus]) -> list[ActionStatus]:
    return sorted(
        records,
        key=lambda record: (parse_time(record.intended_at), parse_time(record.finished_at), record.id),
        reverse=True,
    )


def legacy_records(policy: Policy, reports: Sequence[LeakReport]) -> list[ActionStatus]:
    """Records of an operator without LeakReports in the policy's status: those that no report holds.

    A record that names its report is a view of it; if that was deleted, so was the record.
    """
    held = {record.id for report in reports for record in report.status.actions}
    pods = {report.spec.pod.uid for report in reports}
    return [
        record
        for record in policy.status.actions
        if not record.report and record.id not in held and (not record.pod_uid or record.pod_uid not in pods)
    ]


def settle_legacy(records: Sequence[ActionStatus], snapshot: Snapshot, now: float) -> list[ActionStatus]:
    """Legacy records that were left Pending are closed, and those never verified found Inconclusive."""
    settled = []
    for record in records:
        if record.phase is ActionPhase.PENDING:
            pods = snapshot.pods_by_workload.get(record.workload_uid, ())
            record = recover(record, any(pod.uid == record.pod_uid and not pod.terminating for pod in pods), now)
        if record.result is ActionResult.VERIFYING and now - parse_time(record.intended_at) > LEGACY_TIMEOUT:
            message = f"{record.message}; whether it helped was not seen within {format_duration(LEGACY_TIMEOUT)}"
            record = record.model_copy(
                update={
                    "result": ActionResult.INCONCLUSIVE,
                    "verified_at": format_time(now),
                    "message": message[:1024],
                }
            )
        settled.append(record)
    return settled


def by_workload(
    reports: Iterable[LeakReport], legacy: Iterable[Sequence[ActionStatus]] = ()
) -> dict[str, list[ActionStatus]]:
    """All records by the workload's UID, newest first: cooldowns, budgets and circuits are computed from them."""
    grouped: dict[str, list[ActionStatus]] = {}
    for records in (*(report.status.actions for report in reports), *legacy):
        for record in records:
            grouped.setdefault(record.workload_uid, []).append(record)
    return {uid: newest_first(records) for uid, records in grouped.items()}


def view_of(policy: Policy, reports: Iterable[LeakReport], legacy: Sequence[ActionStatus]) -> list[ActionStatus]:
    """`status.actions` of a policy: the newest records of its reports, each with the report's name."""
    mine = [
        record.model_copy(update={"report": report.name})
        for report in reports
        if report.spec.policy.uid == policy.uid and report.namespace == policy.namespace
        for record in report.status.actions
    ]
    return newest_first([*mine, *legacy])[:MAX_ACTIONS]
