"""A Loki on the loopback address, as its HTTP API is documented (Grafana Loki, HTTP API, query_range): it selects streams
by their labels, filters lines by the query's regular expression, and fails on demand."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.integration.prometheus.fake_prometheus import SECRET, Fault

_MATCHER = re.compile(r'(\w+)(=~|=)"((?:[^"\\]|\\.)*)"')
_FILTER = re.compile(r"\|~ `([^`]*)`")


@dataclass
class FakeLoki:
    """`streams` are (labels, [(time in ns, line), ...])."""

    streams: list[tuple[Mapping[str, str], list[tuple[int, str]]]] = field(default_factory=list)
    fault: Fault | None = None
    wanted_authorization: str | None = None
    asked: list[Mapping[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        self.headers.append(dict(request.headers))
        if self.wanted_authorization not in (None, request.headers.get("Authorization")):
            return web.Response(status=401, text=SECRET)
        if self.fault is not None:
            return await self.fault(request)
        query, limit = request.query["query"], int(request.query["limit"])
        start, end = int(request.query["start"]), int(request.query["end"])
        wanted = _FILTER.search(query)
        found = []
        for labels, lines in self.streams:
            if all(_fits(labels.get(name, ""), op, value) for name, op, value in _MATCHER.findall(query)):
                kept = [
                    [str(at), line]
                    for at, line in lines
                    if start <= at < end and (wanted is None or re.search(wanted[1], line))
                ]
                if kept:
                    found.append({"stream": dict(labels), "values": kept[:limit]})
        return web.json_response({"status": "success", "data": {"resultType": "streams", "result": found, "stats": {}}})


def _fits(value: str, op: str, wanted: str) -> bool:
    text = wanted.encode().decode("unicode_escape")
    return value == text if op == "=" else re.fullmatch(text, value) is not None


@contextlib.asynccontextmanager
async def loki(context: ssl.SSLContext | None = None) -> AsyncIterator[FakeLoki]:
    fake = FakeLoki()
    app = web.Application()
    app.router.add_get("/loki/api/v1/query_range", fake.answer)
    server = TestServer(app, host="127.0.0.1", scheme="https" if context else "http")
    await server.start_server(ssl=context)
    fake.url = str(server.make_url("")).rstrip("/")
    try:
        yield fake
    finally:
        await server.close()
