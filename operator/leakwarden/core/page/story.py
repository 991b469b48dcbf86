"""The events in words: the four answers that a person on call needs first, and the steps in their order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus, SuspectStatus
from leakwarden.api.v1alpha1.leakreport import LeakReportStatus, Phase, VerdictStatus
from leakwarden.api.v1alpha1.status import ActionPhase, ActionStatus
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.page.figures import UNKNOWN, amount, clock, growth, moment, wait
from leakwarden.core.profile.catalogue import TITLES


class Tone(StrEnum):
    BAD = "bad"
    WARN = "warn"
    GOOD = "good"
    CALM = "calm"

    @property
    def mark(self) -> str:
        """A mark in addition to the colour, for people who cannot see the colour."""
        return {"bad": "\N{MULTIPLICATION X}", "warn": "!", "good": "\N{CHECK MARK}", "calm": "\N{BULLET}"}[self.value]


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` is the answer, a name out of code where `code` says so, `place` what belongs to it, `detail` a sentence."""

    question: str
    text: str
    place: str
    detail: str
    tone: Tone
    code: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    at: float  # epoch s
    title: str
    detail: str
    tone: Tone = Tone.CALM
    mark: str = ""  # its name in the picture of the series; empty where it is not marked there


@dataclass(frozen=True, slots=True)
class Story:
    """`outcome` is the phase in three words, `headline` the judgement with its numbers and `lead` the state in a line,
    empty where an answer has it already."""

    outcome: str
    tone: Tone
    headline: str
    lead: str
    answers: tuple[Answer, ...]
    steps: tuple[Step, ...]


OUTCOMES = {
    Phase.DETECTED: ("Leaking, nothing done", Tone.WARN),
    Phase.REMEDIATING: ("Acting now", Tone.WARN),
    Phase.VERIFYING: ("Acted, result pending", Tone.CALM),
    Phase.EFFECTIVE: ("It helped", Tone.GOOD),
    Phase.INEFFECTIVE: ("It did not help", Tone.BAD),
    Phase.INCONCLUSIVE: ("Unclear if it helped", Tone.WARN),
    Phase.RECOVERED_ANYWAY: ("Over without an action", Tone.CALM),
}
_HELPED = {
    Phase.DETECTED: "Nothing was done yet",
    Phase.REMEDIATING: "Not known yet",
    Phase.VERIFYING: "Being watched",
    Phase.EFFECTIVE: "Yes",
    Phase.INEFFECTIVE: "No: the new pod leaks too",
    Phase.INCONCLUSIVE: "Could not be told in time",
    Phase.RECOVERED_ANYWAY: "Nothing had to help",
}
_DONE = {"EvictPod": "Pod evicted", "RolloutRestart": "Pods restarted", "ScaleOut": "Replicas added"}
_ENDINGS = {
    ActionPhase.PENDING: ("under way", Tone.WARN),
    ActionPhase.DONE: ("done", Tone.GOOD),
    ActionPhase.BLOCKED: ("refused by a PodDisruptionBudget", Tone.WARN),
    ActionPhase.FAILED: ("failed", Tone.BAD),
    ActionPhase.INTERRUPTED: ("interrupted", Tone.WARN),
}
_CAPTURES = {
    EvidenceState.CAPTURED: ("Profiles captured", Tone.GOOD),
    EvidenceState.PARTIAL: ("Some profiles captured", Tone.WARN),
    EvidenceState.FAILED: ("Capture of profiles failed", Tone.WARN),
    EvidenceState.SKIPPED: ("Profiles not captured", Tone.CALM),
}


def tell(report: LeakReport) -> Story:
    status = report.status
    outcome, tone = OUTCOMES[status.phase]
    if not report.from_cluster:
        # A process that was only watched: nothing is planned, done or verified.
        return Story(
            "Leaking",
            Tone.BAD,
            headline(report),
            lead="",
            answers=(_process(report), _line(status.evidence)),
            steps=steps(report),
        )
    answers = (_pod(report), _line(status.evidence), _done(status), _helped(status))
    said = any(status.message and status.message in answer.detail for answer in answers)
    return Story(
        outcome, tone, headline(report), lead="" if said else status.message, answers=answers, steps=steps(report)
    )


