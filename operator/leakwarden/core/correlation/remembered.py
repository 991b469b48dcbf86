"""An episode by the stored series of a source: the queries, and the readings made of the answers.

The proxy is read by its preset, the workload by the operator's own queries, each restricted to its pods.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.correlation.episode import Episode, PodReadings
from leakwarden.core.correlation.traffic import of_pods
from leakwarden.core.model.readings import Answer, Floats, Points, Query, QueryFailed, Sampled, SeriesKey
from leakwarden.core.signals.catalogue import CATALOGUE, CONTEXT

MOMENTS = 240  # of an episode
LEAST_STEP = 15.0  # s
ERRORS, P99 = "proxy/errors", "proxy/p99"
_START, _CPU, _CALLS, _MEMORY = "context/start", "diagnose/cpu", "diagnose/calls", "diagnose/memory"
_KINDS = (
    SignalType.DESCRIPTORS, SignalType.DB_POOL, SignalType.GOROUTINES, SignalType.LATENCY_P99, SignalType.HTTP_ERRORS,
)  # fmt: skip
# ingress-nginx counts classes where it is told to (--report-status-classes).
_CODE = re.compile(r"[1-5](?:[0-9][0-9]|xx)")
CPU = (
    'sum by (<<owner>>) (rate(container_cpu_usage_seconds_total{container!="",container!="POD",<<matchers>>}[<<buckets>>]))'
    ' / on (<<owner>>) sum by (<<owner>>) (kube_pod_container_resource_limits{resource="cpu",<<matchers>>})'
)
# The limit as cAdvisor reports it (0: none), or as kube-state-metrics does.
MEMORY = (
    'max by (<<owner>>) (container_memory_working_set_bytes{container!="",container!="POD",<<matchers>>}'
    ' / on (<<owner>>, <<container>>) (container_spec_memory_limit_bytes{container!="",<<matchers>>} > 0))'
    ' or max by (<<owner>>) (container_memory_working_set_bytes{container!="",container!="POD",<<matchers>>}'
    ' / on (<<owner>>, <<container>>) kube_pod_container_resource_limits{resource="memory",<<matchers>>})'
)
# OpenTelemetry's semantic conventions for HTTP clients; the time of the services that the workload calls.
CALLS = (
    "histogram_quantile(0.99, sum by (<<owner>>, le)"
    " (rate(http_client_request_duration_seconds_bucket{<<matchers>>}[<<buckets>>])))"
)


# Not the catalogue's own keys, under which the operator's source keeps its last answer about each pod.
def _key(kind: SignalType) -> str:
    return f"episode/{kind}"


_ROWS = {_key(kind): CATALOGUE[kind] for kind in _KINDS}


def step_of(length: float, least: float = LEAST_STEP) -> float:
    """The step, in s, at which a time of `length` s is read; a multiple of the least."""
    return max(least, float(np.ceil(length / MOMENTS / least)) * least)


@dataclass(frozen=True, slots=True)
class Asked:
    """The queries, the pods and the time of an episode. The proxy's queries are restricted already."""

    errors: str  # one series per status code, whose label for the pod is the code
    p99: str  # one series, in s
    namespace: str
    pods: str  # a regular expression (RE2) for the whole names of the pods in `namespace`
    since: float  # epoch s
    until: float  # epoch s
    timeout: float | None = None  # s; the proxy's for its upstream
    pod_label: str = field(default="pod", kw_only=True)


def queries(asked: Asked) -> list[Query]:
    """The queries: eleven, for any number of pods."""
    within = frozenset({asked.namespace})

    def of_mine(key: str, value: str, limit: str | None = None) -> Query:
        narrowed = [of_pods(each, asked.pod_label, asked.pods) if each is not None else None for each in (value, limit)]
        return Query(key, narrowed[0] or "", narrowed[1], within)

    return [
        Query(ERRORS, asked.errors, None, within, confined=True),
        Query(P99, asked.p99, None, within, confined=True),
        *(of_mine(_key(kind), CATALOGUE[kind].value, CATALOGUE[kind].limit) for kind in _KINDS),
        of_mine(_START, CONTEXT["start"]),
        of_mine(_CPU, CPU),
        of_mine(_CALLS, CALLS),
        of_mine(_MEMORY, MEMORY),
    ]


def failures(answers: Mapping[str, Answer]) -> list[str]:
    """The queries that failed, in words."""
    return sorted({answer.message for answer in answers.values() if isinstance(answer, QueryFailed)})


def episode(asked: Asked, answers: Mapping[str, Answer]) -> Episode | None:
    """The episode; None where no requests by status code were answered."""
    by_code = {key.pod: each for key, each in _series(answers.get(ERRORS)).items() if _CODE.fullmatch(key.pod)}
    return _episode(asked, by_code, answers) if by_code else None


def turned_away(answers: Mapping[str, Answer], t: Floats) -> Floats | None:
    """Requests per second that got a 429, at the episode's moments; None where no requests by status code were read."""
    by_code = _series(answers.get(ERRORS))
    if not by_code:
        return None
    rates = [np.nan_to_num(_at(points, t)) for key, points in by_code.items() if key.pod == "429"]
    found: Floats = np.sum(rates, axis=0) if rates else np.zeros(t.size)
    return found


