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
    """One pod; each array has an entry for each moment, NaN where nothing was read, and is None where nothing ever was."""

    name: str
    descriptors: Floats | None = None  # share of the limit
    pool: Floats | None = None  # connections in use, share of the limit
    goroutines: Floats | None = None
    cpu: Floats | None = None  # share of the limit
    starts: Sequence[float] = ()  # epoch s at which this pod's first process began, if within the episode
    restarts: Sequence[float] = ()  # epoch s at which a process of this pod took the place of an earlier one
    memory: Floats | None = None  # working set, share of the limit


@dataclass(frozen=True, slots=True)
class Episode:
    """Readings at common moments. None everywhere: not known."""

    t: Floats  # epoch s, ascending and even
    requests: Floats  # per second, at the proxy
    errors: Mapping[int, Floats]  # per second, by status code, at the proxy
    pods: Sequence[PodReadings] = ()
    proxy_p99: Floats | None = None  # s, the time of its upstream as the proxy measures it
    own_p99: Floats | None = None  # s, as the workload measures itself
    dependency_p99: Floats | None = None  # s, of the services that the workload calls, as it measures them
    own_errors: Floats | None = None  # share of requests that the workload itself answered with a 5xx
    timeout: float | None = None  # s, the proxy's for its upstream
    starts_known: bool = True  # whether `starts` and `restarts` of the pods were read at all
    logs: Mapping[LogKind, int] | None = field(default=None)
    codes_known: bool = True  # False: the proxy counts classes only (5xx), which are then under 500
