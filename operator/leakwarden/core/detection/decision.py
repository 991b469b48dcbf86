"""The verdict of each row, from the results of its windows: a state machine whose state is kept in `Rows`.

                     a window shows a leak for long enough: _begin
    +---------+  ---------------------------------------------->  +---------+   _press: sure, and   +------------+
    | Healthy |                                                   | Leaking |  -- soon exhausted -> | Exhausting |
    | Suspect |  <----------------------------------------------  +---------+                       +------------+
    +---------+    _fall_back: the level has fallen back,            |     ^                               |
         ^         _stop: no window shows it any more               +-----+ _renew: shown again           |
         |                                                                                                |
         +---------------------- _fall_back, _stop ------------------------------------------------------+

Exhausting is never left for Leaking: an estimate that wavers must not turn an action on and off. Whatever the state,
the verdict is Unknown while readings are too few, stale or without a limit (`_unknown`); the state is kept meanwhile.
Each transition is one function over all rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from leakwarden.core.detection.columns import Rows, Widths
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.detection.rollups import SLOTS, WIDTHS, Bools, Ints
from leakwarden.core.detection.state import DetectorState
from leakwarden.core.detection.thresholds import Gates, tuned
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.readings import Floats

VERDICTS = tuple(Verdict)  # a verdict's code is its place here, which is its severity
HEALTHY, UNKNOWN, SUSPECT, LEAKING, EXHAUSTING = range(5)
_NONE, _FELL, _STOPPED = range(3)  # how the latest leak of a row has ended
_ENDED = np.array([VerdictReason.Steady, VerdictReason.FellBack, VerdictReason.GrowthStopped])
# s for which a leak is believed without another proof, however short or long the window that showed it.
_LEAST_HOLD, _MOST_HOLD = 1800.0, 3 * 86_400.0
_GIVEN_BACK = 0.75  # of the highest floor of the leak: the level of a leak does not fall
# Of the limit: a container whose memory is at this level, and half of that page cache, would be taken for a leak.
_HIGH = 0.75
_FEW = 6  # with fewer readings no row is judged


@dataclass(frozen=True, slots=True)
class Context:
    """The policies' settings for growth, in seconds: one for all rows, or one for each."""

    exhausts_within: float | Floats = 3600.0
    max_age: float | Floats = 120.0
    gates: Gates = field(default_factory=tuned)


@dataclass(frozen=True, slots=True)
class Judged:
    """One entry per row. Growth in the signal's unit per hour; times to exhaustion in seconds, infinite where the
    level does not grow."""

    verdict: Ints
    reason: Ints
    growth_low: Floats
    growth_high: Floats
    seconds_low: Floats
    seconds_high: Floats
    width: Ints  # the window that decides


@dataclass(frozen=True, slots=True)
class _Shown:
    """The windows' present result for each row."""

    leak: Bools  # a window shows a leak, for as many evaluations in a row as its width needs
    sure: Bools  # ... and clearly enough to act on
    width: Ints  # the width that decides: of those that show a leak, the one with the shortest time to the limit


def decide(state: DetectorState, context: Context, now: float) -> Judged:
    """Move each row on, and give its verdict of `now`."""
    n, gates = len(state), context.gates
    rows, widths = state.rows.pick(slice(n)), state.widths.pick(slice(n))
    shown = _shown(state, rows, widths, gates, now)
    stale = _stale(rows, context, now)
    _begin(rows, shown, now)
    _renew(rows, widths, shown, now)
    _assure(state, shown, gates, now)
    fell = _fall_back(rows)
    stopped = _stop(rows, shown, gates, (fell, stale), now)
    _end(rows, fell | stopped)
    leaking = ~np.isnan(rows.latched)
    times = _times(state, rows, leaking, now)
    low, high = times.low, times.high
    _press(state, rows, leaking & _soon(rows, context, times.left, low), gates)

    verdict, reason = _quiet(rows, widths, gates, now)
    verdict = np.where(leaking, LEAKING, verdict)
    reason = np.where(leaking, np.where(_may_be_page_cache(rows), int(VerdictReason.MayBePageCache), rows.why), reason)
    verdict = np.where(rows.acute, EXHAUSTING, verdict)
    reason = np.where(rows.acute, int(VerdictReason.ExhaustsSoon), reason)
    verdict, reason = _unknown(rows, stale, verdict, reason)
    growing = widths.suspect.any(axis=1) | leaking
    silent = ~growing | rows.past | (verdict == UNKNOWN) | (verdict == HEALTHY)
    judged = Judged(
        verdict=verdict, reason=reason, growth_low=times.growth_low, growth_high=times.growth_high,
        seconds_low=np.where(silent, np.inf, low), seconds_high=np.where(silent, np.inf, high), width=times.width,
    )  # fmt: skip
    estimated = np.flatnonzero((rows.estimate >= 0) & ~leaking)
    state.forget_estimates(estimated[(state.estimates.at[rows.estimate[estimated]] == 0).all(axis=1)])
    return judged


