"""Faults of the Prometheus source: every failure is an answer with a reason, without the server's text."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from leakwarden.adapters.prometheus.client import WORKERS, PrometheusSource
from leakwarden.api.v1alpha1.policy import SignalType
from leakwarden.core.model.readings import Answer, NoData, Query, QueryFailed, Sampled, SeriesKey
from tests.integration.prometheus import fake_prometheus as faults
from tests.integration.prometheus.fake_prometheus import SECRET, FakePrometheus, Fault, prometheus
from tests.integration.prometheus.test_client import START, STEP, USER, ask, builtin, endpoint, points, users

OK = [({"pod": "web-1"}, points(1, 2, 3))]


@pytest.fixture
async def fake() -> AsyncIterator[FakePrometheus]:
    async with prometheus() as server:
        server.series[USER] = OK
        yield server


async def answered(fake: FakePrometheus, *, max_bytes: int = 1 << 20, **changes: Any) -> Answer:
    source = PrometheusSource(endpoint(fake, **changes), bucket=STEP, max_bytes=max_bytes)
    try:
        return await ask(source, users())
    finally:
        await source.close()


def partial(*warnings: str) -> str:
    return json.dumps({"status": "success", "warnings": warnings, "data": {"resultType": "matrix", "result": []}})


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.status(500), "ServerError"),
        (faults.status(429), "ServerError"),
        (faults.status(503), "ServerError"),
        (faults.status(503, "timeout"), "Timeout"),
        (faults.status(422, "timeout"), "Timeout"),
        (faults.status(400, "bad_data"), "BadQuery"),
        (faults.status(422, "execution"), "ExecutionFailed"),
        (faults.status(422, "bad_data"), "BadQuery"),
        (faults.status(401), "Unauthorized"),
        (faults.status(403), "Unauthorized"),
        (faults.status(404), "BadResponse"),
        (faults.redirect(f"http://127.0.0.1:1/{SECRET}"), "BadResponse"),
        (faults.body(f"<html>{SECRET}</html>"), "BadResponse"),
        (faults.body(""), "BadResponse"),
        (faults.body(json.dumps({"status": "error", "error": SECRET})), "BadResponse"),
        (faults.body(json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}})), "BadResponse"),
        (faults.body('{"status":"success","data":{"result":[{"metric":{"pod":"a"},"values":[[1,"one"]]}]}}'), "BadResponse"),
        (faults.body("[" * 100_000), "BadResponse"),
        (faults.body("\xff" + SECRET), "BadResponse"),
        (faults.cut_off(), "BadResponse"),
        (faults.body(" " * (2 << 20)), "TooLarge"),
        (faults.packed(8 << 20), "TooLarge"),
        (faults.body(partial(f"store {SECRET} did not answer")), "PartialResponse"),
        # VictoriaMetrics, while a part of its stores is away.
        (faults.body('{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}'), "PartialResponse"),
    ],
)  # fmt: skip
async def test_a_failure_is_an_answer_with_its_reason_and_nothing_of_the_servers(
    fake: FakePrometheus, fault: Fault, reason: str
) -> None:
    fake.fault = fault
    answer = await answered(fake)
    assert isinstance(answer, QueryFailed), answer
    assert answer.reason == reason
    assert answer.message.startswith("Prometheus main: ")
    assert answer.message.isprintable()
    assert SECRET not in answer.message


async def test_remarks_about_the_query_are_no_missing_data(fake: FakePrometheus) -> None:
    fake.warnings = ["PromQL info: metric might not be a counter", "PromQL warning: a mix of histograms and floats"]
    assert isinstance(await answered(fake), Sampled)


async def test_where_there_is_nothing_some_servers_write_null(fake: FakePrometheus) -> None:
    """Google's frontend, Cortex and old Prometheus."""
    fake.fault = faults.body('{"status":"success","isPartial":false,"data":{"resultType":"matrix","result":null}}')
    answer = await answered(fake)
    assert isinstance(answer, NoData)
    assert answer.reason == "NoSeries"


NAMESPACES = tuple(f"team-{n}" for n in range(7))
HOSTILE = "team-3"


def _too_much_of(hostile: str) -> Fault:
    """A server whose answer is too large as soon as it holds that namespace."""

    async def fault(request: web.Request) -> web.StreamResponse:
        asked = {**request.query, **(await request.post())}["query"]
        if hostile in re.findall(r"team-\d+", str(asked)):
            return web.Response(body=b" " * (2 << 20))
        series = [
            {"metric": {"namespace": name, "pod": "p"}, "values": [[START + STEP, "5"]]}
            for name in re.findall(r"team-\d+", str(asked))
        ]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": series}})

    return fault


