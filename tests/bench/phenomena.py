"""Held-out phenomena after public reports: 13 healthy, 13 leaking. Each function draws one workload with all its pods.

Written by somebody who has not read the detector's code (only the bench README). Every docstring names its source. Units: descriptors, goroutines and connections
are counts; heap and working set are bytes; rates are requests/s. Time is epoch seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from leakwarden.core.detection.recording import Series
from tests.bench.shapes import Labelled

Array = NDArray[np.float64]
Rng = np.random.Generator
MIB = float(1 << 20)
HOUR = 3600.0
DAY = 86400.0


# ---- pieces -------------------------------------------------------------------------------------------------------


def clock(rng: Rng, days: float, step: float = 30.0) -> Array:
    """Scrape times: a regular step, begun at any second of any week."""
    return 1.75e9 + rng.uniform(0, 60 * DAY) + step * np.arange(int(days * DAY / step))


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
    v: Array,
    *,
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
    v: Array,
    *,
    level: float,
    limit: float | None,
    onset: float,
    rate: Array | None = None,
) -> list[Labelled]:
    """A leaking life up to the level at which it fails; nothing if it does not get there (it was restarted before)."""
    dies = crossing(t, v, level)
    return [life(rng, name, pod, signal, t, v, limit=limit, rate=rate, leaky=True, onset=onset, dies=dies)]


# ---- healthy ------------------------------------------------------------------------------------------------------


def rss_keeps_the_highest_peak(rng: Rng) -> list[Labelled]:
    """Freed memory stays in RSS (MADV_FREE): golang/go#28466, #39779, ulikunitz/xz#34. A ratchet by the days' peaks."""
    t = clock(rng, 4)
    limit = float(rng.choice([512, 1024, 2048])) * MIB
    out = []
    week = 1 + 0.08 * np.floor((t - t[0]) / DAY) * rng.uniform(-0.3, 1.0)
    for pod in pods(rng, 2, 4):
        rate = traffic(rng, t, 40, 0.7) * week
        need = (0.12 + 0.42 * rate / np.max(rate)) * limit
        need *= np.exp(0.03 * ar1(rng, t.size, 30, 240))
        rss = np.maximum.accumulate(need) * (1 + 0.002 * rng.normal(size=t.size))
        out.append(
            life(
                rng,
                "resizer",
                pod,
                "WorkingSet",
                t,
                np.minimum(rss, 0.85 * limit),
                limit=limit,
                rate=maybe_rate(rng, rate),
            )
        )
    return out


def page_cache_fills_the_limit(rng: Rng) -> list[Labelled]:
    """Files written and read again count as active page cache: kubernetes#43916, #86171, Azure/AKS#2067. Reclaimed at the limit."""
    t = clock(rng, 3)
    limit = float(rng.choice([256, 512, 1024])) * MIB
    name, out = "ingest", []
    for pod in pods(rng, 1, 3):
        rate = traffic(rng, t, 25, 0.5)
        anon = 0.25 * limit * (1 + 0.03 * ar1(rng, t.size, 30, 300))
        per_s = limit * rng.uniform(0.5, 1.5) / DAY
        cache, level = np.empty(t.size), 0.0
        roof = rng.uniform(0.62, 0.72) * limit
        for i in range(t.size):
            level += per_s * 30 * rate[i] / 25
            if level > roof:
                level -= rng.uniform(0.01, 0.08) * limit  # the kernel takes some pages back
            cache[i] = level
        out.append(
            life(
                rng,
                name,
                pod,
                "WorkingSet",
                t,
                np.minimum(anon + cache, 0.995 * limit),
                limit=limit,
                rate=maybe_rate(rng, rate),
            )
        )
    return out


def dentries_of_short_files(rng: Rng) -> list[Labelled]:
    """Slab of short-lived files is charged to the container until it is reclaimed: amazon-ecs-agent#3594, cadvisor#3081."""
    t = clock(rng, 4)
    limit = float(rng.choice([1024, 2048])) * MIB
    out = []
    for pod in pods(rng, 2, 3):
        rate = traffic(rng, t, 12, 0.6)
        anon = 0.3 * limit * (1 + 0.02 * ar1(rng, t.size, 30, 500))
        slab, level = np.empty(t.size), 0.02 * limit
        growth = limit * rng.uniform(0.2, 0.5) / DAY
        for i in range(t.size):
            level += growth * 30 * rate[i] / 12
            if rng.random() < 30 / (1.3 * DAY) or level > 0.5 * limit:
                level *= rng.uniform(0.05, 0.3)  # the node is short of memory: kswapd shrinks the slabs
            slab[i] = level
        out.append(life(rng, "thumbs", pod, "WorkingSet", t, anon + slab, limit=limit, rate=maybe_rate(rng, rate)))
    return out


