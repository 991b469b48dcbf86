"""An episode in time: errors next to descriptors, pools, goroutines, starts and log lines, and what of it coincides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from leakwarden.core.correlation.episode import Episode, LogKind
from leakwarden.core.correlation.facts import FULL
from leakwarden.core.model.readings import Floats

MOST_ROWS = 12
# Fewer lines than this coincide with anything.
LEAST_LINES = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One part of the episode; None where nothing was read."""

    at: float  # epoch s, its beginning
    requests: float | None  # per second, mean
    errors: float | None  # share of the requests
    p99: float | None  # s, the highest; as the workload measures itself, else as the proxy does
    descriptors: float | None  # share of the limit, of the fullest pod
    pool: float | None  # share of the limit, of the fullest pod
    goroutines: float | None  # of all pods together, at most
    starts: int  # processes of the pods that began
    lines: Mapping[LogKind, int] = field(default_factory=dict)  # lines of logs with a time


def timeline(episode: Episode, lines: Mapping[LogKind, Sequence[float]] | None = None) -> list[Row]:
    """At most twelve rows of equal length. `lines` are the times of log lines (epoch s) by kind."""
    t = episode.t
    failed = np.sum([np.nan_to_num(rates) for rates in episode.errors.values()], axis=0) + np.zeros(t.size)
    p99 = episode.own_p99 if episode.own_p99 is not None else episode.proxy_p99
    together = [pod.goroutines for pod in episode.pods if pod.goroutines is not None]
    goroutines = np.nansum(together, axis=0) if together else None
    descriptors = _fullest([pod.descriptors for pod in episode.pods])
    pool = _fullest([pod.pool for pod in episode.pods])
    rows = []
    for part in np.array_split(np.arange(t.size), min(MOST_ROWS, t.size)):
        begins, ends = float(t[part[0]]), float(t[part[-1] + 1]) if part[-1] + 1 < t.size else np.inf
        requests = float(np.nansum(episode.requests[part]))
        counted = {
            kind: count
            for kind, times in (lines or {}).items()
            if (count := sum(begins <= at < ends for at in times)) > 0
        }
        rows.append(
            Row(
                begins,
                requests / part.size,
                errors=float(failed[part].sum()) / requests if requests > 0 else None,
                p99=_most(p99, part),
                descriptors=_most(descriptors, part),
                pool=_most(pool, part),
                goroutines=_most(goroutines, part),
                starts=sum(begins <= start < ends for pod in episode.pods for start in pod.starts),
                lines=counted,
            )
        )
    return rows


def coincide(episode: Episode, lines: Mapping[LogKind, Sequence[float]]) -> list[str]:
    """Sentences about log lines that were written while descriptors or a pool were used up, one for each such pair."""
    found = []
    for kind, values, what in (
        (LogKind.OPEN_FILES, _fullest([pod.descriptors for pod in episode.pods]), "descriptors were"),
        (LogKind.POOL_WAIT, _fullest([pod.pool for pod in episode.pods]), "connection pool was"),
    ):
        times = [at for at in lines.get(kind, ()) if episode.t[0] <= at <= episode.t[-1]]
        if values is None or len(times) < LEAST_LINES:
            continue
        # The reading before a line and the one after it: a line is written between two.
        after = np.minimum(np.searchsorted(episode.t, times), episode.t.size - 1)
        full = np.nan_to_num(np.maximum(values[after], values[np.maximum(after - 1, 0)])) >= FULL
        found.append(f"{int(full.sum())} of {len(times)} log lines {kind} were written while a pod's {what} used up")
    return found


def _fullest(parts: Sequence[Floats | None]) -> Floats | None:
    known = [np.where(np.isnan(part), -np.inf, part) for part in parts if part is not None]
    if not known:
        return None
    top = np.max(known, axis=0)
    return np.where(np.isfinite(top), top, np.nan)


def _most(values: Floats | None, part: np.ndarray) -> float | None:
    if values is None:
        return None
    known = values[part][~np.isnan(values[part])]
    return float(known.max()) if known.size else None
