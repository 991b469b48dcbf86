"""Evidence before it is destroyed: profiles of each pod that is about to be acted on, else of one that leaks a tick."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus
from leakwarden.api.v1alpha1.policy import SignalType
from leakwarden.book import Book
from leakwarden.core.episodes import is_leak
from leakwarden.core.evaluation import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards import Skip
from leakwarden.core.judgement import SEVERITY
from leakwarden.core.leakreport import LeakReport
from leakwarden.core.policy import Policy, format_time, parse_time
from leakwarden.core.remediation import Decision
from leakwarden.episodes import Episodes
from leakwarden.ports import CaptureRequest, ClusterUnavailable, Profiler, StatusConflict

log = logging.getLogger("leakwarden.capture")

LONGEST = 120.0  # s; the profiler has timeouts of its own, and a tick must end should it break its word
# s from the start of a tick in which captures are begun; a usual one takes the pause between its halves, some 12 s, so
# that several Deployments which run out together each get theirs, and a tick never waits for long.
TOGETHER = 30.0
# s for which an action waits until its pod's turn to be captured comes. Evidence is worth that much, and no more: pods
# that hang could hold up those behind them.
PATIENCE = 180.0


def waits_for_evidence_only(decision: Decision) -> bool:
    return [skip.reason for skip in decision.skips] == [SkipReason.EVIDENCE_MISSING]


@dataclass(slots=True)
class Capture:
    """`profiler` None: nothing is captured, and a policy that requires evidence does not act."""

    profiler: Profiler | None
    episodes: Episodes
    clock: Callable[[], float]
    _held: dict[str, float] = field(default_factory=dict)  # pod's UID -> since when its action waits for its turn

    async def before(
        self, book: Book, evaluations: Sequence[PolicyEvaluation], decisions: Sequence[Decision]
    ) -> list[Decision]:
        """Capture from the pods to be acted on, one after another; where there are none, from one other that leaks.

        Returns the decisions; where there was no time left for a pod's capture, its action waits for the next tick.
        Failing is an answer, and no reason not to act unless the policy says so.
        """
        if self.profiler is None or book.trouble:
            return list(decisions)
        began = self.clock()
        waiting: set[str] = set()
        captured = False
        for policy, target, pod in _to_be_acted_on(decisions):
            report = self._due(book, policy, pod)
            if report is not None and self.clock() - began >= TOGETHER:
                waiting.add(pod.pod.uid)
            elif report is not None:
                captured = True
                await self._take(self.profiler, book, report, policy, target, pod)
        for policy, target, pod in _others(evaluations, decisions):
            if not captured and (report := self._due(book, policy, pod)) is not None:
                captured = True
                await self._take(self.profiler, book, report, policy, target, pod)
        self._held = {uid: self._held.get(uid, began) for uid in waiting}
        return [self._in_turn(decision) for decision in decisions]

    def _in_turn(self, decision: Decision) -> Decision:
        since = self._held.get(decision.candidate.pod.pod.uid)
        if since is None or not decision.go or self.clock() - since > PATIENCE:
            return decision
        message = f"profiles of other pods are being taken; its own come next, or it is acted on without after {PATIENCE:.0f}s"
        return replace(decision, skips=(Skip(SkipReason.EVIDENCE_PENDING, message),))

    async def _take(
        self,
        profiler: Profiler,
        book: Book,
        report: LeakReport,
        policy: Policy,
        target: WorkloadEvaluation,
        pod: PodEvaluation,
    ) -> None:
        taken = await self._capture(profiler, report, policy, target, pod)
        evidence = _beside(report.status.evidence, taken)
        book.revise(report, lambda status: status.model_copy(update={"evidence": evidence}))
        try:
            await self.episodes.write(book, report)
        except (StatusConflict, ClusterUnavailable) as error:
            log.warning("evidence was not recorded", extra={"report": report.key, "error": str(error)})

    def _due(self, book: Book, policy: Policy, pod: PodEvaluation) -> LeakReport | None:
        """The pod's report, where it lacks evidence that may be taken now."""
        report = book.of_pod(pod.pod.uid)
        if report is None or policy.spec is None or not self._is_due(report, policy, book.reports, self.clock()):
            return None
        return report

    def _is_due(self, report: LeakReport, policy: Policy, reports: Iterable[LeakReport], now: float) -> bool:
        """Not captured yet, or only tried in vain; and no other capture of its Deployment within the cooldown."""
        assert policy.spec is not None
        held = report.status.evidence
        if not policy.spec.evidence.enabled or (held is not None and held.state is not EvidenceState.FAILED):
            return False
        cooldown = parse_duration(policy.spec.evidence.cooldown)
        tried = [
            parse_time(other.status.evidence.attempted_at)
            for other in reports
            if other.spec.workload.uid == report.spec.workload.uid and other.status.evidence is not None
        ]
        return all(now - at >= cooldown for at in tried)

    async def _capture(
        self, profiler: Profiler, report: LeakReport, policy: Policy, target: WorkloadEvaluation, pod: PodEvaluation
    ) -> EvidenceStatus:
        assert policy.spec is not None
        began = format_time(self.clock())
        request = CaptureRequest(
            report=report.key,
            workload=target.workload,
            pod=pod.pod,
            container=pod.pod.containers[0].name if len(pod.pod.containers) == 1 else "",
            spec=policy.spec.evidence,
            signal_type=report.spec.signal_type,
            goroutines=_goroutines(policy, pod),
            source=policy.spec.source.prometheus or "",
        )
        try:
            evidence = await asyncio.wait_for(profiler.capture(request), LONGEST)
        except TimeoutError:
            return _failed("Timeout", f"the capture did not end within {LONGEST:.0f}s", began)
        except Exception:  # it promised not to; what is merely evidence must not stop a tick
            log.exception("a defect: a capture ended in an error", extra={"report": report.key})
            return _failed("InternalError", "the capture ended in an error of ours", began)
        return evidence if evidence.attempted_at else evidence.model_copy(update={"attempted_at": began})