def head_block_of_two_hours(rng: Rng) -> list[Labelled]:
    """Samples stay in memory until the head block is cut each two hours: prometheus#10982. Series churn adds to it."""
    t = clock(rng, 3)
    limit = float(rng.choice([2048, 4096])) * MIB
    out = []
    for pod in pods(rng, 1, 2):
        phase = ((t - rng.uniform(0, 7200)) % 7200) / 7200
        block = np.floor((t - t[0]) / 7200).astype(int)
        size = np.abs(1 + 0.12 * rng.normal(size=block.max() + 2))[block]
        live = limit * (0.18 + 0.27 * size * (0.5 + phase))
        heap = go_heap(rng, t, live * 0.62, np.full(t.size, 0.004 * limit))
        out.append(life(rng, "metrics", pod, "Heap", t, np.minimum(heap, 0.92 * limit), limit=limit))
    return out


def chunks_flushed_by_age(rng: Rng) -> list[Labelled]:
    """All chunks began at one restart and are flushed at one age, 9 h: cortexproject/cortex#1412. A long sawtooth."""
    t = clock(rng, 4)
    limit = float(rng.choice([2048, 3072])) * MIB
    period = rng.uniform(7, 11) * HOUR
    out = []
    for pod in pods(rng, 2, 3):
        rate = traffic(rng, t, 300, 0.25)
        phase = ((t - t[0]) % period) / period
        spread = 1 / (1 + np.exp(-((phase - 0.06) / 0.02)))  # a flush takes some minutes
        live = limit * (
            0.22 + 0.4 * (phase * spread + (1 - spread) * (1 - phase / 0.12).clip(0)) * rate / np.mean(rate)
        )
        heap = live * (1 + 0.04 * ar1(rng, t.size, 30, 60))
        out.append(
            life(
                rng,
                "ingester",
                pod,
                "WorkingSet",
                t,
                np.minimum(heap, 0.88 * limit),
                limit=limit,
                rate=maybe_rate(rng, rate),
            )
        )
    return out


def standby_becomes_leader(rng: Rng) -> list[Labelled]:
    """Only the leader fills its caches; another takes over: knative/pkg#1181, kubernetes#115753. A climb of minutes, then level."""
    t = clock(rng, 3)
    limit = float(rng.choice([512, 1024])) * MIB
    count = 3
    leader = np.zeros(t.size, dtype=int)
    at = 0
    while at < t.size:
        until = at + int(rng.exponential(1.2 * DAY) / 30) + 200
        leader[at:until] = rng.integers(0, count)
        at = until
    out = []
    for pod in range(count):
        mine = leader == pod
        level, v = 0.0, np.empty(t.size)
        ramp = rng.uniform(300, 2400)
        top = rng.uniform(0.55, 0.8)
        for i in range(t.size):
            level += (1 - level) * 30 / ramp * 3 if mine[i] else 0.0
            if i and mine[i - 1] and not mine[i]:
                level = 0.35 * level  # resigned; the caches are dropped, the runtime keeps some
            v[i] = level
        memory = limit * (0.12 + (top - 0.12) * v) * (1 + 0.02 * ar1(rng, t.size, 30, 400))
        out.append(life(rng, "operator", pod, "WorkingSet", t, memory, limit=limit))
    return out