def headline(report: LeakReport) -> str:
    """`Exhausting: descriptors 851 of 1,024, +590/h to +640/h, exhausted in 12m to 21m`"""
    verdict, signal = report.status.verdict, report.spec.signal or report.spec.signal_type
    if verdict is None:
        return f"{signal} judged a leak"
    value = level(verdict)
    parts = [f"{signal} {value}" if value else signal]
    if verdict.growth_per_hour is not None:
        parts.append(growth(verdict.growth_per_hour, verdict.unit))
    if left := exhaustion(verdict):
        parts.append(left)
    return f"{verdict.verdict}: {', '.join(parts)}"


def level(verdict: VerdictStatus) -> str:
    """`851 of 1,024`"""
    value, limit = amount(verdict.value, verdict.unit), amount(verdict.limit, verdict.unit)
    if value == UNKNOWN:
        return ""
    return value if limit == UNKNOWN else f"{value} of {limit}"


def exhaustion(verdict: VerdictStatus | None) -> str:
    left = wait(verdict.seconds_to_exhaustion) if verdict is not None else ""
    return f"exhausted in {left}" if left else ""


def short(function: str) -> str:
    """`example.com/shop/users.(*Client).Fetch` -> `users.(*Client).Fetch`"""
    name = function.partition("[")[0]
    return function[name.rfind("/") + 1 :]


def place(suspect: SuspectStatus) -> str:
    file = suspect.file.replace("\\", "/").rpartition("/")[2]
    return f"{file}:{suspect.line}" if file and suspect.line > 0 else file


def shape(suspect: SuspectStatus) -> str:
    """The kind of leak in words: the catalogue's title, or `ResponseBodyNotClosed` taken apart."""
    known = TITLES.get(suspect.shape)
    return known or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", suspect.shape).lower()


def held(suspect: SuspectStatus) -> str:
    """`148 held, +10/s`"""
    pace = suspect.per_second
    more = "" if pace is None or not -1e15 < pace < 1e15 else f", {pace:+,.1f}/s".replace("-", "\N{MINUS SIGN}")
    return f"{suspect.count:,} held{more}" if suspect.count or more else ""


def explained(suspect: SuspectStatus) -> str:
    """`explains 94% of the growth`"""
    part = suspect.explains
    return "" if part is None or not 0 <= part <= 1 else f"explains {part:.0%} of the growth"


def _pod(report: LeakReport) -> Answer:
    spec = report.spec
    node = f" on node {spec.pod.node}" if spec.pod.node else ""
    detail = f"{spec.workload.kind} {spec.workload.name}{node}; policy {spec.policy.title}"
    return Answer("Which pod", spec.pod.name, "", detail, Tone.CALM)


def _process(report: LeakReport) -> Answer:
    detail = "A process that was watched by its own metrics, without a cluster."
    return Answer("Which process", report.spec.workload.name, report.spec.pod.name, detail, Tone.CALM)


def _line(evidence: EvidenceStatus | None) -> Answer:
    question = "Which line of code"
    if evidence is None:
        return Answer(question, "Not known", "", "No profiles were taken.", Tone.CALM)
    because = ": ".join(part for part in (evidence.reason, evidence.message) if part)
    if evidence.suspects:
        first = evidence.suspects[0]
        sure = f"{first.confidence.lower()} confidence" if first.confidence else ""
        detail = "; ".join(part for part in (shape(first), held(first), explained(first), sure) if part)
        return Answer(
            question, short(first.function) or "Not named", place(first), detail, Tone.BAD, code=bool(first.function)
        )
    if evidence.state in (EvidenceState.CAPTURED, EvidenceState.PARTIAL):
        detail = evidence.pool or evidence.summary or because or "The profiles point at no line of the team's own."
        return Answer(question, "None stands out", "", detail, Tone.CALM)
    return Answer(question, "Not known", "", f"{_CAPTURES[evidence.state][0]}. {because}".strip(), Tone.CALM)


def action_title(action: ActionStatus) -> str:
    """`Pod evicted`, `EvictPod failed`"""
    if action.phase is ActionPhase.DONE:
        done = _DONE.get(action.type, f"{action.type} done")
        if action.replicas_before is not None and action.replicas_after is not None:
            done += f", {action.replicas_before} to {action.replicas_after}"
        return done
    return f"{action.type} {_ENDINGS[action.phase][0]}"


