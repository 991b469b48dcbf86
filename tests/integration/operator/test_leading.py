"""Two operators as processes with one API server: one acts, the other waits, and nothing is done twice."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.integration.cluster.fake_api_server import Fault, Request
from tests.integration.cluster.lease_scene import LeaseServer
from tests.integration.operator.test_operator import condition, operator, readings, until, world
from tests.integration.prometheus.fake_prometheus import FakePrometheus, prometheus

pytestmark = pytest.mark.slow

EVICTION, LEASE = "/eviction", "/leases/leakwarden"
PATIENCE = 60.0


@dataclass
class Replica:
    name: str
    process: asyncio.subprocess.Process
    port: int

    async def get(self, path: str) -> tuple[int, str]:
        """0 while nothing listens."""
        try:
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientConnectionError:
            return 0, ""

    async def ready(self) -> bool:
        return (await self.get("/readyz"))[0] == 200

    async def metric(self, name: str) -> float:
        _, text = await self.get("/metrics")
        [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(line.split()[1])

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


@dataclass
class Stage:
    api: LeaseServer
    source: FakePrometheus
    directory: Path

    @asynccontextmanager
    async def replica(self, name: str) -> AsyncIterator[Replica]:
        """Timed for a test, yet so that a busy machine does not lose the Lease."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (self.directory / name).mkdir()
        async with operator(
            self.directory / name, self.api, self.source,
            LEAKWARDEN_LEADER_ELECTION="true", LEAKWARDEN_LEASE_DURATION="8s", LEAKWARDEN_LEASE_RENEW_DEADLINE="6s",
            LEAKWARDEN_LEASE_RETRY="500ms", LEAKWARDEN_LISTEN=f"127.0.0.1:{port}",
            POD_NAME=name, POD_NAMESPACE="system",
        ) as process:  # fmt: skip
            yield Replica(name, process, port)

    @asynccontextmanager
    async def leader_and_standby(self) -> AsyncIterator[tuple[Replica, Replica]]:
        async with self.replica("first") as first:
            await until(lambda: self.holder == "first", "the first to lead", PATIENCE)
            async with self.replica("second") as second:
                await until_async(second.ready, "the second to be ready")
                yield first, second

    @property
    def holder(self) -> str:
        lease = self.api.get("leases", "system", "leakwarden") or {"spec": {}}
        return str(lease["spec"].get("holderIdentity", "")).partition("_")[0]

    def released(self) -> None:
        """A Lease that an earlier leader released: it can be taken at once."""
        named = {"name": "leakwarden", "namespace": "system"}
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 3}
        self.api.put("leases", {"metadata": named, "spec": spec})

    def leak(self) -> None:
        readings(self.source, {"web-1-0": 190, "web-1-1": 20})

    @property
    def phase(self) -> str:
        """Of the newest action on record; empty while there is none."""
        reports = self.api.all("leakreports")
        return str((reports[-1].get("status", {}).get("actions") or [{}])[0].get("phase", "")) if reports else ""

    @property
    def changes(self) -> list[Request]:
        """The writes, without those of the Lease."""
        return [each for each in self.api.requests if each.method != "GET" and "/leases" not in each.path]