def goroutines_of_more_customers(rng: Rng) -> list[Labelled]:
    """A goroutine for each workspace or websocket: gitpod#3108, gorilla/websocket#726. Grows for days, falls with a release."""
    t = clock(rng, 6, 60)
    out = []
    release = t[0] + rng.uniform(2.5, 5) * DAY
    for pod in pods(rng, 2, 4):
        tilt = rng.uniform(0.05, 0.35)
        clients = rng.uniform(150, 900) * (1 + tilt * (t - t[0]) / DAY) * (0.6 + 0.4 * day_curve(rng, t, 0.5))
        after = t >= release
        back = 1 - np.exp(-(t - release).clip(0) / rng.uniform(900, 5400))
        clients = np.where(after, clients * back, clients)
        v = np.round(40 + 2 * clients * np.exp(0.02 * ar1(rng, t.size, 60, 900)))
        cut = int(np.argmax(after)) if after.any() else t.size
        out.append(life(rng, "gateway", pod, "Goroutines", t[:cut], v[:cut], limit=None))
        if cut < t.size - 10:
            out.append(life(rng, "gateway", pod, "Goroutines", t[cut:], v[cut:], limit=None))
    return out


def descriptors_of_jobs_in_step(rng: Rng) -> list[Labelled]:
    """100 HTTP jobs each 6 minutes, sockets released late: dkron-io/dkron#672 ("there is no bug"). A comb, higher with more jobs."""
    t = clock(rng, 2)
    limit = float(rng.choice([1024, 4096]))
    out = []
    for pod in pods(rng, 1, 3):
        every = float(rng.choice([360, 600, 900]))
        linger = rng.uniform(90, 420)
        jobs = limit * rng.uniform(0.08, 0.25)
        grow = 1 + rng.uniform(0, 0.4) * (t - t[0]) / (2 * DAY)  # jobs are added
        base = 0.06 * limit
        v = base * np.ones(t.size)
        for back in range(3):
            age = ((t - t[0]) % every) + back * every
            v += jobs * grow * np.where(age < linger, 1, np.exp(-(age - linger) / (0.5 * linger)))
        out.append(
            life(
                rng,
                "scheduler",
                pod,
                "Descriptors",
                t,
                np.round(np.minimum(v, 0.9 * limit) + rng.normal(0, 2, t.size)),
                limit=limit,
            )
        )
    return out


def backlog_until_the_kernel_gives_up(rng: Rng) -> list[Labelled]:
    """A peer stops to answer; calls pile up for 15 minutes until TCP gives up: kubernetes#52176, #44557, client-go#374. Then it drains."""
    t = clock(rng, 3)
    out = []
    incidents = [t[0] + rng.uniform(0.2, 2.8) * DAY for _ in range(int(rng.integers(1, 4)))]
    for pod in pods(rng, 2, 4):
        rate = traffic(rng, t, 15, 0.5)
        v = 60 + 8 * rate + 6 * ar1(rng, t.size, 30, 120)
        for at in incidents:
            length = rng.uniform(880, 960)
            share = rng.uniform(0.1, 0.6)
            here = (t >= at) & (t < at + length)
            stuck = np.cumsum(np.where(here, rate * share * 30, 0.0))
            after = t >= at + length
            v = v + np.where(after, stuck * np.exp(-(t - at - length).clip(0) / 60), stuck)
        out.append(life(rng, "edge", pod, "Goroutines", t, np.round(v), limit=None, rate=maybe_rate(rng, rate)))
    return out


def level_found_late(rng: Rng) -> list[Labelled]:
    """Looks like a leak for half a day, then "seems to stabilize": c4po/harbor_exporter#45, prometheus-operator#900."""
    t = clock(rng, 4)
    limit = float(rng.choice([256, 512])) * MIB
    out = []
    tau = rng.uniform(3, 14) * HOUR
    for pod in pods(rng, 1, 3):
        top = rng.uniform(0.5, 0.82) * limit
        low = rng.uniform(0.1, 0.2) * limit
        climb = 1 - np.exp(-(t - t[0]) / (tau * rng.uniform(0.9, 1.1)))
        v = (low + (top - low) * climb) * (1 + 0.025 * ar1(rng, t.size, 30, 120))
        out.append(life(rng, "exporter", pod, "WorkingSet", t, np.minimum(v, 0.9 * limit), limit=limit))
    return out


