"""The main job: five leaking services among sound ones, all under the same load through nginx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from e2e.cluster.progress import say
from e2e.harness.kube import apply, logs
from e2e.harness.policies import actions_of, events, policy, read_policy, reports_of, signal, workload_of
from e2e.harness.sites import RECORD_MORE, SITES
from e2e.harness.stack import (
    pods,
    prometheus_query,
    restarts,
    start_load,
    stop_load,
    uids,
    wait_for_rollouts,
)
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

POLICY = "shop"
COOLDOWN_SECONDS = 120
WATCHED = {"team": "shop"}
RATE = 5  # requests a second and service

# : Program -> its options to run out within two minutes at that rate, and the metric that shows the leak.
LEAKING: dict[str, tuple[dict[str, Any], str]] = {
    "bodyleak": ({"leak_every": 2, "env": RECORD_MORE}, "process_open_fds"),
    "fileleak": ({"leak_every": 2, "env": RECORD_MORE}, "process_open_fds"),
    "transportleak": ({"leak_every": 2, "env": RECORD_MORE}, "process_open_fds"),
    "rowsleak": ({"leak_every": 5}, "go_sql_in_use_connections"),
    # It has no limit to leak towards but its memory, which must not end it before it is found.
    "goroutineleak": ({"leak_every": 1, "memory": "256Mi"}, "go_goroutines"),
}
FIXED = [f"{program}-fixed" for program in LEAKING]
SOUND = [*manifests.SOUND_PROGRAMS, *FIXED]


@dataclass
class Shop:
    """All services, under load."""

    namespace: str
    before: dict[str, set[str]] = field(default_factory=dict)  # name -> UIDs of its pods before the load

    def answers(self, service: str) -> list[tuple[float, int]]:
        """nginx's answers to users of a service: epoch seconds and status, in order."""
        found = []
        for line in logs("deployment/nginx", self.namespace).splitlines():
            if line.startswith("{") and f'"/{service}/' in line:
                entry = json.loads(line)
                found.append((_epoch(entry["time"]), int(entry["status"])))
        return found

    def reading(self, service: str, extreme: str, pod: str) -> float:
        """The highest or lowest ("max", "min") reading of the leaked resource, of one pod, from Prometheus."""
        metric = LEAKING[service][1]

        def look() -> float | NotYet:
            # Prometheus may not have scraped a new pod yet when the kubelet has already.
            found = prometheus_query(f'{extreme}_over_time({metric}{{namespace="{self.namespace}",pod="{pod}"}}[15m])')
            return found[0][1] if found else NotYet("no series")

        return wait_until(f"Prometheus to know {metric} of {pod}", look, 30)

    def effective(self, service: str) -> dict[str, Any]:
        """The first action on a service, once it is known to have helped."""

        def look() -> dict[str, Any] | NotYet:
            found = read_policy(self.namespace, POLICY)
            records = actions_of(found, service)
            if not records:
                return NotYet(f"no action; {workload_of(found, service)}")
            first: dict[str, Any] = records[-1]
            return first if first.get("result") == "Effective" else NotYet(str(first))

        return wait_until(f"{service} to be evicted and verified", look, 300, interval=2)


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.fixture(scope="module")
def shop(module_namespace: str) -> Iterator[Shop]:
    namespace = module_namespace
    objects = manifests.backend(namespace)
    for program, (options, _) in LEAKING.items():
        common = {"nofile": 200, "labels": WATCHED, **options}
        objects += manifests.service(program, program, namespace, **common)
        objects += manifests.service(f"{program}-fixed", program, namespace, fixed=True, **common)
    for program in manifests.SOUND_PROGRAMS:
        objects += manifests.service(program, program, namespace, nofile=200, labels=WATCHED)
    apply(objects)
    wait_for_rollouts(namespace)
    names = [*LEAKING, *SOUND]
    apply(manifests.nginx(namespace, names))
    signals = [
        # Held for long enough that users have seen it: the descriptors run out meanwhile.
        signal("Descriptors", "80%", "20s"),
        # Each leaked connection has two goroutines, so that descriptor leaks stay below this.
        signal("Goroutines", "450", "10s"),
        signal("DBPool", "90%", "10s"),
        signal("WorkingSet", "90%", "10s"),
    ]
    apply(policy(POLICY, namespace, WATCHED, signals, cooldown=f"{COOLDOWN_SECONDS}s"))
    wait_for_rollouts(namespace)
    made = Shop(namespace, {name: uids(namespace, name) for name in names})
    targets = [f"http://nginx:{manifests.HTTP_PORT}/{name}/work" for name in names]
    start_load(namespace, "users", targets, rate=RATE * len(names), duration=600)
    yield made
    stop_load(namespace, "users")


