"""Evidence is taken before it is destroyed, from one pod a tick, and its failing stops nothing unless it is required."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus
from leakwarden.ports import CaptureRequest
from tests.builders import enforcing
from tests.unit.engine_world import World

SUSPECT = "handler.go:42: response body not closed"


@dataclass
class Camera:
    answers: list[EvidenceStatus | Exception] = field(default_factory=list)
    asked: list[CaptureRequest] = field(default_factory=list)
    world: World | None = None
    changes_before: list[int] = field(default_factory=list)

    async def capture(self, request: CaptureRequest) -> EvidenceStatus:
        self.asked.append(request)
        if self.world is not None:
            self.changes_before.append(len(self.world.changes()))
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


async def test_one_pod_a_tick_is_captured_and_one_of_a_deployment_within_the_cooldown() -> None:
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
