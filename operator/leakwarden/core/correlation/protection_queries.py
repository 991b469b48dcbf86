"""The stored series that show protections at work, as PromQL, and their values.

Names: Envoy's documentation (Cluster statistics: connections, requests, retries, overflows and outlier detection), Istio's
(Standard Metrics, with Envoy's response flags UO and URX), postgres_exporter, mysqld_exporter and kube-state-metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.correlation.presets import ProxyPreset, window
from leakwarden.core.correlation.protection import PoolBudget, ProxyCounts
from leakwarden.core.correlation.traffic import of_pods
from leakwarden.core.model.readings import Answer, Query, Sampled
from leakwarden.core.promql import literal_regex, matcher
from leakwarden.core.signals.catalogue import CATALOGUE

_PREFIX = "protection/"
_POOL, _DATABASE, _DATABASES, _MOST = (
    f"{_PREFIX}{name}" for name in ("pool", "database", "databases", "most-replicas")
)
_BREAKER = f"{_PREFIX}breaker_open"
# Each as (metric, further matchers), by the counts of the proxy.
_ENVOY: Mapping[str, tuple[str, str]] = {
    "connections": ("envoy_cluster_upstream_cx_total", ""),
    "requests": ("envoy_cluster_upstream_rq_total", ""),
    "retries": ("envoy_cluster_upstream_rq_retry", ""),
    "ejections": ("envoy_cluster_outlier_detection_ejections_enforced_total", ""),
    "overflows": ("envoy_cluster_upstream_rq_pending_overflow", ""),
}
_ISTIO: Mapping[str, tuple[str, str]] = {
    "retries": ("istio_requests_total", 'response_flags="URX"'),
    "overflows": ("istio_requests_total", 'response_flags="UO"'),
}
# A service's own gauge or counter of open breakers: ours, and resilience4j's.
_OPEN = ("circuit_breaker_open{<<own>>}", 'resilience4j_circuitbreaker_state{state="open",<<own>>}')
_LIMITS = "pg_settings_max_connections or mysql_global_variables_max_connections"


def proxy_queries(preset: ProxyPreset | None, route: str, namespace: str, pods: str, step: float) -> list[Query]:
    """The proxy's counts as rates, and the service's own breaker. `pods`: a regular expression (RE2) for whole names."""
    within = frozenset({namespace})
    own = f"{matcher('namespace', '=', namespace)},{matcher('pod', '=~', pods)}"
    opened = " or ".join(text.replace("<<own>>", own) for text in _OPEN)
    found = [_one(_BREAKER, f"max({opened})", within)]
    if preset is None:
        return found
    names = _ENVOY if preset.requests.startswith("envoy_") else _ISTIO if preset.requests.startswith("istio_") else {}
    for name, (metric, more) in names.items():
        rate = f"sum(rate({preset.selected(metric, route, more)}[{window(step)}]))"
        found.append(_one(f"{_PREFIX}{name}", rate, within))
    return found


def pool_queries(namespace: str, pods: str, workload: str) -> list[Query]:
    """The pools of the pods, the database's limit, and the maximum of the workload's autoscaler (also of one that KEDA
    made)."""
    within = frozenset({namespace})
    row = CATALOGUE[SignalType.DB_POOL]
    limit = of_pods(row.limit, "pod", pods) if row.limit is not None else None
    scaled = f"{matcher('namespace', '=', namespace)},{matcher('scaletargetref_name', '=', workload)}"
    most = (
        "max(kube_horizontalpodautoscaler_spec_max_replicas * on (namespace, horizontalpodautoscaler) group_left ()"
        f" kube_horizontalpodautoscaler_info{{{scaled}}})"
    )
    return [
        Query(_POOL, of_pods(row.value, "pod", pods), limit, within),
        _one(_DATABASE, f"min({_LIMITS})", within),
        _one(_DATABASES, f"count({_LIMITS})", within),
        _one(_MOST, most, within),
    ]


def _one(key: str, query: str, within: frozenset[str]) -> Query:
    return Query(key, f'label_replace({query}, "pod", "all", "", "")', None, within, confined=True)


def proxy_counts(answers: Mapping[str, Answer], length: float) -> ProxyCounts:
    """Of a time of `length` s."""
    counted = {name: mean * length for name in _ENVOY if (mean := _mean(answers.get(f"{_PREFIX}{name}"))) is not None}
    return ProxyCounts(**counted, breaker_open=_highest(answers.get(_BREAKER)))


def pool_budget_of(
    answers: Mapping[str, Answer], replicas: int, *, pool: int | None = None, database: int | None = None
) -> PoolBudget:
    """`pool` and `database` are numbers that a user gave, which go first."""
    asked = answers.get(_POOL)
    limits: Sequence[float] = list(asked.limits.values()) if isinstance(asked, Sampled) else []
    most, databases = _last(answers.get(_MOST)), _last(answers.get(_DATABASES))
    return PoolBudget(
        float(pool) if pool is not None else max(limits, default=None),
        replicas,
        most_replicas=int(most) if most is not None else None,
        database=float(database) if database is not None else _last(answers.get(_DATABASE)),
        databases=int(databases) if databases is not None and database is None else 1,
    )


def literal_workload(prefix: str) -> str:
    """The name of the Deployment whose pods' names begin with this prefix."""
    return prefix.rstrip("-")


def literal_pods(prefix: str) -> str:
    return literal_regex(prefix) + ".*"


def _values(answer: Answer | None) -> list[float]:
    if not isinstance(answer, Sampled):
        return []
    return [float(v) for points in answer.series.values() for v in points.v if np.isfinite(v)]


def _mean(answer: Answer | None) -> float | None:
    values = _values(answer)
    return float(np.mean(values)) if values else None


def _highest(answer: Answer | None) -> float | None:
    return max(_values(answer), default=None)


def _last(answer: Answer | None) -> float | None:
    values = _values(answer)
    return values[-1] if values else None
