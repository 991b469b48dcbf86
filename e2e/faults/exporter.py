"""The metrics that the simulated pods would export: descriptors of each, as a test sets them, for a real Prometheus."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

from aiohttp import web

from e2e.faults.api import Api
from e2e.faults.background import Background
from e2e.harness.kube import Object
from leakwarden.engine.ports import ClusterUnavailable

LIMIT = 200
HEALTHY = 20.0
LABEL = "leakwarden.dev/e2e"
SIMULATED = "simulated"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

# : A number, or a function that returns one at every scrape.
Value: TypeAlias = float | Callable[[], float]


class Kind(StrEnum):
    """The readings of a pod."""

    DESCRIPTORS = "Descriptors"
    CONNECTIONS = "Connections"  # of its database pool, which only pods with a set value have


_SERIES = {
    Kind.DESCRIPTORS: ("process_open_fds", "process_max_fds"),
    Kind.CONNECTIONS: ("go_sql_in_use_connections", "go_sql_max_open_connections"),
}


class Distortion(StrEnum):
    """The fault of all readings of a namespace."""

    ABSENT = "Absent"  # no series at all
    NOT_A_NUMBER = "NotANumber"
    TWICE = "Twice"  # scraped by two jobs: two series of one pod


class Exporter:
    """Readings of every pod with the label, by UID. A pod without a value of its own has the presumed value of its app,
    or a healthy one."""

    def __init__(self, background: Background, api: Api) -> None:
        self._background = background
        self._api = api
        self._values: dict[tuple[str, Kind], Value] = {}
        self._presumed: dict[tuple[str, str, Kind], Value] = {}
        self._distorted: dict[str, Distortion] = {}
        self._known: list[Object] = []
        self.address = ""
        background.run(self._serve())

    def close(self) -> None:
        self._background.run(self._runner.cleanup())

    def reads(self, uid: str, value: Value, kind: Kind = Kind.DESCRIPTORS) -> None:
        """From the next scrape on the pod has so many open descriptors, or connections, of its 200."""
        self._values[uid, kind] = value

    def presume(self, namespace: str, app: str, value: Value, kind: Kind = Kind.DESCRIPTORS) -> None:
        """The same for all pods labelled `app` without a set value, including future ones."""
        self._presumed[namespace, app, kind] = value

    def distort(self, namespace: str, distortion: Distortion | None) -> None:
        if distortion is None:
            self._distorted.pop(namespace, None)
        else:
            self._distorted[namespace] = distortion

    async def _serve(self) -> None:
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.address = site.name.removeprefix("http://")

    async def _metrics(self, _: web.Request) -> web.Response:
        try:
            reply = await self._api.session.ask(
                "GET",
                "/api/v1/pods",
                query={"labelSelector": f"{LABEL}={SIMULATED}", "resourceVersion": "0"},
                accept=_METADATA,
                timeout=0.8,
            )
            if reply.ok:
                self._known = [item["metadata"] for item in json.loads(reply.body)["items"] or []]
        except ClusterUnavailable:
            pass  # pods go on while their API server is away
        lines = []
        for pod in self._known:
            for kind in Kind:
                lines += self._lines(pod, kind)
        return web.Response(text="\n".join([*lines, ""]))

    def _lines(self, pod: Object, kind: Kind) -> list[str]:
        distortion = self._distorted.get(pod["namespace"])
        value = self._value(pod, kind)
        if distortion is Distortion.ABSENT or value is None:
            return []
        shown = "NaN" if distortion is Distortion.NOT_A_NUMBER else f"{value:g}"
        labels = f'namespace="{pod["namespace"]}",pod="{pod["name"]}",container="app"'
        jobs = ("first", "second") if distortion is Distortion.TWICE else ("only",)
        current, most = _SERIES[kind]
        return [
            line
            for job in jobs
            for line in (
                f'{current}{{{labels},endpoint="{job}"}} {shown}',
                f'{most}{{{labels},endpoint="{job}"}} {LIMIT}',
            )
        ]

    def _value(self, pod: Object, kind: Kind) -> float | None:
        """None: the pod does not have such a metric."""
        usual = HEALTHY if kind is Kind.DESCRIPTORS else None
        presumed = self._presumed.get((pod["namespace"], pod["labels"].get("app", ""), kind), usual)
        said = self._values.get((pod["uid"], kind), presumed)
        return said() if callable(said) else said
