"""An episode as a Prometheus remembers it: asked once, within the endpoint's own timeouts."""

from __future__ import annotations

from dataclasses import dataclass

from leakwarden.adapters.prometheus.client import PrometheusSource
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.cli.errors import CommandFailed
from leakwarden.core.correlation import remembered
from leakwarden.core.correlation.episode import Episode
from leakwarden.core.correlation.presets import ProxyPreset
from leakwarden.core.model.readings import QueryFailed
from leakwarden.core.promql import literal_regex


class NothingRemembered(CommandFailed):
    """Prometheus holds no requests of this route, or did not answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose episode: `route` as the preset's label names it, pods of `namespace` whose names begin with `prefix`, from
    `since` to `until` (epoch s). `timeout` is the proxy's for its upstream, s."""

    preset: ProxyPreset
    route: str
    namespace: str
    prefix: str
    since: float
    until: float
    timeout: float | None

    @property
    def step(self) -> float:
        return remembered.step_of(self.until - self.since)


async def read(endpoint: Endpoint, asked: Asked) -> tuple[Episode, list[str]]:
    """The episode, and which queries failed, in words. Raises NothingRemembered."""
    wanted = remembered.Asked(
        asked.preset.errors(asked.route, asked.step),
        asked.preset.p99(asked.route, asked.step),
        asked.namespace,
        pods=literal_regex(asked.prefix) + ".*",
        since=asked.since,
        until=asked.until,
        timeout=asked.timeout,
    )
    source = PrometheusSource(endpoint, bucket=asked.step)
    try:
        answers = await source.read(remembered.queries(wanted), asked.since, asked.until, asked.step)
    finally:
        await source.close()
    codes = answers.get(remembered.ERRORS)
    if isinstance(codes, QueryFailed):
        raise NothingRemembered(f"{endpoint.url}: {codes.message}")
    found = remembered.episode(wanted, answers)
    if found is None:
        raise NothingRemembered(
            f"{endpoint.url}: no {asked.preset.requests} with {asked.preset.route}={asked.route!r} in this time"
        )
    return found, remembered.failures(answers)
