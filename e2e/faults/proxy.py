"""A proxy on loopback in front of one real server, through which the operator reaches it: without effect until a fault
is set.

Streams pass chunk by chunk. Methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from e2e.faults.background import Background
from e2e.faults.exchange import Answer, Cut, Effect, Exchange, Fault, Matcher

# Hop-by-hop, or about a length that our own server computes again.
_NOT_PASSED = frozenset(
    {"connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_GONE = json.dumps(
    {"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}}
).encode()  # fmt: skip

Rewrite = Callable[[Mapping[str, str]], Mapping[str, str]]


class Proxy:
    """`rewrite`, where it is set, changes the query of every request on its way to the real server."""

    def __init__(self, background: Background, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        self._background = background
        self._upstream = URL(upstream)
        self._tls = tls
        self._faults: list[Fault] = []
        self._streams: set[asyncio.Future[bytes]] = set()
        self._runner: web.AppRunner | None = None
        self._port = 0
        self.log: list[Exchange] = []
        self.rewrite: Rewrite | None = None
        background.run(self._open())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def close(self) -> None:
        self._background.run(self._close())

    # Faults

    def add(self, matches: Matcher, effect: Effect, times: int | None = None) -> Fault:
        """From now on; the latest fault that matches a request takes it."""
        fault = Fault(matches, effect, times)
        self._faults.insert(0, fault)
        return fault

    def remove(self, fault: Fault) -> None:
        self._faults.remove(fault)

    @contextmanager
    def suffering(self, matches: Matcher, effect: Effect) -> Iterator[Fault]:
        """The fault on all that match, for as long as the block lasts."""
        fault = self.add(matches, effect)
        try:
            yield fault
        finally:
            self.remove(fault)

    def cut_streams(self) -> int:
        """End every watch in the middle, as a load balancer that is restarted does; returns how many there were."""
        return self._background.run(self._end_streams(b""))

    def expire_streams(self) -> int:
        """End every watch with the event that says its version is too old (410)."""
        return self._background.run(self._end_streams(_GONE + b"\n"))

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """The port is closed, and open connections are cut, for as long as the block lasts."""
        self._background.run(self._unlisten())
        try:
            yield
        finally:
            self._background.run(self._listen())

    # The work

    async def _open(self) -> None:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls or True, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=False,
        )
        await self._listen()

    async def _listen(self) -> None:
        application = web.Application(client_max_size=64 << 20)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._port or int(site.name.rpartition(":")[2])

    async def _unlisten(self) -> None:
        await self._end_streams(b"")
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _close(self) -> None:
        await self._unlisten()
        await self._client.close()

    async def _end_streams(self, last: bytes) -> int:
        streams = [each for each in self._streams if not each.done()]
        for each in streams:
            each.set_result(last)
        await asyncio.sleep(0)
        return len(streams)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        exchange = Exchange(
            len(self.log) + 1, time.monotonic(), request.method, path=request.path, query=dict(request.query), body=body
        )
        self.log.append(exchange)
        fault = next((each for each in self._faults if each.takes(exchange)), None)
        try:
            if fault is None and exchange.is_watch:
                return await self._stream(request, exchange)
            answer = await (fault.effect(exchange, lambda: self._forward(request, exchange)) if fault
                            else self._forward(request, exchange))  # fmt: skip
            return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
        except (Cut, aiohttp.ClientError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)

    def _asked(self, request: web.Request, exchange: Exchange) -> aiohttp.client._RequestContextManager:
        query = self.rewrite(exchange.query) if self.rewrite else exchange.query
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED}
        headers["Accept-Encoding"] = "identity"  # a body that a fault can read
        return self._client.request(
            exchange.method, self._upstream.with_path(exchange.path), params=query, data=exchange.body or None,
            headers=headers, allow_redirects=False,
        )  # fmt: skip

    async def _forward(self, request: web.Request, exchange: Exchange) -> Answer:
        # Shielded: a client that goes away, as a killed one does, must not cancel a request on its way.
        return await asyncio.shield(asyncio.ensure_future(self._fetch(request, exchange)))

    async def _fetch(self, request: web.Request, exchange: Exchange) -> Answer:
        async with self._asked(request, exchange) as response:
            body = await response.read()
            exchange.status, exchange.answered = response.status, body
            return Answer(response.status, body, _passed(response.headers))

    async def _stream(self, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._streams.add(ended)
        try:
            async with self._asked(request, exchange) as response:
                exchange.status = response.status
                answer = web.StreamResponse(status=response.status, headers=_passed(response.headers))
                await answer.prepare(request)
                while chunk := await _sooner(response.content.readany(), ended):
                    await answer.write(chunk)
                if ended.done():
                    if not ended.result():
                        raise Cut
                    await answer.write(ended.result())
                with contextlib.suppress(ConnectionError):
                    await answer.write_eof()
                return answer
        finally:
            self._streams.discard(ended)


async def _sooner(reading: Coroutine[Any, Any, bytes], ended: asyncio.Future[bytes]) -> bytes:
    """The next chunk, or nothing where the stream is to end before that."""
    task = asyncio.ensure_future(reading)
    try:
        await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
        return b"" if ended.done() else task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _NOT_PASSED}
