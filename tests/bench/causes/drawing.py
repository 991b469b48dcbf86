"""Episodes drawn by a small simulation of pods behind a proxy, each with the cause it was made with.

A pod is a server with a fixed capacity and a queue; a request holds a descriptor, a goroutine and a connection of the
pool for as long as it takes. Each cause disturbs one thing, and the readings follow. Parameters, noise and the missing
readings are drawn; nothing here depends on how episodes are judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.correlation.causes import Cause
from leakwarden.core.correlation.episode import Episode, LogKind, PodReadings
from tests.bench.causes.episodes import STEP as READ_EACH
from tests.bench.causes.episodes import last_minute

STEP, MOMENTS = 5.0, 360  # half an hour
BEGAN = 1_700_000_000.0
Line = NDArray[np.float64]


@dataclass
class World:
    """The state before the disturbance. Times in seconds, rates per second."""

    random: np.random.Generator
    pods: int
    rate: float
    service: float  # time at the CPU
    called: float  # time at its upstream
    capacity: float  # requests/s of one pod
    timeout: float  # of the proxy
    spread: float  # of latencies, as the sigma of a lognormal
    descriptor_limit: float
    pool_limit: float
    base: float  # descriptors and goroutines without a request
    load: Line = field(default_factory=lambda: np.zeros(0))
    call: Line = field(default_factory=lambda: np.zeros(0))
    leaked: Line = field(default_factory=lambda: np.zeros(0))  # (pods, moments) descriptors
    leaked_pool: Line = field(default_factory=lambda: np.zeros(0))
    refused: Line = field(default_factory=lambda: np.zeros(0))  # share of requests that are refused
    starts: list[tuple[int, float]] = field(default_factory=list)  # (pod, epoch s): a new pod takes its place
    added: list[float] = field(default_factory=list)  # epoch s at which an additional pod begins
    restarts: list[tuple[int, float]] = field(default_factory=list)  # (pod, epoch s): its process ends and begins again
    memory: Line = field(default_factory=lambda: np.zeros(0))  # (pods, moments), share of the limit
    aborted: Line = field(default_factory=lambda: np.zeros(0))  # share of requests whose client hangs up
    checks: Line = field(default_factory=lambda: np.zeros(0))  # health checks per second that come through the proxy
    logs: dict[LogKind, float] = field(default_factory=dict)
    bug: Line | None = None  # share of requests that the code answers with a 500
    spreads: Line | None = None  # of each moment, where they change


def world(random: np.random.Generator) -> World:
    pods = int(random.integers(2, 7))
    capacity = float(random.uniform(40, 200))
    rate = pods * capacity * float(random.uniform(0.25, 0.6))
    service = float(random.uniform(0.005, 0.03))
    w = World(
        random, pods, rate, service, float(random.uniform(0.005, 0.06)), capacity, float(random.choice([1.0, 2.0, 5.0, 10.0])),
        float(random.uniform(0.25, 0.6)), float(random.choice([1024.0, 4096.0, 65536.0])), float(random.choice([20, 50, 100])),
        float(random.uniform(15, 60)),
    )  # fmt: skip
    t = np.arange(MOMENTS)
    wave = 1 + random.uniform(0, 0.12) * np.sin(2 * np.pi * (t / MOMENTS * random.uniform(0.5, 3) + random.uniform()))
    w.load = w.rate * wave * np.exp(random.normal(0, 0.04, MOMENTS))
    w.call = w.called * np.exp(random.normal(0, 0.05, MOMENTS))
    w.leaked = np.zeros((pods, MOMENTS))
    w.leaked_pool = np.zeros((pods, MOMENTS))
    w.refused = np.zeros(MOMENTS)
    w.aborted = np.zeros(MOMENTS)
    w.checks = np.zeros(MOMENTS)
    w.memory = random.uniform(0.2, 0.5) + random.normal(0, 0.01, (pods, MOMENTS))
    return w


def between(random: np.random.Generator) -> tuple[int, int]:
    """When a disturbance begins and ends, in moments."""
    begin = int(random.integers(100, 220))
    return begin, begin + int(random.integers(24, 120))


def exhaustion(w: World) -> None:
    """Descriptors or connections of some pods leak, and run out within the half hour."""
    pool = w.random.uniform() < 0.4
    limit = w.pool_limit if pool else w.descriptor_limit
    for pod in w.random.permutation(w.pods)[: int(w.random.integers(1, w.pods + 1))]:
        full_at = w.random.integers(120, 280)
        line = np.cumsum(w.random.poisson(50, MOMENTS) / 50.0) / full_at * limit
        (w.leaked_pool if pool else w.leaked)[pod] = line
    w.logs[LogKind.POOL_WAIT if pool else LogKind.OPEN_FILES] = 1.0


def slow_dependency(w: World) -> None:
    begin, end = between(w.random)
    w.call[begin:end] = w.timeout * w.random.uniform(0.5, 1.6) * np.exp(w.random.normal(0, 0.2, end - begin))
    w.logs[LogKind.DEADLINE] = 1.0


def rollout(w: World) -> None:
    """Pods are replaced one after the other; for some seconds requests still go to the one that is gone."""
    at = int(w.random.integers(60, 160))
    gap = int(w.random.integers(8, 25))
    for pod in range(w.pods):
        moment = at + pod * gap
        w.starts.append((pod, BEGAN + STEP * moment))
        lost = int(w.random.integers(1, 4))
        w.refused[moment : moment + lost] = w.random.uniform(0.3, 1.0) / w.pods
    w.logs[LogKind.REFUSED] = 1.0


def proxy_timeout(w: World) -> None:
    """The slowest requests take longer than the proxy waits: always, or more of them for a while."""
    w.spread = float(w.random.uniform(0.35, 0.6))
    w.called = float(w.random.uniform(0.1, 1.0))
    w.call = w.called * np.exp(w.random.normal(0, 0.05, MOMENTS))
    w.capacity *= 3  # so that nothing queues
    w.pool_limit = np.ceil(4 * w.called * w.rate / w.pods) + 20
    w.descriptor_limit = max(w.descriptor_limit, 20 * w.called * w.rate / w.pods + 1000)
    median = w.called + w.service
    if w.random.uniform() < 0.5:
        w.timeout = median * float(np.exp(w.random.uniform(1.0, 1.9) * w.spread))
    else:
        w.timeout = median * float(np.exp(2.6 * w.spread))
        begin, end = between(w.random)
        w.spreads = np.full(MOMENTS, w.spread)
        w.spreads[begin:end] *= w.random.uniform(1.3, 1.6)
    w.logs[LogKind.CANCELLED] = 1.0


def overload(w: World) -> None:
    begin, end = between(w.random)
    ramp = np.minimum(1.0, np.arange(end - begin) / max(1, int(w.random.integers(1, 12))))
    wanted = w.pods * w.capacity * w.random.uniform(1.05, 1.6) / w.rate
    w.load[begin:end] *= 1 + (wanted - 1) * ramp


def memory(w: World) -> None:
    """Memory of some pods climbs to the limit; the kernel ends the process, and the kubelet starts it again."""
    for pod in w.random.permutation(w.pods)[: int(w.random.integers(1, w.pods + 1))]:
        at = int(w.random.integers(120, 300))
        begin = at - int(w.random.integers(60, 118))
        w.memory[pod, begin:at] = np.linspace(w.memory[pod, begin], w.random.uniform(0.95, 1.0), at - begin)
        _restart(w, pod, at)


def _restart(w: World, pod: int, moment: int) -> None:
    w.restarts.append((pod, BEGAN + STEP * moment))
    gone = int(w.random.integers(2, 6))
    w.refused[moment : moment + gone] = np.maximum(
        w.refused[moment : moment + gone], w.random.uniform(0.5, 1.0) / w.pods
    )


CAUSES: dict[Cause, Callable[[World], None]] = {
    Cause.EXHAUSTION: exhaustion,
    Cause.SLOW_DEPENDENCY: slow_dependency,
    Cause.ROLLOUT: rollout,
    Cause.PROXY_TIMEOUT: proxy_timeout,
    Cause.OVERLOAD: overload,
}


def quiet(_: World) -> None:
    """Nothing happens."""


def drained(w: World) -> None:
    """A rollout in which no request is lost; other errors remain."""
    refused, logs = w.refused.copy(), dict(w.logs)
    rollout(w)
    w.refused, w.logs = refused, logs


drained_rollout = drained


def busy_morning(w: World) -> None:
    w.load *= np.linspace(1.0, min(1.5, 0.75 * w.pods * w.capacity / w.rate), MOMENTS)


def far_leak(w: World) -> None:
    w.leaked[0] = np.linspace(0, 0.6 * w.descriptor_limit, MOMENTS)


def bug(w: World) -> None:
    """A deploy that was drained, and from then on the code fails some requests: none of the five causes."""
    begin, end = between(w.random)
    w.bug = np.zeros(MOMENTS)
    w.bug[begin:end] = w.random.uniform(0.02, 0.5)


def client_aborts(w: World) -> None:
    """Clients hang up (499) for a while: nobody is served worse."""
    begin, end = between(w.random)
    w.aborted[begin:end] = w.random.uniform(0.02, 0.4)


def health_checks(w: World) -> None:
    """A load balancer checks through the proxy, from some moment on far more often than users come."""
    w.checks[int(w.random.integers(60, 240)) :] = w.rate * w.random.uniform(0.3, 2.0)


def scaled_out(w: World) -> None:
    """An autoscaler adds pods, which begin without an error."""
    begin, _ = between(w.random)
    for pod in range(int(w.random.integers(1, w.pods + 1))):
        w.added.append(BEGAN + STEP * (begin + 3 * pod))


def crash(w: World) -> None:
    """A panic ends the processes of some pods now and then: none of the five causes."""
    for pod in w.random.permutation(w.pods)[: int(w.random.integers(1, w.pods + 1))]:
        _restart(w, int(pod), int(w.random.integers(100, 330)))


HEALTHY: tuple[Callable[[World], None], ...] = (
    quiet, drained_rollout, busy_morning, far_leak, client_aborts, health_checks, scaled_out,
)  # fmt: skip
#: What goes on besides an episode without a part in it.
BESIDE: tuple[Callable[[World], None], ...] = (drained, far_leak, client_aborts, health_checks, scaled_out)
#: Errors of none of the five causes.
OTHERS: tuple[Callable[[World], None], ...] = (bug, crash)


def episode(seed: int, *disturb: Callable[[World], None], missing: float = 0.1) -> Episode:
    """One drawn episode with all these disturbances; each kind of reading is missing with the probability `missing`."""
    random = np.random.default_rng(seed)
    w = world(random)
    for each in disturb:
        each(w)
    return _observed(w, missing)


def as_read(found: Episode) -> Episode:
    """The episode as the tool reads it from a Prometheus: each 15 s, rates and quantiles over the last minute."""
    every = round(READ_EACH / STEP)

    def rate(values: Line | None) -> Line | None:
        if values is None or np.isnan(values).all():
            return None
        smooth = last_minute(np.nan_to_num(values, nan=float(np.nanmedian(values))), STEP)
        return np.where(np.isnan(values), np.nan, smooth)[::every]

    pods = [
        replace(
            pod, cpu=rate(pod.cpu),
            **{
                key: values[::every]
                for key in ("descriptors", "pool", "goroutines", "memory")
                if (values := getattr(pod, key)) is not None
            },
        )
        for pod in found.pods
    ]  # fmt: skip
    return replace(
        found, t=found.t[::every], requests=last_minute(found.requests, STEP)[::every], pods=pods,
        errors={code: last_minute(values, STEP)[::every] for code, values in found.errors.items()},
        proxy_p99=rate(found.proxy_p99), own_p99=rate(found.own_p99),
        dependency_p99=rate(found.dependency_p99), own_errors=rate(found.own_errors),
    )  # fmt: skip


def _observed(w: World, missing: float) -> Episode:
    random = w.random
    per_pod = w.load / w.pods
    backlog, waiting = 0.0, np.zeros(MOMENTS)
    for n in range(MOMENTS):
        # Requests that would wait longer than the proxy does are given up.
        backlog = min(max(0.0, backlog + (per_pod[n] - w.capacity) * STEP), w.capacity * w.timeout * 2)
        waiting[n] = backlog / w.capacity
    for pod, start in [*w.starts, *w.restarts]:
        at = round((start - BEGAN) / STEP)
        for leaked in (w.leaked, w.leaked_pool):
            leaked[pod, at:] = np.maximum(leaked[pod, at:] - leaked[pod, at], 0.0)
    busy = np.minimum(per_pod / w.capacity, 1.0)
    spread = w.spreads if w.spreads is not None else np.full(MOMENTS, w.spread)
    latency = w.service / np.maximum(1 - np.minimum(busy, 0.97), 0.03) + waiting + w.call
    held = np.minimum(latency, w.timeout) * np.minimum(per_pod, w.capacity)
    descriptors = w.base + 2 * held + w.leaked
    pool = held * np.minimum(w.call / latency, 1.0) + w.leaked_pool
    full = (descriptors >= w.descriptor_limit) | (pool >= w.pool_limit)
    # A full pod fails most of its requests; it has no resources for the rest.
    failing = (full * random.uniform(0.5, 1.0)).mean(axis=0)
    late = _share_beyond(latency, w.timeout, spread)
    shed = np.maximum(0.0, 1 - w.capacity / np.maximum(per_pod, 1e-9)) * (waiting >= w.timeout)
    served = w.load * (1 - w.aborted)
    # One after the other, so that no request fails twice.
    through = np.clip(1 - np.minimum(1.0, failing * 0.9 + w.refused), 0, 1)
    kept = through * (1 - 0.5 * shed)
    errors = {
        502: served * (1 - through),
        503: served * (through - kept),
        504: served * kept * np.clip(late + failing * 0.1 + shed * 0.5, 0, 1),
    }
    if w.bug is not None:
        errors[500] = served * w.bug
    errors = {
        code: random.poisson(np.maximum(rates, 0) * STEP).astype(np.float64) / STEP for code, rates in errors.items()
    }
    p99 = latency * np.exp(_normal(1 - 0.01 * (1 + w.checks / np.maximum(w.load, 1e-9))) * spread)
    pods = [
        pod
        for n in range(w.pods)
        for pod in _pods(w, n, descriptors=descriptors[n], pool=pool[n], held=held, busy=busy)
    ]
    logs = {kind: int(random.integers(5, 500)) for kind in w.logs} if random.uniform() < 0.5 else None
    found = Episode(
        t=(BEGAN + STEP * np.arange(MOMENTS)).astype(np.float64), requests=w.load + w.checks, errors=errors, pods=pods,
        proxy_p99=_noisy(random, np.minimum(p99, w.timeout)), own_p99=_noisy(random, p99),
        dependency_p99=_noisy(random, w.call * np.exp(2.33 * spread * 0.6)),
        own_errors=np.clip(failing + random.normal(0, 0.001, MOMENTS), 0, 1), timeout=w.timeout, logs=logs,
    )  # fmt: skip
    return _forgotten(found, random, missing)


def _normal(shares: Line) -> Line:
    """Quantiles of the normal distribution. Health checks take no time: the slowest hundredth of all requests is then a
    larger share of the users'."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(min(max(float(share), 1e-4), 1 - 1e-4)) for share in shares])


