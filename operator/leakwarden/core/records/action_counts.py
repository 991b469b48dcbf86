"""Every action there was, by time: what budgets, concurrency and the storm breaker are counted from.

Built from what the cluster holds (LeakReports and the records of policies), never from memory: a restart of the
operator, or another replica taking over, changes no count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leakwarden.api.v1alpha1.action import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult, ActionStatus
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import parse_time


@dataclass(frozen=True, slots=True)
class CountedAction:
    """An action that changed something, or may have. `namespace` is empty where it is not known."""

    namespace: str
    workload_uid: str
    at: float  # epoch s; when it was decided, so that a crash never makes it younger
    in_flight: bool


def changes(record: ActionStatus) -> bool:
    """Whether the action changed something, or may have: nobody knows what a failed one did."""
    return record.phase is not ActionPhase.BLOCKED and record.type != ActionType.ESCALATE


def is_under_way(record: ActionStatus) -> bool:
    """Intended and not ended, or carried out and not yet verified."""
    return changes(record) and (record.phase is ActionPhase.PENDING or record.result is ActionResult.VERIFYING)


class Ledger:
    """`records` by workload UID; `namespaces` says where a workload lives whose record stands in no report."""

    def __init__(
        self,
        reports: Iterable[LeakReport],
        records: Mapping[str, Sequence[ActionStatus]],
        namespaces: Mapping[str, str],
    ) -> None:
        entries: dict[str, CountedAction] = {}
        for report in reports:
            for record in report.status.actions:
                if changes(record):
                    entries[record.id] = _entry(record, report.namespace)
        for uid, kept in records.items():
            for record in kept:
                if changes(record) and record.id not in entries:
                    entries[record.id] = _entry(record, namespaces.get(uid, ""))
        self._entries = tuple(entries.values())

    def times(self) -> list[float]:
        return sorted(entry.at for entry in self._entries)

    def used(self, since: float, namespace: str | None = None, workload_uid: str | None = None) -> int:
        """Actions decided at or after `since`. One of which nobody knows the namespace counts in every namespace."""
        return sum(
            entry.at >= since
            and (namespace is None or entry.namespace in (namespace, ""))
            and (workload_uid is None or entry.workload_uid == workload_uid)
            for entry in self._entries
        )

    def others_in_flight(self, workload_uid: str) -> int:
        """How many other workloads have an action under way."""
        return len({e.workload_uid for e in self._entries if e.in_flight and e.workload_uid != workload_uid})


def _entry(record: ActionStatus, namespace: str) -> CountedAction:
    return CountedAction(namespace, record.workload_uid, parse_time(record.intended_at), is_under_way(record))


def last_burst(times: Sequence[float], count: int, window: float) -> float | None:
    """The newest moment at which `count` of the ascending `times` lay within `window` seconds; None if never."""
    for index in range(len(times) - 1, count - 2, -1):
        if times[index] - times[index - count + 1] <= window:
            return times[index]
    return None
