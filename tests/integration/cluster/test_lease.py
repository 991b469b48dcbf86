"""The Lease loop against a server that keeps versions: exact requests, races, lost answers, and an end in time."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from leakwarden.adapters.cluster.lease import LeaseElection, identity_of
from leakwarden.core.election import Timing
from tests.integration.cluster.fake_api_objects import eventually, session_to
from tests.integration.cluster.fake_api_server import Fault
from tests.integration.cluster.lease_scene import MICRO_TIME, NOON, LeaseServer, Scene

LEASES = "/apis/coordination.k8s.io/v1/namespaces/system/leases"
LEASE = f"{LEASES}/leakwarden"


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with LeaseServer() as api, session_to(api, tmp_path, timeout=20) as session:
        made = Scene(api, session)
        yield made
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_a_lease_that_is_absent_is_created_in_our_name_and_led_under_a_duration_later(scene: Scene) -> None:
    election = scene.election()
    scene.run(election)
    await scene.renewed()
    assert not election.fence.holds()
    [request] = scene.api.asked("POST")
    assert (request.path, request.query) == (LEASES, {"fieldManager": "leakwarden"})
    assert request.body == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "leakwarden", "namespace": "system"},
        "spec": {
            "holderIdentity": "me",
            "leaseDurationSeconds": 15,
            "leaseTransitions": 0,
            "acquireTime": MICRO_TIME,
            "renewTime": MICRO_TIME,
        },
    }
    # In steps that a leader survives, as time passes for one.
    for _ in range(2):
        scene.clock.ahead += 8
        await scene.renewed()
    await asyncio.wait_for(election.leading.wait(), 20)
    assert election.fence.holds()
    assert scene.spec["leaseTransitions"] == 0


async def test_taking_over_counts_the_transition_and_keeps_what_others_wrote(scene: Scene) -> None:
    stored = scene.put(holder="", transitions=3, preferredHolder="x")
    version = stored["metadata"]["resourceVersion"]
    election = scene.election()
    scene.run(election)
    await asyncio.wait_for(election.leading.wait(), 20)
    request = scene.api.asked("PUT")[0]
    assert (request.path, request.content_type) == (LEASE, "application/json")
    assert request.body["metadata"] == {
        "name": "leakwarden",
        "namespace": "system",
        "labels": {"team": "sre"},
        "uid": stored["metadata"]["uid"],
        "resourceVersion": version,
    }
    assert request.body["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "leaseTransitions": 4,
        "acquireTime": MICRO_TIME,
        "renewTime": MICRO_TIME,
        "preferredHolder": "x",
    }


async def test_a_renewal_keeps_the_time_of_acquisition_and_the_count(scene: Scene) -> None:
    await scene.leader()
    scene.wall = NOON + 60
    await scene.renewed(3)
    assert scene.api.asked("PUT")[-1].body["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "leaseTransitions": 4,
        "acquireTime": MICRO_TIME,
        "renewTime": "2026-09-21T14:14:20.250000Z",
    }


async def test_a_renewal_asks_once_and_does_not_look_first(scene: Scene) -> None:
    await scene.leader()
    looks = len(scene.api.asked("GET"))
    await scene.renewed(4)
    assert len(scene.api.asked("GET")) == looks


async def test_a_live_leader_is_left_alone_however_old_its_times_look(scene: Scene) -> None:
    scene.put(holder="other")
    election = scene.election()
    scene.run(election)
    for _ in range(4):
        scene.clock.ahead += 10
        scene.put(holder="other")  # renews, with the times of years ago
        looks = len(scene.api.asked("GET"))
        await eventually(lambda looks=looks: len(scene.api.asked("GET")) >= looks + 2)  # type: ignore[misc]
    assert scene.api.asked("PUT") == []
    assert election.holder == "other"


async def test_a_dead_leader_is_followed_when_nothing_changed_for_the_duration(scene: Scene) -> None:
    scene.put(holder="other", renewTime="2099-01-01T00:00:00.000000Z")
    election = scene.election()
    scene.run(election)
    await eventually(lambda: election.holder == "other")
    scene.clock.ahead += 16
    await asyncio.wait_for(election.leading.wait(), 20)
    assert scene.spec["holderIdentity"] == "me"


async def test_of_two_that_race_one_wins_and_the_other_waits(scene: Scene) -> None:
    scene.put(holder="")
    elections = [scene.election("a"), scene.election("b")]
    for election in elections:
        scene.run(election)
    await eventually(lambda: any(election.leading.is_set() for election in elections))
    await scene.renewed(5)
    assert sum(election.fence.holds() for election in elections) == 1
    assert scene.spec["leaseTransitions"] == 4


async def test_a_version_of_someone_else_is_looked_at_before_the_next_write(scene: Scene) -> None:
    election, _ = await scene.leader()
    lease = scene.api.get("leases", "system", "leakwarden")
    assert lease is not None
    looks = len(scene.api.asked("GET"))
    scene.api.put("leases", lease)  # for example a label: a new version in our name
    await eventually(lambda: len(scene.api.asked("GET")) > looks)
    await scene.renewed()
    assert election.fence.holds()


async def test_an_answer_that_is_lost_costs_a_look_and_not_the_lead(scene: Scene) -> None:
    election, task = await scene.leader()
    scene.api.fail("PUT", "leases", Fault(cut=True, after=True))
    looks = len(scene.api.asked("GET"))
    await eventually(lambda: len(scene.api.asked("GET")) > looks)
    await scene.renewed()
    assert election.fence.holds()
    assert not task.done()
    assert scene.spec["leaseTransitions"] == 4


async def test_an_api_server_that_is_down_for_the_deadline_ends_it(scene: Scene) -> None:
    election, task = await scene.leader()
    scene.api.fail("PUT", "leases", Fault(status=503), times=10_000)
    scene.api.fail("GET", "leases", Fault(status=503), times=10_000)
    await eventually(lambda: "503" in election.trouble)
    assert not task.done(), "there is time left"
    scene.clock.ahead += 10
    assert not election.fence.holds(), "before anyone has noticed"
    assert await asyncio.wait_for(task, 20) == "the Lease could not be renewed for 10 s"
    assert not election.leading.is_set()


async def test_an_api_server_that_comes_back_in_time_changes_nothing(scene: Scene) -> None:
    election, task = await scene.leader()
    scene.api.fail("PUT", "leases", Fault(status=500), times=10_000)
    await eventually(lambda: "500" in election.trouble)
    scene.clock.ahead += 5
    scene.api.recover()
    await scene.renewed()
    await eventually(lambda: election.trouble == "")
    scene.clock.ahead += 8
    assert election.fence.holds()
    assert not task.done()


async def test_a_leader_that_slept_changes_nothing_when_it_wakes(scene: Scene) -> None:
    election, task = await scene.leader()
    await scene.renewed()
    writes = len(scene.api.asked("PUT"))
    scene.clock.ahead += 30
    scene.put(holder="other")
    await asyncio.wait_for(task, 20)
    # One renewal may have been on its way when it fell asleep.
    assert len(scene.api.asked("PUT")) <= writes + 1
    assert scene.spec["holderIdentity"] == "other"
    assert not election.fence.holds()


async def test_a_leader_whose_lease_another_holds_stops(scene: Scene) -> None:
    _, task = await scene.leader()
    scene.put(holder="other")
    assert await asyncio.wait_for(task, 20) == "other holds the Lease now"


async def test_a_leader_whose_lease_is_deleted_stops_and_makes_no_new_one(scene: Scene) -> None:
    _, task = await scene.leader()
    scene.api.delete("leases", "system", "leakwarden")
    assert await asyncio.wait_for(task, 20) == "the Lease was deleted"
    assert scene.api.asked("POST") == []


async def test_who_resigns_releases_the_lease_and_the_next_leads_without_waiting(scene: Scene) -> None:
    election, task = await scene.leader()
    successor = scene.election("next")
    scene.run(successor)
    await eventually(lambda: successor.holder == "me")
    election.resign()
    assert not election.fence.holds()
    assert await asyncio.wait_for(task, 20) == ""
    released = [
        request.body["spec"] for request in scene.api.asked("PUT") if not request.body["spec"]["holderIdentity"]
    ]
    assert released == [
        {
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "leaseTransitions": 4,
            "acquireTime": MICRO_TIME,
            "renewTime": MICRO_TIME,
        }
    ]
    await asyncio.wait_for(successor.leading.wait(), 20)
    assert scene.spec["leaseTransitions"] == 5


async def test_who_does_not_lead_releases_nothing(scene: Scene) -> None:
    scene.put(holder="other")
    election = scene.election()
    task = scene.run(election)
    await eventually(lambda: election.holder == "other")
    election.resign()
    assert await asyncio.wait_for(task, 20) == ""
    assert scene.api.asked("PUT") == []


async def test_a_release_finds_the_version_when_the_last_answer_was_lost(scene: Scene) -> None:
    election, task = await scene.leader()
    scene.api.fail("GET", "leases", Fault(status=503), times=10_000)
    scene.api.fail("PUT", "leases", Fault(cut=True, after=True))
    await eventually(lambda: "503" in election.trouble)
    scene.api.recover()
    election.resign()
    assert await asyncio.wait_for(task, 20) == ""
    assert scene.spec["holderIdentity"] == ""


async def test_a_release_that_cannot_be_written_does_not_hold_up_the_end(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    election, task = await scene.leader()
    scene.api.fail("PUT", "leases", Fault(status=503), times=10_000)
    scene.api.fail("GET", "leases", Fault(status=503), times=10_000)
    election.resign()
    assert await asyncio.wait_for(task, 20) == ""
    assert "could not be released" in caplog.text


@pytest.mark.parametrize(
    ("method", "verb"), [("GET", "get"), ("POST", "create"), ("PUT", "update")], ids=["get", "create", "update"]
)
async def test_a_right_that_is_missing_is_named_once(
    scene: Scene, caplog: pytest.LogCaptureFixture, method: str, verb: str
) -> None:
    if method == "PUT":
        scene.put(holder="")
    scene.api.fail(method, "leases", Fault(status=403), times=10_000)
    election = scene.election()
    task = scene.run(election)
    await eventually(lambda: len(scene.api.asked(method)) >= 3)
    expected = f"the operator's account may not {verb} leases.coordination.k8s.io in namespace system (403)"
    assert election.trouble == expected
    assert sum(getattr(record, "cause", "") == expected for record in caplog.records) == 1
    assert not task.done()
    assert not election.fence.holds()


@pytest.mark.parametrize(
    "body",
    ["", "<html>", '{"metadata": {}}', '{"metadata": {"name": "x", "resourceVersion": "1"}, "spec": 7}', "[" * 9999],
)
async def test_an_answer_that_is_no_lease_leads_to_nothing(scene: Scene, body: str) -> None:
    scene.api.fail("GET", "leases", Fault(body=body), times=10_000)
    election = scene.election()
    scene.run(election)
    await eventually(lambda: len(scene.api.asked("GET")) >= 3)
    assert "could not be read" in election.trouble
    assert scene.api.asked("POST") + scene.api.asked("PUT") == []


async def test_a_server_that_answers_conflict_each_time_is_not_asked_in_a_whirl(scene: Scene) -> None:
    scene.put(holder="")
    scene.api.fail("PUT", "leases", Fault(status=409), times=10_000)
    slow = LeaseElection(scene.session, "system", "leakwarden", "me", Timing(15.0, 10.0, 9.0), chance=lambda: 1.0)
    scene.run(slow)
    await eventually(lambda: scene.api.asked("PUT") != [])
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert len(scene.api.asked("PUT")) == 1


async def test_the_times_of_a_lease_are_utc_wherever_the_process_runs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        await scene.leader()
        assert scene.spec["renewTime"] == MICRO_TIME
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_identity_is_the_pods_name_and_something_nobody_else_has() -> None:
    first, second = identity_of("leakwarden-0"), identity_of("leakwarden-0")
    assert first != second
    assert re.fullmatch(r"leakwarden-0_[0-9a-f-]{36}", first)
