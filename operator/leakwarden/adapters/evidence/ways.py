"""The ways to a pod's profiles: directly to its address, or through the API server's pod proxy.

Neither follows redirects, sends anything that could be stolen, or passes on the text of a failed answer.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, Self

import aiohttp
from yarl import URL

from leakwarden import __version__
from leakwarden.adapters.endpoints import refusal
from leakwarden.api.v1alpha1.evidence_reasons import EvidenceReason
from leakwarden.core.model.workload import Pod
from leakwarden.engine.ports import ClusterUnavailable

CONNECT_TIMEOUT = 5.0  # s
CHUNK = 64 * 1024

# Letters, digits and the other characters of handlers' paths; no dots alone, no escapes: the path goes through the API
# server's proxy, and must not lead out of the pod.
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*/?")


@dataclass(frozen=True, slots=True)
class Target:
    """The address of a pod's profiles. `path` is the directory, usually /debug/pprof."""

    pod: Pod
    port: int
    path: str = "/debug/pprof"
    scheme: str = "http"


class Way(Protocol):
    """How a pod is reached."""

    def get(self, target: Target, what: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """GET `what` (with its query) below the target's path. Raises NoAnswer, aiohttp.ClientError, OSError."""
        ...


class NoAnswer(Exception):
    def __init__(self, reason: EvidenceReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Straight:
    """To the pod's address. Certificates are not verified, as by the kubelet: nothing is sent that could be stolen."""

    def __init__(self, refuse: Callable[[Pod], str] = refusal) -> None:
        self._refuse = refuse
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"leakwarden/{__version__}"},
            skip_auto_headers=["Accept-Encoding"],
            auto_decompress=False,
            read_bufsize=CHUNK,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    @asynccontextmanager
    async def get(self, target: Target, what: str) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._http is None:
            raise RuntimeError("Straight is used outside of its context")
        if reason := self._refuse(target.pod):
            raise NoAnswer(EvidenceReason.ADDRESS, reason)
        ip = target.pod.pod_ip
        host = f"[{ip}]" if ":" in ip else ip
        url = URL(f"{target.scheme}://{host}:{target.port}{target.path.rstrip('/')}/{what}")
        async with self._http.get(url, allow_redirects=False) as response:
            yield response


class ApiServer(Protocol):
    """The part of `adapters.cluster.session.Session` that is needed."""

    @property
    def server(self) -> str: ...

    @property
    def server_name(self) -> str | None: ...

    @property
    def http(self) -> aiohttp.ClientSession: ...


class ThroughApiServer:
    """Through the pod proxy of the API server: needs `get` on `pods/proxy`, and no way from the operator to pods."""

    def __init__(self, session: ApiServer, refuse: Callable[[Pod], str] = refusal) -> None:
        self._session = session
        self._refuse = refuse

    @asynccontextmanager
    async def get(self, target: Target, what: str) -> AsyncIterator[aiohttp.ClientResponse]:
        pod = target.pod
        # The API server would reach a node's own ports through a pod in the host's network.
        if reason := self._refuse(pod):
            raise NoAnswer(EvidenceReason.ADDRESS, reason)
        name = f"https:{pod.name}:{target.port}" if target.scheme == "https" else f"{pod.name}:{target.port}"
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{name}/proxy{target.path.rstrip('/')}/{what}"
        # Identity: a compressed answer would be inflated before its size could be checked.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        url = URL(self._session.server + path)
        async with self._session.http.get(
            url, headers=headers, allow_redirects=False, server_hostname=self._session.server_name
        ) as response:
            if response.status in (502, 503, 504):
                response.close()
                raise NoAnswer(EvidenceReason.CLOSED, f"the API server cannot reach the port ({response.status})")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise NoAnswer(EvidenceReason.UNREADABLE, "the answer is compressed though that was declined")
            yield response


def refused(target: Target) -> str:
    """Why no request is sent to such a target; empty where one is."""
    if not _PATH.fullmatch(target.path):
        return "the path is not one of a handler"
    if not 1 <= target.port <= 65535 or target.scheme not in ("http", "https"):
        return "the port or the scheme is not one"
    return ""


def refused_by(status: int) -> NoAnswer:
    if status in (401, 403):
        return NoAnswer(EvidenceReason.FORBIDDEN, f"refused with {status}")
    if status in (404, 405, 501):
        return NoAnswer(EvidenceReason.ABSENT, f"there is no such profile ({status})")
    if 300 <= status < 400:
        return NoAnswer(EvidenceReason.REDIRECT, f"redirected ({status}), which is not followed")
    return NoAnswer(EvidenceReason.STATUS, f"answered with {status}")


def cause_of(error: Exception) -> tuple[EvidenceReason, str]:
    """A cause in words of our own: the error's text may quote the pod's."""
    match error:
        case ClusterUnavailable():
            return EvidenceReason.UNREACHABLE, str(error)
        case aiohttp.ClientSSLError():
            return EvidenceReason.UNREACHABLE, "TLS handshake failed"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return EvidenceReason.UNREACHABLE, "the connection was closed before the end of the answer"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return EvidenceReason.CLOSED, "nobody listens on the port"
        case aiohttp.ClientConnectorError():
            return EvidenceReason.UNREACHABLE, "the pod cannot be reached"
        case aiohttp.ClientOSError() | OSError():
            return EvidenceReason.UNREACHABLE, "the connection failed"
        case _:
            return EvidenceReason.UNREACHABLE, "the answer is not HTTP"
