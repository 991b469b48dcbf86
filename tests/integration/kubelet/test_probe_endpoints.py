"""The endpoint caller against real servers on the loopback address, each with one real fault."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from leakwarden import __version__
from leakwarden.adapters.endpoints import CONCURRENCY, HttpEndpoints, refusal
from leakwarden.core.model.workload import Pod
from leakwarden.engine.ports import EndpointAnswer, Endpoints

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def pod(address: str = "127.0.0.1", host: str = "10.0.0.1") -> Pod:
    return Pod(
        "shop",
        "web-1",
        "u",
        workload_uid="w",
        created=0.0,
        node="node",
        host_ip=host,
        pod_ip=address,
        phase="Running",
        ready=True,
        terminating=False,
        containers=(),
    )


@contextlib.asynccontextmanager
async def http_server(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    server = TestServer(app, host="127.0.0.1", scheme="https" if context else "http")
    await server.start_server(ssl=context)
    try:
        assert server.port is not None
        yield server.port
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def raw_server(talk: Talk, address: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server that sends the bytes of `talk`, and has closed its connections at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, address, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


async def ask(port: int, path: str = "/healthz", scheme: str = "HTTP", patience: float = 2.0) -> EndpointAnswer:
    # Loopback is what these tests have; that it is refused otherwise is a test of its own.
    async with HttpEndpoints(refuse=lambda _: "", timeout=patience) as endpoints:
        return await endpoints.call(pod(), port, path, scheme)


@pytest.mark.parametrize("code", [200, 204, 302, 404, 500, 503])
async def test_the_status_code_is_reported_as_it_is(code: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, headers={"Location": "/elsewhere"})

    async with http_server(answer) as port:
        assert await ask(port) == EndpointAnswer("/healthz", code)


async def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound("/other")

    async with http_server(answer) as port:
        assert (await ask(port)).code == 302
    assert asked == ["/healthz"]


async def test_the_request_says_who_asks_and_keeps_the_query_of_the_path() -> None:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response()

    async with http_server(answer) as port:
        await ask(port, "/healthz?verbose=1")
    assert seen[0].headers["User-Agent"] == f"leakwarden/{__version__}"
    assert "Accept-Encoding" not in seen[0].headers
    assert seen[0].path_qs == "/healthz?verbose=1"


async def test_a_path_cannot_add_a_header_or_change_the_host() -> None:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response()

    async with http_server(answer) as port:
        await ask(port, "/a\r\nX-Evil: 1")
        await ask(port, "@example.invalid/")
        await ask(port, "//example.invalid/x")
    assert len(seen) == 3
    assert all("X-Evil" not in request.headers for request in seen)
    assert all(request.host == f"127.0.0.1:{port}" for request in seen)


async def test_a_closed_port_is_connection_refused() -> None:
    with socket.socket() as held:  # bound and not listening: no other process can take the port meanwhile
        held.bind(("127.0.0.1", 0))
        answer = await ask(held.getsockname()[1])
    assert answer == EndpointAnswer("/healthz", None, "connection refused")


async def test_a_server_that_never_answers_is_given_up() -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await asyncio.Event().wait()

    async with raw_server(hang) as port:
        answer = await ask(port, patience=0.3)
    assert answer == EndpointAnswer("/healthz", None, "no answer in 0.3s")


async def test_a_body_that_never_comes_is_no_answer() -> None:
    async def promise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        await writer.drain()
        await asyncio.Event().wait()

    async with raw_server(promise) as port:
        assert (await ask(port, patience=0.3)).error == "no answer in 0.3s"


async def test_a_body_that_drips_for_ever_is_given_up() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(drip) as port:
        assert (await ask(port, patience=0.4)).error == "no answer in 0.4s"


async def test_a_body_of_ten_gigabytes_is_not_read() -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with raw_server(flood) as port:
        assert (await ask(port)).code == 200
    # Data that fits into the kernel's socket buffers is sent whether it is read or not.
    assert sent < 64 * 2**20


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        (b"\x00\xff\x15\x03\x01 garbage\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "not HTTP"),
        (b"", "connection closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "the answer was cut off"),
    ],
)
async def test_what_is_not_an_answer_is_named_without_quoting_it(words: bytes, phrase: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(words)
        await writer.drain()

    async with raw_server(talk) as port:
        assert await ask(port) == EndpointAnswer("/healthz", None, phrase)


async def test_a_reset_connection_is_named() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, 0 s: close sends a reset
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with raw_server(reset) as port:
        assert (await ask(port)).error in ("connection reset", "connection closed without an answer")


@pytest.fixture
def somebody_elses_certificate(tmp_path: Path) -> ssl.SSLContext:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", "key.pem", "-out", "cert.pem", "-days", "1", "-subj", "/CN=somebody-else"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


async def test_https_is_asked_without_verifying_the_certificate(somebody_elses_certificate: ssl.SSLContext) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    async with http_server(answer, somebody_elses_certificate) as port:
        assert await ask(port, scheme="HTTPS") == EndpointAnswer("/healthz", 200)


async def test_https_to_a_plain_server_is_a_failed_handshake() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    async with http_server(answer) as port:
        assert (await ask(port, scheme="HTTPS")).error == "TLS handshake failed"


async def test_ipv6_addresses_are_called() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    try:
        async with raw_server(talk, "::1") as port, HttpEndpoints(refuse=lambda _: "") as endpoints:
            answer = await endpoints.call(pod("::1"), port, "/healthz", "HTTP")
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert answer.code == 200


async def test_calls_are_bounded_and_waiting_for_a_turn_costs_no_call_its_time() -> None:
    running = most = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.2)
        running -= 1
        return web.Response()

    async with http_server(answer) as port, HttpEndpoints(refuse=lambda _: "", timeout=5) as endpoints:
        calls = [endpoints.call(pod(), port, "/healthz", "HTTP") for _ in range(3 * CONCURRENCY)]
        answers = await asyncio.gather(*calls)
    assert {one.code for one in answers} == {200}
    assert 1 < most <= CONCURRENCY


@pytest.mark.parametrize(
    ("port", "path", "scheme", "error"),
    [
        (0, "/", "HTTP", "the port is not between 1 and 65535"),
        (70000, "/", "HTTP", "the port is not between 1 and 65535"),
        (80, "/", "FTP", "the scheme is neither HTTP nor HTTPS"),
    ],
)
async def test_what_makes_no_url_is_said_and_not_called(port: int, path: str, scheme: str, error: str) -> None:
    assert await ask(port, path, scheme) == EndpointAnswer(path, None, error)


@pytest.mark.parametrize(
    "address",
    ["", "127.0.0.1", "::1", "169.254.169.254", "fe80::1", "::ffff:127.0.0.1", "224.0.0.1", "0.0.0.0", "pod.local"],
)
async def test_addresses_that_are_no_pods_are_refused_without_a_call(address: str) -> None:
    async with HttpEndpoints() as endpoints:
        answer = await endpoints.call(pod(address), 80, "/healthz", "HTTP")
    assert answer.code is None
    assert "pod" in answer.error


def test_a_pod_in_the_hosts_network_is_refused_and_an_ordinary_one_is_not() -> None:
    assert refusal(pod("10.0.0.1", host="10.0.0.1")) == "the pod is in the host's network"
    assert refusal(pod("10.244.0.7", host="10.0.0.1")) == ""
    assert refusal(pod("fd00::7", host="10.0.0.1")) == ""


async def test_it_is_what_the_engine_asks_for() -> None:
    endpoints: Endpoints = HttpEndpoints()
    with pytest.raises(RuntimeError, match="outside"):
        await endpoints.call(pod(), 80, "/", "HTTP")
