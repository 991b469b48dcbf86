"""The tick: gather -> decide -> act -> tell, for all policies together. Knows ports only."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.audit import Finding
from leakwarden.core.evaluation.evaluation import PolicyEvaluation, Readings, evaluate, owners
from leakwarden.core.guards import Situation, Surroundings
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.planning.planning import Decision, plan
from leakwarden.core.records.action_records import by_workload, legacy_records, settle_legacy
from leakwarden.core.records.place import Places
from leakwarden.engine.auditor import Auditor
from leakwarden.engine.capture import EvidenceCapture, waits_for_evidence_only
from leakwarden.engine.executor import Executor
from leakwarden.engine.guard_context import GuardContext
from leakwarden.engine.inspection import Inspection
from leakwarden.engine.policy_store import PolicyStore
from leakwarden.engine.ports import Cluster, DescriptorReader, Profiler, Recorder
from leakwarden.engine.publisher import Publisher
from leakwarden.engine.reader import Reader
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_keeper import ReportKeeper, TickFacts
from leakwarden.engine.rights import Rights
from leakwarden.engine.scale_in import ScaleIn, due_now

log = logging.getLogger("leakwarden.engine")

CLUSTER_MAX_AGE = 180.0  # s; two missed idle timeouts of a watch (70 s each) and a relist


@dataclass(slots=True)
class Tick:
    """What the last tick did, for metrics and tests. `actions`: every record there is, whoever's policy it is of."""

    evaluations: Sequence[PolicyEvaluation] = ()
    decisions: Sequence[Decision] = ()
    actions: Sequence[ActionStatus] = ()
    seconds: float = 0.0
    reports: Sequence[LeakReport] = ()


@dataclass(slots=True)
class Engine:
    """All policies, one snapshot, one executor: budgets and cooldowns hold across policies."""

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
    lookout: GuardContext | None = None
    last: Tick = field(default_factory=Tick)
    defects: int = 0
    ending: bool = False  # no action is begun any more; what was begun is finished and told
    wake: Callable[[], None] = lambda: None  # to be called where the next tick need not wait for its time
    acting: bool = False  # past gathering: the last tick may have begun something, and is not to be cancelled lightly
    _episodes: ReportKeeper = field(init=False)
    _capture: EvidenceCapture = field(init=False)
    _inspection: Inspection = field(init=False)
    _executor: Executor = field(init=False)
    _scale_in: ScaleIn = field(init=False)
    _publisher: Publisher = field(init=False)
    _around: Surroundings = field(default_factory=Surroundings)
    _rights: Rights = field(default_factory=Rights)

    def __post_init__(self) -> None:
        self._episodes = ReportKeeper(self.cluster, self.clock)
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
        self._publisher = Publisher(self.policies, self.cluster, self.recorder, self.clock, self._rights)

    def take_over(self) -> None:
        """To be called when this process begins to lead: the last leader's writes are read before anything is done."""
        self._episodes.take_over()
        if self.lookout is not None:
            self.lookout.started = self.clock()

    async def end(self) -> None:
        """To be called when this process ticks no more: what goes on beside the ticks is given up."""
        await self._capture.end()

    async def tick(self) -> Tick:
        started = self.clock()
        self.acting = False
        # gather
        policies = self.policies.all()
        snapshot = self.cluster.snapshot()
        readings, findings = await asyncio.gather(
            self.reader.read(policies, snapshot, started), self.auditor.audit(policies, snapshot, started)
        )
        places = Places.of(policies, snapshot)
        book = await self._episodes.gather(places)
        # decide
        self.acting = True
        facts = self._judge(policies, snapshot, readings, findings)
        self._remember(book, facts, places)
        self._episodes.settle(book, facts)
        returns = due_now(book, facts)
        if self.lookout is not None:
            asking = {each.report.spec.policy.uid for each in returns if each.replicas is not None}
            self._around = await self.lookout.gather(facts.evaluations, snapshot, facts.now, asking)
        situation = self._situation(book, snapshot)
        decisions = plan(facts.evaluations, situation)
        # act
        await self._episodes.open(book, facts, decisions)
        self._episodes.consider(book, facts, decisions, situation)
        decisions = await self._capture.before(book, facts.evaluations, decisions, begins=not self.ending)
        if not self.ending:
            await self._inspection.one(book, decisions)
        self._rights.keep(policies)
        for index, decision in enumerate(decisions):
            if not self.ending and (decision.go or waits_for_evidence_only(decision)):
                decisions[index] = await self._executor.execute(decision, book, judged=facts.now)
        if not self.ending:
            await self._scale_in.all(book, facts, returns)
        # tell
        await self._episodes.tell(book, facts)
        silences_read = self.lookout is not None and self.lookout.reads_silences
        for evaluation in facts.evaluations:
            with self._contained(evaluation.policy, "its status was not told"):
                mine = [d for d in decisions if d.candidate.policy.uid == evaluation.policy.uid]
                await self._publisher.tell(evaluation, mine, book, facts.snapshot, silences_read)
        await self._publisher.announce_reports(book, facts)
        await self._episodes.prune(book, facts)
        records = [record for report in book.reports for record in report.status.actions]
        records += [record for legacy in book.legacy.values() for record in legacy]
        self.last = Tick(facts.evaluations, decisions, records, self.clock() - started, book.reports)
        return self.last

    def _judge(
        self,
        policies: Sequence[Policy],
        snapshot: Snapshot,
        readings: Mapping[str, Readings],
        findings: Mapping[str, tuple[Finding, ...]],
    ) -> TickFacts:
        now, fresh = self.clock(), _is_fresh(snapshot)
        owner = owners(policies, snapshot)
        evaluations = []
        for policy in policies:
            with self._contained(policy, "it was not judged"):
                evaluations.append(
                    evaluate(
                        policy, snapshot, fresh, readings=readings[policy.uid], owner=owner, findings=findings, now=now
                    )
                )
        return TickFacts(
            {policy.uid: policy for policy in policies}, evaluations, snapshot, fresh=fresh, readings=readings, now=now
        )

    def _remember(self, book: ReportDrafts, facts: TickFacts, places: Places) -> None:
        """The records of an operator that had no reports, so that an upgrade forgets nothing."""
        for policy in facts.policies.values():
            records = places.of_policy(legacy_records(policy, book.reports), policy)
            book.homes.update({record.workload_uid: policy.namespace for record in records})
            book.legacy[policy.uid] = settle_legacy(records, facts.snapshot, facts.now) if facts.fresh else records

    def _look(self, book: ReportDrafts) -> tuple[Snapshot, Situation]:
        snapshot = self.cluster.snapshot()
        return snapshot, self._situation(book, snapshot)

    def _situation(self, book: ReportDrafts, snapshot: Snapshot) -> Situation:
        records = by_workload(book.reports, book.legacy.values())
        around = replace(self._around, autoscalers=snapshot.autoscalers, autoscalers_denied=snapshot.autoscalers_denied)
        trouble = book.trouble or book.refused
        return Situation(
            self.clock(),
            _is_fresh(snapshot),
            self.permitted,
            records=records,
            reports=book.reports,
            records_trouble=trouble,
            surroundings=around,
            namespaces=book.homes,
        )

    @contextmanager
    def _contained(self, policy: Policy, consequence: str) -> Iterator[None]:
        """A defect that one policy brings to light must not stop the others; it is logged with its traceback."""
        try:
            yield
        except Exception:
            self.defects += 1
            log.exception("a defect: %s", consequence, extra={"policy": policy.key})


def _is_fresh(snapshot: Snapshot) -> bool:
    return snapshot.synced and snapshot.age <= CLUSTER_MAX_AGE
