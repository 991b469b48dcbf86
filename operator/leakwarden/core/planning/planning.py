"""Evaluations -> a plan: at most one action per workload and tick, each with every guard's answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.policy import Action, ActionType, PolicySpec
from leakwarden.api.v1alpha1.status import ActionPhase, ActionStatus
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards import IMPOSSIBLE, OF_THE_POD, Candidate, Situation, Skip, ask
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.policy import Policy, format_time, parse_time
from leakwarden.core.model.workload import Snapshot, Workload
from leakwarden.core.planning.ordering import Turn, queue, urgency
from leakwarden.core.records.escalation import may_be_out, spent

# So many pods of a Deployment are considered where the first ones must wait for a reason of their own.
CONSIDERED = 5


@dataclass(frozen=True, slots=True)
class Decision:
    """`skips` is empty exactly when the action is to be carried out."""

    candidate: Candidate
    skips: tuple[Skip, ...]

    @property
    def go(self) -> bool:
        return not self.skips

    @property
    def only_observing(self) -> bool:
        """Whether only the mode prevents the action: it would have been carried out."""
        return [skip.reason for skip in self.skips] == [SkipReason.OBSERVING]

    @property
    def reasons(self) -> frozenset[SkipReason]:
        return frozenset(skip.reason for skip in self.skips)


def _rungs(
    spec: PolicySpec, pod_uid: str, since: float, situation: Situation, workload: Workload
) -> list[tuple[Action, str]]:
    """The ladder from the next rung on, each with the rungs that were passed over before it."""
    records = situation.records.get(workload.uid, ())
    actions = spec.remediation.actions
    if situation.call(workload.uid, pod_uid) is not None:
        escalating = [action for action in actions if action.type is ActionType.ESCALATE]
        return [(action, "") for action in escalating or [Action(type=ActionType.ESCALATE)]]
    passed = [spent(action, spec, pod_uid, records=records, since=since, now=situation.now) for action in actions]
    left = [index for index, why in enumerate(passed) if not why]
    if not left:
        again = [action for action in actions if not may_be_out(action, pod_uid, records, workload.replicas)]
        if not again:
            return [
                (Action(type=ActionType.ESCALATE), "a replica may have been added, and another would be one too many")
            ]
        return [(action, "every action was tried and did not help; begun anew") for action in again]
    return [(actions[index], "; ".join(why for why in passed[:index] if why)) for index in left]


def _for_need(
    spec: PolicySpec, pod_uid: str, _: float, situation: Situation, workload: Workload
) -> list[tuple[Action, str]]:
    """Of a Deployment that does not leak: one replica more, again after each cooldown until it has what it needs. None
    where nobody knows whether the last one was added."""
    assert spec.remediation.scale_out_on_need is not None
    action = spec.remediation.scale_out_on_need.action
    if may_be_out(action, pod_uid, situation.records.get(workload.uid, ()), workload.replicas):
        return [(Action(type=ActionType.ESCALATE), "a replica may have been added, and another would be one too many")]
    return [(action, "")]


def _decide_pod(
    policy: Policy, spec: PolicySpec, target: WorkloadEvaluation, place: Turn, situation: Situation
) -> Decision:
    judgement = place.pod.acting
    assert judgement is not None
    since = _exhausting_since(place.pod, situation)

    def consider(action: Action, passed: str) -> Decision:
        why = "; ".join(part for part in (passed, place.why) if part)
        candidate = Candidate(
            policy, spec, target, pod=place.pod, judgement=judgement, action=action, order=place.order, not_before=place.not_before, why=why
        )  # fmt: skip
        return Decision(candidate, ask(candidate, situation))

    considered: list[Decision] = []
    rungs = _for_need if place.pod.needs else _rungs
    for action, passed in rungs(spec, place.pod.pod.uid, since, situation, target.workload):
        refused = [f"{each.candidate.action.type} is impossible: {_why(each)}" for each in considered]
        decision = consider(action, "; ".join(why for why in (passed, *refused) if why))
        if not decision.reasons & IMPOSSIBLE:
            return decision
        considered.append(decision)
    cut = next((d for d in considered if SkipReason.TOO_FEW_REPLICAS in d.reasons), None)
    if cut is None:
        return considered[-1]
    # It cannot spare a pod and cannot be given another: a person is called even if the policy has no such rung.
    return consider(Action(type=ActionType.ESCALATE), f"{cut.candidate.action.type} is impossible: {_why(cut)}")


def _why(decision: Decision) -> str:
    return next(skip.message for skip in decision.skips if skip.reason in IMPOSSIBLE)


def _exhausting_since(pod: PodEvaluation, situation: Situation) -> float:
    """When the pod's open episode began, epoch s; now where there is none."""
    for report in situation.reports:
        if report.spec.pod.uid == pod.pod.uid and not report.ended:
            return parse_time(report.status.exhausting_at or report.spec.detected_at) or situation.now
    return situation.now


