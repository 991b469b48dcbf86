"""An API server that keeps versions of Leases, a clock that can be ahead, and contenders without real waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from leakwarden.adapters.cluster import Session
from leakwarden.adapters.cluster.lease import LeaseElection
from leakwarden.core.election import Timing
from tests.integration.cluster.fake_api_answers import Json, status
from tests.integration.cluster.fake_api_objects import eventually
from tests.integration.cluster.fake_api_server import FakeApiServer

NOON = 1_790_000_000.25  # 2026-09-21T14:13:20.25Z
MICRO_TIME = "2026-09-21T14:13:20.250000Z"


class LeaseServer(FakeApiServer):
    """A PUT replaces the object if its version is the one sent, as on the real server."""

    async def _answer(self, request: web.Request, body: Any) -> web.StreamResponse:
        if request.method != "PUT":
            return await super()._answer(request, body)
        meta = body["metadata"]
        stored = self.get("leases", meta["namespace"], meta["name"])
        if stored is None:
            return status(404, "not found", "NotFound")
        if meta["resourceVersion"] != stored["metadata"]["resourceVersion"]:
            return status(409, "the object has been modified", "Conflict")
        return web.json_response(self.put("leases", body))


@dataclass
class Clock:
    """True time, plus the time that a test adds; requests take their own time."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead


@dataclass
class Scene:
    api: LeaseServer
    session: Session
    clock: Clock = field(default_factory=Clock)
    wall: float = NOON
    tasks: list[asyncio.Task[str]] = field(default_factory=list)

    def election(self, identity: str = "me", clock: Clock | None = None) -> LeaseElection:
        # Often enough for a test that does not wait, with deadlines that a slow machine keeps.
        return LeaseElection(
            self.session,
            "system",
            "leakwarden",
            identity,
            Timing(15.0, 10.0, 0.05),
            clock=clock or self.clock,
            wall=lambda: self.wall,
            chance=lambda: 0.5,
        )

    def run(self, election: LeaseElection) -> asyncio.Task[str]:
        task = asyncio.create_task(election.run())
        self.tasks.append(task)
        return task

    async def leader(self, identity: str = "me") -> tuple[LeaseElection, asyncio.Task[str]]:
        """A leading contender, from a Lease that was released."""
        self.put(holder="", transitions=3)
        election = self.election(identity)
        task = self.run(election)
        await asyncio.wait_for(election.leading.wait(), 20)
        return election, task

    def put(self, holder: str, transitions: int = 3, **spec: Any) -> Json:
        return self.api.put(
            "leases",
            {
                "metadata": {"name": "leakwarden", "namespace": "system", "labels": {"team": "sre"},
                             "managedFields": [{"manager": "someone"}]},
                "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": transitions,
                         "acquireTime": "2020-01-01T00:00:00.000000Z", "renewTime": "2020-01-01T00:00:00.000000Z",
                         **spec},
            },
        )  # fmt: skip

    @property
    def spec(self) -> Json:
        lease = self.api.get("leases", "system", "leakwarden")
        assert lease is not None
        found: Json = lease["spec"]
        return found

    async def renewed(self, times: int = 2) -> None:
        before = len(self.api.asked("PUT"))
        await eventually(lambda: len(self.api.asked("PUT")) >= before + times)
