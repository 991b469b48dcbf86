"""The parts of labelled series: traffic, noise, and the records of pods and their labels.

All levels are shares of the limit until `Trace.add` turns them into counts. Nothing here depends on the detector.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from leakwarden.core.detection.recording import Series
from leakwarden.core.model.readings import Floats

HOUR = 3600.0
DAY = 24 * HOUR
EPOCH = 1_700_000_000.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """One incarnation of one process. `exhausts` is the epoch second at which it reaches its limit, None where it never
    does. `onset` is the begin of the leak, so that `exhausts - onset` is the leak's duration."""

    family: str
    leaky: bool
    series: Series
    onset: float | None = None
    exhausts: float | None = None
    parts: tuple[str, ...] = ()  # the components of a composed world (worlds.py)


def autocorrelated(rng: np.random.Generator, n: int, memory: float, sigma: float) -> Floats:
    """AR(1) noise with standard deviation `sigma` and a memory of `memory` samples (FFT filter: no loop)."""
    phi = float(np.exp(-1.0 / max(memory, 1e-3)))
    lead = int(min(6 * memory + 10, n))
    white = rng.normal(size=n + lead)
    kernel = phi ** np.arange(min(n + lead, int(12 * memory) + 10))
    size = len(white) + len(kernel)
    mixed = np.fft.irfft(np.fft.rfft(white, size) * np.fft.rfft(kernel, size), size)[lead : lead + n]
    return np.asarray(mixed * np.sqrt(1 - phi**2) * sigma)


@dataclass
class Scene:
    """One workload over some days, with the parameters that vary within every family."""

    rng: np.random.Generator
    family: str
    number: int
    days: float = 3.0
    step: float = 30.0
    small_limit: bool = False
    with_rate: bool = True
    namespace: str = "bench"
    signal: str = "descriptors"
    out: list[Labelled] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = self.rng
        self.n = int(self.days * DAY / self.step)
        self.origin = EPOCH + float(rng.integers(0, 86_400))
        self.t: Floats = np.asarray(self.origin + self.step * np.arange(self.n), dtype=np.float64)
        low, high = (10, 100) if self.small_limit else (1024, 65_536)
        self.limit = float(int(np.exp(rng.uniform(np.log(low), np.log(high)))))
        self.use = float(rng.uniform(0.05, 0.40))
        self.replicas = int(rng.integers(1, 7))
        self.factor = 1.0 if rng.random() < 0.35 else float(rng.uniform(1.5, 4.0))
        self.phase = float(rng.uniform(0, 2 * np.pi))
        self.sharp = float(rng.uniform(0.6, 2.0))
        self.requests = float(np.exp(rng.uniform(np.log(5), np.log(800))))
        self.noise_memory = float(np.exp(rng.uniform(np.log(2), np.log(240))))
        self.noise = float(rng.uniform(0.02, 0.12))

    def hours(self) -> Floats:
        return np.asarray((self.t - self.origin) / HOUR, dtype=np.float64)

    def traffic(self, factor: float | None = None) -> Floats:
        """Requests relative to their mean: daily by `factor` between trough and peak, with noise of its own."""
        f = self.factor if factor is None else factor
        wave = 0.5 + 0.5 * np.cos(2 * np.pi * self.hours() / 24 + self.phase)
        shape = 1 + (f - 1) * wave**self.sharp
        rng = self.rng
        shape = shape / shape.mean()
        if rng.random() < 0.3:  # a second, smaller peak in the evening
            shape = shape * (1 + 0.15 * np.cos(4 * np.pi * self.hours() / 24 + self.phase + 1))
        return np.asarray(shape * np.exp(autocorrelated(rng, self.n, self.noise_memory, self.noise)))

    def wobble(self, scale: float = 1.0) -> Floats:
        """The level's own changes: multiplicative noise, slow and fast."""
        rng = self.rng
        slow = autocorrelated(rng, self.n, self.noise_memory, self.noise * 0.5 * scale)
        fast = rng.normal(size=self.n) * self.noise * 0.5 * scale
        return np.exp(slow + fast)

    def level(self, traffic: Floats, use: float | None = None) -> Floats:
        """A load-following level with mean `use`: part fixed, part requests in flight, with the pod's own noise."""
        u = self.use if use is None else use
        fixed = self.rng.uniform(0.1, 0.5)
        return u * (fixed + (1 - fixed) * traffic) * self.wobble()

    def add(
        self,
        pod: int,
        level: Floats,
        traffic: Floats | None = None,
        *,
        leaky: bool = False,
        begin: int = 0,
        end: int | None = None,
        onset: int | None = None,
        gc: Floats | None = None,
        missing: Floats | None = None,
        life: int = 0,
        whole: bool = True,
        cap: bool = True,
    ) -> None:
        """Record samples [begin, end) as one process of a pod. A leaking process ends five minutes after it reached its
        limit; a healthy one is kept below its limit (`cap`), since a healthy pod at its limit would not be healthy."""
        end = self.n if end is None else end
        v = level * self.limit
        if whole:
            v = np.floor(np.maximum(v, 0) + 0.5)
        exhausts = None
        if leaky:
            hit = np.flatnonzero(v[begin:end] >= self.limit)
            if len(hit):
                first = begin + int(hit[0])
                exhausts = float(self.t[first])
                end = min(end, first + int(300 / self.step) + 1)
            v = np.minimum(v, self.limit)
        elif cap:
            v = np.minimum(v, np.floor(self.limit * 0.985))
        v = v[begin:end].astype(float)
        if missing is not None:
            v[missing[begin:end] > 0] = np.nan
        t = self.t[begin:end]
        rate = None
        if self.with_rate and traffic is not None:
            observed = traffic[begin:end] * self.requests * (1 + 0.02 * self.rng.normal(size=end - begin))
            rate = np.where(np.isnan(v), np.nan, observed)
        if end - begin < 10:
            return
        series = Series(
            signal=self.signal,
            namespace=self.namespace,
            workload=f"{self.family}-{self.number}",
            pod=f"{self.family}-{self.number}-{pod}",
            uid=f"{self.family}-{self.number}-{pod}-uid",
            start=float(t[0] - self.rng.uniform(1, self.step)) if life == 0 else float(t[0] - 5.0),
            limit=self.limit,
            t=t,
            v=v,
            rate=rate,
            gc=None if gc is None else np.where(np.isnan(v), np.nan, gc[begin:end]),
        )
        began = None if not leaky else float(self.t[begin if onset is None else onset])
        # A leaking process that never reached its limit (restarted before) needs no alarm and must not be scored.
        self.out.append(Labelled(self.family, leaky, series, began, exhausts))

    def index(self, hours: float) -> int:
        return int(hours * HOUR / self.step)