@pytest.mark.parametrize("service", list(LEAKING))
def test_a_leaking_service_is_found_evicted_and_verified(shop: Shop, service: str) -> None:
    record = shop.effective(service)

    assert record["type"] == "EvictPod"
    assert record["phase"] == "Done"
    assert record["pod"].startswith(f"{service}-")
    assert {record["podUID"]} == shop.before[service]

    # The pod is gone, and another one serves in its place.
    now = pods(shop.namespace, service)
    assert len(now) == 1
    assert now[0]["metadata"]["uid"] not in shop.before[service]

    # The leaked resource was freed: the old pod's highest reading against the new pod's lowest.
    was = shop.reading(service, "max", record["pod"])
    fell = shop.reading(service, "min", now[0]["metadata"]["name"])
    assert was > 2 * fell, "even though the new pod leaks from its first request on"

    # The Event is on the Deployment, where its owners look, and on the policy.
    for regarding in (f"Deployment/{service}", f"ReliabilityPolicy/{POLICY}"):
        assert events(shop.namespace, regarding=regarding, reason="PodEvicted"), f"PodEvicted on {regarding}"
    assert events(shop.namespace, regarding=f"Deployment/{service}", reason="RemediationEffective")


@pytest.mark.parametrize("service", list(LEAKING))
def test_the_report_of_the_evicted_pod_names_the_line_to_fix(shop: Shop, service: str) -> None:
    record = shop.effective(service)
    report = next(r for r in reports_of(shop.namespace, service) if r["spec"]["pod"]["uid"] == record["podUID"])
    evidence = report["status"]["evidence"]
    say(f"{service}: {evidence['state']} {evidence.get('summary')}")
    assert evidence["suspects"], evidence
    first, site = evidence["suspects"][0], SITES[service]
    # Where a helper serves the sound requests too, its leaking caller is the line.
    assert site.is_at(first["function"], first["file"], first["line"]) or first["function"] == site.via, first
    assert first["confidence"] in ("High", "Medium"), first
    assert evidence["summary"]
    assert _epoch(evidence["attemptedAt"]) <= _epoch(record["intendedAt"]) + 1, "before the restart destroyed it"


@pytest.mark.parametrize("service", ["bodyleak", "fileleak", "transportleak", "rowsleak"])
def test_users_saw_errors_before_the_eviction_and_see_200_after_it(shop: Shop, service: str) -> None:
    record = shop.effective(service)
    decided = _epoch(record["intendedAt"])
    before = [status for at, status in shop.answers(service) if decided - 15 <= at < decided]
    assert any(status in (502, 504) for status in before), f"before the eviction users saw {set(before)}"

    def well_again() -> int | NotYet:
        after = [status for at, status in shop.answers(service) if at > decided]
        longest = run = 0
        for status in after:
            run = run + 1 if status == 200 else 0
            longest = max(longest, run)
        return longest if longest >= 5 * RATE else NotYet(f"{longest} answers of 200 in a row after the eviction")

    wait_until(f"nginx to answer 200 for {service} for five seconds on end", well_again, 60)


def test_within_the_cooldown_nothing_is_done_again(shop: Shop) -> None:
    """The replacement leaks as its predecessor did, and is full before the cooldown ends."""
    shop.effective("bodyleak")

    def waiting() -> bool | NotYet:
        found = read_policy(shop.namespace, POLICY)
        judged = workload_of(found, "bodyleak") or {}
        records = actions_of(found, "bodyleak")
        reasons = judged.get("skipped", {}).get("reasons", [])
        return True if "CooldownActive" in reasons or len(records) > 1 else NotYet(str(judged))

    wait_until("bodyleak to leak again", waiting, 180, interval=2)


def test_sound_services_are_left_alone_for_the_whole_run(shop: Shop) -> None:
    for service in LEAKING:
        shop.effective(service)
    found = read_policy(shop.namespace, POLICY)
    for service in SOUND:
        assert uids(shop.namespace, service) == shop.before[service], f"{service} keeps its pods"
        assert restarts(shop.namespace, service) == 0, f"{service} keeps its processes"
        assert not actions_of(found, service)
        told = {each["reason"] for each in events(shop.namespace, regarding=f"Deployment/{service}")}
        assert not told & {"PodEvicted", "LeakExhausting", "LeakDetected", "WouldAct", "RemediationSkipped"}, service
        judged = workload_of(found, service)
        assert judged is not None
        assert judged["verdict"] == "Healthy", f"{service}: {judged}"
    # The bounded cache looked like a leak: it grew to a level, and stayed.
    cache = prometheus_query(f'process_open_fds{{namespace="{shop.namespace}",app="boundedcache"}}')
    assert cache[0][1] > 50


def test_two_actions_on_a_service_are_never_closer_than_the_cooldown(shop: Shop) -> None:
    records = actions_of(read_policy(shop.namespace, POLICY))
    assert {each["workload"] for each in records} == set(LEAKING)
    for service in LEAKING:
        times = sorted(_epoch(each["intendedAt"]) for each in records if each["workload"] == service)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert all(gap >= COOLDOWN_SECONDS for gap in gaps), f"{service}: {gaps}"
