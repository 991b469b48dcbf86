"""The circuit breaker, computed from action records alone: no state of its own that a restart could lose.

    closed --- K failures in a row ---> open --- sleepWindow is over ---> one trial --- it helped ---> closed
                                          ^                                  |
                                          +---------- it did not ------------+

A failure is an action found Ineffective or Inconclusive. RecoveredAnyway proves nothing about the action and is passed
over, as are actions that were never carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.remediation_parts import CircuitBreaker
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult, ActionStatus
from leakwarden.core.model.policy import parse_time

_FAILURES = frozenset({ActionResult.INEFFECTIVE, ActionResult.INCONCLUSIVE})


@dataclass(frozen=True, slots=True)
class Circuit:
    """An open one. `until` is when the trial is due, epoch s; `on_trial`: it is under way."""

    failures: int
    until: float
    on_trial: bool


def _is_under_way(record: ActionStatus) -> bool:
    return record.phase is ActionPhase.PENDING or record.result is ActionResult.VERIFYING


def _found_at(record: ActionStatus) -> float:
    return parse_time(record.verified_at or record.finished_at or record.intended_at)


def open_circuit(records: Sequence[ActionStatus], breaker: CircuitBreaker, now: float) -> Circuit | None:
    """The circuit of one workload if it is open, or on trial; None while actions may be taken. `now` in epoch s."""
    # Of two of the same second the failure counts as the newer one: an open circuit does no harm.
    newest_first = sorted(
        records, key=lambda record: (parse_time(record.intended_at), record.result in _FAILURES), reverse=True
    )
    failed: list[ActionStatus] = []
    for record in newest_first:
        if record.result in _FAILURES:
            failed.append(record)
        elif record.result is ActionResult.EFFECTIVE:
            break
    if len(failed) < breaker.failures:
        return None
    until = max(_found_at(record) for record in failed) + parse_duration(breaker.sleep_window)
    last = parse_time(failed[0].intended_at)
    trial = any(_is_under_way(record) and parse_time(record.intended_at) >= last for record in newest_first)
    if now >= until and not trial:
        return None
    return Circuit(len(failed), until, on_trial=trial and now >= until)