def _series(answer: Answer | None) -> Mapping[SeriesKey, Points]:
    return answer.series if isinstance(answer, Sampled) else {}


def _episode(asked: Asked, by_code: Mapping[str, Points], answers: Mapping[str, Answer]) -> Episode:
    t = np.unique(np.concatenate([points.t for points in by_code.values()]))
    rates = {int(code.replace("xx", "00")): np.nan_to_num(_at(points, t)) for code, points in by_code.items()}
    mine = _Mine(asked, answers, t)
    requests: Floats = np.sum(list(rates.values()), axis=0)
    return Episode(
        t=t,
        requests=requests,
        errors={code: rate for code, rate in rates.items() if code >= 500},
        pods=[_pod(mine, name) for name in mine.names],
        proxy_p99=_worst([_at(points, t) for points in _series(answers.get(P99)).values()]),
        own_p99=_worst(mine.all(_key(SignalType.LATENCY_P99))),
        dependency_p99=_worst(mine.all(_CALLS)),
        own_errors=_worst(mine.all(_key(SignalType.HTTP_ERRORS))),
        timeout=asked.timeout,
        starts_known=mine.starts_known,
        codes_known=not any(code.endswith("xx") for code in by_code),
    )


def _at(points: Points, t: Floats) -> Floats:
    """The newest value not older than two steps at each moment, NaN where there is none."""
    at = np.searchsorted(points.t, t, side="right") - 1
    step = float(np.median(np.diff(t))) if t.size > 1 else LEAST_STEP
    known = (at >= 0) & (t - points.t[np.maximum(at, 0)] <= 2 * step)
    return np.where(known, points.v[np.maximum(at, 0)], np.nan)


def _worst(parts: Sequence[Floats]) -> Floats | None:
    """The highest value of all series at each moment; None where there are none."""
    if not parts:
        return None
    top = np.max([np.where(np.isnan(part), -np.inf, part) for part in parts], axis=0)
    return np.where(np.isfinite(top), top, np.nan)


class _Mine:
    """The series of the workload's pods, by query and pod."""

    def __init__(self, asked: Asked, answers: Mapping[str, Answer], t: Floats) -> None:
        self._answers, self._t = answers, t
        named = re.compile(asked.pods)
        self._found: dict[str, dict[str, list[tuple[SeriesKey, Points]]]] = {}
        for name, answer in answers.items():
            row = _ROWS.get(name)
            by_pod = self._found.setdefault(name, {})
            for key, points in _series(answer).items():
                if key.namespace != asked.namespace or named.fullmatch(key.pod) is None:
                    continue
                # Left out where a 0 means that the value is not measured.
                kept = points.v != 0 if row is not None and row.never_zero else np.ones(points.v.size, np.bool_)
                if kept.any():
                    by_pod.setdefault(key.pod, []).append((key, Points(points.t[kept], points.v[kept])))
        self.names = sorted({pod for by_pod in self._found.values() for pod in by_pod})

    @property
    def starts_known(self) -> bool:
        return bool(self._found.get(_START))

    def _of(self, name: str, pod: str) -> list[tuple[SeriesKey, Points]]:
        return self._found.get(name, {}).get(pod, [])

    def all(self, name: str) -> list[Floats]:
        return [values for pod in self._found.get(name, {}) for values in self.of_pod(name, pod)]

    def of_pod(self, name: str, pod: str) -> list[Floats]:
        return [_at(points, self._t) for _, points in self._of(name, pod)]

    def shares(self, name: str, pod: str) -> list[Floats]:
        """Shares of the limit, where one is known."""
        answer = self._answers.get(name)
        limits = answer.limits if isinstance(answer, Sampled) else {}
        found = []
        for key, points in self._of(name, pod):
            limit = _ROWS[name].believed(limits.get(key), float(points.v.max()))
            if limit is not None and limit > 0:
                found.append(_at(points, self._t) / limit)
        return found

    def began(self, pod: str) -> tuple[list[float], list[float]]:
        """The start of its first process, and those of later ones, each if within the episode."""
        first: set[float] = set()
        later: set[float] = set()
        for _, points in self._of(_START, pod):
            # Adjusted clocks move the start of one process by a part of a second.
            one, *others = dict.fromkeys(round(float(start)) for start in points.v)
            first.add(float(one))
            later.update(float(other) for other in others if other - one > 1)
        return self._within(first), self._within(later - first)

    def _within(self, starts: set[float]) -> list[float]:
        return sorted(start for start in starts if self._t[0] <= start <= self._t[-1])


def _pod(mine: _Mine, name: str) -> PodReadings:
    starts, restarts = mine.began(name)
    return PodReadings(
        name,
        descriptors=_worst(mine.shares(_key(SignalType.DESCRIPTORS), name)),
        pool=_worst(mine.shares(_key(SignalType.DB_POOL), name)),
        goroutines=_worst(mine.of_pod(_key(SignalType.GOROUTINES), name)),
        cpu=_worst(mine.of_pod(_CPU, name)),
        starts=starts,
        restarts=restarts,
        memory=_worst(mine.of_pod(_MEMORY, name)),
    )
