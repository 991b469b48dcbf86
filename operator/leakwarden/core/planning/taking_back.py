"""Whether a replica that was added for a while may be taken back now: the guards of consent are evaluated as before an
action."""

from __future__ import annotations

from dataclasses import replace

from leakwarden.api.v1alpha1.policy import Action
from leakwarden.core.evaluation.results import PodEvaluation, WorkloadEvaluation
from leakwarden.core.guards import Candidate, Guard, Situation, consent, freshness
from leakwarden.core.model.judgement import Judgement
from leakwarden.core.model.policy import Policy
from leakwarden.core.records.scale_in import Return

# Consent and freshness. Not those that pace actions or count them: the replica was counted when it was added.
ASKED: tuple[Guard, ...] = (
    consent.suspended,
    consent.observing,
    consent.paused,
    consent.conflicted,
    consent.opted_out,
    consent.not_permitted,
    consent.outside_maintenance,
    consent.vetoed,
    freshness.cluster_not_synced,
    freshness.quiet_after_start,
    freshness.rollout_in_progress,
)
# Evaluated for every pod, since the Deployment's controller chooses the pod to remove.
ASKED_FOR_EACH_POD: tuple[Guard, ...] = (consent.silenced,)


def objection(each: Return, policy: Policy, target: WorkloadEvaluation | None, situation: Situation) -> str:
    """Why the replica is not taken back yet, in one line; empty where it may be.

    `target` is this tick's evaluation of the Deployment under the policy; None where the policy does not select it.
    """
    if policy.spec is None:
        return "the policy cannot be understood at present"
    if target is None:
        return f"the policy {policy.title} does not select the Deployment any more"
    action = policy.spec.remediation.scale_out
    if action is None:
        return f"the policy {policy.title} has no action ScaleOut any more"
    if not target.pods or each.workload is None:
        return "the Deployment has no pods that could be judged"
    target = replace(target, workload=each.workload)
    candidates = [_candidate(each, policy, target, pod, action) for pod in target.pods]
    answers = [guard(candidates[0], situation) for guard in ASKED]
    answers += [guard(candidate, situation) for guard in ASKED_FOR_EACH_POD for candidate in candidates]
    return next((f"{skip.reason}: {skip.message}" for skip in answers if skip is not None), "")


def _candidate(
    each: Return, policy: Policy, target: WorkloadEvaluation, pod: PodEvaluation, action: Action
) -> Candidate:
    assert policy.spec is not None
    led_to_it = Judgement(each.record.signal, pod.verdict, "", each.record.reason)
    return Candidate(policy, policy.spec, target, pod=pod, judgement=led_to_it, action=action)
