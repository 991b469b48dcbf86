"""Evidence is taken before it is destroyed, one pod after another, and a failure stops no action unless evidence is
required."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus
from leakwarden.core.guards.limits import Limits
from leakwarden.engine.guard_context import GuardContext
from leakwarden.engine.ports import CaptureRequest
from tests.builders import enforcing, pod, snapshot, workload
from tests.unit.engine.engine_world import World

SUSPECT = "handler.go:42: response body not closed"


@dataclass
class Camera:
    answers: list[EvidenceStatus | Exception] = field(default_factory=list)
    asked: list[CaptureRequest] = field(default_factory=list)
    world: World | None = None
    changes_before: list[int] = field(default_factory=list)
    seconds: float = 0.0  # the duration of a capture

    async def baseline(self, request: CaptureRequest, renew: bool) -> bool:
        return True

    async def capture(self, request: CaptureRequest) -> EvidenceStatus:
        self.asked.append(request)
        if self.world is not None:
            self.changes_before.append(len(self.world.changes()))
            self.world.now += self.seconds
        answer = self.answers.pop(0) if self.answers else EvidenceStatus(state=EvidenceState.CAPTURED, summary=SUSPECT)
        if isinstance(answer, Exception):
            raise answer
        return answer


FAILED = EvidenceStatus(state=EvidenceState.FAILED, reason="Timeout", message="no answer in 10s")


def scene(camera: Camera | None, spec: dict[str, Any] | None = None, **evidence: Any) -> World:
    world = World(spec={**(spec or enforcing()), "evidence": evidence}, profiler=camera)
    if camera is not None:
        camera.world = world
    return world


async def test_profiles_are_taken_and_recorded_before_the_pod_is_evicted() -> None:
    camera = Camera()
    world = scene(camera)
    await world.engine.tick()
    assert camera.changes_before == [0]
    (request,) = camera.asked
    assert (request.pod.uid, request.report, request.signal_type) == ("uid-api-1", world.report.key, "Descriptors")
    assert world.changes() == [("evict", "uid-api-1")]
    phases = [(written["phase"], "evidence" in written) for written in world.cluster.written]
    assert phases == [("Detected", True), ("Remediating", True), ("Verifying", True)]
    assert world.report.status.evidence is not None
    assert world.report.status.evidence.attempted_at is not None
    assert any(SUSPECT in note for note in world.recorder.notes("LeakExhausting"))
    assert any(SUSPECT in note for note in world.recorder.notes("PodEvicted"))
    assert any(SUSPECT in note for note in world.recorder.notes("EvidenceCaptured"))


def crowd(camera: Camera, *names: str) -> World:
    """A Deployment of three pods under each name; the first pod of each is out of descriptors."""
    world = scene(camera)
    wide = Limits(max_concurrent=100, namespace_actions=1000, cluster_actions=1000, storm_enabled=False)
    world.engine.guard_context = GuardContext(lambda _: "none is asked", limits=wide)
    pods = [pod(f"{name}-{n}", owner=name) for name in names for n in (1, 2, 3)]
    world.cluster.world = snapshot([workload(name) for name in names], pods)
    world.levels(**{one.name.replace("-", "_"): 950 if one.name.endswith("1") else 50 for one in pods})
    return world


async def test_pods_of_several_deployments_that_run_out_together_are_each_captured_before_their_eviction() -> None:
    """Pods that answer at once are all captured in one tick; test_capture_beside.py has those that do not."""
    camera = Camera()
    world = crowd(camera, "a", "b", "c", "d", "e")
    await world.engine.tick()
    assert {uid for _, uid in world.changes()} == {request.pod.uid for request in camera.asked}
    assert len(world.changes()) == len(camera.asked) == 5
    assert camera.changes_before == [0] * 5
    assert all(report.status.evidence is not None for report in world.reports)


async def test_an_action_never_follows_a_judgement_that_a_long_capture_made_old() -> None:
    """Readings from before a capture that hung are out of date; the next tick has new ones."""
    camera = Camera([FAILED], seconds=130)
    world = scene(camera)
    await world.engine.tick()
    assert len(camera.asked) == 1
    assert world.changes() == []
    skipped = world.status.workloads[0].skipped
    assert skipped is not None
    assert skipped.reasons == ["ClusterNotSynced"]
    assert "judged again" in skipped.message
    world.levels(api_1=50, api_2=50, api_3=50)
    await world.later(5)
    assert world.changes() == [], "it had recovered meanwhile"


async def test_and_is_taken_in_the_next_tick_where_the_pod_still_leaks() -> None:
    world = scene(Camera([FAILED], seconds=130))
    await world.engine.tick()
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later(5)
    assert world.changes() == [("evict", "uid-api-1")]


async def test_one_other_pod_a_tick_is_captured_and_one_of_a_deployment_within_the_cooldown() -> None:
    camera = Camera()
    world = scene(camera, {"signals": enforcing()["signals"]}, cooldown="2m")
    world.levels(api_1=950, api_2=940, api_3=930)
    await world.engine.tick()
    assert len(camera.asked) == 1
    await world.later(60)
    assert len(camera.asked) == 1
    await world.later(60)
    assert len(camera.asked) == 2
    for _ in range(6):
        await world.later(60)
    assert {request.pod.name for request in camera.asked} == {"api-1", "api-2", "api-3"}
    assert len(camera.asked) == 3


@pytest.mark.parametrize("answer", [FAILED, RuntimeError("a defect")], ids=["failed", "raised"])
async def test_a_capture_that_fails_does_not_stop_the_action(answer: EvidenceStatus | Exception) -> None:
    world = scene(Camera([answer]))
    await world.engine.tick()
    assert world.changes() == [("evict", "uid-api-1")]
    assert world.report.status.evidence is not None
    assert world.report.status.evidence.state is EvidenceState.FAILED
    assert "EvidenceFailed" in world.recorder.reasons("Deployment")


async def test_where_evidence_is_required_the_action_waits_for_it_and_follows_in_the_same_tick() -> None:
    camera = Camera([FAILED])
    world = scene(camera, required=True, cooldown="1m")
    await world.engine.tick()
    assert world.changes() == []
    skipped = world.status.workloads[0].skipped
    assert skipped is not None
    assert skipped.reasons == ["EvidenceMissing"]
    assert "Timeout" in skipped.message
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later(61)
    assert world.changes() == [("evict", "uid-api-1")]
    assert world.report.status.evidence is not None
    assert world.report.status.evidence.state is EvidenceState.CAPTURED


async def test_without_a_profiler_an_action_that_requires_evidence_never_comes() -> None:
    world = scene(None, required=True)
    await world.engine.tick()
    assert world.changes() == []


async def test_where_it_is_disabled_nothing_is_captured_and_the_action_is_taken() -> None:
    camera = Camera()
    world = scene(camera, enabled=False)
    await world.engine.tick()
    assert camera.asked == []
    assert world.changes() == [("evict", "uid-api-1")]
