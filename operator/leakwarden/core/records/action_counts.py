"""All earlier actions, by time: budgets, concurrency and the storm breaker are counted from them.

Built from what the cluster holds (LeakReports and the records of policies), never from memory: a restart of the
operator, or another replica taking over, changes no count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leakwarden.api.v1alpha1.action import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult, ActionStatus
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import parse_time
from leakwarden.core.model.workload import Workload


@dataclass(frozen=True, slots=True)
class CountedAction:
    """An action that changed something, or may have."""

    namespace: str  # empty where it is not known
    # The workload's kind and name: creating it again under this name does not give a new budget.
    workload: tuple[str, str]
    workload_uid: str
    at: float  # epoch s; when it was decided, so that a crash never makes it younger
    in_flight: bool


def changes(record: ActionStatus) -> bool:
    """Whether the action changed something, or may have: the effect of a failed one is not known."""
    return record.phase is not ActionPhase.BLOCKED and record.type != ActionType.ESCALATE


def is_under_way(record: ActionStatus) -> bool:
    """Intended and not ended, or carried out and not yet verified."""
    return changes(record) and (record.phase is ActionPhase.PENDING or record.result is ActionResult.VERIFYING)


class Ledger:
    """All actions. Reports and records must have been put in their place (core/records/place.py) before.

    `records` by workload UID; `namespaces` has the namespace of a workload whose record is in no report.
    """

    def __init__(
        self,
        reports: Iterable[LeakReport],
        records: Mapping[str, Sequence[ActionStatus]],
        namespaces: Mapping[str, str],
    ) -> None:
        # An identifier is unique within its namespace only: so no namespace can hide another's action.
        entries: dict[tuple[str, str], CountedAction] = {}
        for report in reports:
            for index, record in enumerate(report.status.actions):
                if changes(record):
                    # Only the newest action of an open episode can be under way, even if a report claims that others
                    # are.
                    going_on = index == 0 and not report.ended and is_under_way(record)
                    entries[report.namespace, record.id] = _entry(record, report.namespace, going_on)
        seen = {identifier for _, identifier in entries}
        for uid, kept in records.items():
            namespace = namespaces.get(uid, "")
            for record in kept:
                known = (namespace, record.id) in entries or (not namespace and record.id in seen)
                if changes(record) and not known:
                    entries[namespace, record.id] = _entry(record, namespace, is_under_way(record))
        self._entries = tuple(entries.values())

    def times(self) -> list[tuple[float, str]]:
        """When each was decided, epoch s, and in which namespace; in order of time."""
        return sorted((entry.at, entry.namespace) for entry in self._entries)

    def used_in(self, namespace: str, since: float) -> int:
        """Actions in the namespace decided at or after `since`, epoch s. One whose namespace is not known counts in
        every namespace."""
        return sum(entry.at >= since and entry.namespace in (namespace, "") for entry in self._entries)

    def used_on(self, workload: Workload, since: float) -> int:
        """Actions on the Deployment decided at or after `since`, epoch s, and on earlier ones of its name."""
        return sum(
            entry.at >= since
            and (
                entry.workload_uid == workload.uid
                or (entry.namespace, entry.workload) == (workload.namespace, (workload.kind, workload.name))
            )
            for entry in self._entries
        )

    def used_anywhere(self, since: float, of_one: int) -> int:
        """Actions in the cluster decided at or after `since`, epoch s. No namespace counts for more than `of_one`, its
        allowed number: even with false reports in one, the others keep their share."""
        by_namespace = Counter(entry.namespace for entry in self._entries if entry.at >= since)
        return sum(min(count, of_one) for count in by_namespace.values())

    def others_in_flight(self, workload_uid: str, since: float) -> int:
        """How many other workloads have an action under way that was decided at or after `since`, epoch s: one that
        takes longer holds up only its own workload."""
        return len(
            {e.workload_uid for e in self._entries if e.in_flight and e.at >= since and e.workload_uid != workload_uid}
        )


def _entry(record: ActionStatus, namespace: str, in_flight: bool) -> CountedAction:
    decided = parse_time(record.intended_at)
    return CountedAction(namespace, (record.workload_kind, record.workload), record.workload_uid, decided, in_flight)


def last_burst(times: Sequence[tuple[float, str]], count: int, window: float, of_one: int) -> float | None:
    """The newest moment at which `count` of the ascending `times` lay within `window` seconds; None if never. Each has
    its namespace, of which no more than `of_one` count: one namespace alone must not look like all."""
    newest: float | None = None
    within: Counter[str] = Counter()
    counted = first = 0
    for at, namespace in times:
        within[namespace] += 1
        counted += within[namespace] <= of_one
        while times[first][0] < at - window:
            gone = times[first][1]
            counted -= within[gone] <= of_one
            within[gone] -= 1
            first += 1
        if counted >= count:
            newest = at
    return newest
