"""Guards: each a small named function that may say no to a candidate, with its reason.

GUARDS is the list. All of them are asked, so that a person reads every reason at once; their order does
not matter to the outcome. Adding one is a function, a line in the list and two tests.
"""

from __future__ import annotations

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.core.guards import budgets, consent, fitness, freshness, pacing, records
from leakwarden.core.guards.model import Candidate, Guard, Situation, Skip, Surroundings

__all__ = ["GUARDS", "IMPOSSIBLE", "OF_THE_POD", "Candidate", "Guard", "Situation", "Skip", "Surroundings", "ask"]

GUARDS: list[Guard] = [
    # Do people want it?
    consent.suspended,
    consent.observing,
    consent.paused,
    consent.conflicted,
    consent.opted_out,
    consent.not_permitted,
    consent.outside_maintenance,
    consent.vetoed,
    consent.silenced,
    # Is enough known?
    freshness.cluster_not_synced,
    freshness.quiet_after_start,
    freshness.refilling,
    freshness.warming_up,
    freshness.rollout_in_progress,
    # Has the last one ended, and helped?
    pacing.action_pending,
    pacing.canary_pending,
    pacing.others_in_flight,
    pacing.cooldown_active,
    pacing.pod_cooldown_active,
    pacing.staggered,
    pacing.disruption_budget,
    records.circuit_open,
    records.evidence_missing,
    records.records_unavailable,
    # Is there room for it?
    budgets.budget_exhausted,
    budgets.below_min_ready,
    budgets.too_few_replicas,
    budgets.workload_budget,
    budgets.namespace_budget,
    budgets.cluster_budget,
    budgets.storm_active,
    # Does it suit the Deployment?
    fitness.at_max_replicas,
    fitness.drops_requests,
    fitness.worsens_leak,
    fitness.replicas_owned,
    fitness.template_owned,
    fitness.escalated,
]

# Answers that waiting does not change; then the policy's next action is considered.
IMPOSSIBLE = frozenset(
    {
        SkipReason.NOT_PERMITTED,
        SkipReason.AT_MAX_REPLICAS,
        SkipReason.DROPS_REQUESTS,
        SkipReason.WORSENS_LEAK,
        SkipReason.TOO_FEW_REPLICAS,
        SkipReason.REPLICAS_OWNED,
        SkipReason.TEMPLATE_OWNED,
    }
)

# Answers that hold for one pod only; then the next pod of the Deployment is considered.
OF_THE_POD = frozenset(
    {SkipReason.WARMING_UP, SkipReason.REFILLING, SkipReason.POD_COOLDOWN_ACTIVE, SkipReason.SILENCED}
)


def ask(candidate: Candidate, situation: Situation) -> tuple[Skip, ...]:
    """Every guard's no."""
    return tuple(skip for guard in GUARDS if (skip := guard(candidate, situation)) is not None)
