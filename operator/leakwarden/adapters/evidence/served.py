"""The profiles on the volume over HTTP, read-only: the right to read a LeakReport includes the files that it points to.

A location contains 128 bits of the profile's checksum, which are in the LeakReport and nowhere else, so the right to
read the report is the right to the file. There is no list of files. Every other path is answered with 404.
"""

from __future__ import annotations

from aiohttp import web

from leakwarden.adapters.evidence.volume import Volume

PREFIX = "/evidence"


def route(volume: Volume) -> web.RouteDef:
    """GET /evidence/LOCATION, for the operator's server."""

    async def answer(request: web.Request) -> web.StreamResponse:
        data = await volume.read(request.match_info["location"])
        if data is None:
            raise web.HTTPNotFound(text="there is no such profile")
        return web.Response(
            body=data,
            content_type="application/octet-stream",
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        )

    return web.get(PREFIX + "/{location:.+}", answer)
