"""Capacity from a Prometheus's stored series: the operator's own queries of load, latency and memory, pod by pod."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from leakwarden.adapters.prometheus.client import PrometheusSource
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.cli.errors import CommandFailed
from leakwarden.core.capacity.curve import Measured, Point, memory_line
from leakwarden.core.correlation.protection_queries import literal_pods, literal_workload, pool_queries
from leakwarden.core.detection.resampling import values_beside
from leakwarden.core.model.readings import Answer, Floats, Points, Query, QueryFailed, Sampled, SeriesKey
from leakwarden.core.signals.catalogue import CATALOGUE, CONTEXT
from leakwarden.core.signals.queries import RATE

_MEMORY = (SignalType.WORKING_SET, SignalType.HEAP)  # the first that is there
# Points of one range query: Prometheus allows 11,000, and a curve needs far fewer.
_POINTS = 2_000


class NothingRead(CommandFailed):
    """Prometheus gave no load to judge by."""


@dataclass(frozen=True, slots=True)
class Past:
    """`by_pod`: of each pod its measurements in order of time, `step` seconds apart; `today` requests/s of the busiest
    pod in the last tenth of the time, `highest` the most that all pods answered at one moment."""

    by_pod: list[list[Measured]]
    today: float | None
    highest: float | None
    step: float
    answers: Mapping[str, Answer] = field(default_factory=dict)  # also of `pool_queries`

    @property
    def measured(self) -> list[Measured]:
        return [one for pod in self.by_pod for one in pod]

    def runs(self, curve: Sequence[Point]) -> list[tuple[Floats, Floats]]:
        """Of each pod: requests so far, and memory in bytes without the part that the present load explains."""
        line = memory_line(curve)
        if line is None:
            return []
        found = []
        for pod in self.by_pod:
            answered = np.cumsum([one.qps * self.step for one in pod])
            rest = np.array([np.nan if one.memory is None else one.memory - line.at(one.qps) for one in pod])
            known = ~np.isnan(rest)
            found.append((answered[known], rest[known]))
        return found


async def past(endpoint: Endpoint, namespace: str, prefix: str, seconds: float) -> Past:
    """Of the pods of `namespace` whose names begin with `prefix`. Raises NothingRead."""
    now = time.time()
    step = max(60.0, seconds / _POINTS // 15 * 15)
    within = frozenset({namespace})
    kinds = (SignalType.LATENCY_P99, SignalType.HTTP_ERRORS, *_MEMORY)
    queries = [Query(RATE, CONTEXT["rate"], None, within)]
    queries += [Query(str(kind), CATALOGUE[kind].value, None, within) for kind in kinds]
    queries += pool_queries(namespace, literal_pods(prefix), literal_workload(prefix))
    source = PrometheusSource(endpoint, bucket=step)
    try:
        answers = await source.read(queries, now - seconds, now, step)
    finally:
        await source.close()
    rate = answers.get(RATE)
    if isinstance(rate, QueryFailed):
        raise NothingRead(f"{endpoint.url}: {rate.message}")
    load = {key: points for key, points in _series(rate).items() if key.pod.startswith(prefix)}
    if not load:
        raise NothingRead(f"{endpoint.url}: no pod {namespace}/{prefix}... has a request counter that Leakwarden knows")
    since = now - seconds / 10
    recent = [float(p.v[p.t >= since].mean()) for p in load.values() if np.any(p.t >= since)]
    together: dict[float, float] = {}
    for points in load.values():
        for t, qps in zip(points.t.tolist(), points.v.tolist(), strict=True):
            together[t] = together.get(t, 0.0) + qps
    by_pod = [_measured(key, points, answers) for key, points in load.items()]
    return Past(by_pod, max(recent, default=None), max(together.values(), default=None), step, answers=answers)


def _series(answer: Answer | None) -> dict[SeriesKey, Points]:
    return dict(answer.series) if isinstance(answer, Sampled) else {}


def _measured(key: SeriesKey, load: Points, answers: Mapping[str, Answer]) -> list[Measured]:
    p99 = values_beside(_series(answers.get(str(SignalType.LATENCY_P99))), key, load.t)
    errors = values_beside(_series(answers.get(str(SignalType.HTTP_ERRORS))), key, load.t)
    memory = np.full(load.t.size, np.nan)
    for kind in reversed(_MEMORY):
        found = _of_pod(_series(answers.get(str(kind))), key, load)
        memory = np.where(np.isnan(found), memory, found)
    return [
        Measured(float(q), _known(p), _known(m), _known(e))
        for q, p, m, e in zip(load.v, p99, memory, errors, strict=True)
        if q > 0
    ]


def _of_pod(series: dict[SeriesKey, Points], key: SeriesKey, load: Points) -> Floats:
    """Summed over the pod's containers."""
    parts = [
        values_beside({other: points}, other, load.t)
        for other, points in series.items()
        if (other.namespace, other.pod) == (key.namespace, key.pod)
    ]
    return np.sum(parts, axis=0) if parts else np.full(load.t.size, np.nan)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
