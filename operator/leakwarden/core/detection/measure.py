"""Measure the windows in which a bucket has been completed, and store their results."""

from __future__ import annotations

import numpy as np

from leakwarden.core.detection.climb import climbed_for
from leakwarden.core.detection.held import held
from leakwarden.core.detection.in_flight import in_flight, rises_with_load
from leakwarden.core.detection.load import MIN_KNOWN, explain_by_load
from leakwarden.core.detection.questions import WindowContext
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.detection.rising import may_be_high, may_rise
from leakwarden.core.detection.rollups import SLOTS, WIDTHS, Bools, Ints
from leakwarden.core.detection.staircase import staircase
from leakwarden.core.detection.state import DetectorState
from leakwarden.core.detection.surge import Surge, may_surge, surge
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.detection.trend import ResidualTrend, Trend, beyond, measure
from leakwarden.core.detection.verdict import Passed, hidden_by_load, judge_windows, judge_without_load
from leakwarden.core.model.readings import Floats

_S = len(WIDTHS)
_LONGEST_STREAK = 10_000  # no threshold is near it
# The widths of bucket in which the spread is that of requests: buckets of a minute hold a few readings only, and in those
# of half an hour and more it is that of the traffic, and of jumps of the level.
_SPREAD_SHOWN = (1, 2)


def measure_windows(state: DetectorState, gates: Gates, k: int, *, rows: Ints, current: Ints, now: float) -> None:
    of_row, of_width = state.rows, state.widths
    window = state.cascade.window(k, rows, current)
    limit = of_row.limit[rows][:, None]
    lo, hi = window.lo / limit, window.hi / limit
    latest, least = _extremes(lo)
    _remember(state, gates, k, rows=rows, lo=lo, latest=latest, least=least)
    if k == 0:
        # The latest complete minutes, or at slow scrape intervals the latest reading.
        recent = np.where(np.isnan(hi[:, -5:]), -np.inf, hi[:, -5:]).max(axis=1)
        present = of_row.value[rows] / limit[:, 0]
        of_row.level[rows] = np.where(np.isfinite(recent), recent, present)
        lowest = np.where(np.isnan(lo[:, -5:]), np.inf, lo[:, -5:]).min(axis=1)
        of_row.floor[rows] = np.where(np.isfinite(lowest), lowest, present)
    counted = ~np.isnan(of_row.gc[rows])
    floors = np.count_nonzero(~np.isnan(lo), axis=1)
    ceilings = np.count_nonzero(~np.isnan(hi), axis=1)
    # Memory whose collector has hardly run: live memory and garbage cannot be separated, so only the ceiling is judged.
    blind = counted & (floors < gates.readings[k]) & (ceilings >= gates.readings[k])
    if blind.any():
        lo[blind], floors[blind] = hi[blind], ceilings[blind]
        latest[blind], least[blind] = _extremes(lo[blind])
    likely = (floors >= gates.readings[k]) & (of_row.level[rows] >= gates.suspect_level)
    likely &= latest - least > 0.02 * (1 - np.minimum(latest, 1.0))
    likely, still = _worth_measuring(state, gates, k, rows=rows, likely=likely, lo=lo, hi=hi)
    calm = rows[~likely]
    of_width.streak[calm, k] = 0
    of_width.suspect[calm, k] = False
    of_width.waits[calm, k] = False
    of_width.reason[calm, k] = int(VerdictReason.Steady)
    if len(still):
        # Of these only this is left of what a measurement would find.
        of_width.calmest[still, k] = int(VerdictReason.Steady)
        of_width.waits[still, k] = _lately(state, gates, k, still, of_row.waited, now=now)
    estimated = of_row.estimate[calm]
    estimated = estimated[estimated >= 0]
    state.estimates.best[estimated, k], state.estimates.at[estimated, k] = np.inf, 0.0
    some_rows = np.flatnonzero(likely)
    if len(some_rows):
        lo, hi = (np.ascontiguousarray(part[some_rows]) for part in (lo, hi))
        _weigh(
            state,
            gates,
            k,
            rows=rows[some_rows],
            current=current[some_rows],
            lo=lo,
            hi=hi,
            blind=blind[some_rows],
            now=now,
        )


