"""The work of a tick, in counts: linear in pods, and hardly any for one more policy."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from leakwarden.core.evaluation import evaluation
from leakwarden.core.evaluation.evaluation import evaluate, owners
from leakwarden.core.model.readings import Answer, LimitBlock, Query, Sampled, SeriesBlock, SeriesKey
from leakwarden.core.model.workload import Snapshot
from leakwarden.engine.reader import Reader
from tests.builders import NOW, pod, policy, workload

KINDS = ("Descriptors", "Goroutines", "Heap")
STEP = 60.0
TICKS = 4


@dataclass
class EvenMetrics:
    """Gives every pod the same calm readings, and one of them readings at its limit."""

    names: list[SeriesKey]
    name: str = "main"
    kind: str = "Prometheus"
    pod_labels: tuple[str, str] = ("namespace", "pod")
    asked: list[Query] = field(default_factory=list)

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        self.asked += queries
        t = np.arange(np.floor(since / step) + 1, np.floor(now / step) + 1) * step
        v = np.full((len(self.names), t.size), 100.0)
        v[0] = 1000.0
        sizes = np.full(len(self.names), t.size, dtype=np.int64)
        block = SeriesBlock(self.names, sizes, np.tile(t, len(self.names)), v.ravel())
        return {
            query.key: Sampled(block, LimitBlock(self.names, np.full(len(self.names), 1024.0))) for query in queries
        }


@dataclass(frozen=True)
class Work:
    queries: int
    judged: int  # judgements of a signal of a pod
    calls: int  # of Python functions, while all policies are evaluated


async def work(pods: int, policies: int) -> Work:
    """The work of a steady tick over a cluster of so many pods, whose policies have as many each."""
    each = pods // policies
    signals = [{"name": kind.lower(), "type": kind, "threshold": {"above": "90%", "for": "5m"}} for kind in KINDS]
    held = [
        policy(f"p{n}", spec={"signals": signals}, metadata={"namespace": f"team-{n}", "uid": f"uid-p{n}"})
        for n in range(policies)
    ]
    workloads = [
        workload(f"w{n}", namespace=f"team-{n // (each // 5)}", labels={"team": "shop"}) for n in range(pods // 5)
    ]
    owned = {
        one.uid: tuple(
            pod(f"{one.name}-{n}", one.name, namespace=one.namespace, created=NOW - 90_000.0) for n in range(5)
        )
        for one in workloads
    }
    names = [SeriesKey(one.namespace, one.name, "app") for every in owned.values() for one in every]
    world = Snapshot({one.uid: one for one in workloads}, owned)
    source = EvenMetrics(names)
    reader = Reader({}, source, STEP)
    for tick in range(TICKS):
        source.asked.clear()
        now = NOW + tick * STEP
        readings = await reader.read(held, world, now)
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    owner = owners(held, world)
    with patch.object(evaluation, "judge_signal", wraps=evaluation.judge_signal) as judging:
        sys.setprofile(count)
        try:
            for one in held:
                evaluate(one, world, True, readings=readings[one.uid], owner=owner, audited={}, now=now)
        finally:
            sys.setprofile(None)
    return Work(len(source.asked), judging.call_count, calls)


@pytest.mark.asyncio
async def test_twice_the_pods_are_twice_the_work_and_no_more_judgements_of_the_calm() -> None:
    once, twice = await work(200, 4), await work(400, 8)

    assert twice.queries == once.queries
    # One pod is full, and only its signals are judged in full.
    assert once.judged == twice.judged == len(KINDS)
    assert twice.calls < 2.2 * once.calls


@pytest.mark.asyncio
async def test_ten_times_the_policies_for_the_same_pods_are_little_more_work() -> None:
    few, many = await work(400, 4), await work(400, 40)

    assert many.queries == few.queries
    assert many.judged == few.judged
    assert many.calls < 2.0 * few.calls
