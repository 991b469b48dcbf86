"""The audit's result, and its table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leakwarden.core.model.text import printable as printable  # the other commands import it from here

if TYPE_CHECKING:
    from leakwarden.cli.audit.files import DocumentPlace
    from leakwarden.core.audit import Finding, Severity, Skipped
    from leakwarden.core.audit.asked import Asked
    from leakwarden.core.audit.exceptions import Excepted
    from leakwarden.core.audit.related import Identity

_COLOUR = {"Error": "\033[31m", "Warning": "\033[33m", "Info": "\033[36m"}
_RESET = "\033[0m"


@dataclass(frozen=True, slots=True)
class Audited:
    """One object with its findings."""

    place: DocumentPlace
    identity: Identity
    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...] = ()
    excepted: tuple[Excepted, ...] = ()
    asked: Asked | None = None  # None for objects that are not workloads: no check of CHECKS is run for them

    @property
    def is_workload(self) -> bool:
        return self.asked is not None

    @property
    def unasked(self) -> dict[str, str]:
        """The checks (id -> reason) that could not be run for it."""
        return self.asked.not_asked(self.identity.kind) if self.asked else {}

    @property
    def key(self) -> str:
        return self.identity.key

    @property
    def title(self) -> str:
        """Deployments by their key alone, since they are the most frequent; others with their kind."""
        return self.key if self.identity.kind == "Deployment" else f"{self.identity.kind} {self.key}"


@dataclass(slots=True)
class AuditResult:
    """The result of one run of the audit."""

    audited: list[Audited] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unaudited: list[str] = field(default_factory=list)  # objects that were read and not audited: (place or count, why)

    @property
    def workloads(self) -> list[Audited]:
        return [each for each in self.audited if each.is_workload]

    @property
    def shown(self) -> list[Audited]:
        """The objects to show: workloads, and other objects only where there is a finding."""
        return [each for each in self.audited if each.is_workload or each.findings or each.excepted]

    def at_least(self, severity: Severity) -> bool:
        return any(finding.at_least(severity) for each in self.audited for finding in each.findings)


def summary(result: AuditResult) -> str:
    from leakwarden.core.audit import Severity

    findings = [finding for one in result.audited for finding in one.findings]
    counts = ", ".join(
        plural(sum(finding.severity is severity for finding in findings), severity.lower()) for severity in Severity
    )
    kinds: dict[str, int] = {}
    for one in result.workloads:
        kinds[one.identity.kind] = kinds.get(one.identity.kind, 0) + 1
    what = ", ".join(plural(number, kind) for kind, number in kinds.items()) or "no workload"
    excepted = sum(len(one.excepted) for one in result.audited)
    more = f", {excepted} excepted" if excepted else ""
    unread = f"; {plural(len(result.problems), 'problem')} with the input" if result.problems else ""
    return f"{what}: {counts}{more}{unread}"


def table(result: AuditResult, colour: bool) -> str:
    """Grouped by object, two lines per finding: the problem, and the text to write instead."""
    lines: list[str] = []
    for one in result.shown:
        lines.append(f"{printable(one.title)}  ({printable(one.place.file)}:{one.place.line})")
        for finding in one.findings:
            severity = f"{finding.severity.lower():<7}"
            if colour:
                severity = f"{_COLOUR[finding.severity]}{severity}{_RESET}"
            where = f" [{printable(finding.container)}]" if finding.container else ""
            lines.append(f"  {severity}  {finding.id} {finding.check}{where}: {printable(finding.message)}")
            lines.append(f"           -> {printable(finding.hint)}")
        if not one.findings:
            lines.append("  nothing found")
        lines += [f"  excepted {e.finding.id} {e.finding.check}: {printable(e.reason)}" for e in one.excepted]
        lines += [f"  skipped  container {printable(s.container)}: {s.reason}" for s in one.skipped]
        lines.append("")
    lines.append(summary(result))
    return "\n".join(lines)


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def sentence(one: Audited, finding: Finding) -> str:
    where = f"{one.title}, container {finding.container}" if finding.container else one.title
    return printable(f"{where}: {finding.message}. Hint: {finding.hint}")


def counted(audited: Sequence[Audited]) -> dict[str, int]:
    from leakwarden.core.audit import Severity

    return {
        severity.lower(): sum(f.severity is severity for one in audited for f in one.findings) for severity in Severity
    }
