"""Replay recorded series through the detector, tick by tick, as the engine would have called it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from leakwarden.core.cascade import Ints
from leakwarden.core.detector import Context, Judged, Key, Points, State, advance, judge
from leakwarden.core.readings import Floats
from leakwarden.core.recording import Series

# A row whose readings are over is kept this long, so that its Stale is told, and then forgotten: its pod is gone.
_LINGER = 900.0


@dataclass(frozen=True, slots=True)
class Change:
    """A verdict that differs from the one before it. `series` is a place in the input, `time` epoch s; `verdict` and
    `reason` are codes; seconds to exhaustion are infinite where there is none."""

    time: float
    series: int
    verdict: int
    reason: int
    seconds_low: float
    seconds_high: float


def replay(
    series: Sequence[Series], context: Context, interval: float, progress: Callable[[float], None] = lambda _: None
) -> list[Change]:
    """All changes of verdict, by time; each verdict has seen only readings up to its moment.

    Workloads do not know each other, so all are shifted to begin at one tick and replayed side by side; within a
    workload time is as it was. `interval` in seconds; `progress` is told the share that is done."""
    began: dict[tuple[str, str], float] = {}
    used = [i for i, s in enumerate(series) if np.any(~np.isnan(s.v))]
    for i in used:
        name = (series[i].namespace, series[i].workload)
        began[name] = min(began.get(name, np.inf), float(series[i].t.min()))
    if not used:
        return []
    base = {i: began[series[i].namespace, series[i].workload] for i in used}
    flat = _Flat(series, used, base, interval)
    run = _Run(series, base, len(series))
    for done, tick in enumerate(flat.ticks):
        now = tick * interval
        run.step(flat, int(tick), now, context)
        if done % 256 == 255:
            progress(done / len(flat.ticks))
            run.forget(flat, now)
    progress(1.0)
    run.changes.sort(key=lambda change: (change.time, change.series))
    return run.changes


class _Flat:
    """All readings, shifted, sorted by the tick that sees them first."""

    def __init__(self, series: Sequence[Series], used: Sequence[int], base: dict[int, float], interval: float) -> None:
        missing = [np.full(len(series[i].t), np.nan) for i in used]
        who = np.concatenate([np.full(len(series[i].t), i, np.int64) for i in used])
        t = np.concatenate([series[i].t - base[i] for i in used])
        v = np.concatenate([series[i].v for i in used])
        rate = np.concatenate([_or(series[i].rate, m) for i, m in zip(used, missing, strict=True)])
        gc = np.concatenate([_or(series[i].gc, m) for i, m in zip(used, missing, strict=True)])
        there = ~np.isnan(v)
        who, t, v, rate, gc = who[there], t[there], v[there], rate[there], gc[there]
        tick = np.ceil(t / interval - 1e-9).astype(np.int64)
        order = np.argsort(tick, kind="stable")
        self.who, self.t, self.v, self.rate, self.gc = who[order], t[order], v[order], rate[order], gc[order]
        # Only ticks with readings in the last while: a recording with a hole of a year has nothing to say there.
        seen = np.unique(tick)
        linger = int(np.ceil(_LINGER / interval))
        ahead = np.minimum(np.append(np.diff(seen), linger + 1), linger + 1)
        self.ticks = np.repeat(seen, ahead) + _counts(ahead)
        self._from = dict(zip(seen.tolist(), np.searchsorted(tick[order], seen).tolist(), strict=True))
        self._to = dict(zip(seen.tolist(), np.searchsorted(tick[order], seen, side="right").tolist(), strict=True))
        # A process is over with its last line: a changed limit is another line of the same.
        self.last = np.full(len(series), -np.inf)
        np.maximum.at(self.last, who, t)
        lives: dict[Key, float] = {}
        for i in used:
            lives[_key(series[i])] = max(lives.get(_key(series[i]), -np.inf), float(self.last[i]))
        for i in used:
            self.last[i] = lives[_key(series[i])]

    def part(self, tick: int) -> slice:
        return slice(self._from.get(tick, 0), self._to.get(tick, 0))


def _key(s: Series) -> Key:
    return Key(s.namespace, s.workload, s.pod, s.uid, "", s.signal, s.start)


def _counts(lengths: Ints) -> Ints:
    """0, 1, ... for each length, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)


def _or(values: Floats | None, missing: Floats) -> Floats:
    return missing if values is None else values


class _Run:
    def __init__(self, series: Sequence[Series], base: dict[int, float], count: int) -> None:
        self.series, self.base = series, base
        self.state = State()
        self.row_of = np.full(count, -1, np.int64)
        self.series_of: Ints = np.zeros(0, np.int64)
        self.told = np.zeros(0, np.int64)
        self.changes: list[Change] = []

    def step(self, flat: _Flat, tick: int, now: float, context: Context) -> None:
        part = flat.part(tick)
        who = flat.who[part]
        if len(who):
            new = np.unique(who[self.row_of[who] < 0])
            if len(new):
                self._add(new, flat.t[part], who)
            points = Points(self.row_of[who], flat.t[part], flat.v[part], flat.rate[part], flat.gc[part])
            advance(self.state, points, now)
        if len(self.state):
            self._tell(judge(self.state, context, now), now)

    def _add(self, new: Ints, t: Floats, who: Ints) -> None:
        for i in new:
            known = len(self.state)
            self.row_of[i] = self.state.row(_key(self.series[i]), self.series[i].limit, float(t[who == i].min()))
            if len(self.state) > known:
                self.series_of = np.append(self.series_of, i)
                self.told = np.append(self.told, -1)

    def _tell(self, judged: Judged, now: float) -> None:
        for row in np.flatnonzero(judged.verdict != self.told):
            i = int(self.series_of[row])
            self.changes.append(
                Change(
                    time=self.base[i] + now, series=i, verdict=int(judged.verdict[row]), reason=int(judged.reason[row]),
                    seconds_low=float(judged.seconds_low[row]), seconds_high=float(judged.seconds_high[row]),
                )
            )  # fmt: skip
        self.told = judged.verdict

    def forget(self, flat: _Flat, now: float) -> None:
        """Drop the rows whose readings are over and whose end has been told."""
        over = flat.last[self.series_of] < now - _LINGER
        if over.sum() * 4 < len(over):
            return
        keep = np.flatnonzero(~over)
        place = np.full(len(over), -1, np.int64)
        place[keep] = np.arange(len(keep))
        mine = self.row_of >= 0
        self.row_of[mine] = place[self.row_of[mine]]
        self.state.keep([int(i) for i in keep])
        self.series_of, self.told = self.series_of[keep], self.told[keep]
