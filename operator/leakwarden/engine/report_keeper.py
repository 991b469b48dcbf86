"""Keeps the LeakReports: reads them, lets episodes begin, go on and end, writes changes, deletes old ones.

The reports are the write-ahead record, so this is where crash consistency is kept: a report is created before an action
can be intended on it, and records that an earlier process left unfinished are settled here before anything is planned.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.episodes.report_cap import OPEN_PER_WORKLOAD, choose, open_by_workload
from leakwarden.core.episodes.retention import expendable
from leakwarden.core.episodes.steps import Outlook, advance, identity, labels, next_name
from leakwarden.core.episodes.uptime import Lifespan
from leakwarden.core.episodes.view import SeriesOf, essence
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards import Situation
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy
from leakwarden.core.planning.planning import Decision
from leakwarden.core.records.action_records import by_workload
from leakwarden.core.records.place import Places
from leakwarden.engine.defects import Defects
from leakwarden.engine.fair_shares import in_turn
from leakwarden.engine.ports import Cluster, ClusterUnavailable, Forbidden, StatusConflict
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_facts import TickFacts, begun, considered, leaks, lifespans, pressure

log = logging.getLogger("leakwarden.report_keeper")

OPENED_PER_TICK = 20  # pods of many Deployments leak at once: the most urgent first, the others soon
GIVEN_UP_PER_TICK = 20
WRITES_PER_TICK = 100
REFRESHED_PER_TICK = 20
REFRESH = 120.0  # s; a report of which only readings and wording changed is not written more often
REFUSED_FOR = 300.0  # s that a missing right is reported after it was last met
# s for opening reports, and again for writing them, in one tick: namespaces whose writes are slow to fail come last,
# and must not delay the next tick for the others.
WITHIN = 60.0
ORPHANED_AFTER = 120.0  # s a policy must be gone before its episodes end: after a start it may merely not be read yet


@dataclass(slots=True)
class ReportKeeper:
    cluster: Cluster
    clock: Callable[[], float]
    _refreshed: bool = False
    defects: Defects = field(default_factory=Defects)
    # The right that was missing when a report of a namespace was last written, and when, epoch s.
    _refused: dict[str, tuple[str, float]] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)  # namespaces in which this tick could not write
    _absent_since: dict[str, float] = field(default_factory=dict)  # policy UID -> epoch s
    _written: dict[str, float] = field(default_factory=dict)  # report UID -> epoch s
    _foreign: frozenset[str] = frozenset()  # UIDs of reports that were warned of

    def take_over(self) -> None:
        """This process begins to act, or acts again: others may have written reports that the watch has not shown
        yet."""
        self._refreshed = False

    async def gather(self, places: Places) -> ReportDrafts:
        trouble = ""
        if not self._refreshed:
            try:
                await self.cluster.refresh_reports()
                self._refreshed = True
            except ClusterUnavailable as error:
                trouble = str(error)
        now = self.clock()
        self._failed = set()
        self._refused = {name: (why, at) for name, (why, at) in self._refused.items() if now - at < REFUSED_FOR}
        view = self.cluster.reports()
        self._warn_of_foreign(view.reports.values(), places)
        return ReportDrafts.of(
            view, places, trouble=trouble, troubles={name: why for name, (why, _) in self._refused.items()}
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

    def settle(self, drafts: ReportDrafts, facts: TickFacts) -> None:
        """Every open episode goes one step on. Without a fresh view of the cluster no episode changes."""
        if not facts.fresh or drafts.trouble:
            return
        self._absent_since = {
            uid: self._absent_since.get(uid, facts.now)
            for report in drafts.reports
            if (uid := report.spec.policy.uid) not in facts.policies
        }
        records = by_workload(drafts.reports)
        lives = lifespans(drafts.reports)
        for report in drafts.reports:
            # Of a kind that is not read now it is not known whether the workload and the pod are gone.
            if not report.ended and report.spec.workload.kind not in facts.snapshot.unread_kinds:
                uid = report.spec.workload.uid
                with self._contained("settled", report, facts):
                    outlook = self._outlook(report, facts, records.get(uid, ()), lives.get(uid))
                    drafts.draft(report, advance(report, outlook))

    def _contained(self, step: str, report: LeakReport, facts: TickFacts) -> AbstractContextManager[None]:
        policy = facts.policies.get(report.spec.policy.uid)
        return self.defects.contained(step, *([policy] if policy is not None else []), about=report.key)

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
        name = report.spec.policy.title
        if policy is None:
            absent = self._absent_since.get(report.spec.policy.uid, now)
            gone = "was deleted" if name == report.spec.policy.name else "was deleted, or selects the namespace no more"
            return f"the policy {name} {gone}" if now - absent >= ORPHANED_AFTER else ""
        if policy.spec is None:
            return ""
        if target is None:
            return f"the policy {name} does not select the Deployment any more"
        return f"the policy {target.conflicts_with} {target.conflict} now" if target.conflicts_with else ""

    # act

    async def open(self, drafts: ReportDrafts, facts: TickFacts, decisions: Sequence[Decision]) -> None:
        """Opens reports for the pods that are judged a leak, first those that an action waits for. Their number per
        Deployment is limited, so some make room for others."""
        if not facts.fresh or drafts.trouble:
            return
        decided = {decision.candidate.pod.pod.uid for decision in decisions}
        opened, given_up = self._choose(facts.evaluations, drafts.reports, decided)
        for report in in_turn(given_up, _home, self._troubled)[:GIVEN_UP_PER_TICK]:
            await self._delete(drafts, report)
        lives = lifespans(drafts.reports)
        crowds = {uid: len(mine) for uid, mine in open_by_workload(drafts.reports).items()}
        until = self.clock() + WITHIN
        for policy, target, pod in in_turn(opened, lambda each: each[0].namespace, self._troubled)[:OPENED_PER_TICK]:
            if policy.namespace in self._failed or self.clock() > until:
                continue
            uid = target.workload.uid
            if crowds.get(uid, 0) >= OPEN_PER_WORKLOAD and pod.pod.uid not in decided:
                continue  # the report that makes room for it could not be closed yet
            crowds[uid] = crowds.get(uid, 0) + 1
            with self.defects.contained("reported", policy, about=pod.pod.name):
                await self._begin(drafts, policy, target, pod=pod, lived=lives.get(uid))

    @property
    def _troubled(self) -> Set[str]:
        """Namespaces whose writes failed lately: they come last, so that others are not held up by them."""
        return self._failed | self._refused.keys()

    async def _begin(
        self,
        drafts: ReportDrafts,
        policy: Policy,
        target: WorkloadEvaluation,
        *,
        pod: PodEvaluation,
        lived: Lifespan | None,
    ) -> None:
        taken = {report.name for report in drafts.reports if report.namespace == policy.namespace}
        spec = identity(policy, target, pod, self.clock())
        name = next_name(target.workload.name, pod.pod.uid, taken)
        try:
            report = await self.cluster.create_report(
                policy.namespace,
                name,
                labels(policy, target.workload.name),
                spec.model_dump(mode="json", by_alias=True, exclude_none=True),
            )
        except ClusterUnavailable as error:
            self._refuse(drafts, policy.namespace, error)
            log.warning("no report could be created", extra={"policy": policy.key, "error": str(error)})
            return
        drafts.take(report)
        drafts.draft(report, begun(report, policy, pod, lived, self.clock()))

    def consider(
        self, drafts: ReportDrafts, facts: TickFacts, decisions: Sequence[Decision], situation: Situation
    ) -> None:
        """Writes plan and guards' answers into the reports before any action, so that the reports hold the reason of
        each action."""
        by_target = {decision.candidate.target.workload.uid: decision for decision in decisions}
        decided = {decision.candidate.pod.pod.uid: decision for decision in decisions}
        for policy, target, pod in leaks(facts.evaluations):
            report = drafts.of_pod(pod.pod.uid)
            if report is None or report.status.phase != "Detected":
                continue
            with self.defects.contained("considered", policy, about=report.key):
                said = considered(
                    report, target, pod, decision=decided.get(pod.pod.uid), first=by_target.get(target.workload.uid),
                    situation=situation,
                )  # fmt: skip
                drafts.draft(report, report.status.model_copy(update=said))

    # report

    async def tell(self, drafts: ReportDrafts, facts: TickFacts) -> None:
        """Write the changes, the most important first."""
        pressing: list[tuple[LeakReport, LeakReport]] = []
        idle: list[tuple[LeakReport, LeakReport]] = []
        for held, draft in in_turn(drafts.changed(), lambda pair: pair[0].namespace, self._troubled):
            (pressing if essence(held.status) != essence(draft.status) else idle).append((held, draft))
        now = self.clock()
        idle = [pair for pair in idle if now - self._written.get(pair[0].uid, 0.0) >= REFRESH]
        idle.sort(key=lambda pair: self._written.get(pair[0].uid, 0.0))
        shown = SeriesOf(facts.policies, facts.readings)
        until = now + WITHIN
        for _, draft in [*pressing[:WRITES_PER_TICK], *idle[:REFRESHED_PER_TICK]]:
            if draft.namespace in self._failed or self.clock() > until:
                continue
            with self._contained("told", draft, facts):
                if (series := shown.of(draft)) is not None:
                    drafts.draft(draft, draft.status.model_copy(update={"series": series}))
                try:
                    await self.write(drafts, draft)
                except StatusConflict:
                    continue  # the next tick writes it again from newer facts
                except ClusterUnavailable as error:
                    log.warning("a report was not written", extra={"report": draft.key, "error": str(error)})
        self._written = {report.uid: self._written.get(report.uid, 0.0) for report in drafts.reports}

    async def write(self, drafts: ReportDrafts, report: LeakReport) -> LeakReport:
        """Raises StatusConflict, ClusterUnavailable."""
        try:
            written = await drafts.write(self.cluster, report)
        except ClusterUnavailable as error:
            self._refuse(drafts, report.namespace, error)
            raise
        self._refused.pop(report.namespace, None)
        drafts.troubles.pop(report.namespace, None)
        self._written[report.uid] = self.clock()
        return written

    async def prune(self, drafts: ReportDrafts, facts: TickFacts) -> None:
        if drafts.trouble or not facts.fresh:
            return
        until = self.clock() + WITHIN
        for report in in_turn(expendable(drafts.reports, facts.policies, facts.now), _home, self._troubled):
            if self.clock() <= until:
                await self._delete(drafts, report)

    async def _delete(self, drafts: ReportDrafts, report: LeakReport) -> None:
        if report.namespace in self._failed:
            return
        try:
            await self.cluster.delete_report(report)
        except ClusterUnavailable as error:
            self._failed.add(report.namespace)
            log.warning("a report was not deleted", extra={"report": report.key, "error": str(error)})
            return
        drafts.drop(report)

    def _refuse(self, drafts: ReportDrafts, namespace: str, error: ClusterUnavailable) -> None:
        """A namespace that refuses writes harms only itself: a quota, an admission rule, a namespace that is being
        deleted. A cause that waiting does not mend is reported for longer; any other cause only ends this tick's
        actions there."""
        self._failed.add(namespace)
        drafts.troubles[namespace] = str(error)
        if isinstance(error, Forbidden):
            self._refused[namespace] = (str(error), self.clock())

    def _choose(
        self, evaluations: Iterable[PolicyEvaluation], reports: Iterable[LeakReport], decided: Set[str]
    ) -> tuple[list[tuple[Policy, WorkloadEvaluation, PodEvaluation]], list[LeakReport]]:
        """Pods to open reports for, the most pressing first, and reports to give up, the least pressing first."""
        crowds = open_by_workload(reports)
        opened: list[tuple[Policy, WorkloadEvaluation, PodEvaluation]] = []
        given_up: list[LeakReport] = []
        for evaluation in evaluations:
            for target in evaluation.workloads:
                with self.defects.contained("reported", evaluation.policy, about=target.workload.key):
                    if not target.conflicts_with:
                        choice = choose(target, crowds.get(target.workload.uid, ()), decided)
                        opened += [(evaluation.policy, target, pod) for pod in choice.opened]
                        given_up += choice.given_up
        return sorted(opened, key=lambda each: (each[2].pod.uid not in decided, *pressure(each[2]))), given_up


def _home(report: LeakReport) -> str:
    return report.namespace
