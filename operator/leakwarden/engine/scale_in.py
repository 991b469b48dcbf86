"""Takes back replicas whose time is over: the change first, with its precondition, then the record.

Dying in between does no harm: the next one finds the replicas where they were before and only records it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from leakwarden.api.v1alpha1.leakreport import LeakReportStatus
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.records.scale_in import Return, due, is_out, not_returned, returned
from leakwarden.engine.ports import Cluster, ClusterUnavailable, Outcome, StatusConflict
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_keeper import ReportKeeper
from leakwarden.engine.rights import TAKING_BACK, Rights

log = logging.getLogger("leakwarden.takeback")


@dataclass(slots=True)
class ScaleIn:
    cluster: Cluster
    episodes: ReportKeeper
    clock: Callable[[], float]
    rights: Rights

    async def all(self, book: ReportDrafts, policies: Mapping[str, Policy], snapshot: Snapshot) -> None:
        if book.trouble:
            return
        for each in due(book.reports, policies, snapshot, self.clock()):
            await self._one(book, each, policies.get(each.report.spec.policy.uid))
        out = [record.id for report in book.reports for record in report.status.actions if is_out(record)]
        self.rights.keep_about(TAKING_BACK, out)

    async def _one(self, book: ReportDrafts, due: Return, policy: Policy | None) -> None:
        """`policy` is None where it is gone; who is left to be told then reads the report."""
        if due.workload is not None and due.replicas is not None:
            attempt = await self.cluster.scale(due.workload, due.replicas)
            if attempt.outcome is Outcome.FORBIDDEN and policy is not None:
                left = f"a replica of {due.workload.name} is not taken back: {attempt.message}"
                self.rights.lacks(policy, TAKING_BACK, left, due.record.id)
            if attempt.outcome not in (Outcome.DONE, Outcome.GONE):
                why = attempt.message or str(attempt.outcome)
                _revise(book, due, lambda record: not_returned(record, why))
                log.warning(
                    "a replica was not taken back; the next tick tries again",
                    extra={"report": due.report.key, "outcome": str(attempt.outcome), "error": attempt.message},
                )
                return
        now = self.clock()
        _revise(book, due, lambda record: returned(record, due.message, now))
        try:
            await self.episodes.write(book, due.report)
        except (StatusConflict, ClusterUnavailable) as error:
            log.warning("that a replica was taken back was not recorded", extra={"error": str(error)})


def _revise(book: ReportDrafts, due: Return, change: Callable[[ActionStatus], ActionStatus]) -> None:
    """The one record of the report that the return is about."""

    def revised(status: LeakReportStatus) -> LeakReportStatus:
        actions = [change(action) if action.id == due.record.id else action for action in status.actions]
        return status.model_copy(update={"actions": actions})

    book.revise(due.report, revised)
