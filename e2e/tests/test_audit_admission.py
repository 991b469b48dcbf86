"""The audit's ValidatingAdmissionPolicy on the real API server: every expression compiles, refuses its fault, and no more."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.harness.kube import apply, attempt, delete
from leakwarden.core.audit.admission_policy import NAME, RULES, admission_policy

WAIT = 60.0  # s; the API server applies a new policy within some seconds


def _sound(namespace: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/healthz", "port": "http"}}
    container = {
        "name": "app",
        "image": "registry.invalid/app:1",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "GOMEMLIMIT", "value": "460MiB"}],
        "livenessProbe": probe,
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "audited", "namespace": namespace},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "audited"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"app": "audited"}}, "spec": {"containers": [container]}},
        },
    }


def _faulty(namespace: str, check: str) -> dict[str, Any]:
    """The sound Deployment with the one fault that the check is about."""
    made = _sound(namespace)
    pod = made["spec"]["template"]["spec"]
    container = pod["containers"][0]
    match check:
        case "LW101":
            del container["readinessProbe"]
        case "LW113":
            container["livenessProbe"]["httpGet"]["host"] = "127.0.0.1"
        case "LW201":
            container["lifecycle"]["preStop"]["sleep"]["seconds"] = 30
        case "LW202":
            del container["lifecycle"]
            pod["terminationGracePeriodSeconds"] = 0
        case "LW302":
            made["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] = "100%"
        case "LW603":
            container["env"][0]["value"] = "512Mi"
        case _:
            raise AssertionError(f"no fault for {check}: add one")
    return made


def _refusal(made: dict[str, Any]) -> str:
    """The API server's message, or empty where it would accept the object."""
    result = attempt("kubectl", "create", "--dry-run=server", "-f", "-", stdin=json.dumps(made))
    return "" if result.succeeded else result.errors


@pytest.fixture
def denying(namespace: str) -> Iterator[str]:
    """The policy bound to the test's namespace alone, with Deny, once it is in force."""
    policy, binding = copy.deepcopy(admission_policy(("Deny",)))
    binding["spec"]["matchResources"] = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    }
    apply(policy)
    apply(binding)
    deadline = time.monotonic() + WAIT
    while not _refusal(_faulty(namespace, "LW202")):
        assert time.monotonic() < deadline, "the policy did not come into force"
        time.sleep(1)
    yield namespace
    delete("validatingadmissionpolicybinding", NAME)
    delete("validatingadmissionpolicy", NAME)


def test_each_fault_is_refused_by_its_own_check_and_a_sound_deployment_is_taken(denying: str) -> None:
    assert _refusal(_sound(denying)) == ""
    for rule in RULES:
        said = _refusal(_faulty(denying, rule.id))
        assert rule.id in said, f"{rule.id}: {said or 'the API server took it'}"
        assert [other.id for other in RULES if other.id in said] == [rule.id]


def test_a_skipped_deployment_is_left_alone(denying: str) -> None:
    made = _faulty(denying, "LW202")
    made["metadata"]["annotations"] = {"leakwarden.dev/skip": "a test"}
    assert _refusal(made) == ""
    made["metadata"]["annotations"] = {"leakwarden.dev/skip": "false"}
    assert "LW202" in _refusal(made)
