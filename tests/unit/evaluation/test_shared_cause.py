"""Many pods at their limit at once, in a step: a slow dependency, and not a leak of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.evaluation.shared_cause import Crossing, crossing, is_shared
from leakwarden.core.model.readings import Points
from tests.builders import NOW, enforcing, pod, sampled, snapshot, workload
from tests.unit.engine.engine_world import World

LEVEL = 90.0
POOL = {"name": "pool", "type": "DBPool", "threshold": {"above": "90%", "for": "5m"}}


def course(
    step_at: float | None, low: float = 20.0, high: float = 98.0, takes: float = 60.0, span: float = 1800
) -> Points:
    """Readings each half minute up to now: `low`, and from `step_at` seconds ago a rise to `high`; None: no rise."""
    t = NOW - np.arange(span, -1, -30.0)
    since = t - (NOW - step_at) if step_at is not None else np.full(t.size, -1.0)
    return Points(t, low + (high - low) * np.clip(since / takes, 0, 1))


def crossings(*courses: Points) -> list[Crossing | None]:
    return [crossing(each, LEVEL) for each in courses]


def test_half_of_the_pods_in_a_step_within_minutes_have_one_cause() -> None:
    assert is_shared(crossings(course(500), course(400), course(None), course(None)), held_before=False)


@pytest.mark.parametrize(
    "courses",
    [
        [course(500), course(None), course(None), course(None)],  # one of four
        [course(500)],  # a single pod shares nothing
        [course(880), course(500), course(None), course(None)],  # too far apart
        [course(600, takes=590), course(600, takes=590)],  # a climb, although both are equal
        [course(500, span=900), course(500, span=900)],  # the time before the step is not known
        [course(500, low=95), course(500, low=95)],  # above it since the first reading
    ],
)
def test_what_is_not_known_to_be_one_step_is_no_shared_cause(courses: list[Points]) -> None:
    assert not is_shared(crossings(*courses), held_before=False)


def test_a_cause_that_was_found_holds_for_as_long_as_so_many_are_above() -> None:
    """The step itself drops out of the stored readings after half an hour; a database can be slow for longer."""
    above = crossings(course(5000), course(5000))
    assert not is_shared(above, held_before=False)
    assert is_shared(above, held_before=True)
    assert not is_shared([above[0], None, None, None], held_before=True)


@given(
    pods=st.integers(2, 12), low=st.floats(0, 60), noise=st.floats(0, 1), first=st.floats(330, 600),
    offsets=st.lists(st.floats(0, 200), min_size=12, max_size=12), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_any_step_that_half_of_the_pods_take_together_is_found(
    *, pods: int, low: float, noise: float, first: float, offsets: list[float], seed: int
) -> None:
    random = np.random.default_rng(seed)
    courses = []
    for n in range(pods):
        one = course(first + offsets[n] if 2 * n < pods or n < 2 else None, low=low)
        courses.append(Points(one.t, one.v + random.uniform(-noise, noise, one.v.size)))
    assert is_shared(crossings(*courses), held_before=False)


@given(st.lists(st.tuples(st.floats(900, 7200), st.floats(0, 80)), min_size=2, max_size=12))
def test_no_climb_is_taken_for_a_step_however_many_pods_climb_alike(climbs: list[tuple[float, float]]) -> None:
    """Each takes a quarter of an hour or longer from its usual level to the limit; all reach it together."""
    courses = [course(takes + 300, low=low, high=91, takes=takes) for takes, low in climbs]
    assert not is_shared(crossings(*courses), held_before=False)


@given(st.integers(3, 12), st.data())
def test_fewer_than_half_of_the_pods_share_nothing(pods: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, (pods - 1) // 2))
    courses = [course(500 if n < count else None) for n in range(pods)]
    assert not is_shared(crossings(*courses), held_before=False)


# In the whole engine.


def of(*courses: Points) -> World:
    world = World(spec=enforcing(POOL))
    pods = [pod(f"api-{n}") for n in range(len(courses))]
    replicas: dict[str, Any] = dict.fromkeys(("replicas", "updated_replicas", "ready_replicas"), len(courses))
    world.cluster.world = snapshot([workload(**replicas)], pods)
    show(world, courses)
    return world


def show(world: World, courses: Sequence[Points]) -> None:
    world.metrics.answer = sampled({f"api-{n}": each for n, each in enumerate(courses)}, limit=100.0)


def reasons(world: World) -> set[str]:
    return {one.reason for one in world.status.workloads[0].unhealthy}


async def test_a_slow_database_evicts_nobody() -> None:
    world = of(course(420), course(400), course(450), course(None))
    await world.engine.tick()
    assert world.changes() == []
    assert reasons(world) == {"SharedCause"}
    assert world.condition("Healthy") == ("False", "LeakSuspected") or world.condition("Healthy")[1] == "LeakSuspected"


async def test_a_database_that_stays_slow_evicts_nobody_either_not_even_after_a_restart() -> None:
    world = of(course(420), course(400), course(450), course(None))
    await world.engine.tick()
    world.engine = world.fresh_engine()
    world.now += 3 * 3600
    world.cluster.now = world.now
    show(
        world, [Points(each.t + 3 * 3600, each.v) for each in (course(5000), course(5000), course(5000), course(None))]
    )
    await world.engine.tick()
    assert reasons(world) == {"SharedCause"}
    assert world.changes() == []


async def test_one_pod_that_keeps_its_connections_is_still_evicted() -> None:
    world = of(course(420), course(None), course(None), course(None))
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-0")]


# Of alerts, which do not show the time before.


ALERT = {"name": "alert", "type": "Alert", "role": "Leak", "alert": {"name": "Leaks"}}


def firing(*since: float | None) -> World:
    """A world whose pods have an alert that has fired for so many seconds; None: it does not fire."""
    world = World(spec=enforcing(ALERT))
    replicas: dict[str, Any] = dict.fromkeys(("replicas", "updated_replicas", "ready_replicas"), len(since))
    world.cluster.world = snapshot([workload(**replicas)], [pod(f"api-{n}") for n in range(len(since))])
    world.metrics.answer = sampled({
        f"api-{n}": Points(t := NOW - np.arange(seconds, -1, -30.0), np.ones(t.size))
        for n, seconds in enumerate(since) if seconds is not None
    })  # fmt: skip
    return world


async def test_an_alert_that_begins_for_half_of_the_pods_at_once_evicts_nobody() -> None:
    world = firing(420, 400, None, None)
    await world.engine.tick()
    assert world.changes() == []
    assert reasons(world) == {"SharedCause"}


@pytest.mark.parametrize(
    "since",
    [
        (420, None, None, None),  # one of four
        (900, 420, None, None),  # too far apart
        (1500, 1500, None, None),  # so long that its begin may not be stored
    ],
)
async def test_an_alert_that_did_not_begin_for_half_of_the_pods_at_once_is_acted_on(
    since: tuple[float | None, ...],
) -> None:
    world = firing(*since)
    await world.engine.tick()
    assert [kind for kind, _ in world.changes()] == ["evict"]


async def test_a_symptom_of_all_pods_never_evicts_any() -> None:
    world = World(
        spec=enforcing({"name": "errors", "type": "HTTPErrors", "threshold": {"above": "5%", "for": "1m"}}, POOL)
    )
    world.metrics.answer = sampled({f"api-{n}": Points(course(None).t, course(None).v * 0 + 0.5) for n in (1, 2, 3)})
    await world.engine.tick()
    assert world.changes() == []
