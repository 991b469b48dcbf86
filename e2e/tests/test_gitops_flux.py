"""The example layout, applied by the kustomize-controller of Flux: in sync, healthy, and without drift."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.harness import flux
from e2e.harness.kube import apply, delete, existing, kubectl

pytestmark = pytest.mark.flux

LAYOUT = Path(__file__).resolve().parents[2] / "examples" / "gitops"
POLICY = "ReliabilityPolicy/shop/checkout"
NAME = "leakwarden-policies"


@pytest.fixture(scope="module")
def controller(module_namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[flux.KustomizeController]:
    """It runs, and its Kustomization of the layout has been applied once."""
    delete("namespace", "shop", wait=True)
    with flux.installed(), flux.served(LAYOUT) as artifact:
        running = flux.KustomizeController(module_namespace, tmp_path_factory.mktemp("flux"))
        try:
            flux.publish("platform", module_namespace, artifact)
            kustomization = yaml.safe_load((LAYOUT / "flux" / "policies.yaml").read_text())
            kustomization["metadata"]["namespace"] = module_namespace
            spec = kustomization["spec"]
            spec["sourceRef"] = {"kind": "ExternalArtifact", "name": "platform"}
            del spec["dependsOn"]  # the CRDs are there: the operator's release brought them
            apply(kustomization)
            flux.ready(NAME, module_namespace)
            yield running
            # With `prune` the controller takes away what it applied.
            delete("kustomization", NAME, module_namespace, wait=True)
        finally:
            running.stop()
            _release(module_namespace)
            delete("namespace", "shop")


def _release(namespace: str) -> None:
    """Without a controller nothing removes its finalizer, and the namespace would stay."""
    for name in kubectl("get", "kustomization", "-n", namespace, "-o", "name").split():
        kubectl("patch", name, "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def generation() -> int:
    return int(existing("reliabilitypolicy", "checkout", "shop")["metadata"]["generation"])


def test_the_layout_is_applied_and_healthy(controller: flux.KustomizeController) -> None:
    policy = existing("reliabilitypolicy", "checkout", "shop")
    assert policy["spec"]["mode"] == "Enforce"
    ready = [each["status"] for each in policy["status"]["conditions"] if each["type"] == "Ready"]
    assert ready == ["True"]
    assert controller.applied()[0][POLICY] == "created"


def test_applied_again_and_again_it_changes_nothing(
    controller: flux.KustomizeController, module_namespace: str
) -> None:
    before, applies = generation(), len(controller.applied())
    for request in ("once more", "and again"):
        flux.reconcile(NAME, module_namespace, request)
    later = controller.applied()[applies:]
    assert len(later) >= 2
    assert [each[POLICY] for each in later] == ["unchanged"] * len(later)
    assert generation() == before


def test_what_a_person_changes_is_seen_and_taken_back(
    controller: flux.KustomizeController, module_namespace: str
) -> None:
    """So the test above would see a drift."""
    kubectl("patch", "reliabilitypolicy", "checkout", "-n", "shop", "--type=merge", "-p", '{"spec":{"mode":"Observe"}}')
    flux.reconcile(NAME, module_namespace, "after a change")
    assert existing("reliabilitypolicy", "checkout", "shop")["spec"]["mode"] == "Enforce"
    assert controller.applied()[-1][POLICY] == "configured"
