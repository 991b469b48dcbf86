"""From the wire to core facts, of HorizontalPodAutoscalers and KEDA's ScaledObjects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from leakwarden.adapters.cluster import wire
from leakwarden.core.audit.related import Identity, Measure, Scaler

KEDA_MOST = 100  # maxReplicaCount where none is written


class _Target(wire.Wire):
    type: str | None = None


class _Metric(wire.Wire):
    name: str | None = None
    container: str | None = None
    target: _Target | None = None
    # autoscaling/v2beta1, where the value had no target around it
    target_average_utilization: int | None = None


class _MetricSource(wire.Wire):
    type: str | None = None
    resource: _Metric | None = None
    container_resource: _Metric | None = None


class _ScalerSpec(wire.Wire):
    scale_target_ref: wire.ApiScaleTarget | None = None
    min_replicas: int | None = None
    max_replicas: int | None = None
    min_replica_count: int | None = None
    max_replica_count: int | None = None
    metrics: list[_MetricSource] | None = None
    target_cpu: int | None = msgspec.field(name="targetCPUUtilizationPercentage", default=None)
    triggers: list[dict[str, Any]] | None = None


def scaler(identity: Identity, spec: Any, place: Any) -> Scaler:
    """The autoscaler in an object. Raises msgspec.ValidationError where a field is not of its type; the path begins at
    spec."""
    try:
        item = msgspec.convert(spec, _ScalerSpec | None) or _ScalerSpec()
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(str(error).replace("`$", "`$.spec", 1)) from None
    keda = identity.kind == "ScaledObject"
    least, default = (item.min_replica_count, 0) if keda else (item.min_replicas, 1)
    target = item.scale_target_ref or wire.ApiScaleTarget()
    return Scaler(
        identity,
        target.kind or ("Deployment" if keda else ""),
        target.name or "",
        minimum=default if least is None or least < 0 else least,
        maximum=(item.max_replica_count or KEDA_MOST) if keda else item.max_replicas,
        minimum_given=least is not None,
        place=place,
        measures=tuple(_triggers(item) if keda else _measures(item)),
    )


def _measures(item: _ScalerSpec) -> Iterator[Measure]:
    if item.target_cpu is not None:
        yield Measure("cpu")
    elif not item.metrics:
        yield Measure("cpu", default=True)
    for source in item.metrics or ():
        for metric in (source.resource, source.container_resource):
            if metric is None or metric.name not in ("cpu", "memory"):
                continue
            share = (metric.target is not None and metric.target.type == "Utilization") or (
                metric.target_average_utilization is not None
            )
            yield Measure(metric.name, metric.container or "", share)


def _triggers(item: _ScalerSpec) -> Iterator[Measure]:
    for trigger in item.triggers or ():
        if trigger.get("type") not in ("cpu", "memory"):
            continue
        settings = trigger.get("metadata")
        settings = settings if isinstance(settings, dict) else {}
        # `metadata.type` is the older spelling of metricType.
        share = (trigger.get("metricType") or settings.get("type") or "Utilization") == "Utilization"
        container = settings.get("containerName")
        yield Measure(trigger["type"], container if isinstance(container, str) else "", share)
