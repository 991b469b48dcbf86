"""What the operator sees in the pressed week, in a process of its own: the relay to the API server and the played
Prometheus, and their faults on command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from tests.bench.scale.live import NOT_EXPORTED, NOTHING, LiveReadings
from tests.bench.scale.pressed import PressedClock
from tests.bench.scale.relay import Relay

SLOW = 1.5  # s that a slow Prometheus takes longer for each answer
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class Plan:
    """Sent to the process once. `leaking` are names of Deployments."""

    server: str
    certificates: Path
    clock: Path
    leaking: frozenset[str]


class PlayedPrometheus:
    """`fault`: "", "errors" (500), or "slow". While it is stopped its port is closed and nothing is sampled."""

    def __init__(self, readings: LiveReadings, clock: PressedClock) -> None:
        self._readings = readings
        self._clock = clock
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._stopped_at: float | None = None
        self.fault = ""
        self.queries = 0
        self.refused = 0
        self.unknown: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/api/v1/query", self._serve)
        app.router.add_route("*", "/api/v1/query_range", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = int(self._runner.addresses[0][1])
        if self._stopped_at is not None:
            self._readings.gaps.append((self._stopped_at, self._clock.now()))
            self._stopped_at = None

    async def stop(self) -> None:
        self._stopped_at = self._clock.now()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        if request.method == "POST":
            asked |= dict(parse_qsl((await request.read()).decode()))
        self.queries += 1
        if self.fault == "errors":
            self.refused += 1
            return web.Response(status=500, body=b'{"status":"error","errorType":"internal","error":"played"}')
        if self.fault == "slow":
            await asyncio.sleep(SLOW)
        if NOT_EXPORTED.search(asked.get("query", "")):
            kind = b"matrix" if "start" in asked else b"vector"
            return web.Response(body=NOTHING % kind, content_type="application/json")
        read = self._readings.matrix if "start" in asked else self._readings.vector
        try:
            body = await asyncio.to_thread(read, asked)
        except LookupError as error:
            self.unknown.add(str(error))
            return web.Response(status=422, body=b'{"status":"error","errorType":"execution","error":"not played"}')
        return web.Response(body=body, content_type="application/json")


async def _follow(client: aiohttp.ClientSession, server: str, readings: LiveReadings, clock: PressedClock) -> None:
    """Keep the readings' pods those of the API server."""

    def put(item: dict[str, Any]) -> None:
        meta = item["metadata"]
        began = datetime.fromisoformat(meta["creationTimestamp"]).replace(tzinfo=UTC).timestamp()
        workload = meta["labels"].get("app", "")
        readings.put(meta["uid"], meta["namespace"], meta["name"], workload, clock.at(began))

    path = f"{server}/api/v1/pods"
    while True:
        try:
            async with client.get(path, headers={"Accept": _METADATA_LIST}) as answer:
                answer.raise_for_status()
                listed = json.loads(await answer.read())
            for item in listed["items"]:
                put(item)
            readings.keep_only({item["metadata"]["uid"] for item in listed["items"]})
            version = listed["metadata"]["resourceVersion"]
            query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "240"}
            async with client.get(path, params=query, headers={"Accept": _METADATA}) as answer:
                answer.raise_for_status()
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] == "DELETED":
                        readings.drop(event["object"]["metadata"]["uid"])
                    elif event["type"] in ("ADDED", "MODIFIED"):
                        put(event["object"])
                    else:
                        break
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            await asyncio.sleep(0.5)


async def _play(plan: Plan, back: Connection) -> None:
    clock = PressedClock(plan.clock)
    tls = ssl.create_default_context(cafile=str(plan.certificates / "ca.crt"))
    tls.load_cert_chain(plan.certificates / "admin.crt", plan.certificates / "admin.key")
    relay = Relay(plan.server, tls, clock)
    await relay.start()
    readings = LiveReadings(plan.leaking.__contains__, clock.now, time.time())
    prometheus = PlayedPrometheus(readings, clock)
    await prometheus.start()
    following = asyncio.create_task(_follow(relay.client, plan.server, readings, clock))
    back.send((relay.url, prometheus.url))
    try:
        await _obey(back, relay, prometheus, readings, following)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await prometheus.stop()
        await relay.close()


async def _obey(
    back: Connection,
    relay: Relay,
    prometheus: PlayedPrometheus,
    readings: LiveReadings,
    following: asyncio.Task[None],
) -> None:
    """Until the other end of the pipe is closed."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_reader(back.fileno(), told.set)
    while True:
        await told.wait()
        told.clear()
        while back.poll():
            try:
                word = back.recv()
            except EOFError:
                return
            if following.done():
                following.result()
            match word:
                case "stop":
                    await prometheus.stop()
                case "start":
                    await prometheus.start()
                case "expire":
                    await relay.expire_streams()
                case "cut":
                    await relay.cut_streams()
                case "errors" | "slow" | "well":
                    prometheus.fault = "" if word == "well" else word
            back.send(
                {
                    "queries": prometheus.queries,
                    "refused": prometheus.refused,
                    "unknown": sorted(prometheus.unknown),
                    "requests": relay.requests,
                    "evictions": relay.evictions_as_json(),
                    "renewals": relay.renewals,
                    "gaps": readings.gaps,
                }
            )


def _run(plan: Plan, back: Connection) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_play(plan, back))


class Stage:
    """The parent's end. Every command is answered with the counts so far."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self.api, self.prometheus = pipe.recv()

    def tell(self, word: str) -> dict[str, Any]:
        """One of stop, start, errors, slow, well, expire, cut, counts."""
        self._pipe.send(word)
        counts: dict[str, Any] = self._pipe.recv()
        return counts


@contextmanager
def staged(plan: Plan) -> Iterator[Stage]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(plan, there), daemon=True)
    process.start()
    there.close()
    try:
        yield Stage(here)
    finally:
        here.close()
        process.terminate()
        process.join()
