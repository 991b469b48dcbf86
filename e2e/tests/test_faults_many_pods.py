"""Five hundred pods of one Deployment leak at once: one goes at a time, and writes and computing time stay small."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import pairwise

import pytest

from e2e.cluster.progress import say
from e2e.faults.pace import POLICY
from e2e.faults.scene import Scene, World
from e2e.harness.kube import Object
from e2e.harness.waiting import NotYet

pytestmark = pytest.mark.long

FEW, MANY = 5, 500
COOLDOWN = 10.0  # s; the least that a policy can have
WATCHED = 25.0  # s from the first eviction on: two more could follow it
#: A status that is written at every change, for as many pods as there may be.
SMALL = 32_768  # bytes
#: Open reports of one Deployment at a time.
REPORTS = 20
#: Ten times the work for a hundred times the pods; measured were three.
WORK = 10.0


@dataclass(frozen=True)
class Seen:
    evicted_at: list[float]  # monotonic s
    least_ready: int
    tick: float  # s, the mean while all leaked
    status: int  # bytes
    reports: int
    report: int  # bytes, of the largest


def _watch(world: World, replicas: int) -> Seen:
    with world.scene(f"leak-{replicas}") as scene:
        pods = scene.deploy(replicas=replicas, timeout=180)
        scene.guard(cooldown=f"{COOLDOWN:g}s")
        scene.start()
        scene.wait_for_condition("Healthy", "True", timeout=120)
        before = _ticks(scene)
        scene.leak(*pods)
        scene.wait("the first eviction", lambda: True if scene.evictions() else NotYet(str(scene.workload())), 120)
        least = replicas
        until = time.monotonic() + WATCHED
        while time.monotonic() < until:
            least = min(least, _ready(scene))
            time.sleep(0.2)
        assert scene.operator.lives == 1
        assert scene.operator.runs
        leaking = {pod["metadata"]["uid"] for pod in pods}
        assert set(scene.evicted()) <= leaking, "a pod that took the place of one is healthy"
        seconds, count = (after - earlier for after, earlier in zip(_ticks(scene), before, strict=True))
        reports = scene.reports()
        return Seen(
            evicted_at=[each.at for each in scene.evictions()],
            least_ready=least,
            tick=seconds / count,
            status=_size(scene.status(POLICY)),
            reports=len(reports),
            report=max((_size(each) for each in reports), default=0),
        )


def _ticks(scene: Scene) -> tuple[float, float]:
    name = "leakwarden_tick_duration_seconds"
    return scene.operator.metric(f"{name}_sum"), scene.operator.metric(f"{name}_count")


def _ready(scene: Scene) -> int:
    found = scene.world.api.get(f"apis/apps/v1/namespaces/{scene.namespace}/deployments/victim")
    return int(((found or {}).get("status") or {}).get("readyReplicas") or 0)


def _size(found: Object) -> int:
    return len(json.dumps(found).encode())


def test_five_hundred_pods_that_leak_at_once_are_handled_one_at_a_time(world: World) -> None:
    few, many = _watch(world, FEW), _watch(world, MANY)
    for replicas, seen in ((FEW, few), (MANY, many)):
        say(
            f"{replicas} pods: {len(seen.evicted_at)} evicted, at least {seen.least_ready} ready, tick {seen.tick:.3f} s,"
            f" status {seen.status} bytes, {seen.reports} reports of at most {seen.report} bytes"
        )
        assert seen.least_ready >= replicas - 1, "more than one pod was away at a time"
        apart = [later - earlier for earlier, later in pairwise(seen.evicted_at)]
        assert all(seconds >= COOLDOWN - 1 for seconds in apart), "two evictions within one cooldown"
        assert seen.status <= SMALL
        assert seen.report <= SMALL
        assert seen.reports <= REPORTS + len(seen.evicted_at), "those of evicted pods end and are kept as history"
    assert many.tick <= WORK * few.tick
