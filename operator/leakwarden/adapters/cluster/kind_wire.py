"""StatefulSets, DaemonSets and Argo Rollouts as the API server streams them, pruned to the fields that decisions need.

As in `wire`, every field may be absent or null.
"""

from __future__ import annotations

from typing import Any

import msgspec

from leakwarden.adapters.cluster.wire import ApiMeta, ApiRollingUpdate, ApiStrategy, Wire


class ApiPartitionedUpdate(ApiRollingUpdate):
    partition: int | None = None


class ApiUpdateStrategy(Wire):
    type: str | None = None
    rolling_update: ApiPartitionedUpdate | None = None


class ApiStatefulSetSpec(Wire):
    replicas: int | None = None
    pod_management_policy: str | None = None
    update_strategy: ApiUpdateStrategy | None = None
    min_ready_seconds: int | None = None
    revision_history_limit: int | None = None
    service_name: str | None = None
    template: msgspec.Raw = msgspec.Raw(b"")


class ApiStatefulSetStatus(Wire):
    observed_generation: int | None = None
    replicas: int | None = None
    updated_replicas: int | None = None
    ready_replicas: int | None = None
    available_replicas: int | None = None


class ApiStatefulSet(Wire):
    metadata: ApiMeta
    spec: ApiStatefulSetSpec | None = None
    status: ApiStatefulSetStatus | None = None


class ApiDaemonSetSpec(Wire):
    update_strategy: ApiStrategy | None = None
    min_ready_seconds: int | None = None
    revision_history_limit: int | None = None
    template: msgspec.Raw = msgspec.Raw(b"")


class ApiDaemonSetStatus(Wire):
    observed_generation: int | None = None
    desired_number_scheduled: int | None = None
    updated_number_scheduled: int | None = None
    number_ready: int | None = None
    number_unavailable: int | None = None


class ApiDaemonSet(Wire):
    metadata: ApiMeta
    spec: ApiDaemonSetSpec | None = None
    status: ApiDaemonSetStatus | None = None


class ApiBlueGreen(Wire):
    max_unavailable: int | str | None = None


class ApiRolloutStrategy(Wire):
    canary: ApiRollingUpdate | None = None
    blue_green: ApiBlueGreen | None = None


class ApiRolloutSpec(Wire):
    replicas: int | None = None
    paused: bool | None = None
    strategy: ApiRolloutStrategy | None = None
    min_ready_seconds: int | None = None
    revision_history_limit: int | None = None
    progress_deadline_seconds: int | None = None
    # The Deployment that holds the pod template, where it is not in the Rollout itself.
    workload_ref: dict[str, Any] | None = None
    template: msgspec.Raw = msgspec.Raw(b"")


class ApiRolloutStatus(Wire):
    observed_generation: int | str | None = None  # the controller writes it as text
    updated_replicas: int | None = None
    ready_replicas: int | None = None
    available_replicas: int | None = None
    current_pod_hash: str | None = None
    stable_rs: str | None = msgspec.field(name="stableRS", default=None)


class ApiRollout(Wire):
    metadata: ApiMeta
    spec: ApiRolloutSpec | None = None
    status: ApiRolloutStatus | None = None
