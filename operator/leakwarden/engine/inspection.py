"""Reads the open descriptors of a pod, once, from within the pod, right before the pod is acted on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.evidence_reasons import DescriptorReason, EvidenceReason
from leakwarden.api.v1alpha1.evidence_status import DescriptorReaderStatus, EvidenceState, EvidenceStatus
from leakwarden.api.v1alpha1.leakreport import LeakReportStatus
from leakwarden.api.v1alpha1.policy import Action, ActionType
from leakwarden.core.descriptors.telling import lines, strengthened, summary
from leakwarden.core.guards import Candidate, Situation
from leakwarden.core.guards.consent import outside_maintenance, silenced, vetoed
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.planning.planning import Decision, ask_again
from leakwarden.engine.doubts import Doubts
from leakwarden.engine.policy_store import PolicyStore
from leakwarden.engine.ports import (
    READER_CONTAINER,
    Cluster,
    ClusterUnavailable,
    DescriptorReader,
    DescriptorsFound,
    StatusConflict,
)
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_keeper import ReportKeeper
from leakwarden.engine.rights import Rights

log = logging.getLogger("leakwarden.inspection")


@dataclass(slots=True)
class Inspection:
    """Adding a container changes a pod, and cannot be undone. So it is done only where an action on that pod passes
    every guard, it is recorded before it is done, and it is done once per episode. `reader` None: the installation does
    not allow it."""

    reader: DescriptorReader | None
    policies: PolicyStore
    cluster: Cluster
    episodes: ReportKeeper
    clock: Callable[[], float]
    look: Callable[[ReportDrafts], tuple[Snapshot, Situation]]

    async def one(self, drafts: ReportDrafts, decisions: Sequence[Decision]) -> None:
        """Look into at most one pod. No failure here stops the action."""
        if drafts.trouble:
            return
        for decision in decisions:
            report = drafts.of_pod(decision.candidate.pod.pod.uid)
            # the capture of this tick may have ended the episode
            waiting = decision.reasons - {SkipReason.EVIDENCE_MISSING}
            if report is None or waiting or not self._is_due(decision, report):
                continue
            if self.reader is None:
                self._tell(drafts, report, DescriptorsFound(reason=DescriptorReason.NOT_ALLOWED,
                                                          message="the installation does not allow it"), "")  # fmt: skip
                continue
            if await self._may(drafts, decision):
                await self._inspect(self.reader, drafts, report, decision)
                return

    def _is_due(self, decision: Decision, report: LeakReport) -> bool:
        evidence = decision.candidate.spec.evidence
        if not (evidence.enabled and evidence.descriptors.ephemeral_container.enabled):
            return False
        held = report.status.evidence.descriptor_reader if report.status.evidence else None
        return held is None or held.finished_at is None

    async def _may(self, drafts: ReportDrafts, decision: Decision) -> bool:
        """Checked once more: a capture took its time, and a person may have objected meanwhile."""
        known = decision.candidate.policy
        policy = self.policies.get(known.uid)
        if policy is None or not policy.is_unchanged(known):
            return False
        snapshot, situation = self.look(drafts)
        decision = ask_again(decision, snapshot, situation)
        if not decision.go or _unwelcome(decision.candidate, situation):
            return False
        return not await Doubts(self.cluster, Rights()).of_policy(policy)

    async def _inspect(
        self, reader: DescriptorReader, drafts: ReportDrafts, report: LeakReport, decision: Decision
    ) -> None:
        pod = decision.candidate.pod.pod
        began = format_time(self.clock())
        intent = DescriptorReaderStatus(container=READER_CONTAINER, intended_at=began)
        before = report.status
        try:
            report = await self.episodes.write(drafts, drafts.draft(report, _with(before, descriptor_reader=intent)))
        except (StatusConflict, ClusterUnavailable) as error:
            drafts.draft(report, before)
            log.warning(
                "not looking into a pod: it could not be recorded", extra={"report": report.key, "error": str(error)}
            )
            return
        only = pod.containers[0].name if len(pod.containers) == 1 else ""
        try:
            found = await reader.read(pod, only, report.key)
        except Exception:  # the port promises not to raise; a lack of evidence must not stop a tick
            log.exception("a defect: descriptors were not read", extra={"report": report.key})
            found = DescriptorsFound(reason=DescriptorReason.DEFECT, message="the reading ended in an error of ours")
        report = self._tell(drafts, report, found, began)
        log.info("descriptors", extra={"report": report.key, "reason": str(found.reason or "")})
        try:
            await self.episodes.write(drafts, report)
        except (StatusConflict, ClusterUnavailable) as error:
            log.warning("descriptors were not recorded", extra={"report": report.key, "error": str(error)})

    def _tell(self, drafts: ReportDrafts, report: LeakReport, found: DescriptorsFound, began: str) -> LeakReport:
        now = format_time(self.clock())
        reader = DescriptorReaderStatus(
            container=READER_CONTAINER if began else "",
            target=found.target[:63],
            intended_at=began or now,
            finished_at=now,
            reason=str(found.reason or ""),
            message=found.message[:1024],
        )
        return drafts.revise(report, lambda status: _told(status, reader, found))


def _unwelcome(candidate: Candidate, situation: Situation) -> bool:
    """Calling for a person changes nothing and so is free at any time; looking into a pod is not."""
    as_change = candidate if candidate.changes else replace(candidate, action=Action(type=ActionType.EVICT_POD))
    return any(guard(as_change, situation) is not None for guard in (outside_maintenance, vetoed, silenced))


def _told(status: LeakReportStatus, reader: DescriptorReaderStatus, found: DescriptorsFound) -> LeakReportStatus:
    if found.census is None:
        return _with(status, descriptor_reader=reader)
    held = status.evidence.summary if status.evidence else ""
    seen = summary(found.census)
    return _with(
        status,
        descriptor_reader=reader,
        descriptors=lines(found.census),
        summary=f"{held[: 510 - len(seen)]}; {seen}" if held else seen,
        suspects=strengthened(status.evidence.suspects if status.evidence else (), found.census),
    )


def _with(status: LeakReportStatus, **changes: object) -> LeakReportStatus:
    """Added to the result of a capture. Where there was no capture yet, it is still to come: its state is one that is
    tried again."""
    evidence = status.evidence or EvidenceStatus(
        state=EvidenceState.FAILED, reason=str(EvidenceReason.UNPROFILED), message="no profiles were taken yet"
    )
    return status.model_copy(update={"evidence": evidence.model_copy(update=changes)})
