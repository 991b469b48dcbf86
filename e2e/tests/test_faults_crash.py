"""kill -9 at every step between a decision and its outcome: the steps are those of a run without faults."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise

import pytest

from e2e.cluster.progress import say
from e2e.faults.exchange import Exchange, first, then
from e2e.faults.scene import Scene, World
from e2e.faults.steps import step_of, steps
from e2e.harness.kube import Object
from e2e.harness.waiting import NotYet

pytestmark = pytest.mark.long

COOLDOWN = 40.0  # s; longer than an outcome takes, and than a killed operator needs to come back and look
AT_ONCE = 5


def _ready(scene: Scene) -> list[Object]:
    """Three pods, judged healthy."""
    pods = scene.deploy(replicas=3)
    scene.guard(cooldown=f"{COOLDOWN:g}s")
    scene.start()
    scene.wait_for_condition("Healthy", "True")
    return pods


def _undisturbed(world: World) -> list[str]:
    with world.scene("steps") as scene:
        pods = _ready(scene)
        before = len(scene.api.log)
        scene.leak(*pods[:2])
        scene.wait("the outcome to be known", lambda: _outcome(scene))
        scene.wait_for_ticks(2)
        assert len(scene.evictions()) == 1
        return steps(scene.api.log[before:])


def _outcome(scene: Scene) -> str | NotYet:
    """Whether the action helped, by its record, once that is known."""
    result = (scene.actions() or [{}])[0].get("result", "")
    return result if result not in ("", "Verifying") else NotYet(str(scene.actions()))


def _killed(world: World, step: str, *, answered: bool) -> None:
    """Killed before the step reaches the API server, or after it took effect and before the operator gets the
    answer."""
    with world.scene("killed") as scene:
        pods = _ready(scene)
        leaking = {pod["metadata"]["uid"] for pod in pods[:2]}
        before = len(scene.api.log)

        def matches(seen: Exchange) -> bool:
            return seen.number > before and step_of(seen) == step

        stroke = scene.operator.kill
        fault = scene.api.add(matches, then(stroke) if answered else first(stroke), times=1)
        scene.leak(*pods[:2])
        deadline = time.monotonic() + 60
        while scene.operator.runs:
            assert time.monotonic() < deadline, f"it never came to: {step}; it took {steps(scene.api.log[before:])}"
            time.sleep(0.1)
        assert fault.hits == 1, "it ended by itself"
        scene.start()
        _settled(scene)
        assert len(scene.evictions()) <= 1, "done twice"
        if not scene.evictions():
            # It was killed between the intent and the eviction: the pod waits for the cooldown like any other.
            scene.wait("the leak to be dealt with", lambda: True if scene.evictions() else NotYet(str(scene.skips())))
            _settled(scene)
        assert set(scene.evicted()) <= leaking
        assert {record["podUID"] for record in scene.actions() if record["phase"] == "Done"} == set(scene.evicted())
        _keeps_its_budget(scene)
        subjects = [report["spec"]["pod"]["uid"] for report in scene.reports()]
        assert len(subjects) == len(set(subjects)), "two reports of one episode"


def _settled(scene: Scene) -> None:
    """Waits until the action is reported, nothing is pending, and the pod that still leaks has to wait for the
    cooldown."""

    def look() -> bool | NotYet:
        records = scene.actions()
        told = records and not any(record["phase"] == "Pending" for record in records)
        # The policy's status follows the reports: it may still be of the time before the eviction.
        done = {record["podUID"] for record in records if record["phase"] == "Done"}
        good = told and done == set(scene.evicted()) and "CooldownActive" in scene.skips()
        return True if good else NotYet(f"{records} {scene.workload()}")

    scene.wait("the action to be told and the cooldown to hold", look)


def _keeps_its_budget(scene: Scene) -> None:
    intents = sorted(datetime.fromisoformat(record["intendedAt"]).timestamp() for record in scene.actions())
    apart = [later - earlier for earlier, later in pairwise(intents)]
    assert all(seconds >= COOLDOWN - 1 for seconds in apart), "two actions within one cooldown"


def test_killed_at_any_step_it_does_nothing_twice_and_loses_nothing(world: World) -> None:
    enumerated = _undisturbed(world)
    say(f"{len(enumerated)} steps: {'; '.join(enumerated)}")
    assert any("eviction" in step for step in enumerated)
    assert any(re.search(r"\bPending\b", step) for step in enumerated), "the intent is written"
    assert any(re.search(r"\bDone\b", step) for step in enumerated), "and the outcome"
    begun = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = {
            (step, when): pool.submit(_killed, world, step, answered=when == "after")
            for step in enumerated
            for when in ("before", "after")
        }
    failures = []
    for (step, when), run in runs.items():
        error = run.exception()
        if error is not None:
            error.add_note(f"killed {when} the step: {step}")
            failures.append(error)
    say(f"{len(runs)} kills in {time.monotonic() - begun:.0f} s, {len(failures)} failures")
    if failures:
        raise BaseExceptionGroup("kills after which something was wrong", failures)
