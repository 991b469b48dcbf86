"""The audit's result as GitHub code scanning reads it (SARIF 2.1.0)."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from leakwarden import __version__
from leakwarden.cli.audit.report import Audited, AuditResult, printable, sentence
from leakwarden.core.audit import CHECKS, Finding, Severity
from leakwarden.core.audit.objects import OBJECT_CHECKS
from leakwarden.core.audit.pages import help_uri, page

if TYPE_CHECKING:
    from leakwarden.cli.audit.lines import FieldLines

_LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_ALL = (*CHECKS, *OBJECT_CHECKS)


def sarif(result: AuditResult, lines: FieldLines) -> str:
    index = {check.id: number for number, check in enumerate(_ALL)}
    results = []
    for one in result.audited:
        results += [_result(one, finding, index, lines, None) for finding in one.findings]
        results += [_result(one, each.finding, index, lines, each.reason) for each in one.excepted]
    run = {
        "tool": {
            "driver": {"name": "leakwarden", "version": __version__, "rules": [_rule(n) for n in range(len(_ALL))]}
        },
        "invocations": [
            {
                "executionSuccessful": not result.problems,
                "toolExecutionNotifications": [
                    *({"level": "error", "message": {"text": printable(text)}} for text in result.problems),
                    *(
                        {"level": "note", "message": {"text": printable(text)}}
                        for text in (*result.unaudited, *result.notes)
                    ),
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2)


def _rule(number: int) -> dict[str, Any]:
    check = _ALL[number]
    described = page(check)
    return {
        "id": check.id,
        "name": check.name,
        "shortDescription": {"text": described.title},
        "fullDescription": {"text": described.why or described.title},
        "helpUri": help_uri(check),
        "help": {"text": f"{described.why}\n\n{described.mend}", "markdown": described.markdown},
    }


def _result(
    one: Audited, finding: Finding, index: dict[str, int], lines: FieldLines, excepted: str | None
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "ruleId": finding.id,
        "ruleIndex": index[finding.id],
        "level": _LEVEL[finding.severity],
        "message": {"text": sentence(one, finding)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(one.place.file)},
                    "region": {"startLine": lines.of(one, finding)},
                },
                "logicalLocations": [{"fullyQualifiedName": printable(one.key), "kind": "resource"}],
            }
        ],
        # Without the line and the numbers in the message: an alert stays the same one when the file is edited.
        "partialFingerprints": {
            "leakwarden/v1": hashlib.sha256(
                "\0".join(
                    (one.identity.kind, one.identity.namespace, one.identity.name, finding.id, finding.container)
                ).encode("utf-8", "replace")
            ).hexdigest()
        },
    }
    if excepted is not None:
        made["suppressions"] = [{"kind": "external", "status": "accepted", "justification": printable(excepted)}]
    return made


def _uri(file: str) -> str:
    """Relative to the working directory where the file is below it, as code scanning expects paths."""
    relative = os.path.relpath(file) if os.path.isabs(file) else os.path.normpath(file)
    path = PurePath(relative)
    if path.parts and path.parts[0] == "..":
        return PurePath(os.path.abspath(file)).as_uri()
    return quote(path.as_posix())
