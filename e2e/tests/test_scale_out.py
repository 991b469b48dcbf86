"""Scale-out by need behind the real nginx, on readings of the real Prometheus.

One service gets a stepped load that one pod cannot carry; it is given the replicas that the capacity model names, and no
more. Others are slow at a constant small load: one at its maximum, one under a HorizontalPodAutoscaler, one under a
ScaledObject that no KEDA acts on, and one that leaks. The whole load is 22,000 requests within seven minutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from e2e.cluster.progress import say
from e2e.harness.kube import Object, apply, existing, kubectl
from e2e.harness.policies import actions_of, policy, read_policy, reports_of, signal, workload_of
from e2e.harness.stack import prometheus_query, restarts, start_load, stop_load, uids, wait_for_rollouts
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

pytestmark = pytest.mark.long

#: Requests per second and seconds. A pod does 33 a second; it is seen to carry 24 and gets 62, which takes three.
STEPS = ((12, 60), (24, 75), (62, 285))
NEEDED = 3
SLOW = {"LATENCY": "300ms"}
SLOWLY = 3  # requests per second to each of the slow services
SLOW_ONES = ("capped", "autoscaled", "kedascaled", "leaking")
SETTLED = 75.0  # s: longer than `for` and a tick


def objects(namespace: str) -> list[Object]:
    busy = manifests.service("busy", "healthy", namespace, upstream="", env={"LATENCY": "60ms", "AT_ONCE": "2"})
    slow = [manifests.service(name, "healthy", namespace, upstream="", env=SLOW) for name in SLOW_ONES[:3]]
    upstream = manifests.service("slowly", "healthy", namespace, upstream="", env=SLOW)
    leaking = manifests.service(
        "leaking", "fileleak", namespace, nofile=200, leak_every=1, upstream=f"http://slowly:{manifests.HTTP_PORT}"
    )
    return [*busy, *(each for made in slow for each in made), *upstream, *leaking]


def needing(name: str, namespace: str, most: int) -> Object:
    found = policy(
        name, namespace, {"app": name},
        [signal("Descriptors", "40%", "10s"), signal("LatencyP99", "10")],
        cooldown="20s",
    )  # fmt: skip
    found["spec"]["remediation"]["scaleOutOnNeed"] = {"maxReplicas": most, "p99Above": "250ms", "for": "1m"}
    return found


def hpa(name: str, namespace: str) -> Object:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
        },
    }  # fmt: skip


def scaled_object(name: str, namespace: str) -> Object:
    """Without KEDA no HorizontalPodAutoscaler is made of it, as while it is paused."""
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"scaleTargetRef": {"name": name}, "maxReplicaCount": 3},
    }


#: Of KEDA's own definition what an object needs to exist.
KEDA: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "scaledobjects.keda.sh"},
    "spec": {
        "group": "keda.sh",
        "names": {"kind": "ScaledObject", "listKind": "ScaledObjectList", "plural": "scaledobjects", "singular": "scaledobject"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1alpha1", "served": True, "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def scene(operator: str, module_namespace: str) -> Iterator[str]:
    """The namespace, while its load goes on."""
    namespace = module_namespace
    apply(KEDA)
    kubectl("wait", "--for=condition=Established", "crd/scaledobjects.keda.sh", "--timeout=30s")
    apply([hpa("autoscaled", namespace), scaled_object("kedascaled", namespace)])
    apply(objects(namespace))
    wait_for_rollouts(namespace)
    apply(manifests.nginx(namespace, ["busy", *SLOW_ONES]))
    wait_for_rollouts(namespace)
    most = {"busy": 4, "capped": 2}
    apply([needing(name, namespace, most.get(name, 3)) for name in ("busy", *SLOW_ONES)])
    length = sum(seconds for _, seconds in STEPS)
    start_load(namespace, "slowly", [url(name) for name in SLOW_ONES], rate=SLOWLY * len(SLOW_ONES), duration=length)
    try:
        yield namespace
    finally:
        for load in ("slowly", *(f"step-{rate}" for rate, _ in STEPS)):
            stop_load(namespace, load)
        kubectl("delete", "crd", "scaledobjects.keda.sh", "--ignore-not-found", "--wait=false")


def url(name: str) -> str:
    return f"http://nginx:{manifests.HTTP_PORT}/{name}/work"


def replicas(namespace: str, name: str) -> int:
    found: int = existing("deployment", name, namespace)["spec"]["replicas"]
    return found


def test_a_loaded_service_gets_the_replicas_of_the_capacity_model_and_no_more(scene: str) -> None:
    for rate, seconds in STEPS[:-1]:
        say(f"{rate} requests/s for {seconds} s")
        start_load(scene, f"step-{rate}", url("busy"), rate=rate, duration=seconds)
        time.sleep(seconds)
        assert replicas(scene, "busy") == 1, "one pod carries it"
    rate, seconds = STEPS[-1]
    start_load(scene, f"step-{rate}", url("busy"), rate=rate, duration=seconds)

    def scaled() -> bool | NotYet:
        found = replicas(scene, "busy")
        if found >= NEEDED:
            return True
        return NotYet(f"{found} replicas, {workload_of(read_policy(scene, 'busy'), 'busy')}")

    wait_until(f"{NEEDED} replicas", scaled, 210)
    wait_for_rollouts(scene, "busy")
    records = [each for each in actions_of(read_policy(scene, "busy"), "busy") if each["phase"] == "Done"]
    assert {each["type"] for each in records} == {"ScaleOut"}
    assert sorted(each["replicasAfter"] for each in records) == [2, 3]
    first = records[-1]["reason"]
    assert "nothing leaks" in first, first
    assert "a pod carries" in first, first
    assert f"{NEEDED} replicas are needed" in first, first
    # Three are enough: users wait no longer, and none is added.
    time.sleep(SETTLED)
    assert replicas(scene, "busy") == NEEDED
    (p99,) = prometheus_query(
        f'histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{{namespace="{scene}",app="busy"}}[30s])))'
    )
    assert p99[1] <= 0.25, p99


def test_at_the_maximum_it_is_left_and_says_so(scene: str) -> None:
    skipped(scene, "capped", "AtMaxReplicas")
    assert replicas(scene, "capped") == 2


@pytest.mark.parametrize(
    ("name", "owner"),
    [("autoscaled", "the HorizontalPodAutoscaler autoscaled"), ("kedascaled", "the KEDA ScaledObject kedascaled")],
)
def test_replicas_that_an_autoscaler_owns_are_left_to_it_and_it_is_named(scene: str, name: str, owner: str) -> None:
    skipped(scene, name, "ReplicasOwned")
    assert replicas(scene, name) == 1
    assert not actions_of(read_policy(scene, name))
    said = [guard["message"] for report in reports_of(scene, name) for guard in report["status"].get("guards", [])]
    assert any(owner in message for message in said), said


def test_a_slow_service_that_leaks_is_remediated_and_gets_no_replica(scene: str) -> None:
    def remediated() -> bool | NotYet:
        records = actions_of(read_policy(scene, "leaking"), "leaking")
        return True if any(each["phase"] == "Done" for each in records) else NotYet(str(records))

    wait_until("the leak to be remediated", remediated, 120)
    assert {each["type"] for each in actions_of(read_policy(scene, "leaking"))} == {"EvictPod"}
    assert replicas(scene, "leaking") == 1
    assert len(uids(scene, "leaking")) == 1
    assert restarts(scene, "leaking") == 0


def skipped(namespace: str, name: str, reason: str) -> None:
    def look() -> bool | NotYet:
        judged = workload_of(read_policy(namespace, name), name) or {}
        return True if reason in judged.get("skipped", {}).get("reasons", []) else NotYet(str(judged))

    wait_until(f"{reason} of {name}", look, 180)
