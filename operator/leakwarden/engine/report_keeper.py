"""Keeps the LeakReports: reads them, lets episodes begin, go on and end, writes what changed, deletes what is old.

The reports are the write-ahead record, so this is where crash consistency is kept: a report is created before an
action can be intended on it, and whatever an earlier life left half-done is settled here before anything is planned.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from leakwarden.api.v1alpha1.leakreport import LeakReportStatus
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.episodes.parts import guard_answers, plan_status, verdict_status, waiting_plan
from leakwarden.core.episodes.report_cap import OPEN_PER_WORKLOAD, choose, open_by_workload
from leakwarden.core.episodes.retention import expendable
from leakwarden.core.episodes.steps import Outlook, advance, identity, is_leak, labels, next_name
from leakwarden.core.episodes.uptime import Lifespan, lifespan
from leakwarden.core.episodes.view import SeriesOf, essence, one_line
from leakwarden.core.evaluation.evaluation import PodEvaluation, PolicyEvaluation, Readings, WorkloadEvaluation
from leakwarden.core.guards import Situation
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, format_time
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.planning.ordering import urgency
from leakwarden.core.planning.planning import Decision
from leakwarden.core.records.action_records import by_workload
from leakwarden.core.records.place import Places
from leakwarden.core.signals.queries import unit_of
from leakwarden.engine.ports import Cluster, ClusterUnavailable, Forbidden, StatusConflict
from leakwarden.engine.report_drafts import ReportDrafts

log = logging.getLogger("leakwarden.episodes")

OPENED_PER_TICK = 20  # pods of many Deployments leak at once: the most urgent first, the others soon
GIVEN_UP_PER_TICK = 20
WRITES_PER_TICK = 100
REFRESHED_PER_TICK = 20
REFRESH = 120.0  # s; a report of which only readings and wording changed is not written more often
REFUSED_FOR = 300.0  # s a missing right is spoken of after it was last met
ORPHANED_AFTER = 120.0  # s a policy must be gone before its episodes end: at a start it may merely not be read yet


@dataclass(frozen=True, slots=True)
class TickFacts:
    """What this tick gathered and judged. `readings` by policy UID."""

    policies: Mapping[str, Policy]
    evaluations: Sequence[PolicyEvaluation]
    snapshot: Snapshot
    fresh: bool
    readings: Mapping[str, Readings]
    now: float

    def target(self, report: LeakReport) -> WorkloadEvaluation | None:
        for evaluation in self.evaluations:
            if evaluation.policy.uid == report.spec.policy.uid:
                return next((t for t in evaluation.workloads if t.workload.uid == report.spec.workload.uid), None)
        return None


@dataclass(slots=True)
class ReportKeeper:
    cluster: Cluster
    clock: Callable[[], float]
    _refreshed: bool = False
    _refused: tuple[str, float] = ("", 0.0)  # the right that was missing when a report was last written, and when
    _absent_since: dict[str, float] = field(default_factory=dict)  # policy UID -> epoch s
    _written: dict[str, float] = field(default_factory=dict)  # report UID -> epoch s
    _foreign: frozenset[str] = frozenset()  # UIDs of reports that were warned of

    def take_over(self) -> None:
        """This process begins to act, or does again: others may have written what the watch has not shown yet."""
        self._refreshed = False

    async def gather(self, places: Places) -> ReportDrafts:
        trouble = ""
        if not self._refreshed:
            try:
                await self.cluster.refresh_reports()
                self._refreshed = True
            except ClusterUnavailable as error:
                trouble = str(error)
        refused, at = self._refused
        view = self.cluster.reports()
        self._warn_of_foreign(view.reports.values(), places)
        return ReportDrafts.of(
            view, places, trouble=trouble, refused=refused if self.clock() - at < REFUSED_FOR else ""
        )

    def _warn_of_foreign(self, reports: Iterable[LeakReport], places: Places) -> None:
        found = {report.uid: (report.key, kind) for report in reports if (kind := places.foreign(report))}
        for uid, (key, kind) in found.items():
            if uid not in self._foreign:
                log.warning(
                    "a report names a %s of another namespace; it counts for nothing", kind, extra={"report": key}
                )
        self._foreign = frozenset(found)

    # decide

    def settle(self, book: ReportDrafts, facts: TickFacts) -> None:
        """Every open episode one step on. Without a fresh view of the cluster nothing is concluded from it."""
        if not facts.fresh or book.trouble:
            return
        self._absent_since = {
            uid: self._absent_since.get(uid, facts.now)
            for report in book.reports
            if (uid := report.spec.policy.uid) not in facts.policies
        }
        records = by_workload(book.reports)
        lives = _lifespans(book.reports)
        for report in book.reports:
            if not report.ended:
                uid = report.spec.workload.uid
                outlook = self._outlook(report, facts, records.get(uid, ()), lives.get(uid))
                book.draft(report, advance(report, outlook))

    def _outlook(
        self, report: LeakReport, facts: TickFacts, records: Sequence[ActionStatus], lived: Lifespan | None
    ) -> Outlook:
        policy = facts.policies.get(report.spec.policy.uid)
        target = facts.target(report)
        uid = report.spec.workload.uid
        return Outlook(
            now=facts.now,
            spec=policy.spec if policy is not None else None,
            exists=uid in facts.snapshot.workloads,
            pods=facts.snapshot.pods_by_workload.get(uid, ()),
            target=target,
            left_by=self._left_by(report, policy, target, facts.now),
            records=records,
            lifespan=lived,
        )

    def _left_by(self, report: LeakReport, policy: Policy | None, target: WorkloadEvaluation | None, now: float) -> str:
        name = report.spec.policy.name
        if policy is None:
            absent = self._absent_since.get(report.spec.policy.uid, now)
            return f"the policy {name} was deleted" if now - absent >= ORPHANED_AFTER else ""
        if policy.spec is None:
            return ""
        if target is None:
            return f"the policy {name} does not select the Deployment any more"
        return f"the policy {target.conflicts_with} acts on the Deployment now" if target.conflicts_with else ""

    # act

    async def open(self, book: ReportDrafts, facts: TickFacts, decisions: Sequence[Decision]) -> None:
        """Reports for the pods that are judged a leak, those first that an action waits for; at most so many for each
        Deployment, where some make room for others."""
        if not facts.fresh or book.trouble:
            return
        decided = {decision.candidate.pod.pod.uid for decision in decisions}
        opened, given_up = _choose(facts.evaluations, book.reports, decided)
        for report in given_up[:GIVEN_UP_PER_TICK]:
            if not await self._delete(book, report):
                return
        lives = _lifespans(book.reports)
        crowds = {uid: len(mine) for uid, mine in open_by_workload(book.reports).items()}
        for policy, target, pod in opened[:OPENED_PER_TICK]:
            uid = target.workload.uid
            if crowds.get(uid, 0) >= OPEN_PER_WORKLOAD and pod.pod.uid not in decided:
                continue  # what is to make room for it could not go yet
            crowds[uid] = crowds.get(uid, 0) + 1
            taken = {report.name for report in book.reports if report.namespace == policy.namespace}
            spec = identity(policy, target, pod, self.clock())
            name = next_name(target.workload.name, pod.pod.uid, taken)
            try:
                report = await self.cluster.create_report(
                    policy.namespace,
                    name,
                    labels(policy.name, target.workload.name),
                    spec.model_dump(mode="json", by_alias=True, exclude_none=True),
                )
            except ClusterUnavailable as error:
                self._refuse(book, error)
                log.warning("no report could be created", extra={"policy": policy.key, "error": str(error)})
                return
            book.take(report)
            book.draft(report, _begun(report, policy, pod, lives.get(uid), self.clock()))

    def consider(
        self, book: ReportDrafts, facts: TickFacts, decisions: Sequence[Decision], situation: Situation
    ) -> None:
        """Plan and guards' answers into the reports. Before anything is done, so that they say why it was."""
        by_target = {decision.candidate.target.workload.uid: decision for decision in decisions}
        decided = {decision.candidate.pod.pod.uid: decision for decision in decisions}
        for _, target, pod in _leaks(facts.evaluations):
            report = book.of_pod(pod.pod.uid)
            if report is None or report.status.phase != "Detected":
                continue
            decision = decided.get(pod.pod.uid)
            if decision is not None:
                answers = guard_answers(decision.candidate, situation)
                plan = plan_status(decision)
                said = {"plan": plan, "guards": answers, "message": one_line(report.status, plan.action, plan.message)}
            else:
                first = by_target.get(target.workload.uid)
                plan_or_none = waiting_plan(target, pod.pod.uid, str(first.candidate.action.type)) if first else None
                message = plan_or_none.message if plan_or_none else "not Exhausting: nothing is due yet"
                said = {"plan": plan_or_none, "guards": [], "message": one_line(report.status, "", message)}
            book.draft(report, report.status.model_copy(update=said))

    # tell

    async def tell(self, book: ReportDrafts, facts: TickFacts) -> None:
        """Write what changed, what matters first."""
        pressing: list[tuple[LeakReport, LeakReport]] = []
        idle: list[tuple[LeakReport, LeakReport]] = []
        for held, draft in book.changed():
            (pressing if essence(held.status) != essence(draft.status) else idle).append((held, draft))
        now = self.clock()
        idle = [pair for pair in idle if now - self._written.get(pair[0].uid, 0.0) >= REFRESH]
        idle.sort(key=lambda pair: self._written.get(pair[0].uid, 0.0))
        shown = SeriesOf(facts.policies, facts.readings)
        for _, draft in [*pressing[:WRITES_PER_TICK], *idle[:REFRESHED_PER_TICK]]:
            if (series := shown.of(draft)) is not None:
                book.draft(draft, draft.status.model_copy(update={"series": series}))
            try:
                await self.write(book, draft)
            except StatusConflict:
                continue  # told again, from newer facts, by the next tick
            except ClusterUnavailable as error:
                log.warning("a report was not written", extra={"report": draft.key, "error": str(error)})
                break
        self._written = {report.uid: self._written.get(report.uid, 0.0) for report in book.reports}

    async def write(self, book: ReportDrafts, report: LeakReport) -> LeakReport:
        """Raises StatusConflict, ClusterUnavailable."""
        try:
            written = await book.write(self.cluster, report)
        except ClusterUnavailable as error:
            self._refuse(book, error)
            raise
        self._refused = ("", 0.0)
        book.refused = ""
        self._written[report.uid] = self.clock()
        return written

    async def prune(self, book: ReportDrafts, facts: TickFacts) -> None:
        if book.trouble or not facts.fresh:
            return
        for report in expendable(book.reports, facts.policies, facts.now):
            if not await self._delete(book, report):
                return

    async def _delete(self, book: ReportDrafts, report: LeakReport) -> bool:
        try:
            await self.cluster.delete_report(report)
        except ClusterUnavailable as error:
            log.warning("a report was not deleted", extra={"report": report.key, "error": str(error)})
            return False
        book.drop(report)
        return True

    def _refuse(self, book: ReportDrafts, error: ClusterUnavailable) -> None:
        """What waiting does not mend is said in a condition; anything else only ends this tick's acting."""
        if isinstance(error, Forbidden):
            self._refused = (str(error), self.clock())
            book.refused = str(error)
        else:
            book.trouble = str(error)


