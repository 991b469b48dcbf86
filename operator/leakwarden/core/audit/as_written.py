"""The checks that read a Deployment as it is written, for the operator: it keeps facts, and not manifests.

So they run once, when a template is decoded, and their findings are kept with the workload.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from leakwarden.core.audit import objects, starts, templates
from leakwarden.core.audit.checks import found
from leakwarden.core.audit.findings import Check, Defect, Finding
from leakwarden.core.audit.written import mapping

CHECKS = (objects.VARIABLE_TWICE, *templates.CHECKS, *starts.CHECKS)
# Without one of these in a template none of the checks can find anything, and it need not be read twice.
_MARKS = (b'"exec"', b'"postStart"', b'"preStop"', b'"podAntiAffinity"', b'"env"')
_CONTAINER = re.compile(r"(.*\.(?:containers|initContainers)\[([0-9]+)\])(?:\.(.*))?$")


def worth_reading(template: bytes) -> bool:
    """Whether a pod template, as JSON, has anything that these checks look at."""
    return any(mark in template for mark in _MARKS)


def written_findings(body: Mapping[str, Any]) -> tuple[Finding, ...]:
    """The findings about a Deployment's manifest."""
    made = [
        (check, defect)
        for check in CHECKS
        if not check.kinds or body.get("kind") in check.kinds
        for defect in check.find(body)
    ]
    return tuple(placed(check, defect, body) for check, defect in made)


def placed(check: Check, defect: Defect, body: Mapping[str, Any]) -> Finding:
    """The finding, with its container named where it is about a field of one, as the findings of the checks are."""
    finding = found(check, defect)
    match = _CONTAINER.match(finding.field)
    if match is None:
        return finding
    value: Any = body
    for part in re.findall(r"[^.\[\]]+", match[1]):
        value = value[int(part)] if isinstance(value, list) and part.isdigit() else mapping(value).get(part)
    name = mapping(value).get("name")
    # The field stays as it is from the object, since containers may share a name.
    return dataclasses.replace(finding, container=name[:63]) if isinstance(name, str) else finding
