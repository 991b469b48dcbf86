"""The audit's result as people, scripts, GitHub code scanning (SARIF 2.1.0) and CI servers (JUnit) read it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from urllib.parse import quote
from xml.etree import ElementTree

from leakwarden import __version__
from leakwarden.cli.audit.files import DocumentPlace
from leakwarden.core.audit import CHECKS, Finding, Severity, Skipped
from leakwarden.core.model.text import printable as printable  # the other commands take it from here

_LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_COLOUR = {Severity.ERROR: "\033[31m", Severity.WARNING: "\033[33m", Severity.INFO: "\033[36m"}
_RESET = "\033[0m"


@dataclass(frozen=True, slots=True)
class Audited:
    """One Deployment with its findings. `namespace` is empty where the manifest names none."""

    place: DocumentPlace
    namespace: str
    name: str
    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def summary(audited: Sequence[Audited]) -> str:
    findings = [finding for one in audited for finding in one.findings]
    counts = ", ".join(
        _plural(sum(finding.severity is severity for finding in findings), severity.lower()) for severity in Severity
    )
    return f"{_plural(len(audited), 'Deployment')}: {counts}"


def table(audited: Sequence[Audited], colour: bool) -> str:
    """Grouped by Deployment, a finding in two lines: what is so, and what to write instead."""
    lines: list[str] = []
    for one in audited:
        lines.append(f"{printable(one.key)}  ({printable(one.place.file)}:{one.place.line})")
        for finding in one.findings:
            severity = f"{finding.severity.lower():<7}"
            if colour:
                severity = f"{_COLOUR[finding.severity]}{severity}{_RESET}"
            where = f" [{printable(finding.container)}]" if finding.container else ""
            lines.append(f"  {severity}  {finding.check}{where}: {printable(finding.message)}")
            lines.append(f"           -> {printable(finding.hint)}")
        if not one.findings:
            lines.append("  nothing found")
        lines += [f"  skipped  container {printable(s.container)}: {s.reason}" for s in one.skipped]
        lines.append("")
    lines.append(summary(audited))
    return "\n".join(lines)


def as_json(audited: Sequence[Audited], problems: Sequence[str]) -> str:
    return json.dumps(
        {
            "deployments": [
                {
                    "file": one.place.file,
                    "document": one.place.number,
                    "line": one.place.line,
                    "namespace": one.namespace,
                    "name": one.name,
                    "findings": [asdict(finding) for finding in one.findings],
                    "skipped": [asdict(skipped) for skipped in one.skipped],
                }
                for one in audited
            ],
            "summary": {
                severity.lower(): sum(f.severity is severity for one in audited for f in one.findings)
                for severity in Severity
            },
            "problems": list(problems),
        },
        indent=2,
    )


def sarif(audited: Sequence[Audited], problems: Sequence[str]) -> str:
    index = {check.name: number for number, check in enumerate(CHECKS)}
    results = [
        {
            "ruleId": finding.check,
            "ruleIndex": index[finding.check],
            "level": _LEVEL[finding.severity],
            "message": {"text": _sentence(one, finding)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(one.place.file)},
                        "region": {"startLine": one.place.line},
                    },
                    "logicalLocations": [{"fullyQualifiedName": one.key, "kind": "resource"}],
                }
            ],
            # Without the line and the numbers in the message: an alert stays the same one when the file is edited.
            "partialFingerprints": {
                "leakwarden/v1": hashlib.sha256(
                    "\0".join((one.namespace, one.name, finding.check, finding.container)).encode()
                ).hexdigest()
            },
        }
        for one in audited
        for finding in one.findings
    ]
    run = {
        "tool": {
            "driver": {
                "name": "leakwarden",
                "version": __version__,
                "rules": [
                    {"id": check.name, "name": check.name, "shortDescription": {"text": check.summary}}
                    for check in CHECKS
                ],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not problems,
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": problem}} for problem in problems
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2)


def junit(audited: Sequence[Audited], problems: Sequence[str], fail_on: Severity | None) -> str:
    """A suite a Deployment, a case a check and container. Only what fails the run is a failure."""
    root = ElementTree.Element("testsuites", name="leakwarden audit")
    totals = {"tests": 0, "failures": 0, "errors": 0}
    for one in audited:
        suite = ElementTree.SubElement(root, "testsuite", name=printable(one.key), file=printable(one.place.file))
        found = {finding.check for finding in one.findings}
        failures = 0
        for finding in one.findings:
            name = f"{finding.check} [{printable(finding.container)}]" if finding.container else finding.check
            case = _case(suite, one, name)
            text = printable(f"{finding.message}\n-> {finding.hint}")
            if fail_on is not None and finding.at_least(fail_on):
                failures += 1
                element = ElementTree.SubElement(
                    case, "failure", type=finding.severity, message=printable(finding.message)
                )
                element.text = text
            else:
                ElementTree.SubElement(case, "system-out").text = f"{finding.severity}: {text}"
        for check in CHECKS:
            if check.name not in found:
                _case(suite, one, check.name)
        _count(suite, totals, tests=len(suite), failures=failures, errors=0)
    if problems:
        suite = ElementTree.SubElement(root, "testsuite", name="input")
        for problem in problems:
            case = ElementTree.SubElement(suite, "testcase", name="readable", classname="input")
            ElementTree.SubElement(case, "error", type="Unreadable", message=printable(problem))
        _count(suite, totals, tests=len(problems), failures=0, errors=len(problems))
    for name, number in totals.items():
        root.set(name, str(number))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False)


def _case(suite: ElementTree.Element, one: Audited, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", name=name, classname=printable(one.key), file=printable(one.place.file),
        line=str(one.place.line),
    )  # fmt: skip


def _count(suite: ElementTree.Element, totals: dict[str, int], **numbers: int) -> None:
    for name, number in numbers.items():
        suite.set(name, str(number))
        totals[name] += number


def _sentence(one: Audited, finding: Finding) -> str:
    where = f"{one.key}, container {finding.container}" if finding.container else one.key
    return printable(f"{where}: {finding.message}. Hint: {finding.hint}")


def _uri(file: str) -> str:
    """Relative to the working directory where the file is below it, as code scanning knows paths."""
    relative = os.path.relpath(file) if os.path.isabs(file) else os.path.normpath(file)
    path = PurePath(relative)
    if path.parts and path.parts[0] == "..":
        return PurePath(os.path.abspath(file)).as_uri()
    return quote(path.as_posix())


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
