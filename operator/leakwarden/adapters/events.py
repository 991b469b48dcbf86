"""Events in events.k8s.io/v1, as few as the story needs.

Equal Events become a series on one Event (a counter and a time), each object has a budget of writes, and a lost Event
is counted and dropped: an Event only informs, so it must neither delay nor stop anything.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from leakwarden.adapters.cluster.fence import Fence
from leakwarden.adapters.cluster.session import Reply, Session
from leakwarden.api.names import REPORTING_CONTROLLER
from leakwarden.engine.ports import Announcement, ClusterUnavailable, ObjectRef

log = logging.getLogger("leakwarden.events")

# As client-go's event correlator does: 25 at once for one object, then one each 5 minutes.
BURST = 25
REFILL_SECONDS = 300.0
REMEMBERED = 4096
# A series ends when no equal Event came for this long; the next one is an Event of its own.
SERIES_SECONDS = 600.0
QUEUE = 1000
# The API server's limits: the note in bytes, the others in characters.
MAX_NOTE = 1024
MAX_WORD = 128
MAX_NAME = 253

Key: TypeAlias = tuple[str, str, str, str, bool]


@dataclass(slots=True)
class _Series:
    """An Event that exists, and its count, including occurrences that were not written yet."""

    namespace: str
    name: str
    count: int
    last: float  # monotonic s


@dataclass(slots=True)
class _Budget:
    tokens: float
    at: float  # monotonic s


@dataclass(frozen=True, slots=True)
class RecorderStats:
    """Counters since the start. `suppressed` Events exceeded an object's budget, `dropped` ones the queue."""

    created: int
    continued: int
    suppressed: int
    dropped: int
    failed: int
    waiting: int