def action_tone(action: ActionStatus) -> Tone:
    return _ENDINGS[action.phase][1]


def _done(status: LeakReportStatus) -> Answer:
    question = "What was done"
    if status.actions:
        newest = status.actions[0]
        at = moment(newest.finished_at) or moment(newest.intended_at)
        more = len(status.actions) - 1
        detail = newest.message or newest.reason
        if more:
            detail = f"{detail.rstrip('.')}; {more} action{'s' if more > 1 else ''} before it".lstrip("; ")
        return Answer(question, action_title(newest), f"{clock(at)} UTC" if at else "", detail, action_tone(newest))
    if status.phase is Phase.RECOVERED_ANYWAY:
        return Answer(question, "Nothing", "", status.message, Tone.CALM)
    action = status.plan.action if status.plan else "The action"
    refused = [guard for guard in status.guards if not guard.passed]
    if refused:
        first = refused[0]
        others = len(refused) - 1
        also = f" (and {others} more guard{'s' if others > 1 else ''})" if others else ""
        said = ": ".join(part for part in (first.reason or first.guard, first.message) if part)
        return Answer(question, "Nothing", "", f"{action} held back by {said}{also}", Tone.WARN)
    due = moment(status.plan.not_before) if status.plan else None
    if due:
        return Answer(question, "Nothing yet", f"{clock(due)} UTC", f"{action} is due then at the earliest.", Tone.WARN)
    detail = f"{action} is next. {status.plan.message}".strip() if status.plan else "No action is planned."
    return Answer(question, "Nothing yet" if status.plan else "Nothing", "", detail, Tone.WARN)


def _helped(status: LeakReportStatus) -> Answer:
    found = status.verification
    detail = found.message if found else ""
    if found and not detail and found.before and found.after:
        unit = status.verdict.unit if status.verdict else ""
        before, after = growth(found.before.growth_per_hour, unit), growth(found.after.growth_per_hour, unit)
        detail = f"Growth {before} before, {after} after."
    if not detail and status.phase not in (Phase.DETECTED, Phase.REMEDIATING):
        detail = status.message
    return Answer("Did it help", _HELPED[status.phase], "", detail, OUTCOMES[status.phase][1])


def steps(report: LeakReport) -> tuple[Step, ...]:
    """Everything that has a time, the earliest first."""
    spec, status = report.spec, report.status
    found: list[Step] = []

    def add(text: str | None, title: str, detail: str = "", tone: Tone = Tone.CALM, mark: str = "") -> None:
        if (at := moment(text)) is not None:
            found.append(Step(at, title, detail, tone, mark))

    add(spec.pod.created_at, "Pod created")
    add(spec.detected_at, "First judged a leak", f"signal {spec.signal}", Tone.WARN, "judged a leak")
    if status.verdict:
        verdict = status.verdict
        tone = {"Exhausting": Tone.BAD, "Leaking": Tone.WARN}.get(verdict.verdict, Tone.CALM)
        add(verdict.judged_at, f"Last judged {verdict.verdict}", verdict.message, tone, verdict.verdict)
    if status.evidence:
        title, tone = _CAPTURES[status.evidence.state]
        add(status.evidence.attempted_at, title, status.evidence.message or status.evidence.summary, tone)
    if status.plan and not status.actions:
        add(status.plan.not_before, f"{status.plan.action} due at the earliest", status.plan.message)
    for action in reversed(status.actions):
        add(action.intended_at, f"{action.type} decided", action.reason, Tone.WARN, action.type)
        if action.phase is not ActionPhase.PENDING:
            add(action.finished_at, action_title(action), action.message, action_tone(action))
        add(action.returned_at, "Replicas taken back")
    if status.verification:
        add(
            status.verification.since,
            "All replicas serve again",
            "from here on before and after are compared",
            mark="serving again",
        )
    outcome, tone = OUTCOMES[status.phase]
    add(status.ended_at, outcome, status.message, tone, outcome)
    return tuple(sorted(found, key=lambda step: step.at))
