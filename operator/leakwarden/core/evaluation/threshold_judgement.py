"""Readings of one pod and one signal -> a judgement. Every unsure branch is Unknown, with its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from leakwarden.api.scalars import format_duration
from leakwarden.api.v1alpha1.signal import SYMPTOMS, Signal, SignalType
from leakwarden.core.detection.filled import Filled
from leakwarden.core.detection.growth import GrowthFinding
from leakwarden.core.model.judgement import SEVERITY, Judgement, Verdict
from leakwarden.core.model.readings import Answer, NoData, Points, QueryFailed
from leakwarden.core.signals.catalogue import CATALOGUE, OF_REQUESTS
from leakwarden.core.signals.criteria import (
    FULL,
    LEVEL_SAYS,
    NOTHING_ASKED,
    JudgementReason,
    Standard,
    Standing,
    growth_speaks,
)
from leakwarden.core.signals.threshold import breach


def unknown(signal: Signal, reason: str, message: str, value: float | None = None) -> Judgement:
    return Judgement(signal.name, Verdict.UNKNOWN, reason, message, value)


def _amount(value: float, unit: str) -> str:
    return f"{100 * value:.3g}%" if unit == OF_REQUESTS else f"{value:g}"


def _shown(value: float, limit: float | None, unit: str) -> str:
    of_limit = f" of {limit:g}" if limit is not None and unit != OF_REQUESTS else ""
    return f"{_amount(value, unit)}{of_limit} {unit}"


def worst(judgements: Sequence[Judgement]) -> Judgement:
    """The most severe; the first of equals."""
    return max(judgements, key=lambda judgement: SEVERITY[judgement.verdict])


def _level(
    signal: Signal, standard: Standard, points: Points, limit: float | None, unit: str
) -> tuple[Standing, Judgement | None]:
    """The newest reading compared with the threshold, as a judgement."""
    if standard.above is None:
        return Standing.NOT_ASKED, None
    value = float(points.v[-1])
    level = standard.level(limit)
    if level is None:
        return Standing.NO_LIMIT, unknown(
            signal, JudgementReason.NO_LIMIT, f"{value:g} {unit}, but its limit cannot be read", value
        )
    shown, border = _shown(value, limit, unit), _amount(level, unit)
    if not value > level:
        standing, message = Standing.BELOW, f"{shown}, below {border}"
    else:
        held = breach(points, level, max_gap=standard.max_age).held
        long_enough = held >= standard.above_for
        standing = Standing.HELD if long_enough else Standing.ABOVE
        message = f"{shown}, above {border} for {format_duration(held)}"
        message += "" if long_enough else f" of {format_duration(standard.above_for)}"
    verdict, reason = LEVEL_SAYS[standing]
    return standing, Judgement(signal.name, verdict, reason, message=message, value=value, limit=limit)


def _growth(
    signal: Signal, standard: Standard, points: Points, *, limit: float | None, finding: GrowthFinding | None, unit: str
) -> Judgement | None:
    if not standard.growth or signal.type in SYMPTOMS:
        return None
    value = float(points.v[-1])
    shown = _shown(value, limit, unit)
    if finding is None:
        return unknown(signal, JudgementReason.WARMING_UP, f"{shown}, its growth was not judged yet", value)
    message = f"{shown}, {finding.explanation}"
    if finding.reason == JudgementReason.TOO_FEW_READINGS:
        return unknown(signal, finding.reason, message, value)
    if limit is None and finding.limit is not None:
        message += f" (it has no limit but the threshold of {_amount(finding.limit, unit)})"
    if finding.per_hour is not None and finding.left is not None:
        never = finding.left.high == float("inf")
        latest = "never" if never else format_duration(finding.left.high)
        message += (
            f": {finding.per_hour.low:.3g} to {finding.per_hour.high:.3g} an hour,"
            f" exhausted in {format_duration(finding.left.low)} to {latest}"
        )
    if finding.because:
        message += f"; {finding.because}"
    bound = limit if limit is not None else finding.limit
    return Judgement(
        signal.name,
        finding.verdict,
        finding.reason,
        message=message,
        value=value,
        limit=bound,
        growth_per_hour=finding.per_hour,
        seconds_to_exhaustion=finding.left,
    )


_FILLED = {
    Filled.BY_LOAD: "; its load fills it: as many requests at the use of earlier hours need all of it",
    Filled.AS_BEFORE: "; it came back by itself from as long a time at its limit before, and its load is not known",
}


def _full(
    signal: Signal, standard: Standard, points: Points, limit: float | None, *, finding: GrowthFinding | None, unit: str
) -> Judgement | None:
    """A signal that stays at its limit is exhausted, whether the stored readings show its growth or not; None where it
    is not at its limit.

    This is part of the judgement of growth: a full signal grows no more, and is not healthy for that. Memory with its
    page cache is full where the part that the kernel cannot take back is; where that is not known, it is Suspect only.
    So is a level that its load fills: another process in its place would be as full.
    """
    if not standard.growth or signal.type in SYMPTOMS or limit is None or not points.t.size:
        return None
    held = breach(points, FULL * limit, max_gap=standard.max_age).held
    value = float(points.v[-1])
    if not value > FULL * limit:
        return None
    row = CATALOGUE.get(signal.type)
    with_page_cache = row is not None and row.page_cache
    resident = finding.resident if finding is not None else None
    if with_page_cache and resident is not None and not resident > FULL * limit:
        return None
    patience = standard.full_for
    message = f"{_shown(value, limit, unit)}, at its limit for {format_duration(held)}"
    if with_page_cache and resident is None:
        message += "; it may be page cache, which the kernel takes back: its RSS is not known"
        return Judgement(signal.name, Verdict.SUSPECT, JudgementReason.FULL, message=message, value=value, limit=limit)
    if finding is not None and finding.filled in _FILLED:
        message += _FILLED[finding.filled]
        reason = JudgementReason.FILLED_BY_LOAD
        return Judgement(signal.name, Verdict.SUSPECT, reason, message=message, value=value, limit=limit)
    if held >= patience:
        return Judgement(
            signal.name, Verdict.EXHAUSTING, JudgementReason.FULL, message=message, value=value, limit=limit
        )
    message += f" of {format_duration(patience)}"
    return Judgement(signal.name, Verdict.SUSPECT, JudgementReason.FULL, message=message, value=value, limit=limit)


def judge_series(
    signal: Signal,
    standard: Standard,
    points: Points,
    *,
    limit: float | None,
    growth: GrowthFinding | None,
    now: float,
    unit: str,
) -> Judgement:
    """One series. The threshold and the growth are judged separately; `growth_speaks` decides which one counts. A full
    signal is never less than Suspect."""
    judged = _by_level_and_growth(signal, standard, points, limit=limit, growth=growth, now=now, unit=unit)
    full = (
        _full(signal, standard, points, limit, finding=growth, unit=unit)
        if judged.reason != JudgementReason.STALE
        else None
    )
    return full if full is not None and SEVERITY[full.verdict] > SEVERITY[judged.verdict] else judged


def _by_level_and_growth(
    signal: Signal,
    standard: Standard,
    points: Points,
    *,
    limit: float | None,
    growth: GrowthFinding | None,
    now: float,
    unit: str,
) -> Judgement:
    if points.t.size == 0:
        return unknown(signal, JudgementReason.NO_SERIES, "no reading yet")
    age = now - float(points.t[-1])
    if age > standard.max_age:
        message = f"the newest reading is {format_duration(age)} old, more than {format_duration(standard.max_age)}"
        return unknown(signal, JudgementReason.STALE, message)
    if age < -standard.max_age:
        # The clock was put back: earlier readings would look fresh until the clock has passed them.
        return unknown(
            signal, JudgementReason.STALE, f"the newest reading is {format_duration(-age)} ahead of the clock"
        )
    if math.isnan(float(points.v[-1])):  # sources leave such readings out; no comparison with one is ever true
        return unknown(signal, JudgementReason.NO_SERIES, "the newest reading is not a number")
    if signal.type is SignalType.ALERT:
        alert = signal.alert.name if signal.alert else ""
        return Judgement(signal.name, Verdict.EXHAUSTING, JudgementReason.ALERT_FIRING, f"alert {alert} is firing")
    standing, by_level = _level(signal, standard, points, limit, unit)
    by_growth = _growth(signal, standard, points, limit=limit, finding=growth, unit=unit)
    if by_growth is not None and growth_speaks(standing, by_growth.verdict):
        return by_growth
    if by_level is None:
        verdict, reason = NOTHING_ASKED
        message = "neither a threshold nor growth is asked for, so nothing is judged"
        return Judgement(signal.name, verdict, reason, message=message, value=float(points.v[-1]), limit=limit)
    if by_growth is not None and by_growth.seconds_to_exhaustion is not None:
        # The threshold shows that it is time to act, growth the time that is left: both are needed.
        return replace(
            by_level,
            limit=by_growth.limit,
            growth_per_hour=by_growth.growth_per_hour,
            seconds_to_exhaustion=by_growth.seconds_to_exhaustion,
        )
    return by_level


def judge_absent(signal: Signal, answer: Answer | None) -> Judgement:
    """The judgement of a pod without any series of the signal, with its reason."""
    match answer:
        case QueryFailed(reason, message) | NoData(reason, message):
            return unknown(signal, reason, message)
        case _:
            return unknown(signal, JudgementReason.NO_SERIES, "this pod has no series of it")
