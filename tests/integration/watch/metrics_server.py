"""An HTTP server on loopback whose metrics page the test writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, at: str = "/metrics") -> AsyncIterator[str]:
    """The URL of the page that the handler answers."""
    app = web.Application()
    app.router.add_get(at, handler)
    # Handlers that never answer end with their client, so that a test does not wait for them.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}{at}"
    finally:
        await runner.cleanup()
