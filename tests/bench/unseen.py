"""Families written last and never tuned on: they show how the detector generalises. Keep it so: a change of a gate
because of these results requires new families."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tests.bench.shapes import HOUR, Scene


def failover(s: Scene) -> None:
    """Healthy: the neighbouring zone goes down at noon; traffic rises by half within minutes, for hours, and falls
    back. Keep-alive connections follow with a delay and leave slowly."""
    traffic = s.traffic()
    for _ in range(int(s.rng.integers(1, 3))):
        at, hold = s.rng.uniform(3, s.days * 24 - 10), s.rng.uniform(1, 6)
        more = s.rng.uniform(1.4, 1.9) - 1
        traffic = traffic * (1 + more * np.interp(s.hours() - at, [0, 0.1, hold, hold + 0.2], [0, 1, 1, 0]))
    lag = np.exp(-np.arange(s.index(1.5)) / max(s.index(s.rng.uniform(0.1, 0.4)), 1))
    late = np.convolve(traffic, lag / lag.sum())[: s.n]
    late[: len(lag)] = traffic[: len(lag)]
    for pod in range(s.replicas):
        level = s.level(late, 1.0)
        s.add(pod, level / float(level.max()) * s.rng.uniform(0.55, 0.85), traffic)


def reconnect_storm(s: Scene) -> None:
    """Healthy: websockets. Clients arrive through the day and stay; every deploy drops them all, and they come back
    within minutes to the pods that exist then."""
    s.signal = "sockets"
    people = 0.35 + 0.65 * (0.5 - 0.5 * np.cos(2 * np.pi * s.hours() / 24 + s.phase)) ** s.sharp
    cuts = [0, *sorted(s.index(h) for h in s.rng.uniform(2, s.days * 24 - 2, int(s.rng.integers(1, 5)))), s.n]
    top = s.rng.uniform(0.5, 0.85)
    for pod in range(s.replicas):
        for life in range(len(cuts) - 1):
            age = np.maximum(s.hours() - cuts[life] * s.step / HOUR, 0)
            back = 1 - 0.9 * np.exp(-age / s.rng.uniform(0.03, 0.3))
            level = top * people * back * s.wobble(0.3)
            s.add(pod * 100 + life, level, people, begin=cuts[life], end=cuts[life + 1], life=life)


def subscriptions(s: Scene) -> None:
    """Leaky: a subscription is leaked at each reconnect of a client, and clients reconnect when a pod elsewhere restarts:
    small steps at the times of deploys of others, a trickle between them, both along with the daily traffic."""
    s.signal = "goroutines"
    hours = float(np.exp(s.rng.uniform(np.log(2), np.log(40))))
    traffic = s.traffic()
    for pod in range(s.replicas):
        steps = (s.rng.random(s.n) < 12 / s.index(hours)) * s.rng.uniform(0.3, 1.7, s.n)
        rate = 0.4 * traffic / traffic.mean() / s.index(hours) + 0.6 * steps / 12
        s.add(pod, s.level(traffic) + (1 - s.use) * np.cumsum(rate), traffic, leaky=True, onset=0)


def partial_cleanup(s: Scene) -> None:
    """Leaky: an idle sweep every hour or so closes some of what leaked, never all of it."""
    hours = float(np.exp(s.rng.uniform(np.log(3), np.log(40))))
    every = s.rng.uniform(0.3, 1.5)
    swept = s.rng.uniform(0.2, 0.6)
    traffic = s.traffic()
    for pod in range(s.replicas):
        phase = np.mod(s.hours() / every + s.rng.random(), 1.0)
        trend = s.hours() / hours
        waiting = swept / (1 - swept) * every / hours * phase
        s.add(pod, s.level(traffic) + (1 - s.use) * (trend + waiting), traffic, leaky=True, onset=0)


FAMILIES: Mapping[str, Callable[[Scene], None]] = {
    f.__name__: f for f in (failover, reconnect_storm, subscriptions, partial_cleanup)
}
