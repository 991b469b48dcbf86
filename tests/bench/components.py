"""The components of a workload's level, each a small random process of its own with wide priors.

Every function draws its own parameters from the world's generator and returns an array over the world's clock: loads
relative to a mean of one, levels in any unit (the world scales them), leaks from 0 at their onset upwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from leakwarden.core.model.readings import Floats
from tests.bench.shapes import HOUR, autocorrelated

DAY_HOURS = 24.0


@dataclass
class Clock:
    """The moments of one world: `hours` since its begin, every `step` seconds."""

    rng: np.random.Generator
    hours: Floats
    step: float
    # How long a request takes, relative to its usual time; None where no component has changed it.
    latency: Floats | None = None

    @property
    def n(self) -> int:
        return len(self.hours)

    @property
    def length(self) -> float:
        return float(self.hours[-1])

    def log(self, low: float, high: float) -> float:
        """Log-uniform."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def within(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def moments(self, each_day: float) -> Floats:
        """Poisson moments, hours."""
        return np.sort(self.rng.uniform(0, self.length, self.rng.poisson(each_day * self.length / DAY_HOURS)))

    def bump(self, at: float, rise: float, hold: float, fall: float) -> Floats:
        """0 to 1 and back; hours."""
        return np.interp(self.hours - at, [0, rise, rise + hold, rise + hold + fall], [0, 1, 1, 0])

    def noise(self, memory_hours: float, sigma: float) -> Floats:
        return autocorrelated(self.rng, self.n, memory_hours * HOUR / self.step, sigma)

    def lagged(self, values: Floats, tau: float) -> Floats:
        """`values`, smoothed with a time constant of `tau` hours, settled at the begin."""
        per = max(tau * HOUR / self.step, 1e-3)
        kernel = np.exp(-np.arange(min(self.n, int(8 * per) + 1)) / per)
        padded = np.concatenate([np.full(len(kernel), values[0]), values])
        size = len(padded) + len(kernel)
        mixed = np.fft.irfft(np.fft.rfft(padded, size) * np.fft.rfft(kernel / kernel.sum(), size), size)
        return np.asarray(mixed[len(kernel) : len(padded)])


# --- load ---------------------------------------------------------------------------------------------------------


def flat(c: Clock) -> Floats:
    return np.ones(c.n)


def daily(c: Clock) -> Floats:
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * (c.hours / DAY_HOURS + c.rng.random()))
    return 1 + (c.within(1.3, 5) - 1) * wave ** c.within(0.6, 3)


def weekly(c: Clock) -> Floats:
    day = np.floor(c.hours / DAY_HOURS + c.rng.uniform(0, 7)) % 7
    return daily(c) * np.where(day >= 5, c.within(0.2, 0.8), 1.0)


def growing(c: Clock) -> Floats:
    return daily(c) * (1 + c.within(0.005, 0.05) * c.hours / DAY_HOURS)


def time_zones(c: Clock) -> Floats:
    return daily(c) + c.within(0.3, 1) * daily(c)


LOADS: Mapping[str, Callable[[Clock], Floats]] = {f.__name__: f for f in (flat, daily, weekly, growing, time_zones)}


def marketing(c: Clock) -> Floats:
    up = np.ones(c.n)
    for at in c.moments(0.4):
        up += c.within(0.5, 3) * c.bump(at, c.log(0.1, 1.5), c.within(0.5, 6), c.within(0.3, 4))
    return up


def brown_out(c: Clock) -> Floats:
    """Requests are lost, then retried on top."""
    change = np.ones(c.n)
    for at in c.moments(0.4):
        lost = c.within(0.2, 1.2)
        change -= c.within(0.4, 0.9) * c.bump(at, 0.02, lost, 0.05)
        change += c.within(0.3, 1.5) * c.bump(at + lost, 0.05, c.within(0.1, 0.6), 0.3)
    return np.maximum(change, 0.05)


def failover(c: Clock) -> Floats:
    change = np.ones(c.n)
    for at in c.moments(0.5):
        change += c.within(0.3, 1.0) * c.bump(at, c.log(0.02, 0.3), c.within(0.5, 8), 0.2)
    return change


LOAD_EVENTS: Mapping[str, Callable[[Clock], Floats]] = {f.__name__: f for f in (marketing, brown_out, failover)}


# --- what follows load --------------------------------------------------------------------------------------------


def in_flight(c: Clock, load: Floats) -> Floats:
    return load * np.exp(c.noise(c.log(0.05, 3), c.within(0.01, 0.1)))


