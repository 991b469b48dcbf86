"""Publishes the status of each policy, and Events for changes in it and in its reports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from leakwarden.api.v1alpha1.action import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionStatus, PolicyStatus
from leakwarden.core.evaluation.results import PolicyEvaluation
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, format_time
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.planning.planning import Decision
from leakwarden.core.records.action_records import by_workload, view_of
from leakwarden.core.rendering.cluster_events import as_announced
from leakwarden.core.rendering.conditions import Records, with_defect
from leakwarden.core.rendering.events import announcements, report_announcements
from leakwarden.core.rendering.status import build_status
from leakwarden.core.rendering.unchanged import calm_facts
from leakwarden.engine.defects import Defect, Defects
from leakwarden.engine.policy_store import PolicyStore
from leakwarden.engine.ports import Cluster, ClusterUnavailable, Recorder, StatusConflict
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_facts import TickFacts
from leakwarden.engine.rights import Rights

log = logging.getLogger("leakwarden.publisher")

# Bytes of one status as JSON. etcd takes objects of 1.5 MiB at the most, and a status is read with every event of its policy.
MAX_STATUS_BYTES = 256 << 10
DEFECTS_PER_TICK = 100  # statuses of policies that could not be judged; each is written once, and again when it changes
TEXT_REFRESH = 30.0  # s; a status that differs in its wording only is not written more often


@dataclass(frozen=True, slots=True)
class _Told:
    """What the statuses of all policies take from the reports, gathered once: with a policy of the cluster there are as many
    as namespaces."""

    by_workload: Mapping[str, Sequence[ActionStatus]]
    by_policy: Mapping[str, Sequence[LeakReport]]
    reported: Set[str]  # UIDs of the pods with an open report
    calls: Mapping[str, ActionStatus]  # pod UID -> the call for a person in its open report

    @classmethod
    def of(cls, drafts: ReportDrafts) -> _Told:
        by_policy: dict[str, list[LeakReport]] = {}
        for report in drafts.reports:
            by_policy.setdefault(report.spec.policy.uid, []).append(report)
        going_on = [report for report in drafts.reports if not report.ended]
        return cls(
            by_workload(drafts.reports, drafts.legacy.values()),
            by_policy,
            {report.spec.pod.uid for report in going_on},
            {
                record.pod_uid: record
                for report in going_on
                for record in report.status.actions
                if record.type == ActionType.ESCALATE and record.phase is ActionPhase.DONE
            },
        )


@dataclass(slots=True)
class Publisher:
    policies: PolicyStore
    cluster: Cluster
    recorder: Recorder
    clock: Callable[[], float]
    rights: Rights
    defects: Defects = field(default_factory=Defects)
    _written: dict[str, float] = field(default_factory=dict)  # policy UID -> epoch s
    _told: tuple[ReportDrafts, int, _Told] | None = None  # the drafts and the tick that they were gathered in
    # By policy UID: what its status in the API server follows from, where all of its pods are calm.
    _shown: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    _told_at: dict[str, int] = field(default_factory=dict)  # policy UID -> the last tick that published anything of it

    async def tell(
        self,
        evaluation: PolicyEvaluation,
        decisions: Sequence[Decision],
        drafts: ReportDrafts,
        snapshot: Snapshot,
        silences_read: bool,
    ) -> None:
        """`silences_read`: whether an Alertmanager is configured."""
        policy = self.policies.get(evaluation.policy.uid)
        if policy is None or not policy.is_unchanged(evaluation.policy):
            return
        now = self.clock()
        before, is_first = evaluation.policy.status, policy.uid not in self._written
        defect = self.defects.of(policy.uid)
        told = _not_current(defect, "the status is of now, but for that") if defect is not None else ""
        records = replace(self._records(policy, drafts, snapshot), silences_read=silences_read, defect=told)
        facts = calm_facts(evaluation, decisions, records, now)
        if facts is not None and self._shown.get(policy.uid) == facts:
            self._told_at[policy.uid] = self.defects.tick
            return
        self._shown.pop(policy.uid, None)
        after = build_status(evaluation, decisions, records, now)
        self._told_at[policy.uid] = self.defects.tick
        if after == policy.status:  # as it was written, so it fits
            if facts is not None:
                self._shown[policy.uid] = facts
            return
        after = fitting(after)
        if not await self._write(policy, after, now):
            return
        if policy.origin is not None and is_first:
            before = as_announced(before, after, now)
        suspects = {
            report.spec.pod.name: report.status.evidence.summary
            for report in self._gathered(drafts).by_policy.get(policy.uid, ())
            if report.status.evidence and report.status.evidence.summary
        }
        await self.recorder.announce(announcements(evaluation, before, after, snapshot.workloads, suspects))

    async def tell_of_defects(self) -> None:
        """Writes only the conditions of the policies that this tick could not judge; the rest of their statuses stays,
        and the conditions state its time."""
        told, policies = 0, self.policies.all()
        self.forget_others_than(policies)
        for policy in policies:
            defect = self.defects.of(policy.uid)
            if defect is None or self._told_at.get(policy.uid, -1) == self.defects.tick or told >= DEFECTS_PER_TICK:
                continue
            told += 1
            await self.tell_of_defect(policy, _not_current(defect, "what else the status says was true before"))

    async def tell_of_defect(self, policy: Policy, why: str) -> None:
        """The policy's conditions give `why` it is not current; everything else in its status stays."""
        now = self.clock()
        after = policy.status.model_copy(update={"conditions": with_defect(policy.status, why, policy.generation, now)})
        await self._write(policy, after, now)

    async def _write(self, policy: Policy, after: PolicyStatus, now: float) -> bool:
        """Whether it was written; a status without news is not."""
        self._told_at[policy.uid] = self.defects.tick
        if not self._worth_writing(policy, after, now):
            return False
        if policy.origin is not None:
            # It has no object of its own: ClusterPublisher writes one status for all namespaces.
            self.policies.wrote(policy.uid, "", after)
            self._written[policy.uid] = now
            return True
        body = after.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            version = await self.cluster.write_status(
                policy.namespace, policy.name, policy.uid, policy.resource_version, body
            )
        except StatusConflict:
            return False  # the next tick writes it again from newer facts
        except ClusterUnavailable as error:
            log.warning("status not written", extra={"policy": policy.key, "error": str(error)})
            return False
        self.policies.wrote(policy.uid, version, after)
        self._written[policy.uid] = now
        return True

    def forget_others_than(self, policies: Iterable[Policy]) -> None:
        """To be called once a tick: policies that are gone are forgotten."""
        known = {each.uid for each in policies}
        for remembered in (self._written, self._told_at, self._shown):
            for uid in [uid for uid in remembered if uid not in known]:
                del remembered[uid]

    async def announce_reports(self, drafts: ReportDrafts, facts: TickFacts) -> None:
        """The statuses that were written in this tick, without failed writes."""
        for before, after in drafts.written():
            policy = facts.policies.get(after.spec.policy.uid)
            workload = facts.snapshot.workloads.get(after.spec.workload.uid)
            with self.defects.contained("announced", *([policy] if policy is not None else []), about=after.key):
                await self.recorder.announce(report_announcements(before, after, policy, workload))

    def _records(self, policy: Policy, drafts: ReportDrafts, snapshot: Snapshot) -> Records:
        """The part of a policy's status that follows from the reports. Where they cannot be read, the part of the last
        view is kept."""
        trouble = drafts.trouble_of(policy.namespace)
        missing = self.rights.missing(policy, snapshot)
        if drafts.trouble:
            return Records(policy.status.actions, {}, trouble, missing_rights=missing)
        legacy = drafts.legacy.get(policy.uid, ())
        told = self._gathered(drafts)
        return Records(
            view_of(policy, told.by_policy.get(policy.uid, ()), legacy),
            told.by_workload,
            trouble,
            reported=told.reported,
            missing_rights=missing,
            calls=told.calls,
        )

    def _gathered(self, drafts: ReportDrafts) -> _Told:
        if self._told is None or self._told[0] is not drafts or self._told[1] != self.defects.tick:
            self._told = (drafts, self.defects.tick, _Told.of(drafts))
        return self._told[2]

    def _worth_writing(self, policy: Policy, after: PolicyStatus, now: float) -> bool:
        if after == policy.status:
            return False
        if _wordless(after) != _wordless(policy.status):
            return True
        return now - self._written.get(policy.uid, 0.0) >= TEXT_REFRESH


