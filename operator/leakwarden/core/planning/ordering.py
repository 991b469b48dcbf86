"""The queue of a Deployment's leaking pods: which pod comes first, and when the next one's turn is.

Replicas leak together, so they run out together, and restarting them together only sets the clocks to the same time
again. They are taken in the order in which they run out, and spread over the time that is left, so that they are out of
step afterwards: pod k is done before the lower end of its time to exhaustion, with a quarter of the time to spare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from leakwarden.api.scalars import format_duration, parse_duration
from leakwarden.api.v1alpha1.kinds import WorkloadKind
from leakwarden.api.v1alpha1.policy import PolicySpec
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.evaluation.results import PodEvaluation, WorkloadEvaluation
from leakwarden.core.model.policy import parse_time
from leakwarden.core.model.workload import ordinal
from leakwarden.core.records.action_counts import changes

LEEWAY = 0.75  # of the remaining time is used; the rest is a reserve for delays
START_UP = 60.0  # s that a new pod takes to serve, in addition to the grace period of the old one
# Farther apart than so many cooldowns they need not be: a pod that is Exhausting should not wait for nothing.
WIDEST = 3.0


@dataclass(frozen=True, slots=True)
class Turn:
    """`order` from 1; `not_before` epoch s, 0 where it is due; `why` in one line."""

    pod: PodEvaluation
    order: int
    not_before: float
    why: str


def urgency(pod: PodEvaluation) -> tuple[float, float, str]:
    """Sorts the pod that runs out first to the front; where no time is known the fullest comes first."""
    judgement = pod.acting
    assert judgement is not None
    left = judgement.seconds_to_exhaustion.low if judgement.seconds_to_exhaustion else float("inf")
    share = judgement.value / judgement.limit if judgement.value is not None and judgement.limit else 0.0
    return (left, -share, pod.pod.name)


def _deadline(pod: PodEvaluation, grace: float, now: float) -> float:
    """When its replacement must have been begun at the latest, epoch s; infinite where no time is known."""
    return now + urgency(pod)[0] - grace - START_UP


def spacing(deadlines: Sequence[float], begin: float, cooldown: float) -> float:
    """Seconds between two actions: as far apart as the ascending deadlines allow, never closer than `cooldown`.

    The k-th action (from 1) is `k` spacings after `begin`.
    """
    widest = min((LEEWAY * (deadline - begin) / k for k, deadline in enumerate(deadlines, 1)), default=math.inf)
    # Where no time to exhaustion is known, the next action comes as soon as the cooldown allows.
    return cooldown if math.isinf(widest) else max(cooldown, min(widest, WIDEST * cooldown))


def queue(target: WorkloadEvaluation, spec: PolicySpec, records: Sequence[ActionStatus], now: float) -> list[Turn]:
    """The workload's pods that need an action, in order. `records` are the actions on it."""
    pods = sorted((pod for pod in target.pods if pod.acting is not None), key=urgency)
    if target.workload.kind == WorkloadKind.STATEFUL_SET:
        # As its own controller rolls: from the highest ordinal, since those below may have been made for those above.
        pods.sort(key=lambda pod: -(ordinal(pod.pod.name) or 0))
    cooldown = parse_duration(spec.remediation.cooldown)
    grace = float(target.workload.termination_grace)
    deadlines = [_deadline(pod, grace, now) for pod in pods]
    last = max((parse_time(record.intended_at) for record in records if changes(record)), default=None)
    # The first of a wave is due at once; the others are spread from there.
    begins_now = last is None
    begin = now if last is None else last
    apart = spacing(deadlines[1:] if begins_now else deadlines, begin, cooldown)
    places = []
    for index, (pod, deadline) in enumerate(zip(pods, deadlines, strict=True)):
        due = begin + apart * (index if begins_now else index + 1)
        why = f"number {index + 1} of {len(pods)}, {format_duration(apart)} apart"
        if due > deadline:
            why += "; it may run out before its turn, since the cooldown does not leave more time"
        places.append(Turn(pod, index + 1, due if due > now else 0.0, why))
    return places
