"""The operator's own configuration: one frozen value, from the environment. Nothing reads the environment elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.core.limits import Limits

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
    # Guards of the whole installation; the chart's `guards`.
    max_concurrent: int = Field(default=1, ge=1, le=100)  # Deployments with an action under way
    namespace_actions: int = Field(default=10, ge=1, le=10_000)
    cluster_actions: int = Field(default=20, ge=1, le=10_000)
    budget_window: float = Field(default=3600.0, ge=60, le=7 * 86_400)  # s
    storm_enabled: bool = True
    storm_actions: int = Field(default=10, ge=2, le=10_000)
    storm_workloads: int = Field(default=10, ge=2, le=10_000)
    storm_window: float = Field(default=600.0, ge=10, le=86_400)  # s
    storm_cooldown: float = Field(default=1800.0, ge=10, le=86_400)  # s
    quiet_after_start: float = Field(default=300.0, ge=0, le=86_400)  # s
    pod_name: str = "leakwarden"
    pod_namespace: str = "default"

    @property
    def limits(self) -> Limits:
        """What all policies together may do."""
        return Limits(
            max_concurrent=self.max_concurrent,
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

    @field_validator(
        "interval", "bucket", "budget_window", "storm_window", "storm_cooldown", "quiet_after_start", mode="before"
    )
    @classmethod
    def _seconds(cls, value: Any) -> Any:
        return parse_duration(value) if isinstance(value, str) else value

    @field_validator("actions")
    @classmethod
    def _change_something(cls, value: frozenset[ActionType]) -> frozenset[ActionType]:
        if ActionType.ESCALATE in value:
            raise ValueError("Escalate needs no permission: it changes nothing")
        return value

    @field_validator("watch_namespaces", "actions", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings from LEAKWARDEN_* and the downward API's POD_NAME and POD_NAMESPACE. Raises SettingsError."""
    values: dict[str, Any] = {}
    for name in Settings.model_fields:
        variable = name.upper() if name.startswith("pod_") else PREFIX + name.upper()
        if environment.get(variable):
            values[name] = environment[variable]
    try:
        return Settings.model_validate(values)
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        field = str(first["loc"][0])
        message = first["msg"].removeprefix("Value error, ")
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
