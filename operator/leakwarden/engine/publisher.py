"""Tells people: the status of each policy, and Events for what changed in it and in its reports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from leakwarden.api.v1alpha1.action import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, PolicyStatus
from leakwarden.core.evaluation.evaluation import PolicyEvaluation
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.planning.planning import Decision
from leakwarden.core.records.action_records import by_workload, view_of
from leakwarden.core.rendering.conditions import Records
from leakwarden.core.rendering.events import announcements, report_announcements
from leakwarden.core.rendering.status import build_status
from leakwarden.engine.policy_store import PolicyStore
from leakwarden.engine.ports import Cluster, ClusterUnavailable, Recorder, StatusConflict
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_keeper import TickFacts
from leakwarden.engine.rights import Rights

log = logging.getLogger("leakwarden.teller")

TEXT_REFRESH = 30.0  # s; a status that differs in its wording only is not written more often


@dataclass(slots=True)
class Publisher:
    policies: PolicyStore
    cluster: Cluster
    recorder: Recorder
    clock: Callable[[], float]
    rights: Rights
    _written: dict[str, float] = field(default_factory=dict)  # policy UID -> epoch s

    async def tell(
        self,
        evaluation: PolicyEvaluation,
        decisions: Sequence[Decision],
        book: ReportDrafts,
        snapshot: Snapshot,
        silences_read: bool,
    ) -> None:
        """`silences_read`: whether there is an Alertmanager to ask."""
        policy = self.policies.get(evaluation.policy.uid)
        if policy is None or policy.generation != evaluation.policy.generation:
            return
        now = self.clock()
        before = evaluation.policy.status
        records = replace(self._records(policy, book, snapshot), silences_read=silences_read)
        after = build_status(evaluation, decisions, records, now)
        if not self._worth_writing(policy, after, now):
            return
        body = after.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            version = await self.cluster.write_status(
                policy.namespace, policy.name, policy.uid, policy.resource_version, body
            )
        except StatusConflict:
            return  # told again, from newer facts, by the next tick
        except ClusterUnavailable as error:
            log.warning("status not written", extra={"policy": policy.key, "error": str(error)})
            return
        self.policies.wrote(policy.uid, version, after)
        known = {each.uid for each in self.policies.all()}
        self._written = {uid: at for uid, at in self._written.items() if uid in known} | {policy.uid: now}
        suspects = {
            report.spec.pod.name: report.status.evidence.summary
            for report in book.reports
            if report.spec.policy.uid == policy.uid and report.status.evidence and report.status.evidence.summary
        }
        await self.recorder.announce(announcements(evaluation, before, after, snapshot.workloads, suspects))

    async def announce_reports(self, book: ReportDrafts, facts: TickFacts) -> None:
        """What was written in this tick, and nothing that could not be."""
        for before, after in book.written():
            policy = facts.policies.get(after.spec.policy.uid)
            workload = facts.snapshot.workloads.get(after.spec.workload.uid)
            await self.recorder.announce(report_announcements(before, after, policy, workload))

    def _records(self, policy: Policy, book: ReportDrafts, snapshot: Snapshot) -> Records:
        """What the reports say to a policy's status. Where they cannot be read the last view of them stands."""
        trouble = book.trouble or book.refused
        missing = self.rights.missing(policy, snapshot)
        if book.trouble:
            return Records(policy.status.actions, {}, trouble, missing_rights=missing)
        legacy = book.legacy.get(policy.uid, ())
        everything = by_workload(book.reports, book.legacy.values())
        going_on = [report for report in book.reports if not report.ended]
        reported = {report.spec.pod.uid for report in going_on}
        calls = {
            record.pod_uid: record
            for report in going_on
            for record in report.status.actions
            if record.type == ActionType.ESCALATE and record.phase is ActionPhase.DONE
        }
        return Records(
            view_of(policy, book.reports, legacy),
            everything,
            trouble,
            reported=reported,
            missing_rights=missing,
            calls=calls,
        )

    def _worth_writing(self, policy: Policy, after: PolicyStatus, now: float) -> bool:
        if after == policy.status:
            return False
        if _wordless(after) != _wordless(policy.status):
            return True
        return now - self._written.get(policy.uid, 0.0) >= TEXT_REFRESH


def _wordless(status: PolicyStatus) -> object:
    """The status without its wording, whose numbers move with every reading."""
    return status.model_dump(
        exclude={
            "conditions": {"__all__": {"message"}},
            "workloads": {"__all__": {"unhealthy": {"__all__": {"message"}}, "skipped": {"message"}}},
            "signals": {"__all__": {"message", "pods"}},
        }
    )
