"""Scrapes of a process as a watch would have them, a second apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.watch.judging import TrackJudgement, judge_tracks, tracks
from leakwarden.core.watch.scraped import Scrape, TrackKey

Line: TypeAlias = Sequence[float] | NDArray[Any]

BEGAN = 1_000_000.0
KIND = SignalType.GOROUTINES


def scrapes(
    values: Line,
    kind: SignalType = KIND,
    *,
    requests: Line | None = None,
    cycles: Line | None = None,
    limit: float | None = None,
    step: float = 1.0,
) -> list[Scrape]:
    """NaN is a moment without a reading."""
    key = TrackKey(kind)
    return [
        Scrape(
            BEGAN + n * step,
            {key: float(value)} if value == value else {},
            {key: limit} if limit is not None else {},
            float(requests[n]) if requests is not None else None,
            float(cycles[n]) if cycles is not None else None,
            BEGAN - 5.0,
        )
        for n, value in enumerate(values)
    ]


def judged(found: Sequence[Scrape], bucket: float = 1.0) -> TrackJudgement:
    """Of the only track."""
    (one,) = judge_tracks(tracks(found, bucket), bucket, found[-1].t)
    return one


def noise(size: int, mean: float = 4.0, seed: int = 1) -> NDArray[Any]:
    """Independent arrivals and departures: a Poisson count."""
    return np.random.default_rng(seed).poisson(mean, size).astype(np.float64)


def served(size: int, per_second: float = 20.0) -> NDArray[Any]:
    return np.arange(size) * per_second
