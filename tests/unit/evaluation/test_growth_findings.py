"""Two signals of one query are each judged by their own standard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.scalars import Amount
from leakwarden.core.evaluation.growth_findings import MOST_STANDARDS, GrowthFindings, rounds_of
from leakwarden.core.model.readings import Answer, NoData, Query
from leakwarden.core.signals.criteria import Standard
from tests.builders import NOW, body, enforcing, points, sampled
from tests.unit.engine.engine_world import FakeMetrics, World


def goroutines(name: str, above: str, role: str = "Leak", within: str = "1h") -> dict[str, Any]:
    return {"name": name, "type": "Goroutines", "role": role, "threshold": {"above": above, "for": "5m"},
            "growth": {"exhaustsWithin": within}}  # fmt: skip


class OnlyGoroutines(FakeMetrics):
    """No other metric is exported, so that no load explains the growth."""

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        answers = await super().read(queries, since, now, step)
        nothing = NoData("NoSeries", "there are none")
        return {key: answer if key == "Goroutines" else nothing for key, answer in answers.items()}


def climbing(world: World) -> None:
    """One pod of three climbs to 992 goroutines within three hours, in a straight line."""
    steps = 180
    climb = [200 + 792 * n / (steps - 1) for n in range(steps)]
    flat = [200.0 + n % 3 for n in range(steps)]
    answer = sampled(
        {"api-1": points(climb, every=60), "api-2": points(flat, every=60), "api-3": points(flat, every=60)}, limit=None
    )
    world.metrics = OnlyGoroutines(answer)
    world.engine = world.fresh_engine()


async def judged(*signals: dict[str, Any]) -> World:
    world = World(spec=enforcing(*signals))
    climbing(world)
    await world.engine.tick()
    return world


async def test_a_second_signal_of_one_type_has_its_own_limit() -> None:
    world = await judged(goroutines("warn", "1k", role="Supporting"), goroutines("act", "50k"))
    found = {j.signal: j for p in world.engine.last.evaluations[0].workloads[0].pods for j in p.judgements
             if p.pod.name == "api-1"}  # fmt: skip
    assert found["warn"].limit == 1000
    assert found["warn"].verdict == "Exhausting", "it reaches 1k within minutes"
    assert found["act"].verdict != "Exhausting", "50k are days away"
    assert world.changes() == []


async def test_a_second_signal_of_one_type_has_its_own_time_to_exhaustion() -> None:
    """At this rate 1050 goroutines are reached in thirteen minutes."""
    world = await judged(
        goroutines("soon", "1050", role="Supporting", within="1h"), goroutines("act", "1050", within="5m")
    )
    assert world.changes() == []
    world = await judged(
        goroutines("far", "1050", role="Supporting", within="5m"), goroutines("act", "1050", within="1h")
    )
    assert world.changes() == [("evict", "uid-api-1")]


async def test_a_standard_that_is_added_later_is_judged_from_the_beginning() -> None:
    world = await judged(goroutines("warn", "50k"))
    signals = enforcing(goroutines("warn", "50k"), goroutines("act", "1k"))
    world.policies.put(body(spec=signals, metadata={"generation": 2}))
    world.cluster.generation = 2
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")]
    begins = [since for keys, since, _ in world.metrics.asked if "Goroutines" in keys and since > NOW - 2 * 86_400]
    assert begins[-1] == begins[0] < NOW - 3600


STANDARDS = st.builds(
    Standard,
    exhausts_within=st.sampled_from([600.0, 3600.0]),
    above=st.sampled_from([None, Amount(0.8, None), Amount(None, 1000.0), Amount(None, 50_000.0)]),
    above_for=st.sampled_from([60.0, 300.0]),
)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["shop/x", "shop/y"]), STANDARDS), max_size=30))
def test_whatever_is_asked_is_found_by_its_own_standard_or_not_at_all(asked: list[tuple[str, str, Standard]]) -> None:
    rounds = rounds_of(asked)
    assert 1 <= len(rounds) <= MOST_STANDARDS
    # As if the detector answered with the number of the round in which it was asked.
    found: Any = GrowthFindings(tuple((standards, {"round": n}) for n, standards in enumerate(rounds)))  # type: ignore[dict-item]
    for key, workload, standard in asked:
        answer = found.of(key, workload, standard)
        assert answer, "six different standards fit into the rounds"
        assert rounds[answer["round"]][key, workload].of_growth == standard.of_growth
    first: dict[tuple[str, str], Standard] = {}
    for key, workload, standard in asked:
        first.setdefault((key, workload), standard)
    assert rounds[0] == first, "what the policy says that acts comes first"
