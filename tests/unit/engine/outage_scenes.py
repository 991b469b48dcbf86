"""Scenes for the outages that other tools caused: fleets, replies of servers, and clusters in which everything
leaks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from leakwarden.adapters.cluster.session import Reply, Session
from leakwarden.adapters.evidence.ways import NoAnswer, Target
from leakwarden.adapters.prometheus.decoding import RawSeries, SentSeries
from leakwarden.adapters.prometheus.origins import Scope
from leakwarden.adapters.prometheus.response import Choices, join
from leakwarden.api.v1alpha1.evidence_reasons import EvidenceReason
from leakwarden.core.guards.limits import Limits
from leakwarden.core.model.readings import Answer
from leakwarden.core.model.workload import Pod
from leakwarden.engine.guard_context import GuardContext
from tests.builders import NOW, pod, points, sampled, snapshot, workload
from tests.unit.engine.crash_world import CrashWorld
from tests.unit.engine.engine_world import World
from tests.unit.planning.plan_story import Rules, Step, Story
from tests.unit.planning.plan_world import PlanWorld


class Leaks(dict[str, float]):
    """Levels of pods by name, where every present and future pod is full."""

    def get(self, key: str, default: Any = None) -> Any:
        return 950.0


def leaking_for_ever(spec: dict[str, Any]) -> CrashWorld:
    """Three pods and all their successors are full: no restart helps."""
    world = CrashWorld(spec)
    world.leaking = Leaks()
    return world


def fleet(count: int, spec: dict[str, Any], limits: Limits | None = None, started: float = NOW - 86_400) -> World:
    """So many Deployments of two pods each, all of them full, and the installation's limits; started long ago."""
    world = World(spec=spec)
    names = [f"svc-{n:02}" for n in range(count)]
    world.pods = [pod(f"{name}-{n}", owner=name) for name in names for n in (1, 2)]
    deployments = [workload(name, replicas=2, updated_replicas=2, ready_replicas=2) for name in names]
    world.cluster.world = snapshot(deployments, world.pods)
    world.engine.guard_context = GuardContext(lambda _: "nobody is asked", limits=limits or Limits(), started=started)
    return world


async def tick(world: World, level: float | Mapping[str, float] | None, seconds: float = 60.0) -> None:
    """A tick so many seconds later, with all pods at the level, or each at its own; None: the source gives no
    readings."""
    world.now += seconds
    world.cluster.now = world.now
    if level is None:
        world.metrics.answer = sampled({})
    else:
        pods = [each for pods in world.cluster.world.pods_by_workload.values() for each in pods]
        levels = level if isinstance(level, Mapping) else dict.fromkeys((each.name for each in pods), level)
        world.metrics.answer = sampled({name: points([v] * 5, until=world.now) for name, v in levels.items()})
    await world.engine.tick()


def reasons(world: World) -> set[str]:
    """Why no policy acted in the last tick."""
    return {str(skip.reason) for decision in world.engine.last.decisions for skip in decision.skips}


def become(world: World, *pods: Pod, **changes: Any) -> None:
    world.pods = list(pods)
    scalers = changes.pop("autoscalers", None)
    world.cluster.world = snapshot([workload(**changes)], world.pods, autoscalers=scalers)


def answered(values: Sequence[str], limit: str | None = None, never_zero: bool = False) -> Answer:
    """The parsed answer of Prometheus about three pods: the same values for each, the newest now."""
    labels = SimpleNamespace(namespace="namespace", pod="pod", container="container")
    scope = Scope(cast("Any", labels), frozenset({"shop"}), NOW - 3600, NOW, drop_zeros=never_zero)
    names = [{"namespace": "shop", "pod": f"api-{n}", "container": "app"} for n in (1, 2, 3)]
    times = [NOW - 30.0 * n for n in range(len(values))][::-1]
    series = [RawSeries(name, list(zip(times, values, strict=True))) for name in names]
    limits = [RawSeries(name, value=(NOW, limit)) for name in names] if limit is not None else []
    return join(SentSeries.of(series if values else []), SentSeries.of(limits), scope, Choices())


@dataclass
class ApiServer:
    """A Session that gives one answer to every request, and records the requests."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    async def ask(self, method: str, path: str, **about: Any) -> Reply:
        self.asked.append((method, path, json.loads(about.get("body") or b"null")))
        return Reply(self.status, json.dumps(self.body).encode())

    @property
    def session(self) -> Session:
        return cast("Session", self)


@dataclass
class PprofPort:
    """A way to a pod that has no profiles, which records the requests."""

    asked: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def get(self, target: Target, what: str) -> AsyncIterator[Any]:
        self.asked.append(what)
        raise NoAnswer(EvidenceReason.ABSENT, "404")
        yield


def hours(count: float, rules: Rules, replicas: int, **more: Any) -> PlanWorld:
    """A Deployment of which every pod leaks, and a cluster in which time passes: one tick per minute."""
    steps = tuple(Step(seconds=60) for _ in range(int(count * 60)))
    made = {"deployments": (("shop", "shop", replicas),), "moods": ("exhausting",), "steps": steps, **more}
    return PlanWorld(Story(rules=rules, **made))
