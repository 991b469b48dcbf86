"""The answers of the fake API server: its kinds, its Status objects, its watch lines and its discovery documents."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

Json = dict[str, Any]

KINDS = {
    "deployments": ("apis/apps/v1", "Deployment"),
    "replicasets": ("apis/apps/v1", "ReplicaSet"),
    "statefulsets": ("apis/apps/v1", "StatefulSet"),
    "daemonsets": ("apis/apps/v1", "DaemonSet"),
    "rollouts": ("apis/argoproj.io/v1alpha1", "Rollout"),
    "pods": ("api/v1", "Pod"),
    "poddisruptionbudgets": ("apis/policy/v1", "PodDisruptionBudget"),
    "events": ("apis/events.k8s.io/v1", "Event"),
    "reliabilitypolicies": ("apis/leakwarden.dev/v1alpha1", "ReliabilityPolicy"),
    "clusterreliabilitypolicies": ("apis/leakwarden.dev/v1alpha1", "ClusterReliabilityPolicy"),
    "namespaces": ("api/v1", "Namespace"),
    "leakreports": ("apis/leakwarden.dev/v1alpha1", "LeakReport"),
}

CLUSTER_SCOPED = frozenset({"clusterreliabilitypolicies", "namespaces"})


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386. Apply and strategic merge differ from it only for lists, which our patches replace."""
    if not isinstance(old, dict) or not isinstance(patch, dict):
        return copy.deepcopy(patch)
    kept = {key: value for key, value in old.items() if key not in patch}
    return kept | {key: merged(old.get(key, {}), value) for key, value in patch.items() if value is not None}


def with_ephemeral(pod: Json, added: list[Json], state: Json) -> Json | None:
    """The pod with these ephemeral containers too, each in that state. As seen on 1.37: one that is there already may be
    repeated and not be changed, which is None here."""
    held = {each["name"]: each for each in pod["spec"].get("ephemeralContainers", [])}
    if any(each["name"] in held and merged(held[each["name"]], each) != held[each["name"]] for each in added):
        return None
    new = [each for each in added if each["name"] not in held]
    grown = copy.deepcopy(pod)
    grown["spec"]["ephemeralContainers"] = [*held.values(), *copy.deepcopy(new)]
    told = grown.setdefault("status", {}).setdefault("ephemeralContainerStatuses", [])
    told += [{"name": each["name"], "state": copy.deepcopy(state)} for each in new]
    return grown


def line(event: str, obj: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": event, "object": obj}).encode() + b"\n"


def status(
    code: int,
    message: str,
    reason: str = "",
    *,
    details: Json | None = None,
    headers: Mapping[str, str] | None = None,
    ok: bool = False,
) -> web.Response:
    fields = {"kind": "Status", "apiVersion": "v1", "status": "Success" if ok else "Failure", "code": code}
    return web.json_response(
        {**fields, "message": message, "reason": reason, "details": details or {}}, status=code, headers=headers
    )


def discovery(path: str) -> web.Response:
    """Discovery, which clients read before they watch: versions, groups and the kinds in them."""
    groups = sorted({prefix for prefix, _ in KINDS.values() if prefix.startswith("apis/")})
    if path == "/version":
        return web.json_response({"major": "1", "minor": "37", "gitVersion": "v1.37.0"})
    if path == "/api":
        return web.json_response({"kind": "APIVersions", "versions": ["v1"]})
    if path == "/apis":
        versions = [prefix.removeprefix("apis/") for prefix in groups]
        listed = [
            {
                "name": gv.split("/")[0],
                "versions": [{"groupVersion": gv, "version": gv.split("/")[1]}],
                "preferredVersion": {"groupVersion": gv, "version": gv.split("/")[1]},
            }
            for gv in versions
        ]
        return web.json_response({"kind": "APIGroupList", "groups": listed})
    resources = [
        {"name": plural, "kind": kind, "singularName": kind.lower(), "namespaced": True,
         "verbs": ["create", "get", "list", "patch", "watch"]}
        for plural, (prefix, kind) in KINDS.items()
        if f"/{prefix}" == path
    ]  # fmt: skip
    if path == "/api/v1":
        # kopf does not begin before it has discovered the kind Namespace, even where it never reads one.
        resources.append({"name": "namespaces", "kind": "Namespace", "singularName": "namespace", "namespaced": False,
                          "verbs": ["get", "list", "watch"]})  # fmt: skip
    if not resources:
        return status(404, "the server could not find the requested resource", "NotFound")
    return web.json_response({"kind": "APIResourceList", "resources": resources})
