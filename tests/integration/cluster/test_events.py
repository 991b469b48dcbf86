"""Events report each change once: series instead of repetition, budgets instead of floods, and never an exception."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from leakwarden.adapters.events import BURST, QUEUE, EventRecorder, cut
from leakwarden.engine.ports import Announcement, ObjectRef
from tests.integration.cluster.fake_api_objects import session_to
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault

WEB = ObjectRef("apps/v1", "Deployment", "team", "web", "uid-web")
POD = ObjectRef("v1", "Pod", "team", "web-1-a", "uid-pod")
FOUND = Announcement(WEB, POD, "LeakConfirmed", "Judge", "descriptors 812 of 1024, rising 24/min")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Desk:
    api: FakeApiServer
    recorder: EventRecorder
    clock: Clock

    async def tell(self, *announcements: Announcement) -> None:
        """Announce, and wait until everything is written."""
        await self.recorder.announce(announcements)
        await self.recorder.stop()

    @property
    def events(self) -> list[Any]:
        return self.api.all("events")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with FakeApiServer() as api, session_to(api, tmp_path, timeout=2) as session:
        clock = Clock()
        recorder = EventRecorder(session, "leakwarden-0", clock=clock, wall=lambda: 1_700_000_000.25)
        yield Desk(api, recorder, clock)
        await recorder.stop()


async def test_an_event_is_one_exact_request(desk: Desk) -> None:
    await desk.tell(FOUND)
    [request] = desk.api.requests
    assert (request.method, request.path) == ("POST", "/apis/events.k8s.io/v1/namespaces/team/events")
    name = request.body["metadata"].pop("name")
    assert re.fullmatch(r"web\.[0-9a-f]{16}", name)
    assert request.body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": "team"},
        "eventTime": "2023-11-14T22:13:20.250000Z",
        "reportingController": "leakwarden.dev/operator",
        "reportingInstance": "leakwarden-0",
        "action": "Judge",
        "reason": "LeakConfirmed",
        "regarding": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "namespace": "team",
            "name": "web",
            "uid": "uid-web",
        },
        "related": {"apiVersion": "v1", "kind": "Pod", "namespace": "team", "name": "web-1-a", "uid": "uid-pod"},
        "note": "descriptors 812 of 1024, rising 24/min",
        "type": "Normal",
    }


async def test_the_same_again_continues_the_series_whatever_its_numbers(desk: Desk) -> None:
    await desk.tell(FOUND)
    await desk.tell(replace(FOUND, note="descriptors 903 of 1024, rising 23/min"))
    await desk.tell(replace(FOUND, note="descriptors 1001 of 1024, rising 25/min"))
    [event] = desk.events
    assert event["series"] == {"count": 3, "lastObservedTime": "2023-11-14T22:13:20.250000Z"}
    patches = desk.api.asked("PATCH")
    assert [patch.body["series"]["count"] for patch in patches] == [2, 3]
    assert {patch.content_type for patch in patches} == {"application/merge-patch+json"}
    assert {patch.path for patch in patches} == {
        f"/apis/events.k8s.io/v1/namespaces/team/events/{event['metadata']['name']}"
    }


@pytest.mark.parametrize(
    "other",
    [
        replace(FOUND, reason="LeakSuspected"),
        replace(FOUND, action="Evict"),
        replace(FOUND, related=None),
        replace(FOUND, related=replace(POD, uid="uid-other")),
        replace(FOUND, regarding=replace(WEB, uid="uid-anew")),
        replace(FOUND, warning=True),
    ],
)
async def test_what_differs_in_more_than_its_numbers_is_an_event_of_its_own(desk: Desk, other: Announcement) -> None:
    await desk.tell(FOUND, other)
    assert len(desk.events) == 2
    assert not desk.api.asked("PATCH")


async def test_a_series_ends_after_ten_quiet_minutes(desk: Desk) -> None:
    await desk.tell(FOUND)
    desk.clock.now += 590
    await desk.tell(FOUND)
    desk.clock.now += 610
    await desk.tell(FOUND)
    assert len(desk.events) == 2
    assert len(desk.api.asked("PATCH")) == 1


async def test_a_series_whose_event_expired_in_the_cluster_begins_anew(desk: Desk) -> None:
    await desk.tell(FOUND)
    [event] = desk.events
    desk.api.delete("events", "team", event["metadata"]["name"])
    await desk.tell(FOUND)
    [again] = desk.events
    assert again["metadata"]["name"] != event["metadata"]["name"]
    await desk.tell(FOUND)
    assert desk.events[0]["series"]["count"] == 2


async def test_one_object_cannot_flood_and_the_count_still_comes_out_right(desk: Desk) -> None:
    for _ in range(BURST + 15):
        await desk.recorder.announce([FOUND])
    await desk.recorder.stop(30)
    assert len(desk.api.requests) == BURST
    assert desk.recorder.stats().suppressed == 15
    desk.clock.now += 301
    await desk.tell(FOUND)
    assert desk.events[0]["series"]["count"] == BURST + 16


async def test_a_flood_about_one_object_does_not_silence_another(desk: Desk) -> None:
    await desk.tell(*[FOUND] * (BURST + 5))
    await desk.tell(replace(FOUND, regarding=replace(WEB, name="db", uid="uid-db")))
    assert {event["regarding"]["name"] for event in desk.events} == {"web", "db"}


async def test_what_we_did_is_told_even_where_much_was_told_before(desk: Desk) -> None:
    await desk.tell(*[FOUND] * (BURST + 5))
    await desk.tell(replace(FOUND, reason="PodEvicted", essential=True))
    assert "PodEvicted" in [event["reason"] for event in desk.events]


async def test_a_warning_is_a_warning(desk: Desk) -> None:
    await desk.tell(replace(FOUND, warning=True))
    assert desk.events[0]["type"] == "Warning"


async def test_an_event_about_a_cluster_wide_object_is_kept_in_default(desk: Desk) -> None:
    await desk.tell(replace(FOUND, regarding=ObjectRef("v1", "Node", "", "node-1", "uid-node")))
    [event] = desk.events
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["regarding"]


async def test_what_is_too_long_is_cut_to_what_the_server_takes(desk: Desk) -> None:
    long = Announcement(replace(WEB, name="w" * 253), None, "R" * 200, "A" * 200, "é" * 2000)
    await desk.tell(long)
    [event] = desk.events
    assert len(event["note"].encode()) <= 1024
    assert event["note"].endswith("...")
    assert (len(event["reason"]), len(event["action"])) == (128, 128)
    assert len(event["metadata"]["name"]) <= 253


@pytest.mark.parametrize("text", ["é" * 600, "日" * 600, "a" + "😀" * 400, "x" * 1025])
def test_a_cut_is_never_in_the_middle_of_a_character(text: str) -> None:
    short = cut(text, 1024)
    assert len(short.encode()) <= 1024
    assert text.startswith(short.removesuffix("..."))
    assert len(short.encode()) > 1015


def test_what_fits_is_left_alone() -> None:
    assert cut("é" * 512, 1024) == "é" * 512


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=403), Fault(cut=True), Fault(hang=True)])
async def test_a_lost_event_is_counted_and_stops_nothing(desk: Desk, fault: Fault) -> None:
    desk.api.fail("POST", "events", fault)
    await desk.recorder.announce([FOUND])
    await desk.recorder.announce([replace(FOUND, reason="PodEvicted")])
    await desk.recorder.stop(30)
    assert [event["reason"] for event in desk.events] == ["PodEvicted"]
    assert (desk.recorder.stats().failed, desk.recorder.stats().created) == (1, 1)


async def test_a_cause_is_logged_once_until_something_succeeds(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.api.fail("POST", "events", Fault(status=403, message="secret"), times=3)
    with caplog.at_level(logging.WARNING, "leakwarden.events"):
        await desk.tell(FOUND, FOUND, FOUND)
        assert len(caplog.records) == 1
        await desk.tell(FOUND)
        desk.api.fail("POST", "events", Fault(status=403))
        await desk.tell(replace(FOUND, reason="Other"))
        assert len(caplog.records) == 2
    causes = [record.__dict__["cause"] for record in caplog.records]
    assert all("events.events.k8s.io" in cause and "secret" not in cause for cause in causes)


async def test_the_queue_is_bounded(desk: Desk) -> None:
    desk.api.fail("POST", "events", Fault(hang=True), times=10_000)
    many = [replace(FOUND, regarding=replace(WEB, uid=str(index))) for index in range(QUEUE + 50)]
    await desk.recorder.announce(many)
    assert desk.recorder.stats().waiting <= QUEUE
    assert desk.recorder.stats().dropped == 50
    await desk.recorder.stop(0.01)


async def test_telling_does_not_wait_for_the_server(desk: Desk) -> None:
    desk.api.fail("POST", "events", Fault(hang=True))
    await desk.recorder.announce([FOUND])
    assert desk.recorder.stats().waiting == 1
    assert not desk.events


async def test_what_cannot_be_written_at_all_does_not_stop_what_follows(desk: Desk) -> None:
    not_text: Any = b"bytes"
    await desk.tell(replace(FOUND, note=not_text), replace(FOUND, reason="PodEvicted"))
    assert [event["reason"] for event in desk.events] == ["PodEvicted"]
    assert desk.recorder.stats().failed == 1