def map_keeps_its_buckets(rng: Rng) -> list[Labelled]:
    """A map never shrinks: golang/go#20135. Memory doubles in steps at each record of keys, and stays."""
    t = clock(rng, 5)
    limit = float(rng.choice([1024, 2048])) * MIB
    out = []
    for pod in pods(rng, 2, 3):
        rate = traffic(rng, t, 60, 0.6) * (1 + 0.25 * rng.random() * (t - t[0]) / DAY)
        keys = rate / np.max(rate) * rng.uniform(3e6, 7e6)
        buckets = 2.0 ** np.ceil(np.log2(np.maximum.accumulate(keys) / 6.5))
        live = buckets / 2.0 ** np.ceil(np.log2(7e6 / 6.5)) * 0.4 * limit + 0.06 * limit
        heap = go_heap(rng, t, live, 0.0006 * limit * rate / 60)
        out.append(
            life(rng, "dedup", pod, "Heap", t, np.minimum(heap, 0.97 * limit), limit=limit, rate=maybe_rate(rng, rate))
        )
    return out


def consumer_catches_up(rng: Rng) -> list[Labelled]:
    """After a stop the backlog is read with full buffers: IBM/sarama#1046, housepower/clickhouse_sinker#39. Hours high, then normal."""
    t = clock(rng, 3)
    limit = float(rng.choice([1024, 2048])) * MIB
    starts = t[0] + np.sort(rng.uniform(0.1, 2.6, int(rng.integers(1, 4)))) * DAY
    out = []
    for pod in pods(rng, 2, 4):
        fill = np.zeros(t.size)
        for at in starts:
            length = rng.uniform(0.5, 5) * HOUR
            rise = rng.uniform(120, 2400)
            here = (t >= at) & (t < at + length)
            fill = np.maximum(fill, np.where(here, 1 - np.exp(-(t - at).clip(0) / rise), 0))
            fill = np.maximum(fill, np.where(t >= at + length, np.exp(-(t - at - length).clip(0) / 600), 0))
        v = limit * (0.2 + 0.5 * fill) * (1 + 0.05 * ar1(rng, t.size, 30, 90))
        out.append(life(rng, "sink", pod, "WorkingSet", t, np.minimum(v, 0.9 * limit), limit=limit))
    return out


def pool_after_a_spike(rng: Rng) -> list[Labelled]:
    """A slow store makes the pool grow; idle connections go after the idle time only: redis/go-redis#679, #1226."""
    t = clock(rng, 3)
    limit = float(rng.choice([100, 200, 500]))
    idle = rng.uniform(300, 1800)
    spikes = t[0] + np.sort(rng.uniform(0.05, 2.9, int(rng.integers(3, 9)))) * DAY
    out = []
    for pod in pods(rng, 2, 4):
        rate = traffic(rng, t, 80, 0.6)
        need = limit * 0.12 * rate / 80 + rng.poisson(2, t.size)
        for at in spikes:
            length = rng.uniform(60, 1500)
            here = (t >= at) & (t < at + length)
            need = need + np.where(
                here, limit * rng.uniform(0.2, 0.7) * ((t - at).clip(0) / length) ** rng.uniform(0.3, 1.2), 0
            )
        v, level = np.empty(t.size), need[0]
        for i in range(t.size):
            level = max(need[i], level - level * 30 / idle)
            v[i] = level
        out.append(
            life(
                rng,
                "profile",
                pod,
                "Descriptors",
                t,
                np.round(30 + np.minimum(v, limit)),
                limit=limit * 2,
                rate=maybe_rate(rng, rate),
            )
        )
    return out


# ---- leaking ------------------------------------------------------------------------------------------------------


def probe_waits_behind_singleflight(rng: Rng) -> list[Labelled]:
    """Each readiness probe joins a call that never ends, one goroutine each 10 s: darkweak/souin#849 (1,127 in 177 min)."""
    t = clock(rng, 0.6, 15)
    out = []
    for pod in pods(rng, 1, 3):
        base = rng.uniform(40, 220)
        onset = t[0] + rng.uniform(0.02, 0.15) * DAY
        every = rng.choice([5.0, 10.0, 15.0])
        v = base * (1 + 0.05 * ar1(rng, t.size, 15, 90)) + np.floor((t - onset).clip(0) / every)
        out += leaking_lives(rng, "cache", pod, "Goroutines", t, np.round(v), level=5 * base, limit=None, onset=onset)
    return out


