"""Every check about the other objects of a workload, on one that passes it and on one that fails it."""

from __future__ import annotations

import pytest

from tests.unit.audit import related_cases, sharing_cases, traffic_cases, volume_cases
from tests.unit.audit.related_cases import RelatedCase

PASSES = {**related_cases.PASSES, **traffic_cases.PASSES, **volume_cases.PASSES, **sharing_cases.PASSES}
FAILS = {**related_cases.FAILS, **traffic_cases.FAILS, **volume_cases.FAILS, **sharing_cases.FAILS}


def cases(table: dict[str, list[RelatedCase]]) -> list[object]:
    return [pytest.param(check, case, id=f"{check}: {case.what}") for check, each in table.items() for case in each]


@pytest.mark.parametrize(("check", "case"), cases(PASSES))
def test_the_check_passes(check: str, case: RelatedCase) -> None:
    assert case.findings(check) == []


@pytest.mark.parametrize(("check", "case"), cases(FAILS))
def test_the_check_fails(check: str, case: RelatedCase) -> None:
    findings = case.findings(check)
    assert [finding.severity for finding in findings] == [case.severity] * len(findings) != []
    assert case.says in findings[0].message
    assert findings[0].hint
