"""Which protections of a service were seen at work: a graceful stop, a rate limit, retries, a circuit breaker, reused
connections, and pools that the database has room for.

Audit and advice: nothing is changed. A protection that had no occasion to work is not known, not absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from leakwarden.core.correlation.episode import Episode
from leakwarden.core.correlation.facts import AFTER_START, BEFORE_START
from leakwarden.core.correlation.trouble import BAD_SHARE
from leakwarden.core.detection.rollups import Bools
from leakwarden.core.model.readings import Floats

# Connections opened for each request from which on they are not reused: a kept connection serves hundreds.
NOT_REUSED = 0.5
REUSED = 0.1
# Connections that PostgreSQL keeps for superusers (superuser_reserved_connections, default 3).
RESERVED = 3
# Moments without a reading at the end of the time after which a pod counts as gone: single scrapes fail.
GONE_AFTER = 4


class Sight(StrEnum):
    SEEN = "seen"
    NOT_SEEN = "not seen"
    NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Protection:
    """One protection."""

    name: str
    sight: Sight
    why: str
    advice: str = ""  # where it was not seen


@dataclass(frozen=True, slots=True)
class ProxyCounts:
    """What the proxy counted in the time, by Envoy's names; None where it counts no such thing."""

    connections: float | None = None  # opened to the workload
    requests: float | None = None  # sent to the workload
    retries: float | None = None
    ejections: float | None = None  # of pods, by outlier detection
    overflows: float | None = None  # requests that its circuit breaker did not let pass
    breaker_open: float | None = None  # highest value of the service's own gauge for an open circuit breaker


@dataclass(frozen=True, slots=True)
class PoolBudget:
    """Connections to a database."""

    per_pod: float | None  # the most that one pod may open
    replicas: int
    most_replicas: int | None  # of an autoscaler; None: none is known
    database: float | None  # the most that the database takes
    databases: int = 1  # databases whose limits were found


