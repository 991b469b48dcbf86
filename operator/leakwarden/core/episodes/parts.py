"""The parts of a LeakReport that come from one tick: verdict, series, plan, every guard's answer. All bounded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from leakwarden.api.v1alpha1.leakreport import MAX_GUARDS, MAX_POINTS, GuardStatus, PlanStatus, Range, SeriesStatus
from leakwarden.api.v1alpha1.leakreport import VerdictStatus as VerdictStatus
from leakwarden.core.evaluation.results import PodEvaluation, WorkloadEvaluation
from leakwarden.core.guards import GUARDS, Candidate, Situation
from leakwarden.core.model.judgement import Interval, Judgement
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.readings import Points
from leakwarden.core.planning.ordering import urgency
from leakwarden.core.planning.planning import Decision

MESSAGE = 512
GUARD_MESSAGE = 256  # forty of them must fit into one small object


def finite(value: float | None) -> float | None:
    """JSON has neither infinity nor NaN. Six digits are more than the precision of any reading."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def as_range(interval: Interval | None) -> Range | None:
    if interval is None or not math.isfinite(interval.low):
        return None
    low = finite(interval.low)
    return Range(low=low if low is not None else 0.0, high=finite(interval.high))


def verdict_status(pod: PodEvaluation, units: Mapping[str, str], now: float) -> VerdictStatus:
    """The last judgement of a pod. `units` by the signal's name."""
    judged: Judgement | None = pod.acting or pod.deciding
    if judged is None:
        return VerdictStatus(verdict=str(pod.verdict), judged_at=format_time(now))
    return VerdictStatus(
        verdict=str(pod.verdict),
        reason=str(judged.reason)[:64],
        message=f"{judged.signal}: {judged.message}"[:MESSAGE],
        value=finite(judged.value),
        limit=finite(judged.limit),
        unit=units.get(judged.signal, "")[:32],
        growth_per_hour=as_range(judged.growth_per_hour),
        seconds_to_exhaustion=as_range(judged.seconds_to_exhaustion),
        judged_at=format_time(now),
    )


def series_in_short(points: Points) -> SeriesStatus:
    """At most sixty of the points, evenly spread, the first and the last among them."""
    if not points.t.size:
        return SeriesStatus()
    count = min(points.t.size, MAX_POINTS)
    chosen = np.unique(np.linspace(0, points.t.size - 1, count).round().astype(int))
    values = [finite(float(value)) for value in points.v[chosen]]
    return SeriesStatus(
        times=[int(time) for time in points.t[chosen]], values=[0.0 if value is None else value for value in values]
    )


def guard_answers(candidate: Candidate, situation: Situation) -> list[GuardStatus]:
    """Every guard by name, with its consent or its reason against the action."""
    answers = []
    for guard in GUARDS[:MAX_GUARDS]:
        skip = guard(candidate, situation)
        if skip is None:
            answers.append(GuardStatus(guard=guard.name, passed=True))
        else:
            message = skip.message[:GUARD_MESSAGE]
            answers.append(GuardStatus(guard=guard.name, passed=False, reason=str(skip.reason), message=message))
    return answers


def place_in_queue(target: WorkloadEvaluation, pod_uid: str) -> int:
    """The pod's place among the pods of its Deployment that need an action, in the order in which they run out; from 1,
    0 where it is not one of them."""
    queue = sorted((pod for pod in target.pods if pod.acting is not None), key=urgency)
    return next((place for place, pod in enumerate(queue, 1) if pod.pod.uid == pod_uid), 0)


def plan_status(decision: Decision) -> PlanStatus:
    """The action that is, or would be, taken, and which of the two applies."""
    candidate = decision.candidate
    types = [action.type for action in candidate.spec.remediation.actions]
    kind = candidate.action.type
    if decision.go:
        message = "every guard lets it pass"
    elif decision.only_observing:
        message = "would be done in mode Enforce"
    else:
        message = "waits: " + ", ".join(str(skip.reason) for skip in decision.skips)
    if candidate.why:
        message += f"; {candidate.why}"
    due = candidate.not_before
    return PlanStatus(
        action=str(kind),
        step=types.index(kind) if kind in types else 0,
        order=candidate.order,
        not_before=format_time(due) if due else None,
        message=message[:MESSAGE],
    )


def waiting_plan(target: WorkloadEvaluation, pod_uid: str, action: str) -> PlanStatus | None:
    """For an Exhausting pod whose turn has not come: its place behind the others."""
    place = place_in_queue(target, pod_uid)
    if place == 0:
        return None
    return PlanStatus(action=action, order=place, message=f"number {place} of its Deployment: one pod at a time")


def symptoms_of(pods: Sequence[PodEvaluation], names: Sequence[str]) -> list[str]:
    """Errors and latency for users now: the Symptom signals (`names`) that have stayed above their threshold."""
    found = [
        f"{pod.pod.name}: {judgement.signal}: {judgement.message}"[:256]
        for pod in pods
        for judgement in pod.judgements
        if judgement.signal in names and judgement.verdict == "Exhausting"
    ]
    return found[:8]
