"""The ClusterReliabilityPolicies and namespaces that exist, by the last watch events, and the policies that follow from
them: one for each namespace that is selected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from leakwarden.api.v1alpha1.cluster_status import ClusterPolicyStatus
from leakwarden.api.v1alpha1.status import PolicyStatus
from leakwarden.core.model.cluster_policy import (
    ASKED_NAMESPACES,
    ClusterPolicy,
    beyond,
    confined_to,
    derive,
    derived_uid,
    oldest_first,
    parse_cluster_policy,
    selects_namespace,
    status_in,
)
from leakwarden.core.model.namespace import Namespace
from leakwarden.core.model.policy import Policy
from leakwarden.core.promql import Confined, Question, ask

IN_FORCE = 20  # ClusterReliabilityPolicies at once, the oldest: each costs some work in every namespace and tick
CONFINED_PER_TICK = 200  # namespaces for which the queries of a policy are confined; the rest follows in the next ticks


@dataclass(slots=True)
class ClusterPolicies:
    """Single-threaded, as PolicyStore is; `read` alone works in a thread, on what no one else changes.

    `reads` makes a policy of the API server's object and never raises; `asks` confines one query. `unsure` gives why the
    labels of namespaces are not known as they are now, or an empty string: then the policies only observe.
    """

    reads: Callable[[Mapping[str, Any]], ClusterPolicy] = parse_cluster_policy
    asks: Callable[[Question], Confined] = ask
    unsure: Callable[[], str] = lambda: ""
    in_force: int = IN_FORCE
    _bodies: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # objects that are not read yet, by UID
    _policies: dict[str, ClusterPolicy] = field(default_factory=dict)
    _namespaces: dict[str, Namespace] = field(default_factory=dict)  # by UID
    _named: dict[str, str] = field(default_factory=dict)  # UID by name
    # Policy UID, its generation, namespace UID -> its queries, confined to the namespace.
    _confined: dict[tuple[str, int, str], Mapping[Question, Confined]] = field(default_factory=dict)
    # By the derived UID: in memory alone. What must survive a restart is in LeakReports.
    _statuses: dict[str, PolicyStatus] = field(default_factory=dict)
    _derived: dict[str, Policy] | None = None  # by UID, in the order of precedence; None: to be derived again
    _derived_unsure: str = ""  # what `unsure` said when they were

    def put(self, body: Mapping[str, Any]) -> None:
        """Store a ClusterReliabilityPolicy from the API server; `read` reads it."""
        metadata = body.get("metadata")
        if isinstance(metadata, Mapping) and metadata.get("uid"):
            self._bodies[str(metadata["uid"])] = body

    def remove(self, uid: str) -> None:
        self._bodies.pop(uid, None)
        self._forget(uid)

    def put_namespace(self, namespace: Namespace) -> bool:
        """True where the policies that follow may have changed."""
        earlier = self._named.get(namespace.name, namespace.uid)
        if earlier != namespace.uid:
            self.remove_namespace(earlier)  # its deletion was missed; the name now belongs to another
        known = self._namespaces.get(namespace.uid)
        self._namespaces[namespace.uid] = namespace
        self._named[namespace.name] = namespace.uid
        if known == namespace:
            return False
        self._derived = None
        return bool(self._policies)

    def remove_namespace(self, uid: str) -> None:
        gone = self._namespaces.pop(uid, None)
        if gone is not None:
            self._named.pop(gone.name, None)
            self._confined = {key: held for key, held in self._confined.items() if key[2] != uid}
            self._derived = None

    async def read(self) -> None:
        """Read what the watch brought, and confine queries to namespaces that are new. In a thread: both may take as
        long as parsing queries does, and the event loop goes on meanwhile."""
        while self._bodies:
            uid, body = next(iter(self._bodies.items()))
            try:
                policy = await asyncio.to_thread(self.reads, body)
            except BaseException:
                if self._bodies.get(uid) is body:
                    del self._bodies[uid]  # a defect: the next one is read in the next tick
                raise
            if self._bodies.get(uid) is body:  # else it was changed or removed meanwhile
                del self._bodies[uid]
                self._take(policy)
        for policy, namespace in list(self._unconfined())[:CONFINED_PER_TICK]:
            assert policy.spec is not None
            found, _ = await asyncio.to_thread(confined_to, policy.spec, namespace.name, policy.labels, self.asks)
            if found:
                self._confined[policy.uid, policy.generation, namespace.uid] = found
                self._derived = None

    def _take(self, policy: ClusterPolicy) -> None:
        known = self._policies.get(policy.uid)
        if policy.spec is None and known is not None:
            # What its last readable spec selected stays its own, so that no younger one acts there meanwhile.
            policy = replace(
                policy,
                namespaces=policy.namespaces or known.namespaces,
                claims=policy.claims or known.claims,
                kinds=policy.kinds or known.kinds,
            )
        for uid in [uid for uid, other in self._policies.items() if other.name == policy.name and uid != policy.uid]:
            self._forget(uid)  # its deletion was missed; the name now belongs to another
        self._policies[policy.uid] = policy
        if known is not None and known.generation != policy.generation:
            self._confined = {key: held for key, held in self._confined.items() if key[0] != policy.uid}
        self._derived = None

    def _forget(self, uid: str) -> None:
        if self._policies.pop(uid, None) is not None:
            self._derived = None
            self._confined = {key: held for key, held in self._confined.items() if key[0] != uid}

    def _unconfined(self) -> Iterator[tuple[ClusterPolicy, Namespace]]:
        for policy in self._policies.values():
            if not policy.asks:
                continue
            for namespace in (
                self._selected(policy)[:ASKED_NAMESPACES] if policy.asks_each_tick else self._selected(policy)
            ):
                if (policy.uid, policy.generation, namespace.uid) not in self._confined:
                    yield policy, namespace

    def _selected(self, policy: ClusterPolicy) -> list[Namespace]:
        return oldest_first([each for each in self._namespaces.values() if selects_namespace(policy.namespaces, each)])

    def known(self) -> list[ClusterPolicy]:
        """All that were read, oldest first; those beyond `in_force` without their spec, and with the reason."""
        found = sorted(self._policies.values(), key=lambda policy: (policy.created, policy.name))
        why = (
            f"the cluster has more than {self.in_force} ClusterReliabilityPolicies; the oldest {self.in_force} are in"
            " force, and this one is not"
        )
        return found[: self.in_force] + [
            replace(each, spec=None, error=why, over_limit=True, claims=None) for each in found[self.in_force :]
        ]

    def selected(self, policy: ClusterPolicy) -> int:
        """In how many namespaces the policy holds, or will hold once its queries are read."""
        return len(self._selected(policy))

    def all(self) -> list[Policy]:
        """The derived policies, in the order of precedence within each namespace."""
        return list(self._current().values())

    def get(self, uid: str) -> Policy | None:
        return self._current().get(uid)

    def _current(self) -> dict[str, Policy]:
        unsure = self.unsure()
        if self._derived is None or unsure != self._derived_unsure:
            self._derived = {policy.uid: policy for policy in self._derive(unsure)}
            self._derived_unsure = unsure
            self._statuses = {uid: held for uid, held in self._statuses.items() if uid in self._derived}
        return self._derived

    def _derive(self, unsure: str) -> Iterator[Policy]:
        for policy in self.known():
            for place, namespace in enumerate(self._selected(policy)):
                confined = self._confined.get((policy.uid, policy.generation, namespace.uid))
                late = policy.asks_each_tick and place >= ASKED_NAMESPACES
                if policy.asks and confined is None and not late:
                    continue  # its queries are read in one of the next ticks
                uid = derived_uid(policy.uid, namespace.uid)
                held = self._statuses.get(uid) or status_in(policy.status, namespace.name)
                made = derive(policy, namespace, unsure=unsure, confined=confined, status=held)
                yield beyond(made, _ASKED_TOO_OFTEN) if late else made

    def wrote(self, uid: str, status: PolicyStatus) -> None:
        """Remember the status of a derived policy."""
        if self._derived is not None and uid in self._derived:
            self._statuses[uid] = status
            self._derived[uid] = replace(self._derived[uid], status=status)

    def wrote_cluster(self, uid: str, resource_version: str, status: ClusterPolicyStatus) -> None:
        """Remember our own write, which the watch will show again later."""
        known = self._policies.get(uid)
        if known is not None:
            self._policies[uid] = replace(known, resource_version=resource_version, status=status)


_ASKED_TOO_OFTEN = (
    "spec.signals has a query of its own, which is sent once a tick for each namespace; the policy is in force in the oldest"
    f" {ASKED_NAMESPACES} of those that it selects, and not in this one"
)
