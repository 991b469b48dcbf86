"""Guards of other people and controllers: the owner of the replicas, a pause, a veto query."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.cluster.paths import REPOSITORY
from e2e.harness import kube
from e2e.harness.kube import Object, apply
from e2e.harness.leaks import deploy, leak
from e2e.harness.policies import actions_of, policy, read_policy, signal, wait_for_action, workload_of
from e2e.harness.stack import pods, uids
from e2e.harness.waiting import NotYet, wait_until

SIGNALS = [signal("Descriptors", "80%", "10s")]
SCALE_OUT: Object = {"type": "ScaleOut", "maxReplicas": 3}
RESTART: Object = {"type": "RolloutRestart"}

# : Labels of Flux and annotations of Argo CD on the objects that they apply.
FLUX = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
ARGO = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/argo"}


@dataclass(frozen=True)
class Case:
    """The guard that keeps the policy of this Deployment from acting, and the expected message."""

    reason: str
    words: str
    spec: dict[str, Any]


CASES = {
    "scaled": Case("ReplicasOwned", "HorizontalPodAutoscaler scaled", {"actions": [SCALE_OUT]}),
    "keda": Case("ReplicasOwned", "KEDA ScaledObject orders", {"actions": [SCALE_OUT]}),
    "flux": Case("ReplicasOwned", "Flux Kustomization shop", {"actions": [SCALE_OUT]}),
    "argo": Case("TemplateOwned", "Argo CD application shop", {"actions": [RESTART]}),
    "paused": Case(
        "Paused",
        "db-migration: orders are moved",
        {
            "pauseRequests": [
                {"name": "db-migration", "reason": "orders are moved"},
                {"name": "sale", "reason": "until Monday"},
            ]
        },
    ),
    "vetoed": Case("Vetoed", "busy", {"vetoes": [{"name": "busy", "query": "process_open_fds > 50"}]}),
    # Two series for each, and no rule for joining them: Prometheus refuses to answer.
    "unanswered": Case(
        "Vetoed", "broken", {"vetoes": [{"name": "broken", "query": "up * on() group_left() process_open_fds"}]}
    ),
    "closed": Case("OutsideMaintenance", "", {"maintenance": {"deny": [{}]}}),
    # No guard objects to an eviction: the tool that applies the Deployment does not see one.
    "evicted": Case("", "", {}),
}


def _autoscaler(namespace: str, name: str, labels: dict[str, str] | None = None) -> Object:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {
            "minReplicas": 1,
            "maxReplicas": 4,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
            ],
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def leaking(module_namespace: str) -> tuple[str, dict[str, set[str]]]:
    """Each Deployment leaks alike under a policy of its own; their namespace, and the UIDs of their pods before."""
    namespace = module_namespace
    objects = deploy(namespace, *CASES)
    for each in objects:
        if each["kind"] == "Deployment" and each["metadata"]["name"] in ("flux", "evicted"):
            each["metadata"]["labels"] = {**each["metadata"].get("labels", {}), **FLUX}
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "argo":
            each["metadata"]["annotations"] = ARGO
    policies = [policy(name, namespace, {"app": name}, SIGNALS, **case.spec) for name, case in CASES.items()]
    # As the ScaledObject's own controller labels it.
    keda = _autoscaler(namespace, "keda", {"scaledobject.keda.sh/name": "orders"})
    apply([*objects, _autoscaler(namespace, "scaled"), keda, *policies])
    before = {name: uids(namespace, name) for name in CASES}
    leak(namespace, *CASES)
    return namespace, before


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.reason])
def test_what_another_owns_or_objects_to_is_not_done_and_the_reason_is_told(
    leaking: tuple[str, dict[str, set[str]]], name: str
) -> None:
    namespace, before = leaking
    case = CASES[name]

    def skipped() -> Object | NotYet:
        judged = workload_of(read_policy(namespace, name), name) or {}
        skip: Object = judged.get("skipped", {})
        return skip if case.reason in skip.get("reasons", []) else NotYet(str(judged))

    skip = wait_until(f"{name} to be skipped: {case.reason}", skipped, 120)
    assert case.words in skip["message"]
    assert uids(namespace, name) == before[name]
    assert not actions_of(read_policy(namespace, name))


def test_what_git_manages_may_be_evicted(leaking: tuple[str, dict[str, set[str]]]) -> None:
    namespace, before = leaking
    record = wait_for_action(namespace, "evicted", "evicted", "Done")
    assert record["type"] == "EvictPod"
    assert {record["podUID"]} == before["evicted"]
    assert uids(namespace, "evicted") != before["evicted"]


def test_one_command_tells_every_reason_why_nothing_was_done(leaking: tuple[str, dict[str, set[str]]]) -> None:
    namespace, _ = leaking
    shell = kube.provider().environment()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "operator"), "KUBECONFIG": shell.kubeconfig or ""}

    def explained() -> str | NotYet:
        done = subprocess.run(
            [sys.executable, "-m", "leakwarden", "explain", f"{namespace}/paused"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout if "Paused" in done.stdout else NotYet(done.stdout + done.stderr)

    told = wait_until("the guards' answers", explained, 90)
    assert "Exhausting" in told
    assert pods(namespace, "paused")[0]["metadata"]["name"] in told
    assert "db-migration" in told