def _worth_measuring(
    state: DetectorState, gates: Gates, k: int, *, rows: Ints, likely: Bools, lo: Floats, hi: Floats
) -> tuple[Bools, Ints]:
    """Which of the `likely` windows have to be measured, and the rows of the others: these cannot rise clearly, no load
    can hide a rise in them, and no window of the row is or was about a leak."""
    some = np.flatnonzero(likely)
    if not len(some):
        return likely, rows[some]
    of, of_width = rows[some], state.widths
    worth = may_rise(lo.T.take(some, axis=1).T)
    active = ~np.isnan(state.rows.latched[of])
    active |= of_width.suspect[of].any(axis=1) | (of_width.streak[of] > 0).any(axis=1)
    worth |= active
    if k == 0:
        worth |= may_surge(gates, lo.T.take(some, axis=1).T)
    if k in gates.cleared:
        worth |= ~state.rows.memory[of] & may_be_high(hi.T.take(some, axis=1).T, gates.level_backed)
    measured = likely.copy()
    measured[some] = worth
    return measured, of[~worth]


def _extremes(lo: Floats) -> tuple[Floats, Floats]:
    """The highest and the lowest of each window; -1 and infinite where there is none."""
    missing = np.isnan(lo)
    return np.where(missing, -1.0, lo).max(axis=1), np.where(missing, np.inf, lo).min(axis=1)


def _remember(
    state: DetectorState, gates: Gates, k: int, *, rows: Ints, lo: Floats, latest: Floats, least: Floats
) -> None:
    """Store the highest floor from which a process came down by itself: it may do so again. Each width is looked at
    by itself, since the floors of short buckets fall by mere noise."""
    # A fall that counts: a fifth of the level, or near the limit half of the distance that was left. At a multiple of
    # the past nothing happens, so there is no distance to it.
    past = state.rows.past[rows]
    # In a small pool it must be more than three connections, which come and go by chance.
    smallest = np.maximum(0.01, np.minimum(gates.came_back_quanta * _quantum(state, rows), gates.came_back_most))
    may = latest - least >= np.maximum(smallest, np.minimum(0.2 * least, _half_left(latest, past)))
    # The level of a leak wobbles on its way up; that does not count as coming down.
    may &= ~(state.widths.suspect[rows, k:].any(axis=1) | ~np.isnan(state.rows.latched[rows]))
    which = np.flatnonzero(may)
    if not len(which):
        return
    lo = lo.T.take(which, axis=1).T
    lowest_after = np.where(np.isnan(lo), np.inf, lo)
    for slot in range(SLOTS - 2, -1, -1):  # all rows at once: numpy accumulates row by row, eight times slower
        np.minimum(lowest_after[:, slot], lowest_after[:, slot + 1], out=lowest_after[:, slot])
    fell = np.where(np.isnan(lo), 0.0, lo - lowest_after)
    counts = fell >= np.maximum(smallest[which, None], np.minimum(0.2 * lo, _half_left(lo, past[which, None])))
    high = np.where(counts, np.nan_to_num(lo), 0.0).max(axis=1)
    depth = np.where(counts, fell, 0.0).max(axis=1)
    group = state.rows.group[rows[which]]
    np.maximum.at(state.known[:, k], group, high)
    np.maximum.at(state.fall[:, k], group, depth)


def _half_left(level: Floats, past: Bools) -> Floats:
    """Half of the distance to the limit."""
    return np.where(past, np.inf, 0.5 * (1 - level))


def _quantum(state: DetectorState, rows: Ints) -> Floats:
    """The least change ever seen, as a share of the limit. A tenth of the limit at most, since a series that has hardly
    moved does not show its step size."""
    quantum = state.rows.quantum[rows] / state.rows.limit[rows]
    return np.where(quantum <= 0.1, quantum, 0.0)


def _siblings(state: DetectorState, k: int, rows: Ints, current: Ints) -> Floats:
    """(rows, 24) mean floor of the other pods of the same workload, NaN where fewer than two are there."""
    group = state.rows.group
    mine = np.unique(group[rows])
    members = np.flatnonzero(np.isin(group[: len(state)], mine))
    at = np.searchsorted(mine, group[rows])
    now_at = np.zeros(len(mine), np.int64)
    now_at[at] = current
    where = np.searchsorted(mine, group[members])
    lo = state.cascade.window(k, members, now_at[where]).lo / state.rows.limit[members][:, None]
    there = ~np.isnan(lo)
    total, count = np.zeros((len(mine), SLOTS)), np.zeros((len(mine), SLOTS))
    np.add.at(total, where, np.where(there, lo, 0.0))
    np.add.at(count, where, there.astype(np.float64))
    own = lo[np.searchsorted(members, rows)]
    others = count[at] - ~np.isnan(own)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(others >= 2, (total[at] - np.nan_to_num(own)) / others, np.nan)