def lease_kept_alive_by_a_loop(rng: Rng) -> list[Labelled]:
    """A keep-alive for each turn of a timer loop, no traffic at all: etcd-io/etcd#11487 (every 5 s, 1,270 seen)."""
    t = clock(rng, 3.5)
    out = []
    for pod in pods(rng, 1, 3):
        base = rng.uniform(60, 400)
        every = rng.choice([5.0, 15.0, 30.0, 60.0])
        onset = float(t[0])
        v = base + np.floor((t - onset) / every) + 3 * ar1(rng, t.size, 30, 200)
        out += leaking_lives(rng, "agent", pod, "Goroutines", t, np.round(v), level=5 * base, limit=None, onset=onset)
    return out


def object_reader_kept_by_renewals(rng: Rng) -> list[Labelled]:
    """GetObject never closed, in clumps at renewals: techknowlogick/certmagic-s3#9 (4,834 in 11,102 min), minio-go#1508."""
    t = clock(rng, 6, 60)
    out = []
    for pod in pods(rng, 1, 3):
        base = rng.uniform(50, 200)
        onset = float(t[0])
        per_min = rng.uniform(0.25, 0.9)
        clumps = rng.poisson(per_min / 6, t.size) * rng.integers(2, 11, t.size)  # clumps of six on average
        v = base + np.cumsum(clumps) + 4 * ar1(rng, t.size, 60, 600)
        out += leaking_lives(rng, "caddy", pod, "Goroutines", t, np.round(v), level=5 * base, limit=None, onset=onset)
    return out


def mirror_keeps_its_readers(rng: Rng) -> list[Labelled]:
    """A reader and its buffers for each mirrored object, until OOM: minio/mc#2595 (324,798 goroutines after 17 h)."""
    t = clock(rng, 4)
    limit = float(rng.choice([512, 1024, 2048])) * MIB
    out = []
    hours = rng.uniform(5, 40)
    for pod in pods(rng, 1, 2):
        rate = traffic(rng, t, 20, 0.7)
        base = rng.uniform(0.1, 0.25) * limit
        grown = np.cumsum(rate * 30) / (20 * hours * HOUR) * (limit - base)
        v = (base + grown) * (1 + 0.03 * ar1(rng, t.size, 30, 180))
        out += leaking_lives(
            rng,
            "mirror",
            pod,
            "WorkingSet",
            t,
            v,
            level=limit,
            limit=limit,
            onset=float(t[0]),
            rate=maybe_rate(rng, rate),
        )
    return out


def watch_set_lost_at_each_reconnect(rng: Rng) -> list[Labelled]:
    """A set of goroutines stays behind at each watch reconnection, each 5 to 10 min: grafana/grafana-app-sdk#1391 (21,000 on 34 pods)."""
    t = clock(rng, 4)
    out = []
    kinds = int(rng.integers(1, 7))
    for pod in pods(rng, 2, 6):
        base = rng.uniform(100, 300)
        onset = float(t[0])
        lost = np.zeros(t.size)
        for _ in range(kinds):
            at = onset + rng.uniform(0, 600)
            while at < t[-1]:
                at += rng.uniform(300, 600)
                if rng.random() < 0.5:
                    lost[t >= at] += 3
        v = base + lost + 5 * ar1(rng, t.size, 30, 300)
        out += leaking_lives(
            rng, "apiserver", pod, "Goroutines", t, np.round(v), level=5 * base, limit=None, onset=onset
        )
    return out


def client_for_each_scrape(rng: Rng) -> list[Labelled]:
    """A new HTTP client for each scrape, its connections stay open: c4po/harbor_exporter#52. Each life ends at the descriptor limit."""
    t0 = clock(rng, 4)
    limit = float(rng.choice([1024, 4096, 65536]))
    out = []
    every = rng.choice([15.0, 30.0, 60.0])
    per = limit / rng.uniform(4, 30) / (HOUR / every)
    for pod in pods(rng, 1, 2):
        left = t0
        while left.size > 200:
            base = rng.uniform(0.01, 0.04) * limit
            v = base + np.floor((left - left[0]) / every) * per + rng.normal(0, 2, left.size)
            dies = crossing(left, v, limit)
            out += leaking_lives(
                rng, "exporter", pod, "Descriptors", left, np.round(v), level=limit, limit=limit, onset=float(left[0])
            )
            if dies is None:
                break
            left = left[left > dies + 60]
    return out


