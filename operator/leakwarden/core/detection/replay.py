"""Replay recorded series, tick by tick, all at once, through the same judgement as the operator's
(core/evaluation/threshold_judgement.py, core/signals/criteria.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from leakwarden.core.detection.because import because
from leakwarden.core.detection.detector import (
    EXHAUSTING,
    HEALTHY,
    SUSPECT,
    UNKNOWN,
    VERDICTS,
    Context,
    DetectorState,
    Judged,
    Key,
    NewReadings,
    advance,
    judge,
)
from leakwarden.core.detection.filled import Filled
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.replay_levels import NOT_FULL, fullness, levels, of_page_cache, patience
from leakwarden.core.detection.rollups import Ints
from leakwarden.core.detection.waiting import UsualLatency
from leakwarden.core.model.readings import Floats, SeriesKey
from leakwarden.core.signals.catalogue import is_memory
from leakwarden.core.signals.criteria import (
    LEVEL_SAYS,
    NOTHING_ASKED,
    JudgementReason,
    Standard,
    Standing,
    growth_speaks,
)

# A row whose readings have ended is kept this long, so that its Stale is reported, and then forgotten: its pod is gone.
_LINGER = 900.0


@dataclass(frozen=True, slots=True)
class Change:
    """A verdict that differs from the one before it."""

    time: float  # epoch s
    series: int  # place in the input
    verdict: int  # code
    reason: str  # name
    seconds_low: float  # to exhaustion; infinite where there is none
    seconds_high: float
    because: str = ""  # the strongest reasons, for and against


def replay(
    series: Sequence[Series], standard: Standard, interval: float, progress: Callable[[float], None] = lambda _: None
) -> list[Change]:
    """All changes of verdict, by time; each verdict has seen only readings up to its moment.

    Workloads are independent, so all are shifted to begin at one tick and replayed together; within a workload time
    is as it was. `interval` in seconds; `progress` is called with the share that is done."""
    began: dict[tuple[str, str], float] = {}
    used = [i for i, s in enumerate(series) if np.any(~np.isnan(s.v))]
    for i in used:
        name = (series[i].namespace, series[i].workload)
        began[name] = min(began.get(name, np.inf), float(series[i].t.min()))
    if not used:
        return []
    base = {i: began[series[i].namespace, series[i].workload] for i in used}
    flat = _Flat(series, used, base, interval, standard)
    run = _Run(series, base, flat, standard)
    for done, tick in enumerate(flat.ticks):
        now = tick * interval
        run.step(int(tick), now)
        if done % 16 == 15:
            progress(done / len(flat.ticks))
        if done % 256 == 255:
            run.forget(now)
    progress(1.0)
    run.changes.sort(key=lambda change: (change.time, change.series))
    return run.changes


class _Flat:
    """All readings, shifted, sorted by the first tick after them."""

    def __init__(
        self, series: Sequence[Series], used: Sequence[int], base: dict[int, float], interval: float, standard: Standard
    ) -> None:
        lives: dict[Key, list[int]] = {}
        for i in used:
            lives.setdefault(_key(series[i]), []).append(i)
        standing: dict[int, Ints] = {}
        patient: dict[int, Floats] = {}
        filled: dict[int, Ints] = {}
        for members in lives.values():
            life = [series[i] for i in members]
            gaps = patience(life, standard.max_age)
            patient.update(zip(members, gaps, strict=True))
            standing.update(zip(members, levels(life, standard, gaps), strict=True))
            filled.update(zip(members, fullness(life, standard, gaps), strict=True))
        missing = [np.full(len(series[i].t), np.nan) for i in used]
        who = np.concatenate([np.full(len(series[i].t), i, np.int64) for i in used])
        t = np.concatenate([series[i].t - base[i] for i in used])
        v = np.concatenate([series[i].v for i in used])
        rate = np.concatenate([_or(_load(series[i]), m) for i, m in zip(used, missing, strict=True)])
        gc = np.concatenate([_or(series[i].gc, m) for i, m in zip(used, missing, strict=True)])
        rss = np.concatenate([_or(series[i].rss, m) for i, m in zip(used, missing, strict=True)])
        there = ~np.isnan(v)
        who, t, v, rate, gc, rss = who[there], t[there], v[there], rate[there], gc[there], rss[there]
        level = np.concatenate([standing[i] for i in used])[there]
        full = np.concatenate([filled[i] for i in used])[there]
        wait = np.concatenate([patient[i] for i in used])[there]
        tick = np.ceil(t / interval - 1e-9).astype(np.int64)
        order = np.argsort(tick, kind="stable")
        self.who, self.t, self.v, self.rate, self.gc = who[order], t[order], v[order], rate[order], gc[order]
        self.rss = rss[order]
        self.standing, self.patience, self.full = level[order], wait[order], full[order]
        # Only ticks with recent readings: in a hole of a year in a recording nothing can change.
        seen = np.unique(tick)
        self.linger = max(_LINGER, float(self.patience.max()) + 2 * interval)
        linger = int(np.ceil(self.linger / interval))
        ahead = np.minimum(np.append(np.diff(seen), linger + 1), linger + 1)
        self.ticks = np.repeat(seen, ahead) + _counts(ahead)
        self._from = dict(zip(seen.tolist(), np.searchsorted(tick[order], seen).tolist(), strict=True))
        self._to = dict(zip(seen.tolist(), np.searchsorted(tick[order], seen, side="right").tolist(), strict=True))
        # A process ends with its last line: a changed limit is another line of the same process.
        self.last = np.full(len(series), -np.inf)
        np.maximum.at(self.last, who, t)
        # The first reading of the next process of the same pod: from then on the earlier process has no verdict.
        self.succeeded = np.full(len(series), np.inf)
        of_pod: dict[Key, list[tuple[float, float, list[int]]]] = {}
        for key, members in lives.items():
            self.last[members] = self.last[members].max()
            first = min(float(t[who == i].min()) for i in members)
            of_pod.setdefault(key._replace(start=0.0), []).append((key.start, first, members))
        for processes in of_pod.values():
            processes.sort(key=lambda process: process[0])
            for (_, _, members), (_, heard, _) in pairwise(processes):
                self.succeeded[members] = heard

    def part(self, tick: int) -> slice:
        return slice(self._from.get(tick, 0), self._to.get(tick, 0))


def _key(s: Series) -> Key:
    memory = is_memory(s.signal) if s.memory is None else s.memory
    return Key(
        s.namespace, s.workload, s.pod, uid=s.uid, container="", signal=s.signal, start=s.start, memory=memory,
        page_cache=of_page_cache(s),
    )  # fmt: skip


def _counts(lengths: Ints) -> Ints:
    """0, 1, ... for each length, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)


