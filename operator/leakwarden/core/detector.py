"""The detector: one row for each life of each process, judged together.

`advance` folds new readings in, `judge` gives the verdicts of now; both are a fixed number of array operations, whatever
the number of rows. Nothing here reads a clock: `now` is an argument, and only differences of times matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from leakwarden.core.cascade import SLOTS, WIDTHS, Bools, Cascade, Ints, Window
from leakwarden.core.judgement import Verdict
from leakwarden.core.load import MIN_KNOWN, explain_by_load
from leakwarden.core.readings import Floats
from leakwarden.core.trend import Trend, measure
from leakwarden.core.verdict import Gates, Passed, Reason, judge_windows

VERDICTS = tuple(Verdict)  # a verdict's code is its place here, which is its severity
HEALTHY, UNKNOWN, SUSPECT, LEAKING, EXHAUSTING = range(5)
_S = len(WIDTHS)
DAY = 86_400.0


class Key(NamedTuple):
    """One life of one process, and what was measured of it."""

    namespace: str
    workload: str
    pod: str
    uid: str
    container: str
    signal: str
    start: float  # epoch s of the process's start


def is_memory(signal: str) -> bool:
    """Whether a signal is memory, which fills up to soft limits and is emptied by collections."""
    name = signal.lower()
    return any(word in name for word in ("heap", "mem", "working", "rss", "bytes"))


@dataclass(frozen=True, slots=True)
class Points:
    """New readings, in any order. `row` as `State.row` gave it; `rate` requests/s and `gc` completed cycles, or NaN."""

    row: Ints
    t: Floats
    v: Floats
    rate: Floats
    gc: Floats


@dataclass(frozen=True, slots=True)
class Context:
    """What a policy says of a signal. `exhausts_within`, `max_age` and `above_for` in seconds; a threshold is a share of
    the limit or a value in the signal's unit."""

    exhausts_within: float = 3600.0
    max_age: float = 120.0
    growth: bool = True  # whether growth is judged
    above_share: float | None = None
    above_value: float | None = None
    above_for: float = 300.0
    gates: Gates = field(default_factory=Gates)


@dataclass(frozen=True, slots=True)
class Judged:
    """One entry a row. Growth in the signal's unit per hour; times to exhaustion in seconds, infinite where it does
    not grow."""

    verdict: Ints
    reason: Ints
    growth_low: Floats
    growth_high: Floats
    seconds_low: Floats
    seconds_high: Floats


_COLUMNS: dict[str, tuple[float, type]] = {
    # of each row
    "group": (0, np.int64), "limit": (np.nan, np.float64), "memory": (False, np.bool_), "first": (np.nan, np.float64),
    "last": (-np.inf, np.float64), "value": (np.nan, np.float64), "gc": (np.nan, np.float64),
    "step": (np.nan, np.float64), "quantum": (np.inf, np.float64), "seen": (0, np.int64), "level": (np.nan, np.float64),
    "latched": (np.nan, np.float64), "proof": (np.nan, np.float64), "hold": (0.0, np.float64),
    "top": (0.0, np.float64), "base": (0.0, np.float64), "why": (int(Reason.SteadyGrowth), np.int64),
    "calm": (int(Reason.Steady), np.int64), "fell": (False, np.bool_), "acute": (False, np.bool_),
    "above": (np.nan, np.float64),
}  # fmt: skip
_PER_WIDTH: dict[str, tuple[float, type]] = {
    "done": (-1, np.int64), "streak": (0, np.int64), "near": (False, np.bool_), "suspect": (False, np.bool_), "at": (0.0, np.float64),
    "best": (np.inf, np.float64), "low": (np.inf, np.float64), "high": (np.inf, np.float64),
    "slope_low": (np.nan, np.float64), "slope_high": (np.nan, np.float64), "reason": (int(Reason.Steady), np.int64),
    "calmest": (int(Reason.Steady), np.int64),
}  # fmt: skip


