"""The set of policies that exist, by the last watch events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from leakwarden.api.v1alpha1.status import PolicyStatus
from leakwarden.core.evaluation.evaluation import targets
from leakwarden.core.model.policy import Policy, parse_policy
from leakwarden.core.model.workload import Snapshot
from leakwarden.engine.cluster_policies import ClusterPolicies
from leakwarden.engine.defects import Defects


@dataclass(slots=True)
class PolicyStore:
    """Keyed by UID: a policy that is deleted and created again under its name is another policy.

    A policy that is deleted but still held here can do no harm: its intent cannot be written, so nothing is done.
    """

    # Policies of one namespace that are in force at once, the oldest first: each costs every tick some work.
    per_namespace: int = 100
    _by_uid: dict[str, Policy] = field(default_factory=dict)
    _uid_of: dict[str, str] = field(default_factory=dict)  # by namespace and name
    clusters: ClusterPolicies = field(default_factory=ClusterPolicies)

    async def read(self) -> None:
        """To be called at the start of a tick: read what the watches brought and is not read yet."""
        await self.clusters.read()

    def all(self) -> list[Policy]:
        """All policies in the order of precedence, so that this is the order of work: those of namespaces, oldest first,
        then those that ClusterReliabilityPolicies have there. A namespace's policies beyond `per_namespace` select
        nothing, and their conditions state why; those of the cluster do not count, or a tenant could push them out."""
        counted: Counter[str] = Counter()
        found = []
        for policy in sorted(self._by_uid.values(), key=lambda policy: policy.precedence):
            counted[policy.namespace] += 1
            found.append(policy if counted[policy.namespace] <= self.per_namespace else self._beyond(policy))
        return [*found, *self.clusters.all()]

    def _beyond(self, policy: Policy) -> Policy:
        why = (
            f"the namespace has more than {self.per_namespace} policies; the oldest {self.per_namespace} are in force, and"
            " this one is not (guards.namespacePolicies in the chart's values)"
        )
        return replace(policy, spec=None, error=why, over_limit=True, confined={}, claims=None)

    def get(self, uid: str) -> Policy | None:
        return self._by_uid.get(uid) or self.clusters.get(uid)

    def put(self, body: Mapping[str, Any]) -> bool:
        """Store a policy from the API server; True if the spec changed, so that the engine should tick at once."""
        return self.take(parse_policy(body))

    def take(self, policy: Policy) -> bool:
        """The same for a parsed policy. An unreadable version replaces the earlier one, and keeps the selection of the
        earlier one."""
        known = self._by_uid.get(policy.uid)
        if policy.spec is None and known is not None and known.claims is not None:
            policy = replace(policy, claims=known.claims, kinds=known.kinds)
        if known is not None:
            # The watch shows what was written here: one copy of it is enough.
            status = known.status if known.status == policy.status else policy.status
            policy = replace(policy, status=status)
        former = self._uid_of.get(policy.key, policy.uid)
        if former != policy.uid:
            self._by_uid.pop(former, None)  # its deletion was missed; the name now belongs to another
        self._uid_of[policy.key] = policy.uid
        self._by_uid[policy.uid] = policy
        return known is None or known.generation != policy.generation

    def remove(self, uid: str) -> None:
        gone = self._by_uid.pop(uid, None)
        if gone is not None and self._uid_of.get(gone.key) == uid:
            del self._uid_of[gone.key]

    def wrote(self, uid: str, resource_version: str, status: PolicyStatus) -> None:
        """Remember our own write, which the watch will show again later. The status of a derived policy is held here
        alone, without a version."""
        self.clusters.wrote(uid, status)
        known = self._by_uid.get(uid)
        if known is not None:
            self._by_uid[uid] = replace(known, resource_version=resource_version, status=status)


def sound(policies: Sequence[Policy], snapshot: Snapshot, defects: Defects) -> list[Policy]:
    """The policies whose targets are known. Where a defect hides one's, nothing is done in its namespace: an older policy
    may own the targets that a younger one selects. One of the cluster comes after those of the namespace, and stops only
    others of the cluster."""
    hidden: set[str] = set()
    hidden_from_the_cluster: set[str] = set()
    for policy in policies:
        with defects.contained("matched", policy):
            targets(policy, snapshot)
        if defects.of(policy.uid) is not None:
            (hidden if policy.origin is None else hidden_from_the_cluster).add(policy.namespace)
    return [
        policy
        for policy in policies
        if policy.namespace not in hidden and (policy.origin is None or policy.namespace not in hidden_from_the_cluster)
    ]
