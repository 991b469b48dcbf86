"""One action: intent, the change with its precondition, outcome. Any doubt before the change ends it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.leakreport import LeakReportStatus, Phase
from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionStatus
from leakwarden.core.episodes.parts import guard_answers, plan_status
from leakwarden.core.episodes.steps import ended, is_full, with_intent, with_outcome
from leakwarden.core.episodes.verification import before_action
from leakwarden.core.guards import Situation, Skip
from leakwarden.core.guards.budgets import taken_away
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.planning.intent import intent
from leakwarden.core.planning.planning import Decision, ask_again
from leakwarden.core.records.record import finish
from leakwarden.core.records.scale_in import ADDED
from leakwarden.engine.doubts import Doubts
from leakwarden.engine.policy_store import PolicyStore
from leakwarden.engine.ports import Attempt, Cluster, ClusterUnavailable, Outcome, StatusConflict
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_keeper import ReportKeeper
from leakwarden.engine.rights import Rights

log = logging.getLogger("leakwarden.executor")

# s after its judgement that a decision may still be carried out; two minutes, as old as readings may be by default. In
# between come a look into a pod and the actions before this one, with an API server that may be slow.
ACTS_WITHIN = 120.0

_PHASES = {
    Outcome.DONE: ActionPhase.DONE,
    # somebody else was faster: it does not count as our success, and there is nothing to verify
    Outcome.GONE: ActionPhase.FAILED,
    Outcome.BLOCKED: ActionPhase.BLOCKED,
    Outcome.CONFLICT: ActionPhase.FAILED,
    Outcome.FORBIDDEN: ActionPhase.FAILED,
    Outcome.UNKNOWN: ActionPhase.INTERRUPTED,
    Outcome.FAILED: ActionPhase.FAILED,
}

_CARRIED_OUT = {
    ActionType.EVICT_POD: "the pod was evicted",
    ActionType.ROLLOUT_RESTART: "the rollout was restarted",
    ActionType.SCALE_OUT: "one replica was added",
    ActionType.ESCALATE: "a person is called; nothing was changed",
}


@dataclass(slots=True)
class Executor:
    """The only one for the whole cluster, so that budgets and cooldowns hold across policies.

    `look` gives the newest snapshot and the guards' facts, with the present records.
    """

    policies: PolicyStore
    cluster: Cluster
    episodes: ReportKeeper
    clock: Callable[[], float]
    look: Callable[[ReportDrafts], tuple[Snapshot, Situation]]
    new_id: Callable[[], str] = field(default=lambda: uuid.uuid4().hex[:12])
    rights: Rights = field(default_factory=Rights)

    @property
    def doubts(self) -> Doubts:
        return Doubts(self.cluster, self.rights)

    async def execute(self, decision: Decision, drafts: ReportDrafts, judged: float) -> Decision:
        """Returns the decision, with skips where events since then rule it out. `judged` is when the decision was
        judged, epoch s."""
        policy = self.policies.get(decision.candidate.policy.uid)
        if policy is None or not policy.is_unchanged(decision.candidate.policy):
            return decision  # removed or edited since it was judged; the next tick judges again
        if (age := self.clock() - judged) > ACTS_WITHIN:
            old = f"what it was judged by is {age:.0f}s old by now, more than {ACTS_WITHIN:.0f}s; it is judged again first"
            return replace(decision, skips=(Skip(SkipReason.CLUSTER_NOT_SYNCED, old),))
        snapshot, situation = self.look(drafts)
        decision = ask_again(decision, snapshot, situation)
        report = drafts.of_pod(decision.candidate.pod.pod.uid)
        if not decision.go:
            if report is not None:
                drafts.revise(report, lambda status: _considered(status, decision, situation))
            return decision
        if report is None:
            return _waits(decision, "its LeakReport is not written yet")
        if doubt := await self.doubts.of_policy(policy):
            return replace(decision, skips=(Skip(SkipReason.CLUSTER_NOT_SYNCED, doubt),))
        record = intent(decision, self._id_for(report.status, decision.candidate.action.type), self.clock())
        if is_full(report.status, record.id):
            full = "as many actions as one report holds were tried; it goes on in another"
            drafts.revise(report, lambda status: ended(status, Phase.INCONCLUSIVE, full, self.clock()))
            return _waits(decision, full)
        before = report.status
        intended = with_intent(_considered(before, decision, situation), record)
        intended = intended.model_copy(update={"verification": before_action(decision.candidate)})
        try:
            report = await self.episodes.write(drafts, drafts.draft(report, intended))
        except (StatusConflict, ClusterUnavailable) as error:
            # After a lost answer it is not known whether the intent was written; the next tick settles a Pending
            # record.
            drafts.draft(report, before)
            log.warning(
                "not acting: the intent could not be recorded", extra={"report": report.key, "error": str(error)}
            )
            return _waits(decision, "the intent could not be recorded")
        done = await self._perform(decision, record)
        report = drafts.revise(report, lambda status: with_outcome(status, done))
        await self._record_outcome(drafts, report)
        log.info(
            "action finished",
            extra={"report": report.key, "action": done.type, "workload": done.workload, "pod": done.pod,
                   "phase": str(done.phase), "outcome_message": done.message},
        )  # fmt: skip
        return decision

    async def _perform(self, decision: Decision, record: ActionStatus) -> ActionStatus:
        policy, kind = decision.candidate.policy, str(decision.candidate.action.type)
        attempt = await self._refusing_budget(decision) or await self._change(decision)
        match attempt.outcome:
            case Outcome.FORBIDDEN:
                self.rights.lacks(policy, kind, f"{kind}: {attempt.message}")
            case Outcome.DONE:
                self.rights.has(policy, kind)
            case Outcome.BLOCKED if attempt.budget is None:
                attempt = await self.doubts.with_budget(attempt, policy, decision.candidate.pod.pod)
        message = "it was gone already" if attempt.outcome is Outcome.GONE else attempt.message
        said = message or _CARRIED_OUT[decision.candidate.action.type]
        return finish(record, _PHASES[attempt.outcome], said, self.clock())

    async def _refusing_budget(self, decision: Decision) -> Attempt | None:
        """A rollout takes pods away without the Eviction API, so PodDisruptionBudgets are checked here."""
        candidate = decision.candidate
        if candidate.action.type is not ActionType.ROLLOUT_RESTART:
            return None
        taken = taken_away(candidate.action, candidate.target.workload)
        return await self.doubts.of_budgets(candidate.policy, candidate.pod.pod, taken)

    async def _change(self, decision: Decision) -> Attempt:
        candidate = decision.candidate
        workload = candidate.target.workload
        match candidate.action.type:
            case ActionType.EVICT_POD:
                return await self.cluster.evict(candidate.pod.pod)
            case ActionType.ROLLOUT_RESTART:
                return await self.cluster.restart_rollout(workload, format_time(self.clock()))
            case ActionType.SCALE_OUT:
                return await self.cluster.scale(workload, workload.replicas + ADDED)
            case ActionType.ESCALATE:
                return Attempt(Outcome.DONE)

    async def _record_outcome(self, drafts: ReportDrafts, report: LeakReport) -> None:
        try:
            await self.episodes.write(drafts, report)
        except (StatusConflict, ClusterUnavailable) as error:
            # The intent is recorded in the cluster, so nothing is repeated; the outcome is written again at the end of
            # this tick.
            log.warning("an outcome was not recorded", extra={"report": report.key, "error": str(error)})

    def _id_for(self, status: LeakReportStatus, kind: ActionType) -> str:
        """A blocked eviction that is tried again stays one record: a list of refusals would push out the history. The
        next step of the ladder gets a record of its own: if it replaced the refusal, the refusal would be forgotten and
        the eviction tried again."""
        newest = status.actions[0] if status.actions else None
        again = newest is not None and newest.phase is ActionPhase.BLOCKED and newest.type == kind
        return newest.id if newest is not None and again else self.new_id()


def _considered(status: LeakReportStatus, decision: Decision, situation: Situation) -> LeakReportStatus:
    answers = guard_answers(decision.candidate, situation)
    return status.model_copy(update={"plan": plan_status(decision), "guards": answers})


def _waits(decision: Decision, why: str) -> Decision:
    return replace(decision, skips=(Skip(SkipReason.RECORDS_UNAVAILABLE, why),))