def _not_current(defect: Defect, what: str) -> str:
    return f"{defect} since {format_time(defect.since)}; {what}; the operator's log has the traceback"


def fitting(status: PolicyStatus) -> PolicyStatus:
    """The status within MAX_STATUS_BYTES: where it is larger the workloads after the first twenty are left out, from the
    last on, then details of those, and a note reports that. Conditions, counts and action records stay."""
    while status.others and _size(status) > MAX_STATUS_BYTES:
        status = status.model_copy(update={"others": status.others[: len(status.others) // 2]})
    kept = len(status.workloads)
    while kept > 0 and _size(status) > MAX_STATUS_BYTES:
        kept = kept // 2
        short = [
            each if index < kept else each.model_copy(update={"unhealthy": [], "findings": [], "missing": []})
            for index, each in enumerate(status.workloads)
        ]
        note = f"the status is too large: of the workloads after the first {kept} only the verdict is shown"
        notes = [each for each in status.notes if not each.startswith("the status is too large")]
        status = status.model_copy(update={"workloads": short, "notes": [*notes, note]})
    return status


def _size(status: PolicyStatus) -> int:
    """Size in bytes: a character in a tenant's names may take four."""
    return len(status.model_dump_json(by_alias=True, exclude_none=True).encode())


def _wordless(status: PolicyStatus) -> object:
    """The status without its wording, whose numbers move with every reading."""
    return status.model_dump(
        exclude={
            "conditions": {"__all__": {"message"}},
            "workloads": {"__all__": {"unhealthy": {"__all__": {"message"}}, "skipped": {"message"}}},
            "signals": {"__all__": {"message", "pods"}},
        }
    )
