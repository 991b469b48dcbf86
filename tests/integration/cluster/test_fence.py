"""The fence: no change is begun without leadership, and none goes on after it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from leakwarden.adapters.cluster import ApiCluster
from leakwarden.adapters.cluster.fence import LEAST_TIME, Fence, FencedCluster, LeadershipLost, NotLeading
from leakwarden.adapters.events import EventRecorder
from leakwarden.core.model.workload import Pod
from leakwarden.engine.ports import (
    CLUSTER_READS,
    Announcement,
    Attempt,
    Cluster,
    ClusterUnavailable,
    ObjectRef,
    Outcome,
)
from tests.integration.cluster.fake_api_objects import eventually, service, session_to
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault
from tests.integration.cluster.lease_scene import Clock


@dataclass
class Guarded:
    api: FakeApiServer
    cluster: FencedCluster
    fence: Fence
    clock: Clock
    pod: Pod

    def lead(self, seconds: float = 10.0) -> None:
        self.fence.set(self.clock(), self.clock() + seconds)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    async with FakeApiServer() as api, session_to(api, tmp_path, timeout=20) as session:
        service(api)
        plain = ApiCluster(session)
        await plain.start()
        assert await plain.wait_synced(20)
        view = plain.snapshot()
        [pods] = view.pods_by_workload.values()
        await plain.stop()
        clock = Clock()
        fence = Fence(clock)
        yield Guarded(api, FencedCluster(plain, fence), fence, clock, pods[0])


async def test_without_leadership_nothing_is_sent(guarded: Guarded) -> None:
    cluster = guarded.cluster
    [workload] = cluster.snapshot().workloads.values()
    for attempt in (
        await cluster.evict(guarded.pod),
        await cluster.scale(workload, 5),
        await cluster.restart_rollout(workload, "2026-01-01T00:00:00Z"),
    ):
        assert attempt.outcome is Outcome.FAILED
        assert "does not lead" in attempt.message
    with pytest.raises(NotLeading):
        await cluster.write_status("team", "p", "uid", "1", {})
    assert guarded.api.asked("POST") + guarded.api.asked("PATCH") + guarded.api.asked("DELETE") == []


async def test_with_leadership_changes_pass(guarded: Guarded) -> None:
    guarded.lead()
    assert (await guarded.cluster.evict(guarded.pod)).outcome is Outcome.DONE


async def test_reading_needs_no_leadership(guarded: Guarded) -> None:
    assert guarded.cluster.snapshot().workloads
    assert await guarded.cluster.disruption_budgets(guarded.pod) == ()


async def test_leadership_that_ran_out_unnoticed_lets_nothing_pass(guarded: Guarded) -> None:
    guarded.lead(10)
    guarded.clock.ahead += 30
    assert (await guarded.cluster.evict(guarded.pod)).outcome is Outcome.FAILED
    assert guarded.api.asked("POST") == []


async def test_a_change_is_not_begun_in_the_last_moment(guarded: Guarded) -> None:
    guarded.lead(LEAST_TIME / 2)
    assert guarded.fence.holds()
    assert (await guarded.cluster.evict(guarded.pod)).outcome is Outcome.FAILED
    assert guarded.api.asked("POST") == []


async def test_a_change_under_way_is_given_up_when_leadership_runs_out(guarded: Guarded) -> None:
    guarded.api.fail("POST", "eviction", Fault(hang=True))
    guarded.lead(LEAST_TIME * 1.2)
    attempt = await asyncio.wait_for(guarded.cluster.evict(guarded.pod), 20)
    assert attempt.outcome is Outcome.UNKNOWN
    assert "not known" in attempt.message


async def test_a_change_under_way_is_given_up_when_the_fence_falls(guarded: Guarded) -> None:
    guarded.api.fail("PATCH", "status", Fault(hang=True))
    guarded.lead()
    writing = asyncio.create_task(guarded.cluster.write_status("team", "p", "uid", "1", {}))
    await eventually(lambda: guarded.api.asked("PATCH") != [])
    guarded.fence.lower()
    with pytest.raises(LeadershipLost):
        await asyncio.wait_for(writing, 20)


async def test_a_renewal_gives_a_change_under_way_more_time(guarded: Guarded) -> None:
    guarded.api.fail("POST", "eviction", Fault(delay=LEAST_TIME * 2))
    guarded.lead(LEAST_TIME * 1.5)
    evicting = asyncio.create_task(guarded.cluster.evict(guarded.pod))
    await eventually(lambda: guarded.api.asked("POST") != [])
    guarded.lead(60)
    assert (await asyncio.wait_for(evicting, 20)).outcome is Outcome.DONE


async def test_other_timeouts_stay_what_they_are(guarded: Guarded) -> None:
    class Slow:
        async def write_status(self, *_: Any) -> str:
            raise TimeoutError

    guarded.lead()
    with pytest.raises(TimeoutError):
        await FencedCluster(Slow(), guarded.fence).write_status("a", "b", "c", "d", {})  # type: ignore[arg-type]


class Spy:
    """Any method of a Cluster: the call is recorded, and nothing else happens."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def note(*_: Any, **__: Any) -> Any:
            self.called.append(name)
            answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            answer.set_result("1")
            return answer

        return note


METHODS = sorted(name for name in vars(Cluster) if not name.startswith("_"))


def test_what_only_reads_is_a_method_of_the_cluster() -> None:
    assert set(METHODS) > CLUSTER_READS


@pytest.mark.parametrize("name", METHODS)
async def test_every_method_of_the_cluster_that_is_not_known_to_read_passes_the_fence(name: str) -> None:
    spy, clock = Spy(), Clock()
    fence = Fence(clock)
    method = getattr(FencedCluster(cast("Cluster", spy), fence), name)
    arguments = [object() for parameter in list(inspect.signature(method).parameters)]

    async def call() -> Any:
        answer = method(*arguments)
        return await answer if inspect.isawaitable(answer) else answer

    if name in CLUSTER_READS:
        await call()
        assert spy.called == [name]
        return
    try:
        refused = await call()
    except NotLeading:
        pass
    else:
        assert isinstance(refused, Attempt)
        assert refused.outcome is Outcome.FAILED
    assert spy.called == []
    fence.set(clock(), clock() + 60)
    await call()
    assert spy.called == [name]


async def test_events_pass_the_fence_too(guarded: Guarded, tmp_path: Path) -> None:
    told = Announcement(ObjectRef("v1", "Pod", "team", "web", "uid"), None, "Reason", "Action", "note")
    async with session_to(guarded.api, tmp_path) as session:
        recorder = EventRecorder(session, "me", fence=guarded.fence)
        await recorder.announce([told])
        await recorder.stop()
        assert guarded.api.asked("POST") == []
        assert recorder.stats().failed == 1
        guarded.lead()
        await recorder.announce([told])
        await recorder.stop()
        assert len(guarded.api.asked("POST", "/events")) == 1
        guarded.fence.lower()
        await recorder.announce([told])
        await recorder.stop()
        assert guarded.api.asked("PATCH") == [], "a series is not continued either"


def test_the_engine_takes_a_lost_lead_for_a_cluster_that_does_not_answer() -> None:
    assert issubclass(NotLeading, ClusterUnavailable)
    assert issubclass(LeadershipLost, ClusterUnavailable)
