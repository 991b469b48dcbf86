"""The queries that the policies need: each built-in signal once for all of them, each user's query once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable

from leakwarden.api.v1alpha1.policy import Signal, SignalType
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.readings import Query
from leakwarden.core.promql import PromQLError, Question, matcher
from leakwarden.core.signals.catalogue import CATALOGUE, CONTEXT, LimitKind, row_of

# Keys of the readings that explain growth.
RATE = "context/rate"
COLLECTIONS = "context/gc"
RSS = "context/rss"
LATENCY = str(SignalType.LATENCY_P99)  # of policies that have this signal


def answer_key(signal: Signal, namespace: str) -> str:
    """Identifies a query, so that two policies with the same one share it."""
    match signal.type:
        case SignalType.PROMQL | SignalType.DB_POOL if signal.query is not None:
            text = f"{signal.query}\n{signal.limit_query}"
        case SignalType.ALERT:
            assert signal.alert is not None
            text = f"{signal.alert.name}\n{sorted(signal.alert.labels.items())}"
        case _:
            return str(signal.type)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{signal.type}/{namespace}/{digest}"


def limit_from_container(key: str) -> bool:
    """Whether the limit of a built-in signal is the container's memory limit, known from the pod template."""
    row = row_of(key)
    return row is not None and row.limit_kind is LimitKind.CONTAINER_MEMORY


def fixed_limit(kind: SignalType) -> float | None:
    """The limit that need not be read: a share cannot exceed 1."""
    row = CATALOGUE.get(kind)
    return 1.0 if row is not None and row.limit_kind is LimitKind.SHARE else None


def grows(key: str) -> bool:
    """Whether the growth of a query's readings is judged: not for series that only explain, nor for Symptom signals."""
    row = row_of(key)
    return row.grows if row is not None else key not in (RATE, COLLECTIONS, RSS)


def unit_of(kind: SignalType) -> str:
    row = CATALOGUE.get(kind)
    return row.unit if row is not None else ""


def _user_query(policy: Policy, signal: Signal, namespace_label: str, pod_label: str) -> Query:
    namespace = policy.namespace
    if signal.type is SignalType.ALERT:
        assert signal.alert is not None
        labels = {
            **signal.alert.labels,
            "alertname": signal.alert.name,
            "alertstate": "firing",
            namespace_label: namespace,
        }
        value = "ALERTS{" + ",".join(matcher(name, "=", text) for name, text in sorted(labels.items())) + "}"
        limit = None
    else:
        assert signal.query is not None
        value = policy.ask(Question(signal.query, namespace, namespace_label, pod_label)).query
        limit = None
        if signal.limit_query is not None:
            limit = policy.ask(Question(signal.limit_query, namespace, namespace_label, pod_label)).query
    return Query(
        key=answer_key(signal, namespace),
        value=value,
        limit=limit,
        namespaces=frozenset({namespace}),
        confined=True,
    )


def needed_queries(
    policies: Iterable[Policy], namespace_label: str = "namespace", pod_label: str = "pod"
) -> list[Query]:
    """The queries for these policies, which share one source; in a stable order.

    The labels have the source's names. A user's query that cannot be confined with them is left out: its signal is then
    Unknown, and no other is affected.
    """
    shared: dict[SignalType, set[str]] = {}
    own: dict[str, Query] = {}
    for policy in policies:
        if policy.spec is None:
            continue
        for signal in policy.spec.signals:
            if signal.query is not None or signal.type is SignalType.ALERT:
                with contextlib.suppress(PromQLError):
                    query = _user_query(policy, signal, namespace_label, pod_label)
                    own[query.key] = query
            else:
                shared.setdefault(signal.type, set()).add(policy.namespace)
    builtin = [
        Query(key=str(kind), value=CATALOGUE[kind].value, limit=CATALOGUE[kind].limit, namespaces=frozenset(namespaces))
        for kind, namespaces in sorted(shared.items())
    ]
    return builtin + [own[key] for key in sorted(own)]


def context_queries(policies: Iterable[Policy]) -> list[Query]:
    """The queries that explain growth: request rates and completed GC cycles of the policies' namespaces."""
    namespaces = frozenset(policy.namespace for policy in policies)
    return [Query(key, CONTEXT[key.removeprefix("context/")], None, namespaces) for key in (RATE, COLLECTIONS)]


def rss_queries(queries: Iterable[Query]) -> list[Query]:
    """The queries for the memory that cannot be reclaimed, where `queries` read memory with its page cache."""
    return [
        Query(RSS, CONTEXT["rss"], None, query.namespaces)
        for query in queries
        if (row := row_of(query.key)) is not None and row.page_cache
    ]
