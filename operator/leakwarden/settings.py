"""The operator's own configuration: one frozen value, from the environment. Nothing reads the environment elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from leakwarden.api.scalars import parse_amount, parse_duration
from leakwarden.api.v1alpha1.kinds import WorkloadKind
from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.core.election import Timing
from leakwarden.core.guards.limits import Limits

PREFIX = "LEAKWARDEN_"


class SettingsError(Exception):
    """The configuration cannot be used; the message names the variable, its value and what is allowed."""


class Settings(BaseModel):
    """Each field is the variable LEAKWARDEN_<FIELD>; lists are separated by commas, durations are seconds or `1m30s`.

    The text below a field is its description (docs/reference/settings.md is generated from it).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    interval: float = Field(default=30.0, ge=1, le=3600)
    """Time from one tick to the next."""
    bucket: float = Field(default=60.0, ge=1, le=3600)
    """The resolution that readings are taken at."""
    watch_namespaces: tuple[str, ...] = ()
    """The namespaces to watch; empty: all."""
    sources_file: Path | None = None
    """The file that lists the Prometheus endpoints, the Alertmanagers and the Loki."""
    actions: frozenset[ActionType] = frozenset()
    """The actions that RBAC allows; empty: observe only."""
    workloads: frozenset[WorkloadKind] = frozenset()
    """The kinds of workload that are followed in addition to Deployments, as RBAC allows: StatefulSet, DaemonSet,
    Rollout."""
    cluster_policies: bool = True
    """Whether ClusterReliabilityPolicies are followed, and the namespaces they select; never with watch_namespaces."""
    listen: str = Field(default="0.0.0.0:8080", pattern=r"^(\[[0-9a-fA-F:]*\]|[^:\s]*):[0-9]{1,5}$")
    """Address and port of /healthz, /readyz and /metrics."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe lines that are logged."""
    log_format: Literal["json", "text"] = "json"
    """One JSON object a line, or text for people."""
    audit_neighbours: bool = True
    """Whether the audit reads what stands beside workloads: Services, autoscalers, budgets, routes, monitors, claims."""
    audit_policy_reports: bool = False
    """Whether the audit's result is also written as PolicyReports, where the cluster serves their API."""
    kubelet_enabled: bool = True
    """Whether the kubelets may be read, which is the default source where no Prometheus is configured."""
    kubelet_insecure_skip_verify: bool = True
    """Whether a kubelet's certificate is accepted unchecked; most are self-signed."""
    kubelet_port: int = Field(default=10250, ge=1, le=65535)
    """The port of the kubelets."""

    evidence_enabled: bool = True
    """Whether profiles of a leaking pod are taken, where the policy does not decline."""
    evidence_via: Literal["Pod", "Proxy", "Auto"] = "Pod"
    """The way to a pod's profiles, as network policies and RBAC allow: straight, through the API server, or either."""
    evidence_pause: float = Field(default=10.0, ge=1, le=60)
    """Time between the two captures that show growth."""
    evidence_timeout: float = Field(default=15.0, ge=1, le=60)
    """The longest that one profile may take."""
    evidence_max_goroutines: int = Field(default=50_000, ge=1, le=1_000_000)
    """With more goroutines than this only the heap is profiled."""
    evidence_descriptors_image: str = Field(default="", pattern=r"^[A-Za-z0-9._:/@-]*$", max_length=512)
    """The image that looks into pods, which holds Python and this package; empty: no pod is looked into."""
    evidence_descriptors_timeout: float = Field(default=30.0, ge=2, le=60)
    """Time from the addition of the reader's container to its answer."""
    evidence_logs: bool = False
    """Whether the ends of pods' logs are looked at for known errors, where a policy asks for it."""
    evidence_directory: Path | None = None
    """The directory where raw profiles are kept; profiles go to a directory, to a bucket, or nowhere."""
    evidence_directory_size: float = Field(default=float(1 << 30), ge=1 << 20)
    """The most bytes that the directory may hold; the oldest profiles are deleted first."""
    evidence_directory_age: float = Field(default=30 * 86400.0, ge=3600)
    """How long a profile is kept in the directory."""
    evidence_bucket: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")
    """The S3 bucket where raw profiles are kept."""
    evidence_bucket_endpoint: str = Field(default="https://s3.amazonaws.com", pattern=r"^https?://[^/?#@\s]+$")
    """The address of the bucket's server."""
    evidence_bucket_region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]{1,64}$")
    """The bucket's region."""
    evidence_bucket_prefix: str = Field(default="", pattern=r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$", max_length=64)
    """What the names of all objects begin with."""
    evidence_bucket_credentials: Path | None = Field(default=None, validate_default=True)
    """A directory with the files accessKey, secretKey and, where there is one, sessionToken."""

    kubeconfig: Path | None = None
    """A kubeconfig instead of the pod's service account."""

    # Guards of the whole installation; the chart's `guards`.
    max_concurrent: int = Field(default=1, ge=1, le=100)
    """The most Deployments that may have an action under way at one time."""
    slot_time: float = Field(default=1800.0, ge=60, le=86_400)
    """How long one action counts among those under way at the most: a policy whose verification takes a day
    holds up nobody else."""
    namespace_policies: int = Field(default=100, ge=1, le=10_000)
    """The most policies of one namespace that are in force at once, the oldest; the others say so (LimitExceeded)."""
    namespace_reports: int = Field(default=2000, ge=100, le=100_000)
    """The most LeakReports of one namespace that are read; in a namespace with more nothing is done."""
    namespace_actions: int = Field(default=10, ge=1, le=10_000)
    """The most actions in one namespace within the window."""
    cluster_actions: int = Field(default=20, ge=1, le=10_000)
    """The most actions in the cluster within the window."""
    budget_window: float = Field(default=3600.0, ge=60, le=7 * 86_400)
    """The window of the two."""
    storm_enabled: bool = True
    """Whether many actions or leaks at once stop all further actions for a time."""
    storm_actions: int = Field(default=10, ge=2, le=10_000)
    """So many actions within the storm's window are a storm."""
    storm_workloads: int = Field(default=10, ge=2, le=10_000)
    """So many Deployments that begin to run out within the storm's window are a storm."""
    storm_window: float = Field(default=600.0, ge=10, le=86_400)
    """The window in which a storm is looked for."""
    storm_cooldown: float = Field(default=1800.0, ge=10, le=86_400)
    """How long nothing is done after a storm."""
    quiet_after_start: float = Field(default=300.0, ge=0, le=86_400)
    """How long after its start, or after it took the lead, the operator only observes."""

    pod_name: str = "leakwarden"
    """The pod's own name, from the downward API."""
    pod_namespace: str = "default"
    """The pod's own namespace, from the downward API."""
    leader_election: bool = False
    """Whether only the holder of the Lease acts. On by default in a cluster, where several replicas may run; off for an
    operator that is started by hand, which takes itself for the only one."""
    lease_name: str = Field(default="leakwarden", pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
    """The Lease by which a leader is elected, in the pod's own namespace."""
    lease_duration: float = Field(default=15.0, le=600)
    """A crashed leader is followed so long after its last renewal, and up to lease_retry later; client-go's default."""
    lease_renew_deadline: float = 10.0
    """A leader that could not renew for so long stops; client-go's default."""
    lease_retry: float = 2.0
    """Time between two attempts to renew or to take the lead; client-go's default."""

    @property
    def lease_timing(self) -> Timing:
        return Timing(self.lease_duration, self.lease_renew_deadline, self.lease_retry)

    @property
    def limits(self) -> Limits:
        """What all policies together may do."""
        return Limits(
            max_concurrent=self.max_concurrent,
            slot_time=self.slot_time,
            namespace_actions=self.namespace_actions,
            cluster_actions=self.cluster_actions,
            window=self.budget_window,
            storm_actions=self.storm_actions,
            storm_workloads=self.storm_workloads,
            storm_window=self.storm_window,
            storm_cooldown=self.storm_cooldown,
            storm_enabled=self.storm_enabled,
            quiet_after_start=self.quiet_after_start,
        )

    @model_validator(mode="after")
    def _only_one_can_lead(self) -> Settings:
        try:
            _ = self.lease_timing
        except ValueError:
            raise ValueError(
                f"{PREFIX}LEASE_RETRY ({self.lease_retry:g}s) < {PREFIX}LEASE_RENEW_DEADLINE"
                f" ({self.lease_renew_deadline:g}s) < {PREFIX}LEASE_DURATION ({self.lease_duration:g}s) must hold,"
                " and the last be whole seconds, or two replicas could lead at once"
            ) from None
        return self

    @field_validator(
        "interval",
        "bucket",
        "lease_duration",
        "lease_renew_deadline",
        "lease_retry",
        "evidence_pause",
        "evidence_timeout",
        "evidence_descriptors_timeout",
        "evidence_directory_age",
        "budget_window",
        "slot_time",
        "storm_window",
        "storm_cooldown",
        "quiet_after_start",
        mode="before",
    )
    @classmethod
    def _seconds(cls, value: Any) -> Any:
        return parse_duration(value) if isinstance(value, str) else value

    @field_validator("evidence_directory_size", mode="before")
    @classmethod
    def _bytes(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        amount = parse_amount(value).value
        if amount is None:
            raise ValueError("it must be a number of bytes such as 1Gi")
        return amount

    @field_validator("evidence_bucket")
    @classmethod
    def _one_store(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("evidence_directory") is not None:
            raise ValueError("LEAKWARDEN_EVIDENCE_DIRECTORY is set too; profiles are kept in one place")
        return value

    @field_validator("evidence_bucket_credentials")
    @classmethod
    def _signed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("evidence_bucket"):
            raise ValueError("LEAKWARDEN_EVIDENCE_BUCKET needs a directory with accessKey and secretKey")
        return value

    @field_validator("actions")
    @classmethod
    def _change_something(cls, value: frozenset[ActionType]) -> frozenset[ActionType]:
        if ActionType.ESCALATE in value:
            raise ValueError("Escalate needs no permission: it changes nothing")
        return value

    @field_validator("workloads")
    @classmethod
    def _beyond_deployments(cls, value: frozenset[WorkloadKind]) -> frozenset[WorkloadKind]:
        if WorkloadKind.DEPLOYMENT in value:
            raise ValueError("Deployments are always followed; name the other kinds: StatefulSet, DaemonSet, Rollout")
        return value

    @field_validator("watch_namespaces", "actions", "workloads", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings from LEAKWARDEN_* and the downward API's POD_NAME and POD_NAMESPACE. Raises SettingsError.

    In a pod, where the kubelet sets the API server's address, a leader is elected unless LEAKWARDEN_LEADER_ELECTION is
    off.
    """
    values: dict[str, Any] = {"leader_election": "KUBERNETES_SERVICE_HOST" in environment}
    for name in Settings.model_fields:
        variable = name.upper() if name.startswith("pod_") else PREFIX + name.upper()
        if environment.get(variable):
            values[name] = environment[variable]
    try:
        return Settings.model_validate(values)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # about several fields, which the message names
            raise SettingsError(message) from None
        field = str(first["loc"][0])
        shown = str(values.get(field))[:60]
        raise SettingsError(f"{PREFIX}{field.upper()} is {shown!r}: {message}") from None


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """LEAKWARDEN_* variables that are not a setting: most likely a typing error, so worth a warning.

    Not an error: a Service named leakwarden makes the kubelet inject LEAKWARDEN_SERVICE_HOST and its like.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    injected = re.compile(r"_(SERVICE_(HOST|PORT.*)|PORT(_[0-9]+_(TCP|UDP).*)?)$")
    candidates = (name for name in environment if name.startswith(PREFIX) and name not in known)
    return sorted(name for name in candidates if injected.search(name) is None)
