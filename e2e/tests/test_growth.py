"""Every leak is found by its growth before it is exhausted, and a service that only looks leaky is never reported.

All services run side by side under one policy, observed together for as long as the slowest leak needs: five minutes,
which are an hour to a detector that reads every five seconds. No time of a verdict is asserted, only that the leak had
not reached its limit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from e2e.cluster.progress import say
from e2e.harness.kube import apply, kubectl
from e2e.harness.policies import policy, read_policy, status, workload_of
from e2e.harness.stack import prometheus_query, start_load, stop_load, uids, wait_for_rollouts
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

pytestmark = pytest.mark.long

POLICY = "growth"
WATCHED = {"team": "shop"}
ACCUSED = ("Leaking", "Exhausting")
SECONDS = 330  # of load; each leak below has used up its limit a little before

# 2 leaking requests a second exhaust this in five minutes.
LIMIT = 600
HTTP = {"nofile": LIMIT, "leak_every": 2}


@dataclass(frozen=True)
class Case:
    """A service, its requests per second, by pattern of load, and the signal that shows its fault."""

    program: str
    load: dict[str, float]
    options: dict[str, Any]
    signal: str = "descriptors"


LEAKING = {
    "bodyleak": Case("bodyleak", {"constant": 4}, HTTP),
    "fileleak": Case("fileleak", {"constant": 4}, HTTP),
    "transportleak": Case("transportleak", {"constant": 4}, HTTP),
    # A pool of 100 connections, of which one is lost every three seconds.
    "rowsleak": Case("rowsleak", {"constant": 4}, {"leak_every": 12}, "db-pool"),
    # Each blocked goroutine holds a page of 256 KiB, and as much again is garbage until it is collected.
    "goroutineleak": Case("goroutineleak", {"constant": 1.3}, {"memory": "128Mi"}, "heap"),
}
SOUND = {
    # Twice the load from the middle on, and five times the load again and again: with half a second of work per request
    # they are descriptors in use, up to four fifths of the limit.
    "busy": Case("healthy", {"step": 6, "burst": 3}, {"nofile": 48, "env": {"LATENCY": "500ms"}}),
    # Fills in a straight line, as a leak does, and stays.
    "cache": Case("boundedcache", {"constant": 2.4}, {"nofile": LIMIT, "env": {"BOUND": "330", "ENTRY_BYTES": "8192"}}),
    # The same, replaced by a new pod in the middle, which begins again.
    "rolled": Case(
        "boundedcache", {"constant": 2.4}, {"nofile": LIMIT, "env": {"BOUND": "330", "ENTRY_BYTES": "8192"}}
    ),
    # More and more of its connections are in use as the load grows, until they all are.
    "pool": Case(
        "rowsleak", {"ramp": 44}, {"fixed": True, "env": {"MAX_OPEN": "20", "QUERY_TIME": "500ms"}}, "db-pool"
    ),
}
SIGNALS = [
    {"name": "descriptors", "type": "Descriptors"},
    {"name": "heap", "type": "Heap"},
    {"name": "db-pool", "type": "DBPool"},
    {"name": "working-set", "type": "WorkingSet"},
]


@dataclass
class Watch:
    """The verdicts on each service in the policy's status, in order, with seconds since the load began."""

    namespace: str
    began: float
    replaced: dict[str, set[str]] = field(default_factory=dict)  # UIDs before the rollout
    seen: dict[str, list[tuple[float, str, str, str]]] = field(default_factory=dict)

    def look(self) -> None:
        """Note every verdict that differs from the one before."""
        found = read_policy(self.namespace, POLICY)
        for name in (*LEAKING, *SOUND):
            judged = workload_of(found, name)
            if judged is None:
                continue
            worst = (judged.get("unhealthy") or [{}])[0]
            entry = (judged["verdict"], worst.get("signal", ""), worst.get("message", ""))
            told = self.seen.setdefault(name, [])
            if not told or (told[-1][1:3] != entry[:2]):
                told.append((round(time.monotonic() - self.began), *entry))
                say(f"{told[-1][0]:.0f} s: {name} is {entry[0]} {entry[1]}: {entry[2]}")

    def accusations(self, name: str) -> list[tuple[float, str, str, str]]:
        return [each for each in self.seen.get(name, []) if each[1] in ACCUSED]


@pytest.fixture(scope="module")
def watch(module_namespace: str) -> Iterator[Watch]:
    """The whole observation, once; the tests only evaluate it."""
    namespace = module_namespace
    cases = {**LEAKING, **SOUND}
    objects = manifests.backend(namespace)
    for name, case in cases.items():
        objects += manifests.service(name, case.program, namespace, labels=WATCHED, **case.options)
    apply(objects)
    wait_for_rollouts(namespace)
    apply(policy(POLICY, namespace, WATCHED, SIGNALS, mode="Observe"))
    loads = []
    for name, case in cases.items():
        for pattern, rate in case.load.items():
            url = f"http://{manifests.service_target(name, namespace)}/work"
            loads.append(f"{name}-{pattern}")
            start_load(namespace, loads[-1], url, rate=rate, duration=SECONDS, pattern=pattern, timeline=False)
    watched = Watch(namespace, time.monotonic(), {name: uids(namespace, name) for name in cases})

    def to_the_end() -> bool | NotYet:
        watched.look()
        passed = time.monotonic() - watched.began
        if passed > SECONDS / 2 and uids(namespace, "rolled") == watched.replaced["rolled"]:
            kubectl("rollout", "restart", "deployment/rolled", "-n", namespace)
        unseen = [name for name in LEAKING if not watched.accusations(name)]
        return True if passed > SECONDS else NotYet(f"{passed:.0f} s; not yet accused: {', '.join(unseen) or 'none'}")

    wait_until("the observation to end", to_the_end, SECONDS + 60, interval=2)
    yield watched
    for load in loads:
        stop_load(namespace, load)


@pytest.mark.parametrize("service", list(LEAKING))
def test_a_leaking_service_is_accused_by_its_growth_while_it_has_room(watch: Watch, service: str) -> None:
    accused = watch.accusations(service)
    assert accused, f"never accused: {watch.seen.get(service)}"
    _, _, signal, message = accused[0]
    assert signal == LEAKING[service].signal
    value, _, limit = message.split(",")[0].rpartition(" ")[0].partition(" of ")
    assert float(value) < 0.97 * float(limit), f"seen only when it was exhausted: {message}"


@pytest.mark.parametrize("service", list(SOUND))
def test_a_sound_service_is_never_accused(watch: Watch, service: str) -> None:
    assert not watch.accusations(service)
    assert any(verdict == "Healthy" for _, verdict, *_ in watch.seen[service]), "it was judged at all"


def test_what_is_not_accused_did_look_like_a_leak(watch: Watch) -> None:
    """Else the test above would prove little."""

    def highest(expression: str, name: str) -> float:
        chosen = f'{{namespace="{watch.namespace}",app="{name}"}}'
        return max(value for _, value in prometheus_query(f"max_over_time({expression.format(chosen)}[{SECONDS}s:5s])"))

    for name in ("cache", "rolled"):
        assert highest("process_open_fds{0}", name) > 0.5 * LIMIT, name
    assert highest("process_open_fds{0}", "busy") > 24
    assert highest("go_sql_in_use_connections{0}", "pool") == 20
    assert not uids(watch.namespace, "rolled") & watch.replaced["rolled"], "a rollout was in the middle"


def test_all_services_were_watched_throughout(watch: Watch) -> None:
    found = read_policy(watch.namespace, POLICY)
    assert status(found)["targets"]["workloads"] == len(LEAKING) + len(SOUND)
