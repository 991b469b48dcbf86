"""The operator's account in a namespace, with the rights that the chart grants there and no others."""

from __future__ import annotations

import copy
import functools
import json

import yaml

from e2e.harness.kube import Object, apply, helm, kubectl
from e2e.harness.release import CHART

_RIGHTS = frozenset({"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"})
_PLACE = "leakwarden-e2e-place"
#: What the name of a second namespace ends with, for an operator that watches two.
BESIDE = "-beside"
ACCOUNT = "leakwarden"


@functools.cache
def _rendered() -> str:
    values = {
        "watchNamespaces": [_PLACE, f"{_PLACE}{BESIDE}"],
        "prometheus": [{"name": "main", "url": "http://127.0.0.1:9090"}],
        "actions": {"evictPod": {"enabled": True}, "scaleOut": {"enabled": True}, "rolloutRestart": {"enabled": True}},
        "crds": {"install": False},
    }
    return helm("template", ACCOUNT, str(CHART), "-n", _PLACE, "-f", "-", stdin=json.dumps(values))


def rights(namespace: str, *, beside: bool = False) -> list[Object]:
    """The chart's account and roles for an operator that runs in a namespace and watches only it, or it and a second
    one."""
    objects = yaml.safe_load_all(_rendered().replace(_PLACE, namespace))
    elsewhere = "" if beside else f"{namespace}{BESIDE}"
    return [
        each
        for each in objects
        if each and each["kind"] in _RIGHTS and each["metadata"].get("namespace", namespace) != elsewhere
    ]


def without(objects: list[Object], resource: str, *verbs: str) -> list[Object]:
    """The same, but no role allows these verbs on the resource any more."""
    changed = copy.deepcopy(objects)
    for each in changed:
        for rule in each.get("rules") or []:
            if resource in rule["resources"]:
                rule["verbs"] = [verb for verb in rule["verbs"] if verb not in verbs] or ["none"]
    return changed


def grant(objects: list[Object]) -> None:
    for each in objects:
        # Roles of the cluster have no namespace; all others have theirs.
        each["metadata"].pop("creationTimestamp", None)
    apply(objects)


def token(namespace: str) -> str:
    """A token of the account, for two hours."""
    return kubectl("create", "token", ACCOUNT, "-n", namespace, "--duration=2h").strip()
