"""The operator as its users install it: with Helm, in the cluster, under its own account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from e2e.cluster.paths import REPOSITORY
from e2e.cluster.progress import step
from e2e.harness.images import ensure_images
from e2e.harness.kube import Object, apply, attempt, containers, existing, get, helm, kubectl, listed
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

CHART = REPOSITORY / "charts" / "leakwarden"
RELEASE = "leakwarden"
NAMESPACE = "leakwarden-system"
# : The chart's default.
REPLICAS = 2

# : Readings every five seconds, so that a test takes a minute and not an hour; every action is allowed.
OPERATOR_VALUES: Mapping[str, Any] = {
    "interval": "5s",
    "bucket": "5s",
    "prometheus": [{"name": "main", "url": "http://prometheus.monitoring:9090", "default": True, "timeout": "4s"}],
    "actions": {
        "evictPod": {"enabled": True},
        "scaleOut": {"enabled": True},
        "rolloutRestart": {"enabled": True},
    },
    # Scenarios run in parallel and follow each other within minutes: the limits of a whole cluster have tests of their
    # own.
    "guards": {
        "quietAfterStart": "1s",
        "maxConcurrent": 100,
        "namespaceActions": 1000,
        "clusterActions": 1000,
        "storm": {"enabled": False},
    },
}


def install_operator(
    release: str = RELEASE, namespace: str = NAMESPACE, values: Mapping[str, Any] = OPERATOR_VALUES
) -> None:
    """`helm upgrade --install` of the chart with the image built from this tree, until its replicas are ready.

    A changed image under the same tag replaces the pods. The namespace admits only *restricted* pods. Raises
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


def operator_pods(release: str = RELEASE, namespace: str = NAMESPACE) -> list[Object]:
    """The operator's pods that are not on their way out."""
    pods = listed("pods", namespace, f"app.kubernetes.io/instance={release}")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def lease(release: str = RELEASE, namespace: str = NAMESPACE) -> Object:
    """The spec of the Lease by which a replica leads; empty where there is none yet."""
    found: Object = (get("lease", release, namespace) or {}).get("spec", {})
    return found


def holder_of(spec: Object) -> str:
    """The name of the pod that leads by the Lease; empty when it was released."""
    return str(spec.get("holderIdentity", "")).partition("_")[0]


def wait_for_operator(release: str = RELEASE, namespace: str = NAMESPACE, timeout: float = 180) -> Object:
    """The leader's pod, once all replicas are ready and one of them was seen to renew its Lease."""
    seen: list[Object] = []

    def look() -> Object | NotYet:
        wanted = existing("deployment", release, namespace)["spec"]["replicas"]
        ready = [pod for pod in operator_pods(release, namespace) if is_ready(pod)]
        if len(ready) != wanted:
            return NotYet(f"{len(ready)} of {wanted} replicas are ready")
        # The holder by the Lease may be dead: a live leader renews it every 2 s.
        seen.append(lease(release, namespace))
        if seen[0].get("renewTime") == seen[-1].get("renewTime"):
            return NotYet(f"the Lease is not renewed; it names {holder_of(seen[-1]) or 'nobody'}")
        leading = [pod for pod in ready if pod["metadata"]["name"] == holder_of(seen[-1])]
        return leading[0] if leading else NotYet(f"{holder_of(seen[-1]) or 'nobody'} leads")

    return wait_until("the operator to be ready", look, timeout, interval=0.5)


def is_ready(pod: Object) -> bool:
    return bool(containers(pod)) and all(each["ready"] for each in containers(pod))


def standbys(leader: Object, release: str = RELEASE, namespace: str = NAMESPACE) -> list[Object]:
    """The other replicas."""
    return [pod for pod in operator_pods(release, namespace) if pod["metadata"]["uid"] != leader["metadata"]["uid"]]


def scale_operator(replicas: int, release: str = RELEASE, namespace: str = NAMESPACE) -> None:
    """Stop the operator (0) or start it (REPLICAS); returns once it is gone, or all replicas are ready and one leads."""
    kubectl("scale", f"deployment/{release}", f"--replicas={replicas}", "-n", namespace)
    if replicas:
        wait_for_operator(release, namespace)
        return

    def gone() -> bool | NotYet:
        pods = listed("pods", namespace, f"app.kubernetes.io/instance={release}")
        return NotYet(f"{len(pods)} pods left") if pods else True

    wait_until("the operator's pods to be gone", gone, 60)


def stop_operators() -> None:
    """No installed operator has a pod afterwards; `install_operator` starts it again. The binding of its admission
    policy, which limits the writers of records, is deleted: operators under other accounts follow.
    """
    labels = "app.kubernetes.io/name=leakwarden"
    for binding in listed("validatingadmissionpolicybindings", selector=labels):
        if binding["metadata"]["name"].endswith("-records"):
            kubectl("delete", "validatingadmissionpolicybinding", binding["metadata"]["name"])
    for deployment in listed("deployments", selector=labels, everywhere=True):
        place = deployment["metadata"]
        kubectl("scale", f"deployment/{place['name']}", "--replicas=0", "-n", place["namespace"])

    def gone() -> bool | NotYet:
        left = listed("pods", selector=labels, everywhere=True)
        return NotYet(f"{len(left)} pods left") if left else True

    wait_until("the operators' pods to be gone", gone, 60)


def operator_logs(release: str = RELEASE, namespace: str = NAMESPACE, *, tail: int = -1) -> str:
    """The log of every replica, after that of the earlier container of the same pod."""
    return "".join(pod_logs(pod, tail=tail) for pod in operator_pods(release, namespace))


def pod_logs(pod: Object, *, tail: int = -1) -> str:
    """The log of one replica, after that of the earlier container of the same pod."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    target = ["kubectl", "logs", name, "-n", namespace, f"--tail={tail}"]
    previous = attempt(*target, "--previous")
    return (previous.output if previous.succeeded else "") + attempt(*target).output
