"""On the documented cases of kube-score, kube-linter and polaris the audit gives the expected findings, or a reason for
none."""

from __future__ import annotations

import pytest

from leakwarden.core.audit.pages import every_check
from tests.unit.audit.peers import PEERS, PeerCase, cases, peer

EVERY = [each for name in PEERS for each in cases(name)]


@pytest.mark.parametrize("case", EVERY, ids=lambda case: f"{case.peer}: {case.check}: {case.case}")
def test_a_documented_case_of_another_tool(case: PeerCase) -> None:
    found = {finding.id for finding in case.findings()}
    assert set(case.says) <= found, found
    assert not set(case.silent) & found


@pytest.mark.parametrize("case", EVERY, ids=lambda case: f"{case.peer}: {case.check}: {case.case}")
def test_where_the_two_differ_the_reason_is_written(case: PeerCase) -> None:
    assert case.why or not case.differs
    assert case.says or case.silent
    assert {*case.says, *case.silent} <= {check.id for check in every_check()}


@pytest.mark.parametrize("name", PEERS)
def test_every_check_of_another_tool_has_a_case_or_is_of_security_or_style(name: str) -> None:
    covered = {each.check for each in cases(name)}
    left_out = set(peer(name)["of_security_and_style"])
    assert not covered & left_out
    assert len(covered) >= 10
