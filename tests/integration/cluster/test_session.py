"""The way to the API server: credentials that rotate, files that are wrong, servers that are away."""

from __future__ import annotations

import logging
from pathlib import Path

import aiohttp
import pytest

from leakwarden.adapters.cluster import Session
from leakwarden.adapters.cluster.credentials import Connection, InCluster, Kubeconfig, discover
from leakwarden.engine.ports import ClusterUnavailable
from tests.integration.cluster.fake_api_objects import kubeconfig, session_to
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault

PATH = "/api/v1/pods"
# A certificate authority is needed by the loader, but never read over plain HTTP.
SERVICE_ENV = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


async def test_a_rotated_token_is_read_again_when_the_old_one_is_refused(tmp_path: Path) -> None:
    async with FakeApiServer(token="first") as api, session_to(api, tmp_path) as session:
        assert (await session.ask("GET", PATH)).status == 200
        api.token = "second"
        (tmp_path / "token").write_text("second\n")
        assert (await session.ask("GET", PATH)).status == 200
        sent = [request.authorization for request in api.requests]
        assert sent == ["Bearer first", "Bearer first", "Bearer second"]


async def test_a_change_that_was_refused_for_an_old_token_is_made_once(tmp_path: Path) -> None:
    async with FakeApiServer(token="first") as api, session_to(api, tmp_path) as session:
        api.token = "second"
        (tmp_path / "token").write_text("second")
        body = b'{"metadata":{"name":"e","namespace":"team"}}'
        reply = await session.ask("POST", "/apis/events.k8s.io/v1/namespaces/team/events", body=body)
        assert reply.status == 201
        assert [request.body["metadata"]["name"] for request in api.asked("POST")] == ["e", "e"]
        assert len(api.all("events")) == 1


async def test_credentials_that_are_really_wrong_end_in_a_401(tmp_path: Path) -> None:
    async with FakeApiServer(token="first") as api, session_to(api, tmp_path) as session:
        api.token = "another"
        assert (await session.ask("GET", PATH)).status == 401
        assert (await session.ask("GET", PATH)).status == 401
        # The second refusal comes too soon to read everything again.
        assert len(api.requests) == 3


async def test_a_token_file_is_read_again_in_time_without_being_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("x")
    (tmp_path / "token").write_text("first")
    source = InCluster(tmp_path, SERVICE_ENV)
    assert source.load().authorization == "bearer first"
    (tmp_path / "token").write_text("second\n")
    assert source.renewed() == "bearer second"
    assert source.load().server == "https://127.0.0.1:6443"


class Rotating:
    """Credentials whose token is another at each reading."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._count = 0

    def load(self) -> Connection:
        return Connection(self._server, authorization=self.renewed())

    def renewed(self) -> str:
        self._count += 1
        return f"Bearer t{self._count}"


async def test_a_token_is_renewed_once_it_is_due(tmp_path: Path) -> None:
    async with FakeApiServer() as api, Session(Rotating(api.url), reread_every=0.0) as session:
        await session.ask("GET", PATH)
        await session.ask("GET", PATH)
        assert [request.authorization for request in api.requests] == ["Bearer t2", "Bearer t3"]
        assert await session.authorization() == "Bearer t4"


async def test_a_token_that_cannot_be_read_any_more_is_used_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Rotating):
        def renewed(self) -> str:
            if self._count:
                raise ClusterUnavailable("the token file is gone")
            return super().renewed()

    async with FakeApiServer() as api, Session(Broken(api.url), reread_every=0.0) as session:
        with caplog.at_level(logging.WARNING):
            assert (await session.ask("GET", PATH)).status == 200
        assert api.requests[0].authorization == "Bearer t1"
        assert "credentials could not be re-read" in caplog.text


async def test_our_token_is_not_given_to_another_server(tmp_path: Path) -> None:
    async with FakeApiServer(token="first") as api, FakeApiServer() as other, session_to(api, tmp_path) as session:
        async with session.http.get(other.url + PATH) as response:
            assert response.status == 200
        async with session.http.get(api.url + PATH) as response:
            assert response.status == 200
        assert [request.authorization for request in other.requests] == [""]
        assert [request.authorization for request in api.requests] == ["Bearer first"]


async def test_a_server_that_refuses_connections_is_named(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        url = api.url
    async with Session(Kubeconfig(str(kubeconfig(tmp_path, url)))) as session:
        with pytest.raises(ClusterUnavailable) as error:
            await session.ask("GET", PATH)
    assert str(error.value) == f"the API server at {url} refused the connection"


@pytest.mark.parametrize(
    ("fault", "words"),
    [(Fault(hang=True), "did not answer in time"), (Fault(cut=True), "closed the connection")],
)
async def test_a_server_that_does_not_answer_is_told_in_one_line(tmp_path: Path, fault: Fault, words: str) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path, timeout=0.5) as session:
        api.fail("PATCH", "pods", fault)
        with pytest.raises(ClusterUnavailable, match=words):
            await session.ask("PATCH", PATH, body=b"{}")


async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    async with FakeApiServer(token="t") as api, FakeApiServer() as other, session_to(api, tmp_path) as session:
        api.fail("GET", "pods", Fault(status=302, location=other.url + PATH))
        assert (await session.ask("GET", PATH)).status == 302
        assert not other.requests


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not: [a kubeconfig",
        "current-context: missing\n",
        "[]",
        "apiVersion: v1\nkind: Config\n",
        "a: " + "[" * 20_000,
        "a: !!bool maybe\n",
        "a: !!int ''\n",
        "a: !!timestamp soon\n",
    ],
    ids=lambda text: text[:30],
)
async def test_a_wrong_kubeconfig_is_one_clear_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ClusterUnavailable) as error:
        await Session(Kubeconfig(str(path))).start()
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


async def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "ca.crt").write_text("not a certificate")
    with pytest.raises(ClusterUnavailable, match=r"cannot read the certificates in .*ca\.crt"):
        await Session(InCluster(tmp_path, SERVICE_ENV)).start()


async def test_a_missing_service_account_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterUnavailable, match="service account"):
        await Session(InCluster(tmp_path, SERVICE_ENV)).start()


def test_where_the_cluster_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ClusterUnavailable, match="no cluster is configured"):
        discover()
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("{}")
    assert isinstance(discover(), Kubeconfig)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert isinstance(discover(), InCluster)
    monkeypatch.setenv("KUBECONFIG", "/elsewhere")
    assert isinstance(discover(), Kubeconfig)


def test_a_connection_never_prints_its_token() -> None:
    assert "secret" not in repr(Connection("https://x", authorization="Bearer secret"))


async def test_kopf_style_clients_can_share_the_session(tmp_path: Path) -> None:
    """Other clients only use aiohttp: credentials must be added without their help."""
    async with FakeApiServer(token="first") as api, session_to(api, tmp_path) as session:
        http: aiohttp.ClientSession = session.http
        api.token = "second"
        (tmp_path / "token").write_text("second")
        async with http.get(f"{api.url}{PATH}") as response:
            assert response.status == 200
