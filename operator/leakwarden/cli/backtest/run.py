"""Replay many series on all processors: workloads are judged independently, so each process takes some."""

from __future__ import annotations

import multiprocessing
import os
import signal
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np

from leakwarden.cli.backtest.policy import Rules
from leakwarden.cli.errors import Unreplayable
from leakwarden.core.detection.detector import UNKNOWN
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.replay import Change, replay
from leakwarden.core.signals.criteria import JudgementReason, Standard

# The most readings that are replayed at once: enough rows for array operations to pay, few enough for 500 MB.
_BATCH = 4_000_000
# Below this a second process costs more than it saves.
_WORTH_IT = 1_500_000


_Job = tuple[tuple[int, ...], list[Series], Standard, float]


def replay_all(
    recorded: Sequence[Series], rules: Rules, interval: float, jobs: int, progress: Callable[[str], None]
) -> list[tuple[int, Change]]:
    """(place in `recorded`, change), by time. A series without a single reading has no changes. Raises Unreplayable
    where a process of the replay is killed."""
    # Sorted by their content and not by their position: otherwise sums over siblings, and the order of two changes of
    # one moment, would depend on the order of lines.
    places = sorted(range(len(recorded)), key=lambda place: _order(recorded[place]))
    series = [rules.measured(recorded[place]) for place in places]
    silent = [
        (i, s, JudgementReason.CONSTANT_ZERO if np.any(recorded[places[i]].v == 0) else JudgementReason.NO_SERIES)
        for i, s in enumerate(series)
        if rules.of(s.signal) is not None and np.all(np.isnan(s.v))
    ]
    total = sum(len(s.t) for s in series)
    processes = jobs or (os.cpu_count() or 1)
    if total < _WORTH_IT:
        processes = 1
    batches = _batches(series, rules, interval, max(total // processes + 1, 1))
    changes: list[tuple[int, Change]] = []
    sizes = [sum(len(s.t) for s in job[1]) for job in batches]

    def told(shares: Sequence[float]) -> None:
        done = sum(share * size for share, size in zip(shares, sizes, strict=True))
        progress(f"replaying {total:,} readings: {100 * done / max(sum(sizes), 1):.0f} %")

    if processes == 1 or len(batches) == 1:
        shares = [0.0] * len(batches)
        for number, batch in enumerate(batches):

            def tell(share: float, number: int = number) -> None:
                shares[number] = share
                told(shares)

            changes += _work(batch, tell)
    else:
        changes += _side_by_side(batches, min(processes, len(batches)), told)
    changes += [
        (i, Change(float(s.t[0]), i, UNKNOWN, reason=str(why), seconds_low=np.inf, seconds_high=np.inf))
        for i, s, why in silent
    ]
    changes.sort(key=lambda item: (item[1].time, item[0]))
    return [(places[i], change) for i, change in changes]


def _order(s: Series) -> tuple[str | float, ...]:
    """A sort key, equal for two series only where everything that matters is equal."""
    limit = np.inf if s.limit is None else s.limit
    content = (
        0 if values is None else zlib.crc32(values.tobytes()) for values in (s.t, s.v, s.rate, s.gc, s.rss, s.latency)
    )
    return (s.namespace, s.workload, s.pod, s.signal, s.uid, s.start, float(s.t[0]), limit, *content)


def _batches(series: Sequence[Series], rules: Rules, interval: float, share: int) -> list[_Job]:
    """Whole workloads, in parts of at most `_BATCH` readings: siblings are compared within one part, and all signals of
    a part are judged at the same moments, counted from its first reading."""
    groups: dict[tuple[Standard, str, str], list[int]] = {}
    for i, s in enumerate(series):
        standard = rules.of(s.signal)
        if standard is not None:
            groups.setdefault((standard, s.namespace, s.workload), []).append(i)
    size = min(_BATCH, max(share, 1))
    batches: list[tuple[Standard, list[int]]] = []
    filled: dict[Standard, int] = {}
    counts: list[int] = []
    for (standard, _, _), members in groups.items():
        readings = sum(len(series[i].t) for i in members)
        at = filled.get(standard)
        if at is None or (counts[at] + readings > size and counts[at] > 0):
            at = filled[standard] = len(batches)
            batches.append((standard, []))
            counts.append(0)
        batches[at][1].extend(members)
        counts[at] += readings
    return [(tuple(places), [series[i] for i in places], standard, interval) for standard, places in batches]


def _side_by_side(
    batches: Sequence[_Job], processes: int, told: Callable[[Sequence[float]], None]
) -> list[tuple[int, Change]]:
    # A new process for each (spawn): forking a process that has numpy's threads is not safe.
    context = multiprocessing.get_context("spawn")
    shares = context.RawArray("d", len(batches))  # without a lock, which a killed process would never release
    changes: list[tuple[int, Change]] = []
    with ProcessPoolExecutor(processes, context, _begin, (shares,)) as pool:
        try:
            pending = {pool.submit(_numbered, each) for each in enumerate(batches)}
            while pending:
                told(shares[:])
                done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                for each in done:
                    changes += each.result()
        except BrokenProcessPool:
            raise Unreplayable(
                "a process of the replay was killed, mostly because memory ran out; --jobs 1 needs less, and so do parts"
                " of the input"
            ) from None
        except BaseException:
            # otherwise leaving would wait until they have done all of their work
            for child in multiprocessing.active_children():
                child.terminate()
            raise
    return changes


_shares: Any = None  # of each process: an array that all share, with the finished share of each batch


def _begin(shares: Any) -> None:
    global _shares
    _shares = shares
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches all processes; one that ends prints nothing about it


def _numbered(numbered: tuple[int, _Job]) -> list[tuple[int, Change]]:
    number, job = numbered

    def tell(share: float) -> None:
        _shares[number] = share

    return _work(job, tell)


def _work(job: _Job, tell: Callable[[float], None] = lambda _: None) -> list[tuple[int, Change]]:
    places, series, standard, interval = job
    return [(places[change.series], change) for change in replay(series, standard, interval, tell)]
