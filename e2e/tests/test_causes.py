"""Five causes of errors, each produced behind the real nginx, are told apart by `leakwarden diagnose`.

All five go on side by side, under load of their own, so that one run of seven minutes shows them all. nginx's access log
gives what users got, Prometheus what the pods did. nginx waits a second for an answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.harness.causes import Scene, sleep_until, url
from e2e.harness.kube import Object, api_proxy, apply, kubectl, logs
from e2e.harness.stack import MONITORING, start_load, stop_load, wait_for_rollouts
from e2e.stack import manifests

pytestmark = pytest.mark.long

CALM = 210  # s of good times before something goes wrong: twelve moments and more
TROUBLE = 120  # s of it
LENGTH = CALM + TROUBLE + 30

#: Which cause each service is to show, and the requests a second that it gets from the beginning.
CAUSES = {
    "pool": ("Exhaustion", 2),
    "caller": ("SlowDependency", 2),
    "careless": ("RolloutWithoutDraining", 5),
    "patient": ("ProxyTimeoutTooShort", 2),
    "busy": ("Overload", 6),
    "calm": (None, 4),
}


def objects(namespace: str) -> list[Object]:
    def healthy(name: str, upstream: str = "", **env: str) -> list[Object]:
        return manifests.service(name, "healthy", namespace, upstream=upstream, env=env)

    # It has leaked its 80 connections after 200 s: one in five of its 2 requests a second leaks one.
    leaking = manifests.service("pool", "rowsleak", namespace, env={"MAX_OPEN": "80"})
    slow = healthy("dependency") + healthy("caller", f"http://dependency:{manifests.HTTP_PORT}")
    careless = healthy("careless", DRAIN="0s", SHUTDOWN_TIMEOUT="10ms")
    # Its one pod goes before the next one is there.
    careless[0]["spec"]["strategy"] = {"type": "Recreate"}
    # It always needs longer than nginx waits.
    patient = healthy("patient", LATENCY="1300ms")
    # Twenty requests a second are what it can do.
    busy = healthy("busy", LATENCY="100ms", AT_ONCE="2")
    return [*leaking, *slow, *careless, *patient, *busy, *healthy("calm")]


@pytest.fixture(scope="module")
def scene(module_namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    namespace = module_namespace
    apply(objects(namespace))
    wait_for_rollouts(namespace)
    apply(manifests.nginx(namespace, list(CAUSES), metrics=True))
    wait_for_rollouts(namespace)
    for name, (_, rate) in CAUSES.items():
        start_load(namespace, f"users-{name}", url(name), rate=rate, duration=LENGTH)
    began = time.monotonic()
    sleep_until(began + CALM, "good times")
    start_load(namespace, "crowd", url("busy"), rate=30, duration=TROUBLE)
    kubectl("set", "env", "deployment/dependency", "LATENCY=1500ms", "-n", namespace)
    kubectl("rollout", "restart", "deployment/careless", "-n", namespace)
    sleep_until(began + CALM + TROUBLE * 0.6, "trouble")
    kubectl("rollout", "restart", "deployment/careless", "-n", namespace)
    sleep_until(began + CALM + TROUBLE, "trouble")
    log = tmp_path_factory.mktemp("causes") / "access.log"
    log.write_text(logs("deployment/nginx", namespace))
    with api_proxy() as api:
        prometheus = f"{api}/api/v1/namespaces/{MONITORING}/services/prometheus:9090/proxy"
        scene = Scene(namespace, log, prometheus, LENGTH + 60)
        for name, (cause, _) in CAUSES.items():
            scene.record(name, cause or "None")
        yield scene
    for name in (*(f"users-{name}" for name in CAUSES), "crowd"):
        stop_load(namespace, name)


@pytest.mark.parametrize("proxy", ["nginx", "ingress-nginx"])
@pytest.mark.parametrize("name", [name for name, (cause, _) in CAUSES.items() if cause])
def test_each_cause_is_told_from_the_others_by_the_log_and_by_metrics(scene: Scene, name: str, proxy: str) -> None:
    found = scene.diagnosed(name, proxy=proxy)
    assert found["cause"] == CAUSES[name][0], json.dumps(found, indent=2)


def test_a_service_without_trouble_beside_them_has_none(scene: Scene) -> None:
    found = scene.diagnosed("calm")
    assert not found["happened"], json.dumps(found, indent=2)


def test_the_pods_behind_an_exhaustion_and_a_rollout_are_named(scene: Scene) -> None:
    assert any("connection pool" in each["why"] for each in scene.diagnosed("pool")["pods"])
    assert any("it was new" in each["why"] for each in scene.diagnosed("careless")["pods"])


def test_lines_of_a_log_count(scene: Scene, tmp_path: Path) -> None:
    log = tmp_path / "pool.log"
    log.write_text(logs("deployment/pool", scene.namespace))
    found = scene.diagnosed("pool", "--log", str(log))
    assert found["cause"] == "Exhaustion"
    assert found["logs"].get("DeadlineExceeded", 0) > 0, found["logs"]
