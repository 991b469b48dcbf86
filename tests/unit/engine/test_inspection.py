"""A pod is looked into once per episode, right before an action that no guard objects to, and never without a
record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from leakwarden.api.v1alpha1.evidence_reasons import DescriptorReason
from leakwarden.api.v1alpha1.evidence_status import DescriptorReaderStatus, EvidenceState, EvidenceStatus, SuspectStatus
from leakwarden.core.descriptors.census import Census
from leakwarden.core.guards.limits import Limits
from leakwarden.core.model.policy import parse_policy
from leakwarden.core.model.workload import Pod
from leakwarden.core.records.place import Places
from leakwarden.engine.guard_context import GuardContext
from leakwarden.engine.ports import (
    READER_CONTAINER,
    Attempt,
    ClusterUnavailable,
    DescriptorsFound,
    Outcome,
    StatusConflict,
)
from tests.builders import body, enforcing, pod, snapshot, workload
from tests.unit.engine.engine_world import World
from tests.unit.engine.test_capture import FAILED, Camera

CENSUS = Census(
    1,
    1,
    171,
    whole=True,
    kinds={"tcp CLOSE_WAIT": 148, "tcp ESTABLISHED": 13, "file": 10},
    ends=(("CLOSE_WAIT", "10.0.0.9:80", 148),),
)
SEEN = "161 sockets, 148 in CLOSE_WAIT to 10.0.0.9:80"
BODY = SuspectStatus(shape="ResponseBodyNotClosed", function="main.f", confidence="High", explanation="Seen.")
CAPTURED = EvidenceStatus(state=EvidenceState.CAPTURED, summary="main.f (a.go:1)", suspects=[BODY])


@dataclass
class Lens:
    """A reader with a given answer, which records the changes and writes until then."""

    world: World
    answers: list[DescriptorsFound | Exception] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    changes_before: list[int] = field(default_factory=list)
    held: list[DescriptorReaderStatus | None] = field(default_factory=list)

    async def read(self, pod: Pod, container: str, report: str) -> DescriptorsFound:
        self.asked.append((pod.uid, container, report))
        self.changes_before.append(len(self.world.changes()))
        evidence = self.world.report.status.evidence
        self.held.append(evidence.descriptor_reader if evidence else None)
        answer = self.answers.pop(0) if self.answers else DescriptorsFound("app", CENSUS)
        if isinstance(answer, Exception):
            raise answer
        return answer


ASKED = {"descriptors": {"ephemeralContainer": {"enabled": True}}}


def scene(
    spec: dict[str, Any] | None = None, camera: Camera | None = None, evidence: dict[str, Any] | None = None
) -> tuple[World, Lens]:
    chosen = {**(spec or enforcing()), "evidence": {**ASKED, **(evidence or {})}}
    world = World(spec=chosen, profiler=camera or Camera([CAPTURED]))
    lens = Lens(world)
    world.descriptor_reader = lens
    world.engine = world.fresh_engine()
    return world, lens


def evidence_of(world: World) -> EvidenceStatus:
    found = world.report.status.evidence
    assert found is not None
    return found


def reader_of(world: World) -> DescriptorReaderStatus:
    found = evidence_of(world).descriptor_reader
    assert found is not None
    return found


async def test_the_intent_is_on_record_before_the_pod_is_looked_into_and_the_answer_before_it_is_evicted() -> None:
    world, lens = scene()
    await world.engine.tick()
    assert lens.asked == [("uid-api-1", "app", world.report.key)]
    assert lens.changes_before == [0]
    (intent,) = lens.held
    assert intent is not None
    assert (intent.container, intent.finished_at, intent.reason) == (READER_CONTAINER, None, "")
    assert world.changes() == [("evict", "uid-api-1")]
    found = evidence_of(world)
    assert found.descriptors[0] == "148 sockets in CLOSE_WAIT: 148 to 10.0.0.9:80"
    assert found.summary == f"main.f (a.go:1); {SEEN}"
    assert found.suspects[0].explanation == "Seen. Open sockets: 148 in CLOSE_WAIT to 10.0.0.9:80."
    assert (found.state, reader_of(world).target, reader_of(world).reason) == (EvidenceState.CAPTURED, "app", "")
    assert reader_of(world).finished_at is not None
    evictions = [number for number, written in enumerate(world.cluster.written) if written["phase"] == "Remediating"]
    assert "descriptors" in world.cluster.written[evictions[0] - 1]["evidence"]
    assert any(SEEN in note for note in world.recorder.notes("PodEvicted"))


@pytest.mark.parametrize(
    "spec",
    [
        {**enforcing(), "mode": "Observe"},
        {**enforcing(), "suspend": True},
        {**enforcing(), "pauseRequests": [{"name": "jo", "reason": "release"}]},
        {**enforcing(), "maintenance": {"deny": [{}]}},
    ],
    ids=["observing", "suspended", "paused", "outside-maintenance"],
)
async def test_where_a_guard_says_no_no_pod_is_changed(spec: dict[str, Any]) -> None:
    world, lens = scene(spec)
    await world.engine.tick()
    assert lens.asked == []
    assert evidence_of(world).descriptor_reader is None
    assert evidence_of(world).summary == "main.f (a.go:1)"


@pytest.mark.parametrize(
    "evidence",
    [{"descriptors": {}}, {"descriptors": {"ephemeralContainer": {"enabled": False}}}, {"enabled": False}],
)
async def test_it_is_off_unless_a_policy_asks_for_it(evidence: dict[str, Any]) -> None:
    world, lens = scene(evidence=evidence)
    await world.engine.tick()
    assert lens.asked == []
    assert world.changes() == [("evict", "uid-api-1")]


async def test_an_installation_that_does_not_allow_it_is_told_and_acts_all_the_same() -> None:
    world, _ = scene()
    world.descriptor_reader = None
    world.engine = world.fresh_engine()
    await world.engine.tick()
    assert reader_of(world).reason == "NotAllowed"
    assert reader_of(world).container == ""
    assert evidence_of(world).descriptors == []
    assert world.changes() == [("evict", "uid-api-1")]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (DescriptorsFound("app", None, DescriptorReason.DENIED, "the kernel says no"), "Denied"),
        (RuntimeError("a defect"), "Defect"),
    ],
)
async def test_that_it_failed_is_recorded_with_its_reason_and_stops_nothing(
    answer: DescriptorsFound | Exception, reason: str
) -> None:
    world, lens = scene()
    lens.answers = [answer]
    await world.engine.tick()
    assert reader_of(world).reason == reason
    assert reader_of(world).finished_at is not None
    assert evidence_of(world).descriptors == []
    assert evidence_of(world).summary == "main.f (a.go:1)"
    assert world.changes() == [("evict", "uid-api-1")]


@pytest.mark.parametrize("error", [StatusConflict("changed"), ClusterUnavailable("away")])
async def test_what_cannot_be_recorded_is_not_done(error: Exception) -> None:
    world, lens = scene(evidence={**ASKED, "cooldown": "10m"})
    await world.engine._episodes.gather(Places({}, {}, {}))
    real = world.cluster.write_report_status

    async def refusing(report: Any, status: Any) -> str:
        if "descriptorReader" in status.get("evidence", {}):
            raise error
        return await real(report, status)

    world.cluster.write_report_status = refusing  # type: ignore[method-assign]
    await world.engine.tick()
    assert lens.asked == []


async def test_a_pod_is_looked_into_once_an_episode_even_if_its_eviction_is_not_done() -> None:
    world, lens = scene(enforcing(cooldown="1m", podCooldown="1m"))
    world.cluster.outcome = Attempt(Outcome.BLOCKED, "a budget")
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.engine.tick()
    for _ in range(20):
        await world.later(60)
    assert len(world.changes()) > 1
    assert len(lens.asked) == 1


async def test_an_operator_that_was_killed_meanwhile_asks_for_the_answer_again() -> None:
    """The intent is on record without an outcome: the container may be there, and the reader can find it."""
    world, lens = scene()

    class Killed(BaseException):
        pass

    class Dying:
        async def read(self, *_: Any) -> DescriptorsFound:
            raise Killed

    world.descriptor_reader = Dying()
    world.engine = world.fresh_engine()
    with pytest.raises(Killed):
        await world.engine.tick()
    assert reader_of(world).finished_at is None
    world.descriptor_reader = lens
    world.engine = world.fresh_engine()
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later(30)
    assert len(lens.asked) == 1
    assert evidence_of(world).descriptors
    assert world.changes() == [("evict", "uid-api-1")]


async def test_a_policy_that_was_edited_while_profiles_were_taken_is_not_acted_for() -> None:
    world, lens = scene()
    world.cluster.generation = 2
    await world.engine.tick()
    assert lens.asked == []
    assert world.changes() == []


async def test_where_evidence_is_required_the_pod_is_looked_into_in_the_tick_that_captures() -> None:
    world, lens = scene(evidence={"required": True})
    await world.engine.tick()
    assert len(lens.asked) == 1
    assert world.changes() == [("evict", "uid-api-1")]


async def test_descriptors_stay_when_profiles_are_tried_again_and_speak_where_those_failed() -> None:
    camera = Camera([FAILED, FAILED, CAPTURED])
    world, _ = scene(enforcing(cooldown="1h"), camera, {"cooldown": "1m"})
    world.cluster.outcome = Attempt(Outcome.BLOCKED, "a budget")
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.engine.tick()
    assert evidence_of(world).summary == SEEN
    assert any(SEEN in note for note in world.recorder.notes("EvidenceCaptured"))
    for _ in range(4):
        await world.later(61)
    assert evidence_of(world).state is EvidenceState.CAPTURED
    assert evidence_of(world).descriptors
    assert reader_of(world).target == "app"


async def test_a_person_is_told_of_the_descriptors_too_but_not_against_a_silence_or_a_window() -> None:
    only_calls = enforcing(actions=[{"type": "Escalate"}])
    world, lens = scene(only_calls)
    await world.engine.tick()
    assert len(lens.asked) == 1
    closed: dict[str, Any] = {"deny": [{}]}
    world, lens = scene({**only_calls, "maintenance": closed})
    await world.engine.tick()
    assert lens.asked == []
    assert [action.type for action in world.report.status.actions] == ["Escalate"], (
        "calling a person is free at any time"
    )


async def test_a_pod_of_several_containers_leaves_the_choice_to_the_reader() -> None:
    world, lens = scene()
    two = (*world.pods[0].containers, replace(world.pods[0].containers[0], name="proxy"))
    pods = [replace(each, containers=two) for each in world.pods]
    world.cluster.world = replace(world.cluster.world, pods_by_workload={"uid-api": tuple(pods)})
    await world.engine.tick()
    assert [container for _, container, _ in lens.asked] == [""]


def test_a_policy_says_it_in_full_or_not_at_all() -> None:
    wrong = parse_policy(body(spec={"evidence": {"descriptors": {"ephemeralContainers": {"enabled": True}}}}))
    assert "spec.evidence.descriptors.ephemeralContainers" in wrong.error


async def test_a_pod_that_may_not_be_looked_into_does_not_stand_before_the_next() -> None:
    """One lacks the required evidence in every tick; the other is due."""
    spec = {**enforcing(), "evidence": {**ASKED, "required": True}}
    world = World(spec=spec, profiler=Camera([FAILED, CAPTURED]))
    world.descriptor_reader = lens = Lens(world)
    world.engine = world.fresh_engine()
    wide = Limits(max_concurrent=100, namespace_actions=1000, cluster_actions=1000, storm_enabled=False)
    world.engine.guard_context = GuardContext(lambda _: "none is asked", limits=wide)
    pods = [pod(f"{name}-{n}", owner=name) for name in ("a", "b") for n in (1, 2, 3)]
    world.cluster.world = snapshot([workload("a"), workload("b")], pods)
    world.levels(a_1=950, a_2=50, a_3=50, b_1=950, b_2=50, b_3=50)
    await world.engine.tick()
    assert [uid for uid, _, _ in lens.asked] == ["uid-b-1"]
    assert world.changes() == [("evict", "uid-b-1")]
