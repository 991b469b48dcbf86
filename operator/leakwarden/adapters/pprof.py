"""Takes Go profiles from a pod: goroutines and heap twice with a pause, and the runtime's own list of leaked goroutines.

The pod is the one that misbehaves: it may refuse, hang, send garbage or without end. Whatever it does costs the time
limit and no more, and comes back as a value with a reason.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, Self

import aiohttp
from yarl import URL

from leakwarden import __version__
from leakwarden.adapters.endpoints import refusal
from leakwarden.core.profile.pprof import Limits, Profile, ProfileError, decode
from leakwarden.core.profile.suspects import Capture
from leakwarden.core.workload import Pod
from leakwarden.ports import ClusterUnavailable

TIMEOUT = 15.0  # s for one profile; one of 100,000 goroutines takes under one
BUDGET = 60.0  # s for all of them, the pause included
PAUSE = 5.0  # s between the two captures
CONNECT_TIMEOUT = 5.0  # s
# More goroutines than this are not profiled: collecting them costs the service memory and a pause in proportion.
# (In the form debug=2, which is never asked for, 15,000 stopped a service for 9.5 s: cockroachdb/cockroach#14602.)
MAX_GOROUTINES = 50_000
LIMITS = Limits()
_CHUNK = 64 * 1024

# Letters, digits and what paths of handlers are made of; no dots alone, no escapes: the path goes through the API
# server's proxy, and must not lead out of the pod.
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*/?")


class Miss(StrEnum):
    """Why there is no profile."""

    ADDRESS = "AddressRefused"  # not an address of a pod, or not a path of a handler
    GOROUTINES = "TooManyGoroutines"
    UNKNOWN = "GoroutinesUnknown"  # their number is not known, so neither is what a capture costs
    UNREACHABLE = "Unreachable"
    TIMEOUT = "Timeout"
    FORBIDDEN = "Forbidden"  # 401 or 403, the pod's or the API server's
    ABSENT = "NotAvailable"  # 404: no such handler, or for goroutineleak a Go before 1.27
    REDIRECT = "Redirected"
    STATUS = "Status"
    LARGE = "TooLarge"
    UNREADABLE = "Unreadable"


@dataclass(frozen=True, slots=True)
class Missed:
    profile: str  # the name it would have had; empty: nothing was asked for
    reason: Miss
    message: str  # one line for people; never holds what the pod sent


@dataclass(frozen=True, slots=True)
class Taken:
    """What a pod gave. `raw` are the profiles as they came, by file name, for `go tool pprof`."""

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    raw: Mapping[str, bytes] = field(default_factory=dict)
    missed: tuple[Missed, ...] = ()
    seconds: float = 0.0  # between the first and the second goroutine profile

    def capture(self) -> Capture:
        """For `core.profile.suspects`."""
        return Capture(
            [self.profiles[name] for name in ("goroutine-1", "goroutine-2") if name in self.profiles],
            [self.profiles[name] for name in ("heap-1", "heap-2") if name in self.profiles],
            self.profiles.get("goroutineleak"),
            self.seconds,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where a pod's profiles are. `path` is the directory, usually /debug/pprof."""

    pod: Pod
    port: int
    path: str = "/debug/pprof"
    scheme: str = "http"


