"""A Prometheus query API on the loopback address that answers exact queries, and fails on demand.

It evaluates no PromQL: a test sets the series of each query, so an unexpected query finds nothing. The client under
test is blocking and runs in threads of its own, so the server can live in the test's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]
SECRET = "s3cr3t-of-the-server"  # in every body a fault sends; none of it may come out of the source


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def query(self) -> str:
        return self.params["query"]


@dataclass
class FakePrometheus:
    """`series[query]` are (labels, [(t, "v"), ...]); an instant query gets the last point of each."""

    series: dict[str, list[tuple[dict[str, str], list[tuple[float, str]]]]] = field(default_factory=dict)
    fault: Fault | None = None
    faults: dict[str, Fault] = field(default_factory=dict)  # by query
    warnings: list[str] = field(default_factory=list)
    wanted_authorization: str | None = None
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def queries(self, path: str = "/api/v1/query_range") -> list[str]:
        return [request.query for request in self.asked if request.path == path]

    def all_pods_have(self, labels: Sequence[dict[str, str]], points: list[tuple[float, str]]) -> None:
        """Every range query gives these series: for tests that are not about the query."""
        self.series["*"] = [(each, points) for each in labels]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        params = {**request.query, **(await request.post())}
        self.asked.append(
            Asked(request.method, request.path, {k: str(v) for k, v in params.items()}, dict(request.headers))
        )
        if self.wanted_authorization not in (None, request.headers.get("Authorization")):
            return web.Response(status=401, text=SECRET)
        fault = self.faults.get(str(params["query"]), self.fault)
        if fault is not None:
            return await fault(request)
        instant = request.path.endswith("/query")
        found = self.series.get(str(params["query"]), [] if instant else self.series.get("*", []))
        result: list[dict[str, Any]] = [
            {"metric": labels, "value": points[-1]} if instant else {"metric": labels, "values": points}
            for labels, points in found
        ]
        kind = "vector" if instant else "matrix"
        body: dict[str, Any] = {"status": "success", "data": {"resultType": kind, "result": result}}
        if self.warnings:
            body["warnings"] = self.warnings
        return web.json_response(body)


@contextlib.asynccontextmanager
async def prometheus(context: ssl.SSLContext | None = None) -> AsyncIterator[FakePrometheus]:
    fake = FakePrometheus()
    app = web.Application()
    for path in ("/api/v1/query", "/api/v1/query_range"):
        app.router.add_get(path, fake.answer)
        app.router.add_post(path, fake.answer)
    server = TestServer(app, host="127.0.0.1", scheme="https" if context else "http")
    await server.start_server(ssl=context)
    fake.url = str(server.make_url("")).rstrip("/")
    try:
        yield fake
    finally:
        await server.close()


def status(code: int, error_type: str = "") -> Fault:
    async def fault(_: web.Request) -> web.StreamResponse:
        body = {"status": "error", "errorType": error_type, "error": SECRET} if error_type else SECRET
        return web.Response(status=code, text=json.dumps(body))

    return fault


def body(text: str) -> Fault:
    async def fault(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text)

    return fault


def redirect(to: str) -> Fault:
    async def fault(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": to}, text=SECRET)

    return fault


def silence(until: asyncio.Event) -> Fault:
    """Accepts the request and sends nothing until the event."""

    async def fault(_: web.Request) -> web.StreamResponse:
        await until.wait()
        return web.Response(status=500)

    return fault


def drip(until: asyncio.Event) -> Fault:
    """An answer that never stops, a few bytes at a time: no single wait is long."""

    async def fault(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while not until.is_set():
                await response.write(b" ")
                await asyncio.sleep(0.02)
        return response

    return fault


def cut_off() -> Fault:
    """Promises more than it sends."""

    async def fault(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"status":')
        assert request.transport is not None
        request.transport.close()
        return response

    return fault


def packed(size: int) -> Fault:
    """A small gzip body that unpacks to `size` bytes."""
    small = gzip.compress(b" " * size)

    async def fault(_: web.Request) -> web.StreamResponse:
        return web.Response(body=small, headers={"Content-Encoding": "gzip"})

    return fault