def _weigh(
    state: DetectorState,
    gates: Gates,
    k: int,
    *,
    rows: Ints,
    current: Ints,
    lo: Floats,
    hi: Floats,
    blind: Bools,
    now: float,
) -> None:
    of_row, of_width = state.rows, state.widths
    there = ~np.isnan(lo)
    floors = np.maximum(there.sum(axis=1), 1)
    load = np.ascontiguousarray(state.cascade.mean_load(k, of_row.carrier[rows], current))
    rated = (there & ~np.isnan(load)).sum(axis=1) >= MIN_KNOWN * floors
    apart = np.zeros(len(rows), np.bool_)
    unrated = np.flatnonzero(~rated)
    if len(unrated):
        others = _siblings(state, k, rows[unrated], current[unrated])
        load[unrated] = others
        apart[unrated] = (there[unrated] & ~np.isnan(others)).sum(axis=1) >= MIN_KNOWN * floors[unrated]
    quantum = _quantum(state, rows)
    raw = measure(lo, hi, quantum)
    adjusted = ResidualTrend.of(raw)
    use = np.flatnonzero(rated | apart)
    left, above, unsure = lo, hi, np.zeros(len(rows))
    if len(use):
        explained = explain_by_load(lo[use], load[use], quantum[use])
        adjusted = _spliced(adjusted, beyond(lo[use], quantum[use], explained), use)
        left, above = lo.copy(), hi.copy()
        left[use] -= explained.part
        above[use] -= explained.part
        unsure[use] = explained.slope_error
    lasting = _climbed_before(state, gates, rows, current, raw) if k == 0 else np.ones(len(rows), np.bool_)
    latest = Surge.none(len(rows))
    counts = np.flatnonzero(~of_row.memory[rows])
    if k == 0 and len(counts):
        latest.put(counts, surge(gates, lo[counts], hi[counts], left[counts]))
    group = of_row.group[rows]
    history = now - state.origin[group] > 26 * 3600
    readings = WIDTHS[k] / np.where(np.isnan(of_row.step[rows]), WIDTHS[0], of_row.step[rows])
    memory = of_row.memory[rows]
    counted = ~np.isnan(of_row.gc[rows])
    flight, waits = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.bool_)
    climbs = np.flatnonzero(~memory & (raw.slope_low > 0))
    if k in _SPREAD_SHOWN and len(climbs):
        seen = np.where(rated[:, None], load, np.nan)[climbs]
        flight[climbs] = in_flight(
            gates, lo[climbs], hi[climbs], load=seen, readings=readings[climbs], quantum=quantum[climbs],
            group=group[climbs].astype(np.int64),
        )  # fmt: skip
        waits[climbs] = rises_with_load(lo[climbs], hi[climbs], seen)
    of_row.flew[rows[flight]] = of_row.waited[rows[waits]] = now
    of_width.waits[rows, k] = waits = waits | _lately(state, gates, k, rows, of_row.waited, now=now)
    ones = ~memory & (of_row.quantum[rows] == 1)
    beside = WindowContext(
        rated=rated, apart=apart, history=history, daily=_higher_than_yesterday(k, lo),
        memory=memory & (~counted | blind), collected=memory & counted,
        backed=of_width.streak[rows, min(k + 1, _S - 1)] > 0, lasting=lasting, exhausted=state.exhausted[group],
        past=of_row.past[rows], far=of_row.far[rows], life=now - of_row.first[rows], actual=of_row.level[rows], known=np.maximum(state.known[group, k:].max(axis=1), of_row.plateau[rows]),
        fall=state.fall[group, k:].max(axis=1), wobble=state.fall[group, k], quantum=quantum,
        held=held(gates, raw, quantum, readings, ones), ones=ones,
        waits=waits | of_width.waits[rows, min(k + 1, _S - 1)], ahead=latest.ahead,
    )  # fmt: skip
    passed = judge_windows(gates, k, raw, adjusted, beside)
    surging = latest.ahead <= gates.surge_reach
    passed.follow(latest, np.flatnonzero(surging))
    some = np.flatnonzero(hidden_by_load(gates, k, raw, passed, beside))
    if len(some):
        clean = measure(left[some], above[some], quantum[some])
        part = lo[some] - left[some]
        shown, which = judge_without_load(
            gates, k, clean, still=raw.still[some], part=part, unsure=unsure[some], beside=beside.pick(some)
        )
        passed.adopt(shown, some, which)
    # Asked last, of the few windows that have passed all other questions; a signal counted in large steps is always a
    # staircase.
    found = np.flatnonzero(passed.leak & passed.near & (quantum <= gates.coarse))
    if gates.staircase[k] > 0 and len(found):
        jumps = np.minimum(staircase(lo[found]), staircase(left[found])) < gates.staircase[k]
        passed.leak[found[jumps]] = False
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.clip(1 - adjusted.slope / raw.slope, 0.0, 1.0)
        clear = raw.slope * raw.span / raw.noise
    estimates, at = state.estimates, state.estimate_for(rows)
    with np.errstate(over="ignore"):  # nearly without noise
        estimates.clear[at, k] = np.where(surging, latest.straight, clear)
    estimates.explained[at, k] = np.where(rated | apart, share, np.nan)
    estimates.hours[at, k] = np.where(surging, latest.seen, raw.span) * WIDTHS[k] / 3600
    estimates.known[at, k] = beside.known
    _note(state, k, rows, raw=raw, passed=passed, rated=rated, apart=apart, blind=blind, now=now)