def native_memory_of_an_exporter(rng: Rng) -> list[Labelled]:
    """RSS from 100 MiB to 512 MiB in one to two days on every node, OOM, again: NVIDIA/dcgm-exporter#702. The heap is flat."""
    t0 = clock(rng, 6, 60)
    limit = 512 * MIB
    out = []
    for pod in pods(rng, 2, 5):
        left = t0
        hours = rng.uniform(22, 50)
        while left.size > 300:
            v = 100 * MIB + (left - left[0]) / (hours * HOUR) * (limit - 100 * MIB)
            v = v * (1 + 0.012 * ar1(rng, left.size, 60, 600))
            dies = crossing(left, v, limit)
            out += leaking_lives(
                rng, "dcgm", pod, "WorkingSet", left, v, level=limit, limit=limit, onset=float(left[0])
            )
            if dies is None:
                break
            left = left[left > dies + 120]
    return out


def slow_over_days(rng: Rng) -> list[Labelled]:
    """A few MiB an hour under the collector's swing, OOM after a week: mvisonneau/gitlab-ci-pipelines-exporter#731."""
    t = clock(rng, 11, 60)
    limit = float(rng.choice([128, 256])) * MIB
    days = rng.uniform(5, 10)
    out = []
    for pod in pods(rng, 1, 2):
        live = limit * (0.2 + 0.42 * (t - t[0]) / (days * DAY))
        heap = go_heap(rng, t, live, np.full(t.size, limit * rng.uniform(0.0003, 0.001)), gogc=0.6)
        out += leaking_lives(
            rng, "pipelines", pod, "WorkingSet", t, heap + 0.02 * limit, level=limit, limit=limit, onset=float(t[0])
        )
    return out


def rows_lost_on_an_error_path(rng: Rng) -> list[Labelled]:
    """A pool's connection is lost at each scan error: apache/trafficcontrol#2536, newrelic/nri-flex#667, golang/go#46863."""
    t = clock(rng, 4)
    limit = float(rng.choice([20, 30, 50, 100]))
    out = []
    for pod in pods(rng, 2, 4):
        rate = traffic(rng, t, 30, 0.6)
        busy = rng.poisson(limit * 0.1 * rate / 30)
        errors = rng.poisson(rate / 30 * 30 * limit / (rng.uniform(12, 60) * HOUR))
        v = np.minimum(np.cumsum(errors) + busy, limit)
        lost = np.cumsum(errors).astype(float)
        dies = crossing(t, lost + 0.1 * limit, limit)  # who still asks waits for ever
        out.append(
            life(
                rng,
                "catalog",
                pod,
                "DBPool",
                t,
                v,
                limit=limit,
                rate=maybe_rate(rng, rate),
                leaky=True,
                onset=float(t[0]),
                dies=dies,
            )
        )
    return out


def sticky_connection_never_given_back(rng: Rng) -> list[Labelled]:
    """Client.Conn is taken for a rare operation and not closed: redis/go-redis#2559. The pool is used up."""
    t = clock(rng, 3)
    limit = float(rng.choice([50, 100, 250]))
    out = []
    hours = rng.uniform(6, 36)
    for pod in pods(rng, 2, 3):
        rate = traffic(rng, t, 50, 0.5)
        taken = np.cumsum(rng.poisson(rate / 50 * 30 * limit / (hours * HOUR))).astype(float)
        busy = limit * 0.08 * rate / 50 + rng.poisson(1.5, t.size)
        v = np.minimum(taken + busy, limit)
        dies = crossing(t, taken + limit * 0.08, limit)
        out.append(
            life(
                rng,
                "locks",
                pod,
                "DBPool",
                t,
                np.round(v),
                limit=limit,
                rate=maybe_rate(rng, rate),
                leaky=True,
                onset=float(t[0]),
                dies=dies,
            )
        )
    return out


