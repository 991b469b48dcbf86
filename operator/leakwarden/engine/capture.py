"""Takes evidence before it is destroyed: profiles of each pod that is about to be acted on, else of one leaking pod per
tick.

A capture takes seconds, or a minute where the pod hangs. It runs concurrently with the ticks, one at a time, so that
all other workloads are judged and acted on meanwhile; only the action on its own pod waits:

    tick: begun ─► the action is held, reported      concurrently: the pod is asked for profiles
    tick: held as before                                         │
    tick: recorded in the LeakReport ◄──── wakes the engine ─────┘
          judged again, acted on

The task only asks the pod and returns the answer. A tick records the answer, within the fence and before it acts: only
ticks write. A process that dies loses a capture under way, and the next leader begins it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus
from leakwarden.api.v1alpha1.leakreport import LeakReportStatus
from leakwarden.api.v1alpha1.policy import SignalType
from leakwarden.core.episodes.steps import is_leak
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards import Skip
from leakwarden.core.model.judgement import SEVERITY
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, format_time, parse_time
from leakwarden.core.planning.planning import Decision
from leakwarden.engine.baselines import BaselineKeeper
from leakwarden.engine.ports import CaptureRequest, ClusterUnavailable, Profiler, StatusConflict
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_keeper import ReportKeeper

log = logging.getLogger("leakwarden.capture")

LONGEST = 120.0  # s; the profiler has timeouts of its own; should they fail, another pod's turn must come all the same
# s that a tick waits for a capture it begins: a pod without a profile port, or with a closed one, fails at once, and
# its action need not wait for the next tick.
SOON = 1.0
# s for which an action waits for its pod's capture to come to its turn and to end. Evidence is worth that much, and no
# more: pods that hang could delay the pods after them.
PATIENCE = 180.0
GIVEN_UP_WITHIN = 2.0  # s for a cancelled capture to end; the replica has to release its Lease
TRIES = 3  # attempts to record a capture; a report that cannot be written must not keep the next pod waiting


def waits_for_evidence_only(decision: Decision) -> bool:
    return [skip.reason for skip in decision.skips] == [SkipReason.EVIDENCE_MISSING]


_Leak = tuple[Policy, WorkloadEvaluation, PodEvaluation]


@dataclass(slots=True)
class _UnderWay:
    """A capture that is being taken, or that was taken and is not recorded yet."""

    report: str  # UID
    pod: str  # UID
    task: asyncio.Task[EvidenceStatus]
    tries: int = 0


@dataclass(slots=True)
class EvidenceCapture:
    """Takes the evidence of one pod after another."""

    profiler: Profiler | None  # None: nothing is captured, and a policy that requires evidence does not act
    episodes: ReportKeeper
    clock: Callable[[], float]
    wake: Callable[[], None] = lambda: None  # Called when a capture has ended that an action waits for.
    soon: float = SOON  # s, see SOON
    baselines: BaselineKeeper = field(init=False)
    _under_way: _UnderWay | None = None
    _held: dict[str, float] = field(default_factory=dict)  # pod's UID -> since when its action waits, epoch s

    def __post_init__(self) -> None:
        self.baselines = BaselineKeeper(self.profiler)

    async def before(
        self,
        drafts: ReportDrafts,
        evaluations: Sequence[PolicyEvaluation],
        decisions: Sequence[Decision],
        begins: bool = True,
    ) -> list[Decision]:
        """Record ended captures, and begin one of the next pod that is to be acted on; where there is none, of another
        that leaks. Waits for `soon` at most. Where `begins` is False, ended captures are recorded and none begins.
        Returns the decisions; those whose pods have not been captured yet wait for a later tick. A failed capture is an
        answer too; it stops the action only where the policy requires evidence.
        """
        if self.profiler is None or drafts.trouble:
            return list(decisions)
        now = self.clock()
        # A clock that was set back must not make a wait of hours out of one of minutes.
        self._held = {uid: min(since, now) for uid, since in self._held.items()}
        await self._record(drafts)
        if begins:
            unanswered = self._unanswered(drafts, decisions, now)
            await self._begin_next(self.profiler, drafts, unanswered, _others(evaluations, decisions))
        unanswered = self._unanswered(drafts, decisions, now)
        waiting = [pod.pod.uid for policy, _, pod in unanswered if self._awaited(drafts, policy, pod)]
        self._held = {uid: self._held.get(uid, now) for uid in waiting}
        under_way = self._under_way
        if under_way is not None and under_way.task.done() and under_way.tries == 0:
            self._ended(under_way.task)  # it ended before the waiting actions were known
        if begins and self._under_way is None and not waiting:
            self.baselines.begin(evaluations, now)
        return [self._in_turn(decision) for decision in decisions]

    async def end(self) -> None:
        """Give up the capture under way: this process works no more."""
        await self.baselines.end()
        if self._under_way is not None:
            self._under_way.task.cancel()
            await asyncio.wait([self._under_way.task], timeout=GIVEN_UP_WITHIN)
            self._under_way = None

    async def _begin_next(
        self, profiler: Profiler, drafts: ReportDrafts, acting: Sequence[_Leak], others: Sequence[_Leak]
    ) -> None:
        """Captures one after another as long as they end at once; of the pods that are not acted on, one per tick."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.soon
        asked: set[str] = set()
        while self._under_way is None and (not asked or loop.time() < until):
            due = self._next(drafts, acting, asked) or (None if asked else self._next(drafts, others, asked))
            if due is None:
                return
            report, (policy, target, pod) = due
            asked.add(pod.pod.uid)
            task = asyncio.create_task(self._capture(profiler, report, policy, target, pod))
            self._under_way = _UnderWay(report.uid, pod.pod.uid, task)
            await asyncio.wait([task], timeout=max(until - loop.time(), 0.0))
            if not task.done():
                task.add_done_callback(self._ended)
            await self._record(drafts)

    def _next(self, drafts: ReportDrafts, leaks: Iterable[_Leak], asked: set[str]) -> tuple[LeakReport, _Leak] | None:
        for leak in leaks:
            policy, _, pod = leak
            if pod.pod.uid not in asked and (report := self._due(drafts, policy, pod)) is not None:
                return report, leak
        return None

    def _unanswered(self, drafts: ReportDrafts, decisions: Sequence[Decision], now: float) -> list[_Leak]:
        """The pods to be acted on, without those that answered since their action began to wait, or in this tick. A
        failure is an answer too, and one answer is enough, also where it took longer than the cooldown, after which the
        pod would be due again. Where the policy requires evidence, only evidence counts as an answer."""
        found = []
        for leak, insists in _to_be_acted_on(decisions):
            uid = leak[2].pod.uid
            report = drafts.of_pod(uid)
            evidence = report.status.evidence if report is not None else None
            # Times are written in whole seconds.
            since = int(self._held.get(uid, now))
            if insists or evidence is None or parse_time(evidence.attempted_at) < since:
                found.append(leak)
        return found

    def _awaited(self, drafts: ReportDrafts, policy: Policy, pod: PodEvaluation) -> bool:
        under_way = self._under_way is not None and self._under_way.pod == pod.pod.uid
        return under_way or self._due(drafts, policy, pod) is not None

    def _ended(self, _: asyncio.Task[EvidenceStatus]) -> None:
        if self._held:
            self.wake()

    def _in_turn(self, decision: Decision) -> Decision:
        uid = decision.candidate.pod.pod.uid
        since = self._held.get(uid)
        if since is None or self.clock() - since > PATIENCE or not (decision.go or waits_for_evidence_only(decision)):
            return decision
        own = self._under_way is not None and self._under_way.pod == uid
        message = (
            "its profiles are being taken" if own else "profiles of another pod are being taken, its own come next"
        )
        if decision.go:
            message += f"; it is acted on without them after {PATIENCE:.0f}s"
        return replace(decision, skips=(Skip(SkipReason.EVIDENCE_PENDING, message),))

    async def _record(self, drafts: ReportDrafts) -> None:
        """The ended capture, if there is one; then the next pod's turn has come."""
        held = self._under_way
        if held is None or not held.task.done():
            return
        report = drafts.by_uid(held.report)
        if held.task.cancelled() or report is None:
            self._under_way = None  # the report was deleted meanwhile
            return
        taken = held.task.result()
        report = drafts.revise(report, lambda status: _with(status, taken))
        held.tries += 1
        try:
            await self.episodes.write(drafts, report)
        except (StatusConflict, ClusterUnavailable) as error:
            log.warning("evidence was not recorded", extra={"report": report.key, "error": str(error)})
            if held.tries < TRIES:
                return  # tried again with newer facts in the next tick
        self._under_way = None

    def _due(self, drafts: ReportDrafts, policy: Policy, pod: PodEvaluation) -> LeakReport | None:
        """The pod's report, where it lacks evidence that may be taken now."""
        report = drafts.of_pod(pod.pod.uid)
        if report is None or policy.spec is None or not self._is_due(report, policy, drafts.reports, self.clock()):
            return None
        return report

    def _is_due(self, report: LeakReport, policy: Policy, reports: Iterable[LeakReport], now: float) -> bool:
        """Whether the pod was not captured yet, or only in vain, with no other capture of its Deployment within the
        cooldown."""
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
        except Exception:  # the port promises not to raise; a lack of evidence must stop nothing
            log.exception("a defect: a capture ended in an error", extra={"report": report.key})
            return _failed("InternalError", "the capture ended in an error of ours", began)
        return evidence if evidence.attempted_at else evidence.model_copy(update={"attempted_at": began})