def _beside(held: EvidenceStatus | None, taken: EvidenceStatus) -> EvidenceStatus:
    """What a pod's descriptors said stays when profiles are tried again."""
    if held is None or held.descriptor_reader is None:
        return taken
    kept = {"descriptor_reader": held.descriptor_reader, "descriptors": held.descriptors}
    return taken.model_copy(update={**kept, "summary": taken.summary or held.summary})


def _failed(reason: str, message: str, began: str) -> EvidenceStatus:
    return EvidenceStatus(state=EvidenceState.FAILED, reason=reason, message=message, attempted_at=began)


def _to_be_acted_on(decisions: Sequence[Decision]) -> list[tuple[Policy, WorkloadEvaluation, PodEvaluation]]:
    due = [decision.candidate for decision in decisions if decision.go or waits_for_evidence_only(decision)]
    return [(candidate.policy, candidate.target, candidate.pod) for candidate in due]


def _others(
    evaluations: Sequence[PolicyEvaluation], decisions: Sequence[Decision]
) -> list[tuple[Policy, WorkloadEvaluation, PodEvaluation]]:
    """Pods that leak and are not acted on now, the worst first."""
    known = {pod.pod.uid for _, _, pod in _to_be_acted_on(decisions)}
    others = [
        (evaluation.policy, target, pod)
        for evaluation in evaluations
        for target in evaluation.workloads
        if not target.conflicts_with
        for pod in target.pods
        if is_leak(pod) and pod.pod.uid not in known
    ]
    return sorted(others, key=lambda each: (-SEVERITY[each[2].verdict], each[2].pod.name))


def _goroutines(policy: Policy, pod: PodEvaluation) -> float | None:
    assert policy.spec is not None
    kinds = {signal.name: signal.type for signal in policy.spec.signals}
    found = (j.value for j in pod.judgements if kinds.get(j.signal) is SignalType.GOROUTINES)
    return next((value for value in found if value is not None), None)
