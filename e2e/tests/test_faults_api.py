"""The API server slow, busy, cut off, expired and gone: the operator acts once, and never without a record.

If it loses the Lease it ends, as it must, and is started again: once, which does not count as a crash loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager

import pytest

from e2e.cluster.errors import ClusterError
from e2e.faults.exchange import Exchange, answered, delayed, expired, lost, requests, silent
from e2e.faults.pace import USUAL_LEASE
from e2e.faults.scenarios import Scenario, cases, side_by_side
from e2e.faults.scene import Scene, World
from e2e.harness.kube import Object, provider
from e2e.harness.waiting import NotYet

pytestmark = pytest.mark.long

AT_ONCE = 6
BUSY = answered(429, "TooManyRequests", "too many requests, please try again later", retry_after=1)
CONFLICT = answered(409, "Conflict", "the object has been modified")
WATCHES = requests(watch=True)
EVICTIONS = requests("POST", "/eviction")


def _writes(exchange: Exchange) -> bool:
    """Writes that record an intent, an outcome or a status; neither Leases nor Events."""
    return exchange.changes and "leakwarden.dev" in exchange.path


@pytest.fixture(scope="module")
def running(world: World, request: pytest.FixtureRequest) -> Iterator[Mapping[Scenario, Future[None]]]:
    with side_by_side(request, world, AT_ONCE) as begun:
        yield begun


def _scene(world: World, purpose: str) -> AbstractContextManager[Scene]:
    return world.scene(purpose, settings=USUAL_LEASE, restarted=True)


def _judged(scene: Scene) -> list[Object]:
    """Three pods, judged healthy."""
    pods = scene.deploy(replicas=3)
    scene.guard()
    scene.start()
    scene.wait_for_condition("Healthy", "True")
    return pods


def _acts_once(scene: Scene, pods: list[Object], timeout: float = 60) -> None:
    """One of the two leaking pods is evicted, the other waits, and that stays so; edits still reach the operator."""
    leaking = {pod["metadata"]["uid"] for pod in pods}

    def done() -> str | NotYet:
        records = [each for each in scene.actions() if each["phase"] == "Done"]
        return records[0]["podUID"] if records else NotYet(f"{scene.actions()} {scene.workload()}")

    evicted = scene.wait("an action", done, timeout)
    assert evicted in leaking
    scene.wait_for_skip("CooldownActive")
    scene.wait_for_ticks(5)
    scene.assert_quiet(but=[evicted])
    scene.guard(suspend=True)
    scene.wait_for_skip("Suspended")


def watch_streams_are_cut_again_and_again(world: World) -> None:
    with _scene(world, "cut") as scene:
        pods = _judged(scene)
        ended = 0
        for _ in range(5):
            ended += scene.api.cut_streams()
            time.sleep(0.7)
        assert ended > 0
        scene.leak(*pods[:2])
        scene.api.cut_streams()
        _acts_once(scene, pods[:2])


def watches_have_expired(world: World) -> None:
    """Objects that were deleted without a watch are gone from the operator's view, and no action follows on them."""
    with _scene(world, "expired") as scene:
        pods = _judged(scene)
        with scene.api.suffering(WATCHES, expired()) as fault:
            assert scene.api.expire_streams() > 0
            gone = scene.deploy("short-lived", 2)
            scene.leak(*gone)
            world.api.send("DELETE", f"apis/apps/v1/namespaces/{scene.namespace}/deployments/short-lived")
            scene.wait("watches to be refused", lambda: True if fault.hits >= 3 else NotYet(f"{fault.hits} refused"))
            scene.wait_for_ticks(3)
        scene.leak(*pods[:2])
        _acts_once(scene, pods[:2])
        lists = [each for each in scene.api.log if "limit" in each.query and each.path.endswith("/pods")]
        assert len(lists) >= 2, "it listed anew"


def every_write_meets_a_conflict(world: World) -> None:
    """Without a recorded intent there is no action, and nothing is lost."""
    with _scene(world, "conflicts") as scene:
        pods = _judged(scene)
        with scene.api.suffering(_writes, CONFLICT) as storm:
            scene.leak(*pods[:2])
            scene.wait("a storm of conflicts", lambda: True if storm.hits >= 8 else NotYet(f"{storm.hits} conflicts"))
            scene.wait_for_ticks(5)
            scene.assert_quiet()
        _acts_once(scene, pods[:2])


def the_api_server_is_too_busy_for_anything(world: World) -> None:
    """429 with Retry-After to all but open watches. The operator does not retry at full speed, and waits."""
    with _scene(world, "busy") as scene:
        pods = _judged(scene)
        scene.api.cut_streams()
        began = time.monotonic()
        with scene.api.suffering(lambda _: True, BUSY) as storm:
            scene.leak(*pods[:2])
            time.sleep(10)  # the storm itself
        rate = storm.hits / (time.monotonic() - began)
        assert rate < 20, f"{rate:.0f} requests a second to a server that is too busy"
        scene.assert_quiet()
        _acts_once(scene, pods[:2], 90)


