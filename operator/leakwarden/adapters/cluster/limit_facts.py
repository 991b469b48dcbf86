"""From the wire to core facts, of VerticalPodAutoscalers, ResourceQuotas, and Argo Rollouts with a workloadRef."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from leakwarden.adapters.cluster import wire
from leakwarden.core.audit.related import Identity, Quota, Referring, VerticalScaler
from leakwarden.core.model.quantity import parse_quantity

_BOTH = frozenset({"cpu", "memory"})
# The short names of a quota's resources mean requests.
_FULL_NAME = {"cpu": "requests.cpu", "memory": "requests.memory", "count/pods": "pods"}
_COUNTED = frozenset({"pods", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})


class _UpdatePolicy(wire.Wire):
    update_mode: str | None = None


class _ContainerPolicy(wire.Wire):
    container_name: str | None = None
    mode: str | None = None
    controlled_resources: list[str] | None = None


class _ResourcePolicy(wire.Wire):
    container_policies: list[_ContainerPolicy] | None = None


class _VerticalSpec(wire.Wire):
    target_ref: wire.ApiScaleTarget | None = None
    update_policy: _UpdatePolicy | None = None
    resource_policy: _ResourcePolicy | None = None


class _QuotaSpec(wire.Wire):
    hard: dict[str, Any] | None = None
    scopes: list[str] | None = None
    scope_selector: dict[str, Any] | None = None


class _Reference(wire.Wire):
    kind: str | None = None
    name: str | None = None
    scale_down: str | None = None


class _RolloutSpec(wire.Wire):
    replicas: int | None = None
    workload_ref: _Reference | None = None


def vertical_scaler(identity: Identity, spec: Any, place: Any) -> VerticalScaler | None:
    """The autoscaler in an object; None where it only recommends. Raises msgspec.ValidationError."""
    item = _converted(spec, _VerticalSpec)
    mode = (item.update_policy.update_mode if item.update_policy else None) or "Auto"
    if mode == "Off":
        return None
    target = item.target_ref or wire.ApiScaleTarget()
    policies = (item.resource_policy.container_policies if item.resource_policy else None) or ()
    controls = tuple(
        (
            each.container_name or "*",
            frozenset()
            if each.mode == "Off"
            else _BOTH
            if each.controlled_resources is None
            else frozenset(each.controlled_resources),
        )
        for each in policies
    )
    return VerticalScaler(identity, target.kind or "", target.name or "", mode, controls, place)


def quota(identity: Identity, spec: Any, place: Any) -> Quota | None:
    """The quota in an object; None where it counts only some of the pods, or nothing that pods ask. Raises
    msgspec.ValidationError."""
    item = _converted(spec, _QuotaSpec)
    if item.scopes or item.scope_selector:
        return None
    hard = tuple(
        (_FULL_NAME.get(name, name), amount)
        for name, value in (item.hard or {}).items()
        if _FULL_NAME.get(name, name) in _COUNTED
        and isinstance(value, str | int | float)
        and (amount := parse_quantity(value)) is not None
    )
    return Quota(identity, hard, place) if hard else None


def referring(identity: Identity, spec: Any, place: Any) -> Referring | None:
    """The reference of a Rollout by workloadRef; None where it has none, or makes no pod of its own. Raises
    msgspec.ValidationError."""
    item = _converted(spec, _RolloutSpec)
    if item.workload_ref is None or item.replicas == 0:
        return None
    reference: _Reference = item.workload_ref
    return Referring(identity, reference.kind or "", reference.name or "", reference.scale_down or "", place)


def _converted(spec: Mapping[str, Any] | None, shape: Any) -> Any:
    try:
        return msgspec.convert(spec, shape | None) or shape()
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(str(error).replace("`$", "`$.spec", 1)) from None
