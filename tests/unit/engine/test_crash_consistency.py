"""Killed at every step between a decision and its outcome: nothing is done twice, nothing lost, no budget exceeded.

A run without a crash gives the list of requests; then there are two runs for every request, killed before the request
took effect and after it did. The next operator starts only with the state of the cluster.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from leakwarden.core.model.policy import parse_time
from tests.builders import enforcing
from tests.unit.engine.crash_world import CrashWorld

pytestmark = pytest.mark.slow

COOLDOWN = 300.0  # s
LIFE = 900.0  # s; long enough to handle both leaking pods, with cooldown and verification
REMEDIATION: dict[str, Any] = {
    "cooldown": "5m",
    "podCooldown": "5m",
    "verification": {"settle": "1m", "timeout": "4m"},
}
LADDERS: dict[str, list[dict[str, Any]]] = {
    "EvictPod": [{"type": "EvictPod"}],
    "RolloutRestart": [{"type": "RolloutRestart"}],
    "ScaleOut": [{"type": "ScaleOut", "maxReplicas": 4}],
}


def spec(kind: str) -> dict[str, Any]:
    looking = {"evidence": {"descriptors": {"ephemeralContainer": {"enabled": True}}}} if kind == "EvictPod" else {}
    return {**enforcing(actions=LADDERS[kind], **REMEDIATION), **looking}


async def lived(kind: str, at: int = 0, after: bool = False) -> CrashWorld:
    world = CrashWorld(spec(kind), at, after)
    deaths = await world.live(LIFE)
    assert deaths == (1 if at else 0)
    return world


def _assert_consistent(world: CrashWorld, kind: str) -> None:
    happened = world.cluster.happened
    # Nothing is done twice: no pod evicted twice, one action per cooldown in every case.
    assert len({(what, subject) for _, what, subject in happened if what == "EvictPod"}) == len(
        [each for each in happened if each[1] == "EvictPod"]
    )
    times = [at for at, _, _ in happened]
    assert all(later - earlier >= COOLDOWN for earlier, later in pairwise(times))
    # Nothing is lost: every change has its record, written before the change.
    records = [record for report in world.reports for record in report.status.actions]
    for at, what, subject in happened:
        mine = [r for r in records if r.type == what and subject in (r.pod_uid, r.workload_uid)]
        assert any(parse_time(record.intended_at) <= at for record in mine), (what, subject)
    # No pod was looked into twice, or without a record of it.
    assert len(set(world.cluster.looked)) == len(world.cluster.looked)
    readers = {r.spec.pod.uid: r.status.evidence.descriptor_reader for r in world.reports if r.status.evidence}
    assert all(readers.get(uid) is not None for uid in world.cluster.looked)
    # No record is unfinished, and each pod has at most one open report.
    assert [record.phase for record in records if record.phase == "Pending"] == []
    assert [report.name for report in world.reports if report.status.phase == "Remediating"] == []
    open_pods = [report.spec.pod.uid for report in world.reports if not report.ended]
    assert len(open_pods) == len(set(open_pods))
    # All due actions were done, with and without a crash.
    if kind == "EvictPod":
        assert {subject for _, _, subject in happened} == {"uid-api-1", "uid-api-2"}
        assert set(world.cluster.looked) == {"uid-api-1", "uid-api-2"}
        assert all(report.ended for report in world.reports)
    else:
        assert len(happened) >= 1
    if kind == "ScaleOut":
        assert world.cluster.deployment.replicas == 4


@pytest.mark.parametrize("kind", LADDERS)
async def test_a_life_without_a_crash_does_each_thing_once_and_writes_around_it(kind: str) -> None:
    world = await lived(kind)
    assert world.dying is not None
    requests = world.dying.requests
    verb = {"EvictPod": "evict", "RolloutRestart": "restart", "ScaleOut": "scale"}[kind]
    for index, request in enumerate(requests):
        if request == verb:
            assert requests[index - 1] == "report Remediating"
            assert requests[index + 1] == "report Verifying"
    assert requests.index("create") < requests.index(verb)
    for index, request in enumerate(requests):
        if request == "look":
            assert [requests[index - 1], requests[index + 1]] == ["report Detected", "report Detected"]
    _assert_consistent(world, kind)


@pytest.mark.parametrize("kind", LADDERS)
@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
async def test_killed_at_any_request_the_next_operator_neither_repeats_nor_forgets(kind: str, after: bool) -> None:
    world = await lived(kind)
    assert world.dying is not None
    count = len(world.dying.requests)
    assert count >= 5
    for at in range(1, count + 1):
        killed = await lived(kind, at, after)
        assert killed.dying is not None
        try:
            _assert_consistent(killed, kind)
        except AssertionError as error:
            step = killed.dying.requests[at - 1]
            raise AssertionError(f"killed {'after' if after else 'before'} request {at}, {step}: {error}") from error


@pytest.mark.parametrize("kind", LADDERS)
async def test_killed_again_and_again_it_still_does_each_thing_once(kind: str) -> None:
    for first in range(1, 8):
        world = CrashWorld(spec(kind), first, after=True)
        assert world.dying is not None
        for second in (1, 2, 3):
            await world.live(60)
            world.dying.at = len(world.dying.requests) + second
        world.dying.at = 0
        await world.live(LIFE)
        _assert_consistent(world, kind)