async def test_a_namespace_whose_readings_are_too_much_costs_itself_and_is_named(
    fake: FakePrometheus, caplog: pytest.LogCaptureFixture
) -> None:
    """One pod that exported 15,000 series once hid the descriptors of every other pod of the cluster."""
    fake.fault = _too_much_of(HOSTILE)
    source = PrometheusSource(endpoint(fake), bucket=STEP, max_bytes=1 << 20)
    try:
        query = builtin(SignalType.SOCKETS, *NAMESPACES)
        answer = await ask(source, query)
        assert isinstance(answer, Sampled)
        assert {key.namespace for key in answer.series} == {*NAMESPACES} - {HOSTILE}
        assert set(answer.failed) == {HOSTILE}
        assert answer.failed[HOSTILE].reason == "TooLarge"
        assert answer.failed[HOSTILE].message.endswith(f"for namespace {HOSTILE} alone")
        assert HOSTILE in str(vars(caplog.records[-1])["namespaces"])
        asked = len(fake.asked)
        assert asked <= 2 * 3 + 1 + 2, "by halves, not one by one"
        again = await ask(source, builtin(SignalType.SOCKETS, *NAMESPACES, "team-9"))
        assert isinstance(again, Sampled)
        assert {key.namespace for key in again.series} == {*NAMESPACES, "team-9"} - {HOSTILE}
        assert len(fake.asked) - asked < asked, "what was found stands for a while"
    finally:
        await source.close()


async def test_the_queries_of_one_namespace_leave_those_of_others_their_turn(fake: FakePrometheus) -> None:
    over = asyncio.Event()
    hanging = [f"hangs_{i}" for i in range(6 * WORKERS)]
    fake.faults = {name: faults.silence(over) for name in hanging}
    mine = Query("PromQL/bank/1", USER, None, frozenset({"bank"}), confined=True)
    queries = [Query(name, name, None, frozenset({"shop"}), confined=True) for name in hanging] + [mine]
    source = PrometheusSource(endpoint(fake, timeout="400ms"), bucket=STEP)
    try:
        answers = await source.read(queries, START, START + 3 * STEP, STEP)
        assert not isinstance(answers[mine.key], QueryFailed)
    finally:
        over.set()
        await source.close()


async def test_nobody_listening_is_unreachable(fake: FakePrometheus) -> None:
    with socket.socket() as held:  # bound and not listening: no other process can take the port meanwhile
        held.bind(("127.0.0.1", 0))
        fake.url = f"http://127.0.0.1:{held.getsockname()[1]}"
        assert await answered(fake) == QueryFailed("Unreachable", "Prometheus main: it cannot be reached")


async def test_a_redirect_is_not_followed(fake: FakePrometheus) -> None:
    fake.fault = faults.redirect(f"{fake.url}/api/v1/query_range?query=elsewhere")
    await answered(fake)
    assert len(fake.asked) == 1


@pytest.mark.parametrize("make", [faults.silence, faults.drip])
async def test_a_server_that_does_not_finish_is_given_up(fake: FakePrometheus, make: Any) -> None:
    over = asyncio.Event()
    fake.fault = make(over)
    try:
        answer = await answered(fake, timeout="300ms")
    finally:
        over.set()
    assert isinstance(answer, QueryFailed)
    assert answer.reason == "Timeout"


async def test_queries_that_hang_leave_the_others_their_turn_and_the_loop_its_freedom(fake: FakePrometheus) -> None:
    over = asyncio.Event()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    hanging = [f"hangs_{i}" for i in range(4 * WORKERS)]
    fake.faults = {name: faults.silence(over) for name in hanging}
    queries = [users(USER)] + [Query(name, name, None, frozenset({"shop"}), confined=True) for name in hanging]
    source = PrometheusSource(endpoint(fake, timeout="500ms"), bucket=STEP)
    counting = asyncio.create_task(count_turns())
    try:
        answers = await source.read(queries, START, START + 3 * STEP, STEP)
    finally:
        over.set()
        counting.cancel()
        await source.close()
    assert set(answers) == {query.key for query in queries}
    assert isinstance(answers[queries[0].key], Sampled)
    failures = [answers[name] for name in hanging]
    assert all(isinstance(failure, QueryFailed) and failure.reason == "Timeout" for failure in failures)
    assert turns > 5


