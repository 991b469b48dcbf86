"""Shared code of remediation scenarios: policies at a quick pace, and readers of records and LeakReports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from e2e.faults.api import POLICIES
from e2e.faults.exchange import requests
from e2e.faults.nodes import condition, deployment
from e2e.faults.pace import POLICY
from e2e.faults.scene import Scene
from e2e.harness.kube import Object, apply
from e2e.harness.waiting import NotYet

EVICTIONS = requests("POST", "/eviction")
COOLDOWN = 10.0  # s; the least that a policy can have


def remedy(*actions: str | Object, **given: Any) -> Object:
    """`spec.remediation`; an action is its type, or all of it. `given` are further fields."""
    listed = [{"type": each} if isinstance(each, str) else each for each in actions]
    return {
        "actions": listed,
        "cooldown": f"{COOLDOWN:g}s",
        "budget": {"minReady": 1},
        "verification": {"settle": "4s", "timeout": "60s"},
        **given,
    }


def judged(scene: Scene, replicas: int, *actions: str | Object, **options: Any) -> list[Object]:
    """Pods of `victim`, judged healthy by a policy with these actions. `options` are fields of `spec.remediation`, but
    for `policy`, which are those of the spec."""
    pods = scene.deploy(replicas=replicas)
    policy = options.pop("policy", {})
    scene.guard(remediation=remedy(*actions, **options), **policy)
    scene.start()
    scene.wait_for_condition("Healthy", "True")
    return pods


def team(scene: Scene, name: str, services: Sequence[str], replicas: int = 2) -> dict[str, list[Object]]:
    """Deployments labelled `team`, and their pods once they run."""
    objects = [deployment(service, scene.namespace, replicas) for service in services]
    for each in objects:
        each["metadata"]["labels"]["team"] = name
    apply(objects)
    return {service: scene.wait_for_pods(service, replicas) for service in services}


def amend(scene: Scene, name: str = POLICY, **spec: Any) -> None:
    """Fields of the policy's spec, as its author would change them; None takes one away."""
    path = f"{POLICIES}/namespaces/{scene.namespace}/reliabilitypolicies/{name}"
    scene.world.api.merge(path, {"spec": spec})


def uid(pod: Object) -> str:
    found: str = pod["metadata"]["uid"]
    return found


def seconds(moment: str) -> float:
    """Epoch seconds of a time that the operator wrote."""
    return datetime.fromisoformat(moment).timestamp()


def replicas(scene: Scene, name: str = "victim") -> int:
    found = scene.world.api.get(f"apis/apps/v1/namespaces/{scene.namespace}/deployments/{name}")
    assert found is not None
    return int(found["spec"]["replicas"])


def ready(scene: Scene, name: str = "victim") -> int:
    return sum(condition(pod, "Ready").get("status") == "True" for pod in scene.pods(name))


def report_of(scene: Scene, pod: Object) -> Object:
    """The pod's newest LeakReport; empty where it has none."""
    mine = [each for each in scene.reports() if each["spec"]["pod"]["uid"] == uid(pod)]
    return max(mine, key=lambda each: str(each["spec"]["detectedAt"]), default={})


def wait_for_phase(scene: Scene, pod: Object, *phases: str, timeout: float = 60) -> Object:
    """The pod's LeakReport, once its episode is in one of the phases."""

    def look() -> Object | NotYet:
        found = report_of(scene, pod)
        if found.get("status", {}).get("phase") in phases:
            return found
        return NotYet(f"{found.get('status', {}).get('phase')}: {found.get('status', {}).get('message')}")

    return scene.wait(f"the report of {pod['metadata']['name']} to be {phases}", look, timeout)


def wait_for_results(scene: Scene, *results: str, workload: str = "victim", timeout: float = 60) -> list[Object]:
    """The actions that changed something, oldest first, once exactly so many have ended with these results."""

    def look() -> list[Object] | NotYet:
        found = [each for each in reversed(scene.actions(workload)) if each["type"] != "Escalate"]
        told = [each.get("result", each["phase"]) for each in found]
        return found if told == list(results) else NotYet(f"{told}; {scene.workload(workload)}")

    return scene.wait(f"actions that were {results}", look, timeout)


def wait_for_evictions(scene: Scene, number: int, timeout: float = 60) -> list[str]:
    """UIDs of the pods, once so many were evicted."""

    def look() -> list[str] | NotYet:
        found = scene.evicted()
        return found if len(found) >= number else NotYet(f"{len(found)} evictions; {scene.status().get('workloads')}")

    return scene.wait(f"{number} evictions", look, timeout)


def assert_event(scene: Scene, reason: str, kind: str = "Normal", words: str = "") -> None:
    """The Event is on the policy and on the Deployment alike, or on the policy alone where it is about no
    Deployment."""

    def look() -> bool | NotYet:
        found = [each for each in scene.events(reason) if each["type"] == kind and words in each["note"]]
        return True if found else NotYet(str([(each["reason"], each["note"]) for each in scene.events()]))

    # Events are written a moment after the change that they report.
    scene.wait(f"an Event {reason}", look, 20)