def slow_dependency(c: Clock, load: Floats) -> Floats:
    latency = np.ones(c.n)
    for at in c.moments(1.0):
        latency += c.within(0.5, 5) * c.bump(at, c.log(0.02, 0.8), c.within(0.1, 3), c.within(0.02, 0.6))
    return load * latency


def piled_up(c: Clock, load: Floats) -> Floats:
    """Requests in flight while a dependency gets slow or stands still: rate times latency, up to a time-out, those that
    are tried again on top. Each stays for a short time, so that the number spreads in proportion to itself."""
    latency, most = np.ones(c.n), c.log(2, 60)
    for at in c.moments(c.log(0.2, 2)):
        slow = c.bump(at, c.log(0.02, 8), c.log(0.05, 8), c.log(0.01, 0.5))
        bend = c.log(0.4, 3)  # below 1 it gets slow at once, above 1 ever faster
        worst = c.within(0.3, 1.0)
        latency = np.maximum(
            latency, most ** (worst * slow) if c.rng.random() < 0.4 else 1 + (most - 1) * worst * slow**bend
        )
    latency = latency * np.exp(c.noise(c.log(0.02, 0.5), c.within(0.01, 0.1)))
    again = c.within(0, 1.5) * np.clip(latency / most * 2 - 1, 0, 1) * (c.rng.random() < 0.5)
    c.latency = latency
    return load * (1 + again) * latency * np.exp(c.noise(c.log(0.003, 0.05), c.within(0.03, 0.15)))


def keep_alive(c: Clock, load: Floats) -> Floats:
    return c.lagged(load, c.log(0.1, 3)) * np.exp(c.noise(0.5, 0.02))


def streams(c: Clock, load: Floats) -> Floats:
    """Users come with the load and stay for hours."""
    return c.lagged(load, c.log(1, 12)) * np.exp(c.noise(1, 0.02))


FOLLOWS: Mapping[str, Callable[[Clock, Floats], Floats]] = {
    f.__name__: f for f in (in_flight, slow_dependency, piled_up, keep_alive, streams)
}


# --- what saturates: of the age of a process, hours ---------------------------------------------------------------


def warm_up(c: Clock, load: Floats, age: Floats) -> Floats:
    return 1 - np.exp(-age / c.log(0.05, 6))


def cache_by_count(c: Clock, load: Floats, age: Floats) -> Floats:
    """New keys get rarer as the cache fills; full at its capacity."""
    seen = np.cumsum(load * (age > 0)) * c.step / HOUR
    return np.asarray(np.minimum(1 - np.exp(-seen / c.log(0.3, 10)), c.within(0.5, 1.0)))


def cache_by_bytes(c: Clock, load: Floats, age: Floats) -> Floats:
    """Filled in proportion to the load until it is full; the size of an entry drifts."""
    full = c.log(0.5, 30)
    seen = np.cumsum(load * (age > 0)) * c.step / HOUR
    return np.minimum(seen / full, 1.0) * np.exp(c.noise(c.log(3, 20), c.within(0.01, 0.06)))


def idle_pool(c: Clock, load: Floats, age: Floats) -> Floats:
    """Connections are opened at peaks, and closed when they have been idle for long enough."""
    busy = load * np.exp(c.noise(0.02, 0.1))
    windows = max(int(c.log(0.1, 2) * HOUR / c.step), 1)
    padded = np.concatenate([np.full(windows - 1, busy[0]), busy])
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, windows).max(axis=1))


def high_water(c: Clock, load: Floats, age: Floats) -> Floats:
    return np.maximum.accumulate(load * np.exp(c.noise(0.1, 0.08)))


def page_cache(c: Clock, load: Floats, age: Floats) -> Floats:
    """Fills up in a straight line, is freed a little at a time, never more than it holds."""
    filled = np.minimum(age / c.log(0.5, 40), 1.0)
    return filled - 0.03 * np.mod(age / c.log(0.2, 5), 1.0) * (filled >= 1)


SATURATES: Mapping[str, Callable[[Clock, Floats, Floats], Floats]] = {
    f.__name__: f for f in (warm_up, cache_by_count, cache_by_bytes, idle_pool, high_water)
}


# --- what comes and goes ------------------------------------------------------------------------------------------


def bursts(c: Clock) -> Floats:
    total = np.zeros(c.n)
    for at in c.moments(3):
        total += c.within(0.2, 1) * c.bump(at, c.log(0.02, 0.8), c.within(0.02, 1), c.within(0.02, 0.6))
    return total


