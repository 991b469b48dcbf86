"""A slow capture runs concurrently with the ticks: it holds up the action on its own pod, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from leakwarden.adapters.telemetry import Telemetry
from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus
from leakwarden.core.guards.limits import Limits
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.engine.capture import PATIENCE, TRIES
from leakwarden.engine.guard_context import GuardContext
from leakwarden.engine.ports import CaptureRequest, ClusterUnavailable
from leakwarden.ticking import Runner
from tests.builders import body, enforcing, pod, snapshot, workload
from tests.unit.engine.engine_world import World

CAPTURED = EvidenceStatus(state=EvidenceState.CAPTURED, summary="handler.go:42: response body not closed")
WIDE = Limits(max_concurrent=100, namespace_actions=1000, cluster_actions=1000, storm_enabled=False)


@dataclass
class SlowCamera:
    """A capture lasts until the test ends it. `most`: how many were under way at one time."""

    asked: list[CaptureRequest] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    most: int = 0
    _open: dict[str, asyncio.Future[EvidenceStatus]] = field(default_factory=dict)

    async def baseline(self, request: CaptureRequest, renew: bool) -> bool:
        return True

    async def capture(self, request: CaptureRequest) -> EvidenceStatus:
        self.asked.append(request)
        self._open[request.pod.name] = asyncio.get_running_loop().create_future()
        self.most = max(self.most, len(self._open))
        try:
            return await self._open[request.pod.name]
        except asyncio.CancelledError:
            self.given_up.append(request.pod.name)
            raise
        finally:
            del self._open[request.pod.name]

    async def ends(self, answer: EvidenceStatus | Exception = CAPTURED) -> str:
        """Ends the capture under way; returns the name of its pod."""
        await until(lambda: self._open)
        ((name, future),) = self._open.items()
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        await until(lambda: name not in self._open)
        await asyncio.sleep(0)
        return name

    @property
    def pods(self) -> list[str]:
        return [request.pod.name for request in self.asked]


async def until(condition: Callable[[], object]) -> None:
    """Turns of the loop, with time for the thread in which a tick judges."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come to that")


def scene(camera: SlowCamera, *names: str, **evidence: Any) -> World:
    """A Deployment of three pods under each name; the first pod of each is out of descriptors."""
    names = names or ("api",)
    world = World(spec={**enforcing(), "evidence": evidence}, profiler=camera)
    world.engine.guard_context = GuardContext(lambda _: "none is asked", limits=WIDE)
    world.engine._capture.soon = 0.0
    pods = [pod(f"{name}-{n}", owner=name) for name in names for n in (1, 2, 3)]
    world.cluster.world = snapshot([workload(name) for name in names], pods)
    world.levels(**{one.name.replace("-", "_"): 950 if one.name.endswith("1") else 50 for one in pods})
    return world


def of_pod(world: World, name: str) -> LeakReport:
    return next(report for report in world.reports if report.spec.pod.name == name)


def skipped(world: World, workload: str) -> list[str]:
    told = next(each.skipped for each in world.status.workloads if each.name == workload)
    return list(told.reasons) if told is not None else []


async def test_while_a_pod_hangs_all_others_are_judged_told_and_acted_on() -> None:
    camera = SlowCamera()
    world = scene(camera, "api", "web")
    world.policies.put(body(spec={**enforcing(), "selector": {"matchLabels": {"app": "api"}}}))
    fast = {**enforcing(), "selector": {"matchLabels": {"app": "web"}}, "evidence": {"enabled": False}}
    world.policies.put(body("fast", spec=fast))
    await world.engine.tick()
    assert camera.pods == ["api-1"]
    assert world.changes() == [("evict", "uid-web-1")], "it asks for no evidence, and so waits for none"
    assert {status["targets"]["pods"] for status in world.cluster.statuses} == {3}, "both were told"
    of_api = next(each for each in world.policies.all() if each.name == "shop").status.workloads[0]
    assert of_api.verdict == "Exhausting"
    assert of_api.skipped is not None
    assert of_api.skipped.reasons == ["EvidencePending"]
    assert "its profiles are being taken" in of_api.skipped.message
    assert "RemediationSkipped" not in world.recorder.reasons("Deployment"), "it is right ahead"
    world.levels(api_1=950, api_2=50, api_3=50, web_1=50, web_2=50, web_3=970)
    await world.later()
    of_web = next(each for each in world.policies.all() if each.name == "fast").status.workloads[0]
    assert [each.name for each in of_web.unhealthy] == ["web-3"], "and judged anew meanwhile"
    await world.engine.end()


