"""Small makers of the core's values, with healthy defaults: a test names only the special values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leakwarden.core.model.policy import Policy, format_time, parse_policy
from leakwarden.core.model.readings import Points, Sampled, SeriesKey
from leakwarden.core.model.workload import Container, Pod, PodContainer, Probe, Snapshot, Workload

NOW = 1_790_000_000.0  # 2026-09-21; any moment would do


def container(**changes: Any) -> Container:
    values: dict[str, Any] = {
        "name": "app",
        "image": "registry.example/app:1",
        "ports": (("http", 8080),),
        "liveness": Probe("http", "/healthz", "http"),
        "readiness": Probe("http", "/readyz", "http"),
        "startup": Probe("http", "/healthz", "http"),
        "memory_limit": 256 * 2.0**20,
    }
    return Container(**{**values, **changes})


def workload(name: str = "api", **changes: Any) -> Workload:
    values: dict[str, Any] = {
        "namespace": "shop",
        "name": name,
        "uid": f"uid-{name}",
        "resource_version": "100",
        "created": NOW - 86_400,
        "labels": {"app": name, "team": "shop"},
        "annotations": {},
        "generation": 1,
        "observed_generation": 1,
        "replicas": 3,
        "updated_replicas": 3,
        "ready_replicas": 3,
        "unavailable_replicas": 0,
        "paused": False,
        "strategy": "RollingUpdate",
        "max_unavailable": "25%",
        "max_surge": "25%",
        "min_ready_seconds": 0,
        "progress_deadline": 600,
        "termination_grace": 30,
        "containers": (container(),),
        "template_hash": "t1",
    }
    return Workload(**{**values, **changes})


def pod(name: str = "api-1", owner: str = "api", **changes: Any) -> Pod:
    created = changes.get("created", NOW - 7200)
    values: dict[str, Any] = {
        "namespace": "shop",
        "name": name,
        "uid": f"uid-{name}",
        "workload_uid": f"uid-{owner}",
        "created": created,
        "node": "node-1",
        "host_ip": "192.0.2.10",
        "pod_ip": "192.0.2.77",
        "phase": "Running",
        "ready": True,
        "terminating": False,
        "containers": (PodContainer("app", True, 0, created + 1),),
    }
    return Pod(**{**values, **changes})


def snapshot(workloads: Sequence[Workload], pods: Sequence[Pod], **changes: Any) -> Snapshot:
    grouped: dict[str, tuple[Pod, ...]] = {}
    for one in pods:
        if one.workload_uid is not None:
            grouped[one.workload_uid] = (*grouped.get(one.workload_uid, ()), one)
    return Snapshot({w.uid: w for w in workloads}, grouped, **changes)


def body(name: str = "shop", **changes: Any) -> dict[str, Any]:
    """A policy object as the API server would hold it. `spec` is merged into a minimal valid one."""
    spec = {"selector": {"matchLabels": {"team": "shop"}}, **changes.pop("spec", {})}
    metadata = {
        "namespace": "shop",
        "name": name,
        "uid": f"uid-policy-{name}",
        "resourceVersion": "7",
        "generation": 1,
        "creationTimestamp": format_time(NOW - 3600),
        **changes.pop("metadata", {}),
    }
    return {
        "apiVersion": "leakwarden.dev/v1alpha1",
        "kind": "ReliabilityPolicy",
        "metadata": metadata,
        "spec": spec,
        **changes,
    }


def policy(name: str = "shop", **changes: Any) -> Policy:
    parsed = parse_policy(body(name, **changes))
    assert not parsed.error, parsed.error
    return parsed


DESCRIPTORS = {"name": "descriptors", "type": "Descriptors", "threshold": {"above": "80%", "for": "1m"}}


def enforcing(*signals: Mapping[str, Any], **remediation: Any) -> dict[str, Any]:
    """A spec in mode Enforce; without signals, descriptors above 80 % for a minute."""
    return {"mode": "Enforce", "signals": list(signals) or [DESCRIPTORS], "remediation": remediation}


def points(values: Sequence[float], every: float = 30.0, until: float = NOW) -> Points:
    """Readings `every` seconds, the newest at `until`."""
    v = np.asarray(values, dtype=np.float64)
    return Points(until - every * np.arange(v.size - 1, -1, -1, dtype=np.float64), v)


def sampled(by_pod: Mapping[str, Points], limit: float | None = 1000.0, namespace: str = "shop") -> Sampled:
    keys = {name: SeriesKey(namespace, name, "app") for name in by_pod}
    return Sampled(
        {keys[name]: series for name, series in by_pod.items()},
        {} if limit is None else dict.fromkeys(keys.values(), limit),
    )