class EventRecorder:
    """Implements ports.Recorder. `announce` only queues; a task of its own writes. `stop` before the session closes.

    `instance` names the reporting process, usually the pod's name (default: the host name, which in a pod is the same).
    With a `fence`, Events that would be written after the end of leadership are dropped: the next leader reports its
    own findings.
    """

    def __init__(
        self,
        session: Session,
        instance: str = "",
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        fence: Fence | None = None,
    ) -> None:
        self._session = session
        self._fence = fence
        self._instance = (instance or os.environ.get("POD_NAME") or socket.gethostname() or "unknown")[:MAX_WORD]
        self._clock = clock
        self._wall = wall
        self._queue: deque[tuple[Announcement, float]] = deque()
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._series: OrderedDict[Key, _Series] = OrderedDict()
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._created = self._continued = self._suppressed = self._dropped = self._failed = 0
        self._causes: set[str] = set()

    async def announce(self, announcements: Sequence[Announcement]) -> None:
        """Queue Events to be written. Never raises and never waits for the API server."""
        for announcement in announcements:
            if len(self._queue) >= QUEUE:
                # The newest Event is dropped: the older ones show how the trouble began.
                self._dropped += 1
                self._complain("the queue is full")
                continue
            self._queue.append((announcement, self._wall()))
        if self._queue:
            self._idle.clear()
            self._ready.set()
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._work())

    async def stop(self, grace: float = 5.0) -> None:
        """Write the queued Events, for at most `grace` seconds, and end."""
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self._idle.wait(), grace)
        except TimeoutError:
            log.warning("events left unwritten", extra={"waiting": len(self._queue)})
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    def stats(self) -> RecorderStats:
        return RecorderStats(
            created=self._created,
            continued=self._continued,
            suppressed=self._suppressed,
            dropped=self._dropped,
            failed=self._failed,
            waiting=len(self._queue),
        )

    async def _work(self) -> None:
        while True:
            await self._ready.wait()
            while self._queue:
                announcement, at = self._queue.popleft()
                try:
                    await self._record(announcement, at)
                except ClusterUnavailable as error:
                    self._fail(str(error))
                except Exception as error:
                    self._fail(f"unexpected {type(error).__name__}")
            self._ready.clear()
            self._idle.set()

    async def _record(self, announcement: Announcement, at: float) -> None:
        key = _key(announcement)
        series = self._ongoing(key)
        if series is not None:
            # Counted even when it may not be written now: the next write carries the sum.
            series.count += 1
            series.last = self._clock()
        if not announcement.essential and not self._may_write(announcement.regarding):
            self._suppressed += 1
            return
        if series is None or not await self._continue(key, series, at):
            await self._create(key, announcement, at)

    def _ongoing(self, key: Key) -> _Series | None:
        series = self._series.get(key)
        if series is None or self._clock() - series.last > SERIES_SECONDS:
            self._series.pop(key, None)
            return None
        self._series.move_to_end(key)
        return series

    def _may_write(self, regarding: ObjectRef) -> bool:
        """A token bucket for each object, so that one flapping pod cannot fill etcd."""
        now = self._clock()
        budget = self._budgets.setdefault(regarding.uid or _where(regarding), _Budget(BURST, now))
        self._budgets.move_to_end(regarding.uid or _where(regarding))
        _forget(self._budgets)
        budget.tokens = min(BURST, budget.tokens + (now - budget.at) / REFILL_SECONDS)
        budget.at = now
        if budget.tokens < 1.0:
            return False
        budget.tokens -= 1.0
        return True

    async def _continue(self, key: Key, series: _Series, at: float) -> bool:
        """Raise the count on the Event that exists. False when it has expired there, so that a new one is due."""
        body = {"series": {"count": series.count, "lastObservedTime": _micro_time(at)}}
        path = f"{_path(series.namespace)}/{series.name}"
        reply = await self._write("PATCH", path, body, "application/merge-patch+json")
        if reply.status == 404:
            self._series.pop(key, None)
            return False
        if self._went_well(reply):
            self._continued += 1
        return True

    async def _create(self, key: Key, announcement: Announcement, at: float) -> None:
        regarding = announcement.regarding
        namespace = regarding.namespace or "default"
        suffix = f".{secrets.token_hex(8)}"
        name = regarding.name[: MAX_NAME - len(suffix)].rstrip(".-") + suffix
        body: dict[str, Any] = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": _micro_time(at),
            "reportingController": REPORTING_CONTROLLER,
            "reportingInstance": self._instance,
            "action": announcement.action[:MAX_WORD],
            "reason": announcement.reason[:MAX_WORD],
            "regarding": _reference(regarding),
            "note": cut(announcement.note, MAX_NOTE),
            "type": "Warning" if announcement.warning else "Normal",
        }
        if announcement.related is not None:
            body["related"] = _reference(announcement.related)
        reply = await self._write("POST", _path(namespace), body)
        if self._went_well(reply):
            self._created += 1
            self._series[key] = _Series(namespace, name, 1, self._clock())
            _forget(self._series)

    async def _write(
        self, method: str, path: str, body: Mapping[str, Any], content_type: str = "application/json"
    ) -> Reply:
        """The only place that writes. Raises ClusterUnavailable, also where this replica does not lead."""
        async with self._fence.passing() if self._fence is not None else nullcontext():
            return await self._session.ask(method, path, body=json.dumps(body).encode(), content_type=content_type)

    def _went_well(self, reply: Reply) -> bool:
        if reply.ok:
            self._causes.clear()
            return True
        right = " (the right to create and patch events.events.k8s.io is missing)" if reply.status == 403 else ""
        self._fail(f"the API server answered {reply.status}{right}")
        return False

    def _fail(self, cause: str) -> None:
        self._failed += 1
        self._complain(cause)

    def _complain(self, cause: str) -> None:
        """Logs one line per cause, until a write succeeds."""
        if cause not in self._causes:
            self._causes.add(cause)
            log.warning("an Event could not be recorded", extra={"cause": cause})


def cut(text: str, limit: int) -> str:
    """`text` within `limit` bytes of UTF-8, never in the middle of a character, and visibly cut."""
    encoded = text.encode("utf-8", errors="replace")
    if len(encoded) <= limit:
        return encoded.decode()
    mark = "..."
    return encoded[: limit - len(mark)].decode(errors="ignore") + mark


def _key(announcement: Announcement) -> Key:
    """The fields in which equal Events agree. The note is not one of them: it contains numbers, which differ each
    time."""
    related = announcement.related
    return (
        announcement.regarding.uid or _where(announcement.regarding),
        announcement.reason,
        announcement.action,
        (related.uid or _where(related)) if related else "",
        announcement.warning,
    )


def _where(ref: ObjectRef) -> str:
    return f"{ref.kind}/{ref.namespace}/{ref.name}"


def _reference(ref: ObjectRef) -> Mapping[str, str]:
    fields = {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "uid": ref.uid,
    }
    return {key: value for key, value in fields.items() if value}


def _path(namespace: str) -> str:
    return f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"


def _micro_time(at: float) -> str:
    """Kubernetes' MicroTime: exactly six digits, or the API server refuses it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _forget(remembered: OrderedDict[Any, Any]) -> None:
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)
