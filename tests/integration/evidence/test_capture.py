"""Taking profiles from faulty pods: real servers on loopback, each with one real fault."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from leakwarden.adapters.evidence.pprof import PprofClient, Taken
from leakwarden.adapters.evidence.ways import Straight, Target, ThroughApiServer
from leakwarden.api.v1alpha1.evidence_reasons import EvidenceReason
from leakwarden.core.model.workload import Pod
from leakwarden.core.profile.pprof import DecodeLimits
from leakwarden.core.profile.suspects import suspects
from tests.profiles.building import VERSIONS, archived

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
POD = Pod("shop", "web-1", "u", "w", 0.0, "node", "10.0.0.1", "127.0.0.1", "Running", True, False, ())
PATIENCE = 0.5  # s; the cost of a pod that hangs here


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    try:
        assert server.port is not None
        yield server.port
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def speaking(*chunks: bytes, every: float = 0.0, ends: bool = True) -> AsyncIterator[int]:
    """A server that sends these bytes to every client, `every` so many seconds, and then closes the connection or
    not."""
    tasks: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        # Cancelled at the end of the test: the connection is closed then like one that sent everything.
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(every)
            if not ends:
                await asyncio.sleep(3600)
        tasks.discard(task)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


async def take(port: int, *, goroutines: float | None = 100.0, **options: Any) -> Taken:
    # Loopback is what these tests have; that it is refused otherwise is a test of its own.
    async with Straight(refuse=lambda _: "") as way:
        client = PprofClient(way, **{"timeout": PATIENCE, "pause": 0.01, **options})
        return await client.capture(Target(POD, port), goroutines)


def service(name: str, version: str = VERSIONS[-1], asked: list[str] | None = None) -> Handler:
    """Answers with the profiles that a real program gave."""
    members = archived(version)
    turn: dict[str, int] = {}

    async def answer(request: web.Request) -> web.Response:
        if asked is not None:
            asked.append(request.path_qs)
        kind = request.path.rpartition("/")[2]
        turn[kind] = turn.get(kind, 0) + 1
        found = members.get(f"{name}/{kind}-{turn[kind]}.pb") or members.get(f"{name}/{kind}.pb")
        return web.Response(body=gzip.compress(found)) if found else web.Response(status=404)

    return answer


async def test_a_capture_of_a_leaking_service_names_its_line() -> None:
    asked: list[str] = []
    async with serving(service("send_first", asked=asked)) as port:
        taken = await take(port)
    assert taken.missed == ()
    assert set(taken.profiles) == {"goroutine-1", "goroutine-2", "heap-1", "heap-2", "goroutineleak"}
    assert set(taken.raw) == {f"{name}.pb.gz" for name in taken.profiles}
    assert taken.seconds > 0
    assert suspects(taken.capture())[0].function == "main.first.func1"
    # Never the form debug=2, which stops the service.
    assert all("debug=" not in path for path in asked)


async def test_a_go_without_the_leak_profile_is_profiled_all_the_same() -> None:
    async with serving(service("send_first", VERSIONS[0])) as port:
        taken = await take(port)
    assert [(m.profile, m.reason) for m in taken.missed] == [("goroutineleak", EvidenceReason.ABSENT)]
    assert taken.capture().leaked is None
    assert suspects(taken.capture())[0].function == "main.first.func1"


async def test_a_service_without_profiles_is_asked_twice_and_no_more() -> None:
    asked: list[str] = []
    async with serving(service("nothing", asked=asked)) as port:
        taken = await take(port)
    assert {m.reason for m in taken.missed} == {EvidenceReason.ABSENT}
    assert len(asked) == 2
    assert suspects(taken.capture()) == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (301, EvidenceReason.REDIRECT),
        (307, EvidenceReason.REDIRECT),
        (401, EvidenceReason.FORBIDDEN),
        (403, EvidenceReason.FORBIDDEN),
        (500, EvidenceReason.STATUS),
    ],
)
async def test_a_refusal_is_reported_and_not_asked_again(status: int, reason: EvidenceReason) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"}, text="secret of the pod")

    async with serving(answer) as port:
        (missed,) = (await take(port)).missed
    assert (missed.profile, missed.reason) == ("goroutine-1", reason)
    assert "secret" not in missed.message
    assert asked == ["/debug/pprof/goroutine"]


async def test_a_pod_that_refuses_connections_is_unreachable() -> None:
    async with speaking() as port:
        pass
    (missed,) = (await take(port)).missed
    assert missed.reason is EvidenceReason.CLOSED


async def test_a_pod_that_hangs_before_its_goroutines_are_counted_costs_one_timeout() -> None:
    async with speaking(ends=False) as port:
        (missed,) = (await take(port, goroutines=None)).missed
    assert missed.reason is EvidenceReason.TIMEOUT


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([], id="hangs before the answer"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"], id="hangs before the body"),
        pytest.param([b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 400], id="drips"),
        pytest.param([b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n"] * 400], id="drips headers"),
    ],
)
async def test_a_pod_that_hangs_or_drips_costs_one_timeout(chunks: list[bytes]) -> None:
    started = time.monotonic()
    async with speaking(*chunks, every=0.05, ends=False) as port:
        (missed,) = (await take(port)).missed
    assert missed.reason is EvidenceReason.TIMEOUT
    # One time limit and not five: more than ten is not noise of the machine.
    assert time.monotonic() - started < 10 * PATIENCE


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([b"SSH-2.0-OpenSSH_9.6\r\n"], id="not HTTP"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort"], id="cut off"),
        pytest.param([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"], id="a header without end"),
    ],
)
async def test_what_is_not_http_is_unreachable(chunks: list[bytes]) -> None:
    async with speaking(*chunks) as port:
        (missed,) = (await take(port)).missed
    assert missed.reason is EvidenceReason.UNREACHABLE
    assert "OpenSSH" not in missed.message


async def test_ten_gigabytes_are_not_read() -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Length": str(10 << 30)})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while sent < 10 << 30:
                await response.write(bytes(1 << 20))
                sent += 1 << 20
        return response

    async with serving(answer) as port:
        taken = await take(port, timeout=30.0)
    assert {m.reason for m in taken.missed} == {EvidenceReason.LARGE}
    assert taken.raw == {}
    assert sent < 100 << 20


async def test_a_bomb_is_not_inflated() -> None:
    pack = zlib.compressobj(9, wbits=31)
    bomb = b"".join(pack.compress(bytes(1 << 20)) for _ in range(256)) + pack.flush()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=bomb)

    async with serving(answer) as port:
        taken = await take(port, timeout=30.0, limits=DecodeLimits(inflated=4 << 20))
    assert {m.reason for m in taken.missed} == {EvidenceReason.UNREADABLE}
    assert "inflates to more than" in taken.missed[0].message


@pytest.mark.parametrize("body", [b"", b"<html>not found</html>", b"goroutine profile: total 12\n", bytes(4096)])
async def test_garbage_with_a_friendly_status_is_unreadable(body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with serving(answer) as port:
        taken = await take(port)
    assert {m.reason for m in taken.missed} == {EvidenceReason.UNREADABLE}
    assert taken.raw == {}


async def test_a_heap_profile_that_fails_leaves_the_goroutines() -> None:
    members = archived(VERSIONS[-1])

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/goroutine"):
            return web.Response(body=members["send_first/goroutine-1.pb"])
        return web.Response(status=404)

    async with serving(answer) as port:
        taken = await take(port)
    assert set(taken.profiles) == {"goroutine-1", "goroutine-2"}
    assert {m.profile for m in taken.missed} == {"heap-1", "heap-2", "goroutineleak"}


async def test_the_budget_bounds_them_all_together() -> None:
    members = archived(VERSIONS[-1])

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.Response(body=members["send_first/goroutine-1.pb"])

    async with serving(answer) as port:
        taken = await take(port, timeout=30.0, budget=0.3)
    assert "goroutine-1" in taken.profiles
    assert [m.reason for m in taken.missed] == [EvidenceReason.TIMEOUT]


async def test_too_many_goroutines_leave_the_heap_alone_to_be_profiled() -> None:
    asked: list[str] = []
    async with serving(service("file_kept", asked=asked)) as port:
        taken = await take(port, goroutines=50_001.0)
    assert [m.reason for m in taken.missed] == [EvidenceReason.GOROUTINES]
    assert "only the heap" in taken.missed[0].message
    assert asked == ["/debug/pprof/heap?gc=1"] * 2
    # Objects held without goroutines are named all the same.
    assert suspects(taken.capture(), growing=frozenset({"descriptors"}))[0].shape == "FileNotClosed"


def indexed(page: bytes, inner: Handler) -> Handler:
    """Go's index page in front of the profiles."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=page) if request.path.endswith("/pprof/") else await inner(request)

    return answer


