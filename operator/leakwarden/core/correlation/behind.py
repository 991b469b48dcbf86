"""Which pods are behind an episode: those that ran out, that were busy, or whose processes began in it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from leakwarden.core.correlation.episode import Episode, PodReadings
from leakwarden.core.correlation.facts import FULL
from leakwarden.core.model.readings import Floats

BUSY = 0.9
MOST = 20  # pods that are named


def behind(episode: Episode) -> list[tuple[str, str]]:
    """Pod names with the reason, at most twenty pods."""
    found = [(pod.name, "; ".join(_facts(pod))) for pod in episode.pods]
    return [(name, what) for name, what in found if what][:MOST]


def _facts(pod: PodReadings) -> Iterator[str]:
    for values, what in (
        (pod.descriptors, "descriptors were"),
        (pod.pool, "connection pool was"),
        (pod.memory, "memory was"),
    ):
        if (top := _highest(values)) is not None and top >= FULL:
            yield f"its {what} at {top:.0%} of the limit"
    if (top := _highest(pod.cpu)) is not None and top >= BUSY:
        yield f"its CPU was at {top:.0%} of its limit"
    if pod.starts:
        yield "it was new: its first process began meanwhile"
    if pod.restarts:
        yield f"a process of it began again {len(pod.restarts)} time{'s' if len(pod.restarts) > 1 else ''} meanwhile"


def _highest(values: Floats | None) -> float | None:
    known = values[~np.isnan(values)] if values is not None else np.zeros(0)
    return float(known.max()) if known.size else None
