"""The way from the operator to the real API server, which shows the server's times on the operator's clock.

Times that the API server, its controllers and kwok wrote are shown as the pressed clock had them at that moment; those
that the operator wrote itself are passed as they are. Evictions are noted with what the cluster looked like right
before them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from tests.bench.scale.pressed import PressedClock, stamp

_NOT_PASSED = frozenset(
    {"connection", "content-length", "date", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_TIME = rb'"(%s)":\s?"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z"'
#: Of every object.
_OF_METADATA = re.compile(_TIME % b"creationTimestamp|deletionTimestamp")
#: Of objects whose status others than the operator write.
_OF_OTHERS = re.compile(
    _TIME % b"creationTimestamp|deletionTimestamp|startTime|startedAt|finishedAt|lastTransitionTime|lastUpdateTime"
)
_EVICTION = re.compile(r"/api/v1/namespaces/([^/]+)/pods/([^/]+)/eviction")
_GONE = json.dumps(
    {"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}}
).encode()  # fmt: skip


@dataclass(frozen=True, slots=True)
class Eviction:
    """One that the API server carried out for the operator. `at` is the machine's epoch s, `on_clock` the operator's;
    `ready` are the pods of the workload that were ready and stayed, before it."""

    at: float
    on_clock: float
    namespace: str
    pod: str
    workload: str
    ready: int
    replicas: int


def shifted(body: bytes, path: str, at: Callable[[float], float]) -> bytes:
    """The body with the server's times put on the other clock."""
    ours = "leakwarden.dev" in path or "/events" in path or "/leases" in path

    def put(found: re.Match[bytes]) -> bytes:
        real = datetime.fromisoformat(found[2].decode()).replace(tzinfo=UTC).timestamp()
        return b'"%s":"%s"' % (found[1], stamp(at(real)).encode())

    return (_OF_METADATA if ours else _OF_OTHERS).sub(put, body)


class Relay:
    """`upstream` is the API server, `tls` has the administrator's certificate."""

    def __init__(self, upstream: str, tls: ssl.SSLContext, clock: PressedClock) -> None:
        self._upstream = URL(upstream)
        self._tls = tls
        self._clock = clock
        self._streams: set[asyncio.Future[bytes]] = set()
        self.evictions: list[Eviction] = []
        self.requests = 0
        self.renewals: list[float] = []  # the machine's epoch s of each write of the Lease that succeeded
        self.url = ""

    async def start(self) -> None:
        self.client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},  # bodies that can be read here
        )
        application = web.Application(client_max_size=64 << 20)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])

    async def close(self) -> None:
        await self.end_streams(b"")
        await self._runner.cleanup()
        await self.client.close()

    async def cut_streams(self) -> int:
        """End every watch in the middle; returns how many there were."""
        return await self.end_streams(b"")

    async def expire_streams(self) -> int:
        """End every watch with the event that says its version is too old (410)."""
        return await self.end_streams(_GONE + b"\n")

    async def end_streams(self, last: bytes) -> int:
        streams = [each for each in self._streams if not each.done()]
        for each in streams:
            each.set_result(last)
        await asyncio.sleep(0)
        return len(streams)

    def evictions_as_json(self) -> list[dict[str, Any]]:
        return [asdict(each) for each in self.evictions]

    def _headers(self, response: aiohttp.ClientResponse) -> dict[str, str]:
        passed = {name: value for name, value in response.headers.items() if name.lower() not in _NOT_PASSED}
        passed["Date"] = format_datetime(datetime.fromtimestamp(self._clock.now(), UTC), usegmt=True)
        return passed

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED}
        headers.pop("Accept-Encoding", None)
        evicting = _EVICTION.fullmatch(request.path) if request.method == "POST" else None
        try:
            before = await self._around(evicting[1], evicting[2]) if evicting else None
            async with self.client.request(
                request.method,
                self._upstream.with_path(request.path),
                params=request.query,
                data=body or None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                if request.query.get("watch") in ("true", "1") and response.status == 200:
                    return await self._stream(request, response)
                answered = await response.read()
                if before is not None and response.status == 201:
                    self.evictions.append(before)
                if "/leases/" in request.path and request.method == "PUT" and response.status == 200:
                    self.renewals.append(time.time())
                return web.Response(
                    status=response.status,
                    body=shifted(answered, request.path, self._clock.at),
                    headers=self._headers(response),
                )
        except (aiohttp.ClientError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)

    async def _around(self, namespace: str, pod: str) -> Eviction:
        workload = pod.rsplit("-", 2)[0]
        pods = await self._get(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": f"app={workload}"})
        ready = [each for each in pods["items"] if is_serving(each)]
        owner = await self._get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{workload}", {})
        replicas = int(owner["spec"]["replicas"])
        return Eviction(time.time(), self._clock.now(), namespace, pod, workload, len(ready), replicas)

    async def _get(self, path: str, query: dict[str, str]) -> Any:
        async with self.client.get(self._upstream.with_path(path), params=query) as response:
            return json.loads(await response.read())

    async def _stream(self, request: web.Request, response: aiohttp.ClientResponse) -> web.StreamResponse:
        ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._streams.add(ended)
        answer = web.StreamResponse(status=response.status, headers=self._headers(response))
        rest = b""
        try:
            await answer.prepare(request)
            while not ended.done():
                if not (chunk := await _sooner(response, ended)):
                    break
                whole, line, rest = (rest + chunk).rpartition(b"\n")
                if line:
                    await answer.write(shifted(whole + line, request.path, self._clock.at))
            if ended.done() and ended.result():
                await answer.write(ended.result())
            with contextlib.suppress(ConnectionError):
                await answer.write_eof()
            return answer
        finally:
            self._streams.discard(ended)


async def _sooner(response: aiohttp.ClientResponse, ended: asyncio.Future[bytes]) -> bytes:
    """The next chunk, or nothing where the stream is to end before that."""
    reading = asyncio.ensure_future(response.content.readany())
    try:
        await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
        return b"" if ended.done() else reading.result()
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def is_serving(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
