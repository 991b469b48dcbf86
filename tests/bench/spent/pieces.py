"""The parts that the phenomena are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.detection.recording import Series
from tests.bench.shapes import Labelled

Array = NDArray[np.float64]
Rng = np.random.Generator
MIB = float(1 << 20)
HOUR = 3600.0
DAY = 86400.0


def clock(rng: Rng, days: float, step: float = 30.0) -> Array:
    """Scrape times: a regular step, begun at any second of any week."""
    began = 1.75e9 + rng.uniform(0, 60 * DAY)
    return np.asarray(began + step * np.arange(int(days * DAY / step)), dtype=np.float64)


def ar1(rng: Rng, n: int, step: float, tau: float) -> Array:
    """Noise of standard deviation 1 that forgets within tau seconds."""
    a = float(np.exp(-step / max(tau, step)))
    kicks = rng.normal(0, np.sqrt(1 - a * a), n)
    out = np.empty(n)
    level = rng.normal()
    for i in range(n):
        level = a * level + kicks[i]
        out[i] = level
    return out


def day_curve(rng: Rng, t: Array, swing: float) -> Array:
    """Traffic of a day, mean about 1: a broad hump by day, a trough by night, less at weekends."""
    hour = ((t / HOUR) % 24 + rng.uniform(0, 24)) % 24
    hump = np.exp(-0.5 * ((hour - 11) / 3.2) ** 2) + 0.9 * np.exp(-0.5 * ((hour - 19) / 2.4) ** 2)
    weekday = np.floor(t / DAY + rng.integers(0, 7)) % 7
    return (1 - swing + swing * 2.1 * hump) * np.where(weekday >= 5, rng.uniform(0.5, 1.0), 1.0)


def traffic(rng: Rng, t: Array, level: float, swing: float = 0.6) -> Array:
    """Requests/s of one pod."""
    step = t[1] - t[0]
    wobble = np.exp(0.06 * ar1(rng, t.size, step, 600) + 0.05 * ar1(rng, t.size, step, 60))
    return np.maximum(level * day_curve(rng, t, swing) * wobble, 0.01)


def pods(rng: Rng, low: int, high: int) -> range:
    """Numbers of the pods of one workload."""
    return range(int(rng.integers(low, high + 1)))


def maybe_rate(rng: Rng, rate: Array) -> Array | None:
    """Three quarters of workloads have a request rate."""
    return rate if rng.random() < 0.75 else None


def gaps(rng: Rng, v: Array) -> Array:
    """Some scrapes fail: singles, and now and then a few minutes."""
    v = v.copy()
    v[rng.random(v.size) < 0.003] = np.nan
    for at in np.flatnonzero(rng.random(v.size) < 0.0001):
        v[at : at + int(rng.integers(3, 20))] = np.nan
    return v


def life(
    rng: Rng,
    name: str,
    pod: int,
    signal: str,
    t: Array,
    *,
    v: Array,
    limit: float | None,
    rate: Array | None = None,
    leaky: bool = False,
    onset: float | None = None,
    dies: float | None = None,
    start: float | None = None,
) -> Labelled:
    """One life of one process; it ends where it dies."""
    if dies is not None:
        keep = t <= dies
        t, v, rate = t[keep], v[keep], None if rate is None else rate[keep]
    series = Series(
        signal=signal,
        namespace="acme",
        workload=name,
        pod=f"{name}-{pod}",
        uid=f"{name}-{pod}-{int(t[0])}",
        start=float(t[0] - rng.uniform(1, 25)) if start is None else start,
        limit=limit,
        t=t,
        v=gaps(rng, np.maximum(v, 0.0)),
        rate=rate,
        gc=None,
    )
    if not leaky:
        return Labelled("", leaky=False, series=series)
    return Labelled("", leaky=True, series=series, onset=onset, exhausts=dies)


def crossing(t: Array, v: Array, level: float) -> float | None:
    """The first time at which v has reached the level."""
    at = np.flatnonzero(v >= level)
    return float(t[at[0]]) if at.size else None


def go_heap(rng: Rng, t: Array, live: Array, alloc: Array, gogc: float = 1.0) -> Array:
    """Heap in use of a collector that runs when garbage has grown to gogc times what is live."""
    step = t[1] - t[0]
    out = np.empty(t.size)
    garbage = rng.uniform(0, 1) * gogc * live[0]
    for i in range(t.size):
        garbage += alloc[i] * step * rng.uniform(0.8, 1.2)
        goal = gogc * max(live[i], 4 * MIB)
        if garbage > goal:
            garbage = (garbage - goal) % goal if garbage < 20 * goal else rng.uniform(0, goal)
        out[i] = live[i] + garbage
    return out


def leaking_lives(
    rng: Rng,
    name: str,
    pod: int,
    signal: str,
    t: Array,
    *,
    v: Array,
    level: float,
    limit: float | None,
    onset: float,
    rate: Array | None = None,
) -> list[Labelled]:
    """A leaking life up to the level at which it fails; nothing if it does not get there (it was restarted before)."""
    dies = crossing(t, v, level)
    return [life(rng, name, pod, signal, t, v=v, limit=limit, rate=rate, leaky=True, onset=onset, dies=dies)]
