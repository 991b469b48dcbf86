"""A pod template and its containers as the API server streams them, pruned to the fields that decisions need.

As in `wire`, every field may be absent or null.
"""

from __future__ import annotations

import msgspec

from leakwarden.adapters.cluster.wire import ApiLabelSelector, Wire


class ApiHttpGet(Wire):
    path: str | None = None
    port: int | str | None = None
    scheme: str | None = None
    host: str | None = None


class ApiTcpSocket(Wire):
    port: int | str | None = None
    host: str | None = None


class ApiGrpc(Wire):
    port: int | str | None = None
    service: str | None = None


class ApiExec(Wire):
    command: list[str] | None = None


class ApiSleep(Wire):
    seconds: int | None = None


class ApiProbe(Wire):
    http_get: ApiHttpGet | None = None
    tcp_socket: ApiTcpSocket | None = None
    grpc: ApiGrpc | None = None
    exec: ApiExec | None = None
    initial_delay_seconds: int | None = None
    period_seconds: int | None = None
    timeout_seconds: int | None = None
    failure_threshold: int | None = None
    success_threshold: int | None = None
    termination_grace_period_seconds: int | None = None


class ApiHandler(Wire):
    sleep: ApiSleep | None = None
    exec: ApiExec | None = None
    http_get: ApiHttpGet | None = None
    tcp_socket: ApiTcpSocket | None = None


class ApiLifecycle(Wire):
    post_start: ApiHandler | None = None
    pre_stop: ApiHandler | None = None


class ApiContainerPort(Wire):
    name: str | None = None
    container_port: int | None = None
    host_port: int | None = None
    protocol: str | None = None


class ApiResourceField(Wire):
    container_name: str | None = None
    resource: str | None = None
    divisor: int | float | str | None = None


class ApiKeyReference(Wire):
    name: str | None = None
    key: str | None = None
    optional: bool | None = None


class ApiEnvSource(Wire):
    resource_field_ref: ApiResourceField | None = None
    config_map_key_ref: ApiKeyReference | None = None
    secret_key_ref: ApiKeyReference | None = None


class ApiEnvVar(Wire):
    name: str | None = None
    value: str | None = None
    value_from: ApiEnvSource | None = None


class ApiEnvFrom(Wire):
    config_map_ref: ApiKeyReference | None = None
    secret_ref: ApiKeyReference | None = None
    prefix: str | None = None


class ApiResources(Wire):
    limits: dict[str, int | float | str | None] | None = None
    requests: dict[str, int | float | str | None] | None = None


class ApiMount(Wire):
    name: str | None = None
    sub_path: str | None = None
    sub_path_expr: str | None = None


class ApiContainer(Wire):
    name: str
    image: str | None = None
    ports: list[ApiContainerPort] | None = None
    env: list[ApiEnvVar] | None = None
    resources: ApiResources | None = None
    liveness_probe: ApiProbe | None = None
    readiness_probe: ApiProbe | None = None
    startup_probe: ApiProbe | None = None
    lifecycle: ApiLifecycle | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    env_from: list[ApiEnvFrom] | None = None
    restart_policy: str | None = None  # of init containers
    volume_mounts: list[ApiMount] | None = None


class ApiSpread(Wire):
    topology_key: str | None = None
    when_unsatisfiable: str | None = None
    label_selector: ApiLabelSelector | None = None


class ApiAffinityTerm(Wire):
    topology_key: str | None = None
    label_selector: ApiLabelSelector | None = None


class ApiWeightedTerm(Wire):
    pod_affinity_term: ApiAffinityTerm | None = None


class ApiAntiAffinity(Wire):
    required: list[ApiAffinityTerm] | None = msgspec.field(
        name="requiredDuringSchedulingIgnoredDuringExecution", default=None
    )
    preferred: list[ApiWeightedTerm] | None = msgspec.field(
        name="preferredDuringSchedulingIgnoredDuringExecution", default=None
    )


class ApiAffinity(Wire):
    pod_anti_affinity: ApiAntiAffinity | None = None


class ApiClaimVolume(Wire):
    claim_name: str | None = None


class ApiEmptyDir(Wire):
    medium: str | None = None
    size_limit: int | float | str | None = None


class ApiKeyItem(Wire):
    key: str | None = None


class ApiConfigVolume(Wire):
    name: str | None = None
    items: list[ApiKeyItem] | None = None
    optional: bool | None = None


class ApiSecretVolume(Wire):
    secret_name: str | None = None
    items: list[ApiKeyItem] | None = None
    optional: bool | None = None


class ApiProjection(Wire):
    config_map: ApiConfigVolume | None = None
    secret: ApiConfigVolume | None = None  # with `name` here, and not secretName


class ApiProjectedVolume(Wire):
    sources: list[ApiProjection] | None = None


class ApiVolume(Wire):
    """The kinds that a check uses; of any other kind only the name is kept."""

    name: str | None = None
    persistent_volume_claim: ApiClaimVolume | None = None
    empty_dir: ApiEmptyDir | None = None
    config_map: ApiConfigVolume | None = None
    secret: ApiSecretVolume | None = None
    projected: ApiProjectedVolume | None = None


class ApiReadinessGate(Wire):
    condition_type: str | None = None


class ApiTemplateSpec(Wire):
    containers: list[ApiContainer] | None = None
    termination_grace_period_seconds: int | None = None
    init_containers: list[ApiContainer] | None = None
    host_network: bool | None = None
    share_process_namespace: bool | None = None
    resources: ApiResources | None = None
    topology_spread_constraints: list[ApiSpread] | None = None
    affinity: ApiAffinity | None = None
    volumes: list[ApiVolume] | None = None
    restart_policy: str | None = None
    readiness_gates: list[ApiReadinessGate] | None = None
    node_name: str | None = None
    node_selector: dict[str, str] | None = None


class ApiTemplateMeta(Wire):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class ApiTemplate(Wire):
    metadata: ApiTemplateMeta | None = None
    spec: ApiTemplateSpec | None = None
