"""The operator's judgement for a watch of minutes: the same detector, on a shorter clock and against a nearer limit.

Two things differ from the operator, and nothing else.

- The detector's clock is the bucket, which is a minute in the operator and down to a second here (`engine/detector_feed.py`
  stretches time in the same way).
- The operator asks whether a limit is about to be reached, and trusts a short climb only close to it. Within a minute
  nothing gets near a limit of a million descriptors. So the question here is: would this be a leak if the limit were just
  above what was reached? Every gate on the shape of the climb stays as it is: steady, clear of noise, not slowing down,
  not explained by the load, never given back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leakwarden.api.scalars import Amount
from leakwarden.api.v1alpha1.signal import Signal, SignalType
from leakwarden.core.detection.detector import (
    EXHAUSTING,
    VERDICTS,
    Context,
    DetectorState,
    Judged,
    Key,
    NewReadings,
    advance,
    judge,
)
from leakwarden.core.detection.growth import GrowthFinding
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.detection.rollups import SLOTS, WIDTHS, Ints
from leakwarden.core.evaluation.threshold_judgement import judge_series, unknown
from leakwarden.core.model.judgement import Interval, Judgement, Verdict
from leakwarden.core.model.readings import Floats, Points
from leakwarden.core.signals.catalogue import CATALOGUE, is_memory
from leakwarden.core.signals.criteria import JudgementReason, Standard
from leakwarden.core.watch.reach import LEAST
from leakwarden.core.watch.scraped import Scrape, TrackKey

# The highest reading as a share of the assumed limit. Above the 93.5 % that memory must reach to be reported, and below
# the 97 % from which on the detector accepts no explanation (core/detection/thresholds.py).
ASSUMED_LEVEL = 0.94
# A whole window of the detector's shortest width; with less, there is no judgement.
LEAST_BUCKETS = SLOTS
# A Go process gains this much memory while it warms up: the collector's first goal is 4 MiB (GOGC, runtime docs).
LEAST_MEMORY = 4.0 * 2**20
# Fewer collections do not separate live memory from garbage: the detector takes at least six floors for any line.
LEAST_CYCLES = 6
# A level that lasts for so many buckets is judged by itself, whatever led to it.
FULL = Amount(share=0.95, value=None)
_FULL_FOR = 10
_MAX_AGE = 10  # buckets without a reading, after which there is no judgement any more
_RATE_OVER = 4  # buckets; a rate over less than four scrapes is noise
_NAMES = {
    SignalType.DESCRIPTORS: "descriptors",
    SignalType.SOCKETS: "sockets",
    SignalType.GOROUTINES: "goroutines",
    SignalType.HEAP: "heap",
    SignalType.DB_POOL: "db-pool",
    SignalType.WORKING_SET: "working-set",
}


@dataclass(frozen=True, slots=True)
class Track:
    """The readings of one signal."""

    key: TrackKey
    points: Points
    rate: Floats  # requests/s; NaN where not known
    cycles: Floats  # completed collections; NaN where not known
    limit: float | None

    @property
    def grown(self) -> float:
        """From the floor of the first tenth of the readings to that of the last, in the signal's unit."""
        tenth = max(3, self.points.v.size // 10)
        return float(self.points.v[-tenth:].min() - self.points.v[:tenth].min())

    @property
    def collections(self) -> float:
        """Collections completed within the watch; NaN where they are not exported."""
        return float(self.cycles[-1] - self.cycles[0]) if self.cycles.size else float("nan")


@dataclass(frozen=True, slots=True)
class TrackJudgement:
    track: Track
    judgement: Judgement

    @property
    def leaks(self) -> bool:
        return self.judgement.verdict in (Verdict.LEAKING, Verdict.EXHAUSTING)


def tracks(scrapes: Sequence[Scrape], bucket: float) -> list[Track]:
    """A track for each series of the present process: readings before its start belong to another process. `bucket` in
    seconds."""
    lived = this_process(scrapes)
    if not lived:
        return []
    t = np.array([scrape.t for scrape in lived])
    rate = _rate(lived, t, bucket)
    cycles = np.array([np.nan if scrape.cycles is None else scrape.cycles for scrape in lived])
    found = []
    for key in sorted({key for scrape in lived for key in scrape.values}):
        v = np.array([scrape.values.get(key, np.nan) for scrape in lived])
        there = ~np.isnan(v)
        limit = next((scrape.limits[key] for scrape in reversed(lived) if key in scrape.limits), None)
        found.append(Track(key, Points(t[there], v[there]), rate[there], cycles[there], limit))
    return found


def this_process(scrapes: Sequence[Scrape]) -> Sequence[Scrape]:
    """The scrapes since the process last began, by its own start time."""
    first = 0
    for n in range(1, len(scrapes)):
        before, after = scrapes[n - 1].started, scrapes[n].started
        if before is not None and after is not None and abs(after - before) > 1.0:
            first = n
    return scrapes[first:]


def _rate(scrapes: Sequence[Scrape], t: Floats, bucket: float) -> Floats:
    """Requests/s over the last four buckets up to each moment; NaN where the count is not known."""
    counts = np.array([np.nan if scrape.requests is None else scrape.requests for scrape in scrapes])
    since = np.searchsorted(t, t - _RATE_OVER * bucket)
    since = np.minimum(since, np.maximum(np.arange(t.size) - 1, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (counts - counts[since]) / (t - t[since])
    return np.where(np.isfinite(found), np.maximum(found, 0.0), np.nan)


def judge_tracks(followed: Sequence[Track], bucket: float, now: float) -> list[TrackJudgement]:
    """The judgement of each track at `now`, epoch s. `bucket` in seconds."""
    judged = _growth(followed, bucket, now)
    return [
        TrackJudgement(track, _judgement(track, finding, bucket, now))
        for track, finding in zip(followed, judged, strict=True)
    ]


def _judgement(track: Track, finding: GrowthFinding, bucket: float, now: float) -> Judgement:
    signal = Signal(name=_NAMES[track.key.kind], type=track.key.kind)
    unit = CATALOGUE[track.key.kind].unit
    if not track.points.t.size:
        return unknown(signal, JudgementReason.NO_SERIES, "no reading yet")
    value = float(track.points.v[-1])
    seen = np.unique((track.points.t - track.points.t[0]) // bucket).size
    if seen < LEAST_BUCKETS:
        message = f"not enough seen: {seen} of the {LEAST_BUCKETS} readings, {bucket:g}s apart, that a judgement needs"
        return unknown(signal, JudgementReason.TOO_FEW_READINGS, message, value)
    if track.key.kind is SignalType.HEAP and not track.collections >= LEAST_CYCLES:
        done = (
            "their number is not exported" if np.isnan(track.collections) else f"{track.collections:.0f} were completed"
        )
        message = f"not enough seen: {LEAST_CYCLES} garbage collections tell live memory from garbage, and {done}"
        return unknown(signal, "TooFewCollections", message, value)
    standard = Standard(max_age=_MAX_AGE * bucket, above=FULL if track.limit else None, above_for=_FULL_FOR * bucket)
    return judge_series(signal, standard, track.points, limit=track.limit, growth=finding, now=now, unit=unit)


def least_growth(track: Track) -> float:
    """Growth below this proves nothing, whatever its shape: ten things, 4 MiB, or of a small pool half of it."""
    if CATALOGUE[track.key.kind].unit == "bytes":
        return LEAST_MEMORY
    return min(float(LEAST), track.limit / 2) if track.limit else float(LEAST)


def _growth(followed: Sequence[Track], bucket: float, now: float) -> list[GrowthFinding]:
    """All tracks through the detector, from their first bucket to the newest that is complete."""
    some = [track for track in followed if track.points.t.size]
    none = GrowthFinding(Verdict.UNKNOWN, VerdictReason.TooFewReadings.name)
    if not some:
        return [none for _ in followed]
    stretch = WIDTHS[0] / bucket
    began = min(float(track.points.t[0]) for track in some)
    state = DetectorState()
    rows = state.place(
        [_key(track) for track in some],
        np.array([float(track.points.v.max()) / ASSUMED_LEVEL for track in some]),
        np.array([(float(track.points.t[0]) - began) * stretch for track in some]),
    )
    readings = _together(some, rows, began, stretch)
    judged = _replayed(state, readings, (now - began) * stretch)
    by_key = {track.key: _finding(track, judged, int(row), stretch) for track, row in zip(some, rows, strict=True)}
    return [by_key.get(track.key, none) for track in followed]


def _key(track: Track) -> Key:
    return Key(
        "", track.key.name, "", "", "", signal=str(track.key.kind), start=0.0, memory=is_memory(str(track.key.kind))
    )


def _together(some: Sequence[Track], rows: Ints, began: float, stretch: float) -> NewReadings:
    sizes = [track.points.t.size for track in some]
    t = (np.concatenate([track.points.t for track in some]) - began) * stretch
    order = np.argsort(t, kind="stable")
    v, rate, cycles = (
        np.concatenate(parts)[order].astype(np.float64)
        for parts in ([x.points.v for x in some], [x.rate for x in some], [x.cycles for x in some])
    )
    return NewReadings(np.repeat(rows, sizes)[order], t[order], v, rate, cycles)


def _replayed(state: DetectorState, all_of: NewReadings, now: float) -> Judged:
    """One tick per bucket, as in the operator: a leak must be confirmed by several in a row."""
    context = Context(max_age=_MAX_AGE * WIDTHS[0])
    ticks = np.arange(WIDTHS[0], max(now, WIDTHS[0]) + 1e-6, WIDTHS[0])
    edges = np.searchsorted(all_of.t, ticks, side="right")
    judged, before = judge(state, context, 0.0), 0
    for tick, until in zip(ticks.tolist(), edges.tolist(), strict=True):
        part = slice(before, until)
        if until > before:
            new = NewReadings(all_of.row[part], all_of.t[part], all_of.v[part], all_of.rate[part], all_of.gc[part])
            advance(state, new, tick)
        judged, before = judge(state, context, tick), until
    return judged


def _finding(track: Track, judged: Judged, row: int, stretch: float) -> GrowthFinding:
    code, reason = int(judged.verdict[row]), VerdictReason(int(judged.reason[row])).name
    low, high = float(judged.growth_low[row]) * stretch, float(judged.growth_high[row]) * stretch
    per_hour = Interval(low, high) if np.isfinite(low) and np.isfinite(high) else None
    if code == EXHAUSTING:
        # As a share of the assumed limit, which is not real: the result may only say that the signal climbs.
        known = np.count_nonzero(~np.isnan(track.rate)) >= 0.8 * track.rate.size
        code = VERDICTS.index(Verdict.LEAKING)
        reason = VerdictReason.GrowsBeyondLoad.name if known else VerdictReason.SteadyGrowth.name
    if reason == VerdictReason.FarFromLimit.name:
        reason = VerdictReason.FellBack.name  # below a peak of its own
    finding = GrowthFinding(VERDICTS[code], reason, per_hour, _left(track, per_hour), None)
    too_little = finding.verdict is Verdict.LEAKING and track.grown < least_growth(track)
    if too_little or finding.verdict is Verdict.SUSPECT:
        return finding._replace(verdict=Verdict.SUSPECT, reason=VerdictReason.Unconfirmed.name)
    return finding


def _left(track: Track, per_hour: Interval | None) -> Interval | None:
    """Seconds until the real limit, where there is one."""
    if track.limit is None or per_hour is None or per_hour.high <= 0:
        return None
    room = max(track.limit - float(track.points.v[-1]), 0.0) * 3600
    return Interval(room / per_hour.high, room / per_hour.low if per_hour.low > 0 else float("inf"))