def evictions_are_too_many_requests(world: World) -> None:
    """429 without a disruption budget is the server's own protection: no budget is named as the cause, and the server
    gets few retries."""
    with _scene(world, "throttled") as scene:
        pods = _judged(scene)
        with scene.api.suffering(EVICTIONS, BUSY) as refused:
            scene.leak(*pods[:2])
            scene.wait("an eviction to be refused", lambda: True if refused.hits else NotYet(str(scene.workload())))
            scene.wait_for_ticks(8)
            assert refused.hits <= 3, "tried at every tick"
            assert "DisruptionBudget" not in scene.skips()
            assert not [each for each in scene.actions() if each["phase"] in ("Done", "Pending")]
        scene.assert_quiet()


def the_answer_to_an_eviction_is_lost(world: World) -> None:
    """It was carried out, but the answer was lost. It must neither be repeated nor be recorded as a failure that
    changed nothing."""
    with _scene(world, "lost") as scene:
        pods = _judged(scene)
        scene.api.add(EVICTIONS, lost(), times=1)
        scene.leak(*pods[:2])
        scene.wait("the eviction", lambda: True if scene.evictions() else NotYet(str(scene.workload())))
        scene.wait_for_skip("CooldownActive")
        scene.wait_for_ticks(5)
        assert len(scene.evictions()) == 1
        assert len(scene.actions()) == 1
        assert scene.actions()[0]["phase"] in ("Interrupted", "Done"), scene.actions()[0]


def an_eviction_is_never_answered(world: World) -> None:
    """No answer ever comes: the request may or may not have arrived. The tick goes on after its timeout, and nothing is
    repeated."""
    with _scene(world, "hole") as scene:
        pods = _judged(scene)
        scene.api.add(EVICTIONS, silent(), times=1)
        scene.leak(*pods[:2])
        scene.wait_for_skip("CooldownActive", timeout=90)
        scene.wait_for_ticks(5)
        scene.assert_quiet()
        assert len(scene.actions()) == 1
        assert scene.actions()[0]["phase"] == "Interrupted"  # whether it was carried out is not known


def the_api_server_is_slow(world: World) -> None:
    with _scene(world, "slow-api") as scene:
        pods = _judged(scene)
        with scene.api.suffering(requests(watch=False), delayed(2.5)):
            scene.leak(*pods[:2])
            _acts_once(scene, pods[:2], 90)


def nobody_listens_where_the_api_server_was(world: World) -> None:
    with _scene(world, "refused") as scene:
        pods = _judged(scene)
        with scene.api.refusing():
            scene.leak(*pods[:2])
            time.sleep(10)  # longer than the threshold's time, and than the lease
        _acts_once(scene, pods[:2], 90)


def the_api_server_fails_inside(world: World) -> None:
    """500 to everything for a while."""
    with _scene(world, "broken") as scene:
        pods = _judged(scene)
        scene.api.cut_streams()
        with scene.api.suffering(lambda _: True, answered(500, "InternalError", "etcdserver: request timed out")):
            scene.leak(*pods[:2])
            time.sleep(8)  # the failure itself
        scene.assert_quiet()
        _acts_once(scene, pods[:2], 90)


@cases(
    an_eviction_is_never_answered,
    the_api_server_is_too_busy_for_anything,
    nobody_listens_where_the_api_server_was,
    the_api_server_is_slow,
    the_api_server_fails_inside,
    every_write_meets_a_conflict,
    watches_have_expired,
    watch_streams_are_cut_again_and_again,
    evictions_are_too_many_requests,
    the_answer_to_an_eviction_is_lost,
)
def test_it_comes_through_and_acts_once(scenario: Scenario, running: Mapping[Scenario, Future[None]]) -> None:
    running[scenario].result()


def test_the_real_api_server_is_restarted_while_a_leak_is_found(
    world: World, running: Mapping[Scenario, Future[None]]
) -> None:
    for each in running.values():
        each.exception()  # their server has to stay up until they are done
    with _scene(world, "restart") as scene:
        pods = _judged(scene)
        scene.leak(*pods[:2])
        _stop_and_start("kube-apiserver", pytest.skip)
        _acts_once(scene, pods[:2], 120)


def _stop_and_start(component: str, otherwise: Callable[[str], object]) -> None:
    try:
        provider().fault("stop", component)
    except ClusterError as error:
        otherwise(f"this cluster's {component} cannot be stopped: {error}")
        return
    try:
        time.sleep(8)  # the outage itself
    finally:
        provider().fault("start", component)
