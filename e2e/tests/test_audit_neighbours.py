"""The operator's own audit beside Services, budgets and autoscalers of the cluster, and the reports that it writes."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.harness.kube import apply
from e2e.harness.policies import policy, read_policy, signal, workload_of
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

pytestmark = pytest.mark.long

# The reader looks every five minutes, and the audit goes on with what it read.
PATIENCE = 360  # s


def test_what_stands_beside_a_deployment_is_held_against_it(namespace: str) -> None:
    labels = {"app": "beside"}
    deployment = manifests.service("beside", "healthy", namespace, labels=labels)
    pod_labels = deployment[0]["spec"]["template"]["metadata"]["labels"]
    apply(
        [
            *deployment,
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "wrong", "namespace": namespace},
                "spec": {"selector": pod_labels, "ports": [{"port": 80, "targetPort": "nowhere"}]},
            },
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": "never", "namespace": namespace},
                "spec": {"maxUnavailable": 0, "selector": {"matchLabels": pod_labels}},
            },
        ]
    )
    apply(policy("beside", namespace, labels, [signal("Descriptors", "80%")], mode="Observe"))

    def held_against() -> set[str] | NotYet:
        found = workload_of(read_policy(namespace, "beside"), "beside") or {}
        findings: list[dict[str, Any]] = found.get("findings", [])
        ids = {each["id"] for each in findings}
        return ids if ids >= {"LW402", "LW501"} else NotYet(str(ids))

    wait_until("the audit to have read the Service and the budget", held_against, PATIENCE)
    notes = read_policy(namespace, "beside").get("status", {}).get("notes", [])
    assert not [note for note in notes if note.startswith("audit:")], "the chart grants all that the audit reads"