class Way(Protocol):
    """How a pod is reached."""

    def get(self, target: Target, what: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """GET `what` (with its query) below the target's path. Raises _NoAnswer, aiohttp.ClientError, OSError."""
        ...


class _NoAnswer(Exception):
    def __init__(self, reason: Miss, message: str) -> None:
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
            read_bufsize=_CHUNK,
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
            raise _NoAnswer(Miss.ADDRESS, reason)
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
    def http(self) -> aiohttp.ClientSession: ...


class ThroughApiServer:
    """Through the pod proxy of the API server: needs `get` on `pods/proxy`, and no way from the operator to pods."""

    def __init__(self, session: ApiServer) -> None:
        self._session = session

    @asynccontextmanager
    async def get(self, target: Target, what: str) -> AsyncIterator[aiohttp.ClientResponse]:
        pod = target.pod
        name = f"https:{pod.name}:{target.port}" if target.scheme == "https" else f"{pod.name}:{target.port}"
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{name}/proxy{target.path.rstrip('/')}/{what}"
        # Identity: what is compressed on the way would be inflated before anybody could look at its size.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        url = URL(self._session.server + path)
        async with self._session.http.get(url, headers=headers, allow_redirects=False) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise _NoAnswer(Miss.UNREADABLE, "the answer is compressed though that was declined")
            yield response


class Profiler:
    """Captures one pod at a time."""

    def __init__(
        self,
        way: Way,
        *,
        timeout: float = TIMEOUT,
        budget: float = BUDGET,
        pause: float = PAUSE,
        max_goroutines: int = MAX_GOROUTINES,
        limits: Limits = LIMITS,
    ) -> None:
        self._way = way
        self._timeout = timeout
        self._budget = budget
        self._pause = pause
        self._max_goroutines = max_goroutines
        self._limits = limits
        self._one = asyncio.Lock()

    async def capture(self, target: Target, goroutines: float | None) -> Taken:
        """Take what the pod gives; `goroutines` is their number as its metrics tell. Never raises for what pods do."""
        if (refused := self._refused(target, goroutines)) is not None:
            return Taken(missed=(refused,))
        async with self._one:
            return await self._capture(target)

    def _refused(self, target: Target, goroutines: float | None) -> Missed | None:
        if goroutines is None or goroutines != goroutines:
            return Missed("", Miss.UNKNOWN, "the number of goroutines is not known, nor is what a capture costs")
        if goroutines > self._max_goroutines:
            return Missed("", Miss.GOROUTINES, f"{goroutines:.0f} goroutines, more than {self._max_goroutines}")
        if not _PATH.fullmatch(target.path):
            return Missed("", Miss.ADDRESS, "the path is not one of a handler")
        if not 1 <= target.port <= 65535 or target.scheme not in ("http", "https"):
            return Missed("", Miss.ADDRESS, "the port or the scheme is not one")
        return None

    async def _capture(self, target: Target) -> Taken:
        ends = time.monotonic() + self._budget
        profiles: dict[str, Profile] = {}
        raw: dict[str, bytes] = {}
        missed: list[Missed] = []

        async def take(name: str, what: str) -> bool:
            """Whether it makes sense to ask this pod for more."""
            try:
                # What is over time as a whole is over time for the next one too.
                async with asyncio.timeout(min(self._timeout, max(0.0, ends - time.monotonic()))):
                    data = await self._get(target, what)
                    profiles[name] = await asyncio.to_thread(decode, data, self._limits)
                raw[f"{name}.pb.gz"] = data
            except ProfileError as error:
                missed.append(Missed(name, Miss.UNREADABLE, f"not a profile: {error}"))
            except _NoAnswer as error:
                missed.append(Missed(name, error.reason, str(error)))
                return error.reason in (Miss.ABSENT, Miss.LARGE, Miss.UNREADABLE)
            except TimeoutError:
                missed.append(Missed(name, Miss.TIMEOUT, f"no profile within {self._timeout:g}s"))
                return False
            except (aiohttp.ClientError, ClusterUnavailable, OSError, ValueError) as error:
                missed.append(Missed(name, Miss.UNREACHABLE, _phrase(error)))
                return False
            return True

        async def sequence() -> float:
            if not await take("goroutine-1", "goroutine"):
                return 0.0
            first = time.monotonic()
            # A collection first, so that the heap's numbers are of this moment and comparable with the next.
            if not await take("heap-1", "heap?gc=1") or not profiles:
                return 0.0
            await asyncio.sleep(self._pause)
            going = await take("goroutine-2", "goroutine")
            seconds = time.monotonic() - first
            if going and await take("heap-2", "heap?gc=1"):
                await take("goroutineleak", "goroutineleak")
            return seconds

        seconds = await sequence()
        return Taken(profiles, raw, tuple(missed), seconds)

    async def _get(self, target: Target, what: str) -> bytes:
        async with self._way.get(target, what) as response:
            if response.status != 200:
                response.close()  # rather than read a body of unknown length
                raise _refusal(response.status)
            body = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > self._limits.compressed:
                    response.close()
                    raise _NoAnswer(Miss.LARGE, f"larger than {self._limits.compressed} bytes")
            return bytes(body)


def _refusal(status: int) -> _NoAnswer:
    if status in (401, 403):
        return _NoAnswer(Miss.FORBIDDEN, f"refused with {status}")
    if status in (404, 405, 501):
        return _NoAnswer(Miss.ABSENT, f"there is no such profile ({status})")
    if 300 <= status < 400:
        return _NoAnswer(Miss.REDIRECT, f"redirected ({status}), which is not followed")
    return _NoAnswer(Miss.STATUS, f"answered with {status}")


def _phrase(error: Exception) -> str:
    """A cause in words of our own: the error's text may quote what the pod sent."""
    match error:
        case ClusterUnavailable():
            return str(error)
        case aiohttp.ClientSSLError():
            return "TLS handshake failed"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return "the connection was closed before the end of the answer"
        case aiohttp.ClientConnectorError():
            return "the connection was refused or found no way"
        case aiohttp.ClientOSError() | OSError():
            return "the connection failed"
        case _:
            return "the answer is not HTTP"
