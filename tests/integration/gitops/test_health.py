"""How Argo CD and Flux read the health of all kinds: the script and the expressions that are shipped, run as they run them.

A small Go program runs them with the Lua and CEL libraries that the two controllers use, and with their options; the
controllers themselves are not run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
EVALUATOR = Path(__file__).parent / "evaluator"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("go") is None, reason="needs Go to build the evaluator"),
]

CONDITIONS = {
    "ready": [{"type": "Ready", "status": "True", "message": "in force"}],
    "unready": [{"type": "Ready", "status": "False", "message": "not yet"}],
    "stalled": [{"type": "Ready", "status": "False"}, {"type": "Stalled", "status": "True", "message": "no"}],
    "leaking": [{"type": "Ready", "status": "True"}, {"type": "Healthy", "status": "False", "message": "a leak"}],
}


def policy(conditions: str = "", seen: int = 2, **spec: Any) -> dict[str, Any]:
    status = {"observedGeneration": seen, "conditions": CONDITIONS[conditions]} if conditions else {}
    body = {"apiVersion": "leakwarden.dev/v1alpha1", "kind": "ReliabilityPolicy", "spec": spec, "status": status}
    return {**body, "metadata": {"name": "p", "namespace": "shop", "generation": 2}}


# case -> (the object, Argo CD's health, Flux's status)
POLICIES = {
    "in force": (policy("ready"), "Healthy", "Current"),
    "in force, with a leak found": (policy("leaking"), "Healthy", "Current"),
    "not seen yet": (policy(), "Progressing", "InProgress"),
    "changed since it was seen": (policy("ready", seen=1), "Progressing", "InProgress"),
    "not in force yet": (policy("unready"), "Progressing", "InProgress"),
    "that cannot be understood": (policy("stalled"), "Degraded", "Failed"),
    "suspended": (policy("ready", suspend=True), "Suspended", "Current"),
}
REPORTS = {
    "without a status": ({"kind": "LeakReport", "metadata": {"generation": 1}}, "Healthy", "Current"),
    "open": ({"kind": "LeakReport", "metadata": {}, "status": {"phase": "Open"}}, "Healthy", "Current"),
}


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("evaluator") / "evaluator"
    built = subprocess.run(
        ["go", "build", "-C", str(EVALUATOR), "-o", str(binary), "."], capture_output=True, text=True, timeout=600
    )
    assert built.returncode == 0, built.stderr
    return binary


def evaluated(evaluator: Path, script: str, kind: str, objects: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(Argo CD's health, Flux's status) of each object, by the rules in the repository."""
    kustomization = yaml.safe_load((ROOT / "examples" / "gitops" / "flux" / "policies.yaml").read_text())
    (expressions,) = (each for each in kustomization["spec"]["healthCheckExprs"] if each["kind"] == kind)
    lua = (ROOT / "charts" / "leakwarden" / "argocd" / script).read_text()
    asked = {"lua": lua, "objects": objects, **{k: expressions.get(k, "") for k in ("current", "failed", "inProgress")}}
    done = subprocess.run(
        [str(evaluator)], input=json.dumps(asked), capture_output=True, text=True, check=True, timeout=60
    )
    return [(each["argo"], each["flux"]) for each in json.loads(done.stdout)]


@pytest.mark.parametrize("kind", ["ReliabilityPolicy", "ClusterReliabilityPolicy"])
def test_a_policy_is_healthy_when_it_is_in_force_whatever_it_found(evaluator: Path, kind: str) -> None:
    found = evaluated(evaluator, "health.lua", kind, [each for each, *_ in POLICIES.values()])
    assert dict(zip(POLICIES, found, strict=True)) == {what: (argo, flux) for what, (_, argo, flux) in POLICIES.items()}


def test_a_report_is_healthy_as_an_object(evaluator: Path) -> None:
    found = evaluated(evaluator, "health-leakreport.lua", "LeakReport", [each for each, *_ in REPORTS.values()])
    assert dict(zip(REPORTS, found, strict=True)) == {what: (argo, flux) for what, (_, argo, flux) in REPORTS.items()}


def test_of_a_policy_without_any_status_argo_waits_and_flux_asks_again(evaluator: Path) -> None:
    """CEL fails on a field that is absent. Flux treats the error as an unknown status, and polls again."""
    bare = {key: value for key, value in policy().items() if key != "status"}
    ((argo, flux),) = evaluated(evaluator, "health.lua", "ReliabilityPolicy", [bare])
    assert argo == "Progressing"
    assert "no such attribute" in flux