def of_episode(episode: Episode, turned_away: Floats | None, counts: ProxyCounts) -> list[Protection]:
    """`turned_away`: 429s per second on the episode's moments, None where no requests by status code were read."""
    failed = np.sum([np.nan_to_num(rates) for rates in episode.errors.values()], axis=0) + np.zeros(episode.t.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        bad = np.where(episode.requests > 0, failed / episode.requests, 0.0) > BAD_SHARE
    return [
        graceful_stop(episode, bad),
        rate_limit(bad, turned_away),
        retries(counts, bad),
        circuit_breaker(counts, bad),
        connection_reuse(counts),
    ]


def graceful_stop(episode: Episode, bad: Bools) -> Protection:
    name = "graceful stop"
    if not episode.starts_known:
        return Protection(name, Sight.NOT_KNOWN, "when the pods' processes began was not read")
    stops = _stops(episode)
    near = np.zeros(episode.t.size, np.bool_)
    for stop in stops:
        near |= (episode.t >= stop - BEFORE_START) & (episode.t <= stop + AFTER_START)
    if not near.any():
        return Protection(name, Sight.NOT_KNOWN, "no process was seen to end in this time")
    ended = f"{len(stops)} process{'es' if len(stops) > 1 else ''} ended"
    if not (bad & near).any():
        return Protection(name, Sight.SEEN, f"{ended}, without errors near that")
    if float(bad[~near].mean() if (~near).any() else 1.0) > 0.5 * float(bad[near].mean()):
        return Protection(name, Sight.NOT_KNOWN, f"{ended}, and there were as many errors at other times")
    advice = (
        "wait in preStop until endpoints forget the pod, then end requests in flight on SIGTERM (http.Server.Shutdown)"
    )
    return Protection(name, Sight.NOT_SEEN, f"{ended}, and errors fell near that", advice)


def _stops(episode: Episode) -> list[float]:
    """The moments at which processes ended: another one began in the same pod, or the pod's readings end."""
    found = []
    for pod in episode.pods:
        read = np.zeros(episode.t.size, np.bool_)
        for values in (pod.descriptors, pod.pool, pod.goroutines, pod.cpu):
            if values is not None:
                read |= ~np.isnan(values)
        if not read.any():
            continue
        found += [start for start in pod.starts if start > episode.t[int(np.argmax(read))]]
        last = episode.t.size - 1 - int(np.argmax(read[::-1]))
        if last < episode.t.size - GONE_AFTER:
            found.append(float(episode.t[last]))
    return found


def rate_limit(bad: Bools, turned_away: Floats | None) -> Protection:
    name = "rate limit"
    if turned_away is None:
        return Protection(name, Sight.NOT_KNOWN, "no requests by status code were read")
    if (most := float(np.nanmax(np.nan_to_num(turned_away), initial=0.0))) > 0:
        return Protection(name, Sight.SEEN, f"429 was answered, up to {most:,.1f} times a second")
    if bad.any():
        advice = "answer 429 beyond what a pod carries (golang.org/x/time/rate, or limit_req and local_ratelimit at the proxy)"
        return Protection(name, Sight.NOT_SEEN, "requests failed, and none was turned away with 429", advice)
    return Protection(name, Sight.NOT_KNOWN, "no overload was there to turn away")


def retries(counts: ProxyCounts, bad: Bools) -> Protection:
    name = "retries"
    if counts.retries is None:
        return Protection(
            name, Sight.NOT_KNOWN, "this proxy counts no retries; its configuration says (leakwarden audit)"
        )
    if counts.retries > 0:
        return Protection(name, Sight.SEEN, f"the proxy tried {counts.retries:,.0f} requests again")
    if bad.any():
        advice = "retry connection failures once, of idempotent requests only, with a budget"
        return Protection(name, Sight.NOT_SEEN, "requests failed, and the proxy tried none again", advice)
    return Protection(name, Sight.NOT_KNOWN, "no request failed that could be tried again")


def circuit_breaker(counts: ProxyCounts, bad: Bools) -> Protection:
    name = "circuit breaker"
    worked = [
        text
        for value, text in (
            (counts.ejections, "outlier detection took pods out"),
            (counts.overflows, "the proxy held requests back"),
            (counts.breaker_open, "the service's own breaker was open"),
        )
        if value is not None and value > 0
    ]
    if worked:
        return Protection(name, Sight.SEEN, "; ".join(worked))
    if counts.ejections is None and counts.overflows is None and counts.breaker_open is None:
        return Protection(name, Sight.NOT_KNOWN, "neither the proxy nor the service counts one")
    if bad.any():
        advice = "outlierDetection in the DestinationRule, or a breaker with a fallback around calls (sony/gobreaker)"
        return Protection(name, Sight.NOT_SEEN, "requests failed, and no breaker opened", advice)
    return Protection(name, Sight.NOT_KNOWN, "it had no occasion to open")


def connection_reuse(counts: ProxyCounts) -> Protection:
    name = "connection reuse"
    if counts.connections is None or not counts.requests:
        return Protection(name, Sight.NOT_KNOWN, "this proxy does not count its connections to the workload")
    each = counts.connections / counts.requests
    if each <= REUSED:
        return Protection(
            name, Sight.SEEN, f"{counts.requests:,.0f} requests took {counts.connections:,.0f} connections"
        )
    advice = "keep connections alive between the proxy and the service (keepalive, no Connection: close, no maxRequestsPerConnection: 1)"
    if each >= NOT_REUSED:
        return Protection(name, Sight.NOT_SEEN, f"{each:.1f} connections were opened for each request", advice)
    return Protection(name, Sight.NOT_SEEN, f"one connection served {1 / each:.1f} requests only", advice)


def pool_budget(budget: PoolBudget) -> Protection:
    """Whether the pools of all replicas fit into the database's limit, today and at the autoscaler's maximum."""
    name = "database connections"
    if budget.per_pod is None or budget.per_pod <= 0:
        return Protection(name, Sight.NOT_KNOWN, "no pod says how many connections its pool may open")
    if budget.database is None:
        return Protection(name, Sight.NOT_KNOWN, "the database's max_connections is not known (--database gives it)")
    lowest = f" (the lowest of {budget.databases} databases)" if budget.databases > 1 else ""
    most = max(budget.replicas, budget.most_replicas or 0)
    parts = [f"{budget.replicas} pods of {budget.per_pod:,.0f}"]
    if budget.most_replicas is not None:
        parts.append(f"{budget.most_replicas} at the autoscaler's maximum")
    why = f"{', '.join(parts)}: {most * budget.per_pod:,.0f} connections, the database takes {budget.database:,.0f}{lowest}"
    if most * budget.per_pod <= budget.database - RESERVED:
        return Protection(name, Sight.SEEN, why)
    fits = max(0, int((budget.database - RESERVED) // max(most, 1)))
    advice = (
        f"SetMaxOpenConns({fits}) for {most} pods, fewer pods, or a pooler before the database" if fits else "a pooler"
    )
    return Protection(name, Sight.NOT_SEEN, why, advice)


def of_load(turned_away: Sequence[float], overloaded: bool) -> list[Protection]:
    """Of a load test: `turned_away` the share of each step's requests that got a 429, `overloaded` whether a step was more
    than the service carried."""
    name = "rate limit"
    if (most := max(turned_away, default=0.0)) > 0:
        return [Protection(name, Sight.SEEN, f"up to {most:.0%} of a step's requests were turned away with 429")]
    if overloaded:
        advice = "answer 429 beyond what a pod carries, so that the rest stays quick (golang.org/x/time/rate)"
        return [Protection(name, Sight.NOT_SEEN, "under overload no request was turned away with 429", advice)]
    return [Protection(name, Sight.NOT_KNOWN, "no step was more than the service carries")]


def in_lines(found: Sequence[Protection]) -> list[str]:
    """A line for each, with its advice."""
    return [
        f"{each.name}: {each.sight}; {each.why}" + (f"; advice: {each.advice}" if each.advice else "") for each in found
    ]


def as_values(found: Sequence[Protection]) -> list[Mapping[str, str]]:
    return [{"name": each.name, "sight": str(each.sight), "why": each.why, "advice": each.advice} for each in found]
