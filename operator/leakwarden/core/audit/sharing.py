"""What several workloads share: a budget, a quota, a Service. Computed once for all of them, in linear time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from leakwarden.core.audit.related import Budget, Full, Quota, Service, Shared
from leakwarden.core.model.workload import Container, Workload

_COUNTED = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "Rollout"})
Together = Callable[[Budget | Service, int], bool]  # whether both are certainly applied to one namespace


@dataclass(frozen=True, slots=True)
class Sharing:
    """The workloads that were read, and how many pods an autoscaler leaves each at least."""

    workloads: Sequence[Workload]
    least: Sequence[int]

    def budget(self, budget: Budget, positions: Sequence[int], together: Together) -> Shared | None:
        """The pods that one budget counts, where it selects more than one workload; None where it selects one, or where
        their number is not known."""
        found: dict[str, int] = {}
        for position in positions:
            each = self.workloads[position]
            if each.owner or not together(budget, position):
                continue
            if each.kind not in _COUNTED:
                return None
            # An Argo Rollout and the Deployment of its name take turns; copies of one object are one.
            found[each.name] = max(found.get(each.name, 0), self.least[position])
        present = {name: pods for name, pods in found.items() if pods}
        return Shared(sum(present.values()), tuple(present)[:3], len(present)) if len(present) > 1 else None

    def server(self, service: Service, positions: Sequence[int], together: Together) -> Workload | None:
        """The first of several workloads behind a Service that declares all ports that it sends to."""
        targets = {port.target for port in service.ports}
        if len(positions) < 2 or not targets:
            return None
        for position in positions:
            each = self.workloads[position]
            declared = {value for c in (*each.containers, *each.pods.sidecars) for port in c.ports for value in port}
            if together(service, position) and targets <= declared:
                return each
        return None

    def full(self, quotas: Sequence[Quota]) -> Mapping[str, tuple[Full, ...]]:
        """What the pods of each namespace use of its quotas, at least: of the workloads that were read, and where both
        name the namespace."""
        wanted = {quota.identity.namespace for quota in quotas} - {""}
        used: dict[str, dict[str, dict[tuple[str, str], float]]] = {space: {} for space in wanted}
        for position, each in enumerate(self.workloads):
            if each.namespace not in wanted or each.owner or each.kind not in _COUNTED:
                continue
            for resource, amount in asked(each).items():
                held = used[each.namespace].setdefault(resource, {})
                pods, key = amount * self.least[position], (each.kind, each.name)
                held[key] = min(held.get(key, pods), pods)  # of copies of one object the smaller one
        made: dict[str, list[Full]] = {}
        for quota in quotas:
            if quota.identity.namespace in wanted:
                taken = used[quota.identity.namespace]
                made.setdefault(quota.identity.namespace, []).extend(
                    Full(quota.identity, resource, hard, sum(taken.get(resource, {}).values()))
                    for resource, hard in quota.hard
                )
        return {space: tuple(each) for space, each in made.items()}


def asked(workload: Workload) -> dict[str, float]:
    """The amounts that one pod asks of a quota, by the resource's full name: at least, since what a LimitRange or an init
    container adds is not known."""
    pods = workload.pods
    everything: tuple[Container, ...] = (*workload.containers, *pods.sidecars)
    return {
        "pods": 1.0,
        "requests.cpu": pods.cpu_request or sum(each.cpu_request or 0.0 for each in everything),
        "requests.memory": pods.memory_request or sum(each.memory_request or 0.0 for each in everything),
        "limits.cpu": sum(each.cpu_limit or 0.0 for each in everything),
        "limits.memory": pods.memory_limit or sum(each.memory_limit or 0.0 for each in everything),
    }


def distinguishing(service: Service, server: Workload, other: Workload) -> dict[str, str]:
    """The labels of the workload that serves which the other one's pods do not have."""
    return {
        key: value
        for key, value in server.pods.labels.items()
        if key not in service.selector and other.pods.labels.get(key) != value
    }
