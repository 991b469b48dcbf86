"""The queries to a Prometheus about database pools, and the `Pool` that is made of its answers.

A pod with several pools is judged by their sum: a leak in any of them lifts it.
"""

from __future__ import annotations

from collections.abc import Mapping

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.model.readings import Answer, Points, Query, Sampled
from leakwarden.core.profile.pool import Pool
from leakwarden.core.signals.catalogue import CATALOGUE, CONTEXT

_IN_USE, _QUERIES, _REQUESTS = "pool/in-use", "pool/queries", "pool/requests"
# Names of client_golang's collector, and of sqlstats'.
_GAUGES = {
    "pool/open": ("go_sql_open_connections", "go_sql_stats_connections_open"),
    "pool/idle": ("go_sql_idle_connections", "go_sql_stats_connections_idle"),
}
_COUNTERS = {
    "pool/waits": ("go_sql_wait_count_total", "go_sql_stats_connections_waited_for"),
    "pool/expired": ("go_sql_max_lifetime_closed_total", "go_sql_stats_connections_closed_max_lifetime"),
}
# OpenTelemetry's name; database/sql itself does not count queries.
_CALLS = "db_client_operation_duration_seconds_count"


def _summed(expression: str) -> str:
    return f"sum by (<<owner>>) ({expression})"


def _last(names: tuple[str, ...]) -> str:
    return " or on (<<owner>>) ".join(_summed(f"last_over_time({name}{{<<matchers>>}}[<<bucket>>])") for name in names)


def pool_queries(namespace: str) -> list[Query]:
    """The queries for all pools of a namespace's pods."""
    row = CATALOGUE[SignalType.DB_POOL]
    assert row.limit is not None
    within = frozenset({namespace})
    return [
        Query(_IN_USE, _summed(row.value), _summed(row.limit), within),
        Query(_QUERIES, _summed(f"rate({_CALLS}{{<<matchers>>}}[<<buckets>>])"), None, within),
        Query(_REQUESTS, CONTEXT["rate"], None, within),
        *(Query(key, _last(series), None, within) for key, series in {**_GAUGES, **_COUNTERS}.items()),
    ]


def pool_of(answers: Mapping[str, Answer], namespace: str, pod: str) -> Pool | None:
    """The pod's pool; None where it has none, or nothing was answered.

    Where queries are not counted, the requests are used in their place: more queries because of more requests are no
    leak.
    """
    in_use = _points(answers, _IN_USE, namespace, pod)
    if in_use is None or not in_use.v.size:
        return None
    answer = answers[_IN_USE]
    limits = answer.limits if isinstance(answer, Sampled) else {}
    limit = next((value for key, value in limits.items() if (key.namespace, key.pod) == (namespace, pod)), None)
    queries, calls = _points(answers, _QUERIES, namespace, pod), "queries"
    if queries is None:
        queries, calls = _points(answers, _REQUESTS, namespace, pod), "requests"
    return Pool(
        in_use,
        queries,
        limit,
        waits=_points(answers, "pool/waits", namespace, pod),
        idle=_points(answers, "pool/idle", namespace, pod),
        opened=_points(answers, "pool/open", namespace, pod),
        expired=_points(answers, "pool/expired", namespace, pod),
        calls=calls,
    )


def _points(answers: Mapping[str, Answer], key: str, namespace: str, pod: str) -> Points | None:
    answer = answers.get(key)
    if not isinstance(answer, Sampled):
        return None
    return next((p for k, p in answer.series.items() if (k.namespace, k.pod) == (namespace, pod)), None)
