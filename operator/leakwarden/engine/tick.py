"""The tick: gather -> decide -> act -> tell, for all policies together. Uses ports only."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.audit.exceptions import AuditOutcome
from leakwarden.core.evaluation.asked import Readings
from leakwarden.core.evaluation.evaluation import evaluate, owners
from leakwarden.core.evaluation.results import PolicyEvaluation
from leakwarden.core.guards import Situation, Surroundings
from leakwarden.core.guards.silences import Silences
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, format_time
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.planning.need import with_need
from leakwarden.core.planning.planning import Decision, plan
from leakwarden.core.records.action_records import by_workload, legacy_records, settle_legacy
from leakwarden.core.records.place import Places
from leakwarden.core.records.scale_in import Return
from leakwarden.engine.auditor import Auditor
from leakwarden.engine.capture import EvidenceCapture, waits_for_evidence_only
from leakwarden.engine.causes import Causes
from leakwarden.engine.cluster_publisher import ClusterPublisher
from leakwarden.engine.defects import Defects
from leakwarden.engine.executor import Executor
from leakwarden.engine.guard_context import GuardContext
from leakwarden.engine.inspection import Inspection
from leakwarden.engine.outcomes import Outcomes
from leakwarden.engine.policy_store import PolicyStore, sound
from leakwarden.engine.ports import Cluster, DescriptorReader, LogReader, LogStore, Profiler, Recorder
from leakwarden.engine.publisher import DEFECTS_PER_TICK, Publisher
from leakwarden.engine.reader import Reader
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_facts import TickFacts
from leakwarden.engine.report_keeper import ReportKeeper
from leakwarden.engine.rights import Rights
from leakwarden.engine.scale_in import ScaleIn, due_now

log = logging.getLogger("leakwarden.tick")

CLUSTER_MAX_AGE = 180.0  # s; two missed idle timeouts of a watch (70 s each) and a relist


@dataclass(slots=True)
class Tick:
    """The results of the last tick, for metrics and tests. `actions`: all records, of all policies."""

    evaluations: Sequence[PolicyEvaluation] = ()
    decisions: Sequence[Decision] = ()
    actions: Sequence[ActionStatus] = ()
    seconds: float = 0.0
    reports: Sequence[LeakReport] = ()


@dataclass(slots=True)
class Engine:
    """The engine: all policies, one snapshot, one executor: budgets and cooldowns hold across policies."""

    policies: PolicyStore
    cluster: Cluster
    reader: Reader
    auditor: Auditor
    recorder: Recorder
    permitted: frozenset[ActionType]
    clock: Callable[[], float]
    new_id: Callable[[], str] = field(default=lambda: uuid.uuid4().hex[:12])
    profiler: Profiler | None = None
    descriptor_reader: DescriptorReader | None = None
    log_reader: LogReader | None = None
    log_store: LogStore | None = None
    guard_context: GuardContext | None = None
    last: Tick = field(default_factory=Tick)
    defects: Defects = field(default_factory=Defects)
    ending: bool = False  # no new action begins any more; actions under way are finished and reported
    wake: Callable[[], None] = lambda: None  # to be called where the next tick need not wait for its time
    acting: bool = False  # past gathering: the last tick may have begun a change, and must not be cancelled lightly
    _episodes: ReportKeeper = field(init=False)
    _capture: EvidenceCapture = field(init=False)
    _inspection: Inspection = field(init=False)
    _executor: Executor = field(init=False)
    _scale_in: ScaleIn = field(init=False)
    _outcomes: Outcomes = field(init=False)
    _causes: Causes = field(init=False)
    _publisher: Publisher = field(init=False)
    _cluster_publisher: ClusterPublisher = field(init=False)
    _around: Surroundings = field(default_factory=Surroundings)
    # epoch s of the first tick in the present row of ticks that did not come to their end
    _failing_since: float | None = None
    _rights: Rights = field(default_factory=Rights)

    def __post_init__(self) -> None:
        self.defects.clock = self.clock
        self._episodes = ReportKeeper(self.cluster, self.clock, defects=self.defects)
        self._capture = EvidenceCapture(self.profiler, self._episodes, self.clock, lambda: self.wake())
        self._inspection = Inspection(
            self.descriptor_reader,
            self.policies,
            self.cluster,
            episodes=self._episodes,
            clock=self.clock,
            look=self._look,
        )
        self._executor = Executor(
            self.policies,
            self.cluster,
            self._episodes,
            clock=self.clock,
            look=self._look,
            new_id=self.new_id,
            rights=self._rights,
        )
        self._scale_in = ScaleIn(
            self.policies,
            self.cluster,
            self._episodes,
            clock=self.clock,
            look=self._look,
            rights=self._rights,
        )
        self._outcomes = Outcomes(self.reader, self.clock, self.defects)
        self._causes = Causes(self.reader, self.log_reader, self.clock, self.defects, store=self.log_store)
        self._publisher = Publisher(
            self.policies, self.cluster, self.recorder, self.clock, self._rights, defects=self.defects
        )
        self._cluster_publisher = ClusterPublisher(self.policies.clusters, self.cluster, self.recorder, self.clock)

    def take_over(self) -> None:
        """To be called when this process begins to lead: the last leader's writes are read before anything is done."""
        self._episodes.take_over()
        if self.guard_context is not None:
            self.guard_context.started = self.clock()

    async def end(self) -> None:
        """To be called when this process stops ticking: work that runs concurrently with the ticks is given up."""
        await self._capture.end()
        await self._outcomes.end()
        await self._causes.end()

    async def tick(self) -> Tick:
        """Every step is contained by policy, workload or report. An exception that is raised nevertheless is a defect
        of a step itself; `fail` is to be called with it."""
        started = self.clock()
        self.acting = False
        self.defects.begin()
        # gather
        with self.defects.contained("read"):
            await self.policies.read()
        snapshot = self.cluster.snapshot()
        policies = sound(self.policies.all(), snapshot, self.defects)
        readings, audited = await asyncio.gather(
            self.reader.read(policies, snapshot, started), self._audit(policies, snapshot, started)
        )
        places = Places.of(policies, snapshot)
        drafts = await self._episodes.gather(places)
        # decide
        self.acting = True
        # Takes seconds in a large cluster, and meanwhile the Lease has to be renewed and probes answered.
        facts = await asyncio.to_thread(self._judge, policies, snapshot, readings, audited)
        self._remember(drafts, facts, places)
        self._episodes.settle(drafts, facts)
        returns = self._due(drafts, facts)
        await self._look_around(facts, returns)
        decisions, situation = await self._decide(drafts, facts, returns)
        # act
        await self._episodes.open(drafts, facts, decisions)
        self._episodes.consider(drafts, facts, decisions, situation)
        await self._act(drafts, facts, decisions, returns)
        # tell
        await self._episodes.tell(drafts, facts)
        await self._tell(drafts, facts, decisions)
        await self._publisher.announce_reports(drafts, facts)
        await self._episodes.prune(drafts, facts)
        records = [record for report in drafts.reports for record in report.status.actions]
        records += [record for legacy in drafts.legacy.values() for record in legacy]
        self.last = Tick(facts.evaluations, decisions, records, self.clock() - started, drafts.reports)
        self._failing_since = None
        return self.last

    async def fail(self, error: BaseException) -> None:
        """To be called with an exception of a tick: every policy's conditions state since when nothing is done for it.
        Never raises."""
        self._failing_since = min(self._failing_since or self.clock(), self.clock())
        try:
            why = (
                f"a defect of Leakwarden ({type(error).__name__}): no policy could be looked at since"
                f" {format_time(self._failing_since)}, and nothing is done; what else the status says was true before;"
                " the operator's log has the traceback"
            )
            self.defects.note(error, "ticked")
            for policy in self.policies.all()[:DEFECTS_PER_TICK]:
                await self._publisher.tell_of_defect(policy, why)
            await self._cluster_publisher.tell_of_defect(why)
        except Exception:
            log.exception("that a tick failed could not be told")

    async def _audit(self, policies: Sequence[Policy], snapshot: Snapshot, now: float) -> Mapping[str, AuditOutcome]:
        with self.defects.contained("audited", *policies):
            return await self.auditor.audit(policies, snapshot, now)
        return {}

    def _judge(
        self,
        policies: Sequence[Policy],
        snapshot: Snapshot,
        readings: Mapping[str, Readings],
        audited: Mapping[str, AuditOutcome],
    ) -> TickFacts:
        now, fresh = self.clock(), _is_fresh(snapshot)
        owner = owners(policies, snapshot)
        evaluations = []
        for policy in policies:
            with self.defects.contained("judged", policy):
                judged = evaluate(
                    policy, snapshot, fresh, readings=readings[policy.uid], owner=owner, audited=audited, now=now
                )
                evaluations.append(with_need(judged, readings[policy.uid], now))
        return TickFacts(
            {policy.uid: policy for policy in policies}, evaluations, snapshot, fresh=fresh, readings=readings, now=now
        )

    def _remember(self, drafts: ReportDrafts, facts: TickFacts, places: Places) -> None:
        """The records of an operator that had no reports, so that an upgrade forgets nothing."""
        for policy in facts.policies.values():
            with self.defects.contained("remembered", policy):
                records = places.of_policy(legacy_records(policy, drafts.reports), policy)
                drafts.homes.update({record.workload_uid: policy.namespace for record in records})
                drafts.legacy[policy.uid] = (
                    settle_legacy(records, facts.snapshot, facts.now) if facts.fresh else records
                )
            if policy.uid not in drafts.legacy:
                drafts.troubles[policy.namespace] = f"the action records of {policy.name} could not be read"

    def _due(self, drafts: ReportDrafts, facts: TickFacts) -> list[Return]:
        with self.defects.contained("taken back"):
            return due_now(drafts, facts)
        return []

    async def _look_around(self, facts: TickFacts, returns: Sequence[Return]) -> None:
        if self.guard_context is None:
            return
        asking = {each.report.spec.policy.uid for each in returns if each.replicas is not None}
        # The answers of vetoes are not known, so vetoes count as objecting.
        self._around = Surroundings(
            limits=self.guard_context.limits,
            started=self.guard_context.started,
            silences=Silences(trouble="they were not read"),
        )
        with self.defects.contained("asked about", *facts.policies.values()):
            self._around = await self.guard_context.gather(facts.evaluations, facts.snapshot, facts.now, asking)

    async def _decide(
        self, drafts: ReportDrafts, facts: TickFacts, returns: Sequence[Return]
    ) -> tuple[list[Decision], Situation]:
        """The plan, and the facts that it was made from. Vetoes are queried last and all together, for the actions that
        everything else allows: so whichever action is carried out, its vetoes have been queried."""
        contained = partial(self.defects.contained, "planned")
        situation = self._situation(drafts, facts.snapshot)
        if self.guard_context is None:
            return plan(facts.evaluations, situation, contained), situation
        vetoes = self.guard_context.asking(facts.now)
        with self.defects.contained("asked about", *facts.policies.values()):
            around = replace(situation.surroundings, unasked_agree=True)
            alone = plan(
                facts.evaluations, replace(situation, surroundings=around), contained=contained, together=False
            )
            asking = {d.candidate.policy.uid for d in alone if d.go or waits_for_evidence_only(d)}
            asking |= {each.report.spec.policy.uid for each in returns}
            await vetoes.ask(policy for policy in facts.policies.values() if policy.uid in asking)
        self._around = replace(self._around, vetoes=dict(vetoes.answers))
        situation = self._situation(drafts, facts.snapshot)
        return plan(facts.evaluations, situation, contained), situation

    async def _act(
        self, drafts: ReportDrafts, facts: TickFacts, decisions: list[Decision], returns: Sequence[Return]
    ) -> None:
        """Carries out the decisions; afterwards `decisions` hold their results."""
        with self.defects.contained("captured"):
            decisions[:] = await self._capture.before(drafts, facts.evaluations, decisions, begins=not self.ending)
        if not self.ending:
            with self.defects.contained("inspected"):
                await self._inspection.one(drafts, decisions)
        with self.defects.contained("allowed"):
            self._rights.keep(list(facts.policies.values()))
        for index, decision in enumerate(decisions):
            if not self.ending and (decision.go or waits_for_evidence_only(decision)):
                with self.defects.contained("acted for", decision.candidate.policy):
                    decisions[index] = await self._executor.execute(decision, drafts, judged=facts.now)
        if not self.ending:
            with self.defects.contained("taken back"):
                await self._scale_in.all(drafts, facts, returns)
        with self.defects.contained("compared"):
            await self._outcomes.one(drafts, facts, begins=not self.ending)
        with self.defects.contained("explained"):
            await self._causes.one(drafts, facts, begins=not self.ending)

    async def _tell(self, drafts: ReportDrafts, facts: TickFacts, decisions: Sequence[Decision]) -> None:
        silences_read = self.guard_context is not None and self.guard_context.reads_silences
        by_policy: dict[str, list[Decision]] = {}
        for decision in decisions:
            by_policy.setdefault(decision.candidate.policy.uid, []).append(decision)
        for evaluation in facts.evaluations:
            # most policies have no new status to write, so nothing here would yield to the event loop
            await asyncio.sleep(0)
            with self.defects.contained("told of", evaluation.policy):
                mine = by_policy.get(evaluation.policy.uid, ())
                await self._publisher.tell(evaluation, mine, drafts, facts.snapshot, silences_read)
        with self.defects.contained("told of"):
            await self._publisher.tell_of_defects()
        with self.defects.contained("told of"):
            await self._cluster_publisher.tell()

    def _look(self, drafts: ReportDrafts) -> tuple[Snapshot, Situation]:
        snapshot = self.cluster.snapshot()
        return snapshot, self._situation(drafts, snapshot)

    def _situation(self, drafts: ReportDrafts, snapshot: Snapshot) -> Situation:
        records = by_workload(drafts.reports, drafts.legacy.values())
        around = replace(self._around, autoscalers=snapshot.autoscalers, autoscalers_denied=snapshot.autoscalers_denied)
        return Situation(
            self.clock(),
            _is_fresh(snapshot),
            self.permitted,
            records=records,
            reports=drafts.reports,
            records_trouble=drafts.trouble,
            records_troubles=drafts.troubles,
            looking_on={policy.uid for policy in self.policies.all() if policy.looks_on},
            surroundings=around,
            namespaces=drafts.homes,
            unread_kinds=snapshot.unread_kinds,
        )


def _is_fresh(snapshot: Snapshot) -> bool:
    return snapshot.synced and snapshot.age <= CLUSTER_MAX_AGE
