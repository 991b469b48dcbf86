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
CALLS_PER_TICK = 50  # workloads; a thousand targets are called over some ticks rather than in one


@dataclass(slots=True)
class _Observed:
    template: str
    at: float
    answers: tuple[EndpointObservation, ...]


@dataclass(slots=True)
class Auditor:
    """`endpoints` None: endpoints are never called."""

    endpoints: Endpoints | None
    _observed: dict[str, _Observed] = field(default_factory=dict)

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
        outcomes = {}
        today = datetime.fromtimestamp(now, UTC).date()
        for workload, policy in audited:
            assert policy.spec is not None
            seen = self._observed.get(workload.uid)
            calls = seen is not None and policy.spec.audit.call_endpoints
            try:
                outcomes[workload.uid] = _outcome(
                    workload, policy.spec.audit, seen.answers if seen and calls else (), today
                )
            except Exception:  # a defect met at one Deployment must not stop the others
                log.exception("a defect: it was not audited", extra={"workload": workload.key})
        return outcomes

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


def _outcome(workload: Workload, asked: Audit, answers: Sequence[EndpointObservation], today: date) -> AuditOutcome:
    findings = audit(workload, asked, answers)
    return AuditOutcome(*apply_exceptions(findings, workload.annotations, policy_exceptions(asked), today))