class State:
    """Everything remembered between two ticks. Rows are added by `row` and forgotten by `keep`."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self._rows: dict[Key, int] = {}
        self._groups: dict[tuple[str, str, str], int] = {}
        self.cascade = Cascade()
        self._room = 0
        self.c: dict[str, np.ndarray] = {}  # a column a name: (rows,) or (rows, widths)
        for name, (empty, kind) in _COLUMNS.items():
            self.c[name] = np.full(0, empty, kind)
        for name, (empty, kind) in _PER_WIDTH.items():
            self.c["w_" + name] = np.full((0, _S), empty, kind)
        # Of each workload and signal: the origin of its buckets, the highest level it came back from, and how deep.
        self.origin = np.zeros(0)
        self.known = np.zeros((0, _S))
        self.fall = np.zeros((0, _S))

    def __len__(self) -> int:
        return len(self.keys)

    def row(self, key: Key, limit: float | None, first: float) -> int:
        """The row of a process, made at its first sight. `first`: the time of its first reading, epoch s. `limit` may
        change at any time; zero, negative and infinite ones are none."""
        at = self._rows.get(key)
        if at is None:
            at = len(self.keys)
            if at >= self._room:
                self._grow(max(64, 2 * self._room))
            self.keys.append(key)
            self._rows[key] = at
            name = (key.namespace, key.workload, key.signal)
            group = self._groups.setdefault(name, len(self._groups))
            if group >= len(self.origin):
                more = max(64, 2 * len(self.origin)) - len(self.origin)
                self.origin = np.concatenate([self.origin, np.full(more, np.nan)])
                self.known = np.concatenate([self.known, np.zeros((more, _S))])
                self.fall = np.concatenate([self.fall, np.zeros((more, _S))])
            if np.isnan(self.origin[group]):
                self.origin[group] = first
            self.c["group"][at] = group
            self.c["memory"][at] = is_memory(key.signal)
            self.c["first"][at] = first
        usable = limit is not None and np.isfinite(limit) and limit > 0
        self.c["limit"][at] = limit if usable else np.nan
        return at

    def _grow(self, room: int) -> None:
        more = room - self._room
        for name, (empty, kind) in _COLUMNS.items():
            self.c[name] = np.concatenate([self.c[name], np.full(more, empty, kind)])
        for name, (empty, kind) in _PER_WIDTH.items():
            self.c["w_" + name] = np.concatenate([self.c["w_" + name], np.full((more, _S), empty, kind)])
        self.cascade.grow(room)
        self._room = room

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all rows but these, which are renumbered in the order given. Workloads are not forgotten: what a
        level has come back from outlives the process that showed it."""
        index = np.asarray(rows, dtype=np.int64)
        self.keys = [self.keys[i] for i in index]
        self._rows = {key: i for i, key in enumerate(self.keys)}
        for name in self.c:
            self.c[name] = self.c[name][index]
        self.cascade.keep(index)
        self._room = len(index)


def advance(state: State, points: Points, now: float) -> None:
    """Fold in readings not later than `now`. Readings at or before a row's latest are duplicates and ignored, NaN
    values are missing scrapes and ignored."""
    c = state.c
    good = ~np.isnan(points.v) & (points.t <= now) & (points.t > c["last"][points.row])
    if not good.any():
        return
    row, t = points.row[good], points.t[good]
    order = np.lexsort((t, row))
    row, t, v, rate, gc = row[order], t[order], points.v[good][order], points.rate[good][order], points.gc[good][order]
    same = np.append(False, row[1:] == row[:-1])
    again = same & np.append(False, t[1:] == t[:-1])
    if again.any():
        row, t, v, rate, gc, same = (a[~again] for a in (row, t, v, rate, gc, same))
    before = np.where(same, np.roll(t, 1), c["last"][row])
    collected = np.where(same, np.roll(gc, 1), c["gc"][row])
    # With GC counts, only the reading right after a collection shows what is live.
    counts = ~np.isnan(gc)
    with np.errstate(invalid="ignore"):
        floor = np.where(~counts | (gc != collected) & ~np.isnan(collected), v, np.inf)
    ends = np.flatnonzero(np.append(row[1:] != row[:-1], True))
    who = row[ends]
    gap = t - before
    usual = np.where(np.isfinite(gap), gap, np.nan)[ends]
    step = c["step"][who]
    # The scrape interval, followed slowly and never up by an outage.
    c["step"][who] = np.where(
        np.isnan(step), usual, np.where(np.isnan(usual), step, 0.8 * step + 0.2 * np.minimum(usual, 2 * step))
    )
    change = np.abs(v - np.where(same, np.roll(v, 1), c["value"][row]))
    change = np.where(change > 0, change, np.inf)  # NaN, of a first reading, is not above zero either
    np.minimum.at(c["quantum"], row, change)
    c["last"][who], c["value"][who] = t[ends], v[ends]
    c["gc"][who] = np.where(np.isnan(gc[ends]), c["gc"][who], gc[ends])
    c["seen"][who] += np.diff(ends, prepend=-1)
    state.cascade.fold(row, t - state.origin[c["group"][row]], floor, v, rate)