def _shown(state: DetectorState, rows: Rows, widths: Widths, gates: Gates, now: float) -> _Shown:
    # Beyond a multiple of the past no level is nearer to anything, so there a known leak is shown by its growth alone.
    beyond = (rows.past & ~np.isnan(rows.latched))[:, None]
    confirmed = (widths.streak >= np.asarray(gates.confirm)) & (widths.near | beyond)
    leak: Bools = np.asarray(confirmed.any(axis=1))
    sure: Bools = np.asarray((confirmed & widths.sure).any(axis=1))
    width = np.zeros(len(leak), np.int64)
    some = np.flatnonzero(leak)
    at = state.rows.estimate[some]
    best = np.where(confirmed[some], state.estimates.best[at] - (now - state.estimates.at[at]), np.inf)
    width[some] = best.argmin(axis=1)
    return _Shown(leak, sure, width)


def _assure(state: DetectorState, shown: _Shown, gates: Gates, now: float) -> None:
    """A leak is clear enough to act on where a window shows it clearly, or where it has stayed near its limit; unless it
    came and went lately."""
    rows = state.rows.pick(slice(len(state)))
    sure = shown.sure | _has_stayed(state, shown, gates, now)
    sure[sure] = ~_comes_and_goes(rows, np.flatnonzero(sure), gates, now)
    rows.sure |= sure


def _has_stayed(state: DetectorState, shown: _Shown, gates: Gates, now: float) -> Bools:
    """Whether a leak has been shown for minutes and is still, above the levels at which bursts hold and end.

    A leak that gets faster, or begins near its limit, has no clean line of an hour to show, and is over before it
    has. Not of small pools, which fill within the hour by a few slow queries, nor where the workload has come down
    from nearly as high a level before: most bursts that look like leaks are not the first of their workload."""
    rows = state.rows.pick(slice(len(state)))
    with np.errstate(invalid="ignore"):
        stayed = (now - rows.latched >= gates.stays_for) & (rows.level >= gates.stays_level)
        fine = (rows.quantum != 1) | (gates.coarse * rows.limit >= 1)  # not a small pool
    first = state.known[rows.group].max(axis=1) < gates.sure_known
    return np.asarray(shown.leak & stayed & fine & first)


def _comes_and_goes(rows: Rows, some: Ints, gates: Gates, now: float) -> Bools:
    """Whether what has grown in some rows came and went lately, as requests do that wait for a slow dependency
    (core/detection/in_flight.py), in this signal or in another one of the same process.

    Asked before a leak is acted on, and not before it is reported. A pool that is full spreads no more, but goroutines
    that wait for its connections do."""
    lately = np.flatnonzero(now - rows.flew <= gates.flight_lasts)
    if not len(lately):
        return np.zeros(len(some), np.bool_)
    return np.asarray(np.isin(rows.carrier[some], rows.carrier[lately]) & ~rows.memory[some])


def _stale(rows: Rows, context: Context, now: float) -> Bools:
    """Whether the latest reading is older than the policy allows, or than three scrape intervals."""
    interval = np.where(np.isnan(rows.step), context.max_age, rows.step)
    return np.asarray(now - rows.last > np.maximum(context.max_age, 3 * interval))


def _begin(rows: Rows, shown: _Shown, now: float) -> None:
    """A row that is not Leaking becomes Leaking where a window shows a leak."""
    rows.latched[shown.leak & np.isnan(rows.latched)] = now


def _renew(rows: Rows, widths: Widths, shown: _Shown, now: float) -> None:
    """A leak that is shown (again) takes its reason, its times and its patience from the width that decides."""
    every = np.arange(len(rows.why))
    patience = np.clip(np.asarray(WIDTHS)[shown.width] * SLOTS / 2, _LEAST_HOLD, _MOST_HOLD)
    rows.why[:] = np.where(shown.leak, widths.reason[every, shown.width], rows.why)
    rows.proof[:] = np.where(shown.leak, now, rows.proof)
    rows.hold[:] = np.where(shown.leak, patience, rows.hold)
    rows.base[:] = np.where(shown.leak, shown.width, rows.base)


def _fall_back(rows: Rows) -> Bools:
    """Leaks whose level has fallen by a quarter from its highest floor: they are over."""
    fell = ~np.isnan(rows.latched) & (rows.level < _GIVEN_BACK * rows.top)
    rows.ended[fell] = _FELL
    return np.asarray(fell)


def _stop(rows: Rows, shown: _Shown, gates: Gates, quiet: tuple[Bools, Bools], now: float) -> Bools:
    """Leaks that no window has shown for their patience: they are over. Where growth stopped by itself it may stop
    again, so only growth beyond that level counts. The end of a process does not count as a stop. `quiet`: the rows
    that fell back, and the rows whose readings are stale."""
    fell, stale = quiet
    full = rows.acute & (rows.floor >= gates.exhausting_any)  # not stopped by itself: no room left to grow
    stopped = ~np.isnan(rows.latched) & ~shown.leak & ~fell & ~full & (now - rows.proof > rows.hold)
    rows.ended[stopped] = _STOPPED
    by_itself = stopped & ~stale
    rows.plateau[by_itself] = np.maximum(rows.plateau[by_itself], np.minimum(rows.top[by_itself], 1.0))
    return np.asarray(stopped)


