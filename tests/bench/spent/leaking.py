"""Phenomena that leak until they fail."""

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
    crossing,
    go_heap,
    leaking_lives,
    life,
    maybe_rate,
    pods,
    traffic,
)


def probe_waits_behind_singleflight(rng: Rng) -> list[Labelled]:
    """Each readiness probe joins a call that never ends, one goroutine each 10 s: darkweak/souin#849 (1,127 in 177 min)."""
    t = clock(rng, 0.6, 15)
    out = []
    for pod in pods(rng, 1, 3):
        base = rng.uniform(40, 220)
        onset = t[0] + rng.uniform(0.02, 0.15) * DAY
        every = rng.choice([5.0, 10.0, 15.0])
        v = base * (1 + 0.05 * ar1(rng, t.size, 15, 90)) + np.floor((t - onset).clip(0) / every)
        out += leaking_lives(rng, "cache", pod, "Goroutines", t, v=np.round(v), level=5 * base, limit=None, onset=onset)
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
        out += leaking_lives(rng, "agent", pod, "Goroutines", t, v=np.round(v), level=5 * base, limit=None, onset=onset)
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
        out += leaking_lives(rng, "caddy", pod, "Goroutines", t, v=np.round(v), level=5 * base, limit=None, onset=onset)
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
            v=v,
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
            rng, "apiserver", pod, "Goroutines", t, v=np.round(v), level=5 * base, limit=None, onset=onset
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
                rng, "exporter", pod, "Descriptors", left, v=np.round(v), level=limit, limit=limit, onset=float(left[0])
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
                rng, "dcgm", pod, "WorkingSet", left, v=v, level=limit, limit=limit, onset=float(left[0])
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
            rng, "pipelines", pod, "WorkingSet", t, v=heap + 0.02 * limit, level=limit, limit=limit, onset=float(t[0])
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
                v=v,
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
                v=np.round(v).astype(np.float64),
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
            rng, "confd", pod, "Descriptors", t, v=np.round(v), level=limit, limit=limit, onset=float(t[first])
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
            v=heap,
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
            v=np.round(v),
            level=limit,
            limit=limit,
            onset=float(t[0]),
            rate=maybe_rate(rng, rate),
        )
    return out


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
