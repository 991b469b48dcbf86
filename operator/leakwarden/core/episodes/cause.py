"""Why users got errors while a pod leaked: the correlation's answer in the form of a LeakReport, and the times at which
it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leakwarden.api.v1alpha1.cause import (
    FACT,
    LINE,
    MAX_FACTS,
    MAX_LOG_LINES,
    MAX_PODS,
    CauseStatus,
    Confidence,
    LogCount,
    LogEvidenceStatus,
)
from leakwarden.api.v1alpha1.policy import PolicySpec, Role
from leakwarden.core.correlation.behind import behind
from leakwarden.core.correlation.causes import Explanation
from leakwarden.core.correlation.episode import Episode
from leakwarden.core.correlation.log_lines import LogEvidence
from leakwarden.core.correlation.timeline import coincide
from leakwarden.core.correlation.trouble import BAD_SHARE
from leakwarden.core.episodes.parts import symptoms_of
from leakwarden.core.evaluation.results import WorkloadEvaluation
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.text import printable

LOOKBACK = 1800.0  # s of an episode that are read
# Points by which a cause must be ahead of the second to be called clear: a single wrong reading must not change the
# answer.
CLEAR_LEAD = 3
EVERY = 600.0  # s between two readings for one report, while errors go on
UNKNOWN, NO_ERRORS = "Unknown", "NoErrors"


@dataclass(frozen=True, slots=True)
class Told:
    """The results for one report."""

    explanation: Explanation
    episode: Episode
    counted: str  # the place where errors are counted, in words
    logs: LogEvidence | None = None  # None where none were read
    logs_note: str = ""
    failed: Sequence[str] = ()  # queries that had no answer


def symptoms_seen(target: WorkloadEvaluation | None, spec: PolicySpec | None) -> bool:
    """Whether users notice a problem of the Deployment now: a signal with role Symptom has stayed above its
    threshold."""
    if target is None or spec is None:
        return False
    names = [signal.name for signal in spec.signals if signal.effective_role is Role.SYMPTOM]
    return bool(symptoms_of(target.pods, names))


def cause_status(told: Told, now: float) -> CauseStatus:
    found, t = told.explanation, told.episode.t
    kind, confidence = _named(found)
    spoken = [clue.why for clue in found.clues if clue.points and (clue.points > 0) == (found.cause is not None)]
    if told.logs is not None:
        spoken += coincide(told.episode, told.logs.times)
    return CauseStatus(
        kind=kind,
        confidence=confidence,
        message=_message(kind, confidence, spoken, found)[:512],
        measured_at=format_time(now),
        since=format_time(float(t[0])),
        until=format_time(float(t[-1])),
        counted=told.counted[:320],
        facts=_short(spoken, MAX_FACTS, FACT),
        unknown=_short([*told.failed, *found.unknown], MAX_FACTS, FACT),
        pods=_short([f"{pod}: {what}" for pod, what in behind(told.episode)], MAX_PODS, 2 * FACT),
        logs=_logs(told.logs, told.logs_note),
    )


def untold(why: str, now: float) -> CauseStatus:
    """The status in place of an answer that could not be looked for."""
    return CauseStatus(
        kind=UNKNOWN,
        confidence=Confidence.UNTOLD,
        message=printable(f"it could not be looked for: {why}")[:512],
        measured_at=format_time(now),
    )


def _named(found: Explanation) -> tuple[str, Confidence]:
    if not found.happened:
        return NO_ERRORS, Confidence.UNTOLD
    if found.cause is None:
        return UNKNOWN, Confidence.UNTOLD
    first, second, *_ = [*sorted((found.points or {found.cause: 0}).values(), reverse=True), 0]
    return str(found.cause), Confidence.CLEAR if first - second >= CLEAR_LEAD else Confidence.LIKELY


def _message(kind: str, confidence: Confidence, spoken: Sequence[str], found: Explanation) -> str:
    if kind == NO_ERRORS:
        return f"never more than {BAD_SHARE:.0%} of the requests failed, and it was not slow for minutes"
    happened = "it was slow" if found.slowness else "there were errors"
    if kind == UNKNOWN:
        return f"{happened}, and what was read does not tell which of five causes that has"
    because = f": {spoken[0]}" if spoken else ""
    besides = f"; besides it {', '.join(found.also)}" if found.also else ""
    return f"{'clearly' if confidence is Confidence.CLEAR else 'likely'} {kind}{because}{besides}"


def _short(texts: Sequence[str], most: int, longest: int) -> list[str]:
    return [printable(text)[:longest] for text in texts[:most]]


def _logs(found: LogEvidence | None, note: str) -> LogEvidenceStatus | None:
    if found is None:
        return LogEvidenceStatus(message=printable(note)[:256]) if note else None
    return LogEvidenceStatus(
        counts=[LogCount(kind=str(kind), count=count) for kind, count in sorted(found.counts.items())],
        lines=_short([line for _, line in found.first], MAX_LOG_LINES, LINE),
        message=printable(note)[:256],
    )
