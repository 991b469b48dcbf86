"""Which replicas that were added for a while are due for removal, and whether they are still ours to remove."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionStatus
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, format_time, parse_time
from leakwarden.core.model.workload import Snapshot, Workload

_NOT_YET = "not taken back yet: "
ADDED = 1  # replicas that one ScaleOut adds


@dataclass(frozen=True, slots=True)
class Return:
    """One scale-out that is over. `replicas` is the number to set, None where none is to be set; `message` is the
    reason."""

    report: LeakReport
    record: ActionStatus
    workload: Workload | None
    replicas: int | None
    message: str


def is_out(record: ActionStatus) -> bool:
    """Whether the record holds a replica that was, or may have been, added and was not taken back yet.

    Interrupted: the operator died, or the answer was lost, and it is not known whether it was added; the replicas show
    it.
    """
    return (
        record.type == ActionType.SCALE_OUT
        and record.phase in (ActionPhase.DONE, ActionPhase.INTERRUPTED)
        and record.return_at is not None
        and record.returned_at is None
    )


def due(reports: Iterable[LeakReport], policies: Mapping[str, Policy], snapshot: Snapshot, now: float) -> list[Return]:
    """At most one for each Deployment: the newest scale-out goes first, since its number of replicas builds on those
    before it.

    `policies` by UID. Reports must have been put in their place (core/records/place.py) before. A change of replicas is
    still subject to the policy and its guards (core/planning/taking_back.py).
    """
    newest: dict[str, tuple[LeakReport, ActionStatus]] = {}
    for report in reports:
        for record in report.status.actions:
            held = newest.get(record.workload_uid)
            if record.workload_kind in snapshot.unread_kinds:
                continue  # whether it is gone, and how many replicas it has, is not known
            if is_out(record) and (held is None or parse_time(record.intended_at) > parse_time(held[1].intended_at)):
                newest[record.workload_uid] = (report, record)
    found = []
    for report, record in newest.values():
        if parse_time(record.return_at) > now:
            continue
        decided = _decide(report, record, policies.get(report.spec.policy.uid), snapshot)
        if decided is not None:
            found.append(decided)
    return found


def _decide(report: LeakReport, record: ActionStatus, policy: Policy | None, snapshot: Snapshot) -> Return | None:
    workload = snapshot.workloads.get(record.workload_uid)
    if workload is None:
        return Return(report, record, None, None, "the workload is gone")
    if workload.replicas == record.replicas_before:
        return Return(report, record, workload, None, f"back at {record.replicas_before} replicas")
    if workload.replicas != record.replicas_after or record.replicas_before is None:
        words = f"somebody set {workload.replicas} replicas meanwhile, which stand"
        return Return(report, record, workload, None, words)
    if workload.replicas - record.replicas_before != ADDED:
        words = f"an action adds {ADDED} replica, and this record says otherwise; {workload.replicas} replicas stand"
        return Return(report, record, workload, None, words)
    if policy is None:
        return Return(report, record, workload, None, "the policy is gone, so nobody wants it; the replica stands")
    holder = (snapshot.autoscalers or {}).get((workload.namespace, workload.title))
    if holder:
        return Return(report, record, workload, None, f"{holder} owns the replicas now")
    return Return(report, record, workload, record.replicas_before, f"back to {record.replicas_before} replicas")


def returned(record: ActionStatus, message: str, now: float) -> ActionStatus:
    """The record once its replica is taken back, or given up."""
    said = _said(record, f"taken back: {message}")
    return record.model_copy(update={"returned_at": format_time(now), "message": said})


def not_returned(record: ActionStatus, why: str) -> ActionStatus:
    """The record while its replica is due and could not be removed; replaces the message of an earlier attempt."""
    return record.model_copy(update={"message": _said(record, f"{_NOT_YET}{why}")})


def _said(record: ActionStatus, more: str) -> str:
    before = record.message.partition(_NOT_YET)[0].removesuffix("; ")
    return (f"{before}; {more}" if before else more)[:1024]
