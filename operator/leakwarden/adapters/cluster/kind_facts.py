"""From the wire to core facts, of the kinds of workload other than Deployments.

Each is read as a Deployment as far as the two agree; the rest is stated in fields of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from leakwarden.adapters.cluster import facts, kind_wire, wire
from leakwarden.adapters.cluster.resource import Resource
from leakwarden.api.v1alpha1.kinds import KINDS, WorkloadKind
from leakwarden.core.model.workload import Workload


def stateful_set(item: kind_wire.ApiStatefulSet) -> Workload:
    """A StatefulSet. Raises msgspec.ValidationError when its pod template does not fit."""
    spec, status = item.spec or kind_wire.ApiStatefulSetSpec(), item.status or kind_wire.ApiStatefulSetStatus()
    update = spec.update_strategy or kind_wire.ApiUpdateStrategy()
    rolling = update.rolling_update or kind_wire.ApiPartitionedUpdate()
    replicas = 1 if spec.replicas is None else spec.replicas
    found = facts.workload(
        wire.ApiDeployment(
            item.metadata,
            wire.ApiDeploymentSpec(
                replicas=spec.replicas,
                strategy=wire.ApiStrategy(update.type, rolling),
                min_ready_seconds=spec.min_ready_seconds,
                revision_history_limit=spec.revision_history_limit,
                service_name=spec.service_name,
                template=spec.template,
            ),
            wire.ApiDeploymentStatus(
                observed_generation=status.observed_generation,
                updated_replicas=status.updated_replicas,
                ready_replicas=status.ready_replicas,
                unavailable_replicas=max(0, replicas - (status.available_replicas or 0)),
            ),
        ),
        WorkloadKind.STATEFUL_SET,
    )
    return replace(
        found,
        kind=str(WorkloadKind.STATEFUL_SET),
        ordered=spec.pod_management_policy != "Parallel",
        # Pods below the partition keep the template that they have, also when they are made again.
        to_update=max(0, replicas - (rolling.partition or 0)),
    )


def daemon_set(item: kind_wire.ApiDaemonSet) -> Workload:
    """A DaemonSet; its replicas are the nodes that it has to run on. Raises msgspec.ValidationError when its pod
    template does not fit."""
    spec, status = item.spec or kind_wire.ApiDaemonSetSpec(), item.status or kind_wire.ApiDaemonSetStatus()
    found = facts.workload(
        wire.ApiDeployment(
            item.metadata,
            wire.ApiDeploymentSpec(
                replicas=status.desired_number_scheduled or 0,
                strategy=spec.update_strategy,
                min_ready_seconds=spec.min_ready_seconds,
                revision_history_limit=spec.revision_history_limit,
                template=spec.template,
            ),
            wire.ApiDeploymentStatus(
                observed_generation=status.observed_generation,
                updated_replicas=status.updated_number_scheduled,
                ready_replicas=status.number_ready,
                unavailable_replicas=status.number_unavailable,
            ),
        ),
        WorkloadKind.DAEMON_SET,
    )
    return replace(found, kind=str(WorkloadKind.DAEMON_SET), replicas_given=False)


def rollout(item: kind_wire.ApiRollout) -> Workload:
    """A Rollout of Argo Rollouts. Raises msgspec.ValidationError when its pod template does not fit."""
    spec, status = item.spec or kind_wire.ApiRolloutSpec(), item.status or kind_wire.ApiRolloutStatus()
    strategy = spec.strategy or kind_wire.ApiRolloutStrategy()
    if strategy.blue_green is not None:
        rolled = wire.ApiStrategy("BlueGreen", wire.ApiRollingUpdate(strategy.blue_green.max_unavailable or 0))
    else:
        canary = strategy.canary or wire.ApiRollingUpdate()
        # The defaults of Argo Rollouts, which its CRD does not write into the object.
        limits = (_or(canary.max_unavailable, "25%"), _or(canary.max_surge, "25%"))
        rolled = wire.ApiStrategy("RollingUpdate", wire.ApiRollingUpdate(*limits))
    replicas = 1 if spec.replicas is None else spec.replicas
    found = facts.workload(
        wire.ApiDeployment(
            item.metadata,
            wire.ApiDeploymentSpec(
                replicas=spec.replicas,
                paused=spec.paused,
                strategy=rolled,
                min_ready_seconds=spec.min_ready_seconds,
                revision_history_limit=spec.revision_history_limit,
                progress_deadline_seconds=spec.progress_deadline_seconds,
                template=spec.template,
            ),
            wire.ApiDeploymentStatus(
                observed_generation=_number(status.observed_generation),
                updated_replicas=status.updated_replicas,
                ready_replicas=status.ready_replicas,
                unavailable_replicas=max(0, replicas - (status.available_replicas or 0)),
            ),
        ),
        WorkloadKind.ROLLOUT,
    )
    reference = str((spec.workload_ref or {}).get("name") or "")
    return replace(
        found,
        kind=str(WorkloadKind.ROLLOUT),
        # While a canary is tried, while a new version waits to be promoted, and after it was aborted, they differ.
        promoted=bool(status.stable_rs) and status.stable_rs == status.current_pod_hash,
        template_of=reference[:253],
    )


def _or(value: int | str | None, default: str) -> int | str:
    return default if value is None else value


def _number(text: int | str | None) -> int | None:
    """The generation, which Argo Rollouts writes as text; None where it is not a number (versions before 1.0 wrote a
    hash)."""
    return int(text) if text is not None and str(text).isascii() and str(text).isdigit() else None


# The kinds beyond Deployments: what is asked of the API server, and how its objects are read.
FOLLOWED: dict[WorkloadKind, tuple[Resource[Any], Callable[[Any], Workload]]] = {
    kind: (
        Resource(
            f"apis/{KINDS[kind].group_version}",
            KINDS[kind].plural,
            item,
            absent="" if KINDS[kind].built_in else "its CRD is not installed",
        ),
        read,
    )
    for kind, item, read in (
        (WorkloadKind.STATEFUL_SET, kind_wire.ApiStatefulSet, stateful_set),
        (WorkloadKind.DAEMON_SET, kind_wire.ApiDaemonSet, daemon_set),
        (WorkloadKind.ROLLOUT, kind_wire.ApiRollout, rollout),
    )
}
# The kinds whose pods they control themselves, without a ReplicaSet.
DIRECT = frozenset({WorkloadKind.STATEFUL_SET, WorkloadKind.DAEMON_SET})
