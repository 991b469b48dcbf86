"""The load goes to the named address at its rate, independent of the answers."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from leakwarden.adapters import load as module
from leakwarden.adapters.load import HELD_BACK, Load, Tally
from tests.integration.watch.metrics_server import serving


async def test_a_slow_answer_does_not_hold_up_the_next_request() -> None:
    open_now, most = 0, 0

    async def slow(_: web.Request) -> web.Response:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.3)
        open_now -= 1
        return web.Response(text="ok")

    tally = Tally()
    async with serving(slow) as url, Load([url]) as load:
        await load.send(50, 0.6, tally)
    assert tally.codes == {200: 30}
    assert most >= 5
    assert len(tally.seconds) == 30


async def test_failures_are_told_apart_and_counted_as_users_would() -> None:
    async def failing(_: web.Request) -> web.Response:
        return web.Response(status=502)

    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    tally = Tally()
    async with serving(failing) as bad, Load([bad]) as load:
        await load.send(20, 0.1, tally)
    async with Load([bad]) as load:
        await load.send(20, 0.1, tally)
    async with serving(silent) as never, Load([never], timeout=0.2) as load:
        await load.send(20, 0.1, tally)
    assert tally.codes == {502: 2}
    assert tally.failures == {"refused": 2, "timeout": 2}
    assert (tally.due, tally.failed, tally.answered) == (6, 6, 2)


async def test_redirects_are_not_followed() -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    tally = Tally()
    async with serving(elsewhere) as url, Load([url]) as load:
        await load.send(10, 0.1, tally)
    assert tally.codes == {302: 1}


async def test_requests_under_way_are_bounded_and_what_was_not_sent_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OPEN", 3)

    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    tally = Tally()
    async with serving(silent) as url, Load([url]) as load:
        await load.send(100, 0.1, tally)
    assert tally.codes == {200: 3}
    assert tally.failures == {HELD_BACK: 7}


async def test_a_load_that_is_cancelled_ends_with_its_requests() -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with serving(silent) as url, Load([url]) as load:
        sending = asyncio.create_task(load.send(20, 60, Tally()))
        await asyncio.sleep(0.2)
        sending.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert time.monotonic() - began < 5