def _with(status: LeakReportStatus, taken: EvidenceStatus) -> LeakReportStatus:
    return status.model_copy(update={"evidence": _beside(status.evidence, taken)})


def _beside(held: EvidenceStatus | None, taken: EvidenceStatus) -> EvidenceStatus:
    """Keeps the reading of a pod's descriptors when profiles are tried again."""
    if held is None or held.descriptor_reader is None:
        return taken
    kept = {"descriptor_reader": held.descriptor_reader, "descriptors": held.descriptors}
    return taken.model_copy(update={**kept, "summary": taken.summary or held.summary})


def _failed(reason: str, message: str, began: str) -> EvidenceStatus:
    return EvidenceStatus(state=EvidenceState.FAILED, reason=reason, message=message, attempted_at=began)


def _to_be_acted_on(decisions: Sequence[Decision]) -> list[tuple[_Leak, bool]]:
    """Each decision, with whether only the evidence that it requires is lacking."""
    due = [decision for decision in decisions if decision.go or waits_for_evidence_only(decision)]
    return [((d.candidate.policy, d.candidate.target, d.candidate.pod), not d.go) for d in due]


def _others(evaluations: Sequence[PolicyEvaluation], decisions: Sequence[Decision]) -> list[_Leak]:
    """Pods that leak and are not acted on now, the worst first."""
    known = {pod.pod.uid for (_, _, pod), _ in _to_be_acted_on(decisions)}
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
