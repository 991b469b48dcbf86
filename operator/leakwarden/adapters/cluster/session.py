"""The one HTTP client of the API server: address, TLS, credentials, timeouts, and errors fit for people."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from leakwarden import __version__
from leakwarden.adapters.cluster.credentials import Connection, ConnectionSource, discover
from leakwarden.adapters.cluster.servertime import ServerTime
from leakwarden.engine.ports import ClusterUnavailable

log = logging.getLogger("leakwarden.cluster")

# Seconds. A request that the API server has not answered by then will get no answer (its own limit is 60 s).
CONNECT_TIMEOUT = 10.0
TOTAL_TIMEOUT = 30.0
# The kubelet renews a mounted token long before it expires; client-go re-reads it every minute too.
REREAD_EVERY = 60.0
# A wrong token must not make every request run a credential plugin.
RELOAD_AT_MOST_EVERY = 5.0
# A page of 500 large Deployments is 5 MB; beyond this something else is answering.
MAX_BODY = 128 * 1024 * 1024
_CHUNK = 1024 * 1024

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """The API server's answer. The body is never shown to people: it may quote a tenant's text."""

    status: int
    body: bytes
    retry_after: float | None = None  # s

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Session:
    """Holds one aiohttp session for the whole operator.

    `http` can be given to other clients of the same API server: a middleware adds the credentials to
    requests for that server (and no other), re-reads them each minute, and on a 401 reloads them and repeats the
    request once.
    """

    def __init__(
        self, source: ConnectionSource, *, timeout: float = TOTAL_TIMEOUT, reread_every: float = REREAD_EVERY
    ) -> None:
        self._source = source
        self._timeout = timeout
        self._reread_every = reread_every
        self._connection: Connection | None = None
        self._http: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self._authorization = ""
        self._read_at = 0.0
        self._reloaded_at = -RELOAD_AT_MOST_EVERY
        self._generation = 0
        self._renewing = asyncio.Lock()
        self.server_time = ServerTime()

    @classmethod
    async def open(cls, kubeconfig: str | None = None, context: str | None = None) -> Self:
        """Find the cluster and prepare the session. Raises ClusterUnavailable when none is configured."""
        session = cls(discover(kubeconfig, context))
        await session.start()
        return session

    async def start(self) -> None:
        """Read the credentials; no request is made yet. Raises ClusterUnavailable with one line for people."""
        connection = await asyncio.to_thread(self._source.load)
        self._tls = await asyncio.to_thread(_tls, connection)
        self._adopt(connection)
        self._http = aiohttp.ClientSession(
            # No limit on connections: each watch keeps one, and a limit would starve the requests that change
            # something.
            connector=aiohttp.TCPConnector(ssl=self._tls or True, limit=0, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=CONNECT_TIMEOUT),
            headers={"User-Agent": f"leakwarden/{__version__}", "Accept": JSON},
            proxy=connection.proxy,
            middlewares=(self._authorize,),
        )

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def server(self) -> str:
        """The API server's address, e.g. https://10.96.0.1:443."""
        return self._open_connection.server

    @property
    def server_name(self) -> str | None:
        """The name that the server's certificate is checked against, where it is not the address's host."""
        return self._open_connection.server_name

    @property
    def http(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise RuntimeError("the session was not started")
        return self._http

    async def authorization(self) -> str:
        """The present Authorization header's value, for the kubelets, which trust the same token. May be empty."""
        await self._renew_if_due()
        return self._authorization

    @property
    def tls(self) -> ssl.SSLContext | None:
        return self._tls

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float | None = None,  # noqa: ASYNC109 - it becomes aiohttp's own
    ) -> Reply:
        """One request, answered with any status. Raises ClusterUnavailable when there was no answer.

        Only requests that the server refused unread (401) are retried here: after a lost answer it is not known whether
        a change was made.
        """
        async with self._sending(
            method, path, query, body=body, content_type=content_type, accept=accept, timeout=self._total(timeout)
        ) as response:
            return await _read(response)

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], accept: str = JSON, idle_timeout: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A watch. No total timeout; `idle_timeout` seconds without a byte end it with ClusterUnavailable."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=idle_timeout)
        async with self._sending(
            "GET", path, query, body=None, content_type=JSON, accept=accept, timeout=timeout
        ) as response:
            yield response

    def _total(self, timeout: float | None) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=timeout or self._timeout, sock_connect=CONNECT_TIMEOUT)

    @asynccontextmanager
    async def _sending(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        *,
        body: bytes | None,
        content_type: str,
        accept: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        connection = self._open_connection
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            async with self.http.request(
                method,
                connection.server + path,
                params=query,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                server_hostname=connection.server_name,
            ) as response:
                self.server_time.hear(response.headers.get("Date"))
                yield response
        except TimeoutError:
            raise ClusterUnavailable(f"the API server at {connection.server} did not answer in time") from None
        except aiohttp.ClientError as error:
            raise ClusterUnavailable(f"the API server at {connection.server} {_why(error)}") from None

    @property
    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the session was not started")
        return self._connection

    def _adopt(self, connection: Connection) -> None:
        self._connection = connection
        self._authorization = connection.authorization
        self._read_at = time.monotonic()
        self._generation += 1

    async def _authorize(
        self,
        request: aiohttp.ClientRequest,
        send: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        if request.url.origin() != URL(self.server).origin():
            return await send(request)
        await self._renew_if_due()
        generation = self._generation
        self._sign(request)
        response = await send(request)
        if response.status != 401 or not await self._reload(generation):
            return response
        response.release()
        self._sign(request)
        return await send(request)

    def _sign(self, request: aiohttp.ClientRequest) -> None:
        if self._authorization:
            request.headers["Authorization"] = self._authorization

    async def _renew_if_due(self) -> None:
        if time.monotonic() - self._read_at < self._reread_every:
            return
        async with self._renewing:
            if time.monotonic() - self._read_at < self._reread_every:
                return
            self._read_at = time.monotonic()
            try:
                self._authorization = await asyncio.to_thread(self._source.renewed)
            except ClusterUnavailable as error:
                # Our credentials may still be valid; the server decides.
                log.warning("credentials could not be re-read", extra={"cause": str(error)})

    async def _reload(self, generation: int) -> bool:
        """After a 401: read the credentials again, once for all requests that met it. False when that cannot help."""
        async with self._renewing:
            if self._generation != generation:
                return True
            if time.monotonic() - self._reloaded_at < RELOAD_AT_MOST_EVERY:
                return False
            self._reloaded_at = time.monotonic()
            try:
                connection = await asyncio.to_thread(self._source.load)
                if self._tls is not None:
                    await asyncio.to_thread(_load_files, self._tls, connection)
            except ClusterUnavailable as error:
                log.warning("credentials could not be reloaded", extra={"cause": str(error)})
                return False
            self._adopt(connection)
            log.info("credentials reloaded after the API server refused them")
            return True


async def _read(response: aiohttp.ClientResponse) -> Reply:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > MAX_BODY:
            raise ClusterUnavailable(f"the API server's answer was over {MAX_BODY // 2**20} MiB and was dropped")
    return Reply(response.status, bytes(body), retry_after(response.headers.get("Retry-After")))


def retry_after(value: str | None) -> float | None:
    """Seconds to wait, from either form of the Retry-After header; at most five minutes, never negative."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(seconds, 0.0), 300.0) if seconds == seconds else None  # NaN is not a wait


def _tls(connection: Connection) -> ssl.SSLContext | None:
    if not connection.server.startswith("https"):
        return None
    context = ssl.create_default_context()
    if not connection.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load_files(context, connection)
    return context


def _load_files(context: ssl.SSLContext, connection: Connection) -> None:
    """The PEM files, into a context in use too: connections made from then on use the new ones."""
    path = connection.ca_file
    try:
        if connection.ca_file:
            context.load_verify_locations(cafile=connection.ca_file)
        if connection.cert_file:
            path = connection.cert_file
            context.load_cert_chain(connection.cert_file, connection.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ClusterUnavailable(f"cannot read the certificates in {path}: {type(error).__name__}") from None


def _why(error: aiohttp.ClientError) -> str:
    """A phrase for the cause. The exception's own text stays out: it can quote the peer's text."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return "has a certificate that the configured CA did not sign, or that is for another name"
        case aiohttp.ClientConnectorDNSError():
            return "has a name that does not resolve"
        case aiohttp.ClientConnectorSSLError():
            return "does not speak TLS as configured"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return "refused the connection"
        case aiohttp.ClientConnectorError():
            return "cannot be reached"
        case aiohttp.ClientPayloadError():
            return "cut its answer short"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "closed the connection"
        case _:
            return f"did not answer properly ({type(error).__name__})"
