"""The detector: one row for each life of each process, judged together.

`advance` folds new readings in, `judge` gives the verdicts of now; both are a fixed number of array operations, whatever
the number of rows. Nothing here reads a clock: `now` is an argument, and only differences of times matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from leakwarden.core.detection.advance import NewReadings, advance
from leakwarden.core.detection.measure import measure_windows
from leakwarden.core.detection.rollups import SLOTS, WIDTHS, Ints
from leakwarden.core.detection.state import PER_WIDTH, DetectorState, Key, is_memory
from leakwarden.core.detection.thresholds import Gates
from leakwarden.core.detection.verdict import VerdictReason
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.readings import Floats

__all__ = [
    "EXHAUSTING",
    "HEALTHY",
    "LEAKING",
    "SUSPECT",
    "UNKNOWN",
    "VERDICTS",
    "Context",
    "DetectorState",
    "Judged",
    "Key",
    "NewReadings",
    "advance",
    "is_memory",
    "judge",
]  # fmt: skip

VERDICTS = tuple(Verdict)  # a verdict's code is its place here, which is its severity
HEALTHY, UNKNOWN, SUSPECT, LEAKING, EXHAUSTING = range(5)
_ENDED = np.array([VerdictReason.Steady, VerdictReason.FellBack, VerdictReason.GrowthStopped])  # by the row's `ended`


@dataclass(frozen=True, slots=True)
class Context:
    """What policies say of growth, in seconds: one for all rows, or one for each."""

    exhausts_within: float | Floats = 3600.0
    max_age: float | Floats = 120.0
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


def judge(state: DetectorState, context: Context, now: float) -> Judged:
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
            # Evaluations in a row: after a hole of three buckets, confirmation starts anew.
            broken = due[current[due] - c["w_done"][due, k] > 3]
            c["w_streak"][broken, k] = 0
            c["w_done"][due, k] = current[due]
            measure_windows(state, context.gates, k, due, current[due], now)
    return _decide(state, context, rows, now)


def _decide(state: DetectorState, context: Context, rows: Ints, now: float) -> Judged:
    n, c, gates = len(rows), state.c, context.gates
    w = {name: c["w_" + name][:n] for name in PER_WIDTH}
    confirmed = (w["streak"] >= np.asarray(gates.confirm)) & w["near"]
    leak = confirmed.any(axis=1)
    # Of the widths that show a leak, the one that sees the limit first speaks.
    best = np.where(confirmed, w["best"] - (now - w["at"]), np.inf)
    speaking = np.where(leak, best.argmin(axis=1), 0)
    fresh = leak & np.isnan(c["latched"][:n])
    c["latched"][:n][fresh] = now
    c["sure"][:n] |= (confirmed & w["sure"]).any(axis=1)
    c["why"][:n] = np.where(leak, w["reason"][rows, speaking], c["why"][:n])
    c["proof"][:n] = np.where(leak, now, c["proof"][:n])
    c["hold"][:n] = np.where(leak, np.maximum(np.asarray(WIDTHS)[speaking] * SLOTS / 2, 1800.0), c["hold"][:n])
    c["base"][:n] = np.where(leak, speaking, c["base"][:n])
    latched = ~np.isnan(c["latched"][:n])
    interval = np.where(np.isnan(c["step"][:n]), context.max_age, c["step"][:n])
    stale = now - c["last"][:n] > np.maximum(context.max_age, 3 * interval)
    # A leak does not give back: a fall of a quarter of what it had reached ends it.
    fell = latched & (c["level"][:n] < 0.75 * c["top"][:n])
    expired = latched & ~leak & (now - c["proof"][:n] > c["hold"][:n])
    done = fell | expired
    c["ended"][:n] = np.where(done, np.where(fell, 1, 2), c["ended"][:n])
    # Where growth stopped by itself it may stop again: only what goes beyond is news. A process that is gone has
    # stopped nothing.
    ended = np.flatnonzero(expired & ~fell & ~stale)
    c["plateau"][ended] = np.maximum(c["plateau"][ended], np.minimum(c["top"][ended], 1.0))
    c["latched"][:n][done] = np.nan
    c["top"][:n][done] = 0.0
    c["sure"][:n][done] = False
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
    reason = np.where(c["level"][:n] < gates.suspect_level, int(VerdictReason.FarFromLimit), calm)
    reason = np.where(c["ended"][:n] > 0, _ENDED[c["ended"][:n]], reason)
    suspected = w["suspect"].any(axis=1)
    passing = (w["streak"] > 0).any(axis=1)
    verdict = np.where(suspected | passing, SUSPECT, verdict)
    reason = np.where(suspected, int(VerdictReason.GrowsFarFromLimit), reason)
    reason = np.where(passing, int(VerdictReason.Unconfirmed), reason)
    verdict = np.where(latched, LEAKING, verdict)
    reason = np.where(latched, c["why"][:n], reason)
    level = c["level"][:n]
    soon = (left <= context.exhausts_within) & (level >= gates.exhausting_level)
    soon |= (low <= context.exhausts_within) & (level >= gates.exhausting_hasty) | (level >= gates.exhausting_any)
    # Once so, until the leak itself is called off: an estimate that wavers must not blow hot and cold.
    soon = latched & (soon & c["sure"][:n] | c["acute"][:n])
    c["acute"][:n] = soon
    state.convicted[c["group"][:n][soon & (level >= gates.exhausting_hasty)]] = True
    verdict = np.where(soon, EXHAUSTING, verdict)
    reason = np.where(soon, int(VerdictReason.ExhaustsSoon), reason)

    few = c["seen"][:n] < 6
    for missing, why in (
        (few, VerdictReason.TooFewReadings), (stale, VerdictReason.Stale), (np.isnan(c["limit"][:n]), VerdictReason.NoLimit),
    ):  # fmt: skip
        verdict = np.where(missing, UNKNOWN, verdict)
        reason = np.where(missing, int(why), reason)
    silent = ~growing | (verdict == UNKNOWN) | (verdict == HEALTHY)
    return Judged(
        verdict=verdict, reason=reason, growth_low=w["slope_low"][rows, shown], growth_high=w["slope_high"][rows, shown],
        seconds_low=np.where(silent, np.inf, low), seconds_high=np.where(silent, np.inf, high),
    )  # fmt: skip
