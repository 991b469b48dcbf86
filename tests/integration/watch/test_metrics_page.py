"""A metrics page with any content: it costs a bounded time and number of bytes, and its text is never passed on."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from leakwarden.adapters.metrics_page import MetricsPage, Unread
from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.watch.scraped import TrackKey
from tests.integration.watch.metrics_server import serving

PAGE = """\
# HELP go_goroutines Number of goroutines.
# TYPE go_goroutines gauge
go_goroutines 42
# TYPE process_open_fds gauge
process_open_fds 12
process_max_fds 1024
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a b{c}"} 7
http_requests_total{code="500",path="quote\\"and\\nline"} 1
some_other{broken 1
go_gc_duration_seconds{quantile="0.5"} 0.1
go_gc_duration_seconds_count 3
process_start_time_seconds 1.7e+09
"""


async def unread(url: str, **limits: float) -> str:
    async with MetricsPage(
        url, timeout=limits.get("timeout", 5.0), largest=int(limits.get("largest", 1_000_000))
    ) as page:
        with pytest.raises(Unread) as refusal:
            await page.scrape()
    return str(refusal.value)


async def test_known_names_are_read_and_lines_of_others_do_no_harm() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE)

    async with serving(page) as url, MetricsPage(url) as reader:
        found = await reader.scrape()
    assert found.values == {TrackKey(SignalType.GOROUTINES): 42, TrackKey(SignalType.DESCRIPTORS): 12}
    assert found.limits == {TrackKey(SignalType.DESCRIPTORS): 1024}
    assert (found.requests, found.cycles, found.started) == (8, 3, 1.7e9)


async def test_a_page_without_end_a_page_that_never_comes_and_a_refusal_are_told_apart() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x 1\n" * 10_000)

    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/secret")

    async def forbidden(_: web.Request) -> web.Response:
        return web.Response(status=403, text="token=hunter2")

    async def garbage(_: web.Request) -> web.Response:
        return web.Response(text="go_goroutines forty-two\n")

    for handler, said in (
        (endless, "the page is larger than 1000000 bytes"),
        (silent, "no answer within 0.3s"),
        (elsewhere, "it answered HTTP 302"),
        (forbidden, "it answered HTTP 403"),
        (garbage, "the page is not in Prometheus's text format"),
    ):
        async with serving(handler) as url:
            assert await unread(url, timeout=0.3 if handler is silent else 10.0) == said
    assert await unread(url) == "nothing listens there"


async def test_a_compressed_page_is_not_inflated() -> None:
    async def compressed(_: web.Request) -> web.Response:
        return web.Response(body=b"\x1f\x8b" + b"\0" * 100, headers={"Content-Encoding": "gzip"})

    async with serving(compressed) as url:
        assert await unread(url) == "the page is compressed although that was declined"
