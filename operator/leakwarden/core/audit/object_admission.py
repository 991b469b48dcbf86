"""Refusals of the API server about other objects than workloads: claims, Ingresses and the metrics of autoscalers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from leakwarden.core.audit.written import Refusal, items, mapping
from leakwarden.core.model.quantity import parse_quantity

_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
_PATH_TYPES = ("Exact", "Prefix", "ImplementationSpecific")
# The type of a metric -> the field with its values.
_SOURCES = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}
# The type of a target -> the field with its value.
_TARGETS = {"Utilization": "averageUtilization", "AverageValue": "averageValue", "Value": "value"}


def claim(spec: Mapping[str, Any], at: str = "spec") -> Iterator[Refusal]:
    """Checks a PersistentVolumeClaim, or a claim template of a StatefulSet."""
    modes = spec.get("accessModes")
    modes = modes if isinstance(modes, list) else []
    if not modes:
        yield f"{at}.accessModes", f"is missing; one of {', '.join(_MODES)} is needed"
    for mode in modes:
        if mode not in _MODES:
            yield f"{at}.accessModes", f"has {str(mode)[:40]!r}; {', '.join(_MODES)} are allowed"
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield f"{at}.accessModes", "may not have another mode beside ReadWriteOncePod"
    storage = mapping(mapping(spec.get("resources")).get("requests")).get("storage")
    amount = parse_quantity(storage) if isinstance(storage, int | float | str) else None
    if storage is None:
        yield f"{at}.resources.requests.storage", "is missing"
    elif amount is None or amount <= 0:
        yield f"{at}.resources.requests.storage", f"is {str(storage)[:40]!r}; a size like 10Gi is needed"


def ingress(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    for number, rule in enumerate(items(spec.get("rules"))):
        for position, path in enumerate(items(mapping(rule.get("http")).get("paths"))):
            at = f"spec.rules[{number}].http.paths[{position}]"
            kind = path.get("pathType")
            if kind in (None, ""):
                yield f"{at}.pathType", f"is missing; one of {', '.join(_PATH_TYPES)} is needed"
            elif kind not in _PATH_TYPES:
                yield f"{at}.pathType", f"is {str(kind)[:40]!r}; one of {', '.join(_PATH_TYPES)} is needed"
            text = path.get("path")
            if kind in ("Exact", "Prefix") and not (isinstance(text, str) and text.startswith("/")):
                yield f"{at}.path", "must begin with / for Exact and Prefix"
            backend = mapping(path.get("backend"))
            if "serviceName" in backend or "servicePort" in backend:
                continue  # of a version that was removed, which is a finding; here they are unknown fields
            service = mapping(backend.get("service"))
            if not backend.get("resource") and not service.get("name"):
                yield f"{at}.backend.service.name", "is missing"
            elif service:
                port = mapping(service.get("port"))
                if not port.get("name") and not port.get("number"):
                    yield f"{at}.backend.service.port", "needs a name or a number"
                elif port.get("name") and port.get("number"):
                    yield f"{at}.backend.service.port", "may have a name or a number, and not both"


def metrics(spec: Mapping[str, Any]) -> Iterator[Refusal]:
    """Checks a HorizontalPodAutoscaler of autoscaling/v2."""
    for number, metric in enumerate(items(spec.get("metrics"))):
        at, kind = f"spec.metrics[{number}]", str(metric.get("type"))
        name = _SOURCES.get(kind)
        if name is None:
            yield f"{at}.type", f"is {kind[:40]!r}; one of {', '.join(_SOURCES)} is needed"
            continue
        source = mapping(metric.get(name))
        if not source:
            yield f"{at}.{name}", f"is missing, and needed for type {kind}"
            continue
        if name in ("resource", "containerResource") and not source.get("name"):
            yield f"{at}.{name}.name", "is missing"
        if name == "containerResource" and not source.get("container"):
            yield f"{at}.{name}.container", "is missing"
        target = mapping(source.get("target"))
        if "target" in source or not any(str(key).startswith("target") for key in source):
            yield from _target(target, f"{at}.{name}.target")


def _target(target: Mapping[str, Any], at: str) -> Iterator[Refusal]:
    kind = str(target.get("type") or "")
    name = _TARGETS.get(kind)
    if name is None:
        yield f"{at}.type", f"is {kind[:40]!r}; one of {', '.join(_TARGETS)} is needed"
    elif target.get(name) is None:
        yield f"{at}.{name}", f"is missing, and needed for type {kind}"
