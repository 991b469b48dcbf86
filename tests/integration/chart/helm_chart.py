"""Rendering the chart with the real helm, for the tests that read the output."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import binaries
from e2e.cluster.errors import ClusterError

REPOSITORY = Path(__file__).resolve().parents[3]
CHART = REPOSITORY / "charts" / "leakwarden"
NAMESPACE = "watch"
RELEASE = "leakwarden"
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Refused(Exception):
    """helm did not render; ``message`` is its message to the user."""

    message: str


@dataclass(frozen=True)
class Right:
    """One verb on one resource, as an account gets it from a Role or ClusterRole."""

    verb: str
    resource: str  # group/resource, the core group being empty: "apps/deployments", "/pods"
    namespace: str = ""  # empty: everywhere


def find_helm() -> str:
    """helm from PATH or from the cluster's cache. Missing, it skips a test run by hand and fails one in CI."""
    on_path = shutil.which("helm")
    if on_path:
        return on_path
    try:
        return str(binaries.program("helm"))
    except ClusterError:
        reason = "the chart's tests need helm on PATH, or built: python3 -m e2e.cluster build"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def helm(*arguments: str) -> str:
    """helm's output; raises Refused with its error."""
    with tempfile.TemporaryDirectory(prefix="leakwarden-helm-") as home:
        # A home of its own: neither the caller's plugins nor its repositories may change the output.
        own = {f"HELM_{kind}_HOME": f"{home}/{kind}" for kind in ("CONFIG", "CACHE", "DATA")}
        done = subprocess.run(
            [find_helm(), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            env={**os.environ, **own, "KUBECONFIG": f"{home}/none"},
        )
    if done.returncode != 0:
        raise Refused(done.stderr)
    return done.stdout


def render(values: Mapping[str, Any] | None = None, *options: str, release: str = RELEASE) -> list[Manifest]:
    """Every object that an install with these values would create."""
    with tempfile.TemporaryDirectory(prefix="leakwarden-values-") as directory:
        file = Path(directory) / "values.json"
        file.write_text(json.dumps(values or {}))
        text = helm("template", release, str(CHART), "--namespace", NAMESPACE, "--values", str(file), *options)
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [each for each in manifests if each["kind"] == kind]


def the(manifests: list[Manifest], kind: str) -> Manifest:
    """The only object of its kind."""
    (only,) = of_kind(manifests, kind)
    return only


def container(manifests: list[Manifest]) -> Manifest:
    """The operator's only container."""
    (only,) = the(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(only)


def environment(manifests: list[Manifest]) -> dict[str, str]:
    """The operator's settings, those from the downward API left out."""
    return {each["name"]: each["value"] for each in container(manifests)["env"] if "value" in each}


def rights(manifests: list[Manifest]) -> set[Right]:
    """All rights of the operator's account: the bound roles, and no role that merely exists."""
    account = the(manifests, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    roles = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each for each in manifests
    }
    found: set[Right] = set()
    for binding in of_kind(manifests, "RoleBinding") + of_kind(manifests, "ClusterRoleBinding"):
        namespace = binding["metadata"].get("namespace", "")
        subjects = [(each["kind"], each.get("namespace"), each["name"]) for each in binding["subjects"]]
        if ("ServiceAccount", NAMESPACE, account) in subjects:
            reference = binding["roleRef"]
            where = namespace if reference["kind"] == "Role" else ""
            for rule in roles[reference["kind"], where, reference["name"]]["rules"]:
                found.update(_rights(rule, namespace))
    return found


def _rights(rule: Manifest, namespace: str) -> Iterator[Right]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                yield Right(verb, f"{group}/{resource}", namespace)
