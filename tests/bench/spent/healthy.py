"""Phenomena that do not leak."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.bench.shapes import Labelled
from tests.bench.spent.pieces import (
    DAY,
    HOUR,
    MIB,
    Rng,
    ar1,
    clock,
    day_curve,
    go_heap,
    life,
    maybe_rate,
    pods,
    traffic,
)


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
                v=np.minimum(rss, 0.85 * limit),
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
                v=np.minimum(anon + cache, 0.995 * limit),
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
        out.append(life(rng, "thumbs", pod, "WorkingSet", t, v=anon + slab, limit=limit, rate=maybe_rate(rng, rate)))
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
        out.append(life(rng, "metrics", pod, "Heap", t, v=np.minimum(heap, 0.92 * limit), limit=limit))
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
                v=np.minimum(heap, 0.88 * limit),
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
        out.append(life(rng, "operator", pod, "WorkingSet", t, v=memory, limit=limit))
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
        out.append(life(rng, "gateway", pod, "Goroutines", t[:cut], v=v[:cut], limit=None))
        if cut < t.size - 10:
            out.append(life(rng, "gateway", pod, "Goroutines", t[cut:], v=v[cut:], limit=None))
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
                v=np.round(np.minimum(v, 0.9 * limit) + rng.normal(0, 2, t.size)),
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
        out.append(life(rng, "edge", pod, "Goroutines", t, v=np.round(v), limit=None, rate=maybe_rate(rng, rate)))
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
        out.append(life(rng, "exporter", pod, "WorkingSet", t, v=np.minimum(v, 0.9 * limit), limit=limit))
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
            life(
                rng, "dedup", pod, "Heap", t, v=np.minimum(heap, 0.97 * limit), limit=limit, rate=maybe_rate(rng, rate)
            )
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
        out.append(life(rng, "sink", pod, "WorkingSet", t, v=np.minimum(v, 0.9 * limit), limit=limit))
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
                v=np.round(30 + np.minimum(v, limit)),
                limit=limit * 2,
                rate=maybe_rate(rng, rate),
            )
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