async def test_what_was_taken_is_on_record_before_the_pod_is_evicted() -> None:
    camera = SlowCamera()
    world = scene(camera)
    await world.engine.tick()
    await camera.ends()
    written = len(world.cluster.written)
    assert world.changes() == []
    await world.later(12)
    assert world.changes() == [("evict", "uid-api-1")]
    first, intent = world.cluster.written[written : written + 2]
    assert first["evidence"]["state"] == "Captured"
    assert "actions" not in first or not first["actions"]
    assert intent["actions"][0]["phase"] == "Pending"
    assert world.cluster.done.index(("evict", "uid-api-1")) > world.cluster.done.index(("report", "Remediating"))


async def test_the_engine_is_woken_when_a_capture_ends_that_an_action_waits_for() -> None:
    camera = SlowCamera()
    world = scene(camera)
    clockwork = Runner(world.engine, Telemetry(), interval=3600.0)
    running = asyncio.create_task(clockwork.run())
    await until(lambda: world.cluster.statuses)
    await camera.ends()
    for _ in range(6000):
        if world.changes():
            break
        await asyncio.sleep(0.01)
    assert world.changes() == [("evict", "uid-api-1")], "an hour before its next tick was due"
    clockwork.stop()
    await running


async def test_and_is_not_woken_by_one_that_nothing_waits_for() -> None:
    camera = SlowCamera()
    world = scene(camera)
    world.policies.put(body(spec={"signals": enforcing()["signals"]}, metadata={"generation": 2}))
    woken: list[str] = []
    world.engine.wake = lambda: woken.append("woken")
    await world.engine.tick()
    assert await camera.ends() == "api-1"
    assert woken == [], "it is only observed"
    await world.later()
    assert of_pod(world, "api-1").status.evidence is not None


async def test_one_pod_at_a_time_is_asked_however_many_run_out_together() -> None:
    camera = SlowCamera()
    names = [f"w{n}" for n in range(5)]
    world = scene(camera, *names)
    await world.engine.tick()
    for done in range(5):
        assert len(camera.asked) == done + 1
        await camera.ends()
        await world.later(12)
        assert len(world.changes()) == done + 1
    assert camera.most == 1
    assert {uid for _, uid in world.changes()} == {request.pod.uid for request in camera.asked}
    assert all(report.status.evidence is not None for report in world.reports)


async def test_a_pod_that_hangs_for_ever_holds_up_no_action_for_longer_than_the_patience() -> None:
    camera = SlowCamera()
    world = scene(camera, "api", "web")
    await world.engine.tick()
    await world.later(PATIENCE)
    assert world.changes() == []
    assert sorted([skipped(world, "api"), skipped(world, "web")]) == [["EvidencePending"]] * 2
    await world.later(1)
    assert {uid for _, uid in world.changes()} == {"uid-api-1", "uid-web-1"}
    assert camera.most == 1
    await world.engine.end()


@pytest.mark.parametrize(
    "answer", [EvidenceStatus(state=EvidenceState.FAILED, reason="Timeout"), RuntimeError("a defect")]
)
async def test_a_capture_that_fails_late_is_recorded_and_the_action_follows(answer: EvidenceStatus | Exception) -> None:
    camera = SlowCamera()
    world = scene(camera)
    await world.engine.tick()
    await camera.ends(answer)
    await world.later(45)
    evidence = of_pod(world, "api-1").status.evidence
    assert evidence is not None
    assert evidence.state is EvidenceState.FAILED
    assert world.changes() == [("evict", "uid-api-1")]


async def test_one_answer_is_enough_also_where_it_took_longer_than_the_cooldown() -> None:
    camera = SlowCamera()
    world = scene(camera, cooldown="1s")
    await world.engine.tick()
    await camera.ends(EvidenceStatus(state=EvidenceState.FAILED, reason="Timeout"))
    await world.later(45)
    assert len(camera.asked) == 1
    assert world.changes() == [("evict", "uid-api-1")]


async def test_a_clock_that_was_set_back_makes_no_wait_of_a_day_out_of_one_of_minutes() -> None:
    camera = SlowCamera()
    world = scene(camera)
    await world.engine.tick()
    world.levels(**{f"api_{n}": 950 if n == 1 else 50 for n in (1, 2, 3)})
    await world.later(-600)
    await world.later(PATIENCE + 1)
    assert world.changes() == [("evict", "uid-api-1")]
    await world.engine.end()


async def test_a_pod_that_fails_at_once_again_and_again_is_no_reason_to_tick_without_pause() -> None:
    class Closed:
        async def baseline(self, request: CaptureRequest, renew: bool) -> bool:
            return True

        async def capture(self, request: CaptureRequest) -> EvidenceStatus:
            world.now += 2  # longer than the cooldown: it is due again at once
            return EvidenceStatus(state=EvidenceState.FAILED, reason="Closed")

    world = scene(SlowCamera(), required=True, cooldown="1s")
    world.profiler = Closed()
    world.engine = world.fresh_engine()
    woken: list[str] = []
    world.engine.wake = lambda: woken.append("woken")
    for _ in range(4):
        await world.later(30)
    assert world.changes() == []
    assert woken == []