@pytest.mark.parametrize("goroutines", [None, float("nan")])
async def test_where_no_metric_counts_goroutines_the_pods_own_index_does(goroutines: float | None) -> None:
    page = b"<tr><td>12</td><td><a href='goroutine?debug=1'>goroutine</a></td></tr>"
    async with serving(indexed(page, service("send_first"))) as port:
        taken = await take(port, goroutines=goroutines)
    assert "goroutine-2" in taken.profiles
    async with serving(indexed(page.replace(b"12", b"60000"), service("send_first"))) as port:
        taken = await take(port, goroutines=goroutines)
    assert [m.reason for m in taken.missed] == [EvidenceReason.GOROUTINES]


@pytest.mark.parametrize("page", [b"", b"<td>many</td><td><a href='goroutine?debug=1'>", bytes(1 << 20)])
async def test_where_nothing_counts_goroutines_only_the_heap_is_profiled(page: bytes) -> None:
    asked: list[str] = []
    async with serving(indexed(page, service("send_first", asked=asked))) as port:
        taken = await take(port, goroutines=None)
    assert [m.reason for m in taken.missed] == [EvidenceReason.UNKNOWN]
    assert not any(path.endswith("/goroutine") for path in asked)
    assert set(taken.profiles) == {"heap-1", "heap-2"}


