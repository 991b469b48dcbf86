"""Causes of errors behind the real nginx in other services and another order than test_causes.py has them, two at once,
and healthy events of which nothing may be said: clients that hang up, many health checks, a deploy that drains.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from e2e.harness.causes import Scene, sleep_until, url
from e2e.harness.kube import Object, api_proxy, apply, kubectl, logs
from e2e.harness.stack import MONITORING, start_load, stop_load, wait_for_rollouts
from e2e.stack import manifests

pytestmark = pytest.mark.long

CALM = 200  # s of good times
TROUBLE = 150  # s
LENGTH = CALM + TROUBLE + 30

#: The causes of each service's errors, and the requests per second that it gets from the beginning.
SERVICES: dict[str, tuple[list[str], float]] = {
    # A descriptor for each request, until nothing is accepted any more; some clients hang up meanwhile.
    "files": (["Exhaustion"], 1.5),
    # What it calls gets slow while a load balancer begins to check it often.
    "asked": (["SlowDependency"], 3),
    # One deploy without draining, and a crowd a minute later.
    "twice": (["RolloutWithoutDraining", "Overload"], 4),
    "hungup": ([], 4),
    "checked": ([], 4),
    "drained": ([], 4),
}
ALONE = [name for name, (causes, _) in SERVICES.items() if len(causes) == 1]
HEALTHY = [name for name, (causes, _) in SERVICES.items() if not causes]


def objects(namespace: str) -> list[Object]:
    def healthy(name: str, upstream: str = "", **env: str) -> list[Object]:
        return manifests.service(name, "healthy", namespace, upstream=upstream, env=env)

    files = manifests.service(
        "files", "fileleak", namespace, nofile=300, leak_every=1, upstream=f"http://quick:{manifests.HTTP_PORT}"
    )
    twice = healthy("twice", LATENCY="100ms", AT_ONCE="2", DRAIN="0s", SHUTDOWN_TIMEOUT="10ms")
    twice[0]["spec"]["strategy"] = {"type": "Recreate"}
    return [
        *files, *healthy("quick"), *healthy("called"), *healthy("asked", f"http://called:{manifests.HTTP_PORT}"), *twice,
        *healthy("hungup", LATENCY="150ms"), *healthy("checked"), *healthy("drained"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def scene(stack: None, module_namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    namespace = module_namespace
    apply(objects(namespace))
    wait_for_rollouts(namespace)
    apply(manifests.nginx(namespace, list(SERVICES), metrics=True))
    wait_for_rollouts(namespace)
    loads = [f"users-{name}" for name in SERVICES]
    for name, (_, rate) in SERVICES.items():
        start_load(namespace, f"users-{name}", url(name), rate=rate, duration=LENGTH)
    began = time.monotonic()

    def more(load: str, target: str, rate: float, seconds: int, **options: float) -> None:
        loads.append(load)
        start_load(namespace, load, target, rate=rate, duration=seconds, **options)

    sleep_until(began + CALM, "good times")
    kubectl("rollout", "restart", "deployment/twice", "deployment/drained", "-n", namespace)
    more("hasty", url("hungup"), 4, TROUBLE, timeout=0.05)
    more("hasty-files", url("files"), 1, TROUBLE, timeout=0.001)
    more("checks", url("checked").replace("/work", "/healthz"), 30, TROUBLE)
    more("checks-asked", url("asked").replace("/work", "/healthz"), 10, TROUBLE)
    sleep_until(began + CALM + 30, "a deploy")
    kubectl("set", "env", "deployment/called", "LATENCY=1500ms", "-n", namespace)
    # More than two minutes after the deploy's last error, so that these are two bursts.
    sleep_until(began + CALM + TROUBLE, "trouble")
    more("crowd", url("twice"), 30, 90)
    sleep_until(began + CALM + TROUBLE + 60, "a crowd")
    log = tmp_path_factory.mktemp("mixed") / "access.log"
    log.write_text(logs("deployment/nginx", namespace))
    with api_proxy() as api:
        prometheus = f"{api}/api/v1/namespaces/{MONITORING}/services/prometheus:9090/proxy"
        scene = Scene(namespace, log, prometheus, int(time.monotonic() - began) + 15)
        for name, (causes, _) in SERVICES.items():
            scene.record(name, causes or "None")
        yield scene
    for load in loads:
        stop_load(namespace, load)


@pytest.mark.parametrize("proxy", ["nginx", "ingress-nginx"])
@pytest.mark.parametrize("name", ALONE)
def test_a_cause_is_told_while_healthy_events_go_on_beside_it(scene: Scene, name: str, proxy: str) -> None:
    found = scene.diagnosed(name, proxy=proxy)
    assert [found["cause"], *found["also"]] == SERVICES[name][0], json.dumps(found, indent=2)


@pytest.mark.parametrize("proxy", ["nginx", "ingress-nginx"])
def test_two_causes_one_after_the_other_are_both_told(scene: Scene, proxy: str) -> None:
    found = scene.diagnosed("twice", proxy=proxy)
    assert {found["cause"], *found["also"]} == set(SERVICES["twice"][0]), json.dumps(found, indent=2)


@pytest.mark.parametrize("proxy", ["nginx", "ingress-nginx"])
@pytest.mark.parametrize("name", HEALTHY)
def test_of_healthy_events_nothing_is_said(scene: Scene, name: str, proxy: str) -> None:
    found = scene.diagnosed(name, proxy=proxy)
    assert not found["happened"], json.dumps(found, indent=2)
