"""When a verification has ended its table is read once, concurrently with the ticks, and a failure becomes a table with
the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from leakwarden.api.v1alpha1.outcome import OutcomeTable
from leakwarden.core.model.readings import Answer, Query, Sampled, SeriesKey
from tests.builders import NOW, enforcing, pod, points, snapshot, workload
from tests.unit.engine.engine_world import FakeMetrics, World


@dataclass
class Proxied(FakeMetrics):
    """Counts the reads of tables; `slow`: it does not answer; `broken`: it raises, although the port promises not
    to."""

    tables: list[list[Query]] = field(default_factory=list)
    slow: asyncio.Event | None = None
    broken: bool = False

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        if not any(query.key.startswith("outcome/") for query in queries):
            return await FakeMetrics.read(self, queries, since, now, step)
        self.tables.append(list(queries))
        if self.slow is not None:
            await self.slow.wait()
        if self.broken:
            raise RuntimeError("it promised not to")
        codes = Sampled({SeriesKey("shop", "200"): points([10] * 80, every=15.0, until=now)}, {})
        return {"outcome/codes": codes}


def a_world(**source: object) -> tuple[World, Proxied]:
    settling = {"settle": "1m", "timeout": "10m"}
    spec = {**enforcing(verification=settling), **({"source": source} if source else {})}
    world = World(spec)
    metrics = Proxied(world.metrics.answer)
    world.metrics = metrics
    world.engine = world.fresh_engine()
    world.engine._outcomes.soon = 0.05
    return world, metrics


async def remedied(world: World) -> None:
    """A pod was evicted, another one replaced it, and the readings show that this helped."""
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")]
    world.pods = [pod("api-9", created=world.now + 5), pod("api-2"), pod("api-3")]
    world.cluster.world = snapshot([workload()], world.pods)
    world.levels(api_9=20, api_2=50, api_3=50)
    for _ in range(4):
        await world.later()
    assert world.report.status.phase == "Effective"


def the_table(world: World) -> OutcomeTable | None:
    assert world.report.status.verification is not None
    return world.report.status.verification.outcome


async def test_an_effective_remediation_has_its_table_as_soon_as_after_can_be_measured() -> None:
    world, metrics = a_world()
    await remedied(world)
    assert the_table(world) is None
    for _ in range(6):
        await world.later()
    found = the_table(world)
    assert found is not None
    assert found.rows[0].name == "ErrorRate"
    assert found.rows[0].after == 0.0
    assert len(metrics.tables) == 1, "asked once"
    assert world.cluster.stored["shop/" + world.report.name].status.verification == world.report.status.verification


async def test_the_proxy_that_the_policy_names_is_asked() -> None:
    world, metrics = a_world(proxy={"type": "IngressNginx", "route": "checkout"})
    await remedied(world)
    for _ in range(6):
        await world.later()
    assert 'ingress="checkout"' in metrics.tables[0][0].value
    found = the_table(world)
    assert found is not None
    assert found.counted == "at the proxy, route checkout"


async def test_a_source_that_does_not_answer_holds_up_no_tick_and_is_waited_for() -> None:
    world, metrics = a_world()
    metrics.slow = asyncio.Event()
    await remedied(world)
    for _ in range(8):
        await world.later()
    assert the_table(world) is None
    assert len(metrics.tables) == 1, "one at a time"
    metrics.slow.set()
    await asyncio.sleep(0.01)
    await world.later()
    assert the_table(world) is not None


async def test_a_source_that_breaks_its_word_costs_the_table_alone() -> None:
    world, metrics = a_world()
    metrics.broken = True
    await remedied(world)
    for _ in range(8):
        await world.later()
    found = the_table(world)
    assert found is not None
    assert "a defect of Leakwarden (RuntimeError)" in found.message
    assert len(metrics.tables) == 1
    assert world.report.status.phase == "Effective"


async def test_a_source_without_a_memory_is_not_asked() -> None:
    world, metrics = a_world()
    metrics.kind = "Kubelet"
    await remedied(world)
    for _ in range(6):
        await world.later()
    found = the_table(world)
    assert found is not None
    assert "does not remember" in found.message
    assert not metrics.tables


async def test_what_a_process_did_not_read_before_it_ended_the_next_one_reads() -> None:
    world, metrics = a_world()
    metrics.slow = asyncio.Event()
    await remedied(world)
    for _ in range(6):
        await world.later()
    await world.engine.end()
    metrics.slow.set()
    world.engine = world.fresh_engine()
    await world.later()
    assert the_table(world) is not None


async def test_what_ended_long_ago_is_left_as_it_is() -> None:
    world, metrics = a_world()
    await remedied(world)
    world.now = NOW + 7 * 3600
    await world.later()
    assert not metrics.tables
