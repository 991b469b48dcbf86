"""The audit's result for programs: JSON, JUnit, GitHub's annotations and a Markdown summary.

None of them reports a check as passed that was not run.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from leakwarden.cli.audit.report import Audited, AuditResult, counted, printable, sentence, summary
from leakwarden.core.audit import CHECKS, Finding, Severity

if TYPE_CHECKING:
    from leakwarden.cli.audit.lines import FieldLines

_GITHUB = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def as_json(result: AuditResult, lines: FieldLines) -> str:
    return json.dumps(
        {
            "objects": [_object(one, lines) for one in result.shown],
            "summary": counted(result.audited),
            "problems": [_safe(text) for text in result.problems],
            "notes": [_safe(text) for text in (*result.notes, *result.unaudited)],
        },
        indent=2,
    )


def _object(one: Audited, lines: FieldLines) -> dict[str, Any]:
    return {
        "file": one.place.file,
        "document": one.place.number,
        "line": one.place.line,
        "kind": one.identity.kind,
        "namespace": one.identity.namespace,
        "name": _safe(one.identity.name),
        "findings": [_finding(one, finding, lines) for finding in one.findings],
        "excepted": [{**_finding(one, e.finding, lines), "reason": e.reason} for e in one.excepted],
        "skipped": [asdict(skipped) for skipped in one.skipped],
        "unasked": one.unasked,
    }


def _finding(one: Audited, finding: Finding, lines: FieldLines) -> dict[str, Any]:
    return {
        "id": finding.id,
        "check": finding.check,
        "severity": finding.severity,
        "container": _safe(finding.container),
        "message": _safe(finding.message),
        "hint": _safe(finding.hint),
        "line": lines.of(one, finding),
    }


def junit(result: AuditResult, fail_on: Severity | None, lines: FieldLines) -> str:
    """One suite per object, one case per check and container. Only findings that fail the run are failures."""
    root = ElementTree.Element("testsuites", name="leakwarden audit")
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for one in result.shown:
        suite = ElementTree.SubElement(root, "testsuite", name=printable(one.title), file=printable(one.place.file))
        failures = _failures(suite, one, fail_on, lines)
        skipped = _rest(suite, one) if one.is_workload else 0
        _count(suite, totals, tests=len(suite), failures=failures, errors=0, skipped=skipped)
    unread = [*(("Unreadable", text) for text in result.problems)]
    if unread or result.unaudited:
        suite = ElementTree.SubElement(root, "testsuite", name="input")
        for kind, text in unread:
            case = ElementTree.SubElement(suite, "testcase", name="readable", classname="input")
            ElementTree.SubElement(case, "error", type=kind, message=printable(text))
        for text in result.unaudited:
            case = ElementTree.SubElement(suite, "testcase", name="audited", classname="input")
            ElementTree.SubElement(case, "skipped", message=printable(text))
        _count(suite, totals, tests=len(suite), failures=0, errors=len(unread), skipped=len(result.unaudited))
    for name, number in totals.items():
        root.set(name, str(number))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False)


def _failures(suite: ElementTree.Element, one: Audited, fail_on: Severity | None, lines: FieldLines) -> int:
    failures = 0
    for finding in one.findings:
        name = f"{finding.id} {finding.check}"
        case = _case(suite, one, f"{name} [{printable(finding.container)}]" if finding.container else name)
        case.set("line", str(lines.of(one, finding)))
        text = printable(f"{finding.message}\n-> {finding.hint}")
        if fail_on is not None and finding.at_least(fail_on):
            failures += 1
            element = ElementTree.SubElement(case, "failure", type=finding.severity, message=printable(finding.message))
            element.text = text
        else:
            ElementTree.SubElement(case, "system-out").text = f"{finding.severity}: {text}"
    return failures


def _rest(suite: ElementTree.Element, one: Audited) -> int:
    """The checks without findings: passed where they were run, skipped where not. Returns the number of skipped
    ones."""
    said = {finding.check for finding in one.findings}
    skipped = 0
    excepted = {each.finding.check: each.reason for each in one.excepted}
    unasked = one.unasked
    for check in CHECKS:
        if check.name in said:
            continue
        case = _case(suite, one, f"{check.id} {check.name}")
        why = excepted.get(check.name) or unasked.get(check.id)
        if why:
            skipped += 1
            ElementTree.SubElement(case, "skipped", message=printable(why))
    return skipped


def github(result: AuditResult, lines: FieldLines) -> str:
    """Workflow commands, from which GitHub makes annotations at the exact line."""
    made = []
    for one in result.audited:
        for finding in one.findings:
            place = f"file={_property(one.place.file)},line={lines.of(one, finding)}"
            title = _property(f"{finding.id} {finding.check}")
            made.append(f"::{_GITHUB[finding.severity]} {place},title={title}::{_data(sentence(one, finding))}")
    made += [f"::error title=not read::{_data(printable(text))}" for text in result.problems]
    made += [f"::notice title=not audited::{_data(printable(text))}" for text in result.unaudited]
    made.append(summary(result))
    return "\n".join(made)


def markdown(result: AuditResult) -> str:
    """Text for a pull request's comment or a job's summary."""
    made = [f"**{_cell(summary(result))}**", ""]
    if any(one.findings for one in result.audited):
        made += ["| | object | check | what is so | what to write |", "|---|---|---|---|---|"]
    for one in result.audited:
        for finding in one.findings:
            where = f"{one.title} [{finding.container}]" if finding.container else one.title
            cells = (finding.severity, where, f"{finding.id} {finding.check}", finding.message, finding.hint)
            made.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    for title, texts in (("Not read", result.problems), ("Not audited", [*result.unaudited, *result.notes])):
        if texts:
            made += ["", f"{title}:", "", *(f"- {_cell(text)}" for text in texts)]
    return "\n".join(made)


def _safe(text: str) -> str:
    """The text without lone surrogates, which other programs could not read."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _cell(text: str) -> str:
    shown = printable(text)
    for mark in "\\`|<>*_[]":
        shown = shown.replace(mark, f"\\{mark}")
    return shown


def _property(text: str) -> str:
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _case(suite: ElementTree.Element, one: Audited, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", name=name, classname=printable(one.title), file=printable(one.place.file),
        line=str(one.place.line),
    )  # fmt: skip


def _count(suite: ElementTree.Element, totals: dict[str, int], **numbers: int) -> None:
    for name, number in numbers.items():
        suite.set(name, str(number))
        totals[name] += number
