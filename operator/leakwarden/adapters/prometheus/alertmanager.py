"""Active silences, from Alertmanager's API v2. Their comments are not read; ids and matchers are enough."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from leakwarden.adapters.prometheus.bounded_get import GetFailed, bounded_get
from leakwarden.adapters.prometheus.credentials import EndpointCredentials
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.core.guards.silences import Matcher, Silence, Silences

MAX_BYTES = 8 << 20  # of one answer; a silence is about a kilobyte


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
                said = str(answer) if isinstance(answer, GetFailed) else f"it failed ({type(answer).__name__})"
                troubles.append(f"Alertmanager {endpoint.name}: {said}")
            else:
                found += answer
        return Silences(tuple(found), "; ".join(troubles))

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _ask(endpoint: Endpoint, credentials: EndpointCredentials) -> list[Silence]:
    """Raises GetFailed."""
    try:
        silences = _DECODER.decode(bounded_get(endpoint, credentials, "/api/v2/silences", most=MAX_BYTES))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise GetFailed("its answer is not one of the Alertmanager API v2") from None
    return [
        Silence(each.id, tuple(Matcher(m.name, m.value, m.is_regex, m.is_equal) for m in each.matchers))
        for each in silences
        if each.status.state == "active"
    ]
