"""A manifest becomes the workload that the API server would make of it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from leakwarden.cli.audit.files import Document, DocumentPlace
from leakwarden.cli.audit.manifests import workloads
from leakwarden.cli.audit.workload_manifest import ManifestError, to_workload
from leakwarden.core.model.workload import Disruption, PreStop, Probe, Workload

PLACE = DocumentPlace("x.yaml", 1, 1)


def deployment(spec: str = "", container: str = "", pod: str = "") -> dict[str, Any]:
    """The smallest Deployment, with additions to its spec, its container and its pod, each as YAML in flow style."""
    text = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop, labels: {{app: web}}}}
spec:
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: app, image: web:1{container}}}]{pod}}}
"""
    manifest: dict[str, Any] = yaml.safe_load(text)
    manifest["spec"] |= yaml.safe_load(f"{{{spec}}}")
    return manifest


def described(*bodies: dict[str, Any]) -> tuple[Workload, tuple[Disruption, ...] | None]:
    found, problems = workloads([Document(PLACE, body) for body in bodies])
    assert problems == []
    assert found[0].workload is not None
    return found[0].workload, found[0].disruptions


def beside(kind: str, spec: str, group: str, namespace: str = "shop") -> dict[str, Any]:
    metadata = {"name": "beside", "namespace": namespace}
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata, "spec": yaml.safe_load(f"{{{spec}}}")}


def test_what_is_left_out_has_kubernetes_defaults() -> None:
    workload = to_workload(deployment())
    assert (workload.replicas, workload.strategy, workload.max_unavailable, workload.max_surge) == (
        1,
        "RollingUpdate",
        "25%",
        "25%",
    )
    assert (workload.termination_grace, workload.progress_deadline, workload.min_ready_seconds) == (30, 600, 0)
    assert workload.paused is False


def test_its_pods_are_imagined_as_running_whatever_a_status_says() -> None:
    manifest = deployment("replicas: 4") | {"status": {"unavailableReplicas": 4, "observedGeneration": 1}}
    manifest["metadata"] |= {"generation": 7, "uid": "u"}
    workload = to_workload(manifest)
    assert (workload.replicas, workload.ready_replicas, workload.unavailable_replicas) == (4, 4, 0)
    assert not workload.rollout_in_progress


def test_recreate_has_no_rolling_numbers() -> None:
    workload = to_workload(deployment("strategy: {type: Recreate}"))
    assert (workload.strategy, workload.max_unavailable, workload.max_surge) == ("Recreate", None, None)


def test_one_rolling_number_leaves_the_other_at_its_default() -> None:
    workload = to_workload(deployment("strategy: {rollingUpdate: {maxUnavailable: 0}}"))
    assert (workload.max_unavailable, workload.max_surge) == (0, "25%")


@pytest.mark.parametrize(
    ("text", "probe"),
    [
        ("httpGet: {port: http}", Probe("http", "/", "http")),
        ("httpGet: {port: 80, path: /z, scheme: HTTPS}, periodSeconds: 3", Probe("http", "/z", 80, "HTTPS", period=3)),
        ("tcpSocket: {port: 80}, timeoutSeconds: 0", Probe("tcp", port=80)),
        ("grpc: {port: 80}, failureThreshold: null", Probe("grpc", port=80)),
        ("exec: {command: [test]}, initialDelaySeconds: 9", Probe("exec", initial_delay=9, command=("test",))),
    ],
)
def test_probes_have_their_kind_numbers_and_defaults(text: str, probe: Probe) -> None:
    workload = to_workload(deployment(container=f", livenessProbe: {{{text}}}"))
    assert workload.containers[0].liveness == probe


