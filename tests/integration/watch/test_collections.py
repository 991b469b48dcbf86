"""Soak lets the process collect its garbage, so that a heap that only grows can be judged within minutes."""

from __future__ import annotations

import asyncio

from aiohttp import web

from leakwarden.cli.watch.options import Place
from leakwarden.cli.watch.profiles import collected
from tests.integration.watch.metrics_server import serving


async def test_a_collection_is_asked_for_through_the_heap_profile() -> None:
    asked: list[str] = []

    async def heap(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.Response(body=b"\0" * 1000)

    async with serving(heap, at="/debug/pprof/heap") as url:
        await collected(_place(url))
    assert asked == ["/debug/pprof/heap?gc=1"]


async def test_a_process_that_does_not_answer_or_is_gone_stops_nothing() -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with serving(silent, at="/debug/pprof/heap") as url:
        await collected(_place(url), seconds=0.1)
    await collected(_place(url))


def _place(url: str) -> Place:
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    return Place("http", host, int(port), "/debug/pprof")
