"""The stepped load test against a server that slows down, on loopback."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from leakwarden.adapters.load import Load
from leakwarden.adapters.metrics_page import MetricsPage
from leakwarden.cli.capacity.steps import stepped
from leakwarden.core.capacity.curve import points, sustained
from tests.integration.watch.metrics_server import serving


@pytest.mark.slow
async def test_a_server_that_fails_beyond_a_load_is_not_pressed_further_and_its_capacity_is_found() -> None:
    open_now = 0

    async def few_at_once(_: web.Request) -> web.Response:
        """Ten at once at 100 ms each: a hundred requests a second, and no more."""
        nonlocal open_now
        open_now += 1
        try:
            if open_now > 10:
                return web.Response(status=503)
            await asyncio.sleep(0.1)
            return web.Response(text="process_resident_memory_bytes 5e+07\n")
        finally:
            open_now -= 1

    said: list[str] = []
    async with serving(few_at_once) as url, Load([url]) as load:
        done = await stepped(load, None, [10, 20, 400, 800], seconds=1.5, objective=2.0, say=said.append)
    assert [round(one.qps) for one in done.measured][:2] == [10, 20]
    assert len(done.measured) == 3
    assert done.stopped.startswith("no higher rate was sent: at 400/s")
    found = sustained(points(done.measured), 2.0)
    assert found is not None
    assert found.bounded
    assert round(found.qps) == 20
    assert said[0].startswith("10/s: P99 ")


@pytest.mark.slow
async def test_memory_is_read_beside_the_load() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="process_resident_memory_bytes 5e+07\n")

    async with serving(page) as url, MetricsPage(url) as metrics, Load([url]) as load:
        done = await stepped(load, metrics, [10, 20], seconds=1.5, objective=5.0, say=lambda _: None)
    assert [one.memory for one in done.measured] == [5e7, 5e7]
    assert done.stopped == ""


@pytest.mark.slow
async def test_what_a_rate_limit_turns_away_is_not_carried() -> None:
    answered = 0

    async def ten_in_all(_: web.Request) -> web.Response:
        nonlocal answered
        answered += 1
        return web.Response(status=200 if answered <= 10 else 429)

    async with serving(ten_in_all) as url, Load([url]) as load:
        done = await stepped(load, None, [10, 20], seconds=1.0, objective=30.0, say=lambda _: None)
    assert [one.qps for one in done.measured] == [10.0, 0.0]
    assert [one.errors for one in done.measured] == [0.0, 1.0]
    assert list(done.turned_away) == [0.0, 1.0]
    assert done.measured[1].p99 is None
