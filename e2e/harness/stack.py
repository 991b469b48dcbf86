"""The surroundings of users' services: Prometheus, nginx in front, and load; and the wait until they run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import yaml

from e2e.cluster.paths import REPOSITORY
from e2e.cluster.progress import step
from e2e.harness.images import ensure_images
from e2e.harness.kube import KubectlError, Object, apply, containers, kubectl, listed, logs, raw
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests
from e2e.stack.logs import load_report

MONITORING = "monitoring"
_PROMETHEUS = REPOSITORY / "e2e" / "stack" / "prometheus.yaml"


def prometheus_objects() -> list[Object]:
    """prometheus.yaml, with an annotation that restarts its pod when configuration or images change."""
    text = _PROMETHEUS.read_text()
    objects: list[Object] = list(yaml.safe_load_all(text))
    images = ensure_images()
    stamp = hashlib.sha256(f"{text}{images['prometheus']}{images['services']}".encode()).hexdigest()[:12]
    for each in objects:
        if each["kind"] == "Deployment":
            metadata = each["spec"]["template"]["metadata"]
            metadata.setdefault("annotations", {})["leakwarden.dev/e2e-stamp"] = stamp
    return objects


def another_prometheus(name: str, *, scrapes: bool) -> list[Object]:
    """Another real Prometheus in the same namespace; one that does not scrape has no data."""
    renamed: list[Object] = []
    for each in prometheus_objects():
        if each["kind"] not in ("ConfigMap", "Deployment", "Service"):
            continue
        each["metadata"]["name"] = name
        if each["kind"] == "ConfigMap":
            if not scrapes:
                each["data"] = {"prometheus.yml": "global: {scrape_interval: 5s}\n"}
        elif each["kind"] == "Service":
            each["spec"]["selector"] = {"app": name}
        else:
            each["metadata"]["labels"] = {"app": name}
            each["spec"]["selector"]["matchLabels"] = {"app": name}
            template = each["spec"]["template"]
            template["metadata"]["labels"] = {"app": name}
            pod = template["spec"]
            if not scrapes:
                pod["containers"] = [c for c in pod["containers"] if c["name"] == "prometheus"]
            for volume in pod["volumes"]:
                if "configMap" in volume:
                    volume["configMap"]["name"] = name
        renamed.append(each)
    return renamed


def install_stack() -> None:
    """Prometheus, until it answers queries about real targets."""
    with step("installing Prometheus"):
        apply(prometheus_objects())
        wait_for_rollouts(MONITORING, "prometheus")

        def answers() -> bool | NotYet:
            return True if prometheus_query("count(up == 1)") else NotYet("no target is up yet")

        wait_until("Prometheus to have a target", answers, 120)


def prometheus_query(expression: str, *, at: float | None = None) -> list[tuple[dict[str, str], float]]:
    """An instant query through the API server: the labels and value of each series. `at` in epoch seconds."""
    path = f"api/v1/query?query={quote(expression, safe='')}" + (f"&time={at}" if at is not None else "")
    found = _prometheus(path)["result"]
    return [(series["metric"], float(series["value"][1])) for series in found]


def prometheus_range(expression: str, start: float, end: float, step_seconds: float = 5) -> list[Object]:
    """A range query: each series with `metric` and `values`, pairs of epoch seconds and text."""
    path = f"api/v1/query_range?query={quote(expression, safe='')}&start={start}&end={end}&step={step_seconds}"
    found: list[Object] = _prometheus(path)["result"]
    return found


def _prometheus(path: str) -> Any:
    answer = json.loads(raw(f"/api/v1/namespaces/{MONITORING}/services/prometheus:9090/proxy/{path}"))
    if answer.get("status") != "success":
        raise KubectlError(f"Prometheus refused {path[:200]}: {answer.get('error')}")
    return answer["data"]


def wait_for_rollouts(namespace: str, *names: str, timeout: float = 180) -> None:
    """Waits until every named Deployment (all of the namespace, where none is named) has all its pods, new and
    ready."""

    def look() -> bool | NotYet:
        waiting = []
        for deployment in listed("deployments", namespace):
            name, status = deployment["metadata"]["name"], deployment.get("status", {})
            wanted = deployment["spec"]["replicas"]
            observed = status.get("observedGeneration") == deployment["metadata"]["generation"]
            counts = (status.get("updatedReplicas", 0), status.get("readyReplicas", 0), status.get("replicas", 0))
            if (not names or name in names) and not (observed and counts == (wanted,) * 3):
                waiting.append(f"{name} has {status.get('readyReplicas', 0)} of {wanted} ready")
        return NotYet("; ".join(waiting)) if waiting else True

    wait_until(f"the pods of {namespace}", look, timeout)


def pods(namespace: str, app: str) -> list[Object]:
    """The pods of one of the stack's Deployments that are not on their way out."""
    found = listed("pods", namespace, f"app={app}")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def uids(namespace: str, app: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods(namespace, app)}


def restarts(namespace: str, app: str) -> int:
    """How often containers of the pods there are now were started again."""
    return sum(each.get("restartCount", 0) for pod in pods(namespace, app) for each in containers(pod))


def start_load(
    namespace: str, name: str, url: str | Sequence[str], *, rate: float, duration: int, **options: Any
) -> None:
    """A Job that sends load; see e2e.stack.manifests.loadgen. It runs on its own and ends by itself."""
    apply(manifests.loadgen(namespace, name, url, rate=rate, duration=duration, **options))


def stop_load(namespace: str, name: str) -> None:
    """End the load now; its report is lost."""
    kubectl("delete", "job", name, "-n", namespace, "--ignore-not-found", "--wait=false")


def wait_for_load(namespace: str, name: str, timeout: float) -> Object:
    """The load generator's report, once it has ended."""

    def look() -> Object | NotYet:
        log = logs(f"job/{name}", namespace)
        try:
            return load_report(log)
        except ValueError:
            return NotYet((log.strip().splitlines() or ["nothing sent yet"])[-1])

    return wait_until(f"the load {name} to end", look, timeout)
