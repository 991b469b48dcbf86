"""What the API server streams, pruned to the fields decisions need.

Every field may be absent or null: a Struct without a field costs neither memory nor CPU for it, and a
null where a value was expected must not lose the rest of a page. Types that do not fit are a
`msgspec.ValidationError`, which the reflector counts and survives.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Wire(msgspec.Struct, rename="camel", gc=False):
    """Short-lived: decoded, converted to core facts, dropped."""


class Owner(Wire):
    kind: str | None = None
    name: str | None = None
    uid: str | None = None
    controller: bool | None = None


class Meta(Wire):
    uid: str
    name: str
    namespace: str | None = None
    resource_version: str | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    generation: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[Owner] | None = None


class BareMeta(Wire):
    """Identity alone: for ReplicaSets, where labels and annotations of 10 revisions each would cost most memory."""

    uid: str
    name: str
    namespace: str | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: list[Owner] | None = None


class HttpGet(Wire):
    path: str | None = None
    port: int | str | None = None
    scheme: str | None = None


class PortOnly(Wire):
    port: int | str | None = None


class Exec(Wire):
    command: list[str] | None = None


class Sleep(Wire):
    seconds: int | None = None


class Probe(Wire):
    http_get: HttpGet | None = None
    tcp_socket: PortOnly | None = None
    grpc: PortOnly | None = None
    exec: Exec | None = None
    initial_delay_seconds: int | None = None
    period_seconds: int | None = None
    timeout_seconds: int | None = None
    failure_threshold: int | None = None
    success_threshold: int | None = None


class Handler(Wire):
    sleep: Sleep | None = None
    exec: Exec | None = None
    http_get: HttpGet | None = None
    tcp_socket: PortOnly | None = None


class Lifecycle(Wire):
    pre_stop: Handler | None = None


class ContainerPort(Wire):
    name: str | None = None
    container_port: int | None = None


class ResourceField(Wire):
    container_name: str | None = None
    resource: str | None = None
    divisor: int | float | str | None = None


class EnvSource(Wire):
    resource_field_ref: ResourceField | None = None


class EnvVar(Wire):
    name: str | None = None
    value: str | None = None
    value_from: EnvSource | None = None


class Resources(Wire):
    limits: dict[str, int | float | str | None] | None = None


class Container(Wire):
    name: str
    image: str | None = None
    ports: list[ContainerPort] | None = None
    env: list[EnvVar] | None = None
    resources: Resources | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None


class TemplateSpec(Wire):
    containers: list[Container] | None = None
    termination_grace_period_seconds: int | None = None


class Template(Wire):
    spec: TemplateSpec | None = None


class RollingUpdate(Wire):
    max_unavailable: int | str | None = None
    max_surge: int | str | None = None


class Strategy(Wire):
    type: str | None = None
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Wire):
    replicas: int | None = None
    paused: bool | None = None
    strategy: Strategy | None = None
    min_ready_seconds: int | None = None
    progress_deadline_seconds: int | None = None
    # Raw, so that its hash covers all of the template, also what is not decoded.
    template: msgspec.Raw = msgspec.Raw(b"")


class DeploymentCondition(Wire):
    type: str | None = None
    reason: str | None = None
    last_update_time: datetime | None = None


class DeploymentStatus(Wire):
    observed_generation: int | None = None
    updated_replicas: int | None = None
    ready_replicas: int | None = None
    unavailable_replicas: int | None = None
    conditions: list[DeploymentCondition] | None = None


class Deployment(Wire):
    metadata: Meta
    spec: DeploymentSpec | None = None
    status: DeploymentStatus | None = None


class ReplicaSet(Wire):
    metadata: BareMeta


class PodSpec(Wire):
    node_name: str | None = None


class Running(Wire):
    started_at: datetime | None = None


class ContainerState(Wire):
    running: Running | None = None


class ContainerStatus(Wire):
    name: str
    ready: bool | None = None
    restart_count: int | None = None
    state: ContainerState | None = None


class Condition(Wire):
    type: str | None = None
    status: str | None = None


class PodStatus(Wire):
    phase: str | None = None
    pod_ip: str | None = msgspec.field(name="podIP", default=None)
    host_ip: str | None = msgspec.field(name="hostIP", default=None)
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None


class Pod(Wire):
    metadata: BareMeta
    spec: PodSpec | None = None
    status: PodStatus | None = None


class ReportMeta(Wire):
    """As strings, since the core reads reports from the plain object, as it reads policies."""

    uid: str
    name: str
    namespace: str | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None


class Report(Wire):
    """A LeakReport; what is inside is the API models' to judge."""

    metadata: ReportMeta
    spec: dict[str, Any] | None = None
    status: dict[str, Any] | None = None


class ListMeta(Wire):
    resource_version: str | None = None
    continue_: str | None = msgspec.field(name="continue", default=None)


class RawList(Wire):
    """A page whose items are decoded one by one, for when one of them does not fit."""

    metadata: ListMeta | None = None
    items: list[msgspec.Raw] | None = None


class WatchEvent(Wire):
    type: str
    object: msgspec.Raw = msgspec.Raw(b"")


class Cause(Wire):
    reason: str | None = None
    message: str | None = None


class StatusDetails(Wire):
    causes: list[Cause] | None = None
    retry_after_seconds: int | None = None


class Status(Wire):
    """The API server's error object. Its message is for our eyes only: it may quote what a tenant wrote."""

    code: int | None = None
    reason: str | None = None
    message: str | None = None
    details: StatusDetails | None = None


class OnlyMeta(Wire):
    """Any object, for its identity."""

    metadata: Meta


class BookmarkMeta(Wire):
    resource_version: str | None = None


class Bookmark(Wire):
    metadata: BookmarkMeta | None = None


class LabelRequirement(Wire):
    key: str
    operator: str
    values: list[str] | None = None


class LabelSelector(Wire):
    match_labels: dict[str, str] | None = None
    match_expressions: list[LabelRequirement] | None = None


class ScaleTarget(Wire):
    kind: str | None = None
    name: str | None = None


class AutoscalerSpec(Wire):
    scale_target_ref: ScaleTarget | None = None


class Autoscaler(Wire):
    """A HorizontalPodAutoscaler."""

    metadata: Meta
    spec: AutoscalerSpec | None = None


class BudgetSpec(Wire):
    selector: LabelSelector | None = None


class BudgetStatus(Wire):
    disruptions_allowed: int | None = None


class Budget(Wire):
    """A PodDisruptionBudget."""

    metadata: Meta
    spec: BudgetSpec | None = None
    status: BudgetStatus | None = None


class BudgetList(Wire):
    metadata: ListMeta | None = None
    items: list[Budget] | None = None


def decode_status(body: bytes) -> Status:
    """The Status in an error reply; empty when the body is something else (a proxy's page, say)."""
    try:
        return msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Status()


def selects(selector: LabelSelector | None, labels: dict[str, str]) -> bool:
    """Whether a policy/v1 label selector matches: an absent one matches nothing, an empty one everything.

    An operator this version does not know counts as a match: the answer explains who may forbid an eviction,
    and one name too many is better than one missing.
    """
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.match_labels or {}).items()):
        return False
    return all(_holds(requirement, labels) for requirement in selector.match_expressions or ())


def _holds(requirement: LabelRequirement, labels: dict[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in (requirement.values or ())
        case "NotIn":
            # As in Kubernetes, a label that is absent is not in the set.
            return value is None or value not in (requirement.values or ())
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return True
