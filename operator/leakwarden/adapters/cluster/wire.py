"""Objects as the API server streams them, pruned to the fields that decisions need.

Every field may be absent or null: a Struct without a field costs neither memory nor CPU for it, and a
null where a value was expected must not lose the rest of a page. Types that do not fit are a
`msgspec.ValidationError`, which the reflector counts and survives.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from leakwarden.core.model.labels import LabelRequirement, LabelSelector


class Wire(msgspec.Struct, rename="camel", gc=False):
    """Short-lived: decoded, converted to core facts, dropped."""


class ApiOwner(Wire):
    kind: str | None = None
    name: str | None = None
    uid: str | None = None
    controller: bool | None = None


class ApiMeta(Wire):
    uid: str
    name: str
    namespace: str | None = None
    resource_version: str | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    generation: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[ApiOwner] | None = None


class ApiBareMeta(Wire):
    """Identity alone: for ReplicaSets, where labels and annotations of 10 revisions each would cost most memory."""

    uid: str
    name: str
    namespace: str | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: list[ApiOwner] | None = None


class ApiLabelRequirement(Wire):
    key: str
    operator: str
    values: list[str] | None = None


class ApiLabelSelector(Wire):
    match_labels: dict[str, str] | None = None
    match_expressions: list[ApiLabelRequirement] | None = None


class ApiRollingUpdate(Wire):
    max_unavailable: int | str | None = None
    max_surge: int | str | None = None


class ApiStrategy(Wire):
    type: str | None = None
    rolling_update: ApiRollingUpdate | None = None


class ApiDeploymentSpec(Wire):
    replicas: int | None = None
    paused: bool | None = None
    strategy: ApiStrategy | None = None
    min_ready_seconds: int | None = None
    progress_deadline_seconds: int | None = None
    revision_history_limit: int | None = None
    service_name: str | None = None  # of a StatefulSet, whose manifest is read as a Deployment's
    # Raw, so that its hash covers the whole template, also the parts that are not decoded.
    template: msgspec.Raw = msgspec.Raw(b"")


class ApiDeploymentCondition(Wire):
    type: str | None = None
    reason: str | None = None
    last_update_time: datetime | None = None


class ApiDeploymentStatus(Wire):
    observed_generation: int | None = None
    updated_replicas: int | None = None
    ready_replicas: int | None = None
    unavailable_replicas: int | None = None
    conditions: list[ApiDeploymentCondition] | None = None


class ApiDeployment(Wire):
    metadata: ApiMeta
    spec: ApiDeploymentSpec | None = None
    status: ApiDeploymentStatus | None = None


class ApiReplicaSet(Wire):
    metadata: ApiBareMeta


class ApiPodSpec(Wire):
    node_name: str | None = None


class ApiRunning(Wire):
    started_at: datetime | None = None


class ApiContainerState(Wire):
    running: ApiRunning | None = None


class ApiContainerStatus(Wire):
    name: str
    ready: bool | None = None
    restart_count: int | None = None
    state: ApiContainerState | None = None


class ApiCondition(Wire):
    type: str | None = None
    status: str | None = None


class ApiPodStatus(Wire):
    phase: str | None = None
    pod_ip: str | None = msgspec.field(name="podIP", default=None)
    host_ip: str | None = msgspec.field(name="hostIP", default=None)
    conditions: list[ApiCondition] | None = None
    container_statuses: list[ApiContainerStatus] | None = None


class ApiPodAnnotations(Wire):
    """Only the annotations that forbid to take a pod away: the others of ten thousand pods would be most memory."""

    do_not_disrupt: str | None = msgspec.field(name="karpenter.sh/do-not-disrupt", default=None)
    safe_to_evict: str | None = msgspec.field(name="cluster-autoscaler.kubernetes.io/safe-to-evict", default=None)


class ApiPodMeta(ApiBareMeta):
    annotations: ApiPodAnnotations | None = None


class ApiPod(Wire):
    metadata: ApiPodMeta
    spec: ApiPodSpec | None = None
    status: ApiPodStatus | None = None


class ApiReportMeta(Wire):
    """As strings, since the core reads reports from the plain object, as it reads policies."""

    uid: str
    name: str
    namespace: str | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None


class ApiReport(Wire):
    """A LeakReport; the API models check its content."""

    metadata: ApiReportMeta
    spec: dict[str, Any] | None = None
    status: dict[str, Any] | None = None


class ApiNamespace(Wire):
    metadata: ApiMeta


class ApiClusterPolicyMeta(Wire):
    uid: str
    name: str
    resource_version: str | None = None
    generation: int | None = None
    creation_timestamp: str | None = None


class ApiClusterPolicy(Wire):
    """A ClusterReliabilityPolicy; the API models check its content."""

    metadata: ApiClusterPolicyMeta
    spec: dict[str, Any] | None = None
    status: dict[str, Any] | None = None


class ApiListMeta(Wire):
    resource_version: str | None = None
    continue_: str | None = msgspec.field(name="continue", default=None)


class ApiRawList(Wire):
    """A page whose items are decoded one by one, for when one of them does not fit."""

    metadata: ApiListMeta | None = None
    items: list[msgspec.Raw] | None = None


class ApiWatchEvent(Wire):
    type: str
    object: msgspec.Raw = msgspec.Raw(b"")


class ApiCause(Wire):
    reason: str | None = None
    message: str | None = None


class ApiStatusDetails(Wire):
    causes: list[ApiCause] | None = None
    retry_after_seconds: int | None = None


class ApiStatus(Wire):
    """The API server's error object. Its message is never shown to people: it may quote a tenant's text."""

    code: int | None = None
    reason: str | None = None
    message: str | None = None
    details: ApiStatusDetails | None = None


class ApiBookmarkMeta(Wire):
    resource_version: str | None = None


class ApiBookmark(Wire):
    metadata: ApiBookmarkMeta | None = None


class ApiScaleTarget(Wire):
    kind: str | None = None
    name: str | None = None


class ApiAutoscalerSpec(Wire):
    scale_target_ref: ApiScaleTarget | None = None


class ApiAutoscaler(Wire):
    """A HorizontalPodAutoscaler, or a ScaledObject of KEDA."""

    metadata: ApiMeta
    spec: ApiAutoscalerSpec | None = None


class ApiBudgetSpec(Wire):
    selector: ApiLabelSelector | None = None


class ApiBudgetStatus(Wire):
    disruptions_allowed: int | None = None


class ApiBudget(Wire):
    """A PodDisruptionBudget."""

    metadata: ApiMeta
    spec: ApiBudgetSpec | None = None
    status: ApiBudgetStatus | None = None


class ApiBudgetList(Wire):
    metadata: ApiListMeta | None = None
    items: list[ApiBudget] | None = None


def decode_status(body: bytes) -> ApiStatus:
    """The Status in an error reply; empty when the body is something else (for example a proxy's page)."""
    try:
        return msgspec.json.decode(body, type=ApiStatus)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ApiStatus()


def selects(selector: ApiLabelSelector | None, labels: dict[str, str]) -> bool:
    """Whether a policy/v1 label selector matches: an absent one matches nothing, an empty one everything.

    An operator this version does not know counts as a match: the answer names the budgets that may forbid an eviction,
    and one name too many is better than one missing.
    """
    known = label_selector(selector)
    return known is not None and known.selects(labels)


def label_selector(selector: ApiLabelSelector | None) -> LabelSelector | None:
    if selector is None:
        return None
    return LabelSelector(
        tuple((selector.match_labels or {}).items()),
        tuple(LabelRequirement(e.key, e.operator, tuple(e.values or ())) for e in selector.match_expressions or ()),
    )