@pytest.mark.parametrize(
    "path", ["/debug/../../secrets", "/debug/%2e%2e/x", "debug", "/a?b", "/a#b", "/a b", "/./x", "//x"]
)
async def test_a_path_cannot_lead_elsewhere(path: str) -> None:
    asked: list[str] = []
    async with serving(service("send_first", asked=asked)) as port, Straight(refuse=lambda _: "") as way:
        taken = await PprofClient(way).capture(Target(POD, port, path), 10.0)
    assert [m.reason for m in taken.missed] == [EvidenceReason.ADDRESS]
    assert asked == []


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "", "node.internal"])
async def test_addresses_that_are_no_pods_are_not_called(address: str) -> None:
    async with Straight() as way:
        target = Target(replace(POD, pod_ip=address), 6060)
        taken = await PprofClient(way, timeout=PATIENCE).capture(target, 10.0)
    assert [m.reason for m in taken.missed] == [EvidenceReason.ADDRESS]


async def test_one_pod_is_profiled_at_a_time() -> None:
    open_now = most = 0
    inner = service("send_first")

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.02)
        open_now -= 1
        return await inner(request)

    async with serving(answer) as port, Straight(refuse=lambda _: "") as way:
        client = PprofClient(way, pause=0.01)
        await asyncio.gather(*[client.capture(Target(POD, port), 10.0) for _ in range(3)])
    assert most == 1


