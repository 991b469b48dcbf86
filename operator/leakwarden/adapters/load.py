"""Sends HTTP requests at a given rate to the addresses a user named, and to no others.

An open loop: the next request is sent when it is due, whether or not the last was answered, as real users do. Bounded
in rate, number and requests under way; redirects and proxies are not followed, bodies are read to a bound and thrown
away.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp

from leakwarden import __version__

MOST_RATE = 2000.0  # requests/s; one Python process does not send more evenly
MOST_REQUESTS = 5_000_000
MOST_OPEN = 512  # requests under way; further ones are not sent, and counted as such
TIMEOUT = 5.0  # s for one answer
_BODY = 1024 * 1024  # bytes of an answer that are read
HELD_BACK = "not sent"


# Answers of a rate limit: HTTP's 429 and the status that gRPC maps to it.
TURNED_AWAY = frozenset({"429", "ResourceExhausted"})


@dataclass(slots=True)
class Tally:
    """The results."""

    codes: Counter[int] = field(default_factory=Counter)  # answers by HTTP status
    statuses: Counter[str] = field(default_factory=Counter)  # answers by gRPC status
    failures: Counter[str] = field(default_factory=Counter)  # requests without an answer by cause
    # Latency of each answer; a request that is turned away at once says nothing about latency.
    seconds: array[float] = field(default_factory=lambda: array("d"))

    @property
    def answered(self) -> int:
        return sum(self.codes.values()) + sum(self.statuses.values())

    @property
    def turned_away(self) -> int:
        """Answers of a rate limit; they are among those that are answered, and carry no load."""
        return self.codes[429] + sum(self.statuses[status] for status in TURNED_AWAY)

    @property
    def served(self) -> int:
        """Answers that are no refusal: the service did its work. A wrong path or a rate limit is answered without it."""
        return sum(count for code, count in self.codes.items() if code < 400) + self.statuses["OK"]

    @property
    def due(self) -> int:
        """Answered, failed and not sent alike."""
        return self.answered + sum(self.failures.values())

    @property
    def failed(self) -> int:
        """Requests without an answer or with a status of 500 and above: failures from the users' view."""
        return sum(self.failures.values()) + sum(count for code, count in self.codes.items() if code >= 500)

    def in_words(self) -> str:
        """`200: 5,980, 502: 12, timeout: 8`"""
        parts = [
            *((str(code), n) for code, n in sorted(self.codes.items())),
            *sorted(self.statuses.items()),
            *sorted(self.failures.items()),
        ]
        return ", ".join(f"{name}: {count:,}" for name, count in parts) or "nothing was sent"


class Load:
    """Use as an async context manager; `send` may be called several times, and each has a tally of its own."""

    def __init__(self, urls: Sequence[str], timeout: float = TIMEOUT) -> None:
        self._urls = list(urls)
        self._timeout = timeout
        self._http: aiohttp.ClientSession | None = None
        self._turn = 0

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False, limit=MOST_OPEN),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"leakwarden/{__version__}"},
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

    async def send(self, rate: float, seconds: float, tally: Tally) -> None:
        """Send `rate` requests/s for so long; returns when the last of them is answered or given up. Cancelling it
        cancels the requests under way."""
        rate = min(rate, MOST_RATE)
        number = min(int(rate * seconds), MOST_REQUESTS)
        began = time.monotonic()
        async with asyncio.TaskGroup() as under_way:
            open_now: set[asyncio.Task[None]] = set()
            for n in range(number):
                await asyncio.sleep(max(0.0, began + n / rate - time.monotonic()))
                if len(open_now) >= MOST_OPEN:
                    tally.failures[HELD_BACK] += 1
                    continue
                task = under_way.create_task(self._one(self._next(), tally))
                open_now.add(task)
                task.add_done_callback(open_now.discard)

    def _next(self) -> str:
        """The addresses take turns."""
        self._turn = (self._turn + 1) % len(self._urls)
        return self._urls[self._turn]

    async def _one(self, url: str, tally: Tally) -> None:
        if self._http is None:
            raise RuntimeError("Load is used outside of its context")
        began = time.monotonic()
        try:
            async with self._http.get(url, allow_redirects=False) as response:
                left = _BODY
                while left > 0 and (part := await response.content.read(left)):
                    left -= len(part)
                if left <= 0:
                    response.close()
                tally.codes[response.status] += 1
                if response.status != 429:
                    tally.seconds.append(time.monotonic() - began)
        except TimeoutError:
            tally.failures["timeout"] += 1
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            tally.failures["refused" if refused else "not reached"] += 1
        except (aiohttp.ClientError, OSError):
            tally.failures["broken off"] += 1
