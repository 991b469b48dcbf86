"""Keeps the audit of every target current: static checks when the Deployment changes, endpoint calls now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from leakwarden.api.v1alpha1.kinds import WorkloadKind
from leakwarden.api.v1alpha1.policy import Audit
from leakwarden.core.audit import EndpointObservation, audit, endpoint_targets
from leakwarden.core.audit.checks import ranked
from leakwarden.core.audit.exceptions import AuditOutcome, apply_exceptions, policy_exceptions, skip_reason
from leakwarden.core.audit.neighbours import Neighbours, placed, unread_in_words
from leakwarden.core.audit.policy_report import ReportedObject
from leakwarden.core.audit.related import Identity, Related
from leakwarden.core.evaluation.evaluation import owners
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Snapshot, Workload
from leakwarden.engine.ports import AuditReports, EndpointAnswer, Endpoints, NeighbourView

log = logging.getLogger("leakwarden.auditor")

CALL_EVERY = 300.0  # s between two calls of one workload's endpoints
SLICE = 50  # workloads that are audited in one go; after each slice the event loop gets its turn
CALLS_PER_TICK = 50  # workloads; a thousand targets are called over some ticks rather than in one


@dataclass(slots=True)
class _Observed:
    template: str
    at: float
    answers: tuple[EndpointObservation, ...]


@dataclass(frozen=True, slots=True)
class _Related:
    read: Neighbours
    templates: Mapping[str, str]  # template hash by UID
    found: Mapping[str, Related]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The objects that an outcome was computed from."""

    workload: Workload
    audit: Audit
    answers: tuple[EndpointObservation, ...]
    related: Related | None
    unread: tuple[str, ...]
    today: date

    def is_still(self, other: _Asked) -> bool:
        """Whether these are the same objects: a comparison in depth would cost as much as a new audit."""
        return (
            self.workload is other.workload
            and self.audit is other.audit
            and self.answers is other.answers
            and self.related is other.related
            and self.unread == other.unread
            and self.today == other.today
        )


