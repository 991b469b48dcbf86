"""Readings of one pod and one signal -> a judgement. Every unsure branch is Unknown and says why."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from leakwarden.api.scalars import format_duration, parse_amount, parse_duration
from leakwarden.api.v1alpha1.signal import SYMPTOMS, Signal, SignalType
from leakwarden.core.growth import GrowthFinding
from leakwarden.core.judgement import SEVERITY, Judgement, Verdict
from leakwarden.core.readings import Answer, NoData, Points, QueryFailed
from leakwarden.core.signals import OF_REQUESTS
from leakwarden.core.threshold import breach


class JudgementReason(StrEnum):
    """Why a judgement is what it is, beside the detector's own reasons (core/verdict.py)."""

    WITHIN_LIMITS = "WithinLimits"
    ABOVE_THRESHOLD = "AboveThreshold"  # but not for long enough yet
    THRESHOLD_HELD = "ThresholdHeld"
    ALERT_FIRING = "AlertFiring"
    WARMING_UP = "WarmingUp"
    STALE = "Stale"
    NO_LIMIT = "NoLimit"
    NO_SERIES = "NoSeries"
    TOO_LITTLE_TRAFFIC = "TooLittleTraffic"
    NO_REQUEST_RATE = "NoRequestRate"


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


def _threshold(signal: Signal, points: Points, limit: float | None, max_age: float, unit: str) -> Judgement | None:
    if signal.threshold is None:
        return None
    amount = parse_amount(signal.threshold.above)
    value = float(points.v[-1])
    if amount.share is not None and limit is None:
        return unknown(signal, JudgementReason.NO_LIMIT, f"{value:g} {unit}, but its limit cannot be read", value)
    level = amount.share * limit if amount.share is not None and limit is not None else float(amount.value or 0)
    needed = parse_duration(signal.threshold.for_)
    found = breach(points, level, max_gap=max_age)
    shown, border = _shown(value, limit, unit), _amount(level, unit)
    if not value > level:
        return Judgement(
            signal.name, Verdict.HEALTHY, JudgementReason.WITHIN_LIMITS, f"{shown}, below {border}", value, limit
        )
    if found.held < needed:
        message = f"{shown}, above {border} for {format_duration(found.held)} of {format_duration(needed)}"
        return Judgement(signal.name, Verdict.SUSPECT, JudgementReason.ABOVE_THRESHOLD, message, value, limit)
    message = f"{shown}, above {border} for {format_duration(found.held)}"
    return Judgement(signal.name, Verdict.EXHAUSTING, JudgementReason.THRESHOLD_HELD, message, value, limit)


def _growth(
    signal: Signal, points: Points, limit: float | None, finding: GrowthFinding | None, unit: str
) -> Judgement | None:
    if not signal.growth.enabled or signal.type in SYMPTOMS:
        return None
    value = float(points.v[-1])
    shown = _shown(value, limit, unit)
    if finding is None:
        return unknown(signal, JudgementReason.WARMING_UP, f"{shown}, its growth was not judged yet", value)
    message = f"{shown}, {finding.explanation}"
    if finding.reason == "TooFewReadings":
        return unknown(signal, JudgementReason.WARMING_UP, message, value)
    if finding.per_hour is not None and finding.left is not None:
        never = finding.left.high == float("inf")
        latest = "never" if never else format_duration(finding.left.high)
        message += (
            f": {finding.per_hour.low:.3g} to {finding.per_hour.high:.3g} an hour,"
            f" exhausted in {format_duration(finding.left.low)} to {latest}"
        )
    return Judgement(
        signal.name, finding.verdict, finding.reason, message, value, limit, finding.per_hour, finding.left
    )


def judge_series(
    signal: Signal,
    points: Points,
    limit: float | None,
    growth: GrowthFinding | None,
    now: float,
    max_age: float,
    unit: str,
) -> Judgement:
    """One series. The threshold and the growth are judged apart; the more severe speaks.

    A reading within its threshold is Healthy although growth still warms up; with growth alone a young
    process is Unknown.
    """
    if points.t.size == 0:
        return unknown(signal, JudgementReason.NO_SERIES, "no reading yet")
    age = now - float(points.t[-1])
    if age > max_age:
        message = f"the newest reading is {format_duration(age)} old, more than {format_duration(max_age)}"
        return unknown(signal, JudgementReason.STALE, message)
    if age < -max_age:
        # The clock was put back: what was read before would look fresh until it has caught up.
        return unknown(
            signal, JudgementReason.STALE, f"the newest reading is {format_duration(-age)} ahead of the clock"
        )
    if signal.type is SignalType.ALERT:
        alert = signal.alert.name if signal.alert else ""
        return Judgement(signal.name, Verdict.EXHAUSTING, JudgementReason.ALERT_FIRING, f"alert {alert} is firing")
    by_level = _threshold(signal, points, limit, max_age, unit)
    by_growth = _growth(signal, points, limit, growth, unit)
    if by_level is None and by_growth is None:
        message = "neither a threshold nor growth is asked for"
        return Judgement(
            signal.name, Verdict.HEALTHY, JudgementReason.WITHIN_LIMITS, message, float(points.v[-1]), limit
        )
    if by_level is None or by_growth is None:
        return by_level or by_growth or unknown(signal, JudgementReason.NO_SERIES, "no reading yet")
    if by_growth.verdict is Verdict.UNKNOWN and by_level.verdict is not Verdict.UNKNOWN:
        return by_level
    if by_level.verdict is Verdict.UNKNOWN and by_growth.verdict is not Verdict.UNKNOWN:
        return by_growth
    return worst([by_level, by_growth])


def judge_absent(signal: Signal, answer: Answer | None) -> Judgement:
    """A pod without any series of the signal: why."""
    match answer:
        case QueryFailed(reason, message) | NoData(reason, message):
            return unknown(signal, reason, message)
        case _:
            return unknown(signal, JudgementReason.NO_SERIES, "this pod has no series of it")
