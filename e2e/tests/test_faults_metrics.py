"""Prometheus down, empty, slow, wrong or late: no action on missing data, a reason that says so, and no storm after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest

from e2e.faults.exchange import altered, answered, delayed, requests
from e2e.faults.exporter import Distortion
from e2e.faults.pace import REFILL, SIGNALS
from e2e.faults.prometheus import Prometheus
from e2e.faults.scenarios import Scenario, cases, side_by_side
from e2e.faults.scene import Scene, World
from e2e.harness.policies import signal
from leakwarden.api.scalars import parse_duration

pytestmark = pytest.mark.long

AT_ONCE = 6
QUERIES = requests(path="/api/v1/query")
FIVE_MINUTES = 300.0
BUCKET = 2.0  # s; see LEAKWARDEN_BUCKET of the scene


@pytest.fixture(scope="module")
def running(world: World, request: pytest.FixtureRequest) -> Iterator[Mapping[Scenario, Future[None]]]:
    with side_by_side(request, world, AT_ONCE) as begun:
        yield begun


def _survives(
    world: World,
    purpose: str,
    wrong: Callable[[Scene], AbstractContextManager[object]],
    *reasons: str,
    prometheus: Prometheus | None = None,
    hole: bool = False,
) -> None:
    """Two of three pods begin to leak while readings are wrong. Nothing is done as long as they are, and the policy's
    condition names the reason; afterwards one pod is evicted and the other waits. Where no readings were taken
    meanwhile (`hole`), they first have to be complete again for the policy's `refill`."""
    with world.scene(purpose, prometheus=prometheus) as scene:
        pods = scene.deploy(replicas=3)
        scene.guard()
        scene.start()
        scene.wait_for_condition("MetricsAvailable", "True")
        scene.wait_for_condition("Healthy", "True")
        with wrong(scene):
            scene.leak(*pods[:2])
            scene.wait_for_condition("MetricsAvailable", "False", *reasons)
            scene.wait_for_condition("Healthy", "Unknown", "NotJudged")
            scene.wait_for_ticks(5)
            scene.assert_quiet()
            assert scene.uids() == {pod["metadata"]["uid"] for pod in pods}
            back = time.monotonic()
        _acts_once(scene, {pod["metadata"]["uid"] for pod in pods[:2]})
        if hole:
            waited = scene.evictions()[0].at - back
            assert waited >= parse_duration(REFILL) - BUCKET, "it acted on readings that were not whole again"


def _acts_once(scene: Scene, leaking: set[str]) -> None:
    record = scene.wait_for_action()
    assert record["podUID"] in leaking
    scene.wait_for_condition("MetricsAvailable", "True")
    scene.wait_for_skip("CooldownActive")
    scene.wait_for_ticks(5)
    scene.assert_quiet(but=[record["podUID"]])


def prometheus_is_down_and_comes_back(world: World) -> None:
    with ExitStack() as stack:
        own = world.another_prometheus("down", stack)

        @contextmanager
        def down(_: Scene) -> Iterator[None]:
            own.stop()
            yield
            own.start()

        _survives(world, "down", down, "QueryFailed", prometheus=own, hole=True)


def prometheus_has_lost_everything_it_knew(world: World) -> None:
    with ExitStack() as stack:
        own = world.another_prometheus("empty", stack)

        @contextmanager
        def empty(scene: Scene) -> Iterator[None]:
            own.stop()
            own.forget()
            scene.world.exporter.distort(scene.namespace, Distortion.ABSENT)
            own.start()
            yield
            scene.world.exporter.distort(scene.namespace, None)

        _survives(world, "empty", empty, "NoData", prometheus=own, hole=True)


def the_pods_export_nothing_any_more(world: World) -> None:
    _survives(world, "absent", lambda scene: _distorted(scene, Distortion.ABSENT), "NoData", hole=True)


def every_reading_is_not_a_number(world: World) -> None:
    _survives(world, "nan", lambda scene: _distorted(scene, Distortion.NOT_A_NUMBER), "NoData", hole=True)


@contextmanager
def _distorted(scene: Scene, distortion: Distortion) -> Iterator[None]:
    scene.world.exporter.distort(scene.namespace, distortion)
    yield
    scene.world.exporter.distort(scene.namespace, None)


