"""Composed worlds: each workload is a random combination of the components in components.py at random strengths,
healthy or leaking by construction.

A world has a scale: `minutes` (8 hours, a reading each 15 s), `days` (two and a half, each 60 s) or `weeks` (three, each
5 minutes), so that a leak of any life from 8 minutes to three weeks is in one of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from leakwarden.core.detection.recording import Series
from leakwarden.core.model.readings import Floats
from tests.bench import components as words
from tests.bench.shapes import EPOCH, HOUR, Labelled


@dataclass(frozen=True, slots=True)
class Scale:
    hours: float
    step: float  # s
    life: tuple[float, float]  # of a leak, hours


SCALES: Mapping[str, Scale] = {
    "minutes": Scale(8.0, 15.0, (8 / 60, 1.5)),
    "days": Scale(60.0, 60.0, (0.75, 40.0)),
    "weeks": Scale(21 * 24.0, 300.0, (24.0, 18 * 24.0)),
}

# The parts that a held-out group leaves out: a detector that was tuned without them is tested on worlds that have them.
GROUPS: Mapping[str, frozenset[str]] = {
    "sawtooth": frozenset({"gogc", "gomemlimit", "finalizers", "compaction", "partly_reaped"}),
    "restarts": frozenset({"deploys", "crash_loop", "blue_green"}),
    "caches": frozenset({"cache_by_count", "cache_by_bytes", "page_cache", "warm_up", "hidden"}),
    "lagged load": frozenset({"keep_alive", "streams", "idle_pool", "high_water"}),
    "load events": frozenset({"marketing", "brown_out", "failover"}),
    "dependencies": frozenset({"slow_dependency", "piled_up"}),
    "comes and goes": frozenset({"bursts", "cron", "batch", "rebalance", "leader", "scaling"}),
    "steps": frozenset({"by_event", "nightly", "by_error", "by_health_check", "coarse"}),
    "no limit": frozenset({"unlimited"}),
}

_SIGNALS = ("Descriptors", "Sockets", "Goroutines", "Heap", "DBPool", "WorkingSet")


def draw(
    seed: int, workloads: int, scale: str = "days", without: frozenset[str] = frozenset(), first: int = 0
) -> list[Labelled]:
    """`workloads` worlds of one scale from number `first` on, half of them leaking; those that have a part of `without`
    are left out."""
    traces: list[Labelled] = []
    for number in range(first, first + workloads):
        rng = np.random.default_rng([seed, sum(scale.encode()), number])
        world = _World(rng, scale, f"{scale}-{seed}-{number}")
        if not without & set(world.parts):
            traces += world.out
    return traces


class _World:
    def __init__(self, rng: np.random.Generator, scale: str, name: str) -> None:
        self.rng, self.name, self.scale = rng, name, SCALES[scale]
        self.family = f"worlds: {scale}"
        n = int(self.scale.hours * HOUR / self.scale.step)
        self.clock = words.Clock(rng, np.arange(n, dtype=np.float64) * self.scale.step / HOUR, self.scale.step)
        self.parts: list[str] = []
        self.out: list[Labelled] = []
        self.signal = str(rng.choice(_SIGNALS))
        self.leaky = bool(rng.random() < 0.5)
        self.memory = self.signal in ("Heap", "WorkingSet")
        self.limit: float | None = float(round(self._limit()))
        if self.signal in ("Goroutines", "Sockets") and rng.random() < 0.7:
            self.parts.append("unlimited")
        self._compose()

    def _limit(self) -> float:
        c = self.clock
        if self.memory:
            return c.log(6.4e7, 8e9)
        return c.log(8, 120) if self.signal == "DBPool" else c.log(1000, 65_536)

    def _some(self, of: Mapping[str, Callable[..., Floats]], most: int) -> list[str]:
        count = int(self.rng.integers(0, most + 1))
        chosen = [str(name) for name in self.rng.choice(list(of), min(count, len(of)), replace=False)]
        self.parts += chosen
        return chosen

    def _one(self, of: Mapping[str, Callable[..., Floats]]) -> str:
        name = str(self.rng.choice(list(of)))
        self.parts.append(name)
        return name

    def _compose(self) -> None:
        c, rng = self.clock, self.rng
        load = words.LOADS[self._one(words.LOADS)](c)
        for name in self._some(words.LOAD_EVENTS, 1):
            load = load * words.LOAD_EVENTS[name](c)
        load = load / load.mean() * np.exp(c.noise(c.log(0.1, 2), c.within(0.01, 0.08)))
        follows = self._one(words.FOLLOWS)
        saturates, events = self._some(words.SATURATES, 2), self._some(words.COMES_AND_GOES, 2)
        if self.signal == "WorkingSet" and rng.random() < 0.5:
            self.parts.append("page_cache")
        if self.signal == "WorkingSet" and rng.random() < 0.7:
            self.parts.append("rss_known")
        weights = rng.dirichlet(np.ones(2 + len(saturates) + len(events)))
        strengths = [c.within(0.1, 1.0) for _ in events]
        top = c.within(0.15, 0.6) if self.leaky else c.within(0.2, 0.93)
        self.known_rate = rng.random() < 0.7
        # Drawn apart, so that it changes nothing else in a world.
        apart = np.random.default_rng(zlib.crc32(self.name.encode()))
        if follows == "piled_up" and self.known_rate and apart.random() < 0.5:
            self.parts.append("latency_known")
        requests = c.log(5, 800)
        replicas = int(rng.integers(1, 5))
        scaling = self._scaling()
        pods = range(replicas)
        lives = self._lives()
        leak = self._leak(load) if self.leaky else None
        only = int(rng.integers(0, replicas)) if self.leaky and replicas > 1 and rng.random() < 0.25 else None
        if only is not None:
            self.parts.append("one_replica")
        leader = self._leader(replicas)
        grain = c.within(0.01, 0.08) if rng.random() < 0.12 else 0.0
        if grain:
            self.parts.append("coarse")
        hidden = self.leaky and rng.random() < 0.15
        if hidden:
            self.parts.append("hidden")
        collector = self._collector()
        state = rng.bit_generator.state
        for pod in pods:
            mine = load * scaling * np.exp(c.noise(0.3, 0.02))
            for number, (begin, end) in enumerate(lives):
                rng.bit_generator.state = state  # the same parameters in every pod and process
                age = np.maximum(c.hours - c.hours[begin], 0)
                level = weights[0] + weights[1] * words.FOLLOWS[follows](c, mine) / 2
                for weight, name in zip(weights[2:], saturates, strict=False):
                    part = words.SATURATES[name](c, mine, age)
                    level = level + weight * part / max(float(part.max()), 1e-9)
                for weight, strength, name in zip(weights[2 + len(saturates) :], strengths, events, strict=True):
                    level = level + 2 * weight * strength * words.COMES_AND_GOES[name](c)
                pages = 2 * words.page_cache(c, mine, age) if "page_cache" in self.parts else np.zeros(c.n)
                level = level + pages
                level = level + leader[pod]
                rng.bit_generator.state = np.random.default_rng([pod, number, begin]).bit_generator.state
                pages = pages / np.maximum(level, 1e-9)
                healthy = level / float(level.max()) * top * rng.uniform(0.93, 1.07)
                healthy = healthy * np.exp(c.noise(c.log(0.02, 2), c.within(0.002, 0.03)))
                leaks = leak is not None and (only is None or only == pod)
                self._life(
                    pod, number, (begin, end), healthy=healthy, leak=leak if leaks else None, hidden=hidden,
                    collector=collector, grain=grain, rate=load * requests if self.known_rate else None,
                    pages=pages,
                )  # fmt: skip

    def _p99(self, latency: Floats) -> Floats:
        """s, as a histogram of some minutes shows it."""
        apart = np.random.default_rng(zlib.crc32(self.name.encode()) + 1)
        return 10 ** apart.uniform(-2, 0) * latency * np.exp(apart.normal(0, 0.12, len(latency)))

    def _scaling(self) -> Floats:
        """The share of the load that one pod has while replicas come and go."""
        share = np.ones(self.clock.n)
        if self.rng.random() < 0.2:
            self.parts.append("scaling")
            for at in self.clock.moments(2):
                share = np.where(self.clock.hours >= at, self.clock.within(0.5, 1.3), share)
        return share

    def _leader(self, replicas: int) -> list[Floats]:
        """One pod is the leader, and leadership moves."""
        none = [np.zeros(self.clock.n) for _ in range(replicas)]
        if replicas == 1 or self.rng.random() > 0.12:
            return none
        self.parts.append("leader")
        who = np.zeros(self.clock.n, np.int64)
        for at in self.clock.moments(1):
            who[self.clock.hours >= at] = self.rng.integers(0, replicas)
        extra = self.clock.within(0.1, 0.6)
        return [self.clock.lagged(extra * (who == pod), 0.05) for pod in range(replicas)]

    def _lives(self) -> list[tuple[int, int]]:
        """(begin, end) of each process of a pod."""
        c = self.clock
        kind = self.rng.random()
        if kind < 0.7:
            return [(0, c.n)]
        if kind < 0.85:
            self.parts.append("deploys")
            cuts = c.moments(24 * 1.5 / c.length)
        elif kind < 0.93:
            self.parts.append("crash_loop")
            begin = c.within(0, c.length * 0.7)
            cuts = begin + np.cumsum(self.rng.exponential(c.length / 60, int(self.rng.integers(3, 12))))
        else:
            self.parts.append("blue_green")
            cuts = np.array([c.within(0.2, 0.8) * c.length])
        edges = np.unique([0, *np.searchsorted(c.hours, cuts[cuts < c.length * 0.98]), c.n])
        return [(int(a), int(b)) for a, b in pairwise(edges) if b - a > 12]

    def _collector(self) -> str:
        if self.signal == "Heap":
            kind = str(self.rng.choice(["gogc", "gomemlimit", ""], p=[0.6, 0.15, 0.25]))
        elif self.signal == "Descriptors" and self.rng.random() < 0.15:
            kind = "finalizers"
        else:
            kind = ""
        if kind:
            self.parts.append(kind)
        self.counted = kind != "" and self.signal == "Heap" and self.rng.random() < 0.7
        self.cycle = self.clock.log(0.01, 3)  # hours between collections
        self.soft = self.clock.within(0.7, 0.93)
        return kind

    def _collected(self, live: Floats, kind: str) -> tuple[Floats, Floats | None]:
        """The level with its garbage, and completed cycles."""
        phase = self.clock.hours / self.cycle + self.rng.random()
        saw = np.mod(phase, 1.0)
        if kind == "gogc":
            level = live * (0.55 + 0.45 * saw)  # as much garbage as live memory
        elif kind == "gomemlimit":  # collected only near the soft limit
            level = np.maximum(live, live + (self.soft - live) * saw)
        else:  # forgotten files wait for a collection
            level = live + 0.1 * saw
        return level, np.floor(phase) if self.counted else None

    def _leak(self, load: Floats) -> tuple[str, float, float, int]:
        """Kind, life (hours), onset as a share of the process's life, and the seed of its draw."""
        kind = self._one(words.LEAKS)
        life = self.clock.log(*self.scale.life)
        self.leak_load = load
        onset = 0.0 if self.rng.random() < 0.5 else self.clock.within(0, max(self.scale.hours - 1.3 * life, 0.0))
        return kind, life, onset, int(self.rng.integers(0, 2**31))

    def _life(
        self, pod: int, number: int, span: tuple[int, int], *, healthy: Floats, leak: tuple[str, float, float, int] | None,
        hidden: bool, collector: str, grain: float, rate: Floats | None, pages: Floats,
    ) -> None:  # fmt: skip
        """`pages`: the share of the healthy level that is page cache."""
        begin, end = span
        c = self.clock
        level, onset = healthy, None
        if leak is not None:
            kind, life, since, seed = leak
            onset = max(float(c.hours[begin]), since)
            room = 1 - float(np.median(healthy[begin:end]))
            own = words.Clock(np.random.default_rng(seed), c.hours, c.step)
            leaked = words.LEAKS[kind](own, self.leak_load, onset, life * self.rng.uniform(0.85, 1.15))
            if hidden:  # a cache frees while the leak grows, for the first third of the leak
                healthy = healthy * (1 - 0.5 * np.clip(leaked * 3, 0, 1))
            level = healthy + room * leaked
        gc = None
        cached = pages * healthy
        if collector:
            level, gc = self._collected(level, collector)
        self._record(pod, number, (begin, end), level, onset=onset, gc=gc, grain=grain, rate=rate, cached=cached)

    def _record(
        self, pod: int, number: int, span: tuple[int, int], level: Floats, *, onset: float | None, gc: Floats | None,
        grain: float, rate: Floats | None, cached: Floats,
    ) -> None:  # fmt: skip
        begin, end = span
        c, rng, limit = self.clock, self.rng, self.limit
        assert limit is not None
        if grain:
            level = np.round(level / grain) * grain
        v = np.round(np.maximum(level, 0.002) * limit)
        kept = np.round(np.maximum(level - cached, 0.001) * limit)
        unlimited = "unlimited" in self.parts
        exhausts = None
        if onset is not None:
            worst = limit
            if unlimited:  # the service fails far from any known number; five times its level is late enough
                first = int(np.searchsorted(c.hours, onset))
                worst = min(limit, 5 * max(float(np.median(v[begin : max(first, begin + 5)])), 1.0))
            # Page cache is taken back before memory is exhausted.
            stays = kept if "page_cache" in self.parts else v
            hit = np.flatnonzero((stays[begin:end] >= worst) & (c.hours[begin:end] > onset))
            if len(hit):
                exhausts = EPOCH + float(c.hours[begin + hit[0]]) * HOUR
                end = min(end, begin + int(hit[0]) + 2)
        elif not unlimited:
            v = np.minimum(v, np.floor(limit * 0.985))
        v = np.minimum(v, limit)
        kept = np.minimum(kept, v)[begin:end].astype(float)
        v = v[begin:end].astype(float)
        t = EPOCH + c.hours[begin:end] * HOUR + rng.uniform(0, 0.3 * c.step, end - begin)
        keep = rng.random(end - begin) > (0.0 if rng.random() < 0.6 else rng.uniform(0.01, 0.15))
        if rng.random() < 0.15:  # Prometheus was not running
            at = int(rng.integers(0, max(end - begin, 1)))
            keep[at : at + int(rng.uniform(0.1, 2.0) * HOUR / c.step)] = False
        if keep.sum() < 12:
            return
        observed = None if rate is None else (rate[begin:end] * (1 + 0.03 * rng.normal(size=end - begin)))[keep]
        series = Series(
            signal=self.signal, namespace="worlds", workload=self.name, pod=f"{self.name}-{pod}",
            uid=f"{self.name}-{pod}", start=float(t[0]) - 5.0, limit=None if unlimited else limit, t=t[keep],
            v=v[keep], rate=observed, gc=None if gc is None else gc[begin:end][keep],
            rss=kept[keep] if "rss_known" in self.parts else None,
            latency=self._p99(c.latency[begin:end])[keep] if c.latency is not None and "latency_known" in self.parts else None,
        )  # fmt: skip
        leaky = onset is not None
        began = EPOCH + onset * HOUR if onset is not None else None
        self.out.append(Labelled(self.family, leaky, series, began, exhausts, tuple(self.parts)))


def groups_of(trace: Labelled) -> Sequence[str]:
    return [name for name, parts in GROUPS.items() if parts & set(trace.parts)]