async def test_a_capture_that_does_not_end_is_given_up_and_the_next_ones_turn_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("leakwarden.engine.capture.LONGEST", 0.01)
    camera = SlowCamera()
    world = scene(camera, "api", "web")
    world.engine._capture.soon = 60.0
    await world.engine.tick()
    assert camera.given_up == camera.pods == ["api-1", "web-1"]
    reasons = [report.status.evidence.reason for report in world.reports if report.status.evidence is not None]
    assert reasons == ["Timeout", "Timeout"]
    assert {uid for _, uid in world.changes()} == {"uid-api-1", "uid-web-1"}


async def test_who_recovers_while_profiles_are_taken_is_left_alone() -> None:
    camera = SlowCamera()
    world = scene(camera)
    await world.engine.tick()
    await camera.ends()
    world.levels(api_1=50, api_2=50, api_3=50)
    await world.later(12)
    assert world.changes() == []
    assert of_pod(world, "api-1").status.evidence is not None, "what was taken is worth keeping all the same"


async def test_where_evidence_is_required_the_action_waits_for_it_without_an_alarm() -> None:
    camera = SlowCamera()
    world = scene(camera, required=True)
    await world.engine.tick()
    await world.later(30)
    assert skipped(world, "api") == ["EvidencePending"]
    assert "RemediationSkipped" not in world.recorder.reasons("Deployment")
    await camera.ends()
    await world.later(1)
    assert world.changes() == [("evict", "uid-api-1")]


async def test_where_evidence_is_required_no_patience_ends_the_waiting() -> None:
    camera = SlowCamera()
    world = scene(camera, required=True)
    await world.engine.tick()
    for _ in range(5):
        await world.later(PATIENCE)
    assert world.changes() == []
    assert skipped(world, "api") == ["EvidenceMissing"]
    await world.engine.end()


async def test_a_report_that_was_deleted_meanwhile_is_no_obstacle() -> None:
    camera = SlowCamera()
    world = scene(camera)
    await world.engine.tick()
    world.cluster.stored.clear()
    await camera.ends()
    world.levels(api_1=50, api_2=950, api_3=50)
    await world.later(120)
    assert camera.pods == ["api-1", "api-2"]
    await camera.ends()
    await world.later(12)
    assert world.changes() == [("evict", "uid-api-2")]


async def test_what_could_not_be_recorded_is_recorded_by_a_later_tick() -> None:
    camera = SlowCamera()
    world = scene(camera)
    await world.engine.tick()
    await camera.ends()
    world.cluster.report_error = ClusterUnavailable("it is restarted")
    await world.later(12)
    assert world.changes() == []
    assert of_pod(world, "api-1").status.evidence is None
    world.cluster.report_error = None
    await world.later(30)
    evidence = of_pod(world, "api-1").status.evidence
    assert evidence is not None
    assert evidence.summary == CAPTURED.summary
    assert world.changes() == [("evict", "uid-api-1")]
    assert len(camera.asked) == 1


async def test_a_report_that_can_never_be_written_does_not_keep_other_pods_waiting() -> None:
    camera = SlowCamera()
    world = scene(camera, "api", "web")
    await world.engine.tick()
    first = await camera.ends()
    world.cluster.report_error = ClusterUnavailable("it is restarted")
    for _ in range(TRIES):
        await world.later()
    world.cluster.report_error = None
    await world.later()
    assert camera.pods[0] == first
    assert len(camera.asked) == 2
    await world.engine.end()


async def test_asked_to_end_it_begins_no_capture_and_records_what_was_taken() -> None:
    camera = SlowCamera()
    world = scene(camera, "api", "web")
    await world.engine.tick()
    first = await camera.ends()
    world.engine.ending = True
    await world.later(12)
    assert camera.pods == [first]
    assert of_pod(world, first).status.evidence is not None
    assert world.changes() == []


async def test_a_process_that_works_no_more_gives_up_what_is_under_way_and_its_successor_takes_it() -> None:
    camera = SlowCamera()
    world = scene(camera)
    await world.engine.tick()
    await world.engine.end()
    assert camera.given_up == ["api-1"]
    assert of_pod(world, "api-1").status.evidence is None
    world.engine = world.fresh_engine()
    world.engine._capture.soon = 0.0
    await world.later()
    assert camera.pods == ["api-1", "api-1"]
    await camera.ends()
    await world.later(12)
    assert world.changes() == [("evict", "uid-api-1")]
