"""Findings that people have decided to accept: by annotation, in a policy, in the configuration, or in a baseline.

Every exception has a reason and may have an end. An exception that has ended, or that cannot be read, is a finding
itself and excepts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from leakwarden.api.names import IGNORE_ANNOTATION, SKIP_ANNOTATION
from leakwarden.core.audit.checks import CHECKS, found, ranked
from leakwarden.core.audit.findings import Finding
from leakwarden.core.audit.objects import EXCEPTION_UNFIT, OBJECT_CHECKS, exception_unfit

if TYPE_CHECKING:
    from leakwarden.api.v1alpha1.policy import Audit

MAX_ENTRIES = 100  # of one annotation
IN_POLICY = "spec.audit.ignore"
_KNOWN = frozenset(name for check in (*CHECKS, *OBJECT_CHECKS) for name in (check.id, check.name))

_ENTRY = re.compile(
    r"\s*(?P<check>LW[0-9]{3}|[A-Z][A-Za-z]{2,63})\s*(?:\[(?P<container>[^\]]{0,63})\])?\s*:(?P<rest>.*)", re.DOTALL
)
_UNTIL = re.compile(r"until\s+(?P<until>\S{1,40})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AuditException:
    """One check whose findings are accepted, for one container or (empty) for all. `until` is the last day that it
    holds."""

    check: str  # an id or a name
    reason: str
    until: date | None = None
    container: str = ""
    place: str = field(default=IGNORE_ANNOTATION, compare=False)  # where it is written, in words

    def covers(self, finding: Finding) -> bool:
        return self.check in (finding.id, finding.check) and self.container in ("", finding.container)


@dataclass(frozen=True, slots=True)
class Excepted:
    """A finding that is not counted, and why."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class AuditOutcome:
    """The result of one workload's audit: the findings that count, worst first, and the accepted ones."""

    findings: tuple[Finding, ...]
    excepted: tuple[Excepted, ...] = ()
    unread: tuple[str, ...] = ()  # other objects that were not read, in words, so that some checks were not run


def policy_exceptions(policy_audit: Audit) -> list[AuditException]:
    """The exceptions of a policy's `spec.audit.ignore`."""
    return [
        AuditException(
            each.check,
            each.reason.strip(),
            date.fromisoformat(each.until) if each.until is not None else None,
            each.container or "",
            IN_POLICY,
        )
        for each in policy_audit.ignore
    ]


def parse_annotation(text: str) -> tuple[list[AuditException], list[str]]:
    """The exceptions of an annotation's value, and a message for each part that cannot be read.

    Written `CHECK: reason; until 2027-03-01`, several of them one per line. CHECK may name a container in brackets.
    """
    read: list[AuditException] = []
    wrong: list[str] = []
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > MAX_ENTRIES:
        wrong.append(f"{IGNORE_ANNOTATION} has {len(lines)} entries, and {MAX_ENTRIES} are read")
    for line in lines[:MAX_ENTRIES]:
        match = _ENTRY.fullmatch(line)
        if match is None:
            wrong.append(f"{IGNORE_ANNOTATION}: {line.strip()[:60]!r} is not 'CHECK: reason; until YEAR-MONTH-DAY'")
            continue
        reason, until = match["rest"], None
        head, _, tail = reason.rpartition(";")
        if ended := _UNTIL.fullmatch(tail.strip()):
            reason = head
            try:
                until = date.fromisoformat(ended["until"])
            except ValueError:
                wrong.append(f"{IGNORE_ANNOTATION}: {match['check']}: {ended['until']!r} is not a day like 2027-03-01")
                continue
        if not reason.strip():
            wrong.append(f"{IGNORE_ANNOTATION}: {match['check']} has no reason")
            continue
        read.append(AuditException(match["check"], reason.strip()[:300], until, match["container"] or ""))
    return read, wrong


def apply_exceptions(
    findings: Iterable[Finding], annotations: Mapping[str, str], others: Iterable[AuditException], today: date
) -> tuple[tuple[Finding, ...], tuple[Excepted, ...]]:
    """(the findings that still count, the excepted ones). Exceptions that have ended or cannot be read are among the
    former.

    A refusal of the API server cannot be excepted: no decision makes the object work.
    """
    read, wrong = parse_annotation(annotations[IGNORE_ANNOTATION]) if annotations.get(IGNORE_ANNOTATION) else ([], [])
    current = []
    for each in (*read, *others):
        if each.check not in _KNOWN:
            wrong.append(f"{each.place}: {each.check} is not a check; leakwarden checks lists them")
        elif each.until is not None and each.until < today:
            ended = f"ended on {each.until.isoformat()}"
            wrong.append(f"{each.place}: the exception of {each.check} ({each.reason}) {ended}")
        else:
            current.append(each)
    counted: list[Finding] = []
    excepted: list[Excepted] = []
    for finding in findings:
        cover = next((each for each in current if each.covers(finding)), None)
        if cover is None or finding.id in ("LW901", "LW902", "LW905"):
            counted.append(finding)
        else:
            excepted.append(Excepted(finding, cover.reason))
    counted += [found(EXCEPTION_UNFIT, defect) for text in wrong for defect in exception_unfit(text)]
    return ranked(counted), tuple(excepted)


def skip_reason(annotations: Mapping[str, str]) -> str | None:
    """The reason why the whole object is left out of the audit: the value of `leakwarden.dev/skip`; None where it is
    audited."""
    value = annotations.get(SKIP_ANNOTATION)
    return None if value is None or value.strip().lower() == "false" else value.strip()[:300] or "no reason given"