def _share_beyond(median: Line, limit: float, spread: Line) -> Line:
    """Of a lognormal, by its logistic approximation (within 0.01 of the true one)."""
    z = (np.log(limit) - np.log(np.maximum(median, 1e-6))) / spread
    found: Line = 1 / (1 + np.exp(np.clip(1.702 * z, -50, 50)))
    return np.where(z > 3.2, 0.0, found)


def _pods(w: World, n: int, *, descriptors: Line, pool: Line, held: Line, busy: Line) -> list[PodReadings]:
    """The pod, and those that took its place one after the other: each has readings of its own time only."""
    random = w.random
    readings = {
        "descriptors": np.minimum(1.0, _noisy(random, descriptors, 0.01) / w.descriptor_limit),
        "pool": np.minimum(1.0, np.round(pool) / w.pool_limit),
        "goroutines": _noisy(random, w.base + 3 * held),
        "cpu": np.clip(_noisy(random, 0.05 + 0.95 * busy), 0, 1),
        "memory": np.clip(w.memory[n], 0, 1),
    }
    t = BEGAN + STEP * np.arange(MOMENTS)
    begins = [-np.inf, *sorted(start for pod, start in w.starts if pod == n)]

    def during(within: Any) -> dict[str, Any]:
        return {name: np.where(within, values, np.nan) for name, values in readings.items()}

    found = []
    for number, (begin, end) in enumerate(zip(begins, [*begins[1:], np.inf], strict=True)):
        within = (t >= begin) & (t < end)
        found.append(
            PodReadings(
                f"pod-{n}-{number}",
                **during(within),
                starts=[begin] if np.isfinite(begin) else [],
                restarts=[start for pod, start in w.restarts if pod == n and begin <= start < end],
            )
        )
    for start in w.added if n == 0 else ():
        within = t >= start
        found.append(
            PodReadings(
                f"more-{start:.0f}", **during(within),
                starts=[start],
            )
        )  # fmt: skip
    return found


def _noisy(random: np.random.Generator, values: Line, by: float = 0.08) -> Line:
    found: Line = values * np.exp(random.normal(0, by, values.shape))
    found[random.uniform(size=values.shape) < 0.01] = np.nan
    return found


def _forgotten(found: Episode, random: np.random.Generator, missing: float) -> Episode:
    changes: dict[str, Any] = {}
    for name in ("proxy_p99", "own_p99", "dependency_p99", "own_errors", "timeout"):
        if random.uniform() < missing:
            changes[name] = None
    gone = {name: None for name in ("descriptors", "pool", "goroutines", "cpu", "memory") if random.uniform() < missing}
    if gone:
        changes["pods"] = [replace(pod, **gone) for pod in found.pods]  # type: ignore[arg-type]
    return replace(found, **changes)
