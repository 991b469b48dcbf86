"""The readings of an episode of errors at a proxy: of the proxy and of the workload behind it, on one grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from leakwarden.core.model.readings import Floats


class LogKind(StrEnum):
    """The kinds of log lines that point to a cause."""

    OPEN_FILES = "TooManyOpenFiles"
    REFUSED = "ConnectionRefused"
    POOL_WAIT = "WaitingForAConnection"
    DEADLINE = "DeadlineExceeded"
    CANCELLED = "ClientGone"  # the caller, which is the proxy, hung up first


@dataclass(frozen=True, slots=True)
class PodReadings:
    """One pod; each array has an entry for each moment, NaN where nothing was read, and is None where nothing ever was.

    `descriptors` and `pool` are shares of their limits, `cpu` the share of its limit; `starts` are the moments (epoch s)
    at which a process of this place began during the episode: a restart, or a new pod that took the place of another.
    """

    name: str
    descriptors: Floats | None = None
    pool: Floats | None = None
    goroutines: Floats | None = None
    cpu: Floats | None = None
    starts: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Episode:
    """`t` epoch s, ascending and even. `requests` and `errors` (by status code) are per second, at the proxy. The P99s
    are in seconds: as the proxy measures its upstream, as the workload measures itself, and what the workload measures of
    those that it calls. `timeout` is the proxy's for its upstream, s. None everywhere: not known."""

    t: Floats
    requests: Floats
    errors: Mapping[int, Floats]
    pods: Sequence[PodReadings] = ()
    proxy_p99: Floats | None = None
    own_p99: Floats | None = None
    dependency_p99: Floats | None = None
    own_errors: Floats | None = None  # share of requests that the workload itself answered with a 5xx
    timeout: float | None = None
    starts_known: bool = True  # whether `starts` of the pods were read at all
    logs: Mapping[LogKind, int] | None = field(default=None)
