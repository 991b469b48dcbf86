"""Removes added replicas whose time is over: the change first, with its precondition, then the record.

A crash in between does no harm: the next process finds the replicas as they were before and only records that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leakwarden.api.names import FIELD_MANAGER
from leakwarden.api.v1alpha1.leakreport import LeakReportStatus
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.guards import Situation
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.planning.taking_back import objection
from leakwarden.core.records.scale_in import ADDED, Return, due, is_out, not_returned, returned
from leakwarden.engine.doubts import Doubts
from leakwarden.engine.policy_store import PolicyStore
from leakwarden.engine.ports import Attempt, Cluster, ClusterUnavailable, Forbidden, Outcome, StatusConflict
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_facts import TickFacts
from leakwarden.engine.report_keeper import ReportKeeper
from leakwarden.engine.rights import TAKING_BACK, Rights

log = logging.getLogger("leakwarden.scale_in")


def due_now(drafts: ReportDrafts, facts: TickFacts) -> list[Return]:
    """The scale-ins that are due by this tick's facts; none where reports cannot be read or the view of the cluster is
    old."""
    if drafts.trouble or not facts.fresh:
        return []
    return due(drafts.reports, facts.policies, facts.snapshot, facts.now)


@dataclass(slots=True)
class ScaleIn:
    """`look` gives the newest snapshot and the guards' facts."""

    policies: PolicyStore
    cluster: Cluster
    episodes: ReportKeeper
    clock: Callable[[], float]
    look: Callable[[ReportDrafts], tuple[Snapshot, Situation]]
    rights: Rights

    async def all(self, drafts: ReportDrafts, facts: TickFacts, returns: Sequence[Return]) -> None:
        if drafts.trouble:
            return
        for each in returns:
            await self._one(drafts, facts, each)
        out = [record.id for report in drafts.reports for record in report.status.actions if is_out(record)]
        self.rights.keep_about(TAKING_BACK, out)

    async def _one(self, drafts: ReportDrafts, facts: TickFacts, each: Return) -> None:
        message = each.message
        if each.workload is not None and each.replicas is not None:
            held = facts.policies.get(each.report.spec.policy.uid)
            policy = self.policies.get(held.uid) if held is not None else None
            if held is None or policy is None or not policy.is_unchanged(held):
                return  # removed or edited since it was judged; the next tick decides again
            if why_not := await self._why_not(drafts, facts, each, policy):
                _revise(drafts, each, lambda record: not_returned(record, why_not))
                return
            try:
                owners = await self.cluster.replicas_set_by(each.workload)
            except ClusterUnavailable as error:
                self._not_done(drafts, each, policy, _as_attempt(error))
                return
            if owners == {FIELD_MANAGER}:
                attempt = await self._change(policy, each, facts.snapshot)
                if attempt.outcome not in (Outcome.DONE, Outcome.GONE):
                    self._not_done(drafts, each, policy, attempt)
                    return
            else:
                # By the API server's managedFields, which prove more than an equal number of replicas.
                message = f"somebody else set {each.workload.replicas} replicas, which stand"
        await self._record(drafts, each, message)

    async def _why_not(self, drafts: ReportDrafts, facts: TickFacts, each: Return, policy: Policy) -> str:
        _, situation = self.look(drafts)
        return objection(each, policy, facts.target(each.report), situation) or await self._doubts.of_policy(policy)

    @property
    def _doubts(self) -> Doubts:
        return Doubts(self.cluster, self.rights)

    async def _change(self, policy: Policy, each: Return, snapshot: Snapshot) -> Attempt:
        assert each.workload is not None
        assert each.replicas is not None
        for pod in snapshot.pods_by_workload.get(each.workload.uid, ())[:1]:
            if refused := await self._doubts.of_budgets(policy, pod, ADDED):
                return refused
        return await self.cluster.scale(each.workload, each.replicas)

    def _not_done(self, drafts: ReportDrafts, each: Return, policy: Policy, attempt: Attempt) -> None:
        if attempt.outcome is Outcome.FORBIDDEN:
            left = f"a replica of {each.record.workload} is not taken back: {attempt.message}"
            self.rights.lacks(policy, TAKING_BACK, left, each.record.id)
        why = attempt.message or str(attempt.outcome)
        _revise(drafts, each, lambda record: not_returned(record, why))
        log.warning(
            "a replica was not taken back; the next tick tries again",
            extra={"report": each.report.key, "outcome": str(attempt.outcome), "error": attempt.message},
        )

    async def _record(self, drafts: ReportDrafts, each: Return, message: str) -> None:
        now = self.clock()
        _revise(drafts, each, lambda record: returned(record, message, now))
        try:
            await self.episodes.write(drafts, each.report)
        except (StatusConflict, ClusterUnavailable) as error:
            log.warning("that a replica was taken back was not recorded", extra={"error": str(error)})


def _as_attempt(error: ClusterUnavailable) -> Attempt:
    forbidden = isinstance(error, Forbidden)
    return Attempt(Outcome.FORBIDDEN if forbidden else Outcome.FAILED, f"who set the replicas is not known: {error}")


def _revise(drafts: ReportDrafts, each: Return, change: Callable[[ActionStatus], ActionStatus]) -> None:
    """The report's one record that the scale-in is about."""

    def revised(status: LeakReportStatus) -> LeakReportStatus:
        actions = [change(action) if action.id == each.record.id else action for action in status.actions]
        return status.model_copy(update={"actions": actions})

    drafts.revise(each.report, revised)
