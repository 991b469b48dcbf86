"""What the operator writes back to a ClusterReliabilityPolicy: one view over all of its namespaces, bounded as the
status of a ReliabilityPolicy is.
"""

from __future__ import annotations

from pydantic import Field

from leakwarden.api.v1alpha1.schema import LenientModel
from leakwarden.api.v1alpha1.status import (
    MAX_ACTIONS,
    MAX_OTHERS,
    MAX_SIGNALS,
    MAX_WORKLOADS,
    ActionStatus,
    Condition,
    LastAction,
    OtherWorkload,
    SignalStatus,
    TargetCounts,
    WorkloadStatus,
)

MAX_NAMESPACES = 100
NAMESPACE_LENGTH = 63
NAMESPACE_MESSAGE = 256


class NamespaceCounts(LenientModel):
    """In how many namespaces the policy holds."""

    selected: int = Field(default=0, description="Namespaces that spec.namespaces selects.")
    enforcing: int = Field(default=0, description="Those in which the policy may act.")
    observing: int = Field(default=0, description="Those in which it only observes.")
    not_ready: int = Field(default=0, description="Those in which it is not in force; status.namespaces says why.")
    leaking: int = Field(default=0, description="Those with a pod that is Leaking or Exhausting.")


class NamespaceStatus(LenientModel):
    """The policy in one namespace."""

    name: str = Field(max_length=NAMESPACE_LENGTH, description="The namespace's name.")
    mode: str = Field(max_length=32, description="What the policy does here: Observe or Enforce.")
    bound: str = Field(
        default="",
        max_length=NAMESPACE_MESSAGE,
        description="Why it only observes here although spec.mode is Enforce; empty where it does what the spec says.",
    )
    ready: str = Field(default="Unknown", max_length=16, description="True where the policy is in force here.")
    reason: str = Field(default="", max_length=64, description="A CamelCase word for why it is ready or not.")
    message: str = Field(default="", max_length=NAMESPACE_MESSAGE, description="The same in one line.")
    verdict: str = Field(default="Unknown", max_length=32, description="The worst verdict among its pods.")
    workloads: int = Field(default=0, description="Workloads that are selected here.")
    pods: int = Field(default=0, description="Their pods.")
    leaking: int = Field(default=0, description="Pods judged Leaking.")
    exhausting: int = Field(default=0, description="Pods judged Exhausting.")


class ClusterWorkloadStatus(WorkloadStatus):
    """One target with its namespace."""

    namespace: str = Field(max_length=NAMESPACE_LENGTH, description="The workload's namespace.")


class ClusterOtherWorkload(OtherWorkload):
    """A target beyond the twenty shown in full, with its namespace."""

    namespace: str = Field(max_length=NAMESPACE_LENGTH, description="The workload's namespace.")


class ClusterActionStatus(ActionStatus):
    """One action with its namespace."""

    namespace: str = Field(max_length=NAMESPACE_LENGTH, description="The workload's namespace.")


class ClusterPolicyStatus(LenientModel):
    """What the operator found and did in all namespaces together. Written only when it changes."""

    observed_generation: int = Field(default=0, description="The generation of the spec that this status is for.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Ready: the policy is in force; where single namespaces are not, the message names them. Healthy: no"
        " target leaks. Compliant: the audit has no errors. MetricsAvailable: readings are there. Stalled: the policy cannot"
        " go on by itself, its spec or the installation must change.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    source: str = Field(default="", max_length=128, description="Where readings come from: Prometheus/NAME or Kubelet.")
    profile: str = Field(
        default="",
        max_length=256,
        description="What spec.profile stands for: the signals that it adds; empty without one.",
    )
    namespace_counts: NamespaceCounts = Field(
        default_factory=NamespaceCounts, description="In how many namespaces the policy holds, and how."
    )
    namespaces: list[NamespaceStatus] = Field(
        default_factory=list,
        max_length=MAX_NAMESPACES,
        description="The namespaces, those that leak or are not ready first, at most a hundred.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    targets: TargetCounts = Field(default_factory=TargetCounts, description="How many targets, and how they fare.")
    workloads: list[ClusterWorkloadStatus] = Field(
        default_factory=list,
        max_length=MAX_WORKLOADS,
        description="Targets in full, at most twenty: those that leak first, of each namespace the worst before a second of"
        " any.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["namespace", "name", "kind"],
        },
    )
    others: list[ClusterOtherWorkload] = Field(
        default_factory=list,
        max_length=MAX_OTHERS,
        description="The targets after those twenty in short, in the same order, at most 480; fewer where their names are"
        " long. What they leak is in the LeakReports of their namespaces.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["namespace", "name", "kind"],
        },
    )
    signals: list[SignalStatus] = Field(
        default_factory=list,
        max_length=MAX_SIGNALS,
        description="Which signals can be read, over all namespaces.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    actions: list[ClusterActionStatus] = Field(
        default_factory=list,
        max_length=MAX_ACTIONS,
        description="The newest actions, newest first, at most twenty: a view of the LeakReports.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
    )
    last_action: LastAction | None = Field(default=None, description="The newest action at a glance.")
