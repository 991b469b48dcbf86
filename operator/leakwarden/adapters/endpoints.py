"""Calls probe endpoints as the kubelet does, but trusts them less: bounded in time, size and number."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from leakwarden import __version__
from leakwarden.core.model.workload import Pod
from leakwarden.engine.ports import EndpointAnswer

TIMEOUT = 2.0  # s, for connection, answer and the part of the body that is read
BODY = 1024  # bytes; the kubelet reads the body too, so an answer whose body never comes does not count as an answer
CONCURRENCY = 10

_ERRNO = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.EHOSTUNREACH: "no route to the pod",
    errno.ENETUNREACH: "no route to the pod",
    errno.ETIMEDOUT: "connection timed out",
    errno.EMFILE: "the operator is out of descriptors",
}


def refusal(pod: Pod) -> str:
    """Why the pod's address must not be called; empty where it may.

    Its address comes from the cluster, which is not a reason to let a request of ours reach the operator
    itself, a node or a cloud's metadata service.
    """
    if not pod.pod_ip:
        return "the pod has no address"
    try:
        address = ipaddress.ip_address(pod.pod_ip)
    except ValueError:
        return "the pod's address is not an IP address"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        return "the pod's address is not one of a pod"
    if pod.pod_ip == pod.host_ip:
        return "the pod is in the host's network"
    return ""


class HttpEndpoints:
    """`ports.Endpoints` over aiohttp. Use as an async context manager, once for the life of the operator.

    TLS certificates are not verified, as by the kubelet: a probe only tests whether there is an answer, and sends
    nothing that could be stolen. Neither bodies nor the server's error texts leave this class.
    """

    def __init__(self, refuse: Callable[[Pod], str] = refusal, timeout: float = TIMEOUT) -> None:
        self._refuse = refuse
        self._timeout = timeout
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # No connection is kept: the next call may be an hour away and to another pod.
            connector=aiohttp.TCPConnector(ssl=False, limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"leakwarden/{__version__}", "Accept": "*/*"},
            skip_auto_headers=["Accept-Encoding"],
            auto_decompress=False,
            read_bufsize=BODY,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, pod: Pod, port: int, path: str, scheme: str) -> EndpointAnswer:
        """GET the path of the pod. Every failure is in the answer; raises only when used unopened."""
        if self._session is None:
            raise RuntimeError("HttpEndpoints is used outside of its context")
        if reason := self._refuse(pod):
            return EndpointAnswer(path, None, reason)
        try:
            url = _url(pod.pod_ip, port, path, scheme)
        except ValueError as error:
            return EndpointAnswer(path, None, str(error))
        # The slot comes first, so that waiting for it does not use up the call's own time.
        async with self._slots:
            try:
                code = await self._get(self._session, url)
            except TimeoutError:
                return EndpointAnswer(path, None, f"no answer in {self._timeout:g}s")
            except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
                return EndpointAnswer(path, None, _phrase(error))
        return EndpointAnswer(path, code)

    async def _get(self, session: aiohttp.ClientSession, url: URL) -> int:
        async with session.get(url, allow_redirects=False) as response:
            left = BODY
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
            response.close()  # rather than drain the rest, which may have no end
            return response.status


def _url(address: str, port: int, path: str, scheme: str) -> URL:
    """Raises ValueError, in words, where these make no URL."""
    if scheme.upper() not in ("HTTP", "HTTPS"):
        raise ValueError("the scheme is neither HTTP nor HTTPS")
    if not 1 <= port <= 65535:
        raise ValueError("the port is not between 1 and 65535")
    host = f"[{address}]" if ":" in address else address
    rooted = path if path.startswith("/") else f"/{path}"  # as the kubelet does
    try:
        return URL(f"{scheme.lower()}://{host}:{port}{rooted}")
    except ValueError:
        raise ValueError("the path is not one of a URL") from None


def _phrase(error: Exception) -> str:
    """A short phrase for people; never the text of the error, which may quote the server's."""
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "TLS handshake failed"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "connection closed without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer was cut off"
    if isinstance(error, OSError):
        return _ERRNO.get(error.errno or 0, "connection failed")
    # The remaining case is an answer that aiohttp cannot parse.
    return "not HTTP"