def watchers_while_a_folder_is_missing(rng: Rng) -> list[Labelled]:
    """A watcher each 30 s while a folder is missing, 120 an hour; pauses when it is there: projectcalico/calico#13727."""
    t = clock(rng, 3)
    limit = 1024.0
    base = rng.uniform(40, 120)
    missing = np.zeros(t.size, dtype=bool)
    at = int(rng.uniform(0, 120))
    first = at
    while at < t.size:
        until = at + int(rng.uniform(0.7, 6) * HOUR / 30)
        missing[at:until] = True
        at = until + int(rng.exponential(1.5 * HOUR) / 30)
    out = []
    for pod in pods(rng, 1, 4):
        per = rng.choice([1.0, 2.0])
        v = base + np.cumsum(missing * per) + rng.normal(0, 1.5, t.size)
        out += leaking_lives(
            rng, "confd", pod, "Descriptors", t, np.round(v), level=limit, limit=limit, onset=float(t[first])
        )
    return out


def contexts_kept_by_their_parent(rng: Rng) -> list[Labelled]:
    """A cancel function is not called for each statement: cockroachdb/cockroach#149658, failsafe-go#134. Heap by traffic, days."""
    t = clock(rng, 5)
    limit = float(rng.choice([1024, 2048])) * MIB
    days = rng.uniform(0.8, 3.5)
    out = []
    for pod in pods(rng, 2, 4):
        rate = traffic(rng, t, 120, 0.65)
        kept = np.cumsum(rate * 30) / (120 * days * DAY) * 0.85 * limit
        live = 0.1 * limit + 0.03 * limit * rate / 120 + kept
        swing = 0.35 * np.minimum(live, (limit - live).clip(0.02 * limit))
        saw = go_heap(rng, t, np.full(t.size, 1e9), np.full(t.size, 2e6) * rate / 120) / 1e9 - 1
        heap = live + swing * saw.clip(0, 1)
        out += leaking_lives(
            rng,
            "sql",
            pod,
            "Heap",
            t,
            heap,
            level=0.97 * limit,
            limit=limit,
            onset=float(t[0]),
            rate=maybe_rate(rng, rate),
        )
    return out


def collector_hides_part_of_it(rng: Rng) -> list[Labelled]:
    """Finalizers close most descriptors at each collection, some are held: perkeep/perkeep#230, troubling/hummingbird#36."""
    t = clock(rng, 4)
    limit = float(rng.choice([1024, 4096]))
    out = []
    hours = rng.uniform(10, 60)
    for pod in pods(rng, 1, 3):
        rate = traffic(rng, t, 10, 0.6)
        base = 0.05 * limit
        cycle = rng.uniform(120, 1500)
        held, loose, v = 0.0, 0.0, np.empty(t.size)
        gc_at = t[0] + cycle
        open_per_s = limit * rng.uniform(0.05, 0.2) / cycle
        for i in range(t.size):
            loose += open_per_s * 30 * rate[i] / 10
            held += limit / (hours * HOUR) * 30 * rate[i] / 10
            if t[i] >= gc_at:
                loose = 0.0
                gc_at = t[i] + cycle * rng.uniform(0.6, 1.5) * 10 / max(rate[i], 1.0)
            v[i] = base + held + min(loose, 0.35 * limit)
        out += leaking_lives(
            rng,
            "blobs",
            pod,
            "Descriptors",
            t,
            np.round(v),
            level=limit,
            limit=limit,
            onset=float(t[0]),
            rate=maybe_rate(rng, rate),
        )
    return out


HEALTHY: tuple[Callable[[Rng], list[Labelled]], ...] = (
    rss_keeps_the_highest_peak,
    page_cache_fills_the_limit,
    dentries_of_short_files,
    head_block_of_two_hours,
    chunks_flushed_by_age,
    standby_becomes_leader,
    goroutines_of_more_customers,
    descriptors_of_jobs_in_step,
    backlog_until_the_kernel_gives_up,
    level_found_late,
    map_keeps_its_buckets,
    consumer_catches_up,
    pool_after_a_spike,
)
LEAKING: tuple[Callable[[Rng], list[Labelled]], ...] = (
    probe_waits_behind_singleflight,
    lease_kept_alive_by_a_loop,
    object_reader_kept_by_renewals,
    mirror_keeps_its_readers,
    watch_set_lost_at_each_reconnect,
    client_for_each_scrape,
    native_memory_of_an_exporter,
    slow_over_days,
    rows_lost_on_an_error_path,
    sticky_connection_never_given_back,
    watchers_while_a_folder_is_missing,
    contexts_kept_by_their_parent,
    collector_hides_part_of_it,
)
PHENOMENA = [*HEALTHY, *LEAKING]
