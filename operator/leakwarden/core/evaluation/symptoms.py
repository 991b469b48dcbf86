"""Symptoms - errors and latency as users feel them - count only with enough traffic.

The minimum is each policy's own, and all policies share the query: so the request rate, which is read anyway, is
compared here. With too few requests the result is unknown: neither healthy nor bad.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leakwarden.api.scalars import format_duration
from leakwarden.api.v1alpha1.signal import Signal
from leakwarden.core.evaluation.threshold_judgement import judge_absent, judge_series, unknown, worst
from leakwarden.core.model.judgement import Judgement
from leakwarden.core.model.readings import Answer, Points, QueryFailed
from leakwarden.core.signals.criteria import JudgementReason, Standard


def judge_symptom(
    signal: Signal,
    standard: Standard,
    series: Sequence[Points],
    *,
    answer: Answer | None,
    rates: Sequence[Points],
    rate_answer: Answer | None,
    limit: float | None,
    now: float,
    unit: str,
) -> Judgement:
    """One pod. `rates` is its request rate (requests/s), at the same moments as `series`."""
    for each in (answer, rate_answer):
        if isinstance(each, QueryFailed):
            # Whatever history holds, it shows nothing about the present.
            return judge_absent(signal, each)
    rate = next((each for each in rates if each.t.size), None)
    least = signal.least_request_rate
    if rate is None:
        if not series:
            return judge_absent(signal, answer)
        return unknown(signal, JudgementReason.NO_REQUEST_RATE, "its request rate is not known")
    age = now - float(rate.t[-1])
    if age > standard.max_age:
        message = (
            f"the newest request rate is {format_duration(age)} old, more than {format_duration(standard.max_age)}"
        )
        return unknown(signal, JudgementReason.STALE, message)
    # Before the series is judged: without requests the ratio is not a number, and so it is missing.
    newest = float(rate.v[-1])
    if newest < least:
        message = f"{newest:.3g} requests a second, fewer than {least:g}"
        return unknown(signal, JudgementReason.TOO_LITTLE_TRAFFIC, message)
    if not series:
        return judge_absent(signal, answer)
    busy = rate.t[rate.v >= least]
    counted = [Points(each.t[kept], each.v[kept]) for each in series if (kept := np.isin(each.t, busy)).any()]
    if not counted:
        message = f"no reading yet from a time with {least:g} requests a second"
        return unknown(signal, JudgementReason.TOO_LITTLE_TRAFFIC, message)
    return worst(
        [judge_series(signal, standard, each, limit=limit, growth=None, now=now, unit=unit) for each in counted]
    )
