"""Guards: each a small named question that may refuse a candidate, with its reason.

GUARDS is the list. All of them are evaluated, so that a person reads every reason at once; their order does not matter
to the outcome. A new guard needs a reason (SkipReason), a record with the question (`@guard` in the module that suits
it), a line in the list and two fixtures in tests/unit/guards/test_guards.py.
"""

from __future__ import annotations

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.core.guards import budgets, consent, fitness, freshness, kinds, pacing, records
from leakwarden.core.guards.model import About, Candidate, Guard, Situation, Skip, Surroundings

__all__ = [
    "GUARDS",
    "IMPOSSIBLE",
    "OF_THE_POD",
    "SKIP_MEANINGS",
    "About",
    "Candidate",
    "Guard",
    "Situation",
    "Skip",
    "Surroundings",
    "ask",
]

GUARDS: list[Guard] = [
    # Do people want it?
    consent.suspended,
    consent.observing,
    consent.paused,
    consent.conflicted,
    consent.opted_out,
    consent.pod_protected,
    consent.not_permitted,
    consent.outside_maintenance,
    consent.vetoed,
    consent.silenced,
    # Are the facts complete?
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
    # Does it suit the workload?
    kinds.unsupported_by_kind,
    kinds.one_at_a_time,
    fitness.at_max_replicas,
    fitness.drops_requests,
    fitness.worsens_leak,
    fitness.replicas_owned,
    fitness.template_owned,
    fitness.escalated,
]

# Reasons that waiting does not change; then the policy's next action is considered.
IMPOSSIBLE = frozenset(guard.reason for guard in GUARDS if not guard.waiting_helps)

# Reasons that hold for one pod only; then the next pod of the workload is considered.
OF_THE_POD = frozenset(guard.reason for guard in GUARDS if guard.about is About.POD)

# Reasons that the engine gives, not a guard.
_OF_THE_ENGINE = {
    SkipReason.EVIDENCE_PENDING: "Profiles of this pod are being taken, or of others before it. Everything else goes on"
    " meanwhile; the action waits no longer than three minutes for that.",
}

_MEANINGS = {**{guard.reason: guard.meaning for guard in GUARDS}, **_OF_THE_ENGINE}
# The meaning of each reason, in the order of SkipReason: the table of docs/reference/conditions.md.
SKIP_MEANINGS: dict[SkipReason, str] = {reason: _MEANINGS[reason] for reason in SkipReason}


def ask(candidate: Candidate, situation: Situation) -> tuple[Skip, ...]:
    """The refusals of all guards."""
    return tuple(skip for guard in GUARDS if (skip := guard(candidate, situation)) is not None)