async def until_async(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not await holds():
        assert time.monotonic() < deadline, f"{what} did not happen in {PATIENCE:g} s"
        await asyncio.sleep(0.05)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with LeaseServer() as api, prometheus() as source:
        world(api)
        readings(source, {"web-1-0": 20, "web-1-1": 20})
        made = Stage(api, source, tmp_path)
        made.released()
        yield made


async def test_the_standby_is_ready_and_does_nothing(stage: Stage) -> None:
    async with stage.leader_and_standby() as (leader, standby):
        await until(lambda: condition(stage.api, "Healthy") == ("True", "NoLeak"), "the verdict", PATIENCE)
        stage.leak()
        await until(lambda: stage.phase == "Done", "the action", PATIENCE)
        assert len(stage.api.asked("POST", EVICTION)) == 1
        assert await leader.metric("leakwarden_leader") == 1
        assert await standby.metric("leakwarden_leader") == 0
        assert await standby.metric("leakwarden_tick_duration_seconds_count") == 0
        assert (await standby.get("/healthz"))[0] == 200
        told = {event["reportingInstance"] for event in stage.api.all("events")}
        assert told == {"first"}


async def test_a_leader_killed_in_the_middle_of_an_action_is_followed_and_the_action_not_repeated(
    stage: Stage,
) -> None:
    async with stage.leader_and_standby() as (leader, standby):
        stage.api.fail("POST", EVICTION, Fault(hang=True))
        stage.leak()
        await until(lambda: stage.api.asked("POST", EVICTION), "the attempt", PATIENCE)
        leader.process.kill()
        assert stage.phase == "Pending"
        await until(lambda: stage.holder == "second", "the second to lead", PATIENCE)
        await until(lambda: stage.phase == "Interrupted", "the record to be closed", PATIENCE)
        assert await standby.metric("leakwarden_leader") == 1
        stage.leak()
        asked = len(stage.source.asked)
        await until(lambda: len(stage.source.asked) > asked + 4, "further ticks", PATIENCE)
        assert len(stage.api.asked("POST", EVICTION)) == 1


async def test_a_leader_asked_to_end_finishes_its_action_and_its_record_before_it_lets_the_next_one_lead(
    stage: Stage,
) -> None:
    async with stage.leader_and_standby() as (leader, _):
        stage.api.fail("POST", EVICTION, Fault(delay=2.0))
        stage.leak()
        await until(lambda: stage.api.asked("POST", EVICTION), "the attempt", PATIENCE)
        leader.process.send_signal(signal.SIGTERM)
        assert await leader.ended() == 0
        [released] = [each for each in stage.api.asked("PUT", LEASE) if each.body["spec"]["holderIdentity"] == ""]
        before = stage.api.requests[: stage.api.requests.index(released)]
        [eviction] = [number for number, each in enumerate(before) if each.path.endswith(EVICTION)]
        written = [each.body["status"] for each in before[eviction:] if "/leakreports/" in each.path]
        assert {status["actions"][0]["phase"] for status in written} == {"Done"}
        await until(lambda: stage.holder == "second", "the second to lead", PATIENCE)
        asked = len(stage.source.asked)
        await until(lambda: len(stage.source.asked) > asked + 4, "further ticks", PATIENCE)
        assert len(stage.api.asked("POST", EVICTION)) == 1


async def test_a_leader_that_cannot_renew_gives_up_what_it_does_and_ends_with_1(stage: Stage) -> None:
    async with stage.replica("first") as leader:
        await until(lambda: stage.holder == "first", "it to lead", PATIENCE)
        stage.api.fail("POST", EVICTION, Fault(hang=True))
        stage.leak()
        await until(lambda: stage.api.asked("POST", EVICTION), "the attempt", PATIENCE)
        stage.api.fail("GET", "/leases/", Fault(status=503), times=10_000)
        stage.api.fail("PUT", "/leases/", Fault(status=503), times=10_000)
        written = len(stage.changes)
        assert await leader.ended() == 1
        assert len(stage.changes) == written, "not even an Event"
        assert stage.phase == "Pending", "for the next leader to settle"


async def test_a_new_leader_sees_what_its_predecessor_intended_though_its_watch_is_dead(stage: Stage) -> None:
    async with stage.leader_and_standby() as (leader, standby):
        stage.api.silent |= {"leakreports", "reliabilitypolicies", "pods"}
        stage.api.fail("POST", EVICTION, Fault(hang=True))
        stage.leak()
        await until(lambda: stage.api.asked("POST", EVICTION), "the attempt", PATIENCE)
        leader.process.kill()
        assert stage.phase == "Pending"
        asked = len(stage.source.asked)
        await until(lambda: stage.phase == "Interrupted", "the record to be closed", PATIENCE)
        stage.leak()
        await until(lambda: len(stage.source.asked) > asked + 4, "further ticks", PATIENCE)
        assert await standby.metric("leakwarden_leader") == 1
        assert len(stage.api.asked("POST", EVICTION)) == 1


async def test_without_the_right_to_the_lease_nothing_is_done_and_readyz_names_it(stage: Stage) -> None:
    stage.api.fail("GET", "/leases/", Fault(status=403), times=10_000)
    stage.leak()
    async with stage.replica("first") as replica:

        async def told() -> bool:
            return "may not get leases.coordination.k8s.io" in (await replica.get("/readyz"))[1]

        await until_async(told, "the missing right to be named")
        assert (await replica.get("/healthz"))[0] == 200
        assert stage.changes == []
        replica.process.send_signal(signal.SIGTERM)
        assert await replica.ended() == 0


async def test_a_standby_asked_to_end_leaves_the_lease_alone(stage: Stage) -> None:
    async with stage.leader_and_standby() as (_, standby):
        standby.process.send_signal(signal.SIGTERM)
        assert await standby.ended() == 0
        assert stage.holder == "first"
        renewed = len(stage.api.asked("PUT", LEASE))
        await until(lambda: len(stage.api.asked("PUT", LEASE)) > renewed, "the next renewal", PATIENCE)


async def test_by_hand_no_lease_is_asked_for(tmp_path: Path) -> None:
    async with LeaseServer() as api, prometheus() as source:
        world(api, mode="Observe")
        readings(source, {"web-1-0": 20, "web-1-1": 20})
        async with operator(tmp_path, api, source):
            await until(lambda: condition(api, "Healthy") == ("True", "NoLeak"), "the verdict", PATIENCE)
        assert [each for each in api.requests if "/leases" in each.path] == []
