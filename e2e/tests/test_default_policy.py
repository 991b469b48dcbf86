"""The policy of the README's first example, which names no signal, against leaks that end a service within minutes.

Two replicas of a service that leaks a descriptor with every other request are behind nginx, which must not have answered
anything but 200 when both have been evicted; and a service that leaks goroutines must be told. All judgements are by
growth: no level is given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from e2e.cluster.progress import say
from e2e.harness.kube import apply, logs
from e2e.harness.policies import actions_of, policy, read_policy, reports_of, status, workload_of
from e2e.harness.sites import RECORD_MORE, SITES
from e2e.harness.stack import prometheus_query, start_load, stop_load, uids, wait_for_rollouts
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

pytestmark = pytest.mark.long

POLICY = "default"
WATCHED = {"team": "shop"}
SECONDS = 420  # of load
# At 1.5 leaked descriptors a second and pod this lasts for six and a half minutes.
LIMIT = 600
FAST = "bodyleak"
HEDGER = "goroutineleak"


@dataclass
class Shop:
    namespace: str
    before: dict[str, set[str]]  # UIDs of the pods when the load began

    def answers(self) -> list[tuple[float, int]]:
        """nginx's answers to users of the fast leak: epoch seconds and status, in order."""
        found = []
        for line in logs("deployment/nginx", self.namespace).splitlines():
            if line.startswith("{") and f'"/{FAST}/' in line:
                entry = json.loads(line)
                found.append((datetime.fromisoformat(entry["time"]).timestamp(), int(entry["status"])))
        return found


@pytest.fixture(scope="module")
def shop(module_namespace: str) -> Iterator[Shop]:
    namespace = module_namespace
    common: dict[str, Any] = {"labels": WATCHED, "env": RECORD_MORE}
    objects = manifests.backend(namespace)
    objects += manifests.service(FAST, FAST, namespace, replicas=2, nofile=LIMIT, leak_every=2, **common)
    objects += manifests.service(HEDGER, HEDGER, namespace, leak_every=1, memory="160Mi", **common)
    apply(objects)
    wait_for_rollouts(namespace)
    apply(manifests.nginx(namespace, [FAST]))
    written = policy(POLICY, namespace, WATCHED, [], profile="go-service", cooldown="20s")
    del written["spec"]["signals"]
    apply(written)
    wait_for_rollouts(namespace)
    made = Shop(namespace, {name: uids(namespace, name) for name in (FAST, HEDGER)})
    start_load(namespace, "users", f"http://nginx:{manifests.HTTP_PORT}/{FAST}/work", rate=6, duration=SECONDS)
    pages = f"http://{manifests.service_target(HEDGER, namespace)}/work"
    start_load(namespace, "pages", pages, rate=1.3, duration=SECONDS, timeline=False)
    yield made
    for load in ("users", "pages"):
        stop_load(namespace, load)


def test_no_signal_is_named_and_five_are_watched(shop: Shop) -> None:
    def look() -> str | NotYet:
        said: str = status(read_policy(shop.namespace, POLICY)).get("profile", "")
        return said or NotYet("the status does not say yet what the profile stands for")

    said = wait_until("the profile to be written out", look, 60)
    assert all(name in said for name in ("descriptors", "goroutines", "heap", "db-pool", "working-set")), said


def test_both_pods_of_a_fast_leak_are_evicted_before_nginx_answers_502(shop: Shop) -> None:
    def both() -> list[dict[str, Any]] | NotYet:
        found = read_policy(shop.namespace, POLICY)
        gone = [
            each
            for each in actions_of(found, FAST)
            if each["phase"] == "Done" and each.get("podUID") in shop.before[FAST]
        ]
        return gone if len(gone) == 2 else NotYet(f"{len(gone)} evicted; {workload_of(found, FAST)}")

    records = wait_until("both pods to be evicted", both, SECONDS, interval=2)
    assert {each["type"] for each in records} == {"EvictPod"}

    seen = shop.answers()
    last = max(datetime.fromisoformat(each["intendedAt"]).timestamp() for each in records)
    before = [code for at, code in seen if at <= last]
    assert len(before) > 100, "users were served meanwhile"
    assert set(before) == {200}, {code: before.count(code) for code in set(before)}
    highest = prometheus_query(
        f'max by (pod) (max_over_time(process_open_fds{{namespace="{shop.namespace}",app="{FAST}"}}[15m]))'
    )
    say(f"highest use of descriptors: {[value for _, value in highest]} of {LIMIT}")
    assert max(value for _, value in highest) > 0.4 * LIMIT, "it did leak"


def test_a_goroutine_leak_is_told_and_its_line_is_named(shop: Shop) -> None:
    def look() -> dict[str, Any] | NotYet:
        found = [
            each for each in reports_of(shop.namespace, HEDGER) if each["spec"]["pod"]["uid"] in shop.before[HEDGER]
        ]
        if not found or not found[0].get("status", {}).get("evidence", {}).get("suspects"):
            return NotYet(f"{len(found)} reports; {workload_of(read_policy(shop.namespace, POLICY), HEDGER)}")
        report: dict[str, Any] = found[0]
        return report

    report = wait_until("the leak of goroutines to be reported", look, SECONDS, interval=2)
    first, site = report["status"]["evidence"]["suspects"][0], SITES[HEDGER]
    assert site.is_at(first["function"], first["file"], first["line"]) or first["function"] == site.via, first
