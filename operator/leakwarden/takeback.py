"""Takes back replicas whose time is over: the change first, with its precondition, then the record.

Dying in between does no harm: the next one finds the replicas where they were before and only records it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from leakwarden.api.v1alpha1.leakreport import LeakReportStatus
from leakwarden.book import Book
from leakwarden.core.policy import Policy
from leakwarden.core.returning import Return, due, returned
from leakwarden.core.workload import Snapshot
from leakwarden.episodes import Episodes
from leakwarden.ports import Cluster, ClusterUnavailable, Outcome, StatusConflict

log = logging.getLogger("leakwarden.takeback")


@dataclass(slots=True)
class TakeBack:
    cluster: Cluster
    episodes: Episodes
    clock: Callable[[], float]

    async def all(self, book: Book, policies: Mapping[str, Policy], snapshot: Snapshot) -> None:
        if book.trouble:
            return
        for each in due(book.reports, policies, snapshot, self.clock()):
            await self._one(book, each)

    async def _one(self, book: Book, due: Return) -> None:
        if due.workload is not None and due.replicas is not None:
            attempt = await self.cluster.scale(due.workload, due.replicas)
            if attempt.outcome not in (Outcome.DONE, Outcome.GONE):
                log.warning(
                    "a replica was not taken back; the next tick tries again",
                    extra={"report": due.report.key, "outcome": str(attempt.outcome), "error": attempt.message},
                )
                return
        now = self.clock()

        def record(status: LeakReportStatus) -> LeakReportStatus:
            actions = [returned(a, due.message, now) if a.id == due.record.id else a for a in status.actions]
            return status.model_copy(update={"actions": actions})

        book.revise(due.report, record)
        try:
            await self.episodes.write(book, due.report)
        except (StatusConflict, ClusterUnavailable) as error:
            log.warning("that a replica was taken back was not recorded", extra={"error": str(error)})
