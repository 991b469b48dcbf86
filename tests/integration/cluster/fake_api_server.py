"""A Kubernetes API server for tests: real HTTP on loopback, real watches, faults on demand, and a record of requests.

    async with FakeApiServer() as api:
        api.put("deployments", deployment("web"))        # create or replace; watchers hear of it
        api.delete("deployments", "team", "web")
        api.fail("GET", "/pods", Fault(status=500), times=2)
        api.expire()                                     # every version so far is too old: 410
        api.bookmark()                                   # tell all watchers the present version
        api.requests[-1].method, .path, .query, .content_type, .body

It follows the rules that the operator relies on: versions and UIDs as preconditions, paging over one version, merge
patches, evictions that delete, /scale with the Deployment's version, and apply on /status. Any plural of any group
works, so policies and Events do too.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.integration.cluster.fake_api_answers import (
    CLUSTER_SCOPED,
    KINDS,
    Json,
    discovery,
    line,
    merged,
    status,
    with_ephemeral,
)

_PATH = re.compile(
    r"^/(?P<prefix>api/v1|apis/[^/]+/[^/]+)(?:/namespaces/(?P<ns>[^/]+))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>[a-z]+))?)?$"
)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    content_type: str
    accept: str
    authorization: str
    body: Any  # decoded JSON, or None
    at: float = field(default_factory=time.monotonic)  # when it came, in seconds of the monotonic clock


@dataclass
class Fault:
    """The answer instead. `hang`: take the request and never answer; `cut`: close the connection without an answer;
    `delay`: seconds before the ordinary answer; `body`: text instead of a Status; `after`: once the change is made.
    """

    status: int = 0
    message: str = "made to fail"
    retry_after: int | None = None
    body: str | None = None
    hang: bool = False
    cut: bool = False
    delay: float = 0.0
    after: bool = False
    location: str = ""  # where a redirect points


@dataclass
class _Planned:
    method: str
    part: re.Pattern[str]
    fault: Fault
    left: int


@dataclass
class _Watch:
    plural: str
    ns: str | None
    queue: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)


class FakeApiServer:
    """`token`: the only bearer token accepted (None accepts all). `expired_as_event`: 410 inside a 200 watch."""

    def __init__(self, token: str | None = None, expired_as_event: bool = False) -> None:
        self.token = token
        self.expired_as_event = expired_as_event
        self.requests: list[Request] = []
        self.url = ""
        self.version = 100
        self.blocked_by: dict[str, str] = {}  # pod name -> the budget that forbids its eviction
        self.ephemeral_state: Json = {}  # that every ephemeral container has from the moment it is added
        self.silent: set[str] = set()  # plurals whose watchers get nothing, as behind a dead connection
        self._oldest = 0
        self._objects: dict[str, dict[tuple[str, str], Json]] = {}
        self._log: list[tuple[int, str, str, Json]] = []
        self._watches: list[_Watch] = []
        self._pages: dict[str, tuple[int, list[Json]]] = {}
        self._planned: list[_Planned] = []
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        # handler_cancellation: a client that goes away ends a hanging or watching handler.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self.cut_watches()
        await self._runner.cleanup()

    # Changes of the cluster by a test.

    def put(self, plural: str, obj: Mapping[str, Any]) -> Json:
        """Create or replace an object; sets uid and resourceVersion. Returns what is stored (do not change it)."""
        stored = copy.deepcopy(dict(obj))
        meta = stored.setdefault("metadata", {})
        meta.setdefault("namespace", "" if plural in CLUSTER_SCOPED else "default")
        before = self.get(plural, meta["namespace"], meta["name"])
        meta.setdefault("uid", before["metadata"]["uid"] if before else str(uuid.uuid4()))
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        self._objects.setdefault(plural, {})[meta["namespace"], meta["name"]] = stored
        self._tell("MODIFIED" if before else "ADDED", plural, stored)
        return stored

    def delete(self, plural: str, ns: str, name: str) -> None:
        gone = copy.deepcopy(self._objects[plural].pop((ns, name)))
        self.version += 1
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._tell("DELETED", plural, gone)

    def get(self, plural: str, ns: str, name: str) -> Json | None:
        return self._objects.get(plural, {}).get((ns, name))

    def all(self, plural: str) -> list[Json]:
        return list(self._objects.get(plural, {}).values())

    def fail(self, method: str, part: str, fault: Fault, times: int = 1) -> None:
        """The next `times` requests whose "path?query" matches the expression `part` meet the fault."""
        self._planned.append(_Planned(method, re.compile(part), fault, times))

    def recover(self) -> None:
        """Remove all planned faults."""
        self._planned.clear()

    def expire(self) -> None:
        """Forget history: watches and pages from before now are answered 410."""
        self.version += 1
        self._oldest = self.version
        self._log.clear()

    def restore(self, version: int) -> None:
        """As after a restore of etcd from a backup: the same objects, with lower versions, and no watch goes on."""
        self.version = self._oldest = version
        self._log.clear()
        for kept in self._objects.values():
            for obj in kept.values():
                self.version += 1
                obj["metadata"]["resourceVersion"] = str(self.version)
        self.cut_watches()

    def bookmark(self) -> None:
        for watch in self._watches:
            watch.queue.put_nowait(line("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}}))

    def send(self, plural: str, sent: bytes) -> None:
        """Send any bytes to the watchers of one kind."""
        for watch in self._watches:
            if watch.plural == plural:
                watch.queue.put_nowait(sent)

    def cut_watches(self, plural: str | None = None) -> None:
        for watch in self._watches:
            if plural in (None, watch.plural):
                watch.queue.put_nowait(None)

    def watching(self, plural: str) -> int:
        return sum(watch.plural == plural for watch in self._watches)

    def asked(self, method: str, part: str = "") -> list[Request]:
        """The recorded requests of one method whose path contains `part`, oldest first."""
        return [request for request in self.requests if request.method == method and part in request.path]

    # The server's answers.

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        self.requests.append(
            Request(
                request.method,
                request.path,
                dict(request.query),
                content_type=request.headers.get("Content-Type", ""),
                accept=request.headers.get("Accept", ""),
                authorization=request.headers.get("Authorization", ""),
                body=body,
            )
        )
        if (
            self.token is not None
            and request.headers.get("Authorization", "").lower() != f"bearer {self.token}".lower()
        ):
            return status(401, "Unauthorized")
        fault = self._due(request)
        if fault is not None and not fault.after:
            answer = await self._suffer(request, fault)
            if answer is not None:
                return answer
        answer = await self._answer(request, body)
        if fault is not None and fault.after:
            return await self._suffer(request, fault) or answer
        return answer

    def _due(self, request: web.Request) -> Fault | None:
        for planned in self._planned:
            if planned.left and planned.method == request.method and planned.part.search(request.path_qs):
                planned.left -= 1
                return planned.fault
        return None

    async def _suffer(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        if fault.hang:
            await self._over.wait()
        if fault.cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.status == 0 and fault.body is None:
            return None
        if fault.body is not None:
            return web.Response(status=fault.status or 200, text=fault.body)
        headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
        if fault.location:
            headers["Location"] = fault.location
        return status(fault.status, fault.message, headers=headers)

    async def _answer(self, request: web.Request, body: Any) -> web.StreamResponse:
        found = _PATH.match(request.path)
        if found is None:
            return discovery(request.path)
        ns, plural, name, sub = found["ns"], found["plural"], found["name"], found["sub"]
        if name is None:
            if request.method == "POST":
                if self.get(plural, ns, body["metadata"]["name"]) is not None:
                    return status(409, "already exists", "AlreadyExists")
                # As in a server with the status subresource: a new object has no status yet.
                made = {key: value for key, value in body.items() if key != "status"}
                made["metadata"] = {"creationTimestamp": _now(), **body["metadata"]}
                return web.json_response(self.put(plural, made), status=201)
            if request.query.get("watch") == "true":
                return await self._watch(request, plural, ns)
            return self._list(request, found["prefix"], plural, ns)
        stored = self.get(plural, ns or "", name)
        if stored is None:
            return status(404, f'{plural} "{name}" not found', "NotFound")
        match request.method, sub:
            case "GET", None:
                return web.json_response(stored)
            case "DELETE", None:
                wanted = ((body or {}).get("preconditions") or {}).get("uid", stored["metadata"]["uid"])
                if wanted != stored["metadata"]["uid"]:
                    return status(409, "the UID in the precondition does not match", "Conflict")
                self.delete(plural, ns, name)
                return web.json_response(stored)
            case "POST", "eviction":
                return self._evict(stored, body)
            case "PATCH", "ephemeralcontainers":
                if body.get("metadata", {}).get("uid", stored["metadata"]["uid"]) != stored["metadata"]["uid"]:
                    return status(422, "metadata.uid: field is immutable", "Invalid")  # as seen on 1.37
                grown = with_ephemeral(stored, body["spec"]["ephemeralContainers"], self.ephemeral_state)
                if grown is None:
                    return status(422, "existing ephemeral containers may not be changed", "Invalid")
                return web.json_response(stored if grown == stored else self.put(plural, grown))
            case "PATCH", None | "status" | "scale":
                # As seen on 1.37, an apply compares the version and not the uid.
                applied = request.content_type == "application/apply-patch+yaml"
                return self._patch(
                    plural, stored, body, ("resourceVersion",) if applied else ("uid", "resourceVersion")
                )
        return status(405, "method not allowed")

    def _list(self, request: web.Request, prefix: str, plural: str, ns: str | None) -> web.Response:
        token = request.query.get("continue")
        if token:
            if token not in self._pages or self._pages[token][0] < self._oldest:
                return status(410, "The provided continue parameter is too old", "Expired")
            version, items = self._pages.pop(token)
        else:
            version = self.version
            items = [
                copy.deepcopy(obj) for (where, _), obj in self._objects.get(plural, {}).items() if ns in (None, where)
            ]
        limit = int(request.query.get("limit", "0")) or len(items)
        meta = {"resourceVersion": str(version)}
        if len(items) > limit:
            meta["continue"] = uuid.uuid4().hex
            self._pages[meta["continue"]] = (version, items[limit:])
        kind = KINDS.get(plural, ("", plural))[1]
        answer = {
            "kind": f"{kind}List",
            "apiVersion": prefix.removeprefix("apis/").removeprefix("api/"),
            "metadata": meta,
        }
        return web.json_response({**answer, "items": items[:limit]})

    async def _watch(self, request: web.Request, plural: str, ns: str | None) -> web.StreamResponse:
        since = int(request.query.get("resourceVersion") or 0)
        expired = since < self._oldest or since > self.version
        if expired and not self.expired_as_event:
            return status(410, "too old resource version", "Expired")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if expired:
            await response.write(line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"}))
            return response
        watch = _Watch(plural, ns)
        for version, kind, event, obj in self._log:
            if version > since and kind == plural and ns in (None, obj["metadata"]["namespace"]):
                watch.queue.put_nowait(line(event, obj))
        self._watches.append(watch)
        try:
            async with asyncio.timeout(float(request.query.get("timeoutSeconds", "3600"))):
                while (sent := await watch.queue.get()) is not None:
                    await response.write(sent)
        except TimeoutError:
            pass
        finally:
            self._watches.remove(watch)
        return response

    def _evict(self, pod: Json, body: Json) -> web.Response:
        meta = pod["metadata"]
        wanted = body.get("deleteOptions", {}).get("preconditions", {}).get("uid", meta["uid"])
        if wanted != meta["uid"]:
            text = f"the UID in the precondition ({wanted}) does not match the UID in record ({meta['uid']})"
            return status(409, text, "Conflict")
        budget = self.blocked_by.get(meta["name"])
        if budget is not None:
            cause = {
                "reason": "DisruptionBudget",
                "message": f"The disruption budget {budget} needs 2 healthy pods and has 2",
            }
            text = "Cannot evict pod as it would violate the pod's disruption budget."
            return status(429, text, "TooManyRequests", details={"causes": [cause]})
        self.delete("pods", meta["namespace"], meta["name"])
        return status(201, "", "", ok=True)

    def _patch(self, plural: str, stored: Json, body: Json, preconditions: tuple[str, ...]) -> web.Response:
        meta = body.get("metadata", {})
        for precondition in preconditions:
            if meta.get(precondition) not in (None, stored["metadata"][precondition]):
                return status(409, "the object has been modified", "Conflict")
        wanted = merged(stored, body)
        wanted["metadata"]["uid"] = stored["metadata"]["uid"]
        # As in a real server, a change that changes nothing makes no new version and no event.
        return web.json_response(stored if wanted == stored else self.put(plural, wanted))

    def _tell(self, event: str, plural: str, obj: Json) -> None:
        if plural in self.silent:
            return
        self._log.append((self.version, plural, event, copy.deepcopy(obj)))
        for watch in self._watches:
            if watch.plural == plural and watch.ns in (None, obj["metadata"]["namespace"]):
                watch.queue.put_nowait(line(event, obj))
