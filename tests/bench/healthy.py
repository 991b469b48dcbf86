"""Families that do not leak. Each draws one workload with all its pods into a scene."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np

from leakwarden.core.model.readings import Floats
from tests.bench.shapes import HOUR, Scene, autocorrelated


def _pods(s: Scene, shape: Callable[[int, Floats], Floats], factor: float | None = None, cap: bool = True) -> None:
    """Every replica has the same traffic and its own noise."""
    traffic = s.traffic(factor)
    for pod in range(s.replicas):
        s.add(pod, shape(pod, traffic), traffic, cap=cap)


def flat(s: Scene) -> None:
    _pods(s, lambda pod, tr: s.level(tr), factor=1.0)


def noisy(s: Scene) -> None:
    s.noise = float(s.rng.uniform(0.15, 0.3))
    s.noise_memory = float(s.rng.uniform(20, 300))
    _pods(s, lambda pod, tr: s.level(tr))


def daily(s: Scene) -> None:
    _pods(s, lambda pod, tr: s.level(tr), factor=float(s.rng.uniform(1.5, 4)))


def daily_high(s: Scene) -> None:
    """Peaks at 78 to 90 % of the limit, every day."""
    s.noise = min(s.noise, 0.04)
    peak = s.rng.uniform(0.78, 0.90)

    def shape(pod: int, tr: Floats) -> Floats:
        level = s.level(tr, 1.0)
        return level / np.quantile(level, 0.998) * peak

    _pods(s, shape, factor=float(s.rng.uniform(2, 4)))


def living_high(s: Scene) -> None:
    """Steadily at 82 to 93 %."""
    mean = s.rng.uniform(0.82, 0.93)
    sigma = min(0.02, (1 - mean) / 4.5)
    _pods(
        s,
        lambda pod, tr: mean + autocorrelated(s.rng, s.n, s.noise_memory, sigma) + s.rng.normal(size=s.n) * 0.003,
        factor=1.0,
    )


def weekly_growth(s: Scene) -> None:
    growth = 1 + s.rng.uniform(0.02, 0.08) * s.hours() / 24

    def shape(pod: int, tr: Floats) -> Floats:
        return s.level(tr * growth)

    traffic = s.traffic()
    for pod in range(s.replicas):
        s.add(pod, shape(pod, traffic), traffic * growth)


def warm_up(s: Scene) -> None:
    """A saturating ramp from the start: minutes to ten hours, to 20 to 80 % of the limit."""
    plateau = s.rng.uniform(0.2, 0.8)
    tau = np.exp(s.rng.uniform(np.log(3 / 60), np.log(4)))
    ramp = 1 - 0.9 * np.exp(-s.hours() / tau)
    s.noise = min(s.noise, 0.06)
    _pods(s, lambda pod, tr: plateau * ramp * (0.85 + 0.15 * tr) * s.wobble(0.5), factor=1.0)


def gc_sawtooth(s: Scene) -> None:
    """Heap doubling between collections every few minutes; collections are counted."""
    s.signal = "heap"
    traffic = s.traffic()
    for pod in range(s.replicas):
        live = s.level(traffic, s.use)
        live = np.minimum(live, 0.45)
        period = s.rng.uniform(1.5, 40)
        cycle = np.cumsum(np.maximum(traffic, 0.1)) / period
        level = live * (1 + np.mod(cycle, 1.0))
        s.add(pod, level, traffic, gc=np.floor(cycle) if s.rng.random() < 0.7 else None)


def gomemlimit_plateau(s: Scene) -> None:
    """Memory climbs to the soft limit within hours and stays there by design."""
    s.signal = "working-set" if s.rng.random() < 0.5 else "heap"
    soft = s.rng.uniform(0.75, 0.92)
    tau = s.rng.uniform(0.3, 5)
    for pod in range(s.replicas):
        ramp = np.minimum(1.0, 0.3 + 0.7 * s.hours() / (3 * tau)) if pod % 2 else 1 - 0.7 * np.exp(-s.hours() / tau)
        full = ramp > 0.97  # the collector runs only there, and then often
        saw = np.where(full, s.rng.uniform(0.0, s.rng.uniform(0.02, 0.15), s.n), np.abs(s.rng.normal(size=s.n)) * 0.003)
        cycles = np.cumsum(np.where(full, s.rng.uniform(0.3, 2, s.n), 0.0))
        s.add(pod, soft * ramp - saw, None, gc=np.floor(cycles) if s.signal == "heap" else None)


def gogc_off(s: Scene) -> None:
    """One collection in hours: linear to the soft limit, back to the live heap; only the GC count separates it from a
    leak."""
    s.signal = "heap"
    traffic = s.traffic()
    soft = s.rng.uniform(0.70, 0.93)
    for pod in range(s.replicas):
        live = s.rng.uniform(0.05, 0.25)
        period = s.rng.uniform(1.5, 12) * HOUR / s.step
        cycle = np.cumsum(np.maximum(traffic, 0.05)) / period + s.rng.uniform(0, 0.2)
        level = live + (soft - live) * np.mod(cycle, 1.0) + s.rng.normal(size=s.n) * 0.003
        s.add(pod, level, traffic, gc=np.floor(cycle))


def bursts(s: Scene) -> None:
    """A burst of minutes to an hour, and back."""

    def shape(pod: int, tr: Floats) -> Floats:
        level = s.level(tr)
        for _ in range(int(s.rng.integers(2, 10))):
            at = s.rng.uniform(0.5, s.days * 24 - 2)
            rise, hold, fall = s.rng.uniform(0.02, 0.4), s.rng.uniform(0.05, 0.8), s.rng.uniform(0.05, 0.5)
            top = s.rng.uniform(0.1, 0.85) * max(0.85 - s.use, 0.1)
            level = level + top * np.interp(s.hours() - at, [0, rise, rise + hold, rise + hold + fall], [0, 1, 1, 0])
        return np.minimum(level, 0.93)

    _pods(s, shape)


def slow_dependency(s: Scene) -> None:
    """The latency of a dependency rises for a while: requests in flight rise at the same request rate, in all pods."""
    latency = np.ones(s.n)
    for _ in range(int(s.rng.integers(1, 5))):
        at = s.rng.uniform(0.5, s.days * 24 - 4)
        rise, hold, fall = s.rng.uniform(0.02, 0.6), s.rng.uniform(0.1, 2.5), s.rng.uniform(0.02, 0.5)
        times = s.rng.uniform(1.5, 8)
        latency += (times - 1) * np.interp(s.hours() - at, [0, rise, rise + hold, rise + hold + fall], [0, 1, 1, 0])
    top = s.rng.uniform(0.35, 0.85)

    def shape(pod: int, tr: Floats) -> Floats:
        level = s.level(tr) * latency
        return level * min(1.0, top / float(level.max()))

    _pods(s, shape)


def steps(s: Scene) -> None:
    """Permanent steps: a pool grows, new peers connect; at one moment for all pods, or at its own moment for each."""
    count = int(s.rng.integers(1, 5))
    common = s.rng.random() < 0.6
    moments = np.sort(s.rng.uniform(1, s.days * 24 - 1, count))
    top = s.rng.uniform(0.2, 0.5)

    def shape(pod: int, tr: Floats) -> Floats:
        at = moments if common else np.sort(s.rng.uniform(1, s.days * 24 - 1, count))
        stairs = np.searchsorted(at, s.hours()) / count
        return s.level(tr) + top * stairs

    _pods(s, shape)


def filling_cache(s: Scene) -> None:
    """A pool or cache that fills, in a straight line or slowing down, and stays: at 30 to 80 % of the limit."""
    full = s.rng.uniform(0.3, 0.8)
    base = min(s.use, full * 0.5)
    hours = np.exp(s.rng.uniform(np.log(0.5), np.log(30)))
    linear = s.rng.random() < 0.4
    delay = s.rng.uniform(0, 4)
    since = np.maximum(s.hours() - delay, 0)
    fill = np.minimum(1.0, since / hours) if linear else 1 - np.exp(-2.5 * since / hours)
    _pods(s, lambda pod, tr: s.level(tr, base * 0.6) + (full - base * 0.6) * fill, factor=1.0 + s.rng.random())


def high_water(s: Scene) -> None:
    """A high-water mark: it only rises, by ever rarer records."""

    def shape(pod: int, tr: Floats) -> Floats:
        return np.minimum(np.maximum.accumulate(s.level(tr) * s.rng.uniform(1.0, 1.6)), 0.9)

    _pods(s, shape)


def cron(s: Scene) -> None:
    """A job every few hours holds descriptors while it runs."""
    every, length, top = s.rng.choice([1, 2, 4, 6, 12, 24]), s.rng.uniform(0.1, 0.8), s.rng.uniform(0.1, 0.5)
    rise = s.rng.uniform(0.05, 0.9)
    inside = np.mod(s.hours() - 0.7, every) / length
    job = np.where(inside < 1, np.minimum(1, inside / rise), 0.0)

    def shape(pod: int, tr: Floats) -> Floats:
        return s.level(tr) + top * job * (1 if pod == 0 else s.rng.uniform(0.2, 1))

    _pods(s, shape)


def deploys(s: Scene) -> None:
    """Rolling restarts: new pods, each with a short warm-up."""
    traffic = s.traffic()
    cuts = np.sort(s.rng.uniform(2, s.days * 24 - 1, int(s.rng.integers(2, 7))))
    plateau = s.rng.uniform(0.2, 0.75)
    for pod in range(s.replicas):
        edges = [0, *(s.index(c + pod * 0.05) for c in cuts), s.n]
        level = s.level(traffic, 1.0)
        level = level / np.quantile(level, 0.99) * plateau
        for life, (a, b) in enumerate(itertools.pairwise(edges)):
            age = np.maximum(s.hours() - a * s.step / HOUR, 0)
            warm = 1 - 0.8 * np.exp(-age / s.rng.uniform(0.05, 0.7))
            s.add(pod * 100 + life, level * warm, traffic, begin=a, end=min(b, s.n), life=life)


def autoscaling(s: Scene) -> None:
    """Pods are added at the peak and removed at night: the share of each other pod falls and rises in steps."""
    s.factor = float(s.rng.uniform(2, 4))
    total = s.traffic()
    most = int(s.rng.integers(3, 7))
    wanted = np.clip(np.ceil(total / np.quantile(total, 0.95) * most), 2, most)
    wanted = np.repeat(wanted[:: s.index(0.25)], s.index(0.25))[: s.n]
    share = total / wanted
    share = share / share.mean()
    use = min(s.use * 1.5, 0.55)
    for pod in range(most):
        on = (wanted > pod).astype(int)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], on, [0]])))
        level = s.level(share, use)
        for life, (a, b) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
            s.add(pod * 100 + life, level, share, begin=int(a), end=int(b), life=life)


def gaps(s: Scene) -> None:
    """Missing scrapes and outages of Prometheus over daily traffic."""
    missing = (s.rng.random(s.n) < s.rng.uniform(0.02, 0.3)).astype(float)
    for _ in range(int(s.rng.integers(1, 4))):
        at = int(s.rng.integers(0, s.n))
        missing[at : at + s.index(s.rng.uniform(0.2, 6))] = 1
    traffic = s.traffic()
    for pod in range(s.replicas):
        s.add(pod, s.level(traffic), traffic, missing=missing)


def pool_at_maximum(s: Scene) -> None:
    """A DB pool whose peaks use all connections; it is busy, not leaking."""
    s.signal = "db-pool"
    traffic = s.traffic(float(s.rng.uniform(2, 4)))
    busy = s.rng.uniform(0.7, 1.3)
    for pod in range(s.replicas):
        mean = traffic / np.quantile(traffic, 0.95) * busy * s.limit
        in_use = np.minimum(s.rng.poisson(np.maximum(mean, 0.01)), s.limit)
        s.add(pod, in_use / s.limit, traffic, cap=False)


def busy_pool(s: Scene) -> None:
    """A DB pool in ordinary use: few values, Poisson counts."""
    s.signal = "db-pool"
    traffic = s.traffic()
    for pod in range(s.replicas):
        in_use = np.minimum(s.rng.poisson(np.maximum(traffic * s.use * s.limit, 0.01)), s.limit)
        s.add(pod, in_use / s.limit, traffic, cap=False)


def congestion(s: Scene) -> None:
    """Level grows faster than traffic, as queues do, up to 60 to 88 % at the peak."""
    power, peak = s.rng.uniform(1.3, 2.5), s.rng.uniform(0.6, 0.88)

    def shape(pod: int, tr: Floats) -> Floats:
        level = tr**power * s.wobble(0.5)
        return level / float(np.quantile(level, 0.999)) * peak

    _pods(s, shape, factor=float(s.rng.uniform(1.5, 3)))


SMALL: frozenset[str] = frozenset({"pool_at_maximum", "busy_pool"})

FAMILIES: Mapping[str, Callable[[Scene], None]] = {
    f.__name__: f
    for f in (
        flat, noisy, daily, daily_high, living_high, weekly_growth, warm_up, gc_sawtooth, gomemlimit_plateau, gogc_off,
        bursts, slow_dependency, steps, filling_cache, high_water, cron, deploys, autoscaling, gaps, pool_at_maximum,
        busy_pool, congestion,
    )
}  # fmt: skip