def _end(rows: Rows, over: Bools) -> None:
    rows.latched[over] = np.nan
    rows.top[over] = 0.0
    rows.sure[over] = False


@dataclass(frozen=True, slots=True)
class _Times:
    """Seconds to exhaustion (best, low, high estimate), growth, and the width that they come from."""

    left: Floats
    low: Floats
    high: Floats
    growth_low: Floats
    growth_high: Floats
    width: Ints


def _times(state: DetectorState, rows: Rows, leaking: Bools, now: float) -> _Times:
    """The width is the one that decided last, else the one with the shortest time to the limit."""
    n, estimates = len(leaking), state.estimates
    width = np.where(leaking, rows.base, 0).astype(np.int64)
    left, low, high = np.full(n, np.inf), np.full(n, np.inf), np.full(n, np.inf)
    growth_low, growth_high = np.full(n, np.nan), np.full(n, np.nan)
    some = np.flatnonzero(rows.estimate >= 0)
    at = rows.estimate[some]
    best = estimates.best[at]
    soonest = np.where(np.isfinite(best), best, np.inf).argmin(axis=1)
    width[some] = np.where(leaking[some], width[some], soonest)
    of = width[some]
    since = now - estimates.at[at, of]
    for seconds, estimate in ((left, estimates.best), (low, estimates.low), (high, estimates.high)):
        seconds[some] = np.maximum(estimate[at, of] - since, 0.0)
    growth_low[some], growth_high[some] = estimates.slope_low[at, of], estimates.slope_high[at, of]
    return _Times(left, low, high, growth_low, growth_high=growth_high, width=width)


def _soon(rows: Rows, context: Context, left: Floats, low: Floats) -> Bools:
    """Whether the limit is near, in time or in level: the best estimate is within the policy's time; or, above a first
    level, the low estimate is; or the level is above a second one, whatever the estimates. A heap meets its container's
    limit before it is as large, since the process needs memory besides."""
    gates, within = context.gates, context.exhausts_within
    soon = (left <= within) & (rows.level >= gates.exhausting_level)
    soon |= (low <= within) & (rows.level >= gates.exhausting_hasty)
    heap = rows.memory & ~rows.cached & ~np.isnan(rows.gc)
    near = rows.level >= np.where(heap, gates.exhausting_heap, gates.exhausting_any)
    return np.asarray((soon | near) & ~rows.past)


def _press(state: DetectorState, rows: Rows, soon: Bools, gates: Gates) -> None:
    """A leak that is clear enough to act on becomes Exhausting where the limit is near, and stays so until it ends.
    Its workload is known to leak from then on."""
    leaking = ~np.isnan(rows.latched)
    rows.acute[:] = ((soon & rows.sure) | (leaking & rows.acute)) & ~_may_be_page_cache(rows)
    high = rows.acute & (rows.level >= gates.exhausting_hasty)
    state.exhausted[rows.group[high]] = True


def _may_be_page_cache(rows: Rows) -> Bools:
    """Whether growth may be page cache, which the kernel takes back before the limit is reached: no reading shows
    which part of it stays. Such growth is reported, and never acted on."""
    return rows.cached & ~rows.resident


def _quiet(rows: Rows, widths: Widths, gates: Gates, now: float) -> tuple[Ints, Ints]:
    """Verdict and reason of rows that are not Leaking."""
    reason = np.where(rows.level < gates.suspect_level, int(VerdictReason.FarFromLimit), widths.calmest.max(axis=1))
    reason = np.where(rows.ended != _NONE, _ENDED[rows.ended], reason)
    with np.errstate(invalid="ignore"):
        cached = rows.resident & (rows.value + rows.cache >= _HIGH * rows.bound) & (rows.cache >= rows.value)
    reason = np.where(cached, int(VerdictReason.PageCache), reason)
    suspected = widths.suspect.any(axis=1)
    passing = (widths.streak > 0).any(axis=1)
    reason = np.where(suspected, int(VerdictReason.GrowsFarFromLimit), reason)
    reason = np.where(passing, int(VerdictReason.Unconfirmed), reason)
    waits = (((widths.streak > 0) | widths.suspect) & widths.waits).any(axis=1)
    waits |= (suspected | passing) & (now - rows.flew <= gates.flight_lasts)
    reason = np.where(waits, int(VerdictReason.InFlight), reason)
    return np.where(suspected | passing, SUSPECT, HEALTHY), reason


def _unknown(rows: Rows, stale: Bools, verdict: Ints, reason: Ints) -> tuple[Ints, Ints]:
    """Missing data never acts: whatever the state, a row that cannot be judged now is Unknown."""
    for missing, why in (
        (rows.seen < _FEW, VerdictReason.TooFewReadings),
        (stale, VerdictReason.Stale),
        (np.isnan(rows.limit), VerdictReason.NoLimit),
    ):
        verdict = np.where(missing, UNKNOWN, verdict)
        reason = np.where(missing, int(why), reason)
    return verdict, reason
