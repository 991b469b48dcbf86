"""The proxy of the fault tests between the operator and its servers: without effect by itself, and each fault as
named."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web

from e2e.faults.background import Background
from e2e.faults.exchange import altered, answered, expired, first, lost, requests, then
from e2e.faults.proxy import Proxy


class Upstream:
    """Echoes requests; a watch sends a line every 20 ms for ever."""

    def __init__(self, background: Background) -> None:
        self.background = background
        self.seen: list[str] = []
        self.flows = threading.Event()
        self.url = background.run(self._serve())

    async def _serve(self) -> str:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return site.name

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode()
        self.seen.append(f"{request.method} {request.path}")
        if "watch" not in request.query:
            token = request.headers.get("Authorization", "")
            said = {"query": dict(request.query), "body": body, "token": token}
            return web.json_response(said, status=201 if request.method == "POST" else 200, headers={"Warning": "299"})
        answer = web.StreamResponse()
        await answer.prepare(request)
        for number in range(500):
            try:
                await answer.write(b"%d\n" % number)
            except ConnectionError:
                break
            await asyncio.sleep(0.02)
            if number == 3:
                self.flows.set()
        return answer

    def close(self) -> None:
        self.background.run(self._runner.cleanup())


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    background = Background()
    made = Upstream(background)
    yield made
    made.close()
    background.close()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[Proxy]:
    made = Proxy(upstream.background, upstream.url)
    yield made
    made.close()


async def _ask(proxy: Proxy, method: str = "GET", path: str = "/a", **given: object) -> tuple[int, bytes, str]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, proxy.url + path, headers={"Authorization": "Bearer t"}, **given) as answer,  # type: ignore[arg-type]
    ):
        return answer.status, await answer.read(), answer.headers.get("Warning", "")


async def test_a_request_passes_with_its_query_body_and_credentials_and_comes_back_whole(proxy: Proxy) -> None:
    status, body, warning = await _ask(proxy, "POST", "/a/b?x=1%2B2", data=b"hey")
    assert (status, warning) == (201, "299")
    assert json.loads(body) == {"query": {"x": "1+2"}, "body": "hey", "token": "Bearer t"}
    (seen,) = proxy.log
    assert (seen.method, seen.path, seen.body, seen.status) == ("POST", "/a/b", b"hey", 201)


async def test_what_is_refused_never_reaches_the_server(proxy: Proxy, upstream: Upstream) -> None:
    with proxy.suffering(requests("POST", "/a"), answered(429, "TooManyRequests", "busy", retry_after=2)):
        assert (await _ask(proxy, "POST"))[0] == 429
        assert (await _ask(proxy, "GET"))[0] == 200
    assert (await _ask(proxy, "POST"))[0] == 201
    assert upstream.seen == ["GET /a", "POST /a"]
    assert [each.status for each in proxy.log] == [None, 200, 201]


async def test_a_lost_answer_was_carried_out(proxy: Proxy, upstream: Upstream) -> None:
    proxy.add(requests("POST"), lost(), times=1)
    with pytest.raises(aiohttp.ClientError):
        await _ask(proxy, "POST")
    assert upstream.seen == ["POST /a"]
    assert proxy.log[0].status == 201
    assert (await _ask(proxy, "POST"))[0] == 201, "only once"


async def test_a_stroke_comes_before_the_server_sees_the_request_or_after_it_answered(
    proxy: Proxy, upstream: Upstream
) -> None:
    struck: list[int] = []
    proxy.add(requests("POST"), first(lambda: struck.append(len(upstream.seen))), times=1)
    with pytest.raises(aiohttp.ClientError):
        await _ask(proxy, "POST")
    assert (struck, upstream.seen) == ([0], [])
    proxy.add(requests("POST"), then(lambda: struck.append(len(upstream.seen))), times=1)
    with pytest.raises(aiohttp.ClientError):
        await _ask(proxy, "POST")
    assert struck == [0, 1]


async def test_an_answer_and_a_query_can_be_altered(proxy: Proxy) -> None:
    proxy.rewrite = lambda query: {**query, "time": "7"}
    proxy.add(requests(), altered(lambda answer: answer["query"]))
    assert json.loads((await _ask(proxy, path="/q?time=1&step=2"))[1]) == {"time": "7", "step": "2"}


async def _watch(proxy: Proxy) -> bytes:
    got = b""
    async with aiohttp.ClientSession() as http, http.get(f"{proxy.url}/w?watch=true") as answer:
        async for chunk in answer.content.iter_any():
            got += chunk
    return got


async def _flowing(upstream: Upstream) -> None:
    assert await asyncio.to_thread(upstream.flows.wait, 10)


async def test_a_stream_passes_as_it_comes_and_can_be_cut(proxy: Proxy, upstream: Upstream) -> None:
    watching = asyncio.create_task(_watch(proxy))
    await _flowing(upstream)
    assert await asyncio.to_thread(proxy.cut_streams) == 1
    with pytest.raises(aiohttp.ClientError):
        await watching


async def test_a_stream_can_end_with_the_word_that_its_version_is_too_old(proxy: Proxy, upstream: Upstream) -> None:
    watching = asyncio.create_task(_watch(proxy))
    await _flowing(upstream)
    assert await asyncio.to_thread(proxy.expire_streams) == 1
    lines = (await watching).splitlines()
    assert lines[0] == b"0"
    assert json.loads(lines[-1])["object"]["code"] == 410
    with proxy.suffering(requests(watch=True), expired()):
        assert json.loads(await _watch(proxy))["object"]["code"] == 410


async def test_refusing_means_that_nobody_listens_until_it_ends(proxy: Proxy) -> None:
    refusing = proxy.refusing()
    await asyncio.to_thread(refusing.__enter__)
    with pytest.raises(aiohttp.ClientConnectorError):
        await _ask(proxy)
    await asyncio.to_thread(refusing.__exit__, None, None, None)
    assert (await _ask(proxy))[0] == 200
