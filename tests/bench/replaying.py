"""Replay labelled series through the detector and through the baselines, on all processors."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence

from leakwarden.core.detector import EXHAUSTING, LEAKING, Context
from leakwarden.core.detector_replay import Change, replay
from tests.bench.baselines import BASELINES
from tests.bench.shapes import Labelled

Alarms = dict[int, list[float]]
DETECTOR = {"leakwarden, Leaking or worse": LEAKING, "leakwarden, Exhausting (acts)": EXHAUSTING}


def episodes(changes: Sequence[Change], least: int) -> Alarms:
    """The begins of the stretches at `least` or worse, by place of the series."""
    begins: Alarms = {}
    on: set[int] = set()
    for change in changes:
        if change.verdict < least:
            on.discard(change.series)
        elif change.series not in on:
            on.add(change.series)
            begins.setdefault(change.series, []).append(change.time)
    return begins


def _part(job: tuple[list[int], list[Labelled], bool]) -> dict[str, Alarms]:
    places, traces, baselines = job
    series = [trace.series for trace in traces]
    changes = replay(series, Context(), 30.0)
    found = {name: episodes(changes, least) for name, least in DETECTOR.items()}
    if baselines:
        for name, baseline in BASELINES.items():
            found[name] = {i: alarms for i, s in enumerate(series) if (alarms := baseline(s))}
    return {name: {places[i]: times for i, times in alarms.items()} for name, alarms in found.items()}


def run(
    traces: Sequence[Labelled], *, baselines: bool, tell: Callable[[str], None], jobs: int | None = None
) -> dict[str, Alarms]:
    """Alarm begins of every detector, by place in `traces`."""
    by_workload: dict[str, list[int]] = {}
    for i, trace in enumerate(traces):
        by_workload.setdefault(trace.series.workload, []).append(i)
    workers = jobs or os.cpu_count() or 1
    count = max(4 * workers if len(traces) > 200 else workers, 1)
    parts: list[list[int]] = [[] for _ in range(count)]
    for n, members in enumerate(by_workload.values()):
        parts[n % count].extend(members)
    work = [(places, [traces[i] for i in places], baselines) for places in parts if places]
    merged: dict[str, Alarms] = {}
    with multiprocessing.get_context("spawn").Pool(min(workers, len(work))) as pool:
        for done, found in enumerate(pool.imap_unordered(_part, work), 1):
            tell(f"replayed {done} of {len(work)} parts")
            for name, alarms in found.items():
                merged.setdefault(name, {}).update(alarms)
    return merged
