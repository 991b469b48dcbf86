"""Questions to the API server itself right before a change, since the watched view may be out of date."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from leakwarden.core.model.cluster_policy import why_not_now
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Disruption, Pod
from leakwarden.engine.ports import Attempt, Cluster, ClusterUnavailable, Forbidden, Outcome
from leakwarden.engine.rights import BUDGETS, POLICY_AGAIN, Rights

log = logging.getLogger("leakwarden.doubts")


@dataclass(frozen=True, slots=True)
class Doubts:
    cluster: Cluster
    rights: Rights

    async def of_policy(self, policy: Policy) -> str:
        """Why our copy of the policy may be out of date: a watch can be cut, or refused, for longer than a person who
        suspends a policy would wait. Empty where our copy is current. For a policy of the cluster the namespace is read
        again as well: it may have lost the label that lets the policy act there."""
        try:
            generation, bound = await self._as_it_is_now(policy)
        except ClusterUnavailable as error:
            if isinstance(error, Forbidden):
                self.rights.lacks(policy, POLICY_AGAIN, f"{error}, so nothing is done")
            log.warning(
                "not acting: the policy could not be read again", extra={"policy": policy.key, "error": str(error)}
            )
            return f"the policy could not be read again before acting: {error}"
        self.rights.has(policy, POLICY_AGAIN)
        return bound if generation == policy.generation else "the policy has changed since it was read"

    async def _as_it_is_now(self, policy: Policy) -> tuple[int | None, str]:
        """The policy's generation, and why it may not act in its namespace, or empty. Raises ClusterUnavailable."""
        if policy.origin is None:
            return await self.cluster.policy_generation(policy.namespace, policy.name, policy.uid), ""
        generation = await self.cluster.policy_generation("", policy.name, policy.origin.uid)
        return generation, why_not_now(policy, await self.cluster.namespace(policy.namespace))

    async def of_budgets(self, policy: Policy, pod: Pod, taken: int) -> Attempt | None:
        """The refusal where a PodDisruptionBudget of the pod allows fewer disruptions than the `taken` pods that the change
        takes away at once, or where that cannot be read; None where all of them allow it.

        For changes that do not pass the Eviction API, which checks the budgets itself.
        """
        if taken <= 0:
            return None
        try:
            budgets = await self._read(policy, pod)
        except ClusterUnavailable as error:
            return Attempt(
                Outcome.BLOCKED, f"whether a PodDisruptionBudget forbids it is not known: {error}", budget=""
            )
        for budget in budgets:
            if budget.disruptions_allowed < taken:
                allowed = f"allows {budget.disruptions_allowed} disruptions now, it takes {taken}"
                return Attempt(Outcome.BLOCKED, f"PodDisruptionBudget {budget.name} {allowed}", budget=budget.name)
        return None

    async def with_budget(self, attempt: Attempt, policy: Policy, pod: Pod) -> Attempt:
        """A refused eviction with the name of the PodDisruptionBudget that refuses, where that can be read."""
        try:
            budgets = await self._read(policy, pod)
        except ClusterUnavailable:
            return attempt
        spent = ", ".join(budget.name for budget in budgets if budget.disruptions_allowed <= 0)
        return replace(attempt, message=f"{attempt.message}: {spent}") if spent else attempt

    async def _read(self, policy: Policy, pod: Pod) -> tuple[Disruption, ...]:
        """Raises ClusterUnavailable."""
        try:
            found = tuple(await self.cluster.disruption_budgets(pod))
        except ClusterUnavailable as error:
            if isinstance(error, Forbidden):
                self.rights.lacks(policy, BUDGETS, f"{error}, so what a PodDisruptionBudget forbids is not known")
            log.warning("PodDisruptionBudgets could not be read", extra={"policy": policy.key, "error": str(error)})
            raise
        self.rights.has(policy, BUDGETS)
        return found
