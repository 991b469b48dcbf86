"""What the simulated pods would export: descriptors of each, as a test says, for a real Prometheus to scrape."""

from __future__ import annotations

import json
from enum import StrEnum

from aiohttp import web

from e2e.faults.api import Api
from e2e.faults.background import Background
from leakwarden.ports import ClusterUnavailable

LIMIT = 200
HEALTHY = 20.0
LABEL = "leakwarden.dev/e2e"
SIMULATED = "simulated"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Distortion(StrEnum):
    """What is wrong with all readings of a namespace."""

    ABSENT = "Absent"  # no series at all
    NOT_A_NUMBER = "NotANumber"
    TWICE = "Twice"  # scraped by two jobs: two series of one pod


class Exporter:
    """Readings of every pod with the label, by UID; a pod that nothing is said of is healthy."""

    def __init__(self, background: Background, api: Api) -> None:
        self._background = background
        self._api = api
        self._values: dict[str, float] = {}
        self._distorted: dict[str, Distortion] = {}
        self._known: list[dict[str, object]] = []
        self.address = ""
        background.run(self._serve())

    def close(self) -> None:
        self._background.run(self._runner.cleanup())

    def reads(self, uid: str, value: float) -> None:
        """From the next scrape on the pod has so many open descriptors."""
        self._values[uid] = value

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
            lines += self._lines(pod)
        return web.Response(text="\n".join([*lines, ""]))

    def _lines(self, pod: dict[str, object]) -> list[str]:
        distortion = self._distorted.get(str(pod["namespace"]))
        if distortion is Distortion.ABSENT:
            return []
        value = self._values.get(str(pod["uid"]), HEALTHY)
        shown = "NaN" if distortion is Distortion.NOT_A_NUMBER else f"{value:g}"
        labels = f'namespace="{pod["namespace"]}",pod="{pod["name"]}",container="app"'
        jobs = ("first", "second") if distortion is Distortion.TWICE else ("only",)
        return [
            line
            for job in jobs
            for line in (
                f'process_open_fds{{{labels},endpoint="{job}"}} {shown}',
                f'process_max_fds{{{labels},endpoint="{job}"}} {LIMIT}',
            )
        ]