def _lately(state: DetectorState, gates: Gates, k: int, rows: Ints, when: Floats, *, now: float) -> Bools:
    """Whether within the window the load of this process rose as one of its signals did; `when`: the last time of each
    row."""
    of_row = state.rows
    # Before this moment, so that the order in which rows are measured makes no difference.
    some = np.flatnonzero((when < now) & (now - when <= min(SLOTS * WIDTHS[k], gates.waits_lasts)))
    if not len(some):
        return np.zeros(len(rows), np.bool_)
    return np.asarray(np.isin(of_row.carrier[rows], of_row.carrier[some]) & ~of_row.memory[rows])


def _climbed_before(state: DetectorState, gates: Gates, rows: Ints, current: Ints, raw: Trend) -> Bools:
    """Whether the growth in one-minute buckets is part of a straight line that began before their window."""
    before = np.zeros(len(rows), np.bool_)
    some = np.flatnonzero((raw.level > gates.level_backed) & (raw.slope_low > 0))
    if len(some):
        lo = state.cascade.window(1, rows[some], current[some] // 3).lo / state.rows.limit[rows[some]][:, None]
        before[some] = climbed_for(lo, gates.climb_buckets, gates.climb_straight) > 0
    return before


def _spliced(raw: ResidualTrend, part: ResidualTrend, use: Ints) -> ResidualTrend:
    slope, slope_low, late = raw.slope.copy(), raw.slope_low.copy(), raw.late.copy()
    slope[use], slope_low[use], late[use] = part.slope, part.slope_low, part.late
    return ResidualTrend(slope, slope_low, late)


def _higher_than_yesterday(k: int, lo: Floats) -> Bools:
    """Whether every floor is above the one a day before, as far as the window holds pairs a day apart."""
    lags = {4: (18,), 5: (6, 12, 18)}.get(k, ())
    if not lags:
        return np.ones(len(lo), np.bool_)  # over shorter windows the level it came down from shows the same
    least = np.full(len(lo), np.inf)
    pairs = np.zeros(len(lo))
    for lag in lags:
        rise = lo[:, lag:] - lo[:, :-lag]
        pairs += np.count_nonzero(~np.isnan(rise), axis=1)
        least = np.minimum(least, np.where(np.isnan(rise), np.inf, rise).min(axis=1))
    return (pairs >= 3) & (least > 0)


def _note(
    state: DetectorState,
    k: int,
    rows: Ints,
    *,
    raw: Trend,
    passed: Passed,
    rated: Bools,
    apart: Bools,
    blind: Bools,
    now: float,
) -> None:
    of_row, of_width = state.rows, state.widths
    limit, width = of_row.limit[rows], WIDTHS[k]
    streak = np.minimum(of_width.streak[rows, k], _LONGEST_STREAK) + 1
    of_width.streak[rows, k] = np.where(passed.leak, streak, 0)
    of_width.sure[rows, k] = passed.sure
    of_width.suspect[rows, k] = passed.suspect
    of_width.near[rows, k] = passed.near
    estimates, at = state.estimates, state.estimate_for(rows)
    estimates.at[at, k] = now
    with np.errstate(over="ignore"):  # so slow that it is no growth
        estimates.best[at, k], estimates.low[at, k], estimates.high[at, k] = (
            passed.seconds, passed.seconds_low, passed.seconds_high,
        )  # fmt: skip
    estimates.slope_low[at, k] = passed.slope_low * limit * 3600 / width
    estimates.slope_high[at, k] = passed.slope_high * limit * 3600 / width
    of_width.calmest[rows, k] = passed.reason
    why = np.where(rated, int(VerdictReason.GrowsBeyondLoad), int(VerdictReason.SteadyGrowth))
    why = np.where(~rated & apart, int(VerdictReason.GrowsApart), why)
    if k >= 4:
        why = np.where(~rated & ~apart, int(VerdictReason.GrowsDayOverDay), why)
    why = np.where(of_row.past[rows], int(VerdictReason.GrowsBeyondItsPast), why)
    of_width.reason[rows, k] = np.where(blind, int(VerdictReason.CollectionsRare), why)
    grown = passed.leak & passed.near
    of_row.top[rows[grown]] = np.maximum(of_row.top[rows[grown]], raw.floor[grown])
