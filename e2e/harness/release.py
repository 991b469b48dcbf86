"""The operator as its users install it: with Helm, in the cluster, under its own account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from e2e.cluster.paths import REPOSITORY
from e2e.cluster.progress import step
from e2e.harness.images import ensure_images
from e2e.harness.kube import Object, apply, attempt, containers, helm, kubectl, listed
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

CHART = REPOSITORY / "charts" / "leakwarden"
RELEASE = "leakwarden"
NAMESPACE = "leakwarden-system"

#: Readings every five seconds, so that a test takes a minute and not an hour; everything allowed that there is.
OPERATOR_VALUES: Mapping[str, Any] = {
    "interval": "5s",
    "bucket": "5s",
    "prometheus": [{"name": "main", "url": "http://prometheus.monitoring:9090", "default": True, "timeout": "4s"}],
    "actions": {
        "evictPod": {"enabled": True},
        "scaleOut": {"enabled": True},
        "rolloutRestart": {"enabled": True},
    },
}


def install_operator(
    release: str = RELEASE, namespace: str = NAMESPACE, values: Mapping[str, Any] = OPERATOR_VALUES
) -> None:
    """`helm upgrade --install` of the chart with the image built from this tree, until the operator is ready.

    A changed image under the same tag restarts the pod. The namespace admits only *restricted* pods. Raises
    KubectlError with Helm's words.
    """
    archive = ensure_images()["operator"]
    given = {
        **values,
        "image": {"tag": "dev", "pullPolicy": "IfNotPresent"},
        "podAnnotations": {"leakwarden.dev/e2e-image": archive},
    }
    apply(manifests.namespace(namespace))
    with step(f"installing the operator, release {release} in {namespace}"):
        helm(
            "upgrade", "--install", release, str(CHART), "-n", namespace, "--take-ownership", "--wait",
            "--timeout", "5m", "-f", "-", stdin=json.dumps(given),
        )  # fmt: skip


def uninstall_operator(release: str = RELEASE, namespace: str = NAMESPACE) -> None:
    """`helm uninstall` where it is installed; the CRD and the policies stay, as users are told."""
    with step(f"uninstalling release {release} of {namespace}"):
        helm("uninstall", release, "-n", namespace, "--ignore-not-found", "--wait", "--timeout", "3m")


def operator_pod(release: str = RELEASE, namespace: str = NAMESPACE) -> Object | None:
    """The operator's pod that is not on its way out; None while there is none."""
    pods = listed("pods", namespace, f"app.kubernetes.io/instance={release}")
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return alive[0] if alive else None


def wait_for_operator(release: str = RELEASE, namespace: str = NAMESPACE, timeout: float = 180) -> Object:
    """The operator's pod, once it is ready."""

    def look() -> Object | NotYet:
        pod = operator_pod(release, namespace)
        if pod is None:
            return NotYet("no pod")
        if not all(each["ready"] for each in containers(pod)) or not containers(pod):
            return NotYet(f"{pod['metadata']['name']} is {pod['status'].get('phase')}, not ready")
        return pod

    return wait_until("the operator to be ready", look, timeout)


def scale_operator(replicas: int, release: str = RELEASE, namespace: str = NAMESPACE) -> None:
    """Stop the operator (0) or start it (1); returns once it is gone, or ready."""
    kubectl("scale", f"deployment/{release}", f"--replicas={replicas}", "-n", namespace)
    if replicas:
        wait_for_operator(release, namespace)
        return

    def gone() -> bool | NotYet:
        pods = listed("pods", namespace, f"app.kubernetes.io/instance={release}")
        return NotYet(f"{len(pods)} pods left") if pods else True

    wait_until("the operator's pod to be gone", gone, 60)


def stop_operators() -> None:
    """Whatever operator is installed anywhere has no pod afterwards; `install_operator` starts it again."""
    labels = "app.kubernetes.io/name=leakwarden"
    for deployment in listed("deployments", selector=labels, everywhere=True):
        place = deployment["metadata"]
        kubectl("scale", f"deployment/{place['name']}", "--replicas=0", "-n", place["namespace"])

    def gone() -> bool | NotYet:
        left = listed("pods", selector=labels, everywhere=True)
        return NotYet(f"{len(left)} pods left") if left else True

    wait_until("the operators' pods to be gone", gone, 60)


def operator_logs(release: str = RELEASE, namespace: str = NAMESPACE, *, tail: int = -1) -> str:
    """What the running operator wrote, and before it the container that ran before in the same pod."""
    target = ["kubectl", "logs", f"deployment/{release}", "-n", namespace, f"--tail={tail}"]
    previous = attempt(*target, "--previous")
    return (previous.output if previous.succeeded else "") + attempt(*target).output