@dataclass(slots=True)
class Auditor:
    """Audits the targets of all policies."""

    endpoints: Endpoints | None  # None: endpoints are never called
    neighbours: NeighbourView | None = None  # None: only the workloads themselves are audited
    reports: AuditReports | None = None  # None: the result is written only into the status of policies
    _observed: dict[str, _Observed] = field(default_factory=dict)
    _related: _Related | None = None
    _outcomes: dict[str, tuple[_Asked, AuditOutcome]] = field(default_factory=dict)  # by workload UID

    async def audit(self, policies: Sequence[Policy], snapshot: Snapshot, now: float) -> Mapping[str, AuditOutcome]:
        """The outcome by workload UID, by the standard and the exceptions of the policy that acts on it."""
        audited: list[tuple[Workload, Policy]] = [
            (snapshot.workloads[uid], policy)
            for uid, policy in owners(policies, snapshot).items()
            if policy.spec is not None and policy.spec.audit.enabled
        ]
        for uid in set(self._observed) - {workload.uid for workload, _ in audited}:
            del self._observed[uid]
        due = [
            workload
            for workload, policy in audited
            if policy.spec is not None and policy.spec.audit.call_endpoints and self._due(workload, now)
        ]
        await asyncio.gather(*(self._call(workload, snapshot, now) for workload in due[:CALLS_PER_TICK]))
        outcomes: dict[str, tuple[_Asked, AuditOutcome]] = {}
        today = datetime.fromtimestamp(now, UTC).date()
        related, unread = self._relate([workload for workload, _ in audited])
        for index, (workload, policy) in enumerate(audited):
            if index % SLICE == 0:
                await asyncio.sleep(0)
            assert policy.spec is not None
            seen = self._observed.get(workload.uid)
            calls = seen is not None and policy.spec.audit.call_endpoints
            asked = _Asked(
                workload,
                policy.spec.audit,
                seen.answers if seen and calls else (),
                related.get(workload.uid),
                unread,
                today,
            )
            before = self._outcomes.get(workload.uid)
            if before is not None and before[0].is_still(asked):
                outcomes[workload.uid] = before
                continue
            try:
                outcome = _outcome(
                    workload, asked.audit, answers=asked.answers, related=asked.related, unread=unread, today=today
                )
                outcomes[workload.uid] = asked, outcome
            except Exception:  # a defect that one Deployment brings out must not stop the others
                log.exception("a defect: it was not audited", extra={"workload": workload.key})
        self._outcomes = outcomes
        found = {uid: outcome for uid, (_, outcome) in outcomes.items()}
        if self.reports is not None:
            self.reports.want(
                ReportedObject(Identity(each.kind, each.namespace, each.name), one.findings, len(one.excepted))
                for each, _ in audited
                if (one := found.get(each.uid)) is not None and skip_reason(each.annotations) is None
            )
        return found

    def _relate(self, workloads: Sequence[Workload]) -> tuple[Mapping[str, Related], tuple[str, ...]]:
        """(the objects that belong to each workload, by UID; the kinds that were not read, in words). Computed again
        only after a change."""
        trouble = (self.reports.trouble,) if self.reports is not None and self.reports.trouble else ()
        if self.neighbours is None:
            return {}, trouble
        read = self.neighbours.latest()
        if read is None:
            return {}, ("what stands beside workloads (Services, autoscalers, budgets) was not read yet", *trouble)
        templates = {workload.uid: workload.template_hash for workload in workloads}
        held = self._related
        if held is None or held.read is not read or held.templates != templates:
            try:
                found = dict(zip(templates, read.relate(workloads), strict=True))
            except Exception:  # a defect here must not stop the checks that do not need neighbours
                log.exception("a defect: what stands beside workloads was not related to them")
                return {}, ("what stands beside workloads could not be related to them, by a defect", *trouble)
            held = self._related = _Related(read, templates, found)
        return held.found, (*unread_in_words(read.unread), *trouble)

    def _due(self, workload: Workload, now: float) -> bool:
        seen = self._observed.get(workload.uid)
        return seen is None or seen.template != workload.template_hash or now - seen.at >= CALL_EVERY

    async def _call(self, workload: Workload, snapshot: Snapshot, now: float) -> None:
        if self.endpoints is None:
            return
        calls = endpoint_targets(workload, snapshot.pods_by_workload.get(workload.uid, ()))
        if not calls:
            return  # nothing serves yet; the next tick calls again
        answers: list[EndpointAnswer] = await asyncio.gather(
            *(self.endpoints.call(target.pod, target.port, target.path, target.scheme) for target in calls)
        )
        observed = tuple(
            target.observed(answer.code, answer.error) for target, answer in zip(calls, answers, strict=True)
        )
        self._observed[workload.uid] = _Observed(workload.template_hash, now, observed)


def as_written(workload: Workload) -> Workload:
    """A DaemonSet as its manifest has it, without a number of pods: the nodes that there happen to be do not change its
    findings, and `leakwarden audit` does not know them."""
    return replace(workload, replicas=1) if workload.kind == WorkloadKind.DAEMON_SET else workload


def _outcome(
    workload: Workload,
    asked: Audit,
    *,
    answers: Sequence[EndpointObservation],
    related: Related | None,
    unread: tuple[str, ...],
    today: date,
) -> AuditOutcome:
    if workload.template_of:
        where = f"Deployment {workload.template_of} (spec.workloadRef)"
        return AuditOutcome((), unread=(f"the pod template of {workload.title} is in {where}, which is not read",))
    workload = as_written(workload)
    if related is None:
        findings = audit(workload, asked, answers)
    else:
        # Only where budgets were read are they known to be complete.
        subject, disruptions = placed(workload, related, related.complete)
        findings = audit(subject, asked, answers, disruptions, related)
    findings = ranked((*findings, *workload.written))
    counted, excepted = apply_exceptions(findings, workload.annotations, policy_exceptions(asked), today)
    return AuditOutcome(counted, excepted, unread)
