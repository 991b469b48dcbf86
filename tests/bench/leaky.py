"""Families that leak until the limit is reached. Each draws one workload with all its pods into a scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from leakwarden.core.model.readings import Floats
from tests.bench.shapes import HOUR, Scene


def _life(s: Scene, low: float, high: float) -> float:
    return float(np.exp(s.rng.uniform(np.log(low), np.log(high))))


def _climb(s: Scene, onset: float, life: float, weight: Floats | None = None, power: float = 1.0) -> Floats:
    """0 before `onset` (hours), then to 1 after `life` hours; `weight` shapes when the leak happens."""
    since = np.maximum(s.hours() - onset, 0) / life
    if weight is None:
        return since**power
    done = np.cumsum(weight * (s.hours() >= onset)) * s.step / HOUR / life
    return done / max(float(weight.mean()), 1e-9)


def _leak(
    s: Scene, life: tuple[float, float], *, power: float = 1.0, by_traffic: bool = False, late: bool = True,
    use: float | None = None, missing: Floats | None = None, pods: int | None = None,
) -> None:  # fmt: skip
    """All replicas leak at similar speed from the same onset."""
    hours = _life(s, *life)
    onset = float(s.rng.uniform(0, 10)) if late and s.rng.random() < 0.5 else 0.0
    onset = min(onset, max(0.0, s.days * 24 - hours * 1.6))
    traffic = s.traffic()
    for pod in range(s.replicas if pods is None else pods):
        level = s.level(traffic, use)
        room = max(1 - float(np.median(level)), 0.1)
        speed = s.rng.uniform(0.85, 1.2)
        climb = _climb(s, onset, hours / speed, traffic if by_traffic else None, power)
        s.add(pod, level + room * climb, traffic, leaky=True, onset=s.index(onset), missing=missing)


def fast(s: Scene) -> None:
    _leak(s, (20 / 60, 45 / 60))


def quick(s: Scene) -> None:
    _leak(s, (45 / 60, 1.5))


def medium(s: Scene) -> None:
    _leak(s, (1.5, 12))


def slow(s: Scene) -> None:
    s.factor = max(s.factor, 1.5)
    _leak(s, (20, 66))


def slow_flat(s: Scene) -> None:
    s.factor = 1.0
    _leak(s, (20, 66))


def by_traffic(s: Scene) -> None:
    s.factor = max(s.factor, 1.8)
    _leak(s, (2, 48), by_traffic=True)


def error_bursts(s: Scene) -> None:
    """Only an error path leaks, and errors come in bursts."""
    hours = _life(s, 3, 50)
    bursts = int(s.rng.integers(6, 25))
    traffic = s.traffic()
    moments = np.sort(s.rng.uniform(0, hours, bursts))
    length = hours / bursts * s.rng.uniform(0.1, 0.6)
    active = np.zeros(s.n)
    for m in np.concatenate([moments, moments + hours, moments + 2 * hours]):
        active[s.index(m) : s.index(m + length) + 1] = 1
    leaked = np.cumsum(active) / max(active[: s.index(hours)].sum(), 1)
    for pod in range(s.replicas):
        s.add(pod, s.level(traffic) + leaked * (1 - s.use) * s.rng.uniform(0.85, 1.1), traffic, leaky=True, onset=0)


def accelerating(s: Scene) -> None:
    _leak(s, (1, 30), power=float(s.rng.uniform(1.5, 3)))


def under_sawtooth(s: Scene) -> None:
    """Heap: live memory leaks, garbage doubles it between collections."""
    s.signal = "heap"
    hours = _life(s, 1.5, 40)
    traffic = s.traffic()
    counted = s.rng.random() < 0.7
    for pod in range(s.replicas):
        live = s.level(traffic, min(s.use, 0.2)) + _climb(s, 0, hours * s.rng.uniform(0.9, 1.1))
        cycle = np.cumsum(np.maximum(traffic, 0.1)) / s.rng.uniform(1.5, 20)
        garbage = s.rng.uniform(0.3, 1.0)
        s.add(pod, live * (1 + garbage * np.mod(cycle, 1.0)), traffic, leaky=True, onset=0,
              gc=np.floor(cycle) if counted else None)  # fmt: skip


def gogc_off_leak(s: Scene) -> None:
    """GOGC=off: collected only at the soft limit; the memory left after each collection climbs."""
    s.signal = "heap"
    hours = _life(s, 6, 50)
    soft = s.rng.uniform(0.75, 0.92)
    traffic = s.traffic()
    for pod in range(s.replicas):
        live = s.rng.uniform(0.05, 0.2) + _climb(s, 0, hours * s.rng.uniform(0.9, 1.1))
        allocation = np.maximum(traffic, 0.1) * s.step / HOUR / s.rng.uniform(0.5, 3)
        level, gc = np.empty(s.n), np.empty(s.n)
        garbage, count = 0.0, 0
        for i in range(s.n):
            garbage += allocation[i] * 0.6
            if live[i] + garbage >= soft:
                garbage, count = allocation[i] * s.rng.random() * 0.5, count + 1
            level[i], gc[i] = live[i] + garbage, count
        s.add(pod, level, traffic, leaky=True, onset=0, gc=gc)


def one_replica(s: Scene) -> None:
    """One replica leaks, its siblings do not."""
    s.replicas = int(s.rng.integers(3, 7))
    hours = _life(s, 0.75, 40)
    traffic = s.traffic()
    for pod in range(s.replicas):
        level = s.level(traffic)
        if pod == 0:
            s.add(pod, level + (1 - s.use) * _climb(s, 2, hours), traffic, leaky=True, onset=s.index(2))
        else:
            s.add(pod, level, traffic)


def near_limit(s: Scene) -> None:
    """Starts at 60 to 85 %, then leaks up to the limit."""
    use = float(s.rng.uniform(0.6, 0.85))
    s.noise = min(s.noise, 0.1 * (1 - use))  # a process this near its limit has little noise, or it would have failed
    s.factor = 1.0
    _leak(s, (0.75, 24), use=use)


def after_deploy(s: Scene) -> None:
    """Healthy for a day, then a new release leaks from its start."""
    traffic = s.traffic()
    cut = s.index(s.rng.uniform(10, 30))
    hours = _life(s, 0.75, 24)
    for pod in range(s.replicas):
        level = s.level(traffic)
        s.add(pod, level, traffic, end=cut)
        leak = _climb(s, cut * s.step / HOUR, hours * s.rng.uniform(0.9, 1.1))
        s.add(pod + 100, level + (1 - s.use) * leak, traffic, leaky=True, begin=cut, onset=cut, life=1)


def with_restarts(s: Scene) -> None:
    """Restarted from time to time before it is exhausted, except for the last time."""
    traffic = s.traffic()
    hours = _life(s, 3, 20)
    for pod in range(s.replicas):
        level = s.level(traffic)
        begin = 0
        for life in range(int(s.rng.integers(1, 3))):
            end = begin + s.index(hours * s.rng.uniform(0.25, 0.7))
            climb = _climb(s, begin * s.step / HOUR, hours)
            s.add(pod, level + (1 - s.use) * climb, traffic, leaky=True, begin=begin, end=end, onset=begin, life=life)
            begin = end
        climb = _climb(s, begin * s.step / HOUR, hours)
        s.add(pod, level + (1 - s.use) * climb, traffic, leaky=True, begin=begin, onset=begin, life=9)


def close_wait(s: Scene) -> None:
    """Sockets in CLOSE_WAIT: in steps with each hiccup of a peer, on top of a steady trickle."""
    s.signal = "sockets"
    hours = _life(s, 1.5, 24)
    traffic = s.traffic()
    for pod in range(s.replicas):
        jumps = (s.rng.random(s.n) < 0.01) * s.rng.exponential(1, s.n)
        climb = (
            0.5 * _climb(s, 0, hours) + 0.5 * np.cumsum(jumps) / max(float(jumps.mean()), 1e-9) * s.step / HOUR / hours
        )
        s.add(pod, s.level(traffic) + (1 - s.use) * climb, traffic, leaky=True, onset=0)


def goroutines(s: Scene) -> None:
    s.signal = "goroutines"
    _leak(s, (0.75, 30), by_traffic=bool(s.rng.random() < 0.5))


def heap(s: Scene) -> None:
    """A heap leak with collections every few scrapes, counted or not."""
    s.signal = "heap"
    hours = _life(s, 0.75, 40)
    traffic = s.traffic()
    counted = s.rng.random() < 0.5
    for pod in range(s.replicas):
        cycle = np.cumsum(s.rng.uniform(0.5, 3.0, s.n))
        level = s.level(traffic, min(s.use, 0.25)) * (1 + 0.3 * s.rng.random(s.n)) + 0.8 * _climb(s, 0, hours)
        s.add(pod, level, traffic, leaky=True, onset=0, gc=np.floor(cycle) if counted else None)


def pool(s: Scene) -> None:
    """A DB pool: connections never returned, one at a time, under Poisson use."""
    s.signal = "db-pool"
    hours = _life(s, 0.75, 30)
    traffic = s.traffic()
    by_request = s.rng.random() < 0.5
    for pod in range(s.replicas):
        leaked = np.floor(_climb(s, 0, hours * s.rng.uniform(0.9, 1.1), traffic if by_request else None) * s.limit)
        busy = s.rng.poisson(np.maximum(traffic * s.use * 0.6 * s.limit, 0.01))
        s.add(pod, (leaked + busy) / s.limit, traffic, leaky=True, onset=0)


def with_gaps(s: Scene) -> None:
    missing = (s.rng.random(s.n) < s.rng.uniform(0.05, 0.35)).astype(float)
    at = int(s.rng.integers(0, s.n))
    missing[at : at + s.index(s.rng.uniform(0.2, 2))] = 1
    _leak(s, (1.5, 30), missing=missing)


SMALL: frozenset[str] = frozenset({"pool"})

FAMILIES: Mapping[str, Callable[[Scene], None]] = {
    f.__name__: f
    for f in (
        fast, quick, medium, slow, slow_flat, by_traffic, error_bursts, accelerating, under_sawtooth, gogc_off_leak,
        one_replica, near_limit, after_deploy, with_restarts, close_wait, goroutines, heap, pool, with_gaps,
    )
}  # fmt: skip
