"""LIST, then WATCH, without end: one reflector keeps one kind (in one namespace, or all) mirrored in a sink.

    list pages ──► set difference ──► watch from the list's version ──► bookmark, event, event ...
        ▲                                   │ closed, cut, idle   │ 410, or the audit is due
        │                                   └──► watch again      │
        └─────────────── after a jittered wait ◄──────────────────┘

The set difference finds changes that were missed while a watch was expired: no deleted object stays after a relist.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from leakwarden.adapters.cluster import wire
from leakwarden.adapters.cluster.resource import Pace, ReflectorStats, Resource, Sink
from leakwarden.adapters.cluster.session import Reply, Session, retry_after
from leakwarden.adapters.cluster.stream import (
    Absent,
    Denied,
    Expired,
    Lines,
    NotServed,
    RequestRefused,
    check,
    raw_list,
    uid_of,
    version_of,
)
from leakwarden.engine.ports import ClusterUnavailable

log = logging.getLogger("leakwarden.cluster")

T = TypeVar("T")


class Reflector(Generic[T]):
    """Run with `run()`, as a task; stop by cancelling it. Never ends by itself."""

    def __init__(
        self,
        session: Session,
        resource: Resource[T],
        sink: Sink[T],
        *,
        namespace: str | None = None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._resource = resource
        self._sink = sink
        self._namespace = namespace
        self._pace = pace or Pace()
        self._clock = clock
        self._path = resource.path(namespace)
        self._item = msgspec.json.Decoder(resource.item)
        page: Any = msgspec.defstruct(
            "Page",
            [("metadata", wire.ApiListMeta | None, None), ("items", list[resource.item] | None, None)],  # type: ignore[name-defined]
            gc=False,
        )
        self._page: msgspec.json.Decoder[Any] = msgspec.json.Decoder(page)
        self._known: set[str] = set()
        self._version = ""
        self._newest = 0  # the highest version seen in a list or an event
        self._relist_at = 0.0
        self._heard: float | None = None
        self._lists = self._relists_expired = self._watches = self._malformed = self._errors = 0
        self._trouble = ""
        self._denied = self._absent = False
        self._page_size = self._pace.page
        self._progress = False
        self.synced = asyncio.Event()

    @property
    def age(self) -> float:
        """Seconds since the last data from the API server. Without the right to list, or the kind, no earlier data
        counts any more: an outage ends by itself, but a right that was taken away may never come back."""
        return math.inf if self._heard is None or self._denied or self._absent else self._clock() - self._heard

    @property
    def denied(self) -> str:
        """The missing right, in one line; empty where none is missing, or where the fault is another one."""
        return self._trouble if self._denied else ""

    @property
    def absent(self) -> bool:
        """Whether the API server does not serve the kind."""
        return self._absent

    def stats(self) -> ReflectorStats:
        return ReflectorStats(
            resource=self._resource.plural,
            namespace=self._namespace or "",
            synced=self.synced.is_set(),
            age=self.age,
            objects=len(self._known),
            lists=self._lists,
            relists_expired=self._relists_expired,
            watches=self._watches,
            malformed=self._malformed,
            errors=self._errors,
            trouble=self._trouble,
        )

    def begin_anew(self) -> None:
        """Not synced until the next `run` has listed everything; the mirrored objects stay meanwhile, for readers."""
        self._version = ""
        self.synced.clear()

    async def run(self) -> None:
        failures = 0
        while True:
            wait: float | None = None
            self._progress = False
            try:
                if not self._version or self._clock() >= self._relist_at:
                    # Should an audit fail, the watch goes on from where it was, and the audit is tried again soon.
                    self._relist_at = self._clock() + min(60.0, self._pace.resync)
                    await self._list()
                began = self._clock()
                await self._watch()
                # A server that closes each watch at once must not get the next request at once.
                failed = not self._progress and self._clock() - began < 1.0
            except Expired:
                self._relists_expired += 1
                self._version = ""
                failed = True
            except Absent:
                self._nothing_there()
                await asyncio.sleep(self._pace.absent)
                continue
            except (ClusterUnavailable, RequestRefused) as error:
                failed = True
                wait = error.wait if isinstance(error, RequestRefused) else None
                self._denied, self._absent = isinstance(error, Denied), isinstance(error, NotServed)
                self._failed(str(error))
            except Exception as error:
                # A defect must not end the mirror for good; begin again from a list, which needs no earlier state.
                failed = True
                self._version = ""
                self._failed(f"unexpected {type(error).__name__}")
                log.exception("reflector stumbled", extra=self._about())
            # Only a watch that delivered ends a row of failures: a list that succeeds before each
            # watch that fails would otherwise be repeated at full speed.
            failures = 0 if self._progress else failures
            if failed:
                failures += 1
                await asyncio.sleep(self._backoff(failures, wait))

    def _nothing_there(self) -> None:
        """The kind is not served (any more): a complete view without an object."""
        self._version = ""
        for uid in list(self._known):
            self._drop(uid)
        self._hear()
        self.synced.set()
        self._recovered()

    def _backoff(self, failures: int, wait: float | None) -> float:
        """Seconds to wait after so many failures in a row; `wait` is the server's Retry-After, a minimum."""
        ceiling = min(self._pace.backoff * 2.0 ** min(failures, 16), self._pace.backoff_max)
        # Jitter above Retry-After too: all clients got the same number.
        return (wait or 0.0) + random.uniform(ceiling / 2, ceiling)  # noqa: S311

    async def _list(self) -> None:
        """Reads all pages of one list, then removes objects that are no longer there. Raises Expired, Refused,
        ClusterUnavailable."""
        seen: set[str] = set()
        token, version, first = "", "", True
        while True:
            query = {"limit": str(self._page_size)}
            if token:
                query["continue"] = token
            reply = await self._session.ask(
                "GET", self._path, query=query, accept=self._resource.accept("PartialObjectMetadataList")
            )
            if reply.status == 410 and token:
                # The list took longer than the server keeps versions: fewer, larger pages next time.
                self._page_size = min(self._page_size * 2, 16 * self._pace.page)
            check(reply, self._resource, "list", self._namespace)
            self._hear()
            meta = self._take(reply.body, seen, first)
            first = False
            version = meta.resource_version or version
            token = meta.continue_ or ""
            if not token:
                break
        if not version:
            raise RequestRefused(f"the list of {self._resource.plural} carried no resourceVersion")
        for uid in self._known - seen:
            self._drop(uid)
        self._at(version)
        self._relist_at = self._clock() + self._pace.resync * random.uniform(0.8, 1.2)  # noqa: S311
        self._lists += 1
        self._page_size = self._pace.page
        self.synced.set()
        self._recovered()

    def _take(self, body: bytes, seen: set[str], first: bool) -> wire.ApiListMeta:
        """One page into the sink. An item that does not fit is counted, and the others are kept."""
        meta: wire.ApiListMeta | None
        try:
            page = self._page.decode(body)
            meta = page.metadata
            if first and meta is not None:
                self._look_for_a_restore(meta.resource_version or "")
            for item in page.items or ():
                self._put(item, seen)
        except msgspec.ValidationError:
            raw = raw_list(body)
            meta = raw.metadata
            if first and meta is not None:
                self._look_for_a_restore(meta.resource_version or "")
            for part in raw.items or ():
                self._put_raw(part, seen)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RequestRefused(f"the list of {self._resource.plural} is not JSON") from None
        return meta or wire.ApiListMeta()

    async def _watch(self) -> None:
        """One watch, to its end. Raises Expired, Refused, ClusterUnavailable."""
        left = max(self._relist_at - self._clock(), 1.0)
        seconds = min(self._pace.watch * random.uniform(1.0, 1.5), left)  # noqa: S311
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(math.ceil(seconds)),
        }
        self._watches += 1
        async with self._session.stream(
            self._path, query=query, accept=self._resource.accept("PartialObjectMetadata"), idle_timeout=self._pace.idle
        ) as response:
            if response.status != 200:
                body = await response.content.read(65536)
                reply = Reply(response.status, body, retry_after(response.headers.get("Retry-After")))
                check(reply, self._resource, "watch", self._namespace)
            self._hear()
            self._recovered()
            lines = Lines()
            async for chunk in response.content.iter_any():
                self._hear()
                for line in lines.feed(chunk):
                    self._event(line)
                    self._progress = True
                if self._clock() > self._relist_at + 5.0:
                    return  # the server does not keep to timeoutSeconds; the audit is due all the same

    def _event(self, line: bytes) -> None:
        try:
            event = msgspec.json.decode(line, type=wire.ApiWatchEvent)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Half a line where the stream was cut, or garbage: its content is unknown, so list again.
            raise Expired from None
        match event.type:
            case "ADDED" | "MODIFIED":
                self._put_raw(event.object, self._known)
                self._advance(event.object)
            case "DELETED":
                uid = uid_of(event.object)
                if uid is None:
                    raise Expired  # an object is gone, but it is not known which: only a list shows that
                self._drop(uid)
                self._advance(event.object)
            case "BOOKMARK":
                self._advance(event.object)
            case "ERROR":
                status = wire.decode_status(bytes(event.object))
                code = status.code or 500
                if code == 410:
                    raise Expired
                wait = status.details.retry_after_seconds if status.details else None
                raise RequestRefused(
                    f"the watch of {self._resource.plural} ended with {code}", float(wait) if wait else None
                )
            case _:
                self._malformed += 1

    def _put(self, item: T, seen: set[str]) -> None:
        uid: str = item.metadata.uid  # type: ignore[attr-defined]
        try:
            kept = self._sink.put(uid, item)
        except msgspec.ValidationError:
            self._malformed += 1
            kept = False
        if kept:
            seen.add(uid)
            self._known.add(uid)
        elif uid in self._known:
            seen.discard(uid)
            self._drop(uid)

    def _put_raw(self, raw: msgspec.Raw, seen: set[str]) -> None:
        try:
            item = self._item.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Its earlier version is out of date, and missing is safer than wrong: no action uses a missing object.
            self._malformed += 1
            uid = uid_of(raw)
            log.warning("object could not be read and is left out", extra={**self._about(), "uid": uid or ""})
            if uid is not None and uid in self._known:
                seen.discard(uid)
                self._drop(uid)
            return
        self._put(item, seen)

    def _drop(self, uid: str) -> None:
        self._known.discard(uid)
        self._sink.drop(uid)

    def _look_for_a_restore(self, version: str) -> None:
        """A list older than versions already seen comes from an etcd that was restored from a backup. The mirrored
        objects would seem newer than all that exist now, so all of them are removed before the list is used."""
        if not version.isdecimal() or int(version) >= self._newest:
            return
        log.warning("the API server's state is an older one; everything is read again", extra=self._about())
        self.synced.clear()
        self._newest = 0
        for uid in list(self._known):
            self._drop(uid)
        self._sink.forget()

    def _advance(self, raw: msgspec.Raw) -> None:
        self._at(version_of(raw) or self._version)

    def _at(self, version: str) -> None:
        self._version = version
        if version.isdecimal():
            self._newest = max(self._newest, int(version))

    def _hear(self) -> None:
        self._heard = self._clock()

    def _failed(self, message: str) -> None:
        self._errors += 1
        # Logged once per cause, not once per retry: an outage of an hour is one line, not a thousand.
        if message != self._trouble:
            log.warning("cannot follow the API server", extra={**self._about(), "cause": message})
        self._trouble = message

    def _recovered(self) -> None:
        if self._trouble:
            log.info("following the API server again", extra=self._about())
        self._trouble = ""
        self._denied = self._absent = False

    def _about(self) -> dict[str, str]:
        return {"resource": self._resource.plural, "watch_namespace": self._namespace or "*"}
