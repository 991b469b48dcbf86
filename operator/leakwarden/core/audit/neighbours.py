"""The other objects that were read of a cluster, and those that belong to each workload."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from leakwarden.core.audit.disruption import allowed
from leakwarden.core.audit.landscape import Landscape
from leakwarden.core.audit.related import Budget, Claim, Handling, KeySource, Monitor, Related, Route, Scaler, Service
from leakwarden.core.model.workload import Disruption, Workload

_SCALED = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "Rollout"})


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The objects of one reading of a cluster. `unread`: the kinds that could not be read, each with the reason in
    words."""

    budgets: Sequence[Budget] = ()
    scalers: Sequence[Scaler] = ()
    services: Sequence[Service] = ()
    monitors: Sequence[Monitor] = ()
    routes: Sequence[Route] = ()
    claims: Sequence[Claim] = ()
    sources: Sequence[KeySource] = ()
    handlings: Sequence[Handling] = ()
    unread: Mapping[str, str] = field(default_factory=dict)

    def relate(self, workloads: Sequence[Workload]) -> list[Related]:
        """The objects that belong to each workload, in the order of the workloads."""
        landscape = Landscape(
            workloads=workloads,
            budgets=self.budgets,
            scalers=self.scalers,
            services=self.services,
            monitors=self.monitors,
            routes=self.routes,
            claims=self.claims,
            sources=self.sources,
            handlings=self.handlings,
            complete=not self.unread,
        )
        return landscape.relate()[0]


def several(kind: str) -> str:
    """Ingresses, Services."""
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def unread_in_words(unread: Mapping[str, str]) -> tuple[str, ...]:
    """One line per reason, with the kinds that could not be read for it."""
    kinds: dict[str, list[str]] = {}
    for kind, why in unread.items():
        kinds.setdefault(why, []).append(several(kind))
    return tuple(f"{', '.join(each)} {why}" for why, each in kinds.items())


def placed(workload: Workload, related: Related, budgets_known: bool) -> tuple[Workload, tuple[Disruption, ...] | None]:
    """The workload with the least number of pods that an autoscaler leaves it, and the evictions that its budgets then
    allow.

    None in place of budgets where no budget was read that could be meant for it: its budget may be defined elsewhere.
    """
    if related.scalers and workload.kind in _SCALED:
        workload = running(workload, max(1, min(scaler.minimum for scaler in related.scalers)))
    disruptions = tuple(
        Disruption(workload.namespace, budget.identity.name, _allowed(budget, workload.replicas, related))
        for budget in related.budgets
    )
    return workload, disruptions if disruptions or budgets_known else None


def _allowed(budget: Budget, replicas: int, related: Related) -> int:
    """Evictions of the workload's pods; a budget of several workloads counts the pods of all of them together."""
    shared = related.shared.get(budget.identity.name)
    return min(replicas, allowed(budget, shared.pods if shared else replicas))


def running(workload: Workload, replicas: int) -> Workload:
    """The workload as it is with that many pods running and no rollout under way."""
    return dataclasses.replace(
        workload,
        generation=1,
        observed_generation=1,
        replicas=replicas,
        updated_replicas=replicas,
        ready_replicas=replicas,
        unavailable_replicas=0,
    )