def _load(s: Series) -> Floats | None:
    """The requests that come, or that are in flight where they take longer than usual."""
    if s.rate is None or s.latency is None:
        return s.rate
    return s.rate * UsualLatency().slowdown(SeriesKey(s.namespace, s.pod), s.t, s.latency)


def _or(values: Floats | None, missing: Floats) -> Floats:
    return missing if values is None else values


# By standing and growth's verdict: whether growth decides, and the verdict where it does not.
_GROWTH_SPEAKS = np.array([[growth_speaks(level, growth) for growth in VERDICTS] for level in Standing])
_LEVEL_VERDICT = np.array([VERDICTS.index(LEVEL_SAYS.get(level, NOTHING_ASKED)[0]) for level in Standing])


# The least verdict for each code of fullness.
_FULL_VERDICT = np.array([HEALTHY, SUSPECT, EXHAUSTING])


class _Run:
    def __init__(self, series: Sequence[Series], base: dict[int, float], flat: _Flat, standard: Standard) -> None:
        self.series, self.base, self.flat, self.standard = series, base, flat, standard
        self.state = DetectorState()
        self.row_of = np.full(len(series), -1, np.int64)
        # Of each row:
        self.series_of: Ints = np.zeros(0, np.int64)
        self.told: Ints = np.zeros(0, np.int64)
        self.standing: Ints = np.zeros(0, np.int64)
        self.patience: Floats = np.zeros(0)
        self.full: Ints = np.zeros(0, np.int64)
        self.changes: list[Change] = []

    def step(self, tick: int, now: float) -> None:
        flat = self.flat
        part = flat.part(tick)
        who = flat.who[part]
        if len(who):
            new = np.unique(who[self.row_of[who] < 0])
            if len(new):
                self._add(new, flat.t[part], who)
            rows = self.row_of[who]
            new_readings = NewReadings(
                rows, flat.t[part], flat.v[part], flat.rate[part], flat.gc[part], rss=flat.rss[part]
            )
            advance(self.state, new_readings, now)
            # Of each row the last: the newest.
            self.standing[rows], self.patience[rows] = flat.standing[part], flat.patience[part]
            self.full[rows] = flat.full[part]
        if len(self.state):
            judged = judge(self.state, Context(self.standard.exhausts_within, self.patience), now)
            stale = now - self.state.rows.last[: len(self.state)] > self.patience
            self._tell(judged, stale, now)

    def _add(self, new: Ints, t: Floats, who: Ints) -> None:
        for i in new:
            known = len(self.state)
            limit = self.standard.bound(self.series[i].limit)
            self.row_of[i] = self.state.row(_key(self.series[i]), limit, float(t[who == i].min()))
            if len(self.state) > known:
                self.series_of = np.append(self.series_of, i)
                self.told = np.append(self.told, -1)
                self.standing = np.append(self.standing, int(Standing.NOT_ASKED))
                self.patience = np.append(self.patience, self.standard.max_age)
                self.full = np.append(self.full, NOT_FULL)

    def _tell(self, judged: Judged, stale: Any, now: float) -> None:
        by_growth = _GROWTH_SPEAKS[self.standing, judged.verdict] & self.standard.growth
        verdict = np.where(by_growth, judged.verdict, _LEVEL_VERDICT[self.standing])
        # The verdict is never less severe, whether the level grows or not.
        filled = self.state.rows.filled[: len(self.state)] != Filled.NO
        at_least = np.where(filled, np.minimum(_FULL_VERDICT[self.full], SUSPECT), _FULL_VERDICT[self.full])
        full = at_least > verdict
        verdict = np.where(full, at_least, verdict)
        verdict = np.where(stale, UNKNOWN, verdict)
        heard = now < self.flat.succeeded[self.series_of]
        for row in np.flatnonzero((verdict != self.told) & heard):
            i = int(self.series_of[row])
            if stale[row]:
                reason = str(JudgementReason.STALE)
            elif full[row]:
                reason = str(JudgementReason.FILLED_BY_LOAD if filled[row] else JudgementReason.FULL)
            elif by_growth[row]:
                reason = VerdictReason(int(judged.reason[row])).name
            else:
                reason = str(LEVEL_SAYS.get(Standing(int(self.standing[row])), NOTHING_ASKED)[1])
            timed = self.standard.growth and not stale[row] and not full[row]
            weighed = ""
            if timed and by_growth[row] and judged.verdict[row] >= SUSPECT:
                weighed = because(
                    self.state,
                    int(row),
                    int(judged.width[row]),
                    int(judged.reason[row]),
                    float(judged.seconds_low[row]),
                )
            self.changes.append(
                Change(
                    time=self.base[i] + now, series=i, verdict=int(verdict[row]), reason=reason,
                    seconds_low=float(judged.seconds_low[row]) if timed else np.inf,
                    seconds_high=float(judged.seconds_high[row]) if timed else np.inf,
                    because=weighed,
                )
            )  # fmt: skip
        self.told = verdict

    def forget(self, now: float) -> None:
        """Drop the rows whose readings have ended and whose end has been reported."""
        over = self.flat.last[self.series_of] < now - self.flat.linger
        if over.sum() * 4 < len(over):
            return
        keep = np.flatnonzero(~over)
        place = np.full(len(over), -1, np.int64)
        place[keep] = np.arange(len(keep))
        mine = self.row_of >= 0
        self.row_of[mine] = place[self.row_of[mine]]
        self.state.keep([int(i) for i in keep])
        self.series_of, self.told, self.standing = self.series_of[keep], self.told[keep], self.standing[keep]
        self.patience, self.full = self.patience[keep], self.full[keep]
