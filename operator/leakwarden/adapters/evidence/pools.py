"""Reads a Prometheus's series of a pod's database pool, for one line of evidence."""

from __future__ import annotations

from collections.abc import Mapping

from leakwarden.core.profile.pool import described
from leakwarden.core.profile.pool_queries import pool_of, pool_queries
from leakwarden.engine.ports import CaptureRequest, Metrics

WINDOW = 2 * 3600.0  # s; a leak that does not show in two hours is not the one that is about to be acted on


class Pools:
    """Over the operator's sources by name; a policy that names none reads the default one. `step` in seconds."""

    def __init__(self, sources: Mapping[str, Metrics], default: Metrics | None, step: float) -> None:
        self._sources = sources
        self._default = default
        self._step = step

    async def line(self, request: CaptureRequest, now: float) -> str:
        """The pool in one line; empty where the pod has none or it is not known. Never raises for failures of
        sources."""
        source = self._sources.get(request.source) if request.source else self._default
        if source is None or source.kind != "Prometheus":
            return ""
        pod = request.pod
        since = max(now - WINDOW, pod.created)
        answers = await source.read(pool_queries(pod.namespace), since, now, self._step)
        pool = pool_of(answers, pod.namespace, pod.name)
        return described(pool)[:1024] if pool is not None else ""