async def test_proxies_and_passwords_of_the_environment_are_not_used(
    fake: FakePrometheus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert isinstance(await answered(fake), Sampled)
    assert "Authorization" not in fake.asked[0].headers


async def test_the_headers_of_the_configuration_are_sent(fake: FakePrometheus) -> None:
    await answered(fake, headers={"X-Scope-OrgID": "team-a"})
    assert fake.asked[0].headers["X-Scope-OrgID"] == "team-a"
    assert fake.asked[0].headers["User-Agent"].startswith("leakwarden/")


def rotate(directory: Path, **contents: str) -> None:
    """Replace the files of a mounted Secret as the kubelet does: a new directory, and the symlink moved."""
    fresh = directory / f"..{len(list(directory.iterdir()))}"
    fresh.mkdir()
    for name, text in contents.items():
        (fresh / name).write_text(text)
        os.utime(fresh / name, (1, 1))  # the same time and size as before: only the file is another
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(Path("..data") / name)
    moved = directory / "..tmp"
    moved.symlink_to(fresh.name)
    moved.replace(directory / "..data")


async def test_a_token_that_was_rotated_is_used_from_the_next_request_on(fake: FakePrometheus, tmp_path: Path) -> None:
    rotate(tmp_path, token="first\n")
    source = PrometheusSource(endpoint(fake, bearerTokenFile=str(tmp_path / "token")), bucket=STEP)
    fake.wanted_authorization = "Bearer first"
    assert isinstance(await ask(source, users()), Sampled)
    rotate(tmp_path, token="other\n")
    fake.wanted_authorization = "Bearer other"
    assert isinstance(await ask(source, users()), Sampled)
    assert len(fake.asked) == 2
    await source.close()


async def test_a_token_that_is_refused_is_read_again_once(fake: FakePrometheus, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    source = PrometheusSource(endpoint(fake, bearerTokenFile=str(token)), bucket=STEP)
    fake.wanted_authorization = "Bearer first"
    assert isinstance(await ask(source, users()), Sampled)
    # Written in place within one tick of the file system's clock: only its content shows the change.
    stamp = os.stat(token)
    token.write_text("other")
    os.utime(token, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    fake.wanted_authorization = "Bearer other"
    assert isinstance(await ask(source, users()), Sampled)
    fake.wanted_authorization = "Bearer third"
    fake.asked.clear()
    answer = await ask(source, users())
    assert answer == QueryFailed("Unauthorized", "Prometheus main: it refuses the credentials (HTTP 401)")
    assert len(fake.asked) == 1
    await source.close()


async def test_basic_authentication_reads_both_files(fake: FakePrometheus, tmp_path: Path) -> None:
    (tmp_path / "user").write_text("ann\n")
    (tmp_path / "password").write_text("p:w\n")
    fake.wanted_authorization = "Basic YW5uOnA6dw=="
    basic = {"usernameFile": str(tmp_path / "user"), "passwordFile": str(tmp_path / "password")}
    assert isinstance(await answered(fake, basic=basic), Sampled)


@pytest.mark.parametrize("content", [None, "", "two\nlines", "s3cr3t\x00", "x" * 70_000])
async def test_a_credential_that_cannot_be_used_is_named_by_its_path_only(
    fake: FakePrometheus, tmp_path: Path, content: str | None
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    answer = await answered(fake, bearerTokenFile=str(token))
    assert isinstance(answer, QueryFailed)
    assert answer.reason == "CredentialsUnreadable"
    assert str(token) in answer.message
    assert "s3cr3t" not in answer.message
    assert "two" not in answer.message
    assert fake.asked == []


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with cert.pem and key.pem for 127.0.0.1, its own authority."""
    directory = tmp_path_factory.mktemp("certificate")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=prometheus"
        " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
    return directory


async def tls_answer(certificate: Path, client_certificate: bool, **tls: Any) -> Answer:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    if client_certificate:
        context.load_verify_locations(certificate / "cert.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    async with prometheus(context) as fake:
        fake.series[USER] = OK
        return await answered(fake, tls=tls)


async def test_a_server_with_a_certificate_of_our_authority_is_believed(certificate: Path) -> None:
    answer = await tls_answer(certificate, False, caFile=str(certificate / "cert.pem"))
    assert isinstance(answer, Sampled)
    assert answer.series[SeriesKey("shop", "web-1")].v.tolist() == [1, 2, 3]


async def test_a_server_with_another_certificate_is_not(certificate: Path) -> None:
    answer = await tls_answer(certificate, False)
    assert isinstance(answer, QueryFailed)
    assert answer.reason == "Unreachable"
    assert "TLS" in answer.message


async def test_a_server_is_believed_unseen_only_where_the_configuration_says_so(certificate: Path) -> None:
    assert isinstance(await tls_answer(certificate, False, insecureSkipVerify=True), Sampled)


async def test_a_server_that_wants_to_know_us_gets_our_certificate(certificate: Path) -> None:
    ours = {"certFile": str(certificate / "cert.pem"), "keyFile": str(certificate / "key.pem")}
    authority = str(certificate / "cert.pem")
    assert isinstance(await tls_answer(certificate, True, caFile=authority, **ours), Sampled)
    assert isinstance(await tls_answer(certificate, True, caFile=authority), QueryFailed)


async def test_a_missing_certificate_is_named(certificate: Path) -> None:
    missing = str(certificate / "missing.pem")
    assert await tls_answer(certificate, False, caFile=missing) == QueryFailed(
        "CredentialsUnreadable", f"Prometheus main: {missing}: No such file or directory"
    )