def cron(c: Clock) -> Floats:
    every = float(c.rng.choice([0.25, 1, 2, 6, 24]))
    phase = np.mod(c.hours / every + c.rng.random(), 1.0) * every
    long = c.within(0.1, 0.6) * min(every, 2)
    return np.where(phase < long, phase / long if c.rng.random() < 0.6 else 1.0, 0.0)


def batch(c: Clock) -> Floats:
    """Grows for hours and is freed at once."""
    total = np.zeros(c.n)
    for at in c.moments(1.0):
        total += c.within(0.3, 1) * c.bump(at, c.log(0.3, 6), 0.05, 0.02)
    return total


def compaction(c: Clock) -> Floats:
    every = c.log(0.5, 30)
    return np.mod(c.hours / every + c.rng.random(), 1.0)


def rebalance(c: Clock) -> Floats:
    """Partitions move: the level steps up or down, and stays."""
    total = np.zeros(c.n)
    for at in c.moments(1.0):
        total += c.rng.choice([-1, 1]) * c.within(0.1, 0.5) * np.clip((c.hours - at) / c.log(0.02, 0.4), 0, 1)
    return np.asarray(total - total.min())


COMES_AND_GOES: Mapping[str, Callable[[Clock], Floats]] = {
    f.__name__: f for f in (bursts, cron, batch, compaction, rebalance)
}


# --- leaks: 0 before `onset`, 1 after `life` hours ----------------------------------------------------------------


def _cumulative(c: Clock, weight: Floats, onset: float, life: float) -> Floats:
    """The leaked amount where `weight` shapes the times of the leak; 1 after `life` hours."""
    done = np.cumsum(np.where(c.hours >= onset, weight, 0.0))
    end = min(int(np.searchsorted(c.hours, onset + life)), c.n - 1)
    return done / max(float(done[end]), 1e-9)


def constant(c: Clock, load: Floats, onset: float, life: float) -> Floats:
    return np.maximum(c.hours - onset, 0) / life


def by_load(c: Clock, load: Floats, onset: float, life: float) -> Floats:
    return _cumulative(c, load, onset, life)


def by_error(c: Clock, load: Floats, onset: float, life: float) -> Floats:
    """Only while errors last, a third of the time or less."""
    failing = c.noise(c.log(0.02, 0.2) * life, 1.0)
    return _cumulative(
        c, np.asarray(np.where(failing > np.quantile(failing, c.within(0.6, 0.9)), 1.0, 0.02), np.float64), onset, life
    )


def by_event(c: Clock, load: Floats, onset: float, life: float) -> Floats:
    """In jumps, at a reconnect or a leader's move elsewhere."""
    events = c.rng.random(c.n) < c.log(8, 60) / max(life * HOUR / c.step, 1.0)
    return _cumulative(c, events * c.rng.exponential(1.0, c.n) + 1e-6, onset, life)


def nightly(c: Clock, load: Floats, onset: float, life: float) -> Floats:
    """By a batch at night, an hour long; by an hourly one where `life` is less than four days."""
    every = DAY_HOURS if life > 4 * DAY_HOURS else max(life / 12, 2 * c.step / HOUR)
    by_night = np.mod(c.hours + c.within(0, every), every) < every / 24
    return _cumulative(c, by_night.astype(np.float64) + 1e-6, onset, life)


def by_health_check(c: Clock, load: Floats, onset: float, life: float) -> Floats:
    """One at a fixed interval of seconds, whatever the load."""
    return np.floor(np.maximum(c.hours - onset, 0) / life * 200) / 200


def accelerating(c: Clock, load: Floats, onset: float, life: float) -> Floats:
    return (np.maximum(c.hours - onset, 0) / life) ** c.within(1.3, 3)


def partly_reaped(c: Clock, load: Floats, onset: float, life: float) -> Floats:
    """A sweep closes part of the leaks since the sweep before."""
    every = life * c.log(0.01, 0.12)
    swept = c.within(0.2, 0.7)
    trend = np.maximum(c.hours - onset, 0) / life
    waiting = np.mod(np.maximum(c.hours - onset, 0), every) / life
    return trend + swept / (1 - swept) * waiting


LEAKS: Mapping[str, Callable[[Clock, Floats, float, float], Floats]] = {
    f.__name__: f
    for f in (
        constant, by_load, by_error, by_event, nightly, by_health_check, accelerating, partly_reaped,
    )
}  # fmt: skip
