"""A real Alertmanager's silences: while one is active, or the silences are not known, a leaking pod is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from e2e.faults.alertmanager import Alertmanager, equal, like, unequal, unlike
from e2e.faults.exchange import altered, answered, delayed, requests
from e2e.faults.scenarios import Scenario, cases, side_by_side
from e2e.faults.scene import Scene, World
from e2e.harness.kube import Object
from e2e.harness.waiting import NotYet

pytestmark = pytest.mark.long

AT_ONCE = 5
SILENCES = requests("GET", "/api/v2/silences")


@pytest.fixture(scope="module")
def running(world: World, request: pytest.FixtureRequest) -> Iterator[Mapping[Scenario, Future[None]]]:
    with side_by_side(request, world, AT_ONCE) as begun:
        yield begun


@contextmanager
def _alerted(world: World, purpose: str, **policy: Any) -> Iterator[tuple[Scene, Alertmanager, list[Object]]]:
    """An operator with a real Alertmanager, and three pods that it judged healthy."""
    alertmanager = Alertmanager(world.directory / f"alertmanager-{purpose}")
    try:
        with world.scene(purpose, alertmanager=alertmanager) as scene:
            pods = scene.deploy(replicas=3)
            scene.guard(**policy)
            scene.start()
            scene.wait_for_condition("Healthy", "True")
            yield scene, alertmanager, pods
    finally:
        alertmanager.stop()


def _victim(scene: Scene) -> list[dict[str, Any]]:
    return [equal("namespace", scene.namespace), equal("deployment", "victim")]


def _wait_until_told(scene: Scene, words: str, timeout: float = 60) -> None:
    """Once the Deployment is skipped for a silence in the status, and the message has the words."""

    def look() -> bool | NotYet:
        skipped = scene.workload().get("skipped", {})
        told = "Silenced" in skipped.get("reasons", []) and words in skipped.get("message", "")
        return True if told else NotYet(str(skipped))

    scene.wait(f"the status to say {words!r}", look, timeout)


def _acts_once(scene: Scene, pods: list[Object]) -> None:
    record = scene.wait_for_action(timeout=90)
    assert record["podUID"] in {pod["metadata"]["uid"] for pod in pods}
    scene.wait_for_ticks(3)
    scene.assert_quiet(but=[record["podUID"]])


def a_silence_about_the_deployment_is_made_and_ended_by_hand(world: World) -> None:
    with _alerted(world, "by-hand") as (scene, alertmanager, pods):
        silence = alertmanager.silence(*_victim(scene))
        scene.leak(pods[0])
        _wait_until_told(scene, f"silence {silence} of the Alertmanager is active")
        scene.wait_for_ticks(5)
        scene.assert_quiet()
        told = scene.explained()
        assert f"silence {silence} of the Alertmanager is active" in told, told
        assert "EvictPod of" in told, told
        guards = {guard["guard"]: guard for report in scene.reports() for guard in report["status"]["guards"]}
        assert not guards["silenced"]["passed"], guards
        alertmanager.expire(silence)
        _acts_once(scene, pods[:1])


def a_silence_ends_by_itself(world: World) -> None:
    with _alerted(world, "by-itself") as (scene, alertmanager, pods):
        lasts = 25.0
        begun = time.monotonic()
        silence = alertmanager.silence(*_victim(scene), seconds=lasts)
        scene.leak(pods[0])
        _wait_until_told(scene, silence)
        _acts_once(scene, pods[:1])
        assert scene.evictions()[0].at - begun >= lasts - 1, "the silence was not over yet"


def silences_about_others_change_nothing(world: World) -> None:
    with _alerted(world, "others") as (scene, alertmanager, pods):
        here = equal("namespace", scene.namespace)
        for matchers in (
            [equal("namespace", "elsewhere")],
            [equal("namespace", "elsewhere"), equal("deployment", "victim")],
            [here, equal("deployment", "another")],
            [here, unequal("deployment", "victim")],
            [here, unlike("deployment", "vic.*")],
            [here, like("deployment", "vic")],  # Alertmanager matches whole values
            [here, like("pod", "victim-")],
            [here, equal("alertname", "SomethingElse")],
            [equal("severity", "critical")],
        ):
            alertmanager.silence(*matchers)
        alertmanager.silence(*_victim(scene), starts_in=3600)
        alertmanager.expire(alertmanager.silence(*_victim(scene)))
        scene.leak(pods[0])
        _acts_once(scene, pods[:1])


def silences_of_every_form_are_understood(world: World) -> None:
    """One after the other, each made before the one before it ends, so that one at a time is all that holds."""
    with _alerted(world, "forms") as (scene, alertmanager, pods):
        here = equal("namespace", scene.namespace)
        before = alertmanager.silence(*_victim(scene))
        scene.leak(pods[0])
        _wait_until_told(scene, before)
        for matchers in (
            [here],
            [like("namespace", "e2e-forms-.+")],
            [here, like("deployment", "vic(tim|tor)")],
            [here, equal("pod", pods[0]["metadata"]["name"])],
            [like("pod", "victim-[a-z0-9]+-[a-z0-9]+")],
            [here, unequal("deployment", "another")],
            [here, unlike("deployment", "another|third"), like("severity", "warning|critical")],
            # Syntax of Go's expressions that Python's do not have, or read otherwise.
            [like("namespace", "[[:alnum:]-]+")],
            [here, like("deployment", r"\Qvictim\E")],
            [here, like("deployment", r"(?U)\pL+")],
        ):
            silence = alertmanager.silence(*matchers)
            alertmanager.expire(before)
            scene.wait_for_ticks(3)
            assert not scene.evictions(), f"evicted against a silence for {matchers}"
            before = silence
        _wait_until_told(scene, before)
        alertmanager.expire(before)
        _acts_once(scene, pods[:1])


def _stays_quiet_while(
    world: World,
    purpose: str,
    wrong: Callable[[Scene, Alertmanager], AbstractContextManager[object]],
    words: str,
) -> None:
    """There is no silence, but as long as that is not known, a policy that respects silences does nothing and names the
    reason."""
    with _alerted(world, purpose, respectSilences=True) as (scene, alertmanager, pods):
        with wrong(scene, alertmanager):
            scene.leak(pods[0])
            _wait_until_told(scene, f"whether it is silenced is not known: Alertmanager main: {words}")
            scene.wait_for_ticks(3)
            scene.assert_quiet()
            assert words in scene.explained()
        _acts_once(scene, pods[:1])


def the_alertmanager_is_down_and_comes_back(world: World) -> None:
    @contextmanager
    def down(_: Scene, alertmanager: Alertmanager) -> Iterator[None]:
        alertmanager.stop()
        yield
        alertmanager.start()

    # The proxy runs, and cuts connections that it cannot pass on.
    _stays_quiet_while(world, "down", down, "it cannot be reached")


def nobody_listens_where_the_alertmanager_was(world: World) -> None:
    def refusing(scene: Scene, _: Alertmanager) -> AbstractContextManager[object]:
        assert scene.alerts is not None
        return scene.alerts.refusing()

    _stays_quiet_while(world, "unlistened", refusing, "it cannot be reached")


def the_alertmanager_answers_with_errors(world: World) -> None:
    def failing(scene: Scene, _: Alertmanager) -> AbstractContextManager[object]:
        assert scene.alerts is not None
        return scene.alerts.suffering(SILENCES, answered(500, "InternalError", "the store is broken"))

    _stays_quiet_while(world, "errors", failing, "it answered HTTP 500")


def the_alertmanager_answers_later_than_its_timeout(world: World) -> None:
    def slow(scene: Scene, _: Alertmanager) -> AbstractContextManager[object]:
        assert scene.alerts is not None
        return scene.alerts.suffering(SILENCES, delayed(5))

    _stays_quiet_while(world, "slow", slow, "it did not answer within 2s")


def the_alertmanager_answers_something_else(world: World) -> None:
    def other(scene: Scene, _: Alertmanager) -> AbstractContextManager[object]:
        assert scene.alerts is not None
        return scene.alerts.suffering(SILENCES, altered(lambda _: {"status": "success", "data": []}))

    _stays_quiet_while(world, "garbage", other, "its answer is not one of the Alertmanager API v2")


def a_policy_that_does_not_ask_for_it_acts_while_the_alertmanager_is_down(world: World) -> None:
    with _alerted(world, "unasked") as (scene, alertmanager, pods):
        alertmanager.stop()
        scene.leak(pods[0])
        _acts_once(scene, pods[:1])


def a_silence_outlives_the_alertmanagers_restart(world: World) -> None:
    with _alerted(world, "restart", respectSilences=True) as (scene, alertmanager, pods):
        silence = alertmanager.silence(*_victim(scene))
        scene.leak(pods[0])
        _wait_until_told(scene, silence)
        alertmanager.stop()
        _wait_until_told(scene, "it cannot be reached")
        alertmanager.start()
        _wait_until_told(scene, silence)
        scene.wait_for_ticks(3)
        scene.assert_quiet()
        alertmanager.expire(silence)
        _acts_once(scene, pods[:1])


@cases(
    silences_of_every_form_are_understood,
    a_silence_ends_by_itself,
    a_silence_about_the_deployment_is_made_and_ended_by_hand,
    silences_about_others_change_nothing,
    a_silence_outlives_the_alertmanagers_restart,
    the_alertmanager_is_down_and_comes_back,
    nobody_listens_where_the_alertmanager_was,
    the_alertmanager_answers_with_errors,
    the_alertmanager_answers_later_than_its_timeout,
    the_alertmanager_answers_something_else,
    a_policy_that_does_not_ask_for_it_acts_while_the_alertmanager_is_down,
)
def test_it_is_quiet_while_somebody_asked_for_it_or_nobody_can_tell(
    scenario: Scenario, running: Mapping[Scenario, Future[None]]
) -> None:
    running[scenario].result()
