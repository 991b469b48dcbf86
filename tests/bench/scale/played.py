"""An API server and a Prometheus in a process of their own: real HTTP on loopback, answers prepared in advance."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from tests.bench.scale import world
from tests.integration.cluster.fake_api_answers import KINDS
from tests.integration.cluster.fake_api_server import FakeApiServer


class LargeApiServer(FakeApiServer):
    """The tests' API server, but its many objects are stored as the bytes that a list sends."""

    def __init__(self, pods: int) -> None:
        super().__init__()
        self._prepared = {
            "deployments": _written(world.deployments(pods)),
            "replicasets": _written(world.replica_sets(pods)),
            "pods": _written(world.pods_of(pods)),
        }
        for policy in world.policies(pods):
            self.put("reliabilitypolicies", policy)
        self._log.clear()

    def _list(self, request: web.Request, prefix: str, plural: str, ns: str | None) -> web.Response:
        items = self._prepared.get(plural)
        if items is None:
            return super()._list(request, prefix, plural, ns)
        first = int(request.query.get("continue") or 0)
        last = first + int(request.query.get("limit") or len(items))
        meta = {"resourceVersion": str(self.version)}
        if last < len(items):
            meta["continue"] = str(last)
        kind = KINDS[plural][1]
        head = json.dumps({"kind": f"{kind}List", "metadata": meta}).encode()[:-1]
        body = head + b',"items":[' + b",".join(items[first:last]) + b"]}"
        return web.Response(body=body, content_type="application/json")


def _written(objects: Iterable[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(each).encode() for each in objects]


# The answer to an aggregation over the pods of one object.
_OF_ONE_OBJECT = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d,"200"]}]}}'


class LargePrometheus:
    """Answers range and instant queries about every pod, and aggregations over the pods of one object."""

    def __init__(self, pods: Sequence[tuple[str, str]]) -> None:
        self.readings = world.Readings(pods, time.time())
        self.queries = 0
        self.sent = 0  # bytes
        self.seconds = 0.0  # of this process's CPU, spent on answers

    @property
    def counts(self) -> dict[str, float]:
        return {"queries": self.queries, "bytes": self.sent}

    async def serve(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        if request.method == "POST":
            asked |= dict(parse_qsl((await request.read()).decode()))
        self.queries += 1
        if 'pod=~"' in asked["query"]:
            body = _OF_ONE_OBJECT % int(time.time())
        elif "start" in asked:
            body = await asyncio.to_thread(self.readings.matrix, asked)
        else:
            body = await asyncio.to_thread(self.readings.vector, asked)
        self.sent += len(body)
        return web.Response(body=body, content_type="application/json")


async def _serve(prometheus: LargePrometheus) -> str:
    """Listen; the address."""
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/api/v1/query", prometheus.serve)
    app.router.add_route("*", "/api/v1/query_range", prometheus.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    return "http://{}:{}".format(*runner.addresses[0][:2])


async def _until_closed(back: Connection, counts: Callable[[], Mapping[str, float]]) -> None:
    """Answer each `counts` that is sent, until the other end is closed."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_reader(back.fileno(), told.set)
    while True:
        await told.wait()
        told.clear()
        try:
            word = back.recv() if back.poll() else ""
        except EOFError:
            return
        if word == "counts":
            back.send(counts())


def is_judged(policy: Mapping[str, Any]) -> bool:
    """Whether the status of a policy has a verdict for each of its targets."""
    return bool((policy.get("status") or {}).get("targets", {}).get("unknown", 1) == 0)


async def _play(pods: int, back: Connection) -> None:
    prometheus = LargePrometheus(world.names(pods))
    address = await _serve(prometheus)
    async with LargeApiServer(pods) as api:
        back.send((api.url, address))

        def counts() -> Mapping[str, float]:
            return {
                **prometheus.counts,
                "requests": len(api.requests),
                "statuses": sum(1 for each in api.requests if each.method == "PATCH" and each.path.endswith("/status")),
                "judged": sum(map(is_judged, api.all("reliabilitypolicies"))),
                "reports": len(api.all("leakreports")),
            }

        await _until_closed(back, counts)


async def _play_prometheus(pods: Sequence[tuple[str, str]], back: Connection) -> None:
    prometheus = LargePrometheus(pods)
    back.send(await _serve(prometheus))
    await _until_closed(back, lambda: prometheus.counts)


def play(pods: int, back: Connection) -> None:
    """An API server and a Prometheus, until the other end of the pipe is closed."""
    asyncio.run(_play(pods, back))


def play_prometheus(pods: Sequence[tuple[str, str]], back: Connection) -> None:
    """A Prometheus alone, with readings of these pods, until the other end of the pipe is closed."""
    asyncio.run(_play_prometheus(pods, back))