def judge(state: State, context: Context, now: float) -> Judged:
    """The verdicts of `now`. Windows are measured again only where a bucket has been completed since."""
    n, c = len(state), state.c
    rows = np.arange(n)
    origin = state.origin[c["group"][:n]]
    age = now - origin
    limited = ~np.isnan(c["limit"][:n])
    for k, width in enumerate(WIDTHS):
        current = (age // width).astype(np.int64)
        filled = c["last"][:n] - origin >= (current - 1) * width
        due = np.flatnonzero(limited & filled & (current > c["w_done"][:n, k]) & (current > 0))
        if len(due):
            c["w_done"][due, k] = current[due]
            _measure(state, context, k, due, current[due], now)
    return _decide(state, context, rows, now)


def _measure(state: State, context: Context, k: int, rows: Ints, current: Ints, now: float) -> None:
    c = state.c
    window = state.cascade.rings[k].window(rows, current)
    limit = c["limit"][rows][:, None]
    lo, hi = window.lo / limit, window.hi / limit
    quantum = _quantum(state, rows)
    _remember(state, k, rows, lo, quantum)
    if k == 0:
        # The latest complete minutes, or at slow scrape intervals the latest reading.
        recent = np.where(np.isnan(hi[:, -5:]), -np.inf, hi[:, -5:]).max(axis=1)
        c["level"][rows] = np.where(np.isfinite(recent), recent, c["value"][rows] / limit[:, 0])
    counted = ~np.isnan(c["gc"][rows])
    floors = np.count_nonzero(~np.isnan(lo), axis=1)
    ceilings = np.count_nonzero(~np.isnan(hi), axis=1)
    # Memory whose collector has hardly run: what is live cannot be told from garbage, so only the ceiling is judged.
    blind = counted & (floors < context.gates.readings[k]) & (ceilings >= context.gates.readings[k])
    lo = np.where(blind[:, None], hi, lo)
    floors = np.where(blind, ceilings, floors)
    with np.errstate(invalid="ignore"):
        some = np.nan_to_num(lo, nan=-1.0)
        latest = some.max(axis=1)
        least = np.where(np.isnan(lo), np.inf, lo).min(axis=1)
    likely = (floors >= context.gates.readings[k]) & (c["level"][rows] >= context.gates.suspect_level)
    likely &= latest - least > 0.02 * (1 - np.minimum(latest, 1.0))
    c["w_streak"][rows[~likely], k] = 0
    c["w_suspect"][rows[~likely], k] = False
    c["w_reason"][rows[~likely], k] = int(Reason.Steady)
    c["w_best"][rows[~likely], k] = np.inf
    some_rows = np.flatnonzero(likely)
    if len(some_rows):
        _weigh(
            state, context, k, rows[some_rows], current[some_rows], lo[some_rows], hi[some_rows],
            Window(window.lo[some_rows], window.hi[some_rows], window.load[some_rows]), blind[some_rows], now,
        )  # fmt: skip


def _remember(state: State, k: int, rows: Ints, lo: Floats, quantum: Floats) -> None:
    """Note the highest floor that a process came back from by itself: whoever did so once may do so again. Of each
    width by itself, since the floors of short buckets fall by mere noise."""
    x = np.where(np.isnan(lo), np.inf, lo)
    lowest_after = np.minimum.accumulate(x[:, ::-1], axis=1)[:, ::-1]
    fell = np.where(np.isnan(lo), 0.0, lo - np.minimum(lowest_after, 2.0))
    # A fall that counts: a fifth of the level, or near the limit half of what was left.
    counts = fell >= np.maximum(np.maximum(0.01, 1.5 * quantum)[:, None], np.minimum(0.2 * lo, 0.5 * (1 - lo)))
    # What is leaking wobbles on its way up; that is no coming back.
    climbing = state.c["w_suspect"][rows, k:].any(axis=1) | ~np.isnan(state.c["latched"][rows])
    counts &= ~climbing[:, None]
    high = np.where(counts, np.nan_to_num(lo), 0.0).max(axis=1)
    depth = np.where(counts, fell, 0.0).max(axis=1)
    group = state.c["group"][rows]
    np.maximum.at(state.known[:, k], group, high)
    np.maximum.at(state.fall[:, k], group, depth)


def _quantum(state: State, rows: Ints) -> Floats:
    """The least change ever seen, as a share of the limit. Only where it matters: a tenth of the limit at most, since a
    series that has hardly moved says nothing of its grain."""
    quantum = state.c["quantum"][rows] / state.c["limit"][rows]
    return np.where(quantum <= 0.1, quantum, 0.0)


def _siblings(state: State, k: int, rows: Ints, current: Ints) -> Floats:
    """(rows, 24) mean floor of the other pods of the same workload, NaN where fewer than two are there."""
    group = state.c["group"]
    mine = np.unique(group[rows])
    members = np.flatnonzero(np.isin(group[: len(state)], mine))
    at = np.searchsorted(mine, group[rows])
    now_at = np.zeros(len(mine), np.int64)
    now_at[at] = current
    where = np.searchsorted(mine, group[members])
    lo = state.cascade.rings[k].window(members, now_at[where]).lo / state.c["limit"][members][:, None]
    there = ~np.isnan(lo)
    total, count = np.zeros((len(mine), SLOTS)), np.zeros((len(mine), SLOTS))
    np.add.at(total, where, np.where(there, lo, 0.0))
    np.add.at(count, where, there.astype(np.float64))
    own = lo[np.searchsorted(members, rows)]
    others = count[at] - ~np.isnan(own)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(others >= 2, (total[at] - np.nan_to_num(own)) / others, np.nan)


def _weigh(
    state: State, context: Context, k: int, rows: Ints, current: Ints, lo: Floats, hi: Floats, window: Window,
    blind: Bools, now: float,
) -> None:  # fmt: skip
    c = state.c
    there = ~np.isnan(lo)
    floors = np.maximum(there.sum(axis=1), 1)
    rated = (there & ~np.isnan(window.load)).sum(axis=1) >= MIN_KNOWN * floors
    load = window.load
    apart = np.zeros(len(rows), np.bool_)
    unrated = np.flatnonzero(~rated)
    if len(unrated):
        others = _siblings(state, k, rows[unrated], current[unrated])
        load = load.copy()
        load[unrated] = others
        apart[unrated] = (there[unrated] & ~np.isnan(others)).sum(axis=1) >= MIN_KNOWN * floors[unrated]
    quantum = _quantum(state, rows)
    raw = measure(lo, hi, quantum, None)
    adjusted = raw
    use = np.flatnonzero(rated | apart)
    if len(use):
        part = measure(lo[use], hi[use], quantum[use], explain_by_load(lo[use], load[use]))
        adjusted = _spliced(raw, part, use)
    group = c["group"][rows]
    history = now - state.origin[group] > 26 * 3600
    passed = judge_windows(
        context.gates, k, raw, adjusted, rated=rated, apart=apart, history=history,
        daily=_higher_than_yesterday(k, lo), memory=c["memory"][rows] & (np.isnan(c["gc"][rows]) | blind),
        actual=c["level"][rows],
        backed=c["w_streak"][rows, min(k + 1, _S - 1)] > 0,
        collected=c["memory"][rows] & ~np.isnan(c["gc"][rows]),
        wobble=state.fall[group, k], quantum=quantum,
        known=state.known[group, k:].max(axis=1), fall=state.fall[group, k:].max(axis=1),
    )  # fmt: skip
    _note(state, k, rows, raw, passed, rated, apart, blind, now)


def _spliced(raw: Trend, part: Trend, use: Ints) -> Trend:
    columns = {}
    for name in Trend.__slots__:
        whole = getattr(raw, name).copy()
        whole[use] = getattr(part, name)
        columns[name] = whole
    return Trend(**columns)


def _higher_than_yesterday(k: int, lo: Floats) -> Bools:
    """Whether every floor is above the one a day before, as far as the window holds pairs a day apart."""
    lags = {4: (18,), 5: (6, 12, 18)}.get(k, ())
    if not lags:
        return np.ones(len(lo), np.bool_)  # the level it came back from says the same over shorter windows
    least = np.full(len(lo), np.inf)
    pairs = np.zeros(len(lo))
    for lag in lags:
        rise = lo[:, lag:] - lo[:, :-lag]
        pairs += np.count_nonzero(~np.isnan(rise), axis=1)
        least = np.minimum(least, np.where(np.isnan(rise), np.inf, rise).min(axis=1))
    return (pairs >= 3) & (least > 0)


def _note(
    state: State, k: int, rows: Ints, raw: Trend, passed: Passed, rated: Bools, apart: Bools, blind: Bools, now: float
) -> None:
    c = state.c
    limit, width = c["limit"][rows], WIDTHS[k]
    c["w_streak"][rows, k] = np.where(passed.leak, c["w_streak"][rows, k] + 1, 0)
    c["w_suspect"][rows, k] = passed.suspect
    c["w_near"][rows, k] = passed.near
    c["w_at"][rows, k] = now
    c["w_best"][rows, k], c["w_low"][rows, k], c["w_high"][rows, k] = (
        passed.seconds, passed.seconds_low, passed.seconds_high,
    )  # fmt: skip
    c["w_slope_low"][rows, k] = raw.slope_low * limit * 3600 / width
    c["w_slope_high"][rows, k] = raw.slope_high * limit * 3600 / width
    c["w_calmest"][rows, k] = passed.reason
    why = np.where(rated, int(Reason.GrowsBeyondLoad), int(Reason.SteadyGrowth))
    why = np.where(~rated & apart, int(Reason.GrowsApart), why)
    if k >= 4:
        why = np.where(~rated & ~apart, int(Reason.GrowsDayOverDay), why)
    c["w_reason"][rows, k] = np.where(blind, int(Reason.CollectionsRare), why)
    grown = passed.leak & passed.near
    c["top"][rows[grown]] = np.maximum(c["top"][rows[grown]], raw.floor[grown])


def _decide(state: State, context: Context, rows: Ints, now: float) -> Judged:
    n, c, gates = len(rows), state.c, context.gates
    w = {name: c["w_" + name][:n] for name in _PER_WIDTH}
    confirmed = (w["streak"] >= np.asarray(gates.confirm)) & w["near"]
    leak = confirmed.any(axis=1)
    # Of the widths that show a leak, the one that sees the limit first speaks.
    best = np.where(confirmed, w["best"] - (now - w["at"]), np.inf)
    speaking = np.where(leak, best.argmin(axis=1), 0)
    fresh = leak & np.isnan(c["latched"][:n])
    c["latched"][:n][fresh] = now
    c["why"][:n] = np.where(leak, w["reason"][rows, speaking], c["why"][:n])
    c["proof"][:n] = np.where(leak, now, c["proof"][:n])
    c["hold"][:n] = np.where(leak, np.maximum(np.asarray(WIDTHS)[speaking] * SLOTS / 2, 1800.0), c["hold"][:n])
    c["base"][:n] = np.where(leak, speaking, c["base"][:n])
    latched = ~np.isnan(c["latched"][:n])
    # A leak does not give back: a fall of a quarter of what it had reached ends it.
    fell = latched & (c["level"][:n] < 0.75 * c["top"][:n])
    expired = latched & ~leak & (now - c["proof"][:n] > c["hold"][:n])
    done = fell | expired
    c["fell"][:n] = np.where(done, fell, c["fell"][:n])
    # Where growth stopped by itself it may stop again: only what goes beyond is news.
    ended = np.flatnonzero(done)
    np.maximum.at(state.known, c["group"][ended], np.minimum(c["top"][ended], 1.0)[:, None])
    c["latched"][:n][done] = np.nan
    c["top"][:n][done] = 0.0
    latched &= ~done

    # Times are of the width that spoke last, else of the one that sees the limit first.
    any_best = np.where(np.isfinite(w["best"]), w["best"], np.inf)
    shown = np.where(latched, c["base"][:n].astype(np.int64), any_best.argmin(axis=1))
    since = now - w["at"][rows, shown]
    growing = w["suspect"].any(axis=1) | latched
    left = np.maximum(w["best"][rows, shown] - since, 0.0)
    low = np.maximum(w["low"][rows, shown] - since, 0.0)
    high = np.maximum(w["high"][rows, shown] - since, 0.0)

    verdict = np.full(n, HEALTHY)
    calm = w["calmest"].max(axis=1)
    reason = np.where(c["level"][:n] < gates.suspect_level, int(Reason.FarFromLimit), calm)
    suspected = w["suspect"].any(axis=1)
    passing = (w["streak"] > 0).any(axis=1)
    verdict = np.where(suspected | passing, SUSPECT, verdict)
    reason = np.where(suspected, int(Reason.GrowsFarFromLimit), reason)
    reason = np.where(passing, int(Reason.Unconfirmed), reason)
    verdict = np.where(latched, LEAKING, verdict)
    reason = np.where(latched, c["why"][:n], reason)
    level = c["level"][:n]
    soon = (left <= context.exhausts_within) & (level >= gates.exhausting_level)
    soon |= (low <= context.exhausts_within) & (level >= gates.exhausting_hasty) | (level >= gates.exhausting_any)
    # Once so, until the leak itself is called off: an estimate that wavers must not blow hot and cold.
    soon = latched & (soon | c["acute"][:n])
    c["acute"][:n] = soon
    verdict = np.where(soon, EXHAUSTING, verdict)
    reason = np.where(soon, int(Reason.ExhaustsSoon), reason)

    if not context.growth:
        verdict, reason = np.full(n, HEALTHY), np.full(n, int(Reason.Steady))
    few = c["seen"][:n] < 6
    interval = np.nan_to_num(c["step"][:n], nan=context.max_age)
    stale = now - c["last"][:n] > np.maximum(context.max_age, 3 * interval)
    for missing, why in (
        (few, Reason.TooFewReadings), (stale, Reason.Stale), (np.isnan(c["limit"][:n]), Reason.NoLimit),
    ):  # fmt: skip
        verdict = np.where(missing, UNKNOWN, verdict)
        reason = np.where(missing, int(why), reason)
    breached = _breached(state, context, n, stale)
    verdict = np.where(breached, EXHAUSTING, verdict)
    reason = np.where(breached, int(Reason.AboveThreshold), reason)
    silent = ~growing | (verdict == UNKNOWN) | (verdict == HEALTHY)
    return Judged(
        verdict=verdict, reason=reason, growth_low=w["slope_low"][rows, shown], growth_high=w["slope_high"][rows, shown],
        seconds_low=np.where(silent, np.inf, low), seconds_high=np.where(silent, np.inf, high),
    )  # fmt: skip


def _breached(state: State, context: Context, n: int, stale: Bools) -> Bools:
    """Whether every reading has been above the policy's threshold for its time. A gap starts the time anew."""
    if context.above_share is None and context.above_value is None:
        return np.zeros(n, np.bool_)
    c = state.c
    level = c["limit"][:n] * context.above_share if context.above_share is not None else context.above_value
    above = (c["value"][:n] > level) & ~stale
    since = np.where(np.isnan(c["above"][:n]), c["last"][:n], c["above"][:n])
    c["above"][:n] = np.where(above, since, np.nan)
    return above & (c["last"][:n] - since >= context.above_for)
