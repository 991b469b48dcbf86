"""Keeps the audit of every target current: static checks when the Deployment changes, endpoint calls now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from leakwarden.api.v1alpha1.policy import Audit
from leakwarden.core.audit import EndpointObservation, audit, endpoint_targets
from leakwarden.core.audit.exceptions import AuditOutcome, apply_exceptions, policy_exceptions
from leakwarden.core.evaluation.evaluation import owners
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Snapshot, Workload
from leakwarden.engine.ports import EndpointAnswer, Endpoints

log = logging.getLogger("leakwarden.auditor")

CALL_EVERY = 300.0  # s between two calls of one workload's endpoints
SLICE = 50  # workloads that are audited at a time, between which the event loop does what else is due
CALLS_PER_TICK = 50  # workloads; a thousand targets are called over some ticks rather than in one


@dataclass(slots=True)
class _Observed:
    template: str
    at: float
    answers: tuple[EndpointObservation, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an outcome follows from."""

    workload: Workload
    audit: Audit
    answers: tuple[EndpointObservation, ...]
    today: date

    def is_still(self, other: _Asked) -> bool:
        """Whether it is the same objects: to compare them in depth would cost as much as to audit again."""
        return (
            self.workload is other.workload
            and self.audit is other.audit
            and self.answers is other.answers
            and self.today == other.today
        )


@dataclass(slots=True)
class Auditor:
    """`endpoints` None: endpoints are never called."""

    endpoints: Endpoints | None
    _observed: dict[str, _Observed] = field(default_factory=dict)
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
        for index, (workload, policy) in enumerate(audited):
            if index % SLICE == 0:
                await asyncio.sleep(0)
            assert policy.spec is not None
            seen = self._observed.get(workload.uid)
            calls = seen is not None and policy.spec.audit.call_endpoints
            asked = _Asked(workload, policy.spec.audit, seen.answers if seen and calls else (), today)
            before = self._outcomes.get(workload.uid)
            if before is not None and before[0].is_still(asked):
                outcomes[workload.uid] = before
                continue
            try:
                outcomes[workload.uid] = asked, _outcome(workload, asked.audit, asked.answers, today)
            except Exception:  # a defect that one Deployment brings to light must not stop the others
                log.exception("a defect: it was not audited", extra={"workload": workload.key})
        self._outcomes = outcomes
        return {uid: outcome for uid, (_, outcome) in outcomes.items()}

    def _due(self, workload: Workload, now: float) -> bool:
        seen = self._observed.get(workload.uid)
        return seen is None or seen.template != workload.template_hash or now - seen.at >= CALL_EVERY

    async def _call(self, workload: Workload, snapshot: Snapshot, now: float) -> None:
        if self.endpoints is None:
            return
        calls = endpoint_targets(workload, snapshot.pods_by_workload.get(workload.uid, ()))
        if not calls:
            return  # nothing serves yet; asked again by the next tick
        answers: list[EndpointAnswer] = await asyncio.gather(
            *(self.endpoints.call(target.pod, target.port, target.path, target.scheme) for target in calls)
        )
        observed = tuple(
            target.observed(answer.code, answer.error) for target, answer in zip(calls, answers, strict=True)
        )
        self._observed[workload.uid] = _Observed(workload.template_hash, now, observed)


def _outcome(workload: Workload, asked: Audit, answers: Sequence[EndpointObservation], today: date) -> AuditOutcome:
    findings = audit(workload, asked, answers)
    return AuditOutcome(*apply_exceptions(findings, workload.annotations, policy_exceptions(asked), today))
