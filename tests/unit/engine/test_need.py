"""Scale-out by need through the whole tick: recorded, paced by the cooldown, never beyond the maximum, and taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from leakwarden.core.model.readings import Answer, Query, Sampled, SeriesKey
from leakwarden.core.signals.queries import RATE
from tests.builders import DESCRIPTORS, enforcing, pod, points, snapshot, workload
from tests.unit.engine.engine_world import FakeMetrics, World

LATENCY = {"name": "p99", "type": "LatencyP99", "threshold": {"above": "10", "for": "5m"}}


@dataclass
class Loaded(FakeMetrics):
    """Every pod has the latency `p99`, and `held` of its 1,000 descriptors are open."""

    p99: float | None = 0.5
    held: float = 50.0
    pods: Sequence[str] = ()

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        levels = {"LatencyP99": self.p99, RATE: 50.0, "Descriptors": self.held}
        answers: dict[str, Answer] = {}
        for query in queries:
            level = levels.get(query.key)
            keys = [SeriesKey("shop", name, "app") for name in self.pods] if level is not None else []
            values = {key: points([level or 0.0] * 40, until=now) for key in keys}
            answers[query.key] = Sampled(values, dict.fromkeys(keys, 1000.0) if query.key == "Descriptors" else {})
        return answers


def a_world(**need: Any) -> tuple[World, Loaded]:
    asked = {"maxReplicas": 5, "timeToLive": "2h", **need}
    world = World(enforcing(DESCRIPTORS, LATENCY, cooldown="10m", scaleOutOnNeed=asked))
    metrics = Loaded(world.metrics.answer)
    world.metrics = metrics
    world.engine = world.fresh_engine()
    grown(world, metrics, 3)
    return world, metrics


def grown(world: World, metrics: Loaded, replicas: int) -> None:
    """The cluster with so many pods, all of them serving."""
    world.pods = [pod(f"api-{n}", created=world.now - 7200) for n in range(1, replicas + 1)]
    counts: dict[str, Any] = {"replicas": replicas, "updated_replicas": replicas, "ready_replicas": replicas}
    world.cluster.world = snapshot([workload(**counts)], world.pods)
    metrics.pods = [each.name for each in world.pods]


def scaled(world: World) -> list[str]:
    return [what.partition(" ")[2] for kind, what in world.changes() if kind == "scale"]


async def test_a_loaded_deployment_is_given_a_replica_on_record() -> None:
    world, _ = a_world()
    await world.engine.tick()
    assert scaled(world) == ["4"]
    record = world.report.status.actions[0]
    assert (record.type, record.signal, record.replicas_before, record.replicas_after) == ("ScaleOut", "p99", 3, 4)
    assert "nothing leaks" in record.reason
    assert record.return_at is not None


async def test_it_goes_on_by_one_after_each_cooldown_and_never_beyond_the_maximum() -> None:
    world, metrics = a_world()
    for _ in range(200):
        await world.later(30)
        if done := scaled(world):
            grown(world, metrics, int(done[-1]))
    assert scaled(world)[:2] == ["4", "5"]
    assert all(int(each) <= 5 for each in scaled(world))


async def test_the_second_replica_waits_for_the_cooldown() -> None:
    world, metrics = a_world()
    await world.engine.tick()
    grown(world, metrics, 4)
    for _ in range(15):
        await world.later(30)
    assert scaled(world) == ["4"]


async def test_what_leaks_is_remediated_first() -> None:
    world, metrics = a_world()
    metrics.held = 950.0
    await world.engine.tick()
    assert not scaled(world)
    assert [kind for kind, _ in world.changes()] == ["evict"]


async def test_without_readings_of_the_latency_nothing_is_done() -> None:
    world, metrics = a_world()
    metrics.p99 = None
    for _ in range(5):
        await world.later(30)
    assert not world.changes()


async def test_an_autoscaler_of_the_deployment_is_left_alone() -> None:
    world, _ = a_world()
    world.cluster.world = replace(world.cluster.world, autoscalers={("shop", "api"): "the HorizontalPodAutoscaler api"})
    await world.engine.tick()
    assert not world.changes()
    assert any(guard.reason == "ReplicasOwned" for guard in world.report.status.guards)


async def test_in_mode_observe_it_is_only_said() -> None:
    world, metrics = a_world()
    observing = World({**world.spec, "mode": "Observe"})
    observing.metrics = metrics
    observing.engine = observing.fresh_engine()
    await observing.engine.tick()
    assert not observing.changes()
    assert observing.report.status.plan is not None
    assert observing.report.status.plan.action == "ScaleOut"


async def test_the_replica_is_taken_back_when_its_time_is_over() -> None:
    world, metrics = a_world(timeToLive="20m")
    await world.engine.tick()
    grown(world, metrics, 4)
    metrics.p99 = 0.05
    for _ in range(60):
        await world.later(30)
    assert scaled(world) == ["4", "3"]
