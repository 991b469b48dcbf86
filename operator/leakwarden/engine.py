"""The tick: gather -> decide -> act -> tell, for all policies together. Knows ports only."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import MAX_ACTIONS, ActionPhase, ActionStatus, PolicyStatus
from leakwarden.auditor import Auditor
from leakwarden.core.announce import announcements
from leakwarden.core.evaluation import PolicyEvaluation, evaluate, owners
from leakwarden.core.guards import Situation
from leakwarden.core.policy import Policy, format_time
from leakwarden.core.remediation import Decision, ask_again, finish, intent, plan, recover, still_needed, verify
from leakwarden.core.report import build_status
from leakwarden.core.workload import Snapshot
from leakwarden.policies import Policies
from leakwarden.ports import Attempt, Cluster, ClusterUnavailable, Outcome, Recorder, StatusConflict
from leakwarden.reader import Reader

log = logging.getLogger("leakwarden.engine")

CLUSTER_MAX_AGE = 180.0  # s; two missed idle timeouts of a watch (70 s each) and a relist
TEXT_REFRESH = 30.0  # s; a status that differs in its wording only is not written more often

_PHASES = {
    Outcome.DONE: ActionPhase.DONE,
    Outcome.GONE: ActionPhase.DONE,
    Outcome.BLOCKED: ActionPhase.BLOCKED,
    Outcome.CONFLICT: ActionPhase.FAILED,
    Outcome.FORBIDDEN: ActionPhase.FAILED,
    Outcome.FAILED: ActionPhase.FAILED,
}

_CARRIED_OUT = {
    ActionType.EVICT_POD: "the pod was evicted",
    ActionType.ROLLOUT_RESTART: "the rollout was restarted",
    ActionType.SCALE_OUT: "one replica was added",
}


@dataclass(slots=True)
class Tick:
    """What the last tick did, for metrics and tests."""

    evaluations: Sequence[PolicyEvaluation] = ()
    decisions: Sequence[Decision] = ()
    actions: Sequence[ActionStatus] = ()
    seconds: float = 0.0


@dataclass(slots=True)
class Engine:
    """All policies, one snapshot, one executor: budgets and cooldowns hold across policies."""

    policies: Policies
    cluster: Cluster
    reader: Reader
    auditor: Auditor
    recorder: Recorder
    permitted: frozenset[ActionType]
    clock: Callable[[], float]
    new_id: Callable[[], str] = field(default=lambda: uuid.uuid4().hex[:12])
    last: Tick = field(default_factory=Tick)
    defects: int = 0
    ending: bool = False  # no action is begun any more; what was begun is finished and told
    acting: bool = False  # past gathering: the last tick may have begun something, and is not to be cancelled lightly
    _written: dict[str, float] = field(default_factory=dict)

    async def tick(self) -> Tick:
        started = self.clock()
        self.acting = False
        # gather
        policies = self.policies.all()
        self._written = {policy.uid: self._written.get(policy.uid, 0.0) for policy in policies}
        snapshot = self.cluster.snapshot()
        fresh = snapshot.synced and snapshot.age <= CLUSTER_MAX_AGE
        owner = owners(policies, snapshot)
        readings, findings = await asyncio.gather(
            self.reader.read(policies, snapshot, started), self.auditor.audit(policies, snapshot, started)
        )
        # decide
        self.acting = True
        now = self.clock()
        evaluations = []
        for policy in policies:
            with self._contained(policy, "it was not judged"):
                evaluations.append(evaluate(policy, snapshot, fresh, readings[policy.uid], owner, findings, now))
        records = self._settle(evaluations, snapshot, fresh, now)
        by_workload = _by_workload(records)
        decisions = plan(evaluations, Situation(now, fresh, self.permitted, by_workload))
        # act
        for index, decision in enumerate(decisions):
            if decision.go:
                decisions[index] = await self._execute(decision, records)
        # tell
        for evaluation in evaluations:
            with self._contained(evaluation.policy, "its status was not told"):
                mine = [d for d in decisions if d.candidate.policy.uid == evaluation.policy.uid]
                await self._tell(evaluation, mine, records[evaluation.policy.uid], snapshot)
        acted = [record for kept in records.values() for record in kept]
        self.last = Tick(evaluations, decisions, acted, self.clock() - started)
        return self.last

    @contextmanager
    def _contained(self, policy: Policy, consequence: str) -> Iterator[None]:
        """A defect that one policy brings to light must not stop the others; it is logged with its traceback."""
        try:
            yield
        except Exception:
            self.defects += 1
            log.exception("a defect: %s", consequence, extra={"policy": policy.key})

    def _settle(
        self, evaluations: Sequence[PolicyEvaluation], snapshot: Snapshot, fresh: bool, now: float
    ) -> dict[str, list[ActionStatus]]:
        """Every policy's action records: those left Pending by an earlier life closed, those done verified."""
        settled: dict[str, list[ActionStatus]] = {}
        for evaluation in evaluations:
            by_uid = {target.workload.uid: target for target in evaluation.workloads}
            records = []
            for record in evaluation.policy.status.actions:
                if record.phase is ActionPhase.PENDING and fresh:
                    pods = snapshot.pods_by_workload.get(record.workload_uid, ())
                    alive = any(pod.uid == record.pod_uid and not pod.terminating for pod in pods)
                    record = recover(record, alive, now)
                records.append(verify(record, by_uid.get(record.workload_uid), now) if fresh else record)
            settled[evaluation.policy.uid] = records
        return settled

    async def _execute(self, decision: Decision, records: dict[str, list[ActionStatus]]) -> Decision:
        """Intent, then the action with its precondition, then the outcome. Any doubt before the action ends it.

        Returns the decision, with a skip where what was done in this tick leaves no room for it any more.
        """
        policy = self.policies.get(decision.candidate.policy.uid)
        if self.ending or policy is None or policy.generation != decision.candidate.policy.generation:
            return decision  # ending, or removed or edited since it was judged; the next tick judges anew
        decision = self._ask_again(decision, records)
        if not decision.go:
            return decision
        mine = records[policy.uid]
        record = intent(decision, self._id_for(decision, mine), self.clock())
        pending = _with(mine, record)
        if needed := still_needed(pending[MAX_ACTIONS:], decision.candidate.spec, self.clock()):
            return replace(decision, skips=(needed,))
        try:
            await self._write(policy, policy.status.model_copy(update={"actions": pending[:MAX_ACTIONS]}))
        except (StatusConflict, ClusterUnavailable) as error:
            log.warning(
                "not acting: the intent could not be recorded", extra={"policy": policy.key, "error": str(error)}
            )
            return decision
        attempt = await self._perform(decision)
        phase = _PHASES[attempt.outcome]
        message = "it was gone already" if attempt.outcome is Outcome.GONE else attempt.message
        done = finish(record, phase, message or _CARRIED_OUT[decision.candidate.action.type], self.clock())
        records[policy.uid] = _with(pending, done)
        log.info(
            "action finished",
            extra={"policy": policy.key, "action": done.type, "workload": done.workload, "pod": done.pod,
                   "phase": str(done.phase), "outcome_message": done.message},
        )  # fmt: skip
        return decision

    def _ask_again(self, decision: Decision, records: Mapping[str, Sequence[ActionStatus]]) -> Decision:
        snapshot = self.cluster.snapshot()
        fresh = snapshot.synced and snapshot.age <= CLUSTER_MAX_AGE
        return ask_again(decision, snapshot, Situation(self.clock(), fresh, self.permitted, _by_workload(records)))

    async def _perform(self, decision: Decision) -> Attempt:
        candidate = decision.candidate
        workload = candidate.target.workload
        match candidate.action.type:
            case ActionType.EVICT_POD:
                return await self.cluster.evict(candidate.pod.pod)
            case ActionType.ROLLOUT_RESTART:
                return await self.cluster.restart_rollout(workload, format_time(self.clock()))
            case ActionType.SCALE_OUT:
                return await self.cluster.scale(workload, workload.replicas + 1)

    def _id_for(self, decision: Decision, records: Sequence[ActionStatus]) -> str:
        """A blocked eviction that is tried again stays one record: a list of refusals would push out the history."""
        for record in records:
            if record.phase is ActionPhase.BLOCKED and record.pod_uid == decision.candidate.pod.pod.uid:
                return record.id
        return self.new_id()

    async def _tell(
        self,
        evaluation: PolicyEvaluation,
        decisions: Sequence[Decision],
        actions: Sequence[ActionStatus],
        snapshot: Snapshot,
    ) -> None:
        policy = self.policies.get(evaluation.policy.uid)
        if policy is None or policy.generation != evaluation.policy.generation:
            return
        now = self.clock()
        before = evaluation.policy.status
        after = build_status(evaluation, decisions, actions, now)
        if not self._worth_writing(policy, after, now):
            return
        try:
            await self._write(policy, after)
        except StatusConflict:
            return  # told again, from newer facts, by the next tick
        except ClusterUnavailable as error:
            log.warning("status not written", extra={"policy": policy.key, "error": str(error)})
            return
        self._written[policy.uid] = now
        await self.recorder.announce(announcements(evaluation, before, after, snapshot.workloads))

    def _worth_writing(self, policy: Policy, after: PolicyStatus, now: float) -> bool:
        if after == policy.status:
            return False
        if _wordless(after) != _wordless(policy.status):
            return True
        return now - self._written.get(policy.uid, 0.0) >= TEXT_REFRESH

    async def _write(self, policy: Policy, status: PolicyStatus) -> None:
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        version = await self.cluster.write_status(
            policy.namespace, policy.name, policy.uid, policy.resource_version, body
        )
        self.policies.wrote(policy.uid, version, status)


def _with(records: Sequence[ActionStatus], record: ActionStatus) -> list[ActionStatus]:
    """Newest first, the record's earlier form replaced."""
    return [record, *(kept for kept in records if kept.id != record.id)]


def _by_workload(records: Mapping[str, Sequence[ActionStatus]]) -> dict[str, list[ActionStatus]]:
    grouped: dict[str, list[ActionStatus]] = {}
    for kept in records.values():
        for record in kept:
            grouped.setdefault(record.workload_uid, []).append(record)
    return grouped


def _wordless(status: PolicyStatus) -> object:
    """The status without its wording, whose numbers move with every reading."""
    return status.model_dump(
        exclude={
            "conditions": {"__all__": {"message"}},
            "workloads": {"__all__": {"unhealthy": {"__all__": {"message"}}, "skipped": {"message"}}},
            "signals": {"__all__": {"message", "pods"}},
        }
    )
