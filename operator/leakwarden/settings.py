"""The operator's own configuration: one frozen value, from the environment. Nothing reads the environment elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.core.election import Timing

PREFIX = "LEAKWARDEN_"


class SettingsError(Exception):
    """The configuration cannot be used; the message names the variable, its value and what is allowed."""


class Settings(BaseModel):
    """Each field is the variable LEAKWARDEN_<FIELD>; lists are separated by commas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval: float = Field(default=30.0, ge=1, le=3600)  # s between ticks
    bucket: float = Field(default=60.0, ge=1, le=3600)  # s; the resolution readings are taken at
    watch_namespaces: tuple[str, ...] = ()  # empty: all
    sources_file: Path | None = None
    actions: frozenset[ActionType] = frozenset()  # what RBAC allows; empty: observe only
    listen: str = Field(default="0.0.0.0:8080", pattern=r"^(\[[0-9a-fA-F:]*\]|[^:\s]*):[0-9]{1,5}$")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    kubelet_enabled: bool = True
    kubelet_insecure_skip_verify: bool = True
    kubelet_port: int = Field(default=10250, ge=1, le=65535)
    kubeconfig: Path | None = None
    pod_name: str = "leakwarden"
    pod_namespace: str = "default"
    # Only the holder of the Lease acts. Without it this process takes itself for the only one: on where several could
    # run, which is in a cluster (see from_environment), and off for one that is run by hand.
    leader_election: bool = False
    lease_name: str = Field(default="leakwarden", pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
    # s; client-go's defaults. A crashed leader is followed after lease_duration and up to lease_retry.
    lease_duration: float = Field(default=15.0, le=600)
    lease_renew_deadline: float = 10.0
    lease_retry: float = 2.0

    @property
    def lease_timing(self) -> Timing:
        return Timing(self.lease_duration, self.lease_renew_deadline, self.lease_retry)

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

    @field_validator("interval", "bucket", "lease_duration", "lease_renew_deadline", "lease_retry", mode="before")
    @classmethod
    def _seconds(cls, value: Any) -> Any:
        return parse_duration(value) if isinstance(value, str) else value

    @field_validator("watch_namespaces", "actions", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings from LEAKWARDEN_* and the downward API's POD_NAME and POD_NAMESPACE. Raises SettingsError.

    In a pod, which the kubelet tells of the API server, a leader is elected unless LEAKWARDEN_LEADER_ELECTION says no.
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
    """LEAKWARDEN_* variables that are no setting: most likely a slip of the pen, so worth a warning.

    Not an error: a Service named leakwarden makes the kubelet inject LEAKWARDEN_SERVICE_HOST and its like.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    injected = re.compile(r"_(SERVICE_(HOST|PORT.*)|PORT(_[0-9]+_(TCP|UDP).*)?)$")
    candidates = (name for name in environment if name.startswith(PREFIX) and name not in known)
    return sorted(name for name in candidates if injected.search(name) is None)
