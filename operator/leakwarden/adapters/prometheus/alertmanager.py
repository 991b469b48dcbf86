"""Active silences, from Alertmanager's API v2. Their comments are not read; ids and matchers are enough."""

from __future__ import annotations

import asyncio
import http.cookiejar
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import requests

from leakwarden import __version__
from leakwarden.adapters.prometheus.credentials import CredentialsUnreadable, EndpointCredentials
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.core.guards.silences import Matcher, Silence, Silences

MAX_BYTES = 8 << 20  # of one answer; a silence is about a kilobyte
_CHUNK = 1 << 16


class _Matcher(msgspec.Struct, rename="camel"):
    name: str
    value: str
    is_regex: bool
    is_equal: bool = True


class _State(msgspec.Struct):
    state: str


class _Silence(msgspec.Struct):
    id: str
    status: _State
    matchers: list[_Matcher]


_DECODER = msgspec.json.Decoder(list[_Silence])


class _Failed(Exception):
    """One line for people, without any text of the server."""


class AlertmanagerSilences:
    """The SilenceSource port on the configured Alertmanagers, of which all must answer: each may have silences that the
    others do not have."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = [(endpoint, EndpointCredentials(endpoint)) for endpoint in endpoints]
        self._threads = ThreadPoolExecutor(max(1, len(endpoints)), thread_name_prefix="alertmanager")

    async def active(self) -> Silences:
        loop = asyncio.get_running_loop()
        asked = [loop.run_in_executor(self._threads, _ask, endpoint, known) for endpoint, known in self._endpoints]
        found: list[Silence] = []
        troubles = []
        for (endpoint, _), answer in zip(
            self._endpoints, await asyncio.gather(*asked, return_exceptions=True), strict=True
        ):
            if isinstance(answer, BaseException):
                said = str(answer) if isinstance(answer, _Failed) else f"it failed ({type(answer).__name__})"
                troubles.append(f"Alertmanager {endpoint.name}: {said}")
            else:
                found += answer
        return Silences(tuple(found), "; ".join(troubles))

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _ask(endpoint: Endpoint, credentials: EndpointCredentials) -> list[Silence]:
    try:
        body = _get(endpoint, credentials)
        silences = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _Failed("its answer is not one of the Alertmanager API v2") from None
    except CredentialsUnreadable as error:
        raise _Failed(str(error)) from None
    except requests.Timeout:
        raise _Failed(f"it did not answer within {endpoint.timeout:g}s") from None
    except requests.RequestException:
        raise _Failed("it cannot be reached") from None
    return [
        Silence(each.id, tuple(Matcher(m.name, m.value, m.is_regex, m.is_equal) for m in each.matchers))
        for each in silences
        if each.status.state == "active"
    ]


def _get(endpoint: Endpoint, credentials: EndpointCredentials) -> bytes:
    """The body, within the endpoint's timeout and MAX_BYTES. No redirects, cookies, proxies or netrc."""
    verify, certificate = credentials.tls()
    headers = {**endpoint.headers, "User-Agent": f"leakwarden/{__version__}", "Accept": "application/json"}
    if (authorization := credentials.authorization()) is not None:
        headers["Authorization"] = authorization
    deadline = time.monotonic() + endpoint.timeout
    with requests.Session() as session:
        session.trust_env = False
        session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        with session.get(
            f"{endpoint.url}/api/v2/silences", headers=headers, verify=verify, cert=certificate,
            timeout=endpoint.timeout, allow_redirects=False, stream=True,
        ) as response:  # fmt: skip
            if response.status_code != 200:
                raise _Failed(f"it answered HTTP {response.status_code}")
            body = bytearray()
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > MAX_BYTES:
                    raise _Failed(f"its answer is larger than {MAX_BYTES >> 20} MiB")
                if time.monotonic() > deadline:
                    raise _Failed(f"it did not finish its answer within {endpoint.timeout:g}s")
            return bytes(body)
