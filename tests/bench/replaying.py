"""Replay labelled series through the detector and through the baselines, on all processors."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from typing import Any

from leakwarden.core.detection.detector import EXHAUSTING, LEAKING, SUSPECT
from leakwarden.core.detection.replay import Change, replay
from leakwarden.core.signals.criteria import JudgementReason, Standard
from tests.bench.baselines import BASELINES
from tests.bench.shapes import Labelled

Alarms = dict[int, list[float]]
INTERVAL = 30.0  # s between two evaluations, the operator's default
TOLD_EVERY = 10.0  # s between two messages of progress
TOLD, ACTED = "leakwarden, Leaking or worse", "leakwarden, Exhausting (acts)"
DETECTOR = {TOLD: LEAKING, ACTED: EXHAUSTING}
SUSPECTED = "leakwarden, Suspect or worse"  # nobody is told of it: one more point of the curve in the picture


# Not of growth: what is at its limit for as long as asked is acted on for that, unless its load fills it. It neither
# begins nor ends an episode of growth, so that the detector's own figures show what growth alone tells.
FULL = "leakwarden, Full (acts, whether it grows or not)"


def episodes(changes: Sequence[Change], least: int) -> Alarms:
    """The begins of the times at `least` or worse by growth, by place of the series."""
    begins: Alarms = {}
    on: set[int] = set()
    for change in changes:
        if change.reason == JudgementReason.FULL:
            continue
        if change.verdict < least:
            on.discard(change.series)
        elif change.series not in on:
            on.add(change.series)
            begins.setdefault(change.series, []).append(change.time)
    return begins


def at_the_limit(changes: Sequence[Change]) -> Alarms:
    """The begins of the times at the limit, by place of the series."""
    begins: Alarms = {}
    on: set[int] = set()
    for change in changes:
        if change.reason != JudgementReason.FULL or change.verdict < EXHAUSTING:
            on.discard(change.series)
        elif change.series not in on:
            on.add(change.series)
            begins.setdefault(change.series, []).append(change.time)
    return begins


_progress: Any = None  # in each worker: an array shared by all, with the share of work done for each part


def _share(progress: Any) -> None:
    global _progress
    _progress = progress


def _part(job: tuple[int, list[int], list[Labelled], bool, float]) -> dict[str, Alarms]:
    number, places, traces, baselines, interval = job
    series = [trace.series for trace in traces]
    found: dict[str, Alarms] = {}

    def tell(share: float) -> None:
        _progress[number] = share

    changes = replay(series, Standard(), interval, progress=tell)
    for name, least in {**DETECTOR, SUSPECTED: SUSPECT}.items():
        found[name] = episodes(changes, least)
    found[FULL] = at_the_limit(changes)
    if baselines:
        for rule, baseline in BASELINES.items():
            for i, s in enumerate(series):
                if s.limit is None:
                    continue  # all of them are shares of a limit
                for setting, begins in baseline(s).items():
                    found.setdefault(f"{rule}: {setting}", {})[i] = begins
    return {name: {places[i]: times for i, times in alarms.items()} for name, alarms in found.items()}


def run(
    traces: Sequence[Labelled],
    *,
    baselines: bool,
    tell: Callable[[str], None],
    jobs: int | None = None,
    interval: float = INTERVAL,
) -> dict[str, Alarms]:
    """Alarm begins of every detector, by place in `traces`. One part per processor: the detector judges all series of a
    part at once, so few large parts are the fastest. `interval`: seconds between two evaluations."""
    by_workload: dict[str, list[int]] = {}
    for i, trace in enumerate(traces):
        by_workload.setdefault(trace.series.workload, []).append(i)
    workers = min(jobs or os.cpu_count() or 1, len(by_workload))
    parts: list[list[int]] = [[] for _ in range(workers)]
    for members in sorted(by_workload.values(), key=lambda members: -sum(len(traces[i].series.t) for i in members)):
        min(parts, key=lambda part: sum(len(traces[i].series.t) for i in part)).extend(members)
    work = [(n, places, [traces[i] for i in places], baselines, interval) for n, places in enumerate(parts)]
    merged: dict[str, Alarms] = {}
    context = multiprocessing.get_context("spawn")
    progress = context.Array("d", len(work))
    with context.Pool(workers, _share, (progress,)) as pool:
        pending = pool.map_async(_part, work, chunksize=1)
        while not pending.ready():
            pending.wait(TOLD_EVERY)
            tell(f"replayed {sum(progress[:]) / len(work):4.0%}")
        for found in pending.get():
            for name, alarms in found.items():
                merged.setdefault(name, {}).update(alarms)
    return merged