class Proxy:
    """The API server's part that a capture needs."""

    def __init__(self, http: aiohttp.ClientSession, port: int) -> None:
        self.http = http
        self.server = f"http://127.0.0.1:{port}"
        self.server_name: str | None = None


def proxied_refusal(pod: Pod) -> str:
    return "in the host's network" if pod.pod_ip == pod.host_ip else ""


@contextlib.asynccontextmanager
async def proxied(handler: Handler) -> AsyncIterator[PprofClient]:
    async with serving(handler) as port, aiohttp.ClientSession() as http:
        yield PprofClient(ThroughApiServer(Proxy(http, port), refuse=proxied_refusal), timeout=PATIENCE, pause=0.01)


async def test_through_the_api_server_the_pods_proxy_is_asked() -> None:
    asked: list[str] = []
    async with proxied(service("tx_closure", asked=asked)) as client:
        taken = await client.capture(Target(POD, 6060), 10.0)
        tls = await client.capture(Target(POD, 6061, "/internal/pprof/", "https"), 10.0)
    assert set(taken.profiles) >= {"goroutine-1", "heap-2"}
    assert asked[:2] == [
        "/api/v1/namespaces/shop/pods/web-1:6060/proxy/debug/pprof/goroutine",
        "/api/v1/namespaces/shop/pods/web-1:6060/proxy/debug/pprof/heap?gc=1",
    ]
    assert "/api/v1/namespaces/shop/pods/https:web-1:6061/proxy/internal/pprof/goroutine" in asked
    assert tls.missed


async def test_through_the_api_server_a_compressed_bomb_is_not_inflated_on_the_way() -> None:
    bomb = gzip.compress(bytes(64 << 20))

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with proxied(answer) as client:
        taken = await client.capture(Target(POD, 6060), 10.0)
    assert {m.reason for m in taken.missed} == {EvidenceReason.UNREADABLE}


async def test_through_the_api_server_a_missing_right_is_told() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "message": "pods/proxy forbidden"}, status=403)

    async with proxied(answer) as client:
        (missed,) = (await client.capture(Target(POD, 6060), 10.0)).missed
    assert missed.reason is EvidenceReason.FORBIDDEN


async def test_through_the_api_server_a_pod_in_the_hosts_network_is_not_asked() -> None:
    asked: list[str] = []
    async with proxied(service("tx_closure", asked=asked)) as client:
        (missed,) = (await client.capture(Target(replace(POD, pod_ip=POD.host_ip), 10250), 10.0)).missed
    assert missed.reason is EvidenceReason.ADDRESS
    assert asked == []


async def test_where_the_straight_way_is_closed_the_api_servers_is_tried() -> None:
    async with speaking() as closed:
        pass
    asked: list[str] = []
    async with (
        serving(service("tx_closure", asked=asked)) as port,
        aiohttp.ClientSession() as http,
        Straight(refuse=lambda _: "") as straight,
    ):
        proxy = ThroughApiServer(Proxy(http, port), refuse=lambda _: "")
        taken = await PprofClient(straight, proxy, timeout=PATIENCE, pause=0.01).capture(Target(POD, closed), 10.0)
    assert "goroutine-2" in taken.profiles
    assert asked[0] == f"/api/v1/namespaces/shop/pods/web-1:{closed}/proxy/debug/pprof/goroutine"


async def test_a_pod_that_refuses_is_not_asked_by_another_way() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=403)

    asked: list[str] = []
    async with (
        serving(answer) as refusing,
        serving(service("tx_closure", asked=asked)) as port,
        aiohttp.ClientSession() as http,
        Straight(refuse=lambda _: "") as straight,
    ):
        proxy = ThroughApiServer(Proxy(http, port), refuse=lambda _: "")
        taken = await PprofClient(straight, proxy, timeout=PATIENCE).capture(Target(POD, refusing), 10.0)
    assert [m.reason for m in taken.missed] == [EvidenceReason.FORBIDDEN]
    assert asked == []