@pytest.mark.parametrize(
    ("text", "hook"),
    [
        ("sleep: {seconds: 5}", PreStop("sleep", 5)),
        ("exec: {command: [sleep, '7']}", PreStop("exec", 7)),
        ("exec: {command: [/drain.sh]}", PreStop("exec", None)),
        ("httpGet: {path: /drain, port: 80}", PreStop("http", None)),
    ],
)
def test_a_pre_stop_has_its_length_where_that_can_be_told(text: str, hook: PreStop) -> None:
    workload = to_workload(deployment(container=f", lifecycle: {{preStop: {{{text}}}}}"))
    assert workload.containers[0].pre_stop == hook


def test_a_reference_to_the_memory_limit_is_resolved_and_secrets_are_not_kept() -> None:
    env = (
        "[{name: GOMEMLIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory}}},"
        " {name: PASSWORD, value: hunter2}]"
    )
    workload = to_workload(deployment(container=f", resources: {{limits: {{memory: 1Gi}}}}, env: {env}"))
    assert workload.containers[0].env == {"GOMEMLIMIT": str(2**30)}


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("replicas: [3]", "spec.replicas is a list; a whole number is needed"),
        ("paused: 'no'", "spec.paused is text; true or false is needed"),
        ("template: {spec: {containers: web}}", "spec.template.spec.containers is text; a list is needed"),
        ("template: []", "spec.template is a list; a mapping is needed"),
        ("template: null", "spec.template.spec.containers is missing or empty"),
    ],
)
def test_what_does_not_fit_is_named_by_its_field(spec: str, complaint: str) -> None:
    with pytest.raises(ManifestError) as refused:
        to_workload(deployment(spec))
    assert str(refused.value) == complaint


def test_an_autoscaled_deployment_has_the_autoscalers_minimum() -> None:
    target = "scaleTargetRef: {kind: Deployment, name: web}"
    scaler = beside("HorizontalPodAutoscaler", f"{target}, minReplicas: 4", "autoscaling")
    assert described(deployment(), scaler)[0].replicas == 4
    elsewhere = beside("HorizontalPodAutoscaler", f"{target}, minReplicas: 4", "autoscaling", namespace="other")
    assert described(deployment("replicas: 2"), elsewhere)[0].replicas == 2


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ("maxUnavailable: 1", 1),
        ("maxUnavailable: 0", 0),
        ("maxUnavailable: 25%", 2),  # of 5, rounded up
        ("minAvailable: 5", 0),
        ("minAvailable: 50%", 2),  # 3 of 5 must stay
        ("minAvailable: 100%", 0),
    ],
)
def test_a_budget_that_selects_the_pods_says_how_many_may_go(spec: str, allowed: int) -> None:
    budget = beside("PodDisruptionBudget", f"{spec}, selector: {{matchLabels: {{app: web}}}}", "policy")
    assert described(deployment("replicas: 5"), budget)[1] == (Disruption("shop", "beside", allowed),)


@pytest.mark.parametrize(
    ("spec", "namespace"),
    [
        ("selector: {matchLabels: {app: other}}", "shop"),
        ("selector: {matchLabels: {app: web}}", "other"),
        ("maxUnavailable: 1", "shop"),
    ],
)
def test_a_budget_for_others_shows_that_there_is_none_where_its_namespace_is_the_same(
    spec: str, namespace: str
) -> None:
    known = described(deployment(), beside("PodDisruptionBudget", spec, "policy", namespace))[1]
    assert known == (() if namespace == "shop" else None)


def test_a_budget_that_cannot_be_read_is_a_problem_and_not_a_finding() -> None:
    budget = beside("PodDisruptionBudget", "maxUnavailable: some, selector: {}", "policy")
    found, problems = workloads([Document(PLACE, deployment()), Document(PLACE, budget)])
    assert [each.identity.name for each in found] == ["web"]  # a faulty budget costs only itself
    assert "'some' is neither a number nor a percentage" in problems[0]


def test_deployments_of_other_groups_are_not_ours() -> None:
    assert workloads([Document(PLACE, deployment() | {"apiVersion": "example.com/v1"})]) == ([], [])
