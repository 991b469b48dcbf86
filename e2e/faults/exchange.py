"""One request through a proxy, and the effects of faults on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Exchange:
    """A request as the proxy saw it. `status` is the real server's answer, even if the client got another one; None
    before it."""

    number: int  # from 1, in the order of arrival
    at: float  # monotonic s
    method: str
    path: str  # without the query
    query: Mapping[str, str]
    body: bytes
    status: int | None = None
    answered: bytes = b""  # the real server's answer; empty for a stream

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") in ("true", "1")

    @property
    def changes(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS")

    @property
    def told(self) -> Any:
        """The request's body, where it is JSON; else None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Cut(Exception):
    """The connection ends without an answer."""


Forward = Callable[[], Awaitable[Answer]]
# The effect on a request: from the exchange and the way to the real server to the answer. Raises Cut.
Effect = Callable[[Exchange, Forward], Awaitable[Answer]]
Matcher = Callable[[Exchange], bool]


@dataclass
class Fault:
    """An effect on the requests that match: on the next `times` of them, or on all while `times` is None."""

    matches: Matcher
    effect: Effect
    times: int | None = None
    hits: int = 0

    def takes(self, exchange: Exchange) -> bool:
        if (self.times is not None and self.hits >= self.times) or not self.matches(exchange):
            return False
        self.hits += 1
        return True


def requests(method: str = "", path: str = "", *, watch: bool | None = None) -> Matcher:
    """Requests of a method (any, if empty) whose path holds `path`; only watches, or no watches, where that is
    given."""
    return lambda seen: method in ("", seen.method) and path in seen.path and (watch is None or seen.is_watch == watch)


def delayed(seconds: float) -> Effect:
    async def effect(_: Exchange, forward: Forward) -> Answer:
        await asyncio.sleep(seconds)
        return await forward()

    return effect


def answered(status: int, reason: str, message: str, *, retry_after: int | None = None) -> Effect:
    """A Kubernetes Status instead of the real server, which never sees the request."""
    body: dict[str, Any] = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "message": message, "code": status,
    }  # fmt: skip
    headers = {"Content-Type": "application/json"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
        body["details"] = {"retryAfterSeconds": retry_after}
    answer = Answer(status, json.dumps(body).encode(), headers)

    async def effect(_: Exchange, __: Forward) -> Answer:
        return answer

    return effect


def expired() -> Effect:
    """A watch that begins and at once gets the event that its version is too old."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
    line = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"

    async def effect(_: Exchange, __: Forward) -> Answer:
        return Answer(200, line, {"Content-Type": "application/json"})

    return effect


def silent() -> Effect:
    """The connection stays open and no data ever comes."""

    async def effect(_: Exchange, __: Forward) -> Answer:
        await asyncio.Event().wait()
        raise Cut

    return effect


def lost() -> Effect:
    """The server does it, but the answer never arrives."""

    async def effect(_: Exchange, forward: Forward) -> Answer:
        await forward()
        raise Cut

    return effect


def first(stroke: Callable[[], None]) -> Effect:
    """Calls `stroke` before the server gets the request, which it then never gets."""

    async def effect(_: Exchange, __: Forward) -> Answer:
        stroke()
        raise Cut

    return effect


def then(stroke: Callable[[], None]) -> Effect:
    """Calls `stroke` when the server has done it and before the client gets the answer."""

    async def effect(_: Exchange, forward: Forward) -> Answer:
        await forward()
        stroke()
        raise Cut

    return effect


def altered(change: Callable[[Any], Any]) -> Effect:
    """The real answer's JSON, changed on the way."""

    async def effect(_: Exchange, forward: Forward) -> Answer:
        answer = await forward()
        return Answer(answer.status, json.dumps(change(json.loads(answer.body))).encode(), answer.headers)

    return effect
