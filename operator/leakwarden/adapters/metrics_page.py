"""Reads a process's own metrics page, and trusts it little: bounded in bytes and time, no redirects, only known names."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from leakwarden import __version__
from leakwarden.core.watch.scraped import Sample, Scrape, read, wanted

TIMEOUT = 5.0  # s for a whole page
LARGEST = 8 * 1024 * 1024  # bytes; a Go service has tens of KB, one with many labels a few MB
_CHUNK = 64 * 1024
# The text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats), which every exporter still supports.
_HEADERS = {
    "User-Agent": f"leakwarden/{__version__}",
    "Accept": "text/plain;version=0.0.4",
    "Accept-Encoding": "identity",
}


class Unread(Exception):
    """There are no readings of this moment; one line for people, which never quotes the page."""


class MetricsPage:
    """One page, requested again and again over one kept connection. Use as an async context manager.

    Certificates are not verified, as by the kubelet's probes: nothing is sent that could be stolen.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT, largest: int = LARGEST) -> None:
        self._url = URL(url)
        self._timeout = timeout
        self._largest = largest
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False, limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    async def scrape(self) -> Scrape:
        """The readings of now. Raises Unread."""
        if self._http is None:
            raise RuntimeError("MetricsPage is used outside of its context")
        t = time.time()
        try:
            body = await self._get(self._http)
        except TimeoutError:
            raise Unread(f"no answer within {self._timeout:g}s") from None
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            raise Unread("nothing listens there" if refused else "it cannot be reached") from None
        except (aiohttp.ClientError, OSError):
            raise Unread("the connection failed or the answer is not HTTP") from None
        return await asyncio.to_thread(_parsed, body, t)

    async def _get(self, http: aiohttp.ClientSession) -> bytes:
        async with http.get(self._url, allow_redirects=False) as response:
            if response.status != 200:
                response.close()  # rather than read a body of unknown length
                raise Unread(f"it answered HTTP {response.status}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                response.close()
                raise Unread("the page is compressed although that was declined")
            body = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > self._largest:
                    response.close()
                    raise Unread(f"the page is larger than {self._largest} bytes")
            return bytes(body)


def _parsed(body: bytes, t: float) -> Scrape:
    """Raises Unread."""
    names = wanted()
    # Lines of other names are dropped first: parsing costs a hundred times as much as looking for a name.
    lines = [line for line in body.decode("utf-8", "replace").split("\n") if _name(line) in names]
    try:
        families = list(text_string_to_metric_families("\n".join(lines) + "\n"))
        samples = [Sample(s.name, s.labels, float(s.value)) for family in families for s in family.samples]
    except (ValueError, TypeError, IndexError, KeyError):
        raise Unread("the page is not in Prometheus's text format") from None
    return read(samples, t)


def _name(line: str) -> str:
    cut = line.find("{")
    return line[:cut].strip() if cut >= 0 else line.partition(" ")[0]