def _leaks(
    evaluations: Iterable[PolicyEvaluation],
) -> list[tuple[Policy, WorkloadEvaluation, PodEvaluation]]:
    """Pods judged a leak, each by the policy that acts on its Deployment."""
    return [
        (evaluation.policy, target, pod)
        for evaluation in evaluations
        for target in evaluation.workloads
        if not target.conflicts_with
        for pod in target.pods
        if is_leak(pod)
    ]


def _choose(
    evaluations: Iterable[PolicyEvaluation], reports: Iterable[LeakReport], decided: Set[str]
) -> tuple[list[tuple[Policy, WorkloadEvaluation, PodEvaluation]], list[LeakReport]]:
    """Pods to open reports for, the most pressing first, and reports to give up, the least pressing first."""
    crowds = open_by_workload(reports)
    opened: list[tuple[Policy, WorkloadEvaluation, PodEvaluation]] = []
    given_up: list[LeakReport] = []
    for evaluation in evaluations:
        for target in evaluation.workloads:
            if not target.conflicts_with:
                choice = choose(target, crowds.get(target.workload.uid, ()), decided)
                opened += [(evaluation.policy, target, pod) for pod in choice.opened]
                given_up += choice.given_up
    return sorted(opened, key=lambda each: (each[2].pod.uid not in decided, *_pressing(each[2]))), given_up


def _pressing(pod: PodEvaluation) -> tuple[float, float, str]:
    return urgency(pod) if pod.acting is not None else (float("inf"), 1.0, pod.pod.name)


def _lifespans(reports: Sequence[LeakReport]) -> dict[str, Lifespan]:
    grouped: dict[str, list[LeakReport]] = {}
    for report in reports:
        grouped.setdefault(report.spec.workload.uid, []).append(report)
    return {uid: lived for uid, mine in grouped.items() if (lived := lifespan(mine)) is not None}


def _begun(
    report: LeakReport, policy: Policy, pod: PodEvaluation, lived: Lifespan | None, now: float
) -> LeakReportStatus:
    units = {signal.name: unit_of(signal.type) for signal in policy.spec.signals} if policy.spec is not None else {}
    return report.status.model_copy(
        update={
            "verdict": verdict_status(pod, units, now),
            "exhausting_at": format_time(now) if pod.acting is not None else None,
            "restart_buys_seconds": lived.seconds if lived is not None else None,
        }
    )