def _decide(policy: Policy, spec: PolicySpec, target: WorkloadEvaluation, situation: Situation) -> Decision | None:
    first: Decision | None = None
    for place in queue(target, spec, situation.records.get(target.workload.uid, ()), situation.now)[:CONSIDERED]:
        decision = _decide_pod(policy, spec, target, place, situation)
        if decision.go:
            return decision
        first = first or decision
        if not decision.reasons <= OF_THE_POD:
            return first
    return first


def plan(
    evaluations: Sequence[PolicyEvaluation],
    situation: Situation,
    contained: Callable[[Policy], AbstractContextManager[None]] = lambda _: nullcontext(),
    together: bool = True,
) -> list[Decision]:
    """The decisions about every workload that has an Exhausting pod, the most urgent first.

    Each decision assumes that those before it are under way, so that together they exceed no budget. Each is made
    within `contained`, so that a defect met at one policy costs no other. Unless `together`, each is made as if it were
    the only one.
    """
    due: list[tuple[tuple[float, float, str], Policy, PolicySpec, WorkloadEvaluation]] = []
    for evaluation in evaluations:
        with contained(evaluation.policy):
            for target in evaluation.workloads:
                full = [urgency(pod) for pod in target.pods if pod.acting is not None]
                if full and evaluation.policy.spec is not None:
                    due.append((min(full), evaluation.policy, evaluation.policy.spec, target))
    acting = [target for _, policy, _, target in due if not policy.looks_on and not target.conflicts_with]
    situation = _knowing(situation, acting, [target for *_, target in due])
    decisions = []
    since = situation.now - situation.surroundings.limits.window
    # Of namespaces the one with fewer recent actions comes first: else one that always has an urgent pod gets every
    # turn.
    had = {each[1].namespace: situation.ledger.used_in(each[1].namespace, since) for each in due}
    for _, policy, spec, target in sorted(
        due, key=lambda each: (had[each[1].namespace], each[0], each[1].key, each[3].workload.key)
    ):
        with contained(policy):
            decision = _decide(policy, spec, target, situation)
            if decision is None:
                continue
            if together and decision.go and decision.candidate.changes:
                situation = _as_if_begun(decision, situation)
            decisions.append(decision)
    return decisions


def _knowing(
    situation: Situation, acting: Sequence[WorkloadEvaluation], targets: Sequence[WorkloadEvaluation]
) -> Situation:
    """The situation with the facts of this tick's evaluations: the Deployments that run out of a resource under a
    policy that acts, and the namespaces of all of them."""
    reported = {report.spec.workload.uid for report in situation.reports if report.status.exhausting_at}
    new = {target.workload.uid: situation.now for target in acting if target.workload.uid not in reported}
    places = {target.workload.uid: target.workload.namespace for target in targets}
    return replace(situation, exhausting={**new, **situation.exhausting}, namespaces={**places, **situation.namespaces})


def _as_if_begun(decision: Decision, situation: Situation) -> Situation:
    candidate = decision.candidate
    workload = candidate.target.workload
    record = ActionStatus(
        id=f"planned/{workload.uid}"[:64],
        type=str(candidate.action.type),
        workload=workload.name,
        workload_kind=workload.kind,
        workload_uid=workload.uid,
        pod=candidate.pod.pod.name,
        pod_uid=candidate.pod.pod.uid,
        phase=ActionPhase.PENDING,
        intended_at=format_time(situation.now),
    )
    records = {**situation.records, workload.uid: [record, *situation.records.get(workload.uid, ())]}
    return replace(situation, records=records)


def ask_again(decision: Decision, snapshot: Snapshot, situation: Situation) -> Decision:
    """The guards' answers for the cluster as it is now: readings take seconds, in which pods fail and people edit.

    The judgement stands; the Deployment, the readiness of its pods and their existence may have changed.
    """
    candidate = decision.candidate
    workload = snapshot.workloads.get(candidate.target.workload.uid)
    now = {pod.uid: pod for pod in snapshot.pods_by_workload.get(candidate.target.workload.uid, ())}
    if workload is None or candidate.pod.pod.uid not in now:
        gone = Skip(SkipReason.ACTION_PENDING, "the pod or its Deployment is gone; judged anew by the next tick")
        return replace(decision, skips=(gone,))
    judged = {pod.pod.uid: pod for pod in candidate.target.pods}
    pods = tuple(
        judged[uid].of_pod(pod) if uid in judged else PodEvaluation(pod, Verdict.UNKNOWN, None, None, ())
        for uid, pod in now.items()
        if not pod.terminating
    )
    acted_on = next((pod for pod in pods if pod.pod.uid == candidate.pod.pod.uid), None)
    if acted_on is None:
        return replace(decision, skips=(Skip(SkipReason.ACTION_PENDING, "the pod is on its way out already"),))
    target = replace(candidate.target, workload=workload, pods=pods)
    renewed = replace(candidate, target=target, pod=acted_on)
    places = {workload.uid: workload.namespace, **situation.namespaces}
    return Decision(renewed, ask(renewed, replace(situation, namespaces=places)))
