"""An episode as a Prometheus remembers it: asked once, within the endpoint's own timeouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from leakwarden.adapters.prometheus.client import PrometheusSource
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.cli.errors import CommandFailed
from leakwarden.core.correlation import remembered
from leakwarden.core.correlation.episode import Episode
from leakwarden.core.correlation.presets import ProxyPreset
from leakwarden.core.correlation.protection import Protection, of_episode, pool_budget
from leakwarden.core.correlation.protection_queries import (
    literal_pods,
    literal_workload,
    pool_budget_of,
    pool_queries,
    proxy_counts,
    proxy_queries,
)
from leakwarden.core.model.readings import Answer, QueryFailed


class NothingRemembered(CommandFailed):
    """Prometheus holds no requests of this route, or did not answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The subject of the episode: `route` as the preset's label names it, pods of `namespace` whose names begin with
    `prefix`, from `since` to `until` (epoch s). `timeout` is the proxy's for its upstream, s."""

    preset: ProxyPreset | None  # None: the requests are those of `access_log`
    route: str
    namespace: str
    prefix: str
    since: float
    until: float
    timeout: float | None
    access_log: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def step(self) -> float:
        return remembered.step_of(self.until - self.since)


@dataclass(frozen=True, slots=True)
class Remembered:
    """The answers of a Prometheus."""

    episode: Episode
    protection: Sequence[Protection]
    failed: Sequence[str]  # queries that had no answer, in words


async def read(endpoint: Endpoint, asked: Asked) -> Remembered:
    """Raises NothingRemembered."""
    preset, step = asked.preset, asked.step
    wanted = remembered.Asked(
        preset.errors(asked.route, step) if preset is not None else "",
        preset.p99(asked.route, step) if preset is not None else "",
        asked.namespace,
        pods=literal_pods(asked.prefix),
        since=asked.since,
        until=asked.until,
        timeout=asked.timeout,
    )
    source = PrometheusSource(endpoint, bucket=step)
    queries = [query for query in remembered.queries(wanted) if query.key not in asked.access_log]
    queries += proxy_queries(preset, asked.route, asked.namespace, wanted.pods, step)
    queries += pool_queries(asked.namespace, wanted.pods, literal_workload(asked.prefix))
    try:
        answers = {**await source.read(queries, asked.since, asked.until, step), **asked.access_log}
    finally:
        await source.close()
    codes = answers.get(remembered.ERRORS)
    if isinstance(codes, QueryFailed):
        raise NothingRemembered(f"{endpoint.url}: {codes.message}")
    found = remembered.episode(wanted, answers)
    if found is None and preset is None:
        raise NothingRemembered(f"--access-log: no request to {asked.route!r} in this time")
    if found is None:
        assert preset is not None
        raise NothingRemembered(
            f"{endpoint.url}: no {preset.requests} with {preset.route}={asked.route!r} in this time"
        )
    counts = proxy_counts(answers, asked.until - asked.since)
    # Pods of the episode that are gone by its end are not replicas.
    replicas = sum(pod.goroutines is None or not np.isnan(pod.goroutines[-1]) for pod in found.pods)
    protection = [
        *of_episode(found, remembered.turned_away(answers, found.t), counts),
        pool_budget(pool_budget_of(answers, replicas)),
    ]
    return Remembered(found, protection, remembered.failures(answers))
