"""The service that users got before, during and after an action: read once from the source, when its verification has
ended.

Seven queries per report, one report at a time, concurrently with the ticks: a slow source delays nothing else. A later
tick puts the readings into the report, or the same tick where they come soon. A failure becomes a table with the
reason, so that no query is sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from leakwarden.api.v1alpha1.leakreport import LeakReportStatus
from leakwarden.api.v1alpha1.outcome import OutcomeTable
from leakwarden.core.correlation.traffic import Traffic
from leakwarden.core.episodes import outcome
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, parse_time
from leakwarden.engine.defects import Defects
from leakwarden.engine.fair_shares import in_turn
from leakwarden.engine.ports import Metrics
from leakwarden.engine.reader import Reader
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_facts import TickFacts

SOON = 0.5  # s that a tick waits for a reading that it began
LONGEST = 60.0  # s for all queries of a report; the source has timeouts of its own
# s after a verification in which its table is made: most sources keep their data at least that long
DUE_FOR = 6 * 3600.0
GIVEN_UP_WITHIN = 2.0  # s


@dataclass(frozen=True, slots=True)
class _Due:
    report: LeakReport
    policy: Policy
    times: outcome.Times


@dataclass(slots=True)
class Outcomes:
    """Makes the tables of outcomes, for one report at a time."""

    reader: Reader
    clock: Callable[[], float]  # epoch s
    defects: Defects = field(default_factory=Defects)
    soon: float = SOON  # s, see SOON
    _under_way: tuple[str, str, asyncio.Task[OutcomeTable]] | None = None  # report's UID, the action's id, the reading

    async def one(self, drafts: ReportDrafts, facts: TickFacts, begins: bool = True) -> None:
        """Put finished readings into their report, and, if it `begins`, begin with the next one."""
        if drafts.trouble:
            return
        self._record(drafts)
        if not begins or self._under_way is not None:
            return
        due = next(iter(in_turn(self._due(drafts, facts), lambda each: each.report.namespace)), None)
        if due is None:
            return
        action = due.report.status.actions[0].id
        task = asyncio.create_task(self._read(due))
        self._under_way = (due.report.uid, action, task)
        await asyncio.wait([task], timeout=self.soon)
        self._record(drafts)

    async def end(self) -> None:
        """Give up the reading under way: the next leader reads it again."""
        if self._under_way is not None:
            task = self._under_way[2]
            task.cancel()
            await asyncio.wait([task], timeout=GIVEN_UP_WITHIN)
            self._under_way = None

    def _due(self, drafts: ReportDrafts, facts: TickFacts) -> Iterator[_Due]:
        for report in sorted(drafts.reports, key=lambda each: (each.status.ended_at or "", each.name)):
            status, policy = report.status, facts.policies.get(report.spec.policy.uid)
            if policy is None or policy.spec is None or not _lacks_table(status, facts.now):
                continue
            assert status.verification is not None
            times = outcome.times(status.actions[0], status.verification, facts.now, self.reader.step)
            if times is not None:
                yield _Due(report, policy, times)

    def _record(self, drafts: ReportDrafts) -> None:
        if self._under_way is None or not self._under_way[2].done():
            return
        uid, action, task = self._under_way
        self._under_way = None
        report = drafts.by_uid(uid)
        if task.cancelled() or report is None or not report.status.actions or report.status.actions[0].id != action:
            return  # it was deleted meanwhile, or the next action has begun
        drafts.revise(report, lambda status: _with(status, task.result()))

    async def _read(self, due: _Due) -> OutcomeTable:
        try:
            return await asyncio.wait_for(self._table(due), LONGEST)
        except TimeoutError:
            return outcome.unread(f"the source did not answer within {LONGEST:.0f}s", self.clock())
        except Exception as error:  # additional information must not stop anything
            self.defects.note(error, "compared", [due.policy], due.report.key)
            return outcome.unread(f"a defect of Leakwarden ({type(error).__name__})", self.clock())

    async def _table(self, due: _Due) -> OutcomeTable:
        source = self.reader.source_of(due.policy)
        if isinstance(source, str):
            return outcome.unread(source, self.clock())
        if source.kind != "Prometheus":
            return outcome.unread(f"the source {source.name} does not remember what was", self.clock())
        return await self._asked(source, due)

    async def _asked(self, source: Metrics, due: _Due) -> OutcomeTable:
        assert due.policy.spec is not None
        spec, of = due.report.spec, due.times
        traffic = Traffic.of(
            due.report.namespace,
            spec.workload.name,
            due.policy.spec.source.proxy,
            (source.pod_labels[0], source.pod_labels[1]),
            kind=spec.workload.kind,
        )
        answers = await source.read(outcome.queries(traffic, of.step), of.since, of.until, of.step)
        return outcome.table(answers, of, traffic.about, self.clock())


def _lacks_table(status: LeakReportStatus, now: float) -> bool:
    """Whether the newest action's verification ended lately, and its table has not been made."""
    if not status.actions or status.verification is None or status.verification.outcome is not None:
        return False
    verified = parse_time(status.actions[0].verified_at)
    return bool(verified) and now - verified <= DUE_FOR


def _with(status: LeakReportStatus, table: OutcomeTable) -> LeakReportStatus:
    if status.verification is None:
        return status
    return status.model_copy(update={"verification": status.verification.model_copy(update={"outcome": table})})