def prometheus_answers_later_than_its_timeout(world: World) -> None:
    _survives(world, "slow", lambda scene: scene.metrics.suffering(QUERIES, delayed(5)), "QueryFailed")


def prometheus_answers_with_errors(world: World) -> None:
    broken = answered(503, "Overloaded", "too many queries")
    _survives(world, "errors", lambda scene: scene.metrics.suffering(QUERIES, broken), "QueryFailed")


def prometheus_answers_something_else(world: World) -> None:
    other = altered(lambda _: {"status": "success", "data": "what was asked for is in another castle"})
    _survives(world, "garbage", lambda scene: scene.metrics.suffering(QUERIES, other), "QueryFailed")


def the_clock_of_prometheus_is_five_minutes_late(world: World) -> None:
    """Its clock is shifted by a proxy: no process's real-time clock can be set alone. Its samples carry times five
    minutes too early, and it has none of the last five minutes."""
    _survives(world, "late", lambda scene: _shifted(scene, -FIVE_MINUTES), "NoData")


def the_clock_of_prometheus_is_five_minutes_early(world: World) -> None:
    """Its answers for the present are readings of five minutes ago, and it began to scrape later than that."""
    _survives(world, "early", lambda scene: _shifted(scene, FIVE_MINUTES), "NoData")


@contextmanager
def _shifted(scene: Scene, seconds: float) -> Iterator[None]:
    def asked(query: Mapping[str, str]) -> Mapping[str, str]:
        moments = {name: f"{float(query[name]) - seconds:.3f}" for name in ("start", "end", "time") if name in query}
        return {**query, **moments}

    def told(answer: Any) -> Any:
        for series in answer["data"]["result"]:
            for sample in series.get("values", []) + [series[each] for each in ("value",) if each in series]:
                sample[0] += seconds
        return answer

    scene.metrics.rewrite = asked
    with scene.metrics.suffering(QUERIES, altered(told)):
        yield
    scene.metrics.rewrite = None


def prometheus_restarts_and_has_a_gap(world: World) -> None:
    """A threshold has to hold again after a gap: the readings in the gap are not known."""
    hold = 12.0
    with ExitStack() as stack:
        own = world.another_prometheus("gap", stack)
        with world.scene("gap", prometheus=own) as scene:
            pods = scene.deploy(replicas=3)
            scene.guard(signals=[signal("Descriptors", "80%", f"{hold:g}s")])
            scene.start()
            scene.wait_for_condition("Healthy", "True")
            scene.leak(*pods[:2])
            scene.wait_for_condition("Healthy", "Unknown", "LeakSuspected")
            own.stop()
            scene.wait_for_condition("MetricsAvailable", "False", "QueryFailed")
            # the gap itself, longer than maxAge and, with the time before it, than the threshold's time
            time.sleep(hold)
            back = time.monotonic()
            own.start()
            _acts_once(scene, {pod["metadata"]["uid"] for pod in pods[:2]})
            assert scene.evictions()[0].at - back >= hold - 2, "the time from before the gap was counted"


def every_pod_is_scraped_by_two_jobs(world: World) -> None:
    """Two series of one pod lead neither to two actions nor to none."""
    with world.scene("twice") as scene:
        scene.world.exporter.distort(scene.namespace, Distortion.TWICE)
        pods = scene.deploy(replicas=3)
        scene.guard(signals=SIGNALS)
        scene.start()
        scene.wait_for_condition("Healthy", "True")
        scene.leak(*pods[:2])
        _acts_once(scene, {pod["metadata"]["uid"] for pod in pods[:2]})


@cases(
    prometheus_restarts_and_has_a_gap,
    prometheus_is_down_and_comes_back,
    prometheus_has_lost_everything_it_knew,
    the_pods_export_nothing_any_more,
    every_reading_is_not_a_number,
    prometheus_answers_later_than_its_timeout,
    prometheus_answers_with_errors,
    prometheus_answers_something_else,
    the_clock_of_prometheus_is_five_minutes_late,
    the_clock_of_prometheus_is_five_minutes_early,
    every_pod_is_scraped_by_two_jobs,
)
def test_it_does_nothing_while_readings_are_missing_and_one_thing_after(
    scenario: Scenario, running: Mapping[Scenario, Future[None]]
) -> None:
    running[scenario].result()
