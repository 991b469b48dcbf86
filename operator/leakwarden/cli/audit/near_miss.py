"""Documents that look like a workload and are not: a mistake by which they would be neither audited nor applied."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

# The audited kinds, with the API group that serves them.
GROUPS = {
    "Deployment": "apps",
    "StatefulSet": "apps",
    "DaemonSet": "apps",
    "ReplicaSet": "apps",
    "Job": "batch",
    "CronJob": "batch",
    "Pod": "",
    "Rollout": "argoproj.io",
    "PodDisruptionBudget": "policy",
    "HorizontalPodAutoscaler": "autoscaling",
    "Service": "",
    "Ingress": "networking.k8s.io",
}
VERSIONS = {
    "Deployment": ("apps/v1",),
    "StatefulSet": ("apps/v1",),
    "DaemonSet": ("apps/v1",),
    "ReplicaSet": ("apps/v1",),
    "Job": ("batch/v1",),
    "CronJob": ("batch/v1",),
    "Pod": ("v1",),
    "Rollout": ("argoproj.io/v1alpha1",),
    "PodDisruptionBudget": ("policy/v1",),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "autoscaling/v1"),
    "Service": ("v1",),
    "Ingress": ("networking.k8s.io/v1",),
}
# API versions that were served once: still understood, and reported as refused.
REMOVED = frozenset(
    {
        ("Deployment", "extensions/v1beta1"), ("Deployment", "apps/v1beta1"), ("Deployment", "apps/v1beta2"),
        ("DaemonSet", "extensions/v1beta1"), ("DaemonSet", "apps/v1beta2"),
        ("ReplicaSet", "extensions/v1beta1"), ("ReplicaSet", "apps/v1beta2"),
        ("StatefulSet", "apps/v1beta1"), ("StatefulSet", "apps/v1beta2"),
        ("CronJob", "batch/v1beta1"), ("CronJob", "batch/v2alpha1"),
        ("PodDisruptionBudget", "policy/v1beta1"),
        ("HorizontalPodAutoscaler", "autoscaling/v2beta1"), ("HorizontalPodAutoscaler", "autoscaling/v2beta2"),
        ("Ingress", "extensions/v1beta1"), ("Ingress", "networking.k8s.io/v1beta1"),
    }
)  # fmt: skip
_FOLDED = {kind.lower(): kind for kind in VERSIONS}
_TEMPLATE = re.compile(r"\{\{.{0,200}?\}\}|\$\{[A-Za-z_]")


def like_an_object(value: Any) -> bool:
    """Whether the document was probably meant as a Kubernetes object."""
    return (
        isinstance(value, dict)
        and ("apiVersion" in value or "kind" in value)
        and ("spec" in value or "metadata" in value)
    )


def near_miss(body: Mapping[Any, Any]) -> str | None:
    """Why this is not a workload (or not an object) although it looks like one; None where it is one, or does not look
    like one."""
    kind, version = body.get("kind"), body.get("apiVersion")
    pods = _makes_pods(body)
    if not isinstance(kind, str) or not kind:
        if "kind" in body and kind is not None:
            return f"kind is {str(kind)[:40]!r}, and no text" if pods or version else None
        misspelt = next(
            (key for key in body if isinstance(key, str) and key != "kind" and key.strip().lower() == "kind"), None
        )
        if misspelt is not None and (version or pods):
            return f"the key {misspelt!r} should be kind: it is no object"
        if pods or (version and "spec" in body and "metadata" in body):
            return "has no kind, so that it is no object"
        return None
    if _TEMPLATE.search(kind[:300]) or (isinstance(version, str) and _TEMPLATE.search(version[:300])):
        return "kind or apiVersion is a template that was not rendered: render it first"
    if kind not in VERSIONS:
        return _misspelt_kind(kind, version, pods)
    if version is None:
        misspelt = next(
            (key for key in body if isinstance(key, str) and key.lower() == "apiversion" and key != "apiVersion"), None
        )
        if misspelt:
            return f"the key {misspelt!r} should be apiVersion: {kind} was not audited"
        return f"{kind} without an apiVersion ({VERSIONS[kind][0]} is needed): it was not audited"
    if not isinstance(version, str):
        return f"apiVersion is {str(version)[:40]!r}, and no text: {kind} was not audited"
    if version in VERSIONS[kind] or (kind, version) in REMOVED:
        return _not_rendered(body, kind)
    group = version.rpartition("/")[0]
    if "." in group and group != GROUPS[kind] and not difflib.get_close_matches(group, [GROUPS[kind]], 1, 0.8):
        return None  # a kind of the same name in another API group
    return f"apiVersion {version[:60]} has no {kind} ({VERSIONS[kind][0]} is needed): it was not audited"


def _misspelt_kind(kind: str, version: Any, pods: bool) -> str | None:
    meant = _FOLDED.get(kind.strip().lower())
    if meant is None and (
        pods or (isinstance(version, str) and version in {v for vs in VERSIONS.values() for v in vs})
    ):
        near = difflib.get_close_matches(kind[:60].lower(), list(_FOLDED), 1, 0.85)
        meant = _FOLDED[near[0]] if near and near[0] != kind.lower() else None
        # A kind that exists and merely has a similar name to an audited one.
        if kind in _OTHERS:
            meant = None
    if meant is not None:
        own = isinstance(version, str) and "." in version.partition("/")[0] and version not in VERSIONS[meant]
        return None if own and not pods else f"kind {kind[:60]!r} is no kind; did you mean {meant}? It was not audited"
    return None


_OTHERS = frozenset({"Jobs", "PodTemplate", "Ingresses", "IngressClass", "ServiceAccount", "ReplicationController"})


def _not_rendered(body: Mapping[Any, Any], kind: str) -> str | None:
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(name, str) and _TEMPLATE.search(name[:300]):
        return f"the name of this {kind} is a template that was not rendered ({name[:60]}): render it first"
    spec = body.get("spec")
    replicas = spec.get("replicas") if isinstance(spec, dict) else None
    if isinstance(replicas, str) and _TEMPLATE.search(replicas[:300]):
        return f"spec.replicas of this {kind} is a template that was not rendered: render it first"
    for container in _containers(body):
        image = container.get("image") if isinstance(container, dict) else None
        if isinstance(image, str) and "{{" in image[:300] and _TEMPLATE.search(image[:300]):
            return f"an image of this {kind} is a template that was not rendered ({image[:60]}): render it first"
    return None


def _makes_pods(body: Mapping[Any, Any]) -> bool:
    return bool(_containers(body))


def _containers(body: Mapping[Any, Any]) -> list[Any]:
    spec = body.get("spec")
    if not isinstance(spec, dict):
        return []
    template = spec.get("template")
    inner = template.get("spec") if isinstance(template, dict) else None
    containers = (inner if isinstance(inner, dict) else spec).get("containers")
    return containers if isinstance(containers, list) else []
