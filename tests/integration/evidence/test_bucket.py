"""A bucket's server that refuses, hangs or answers with nonsense: each is one line for people, without the server's
text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from leakwarden.adapters.evidence import bucket
from leakwarden.adapters.evidence.bucket import Bucket, BucketLocation, mounted
from leakwarden.adapters.evidence.sigv4 import SigningCredentials, signed_headers
from leakwarden.adapters.evidence.store import NotStored

KEYS = SigningCredentials("access", "very-secret", "token")
NOW = 1_790_000_000.0
REPORT = "shop/api-1-abc"


async def keys() -> SigningCredentials:
    return KEYS


@dataclass
class Server:
    """Objects in memory, for requests that are signed with the right secret."""

    objects: dict[str, bytes] = field(default_factory=dict)
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False
    endless: bool = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.hangs:
            await asyncio.sleep(60)
        if self.status:
            return web.Response(status=self.status, text="very-secret words", headers=self.headers)
        if self.endless:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(bytes(1 << 20))
        body = await request.read()
        sent = {name: request.headers[name] for name in ("Content-Type",) if name in request.headers and body}
        expected = signed_headers(
            request.method,
            request.host,
            request.raw_path,
            body=body,
            credentials=KEYS,
            region="eu-1",
            now=NOW,
            headers=sent,
        )
        if any(request.headers.get(name) != value for name, value in expected.items()):
            return web.Response(status=403)
        if request.method == "PUT":
            self.objects[request.raw_path] = body
            return web.Response()
        found = self.objects.get(request.raw_path)
        return web.Response(body=found) if found is not None else web.Response(status=404)


@asynccontextmanager
async def opened(server: Server, prefix: str = "team/a") -> AsyncIterator[Bucket]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    running = TestServer(app, host="127.0.0.1")
    await running.start_server()
    try:
        place = BucketLocation("profiles", f"http://127.0.0.1:{running.port}", "eu-1", prefix)
        async with Bucket(place, keys, lambda: NOW) as made:
            yield made
    finally:
        await running.close()


async def test_a_profile_is_put_under_the_reports_name_and_fetched_again() -> None:
    server = Server()
    async with opened(server) as made:
        places = await made.keep(REPORT, {"goroutine-1.pb.gz": b"profile"})
        location = places["goroutine-1.pb.gz"]
        assert location.startswith("s3://profiles/team/a/shop/api-1-abc/goroutine-1.")
        assert await made.fetch(location.removeprefix("s3://profiles/")) == b"profile"
    assert list(server.objects.values()) == [b"profile"]


async def test_without_a_prefix_the_namespace_comes_first() -> None:
    async with opened(Server(), prefix="") as made:
        places = await made.keep(REPORT, {"heap-1.pb.gz": b"x"})
    assert places["heap-1.pb.gz"].startswith("s3://profiles/shop/api-1-abc/heap-1.")


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Server(status=403), "403: the credentials do not allow it"),
        (Server(status=404), "404: there is no such bucket"),
        (Server(status=301, headers={"Location": "http://127.0.0.1:1/"}), "another region"),
        (Server(status=503), "503: it did not accept"),
    ],
)
async def test_a_refusal_is_told_in_our_own_words(server: Server, words: str) -> None:
    async with opened(server) as made:
        with pytest.raises(NotStored, match=words) as refused:
            await made.keep(REPORT, {"heap-1.pb.gz": b"x"})
    assert "very-secret" not in str(refused.value)


async def test_a_server_that_hangs_costs_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "TIMEOUT", 0.2)
    async with opened(Server(hangs=True)) as made:
        with pytest.raises(NotStored, match="did not answer within"):
            await made.keep(REPORT, {"heap-1.pb.gz": b"x"})


async def test_a_server_that_is_not_there_is_told() -> None:
    async with Bucket(BucketLocation("profiles", "http://127.0.0.1:1"), keys) as made:
        with pytest.raises(NotStored, match="cannot be reached"):
            await made.keep(REPORT, {"heap-1.pb.gz": b"x"})


async def test_an_object_without_end_is_not_read() -> None:
    async with opened(Server(endless=True)) as made:
        with pytest.raises(NotStored, match="larger than"):
            await made.fetch("shop/x")


async def test_credentials_are_read_anew_from_their_files(tmp_path: Path) -> None:
    load = mounted(tmp_path)
    with pytest.raises(NotStored, match="credentials cannot be read"):
        await load()
    (tmp_path / "accessKey").write_text("a\n")
    (tmp_path / "secretKey").write_text("s\n")
    assert await load() == SigningCredentials("a", "s")
    (tmp_path / "sessionToken").write_text("t\n")
    (tmp_path / "secretKey").write_text("rotated\n")
    assert await load() == SigningCredentials("a", "rotated", "t")
