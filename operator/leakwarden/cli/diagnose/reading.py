"""An episode from a Prometheus's stored series: the proxy by its preset, the workload by the operator's own queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leakwarden.adapters.prometheus.client import PrometheusSource
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.cli.errors import CommandFailed
from leakwarden.core.correlation.episode import Episode, PodReadings
from leakwarden.core.correlation.presets import ProxyPreset
from leakwarden.core.model.readings import Answer, Floats, Points, Query, QueryFailed, Sampled, SeriesKey
from leakwarden.core.signals.catalogue import CATALOGUE, CONTEXT

MOMENTS = 240  # of an episode
LEAST_STEP = 15.0  # s
_ERRORS, _P99, _START, _CPU, _CALLS = "proxy/errors", "proxy/p99", "context/start", "diagnose/cpu", "diagnose/calls"
_KINDS = (
    SignalType.DESCRIPTORS, SignalType.DB_POOL, SignalType.GOROUTINES, SignalType.LATENCY_P99, SignalType.HTTP_ERRORS,
)  # fmt: skip
CPU = (
    'sum by (<<owner>>) (rate(container_cpu_usage_seconds_total{container!="",container!="POD",<<matchers>>}[<<buckets>>]))'
    ' / on (<<owner>>) sum by (<<owner>>) (kube_pod_container_resource_limits{resource="cpu",<<matchers>>})'
)
# OpenTelemetry's semantic conventions for HTTP clients; the time of what the workload calls.
CALLS = (
    "histogram_quantile(0.99, sum by (<<owner>>, le)"
    " (rate(http_client_request_duration_seconds_bucket{<<matchers>>}[<<buckets>>])))"
)


class NothingRemembered(CommandFailed):
    """Prometheus holds no requests of this route, or did not answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The subject of the episode: `route` as the preset's label names it, pods of `namespace` whose names begin with
    `prefix`, from `since` to `until` (epoch s). `timeout` is the proxy's for its upstream, s."""

    preset: ProxyPreset
    route: str
    namespace: str
    prefix: str
    since: float
    until: float
    timeout: float | None

    @property
    def step(self) -> float:
        return max(LEAST_STEP, float(np.ceil((self.until - self.since) / MOMENTS / LEAST_STEP)) * LEAST_STEP)


async def read(endpoint: Endpoint, asked: Asked) -> tuple[Episode, list[str]]:
    """The episode, and which queries failed, in words. Raises NothingRemembered."""
    within, step = frozenset({asked.namespace}), asked.step
    queries = [
        Query(_ERRORS, asked.preset.errors(asked.route, step), None, within, confined=True),
        Query(_P99, asked.preset.p99(asked.route, step), None, within, confined=True),
        *(Query(str(kind), CATALOGUE[kind].value, CATALOGUE[kind].limit, within) for kind in _KINDS),
        Query(_START, CONTEXT["start"], None, within),
        Query(_CPU, CPU, None, within),
        Query(_CALLS, CALLS, None, within),
    ]
    source = PrometheusSource(endpoint, bucket=step)
    try:
        answers = await source.read(queries, asked.since, asked.until, step)
    finally:
        await source.close()
    codes = answers.get(_ERRORS)
    if isinstance(codes, QueryFailed):
        raise NothingRemembered(f"{endpoint.url}: {codes.message}")
    by_code = {key.pod: points for key, points in _series(codes).items() if key.pod.isdigit()}
    if not by_code:
        raise NothingRemembered(
            f"{endpoint.url}: no {asked.preset.requests} with {asked.preset.route}={asked.route!r} in this time"
        )
    failed = sorted({answer.message for answer in answers.values() if isinstance(answer, QueryFailed)})
    return _episode(asked, by_code, answers), failed


def _series(answer: Answer | None) -> Mapping[SeriesKey, Points]:
    return answer.series if isinstance(answer, Sampled) else {}


def _episode(asked: Asked, by_code: Mapping[str, Points], answers: Mapping[str, Answer]) -> Episode:
    t = np.unique(np.concatenate([points.t for points in by_code.values()]))
    rates = {int(code): np.nan_to_num(_at(points, t)) for code, points in by_code.items()}
    mine = _Mine(asked, answers, t)
    requests: Floats = np.sum(list(rates.values()), axis=0)
    return Episode(
        t=t,
        requests=requests,
        errors={code: rate for code, rate in rates.items() if code >= 500},
        pods=[_pod(mine, name) for name in mine.names],
        proxy_p99=_worst([_at(points, t) for points in _series(answers.get(_P99)).values()]),
        own_p99=_worst(mine.all(str(SignalType.LATENCY_P99))),
        dependency_p99=_worst(mine.all(_CALLS)),
        own_errors=_worst(mine.all(str(SignalType.HTTP_ERRORS))),
        timeout=asked.timeout,
        starts_known=bool(mine.starts),
    )


def _at(points: Points, t: Floats) -> Floats:
    """The newest value not older than two steps at each moment, NaN where there is none."""
    at = np.searchsorted(points.t, t, side="right") - 1
    step = float(np.median(np.diff(t))) if t.size > 1 else LEAST_STEP
    known = (at >= 0) & (t - points.t[np.maximum(at, 0)] <= 2 * step)
    return np.where(known, points.v[np.maximum(at, 0)], np.nan)


def _worst(parts: Sequence[Floats]) -> Floats | None:
    """The highest of all at each moment; None where there are none."""
    if not parts:
        return None
    top = np.max([np.where(np.isnan(part), -np.inf, part) for part in parts], axis=0)
    return np.where(np.isfinite(top), top, np.nan)


class _Mine:
    """The series of the workload's pods."""

    def __init__(self, asked: Asked, answers: Mapping[str, Answer], t: Floats) -> None:
        self._asked, self._answers, self._t = asked, answers, t
        keys = [key for answer in answers.values() for key in _series(answer)]
        self.names = sorted({key.pod for key in keys if self._is_mine(key)})
        self.starts = self._of(_START)

    def _is_mine(self, key: SeriesKey) -> bool:
        return key.namespace == self._asked.namespace and key.pod.startswith(self._asked.prefix)

    def _of(self, name: str) -> dict[SeriesKey, Points]:
        return {key: points for key, points in _series(self._answers.get(name)).items() if self._is_mine(key)}

    def all(self, name: str) -> list[Floats]:
        return [_at(points, self._t) for points in self._of(name).values()]

    def of_pod(self, name: str, pod: str) -> list[Floats]:
        return [_at(points, self._t) for key, points in self._of(name).items() if key.pod == pod]

    def shares(self, name: str, pod: str) -> list[Floats]:
        """Of the limit, where one is known."""
        answer = self._answers.get(name)
        limits = answer.limits if isinstance(answer, Sampled) else {}
        return [
            _at(points, self._t) / limits[key]
            for key, points in self._of(name).items()
            if key.pod == pod and limits.get(key, 0.0) > 0
        ]

    def began(self, pod: str) -> list[float]:
        """Starts of its processes within the episode."""
        found = {round(float(start)) for key, points in self.starts.items() if key.pod == pod for start in points.v}
        return sorted(float(start) for start in found if self._t[0] <= start <= self._t[-1])


def _pod(mine: _Mine, name: str) -> PodReadings:
    return PodReadings(
        name,
        descriptors=_worst(mine.shares(str(SignalType.DESCRIPTORS), name)),
        pool=_worst(mine.shares(str(SignalType.DB_POOL), name)),
        goroutines=_worst(mine.of_pod(str(SignalType.GOROUTINES), name)),
        cpu=_worst(mine.of_pod(_CPU, name)),
        starts=mine.began(name),
    )
