"""`spec.audit.ignore`: the accepted values, and the errors for all others."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from leakwarden.api.crd import policy_crd
from leakwarden.api.v1alpha1.audit import MAX_IGNORED, NEVER_EXCEPTED, Audit, IgnoredCheck
from leakwarden.core.audit.objects import API_REJECTS, EXCEPTION_UNFIT, VERSION_REMOVED
from leakwarden.core.model.policy import parse_policy
from tests.builders import body

GOOD: dict[str, Any] = {"check": "LW203", "reason": "drains in the mesh"}
SPEC = policy_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
SCHEMA = SPEC["properties"]["audit"]["properties"]["ignore"]


def refusal(**changes: Any) -> str:
    return parse_policy(body(spec={"audit": {"ignore": [{**GOOD, **changes}]}})).error


@pytest.mark.parametrize(
    "changes",
    [{}, {"check": "PreStopLengthUnknown"}, {"until": "2027-03-01"}, {"until": "2028-02-29"}, {"container": "app"}],
)
def test_a_check_with_a_reason_is_taken(changes: dict[str, Any]) -> None:
    assert refusal(**changes) == ""


def test_a_day_that_a_yaml_reader_made_a_date_of_is_the_same_day() -> None:
    assert IgnoredCheck.model_validate({**GOOD, "until": date(2027, 3, 1)}).until == "2027-03-01"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reason": " \t"}, "reason of LW203 must say why"),
        ({"reason": "x" * 301}, "spec.audit.ignore[0].reason"),
        ({"check": "lw203"}, "spec.audit.ignore[0].check is 'lw203'"),
        ({"check": "LW905"}, "check LW905 cannot be excepted"),
        ({"until": "2027-02-30"}, "spec.audit.ignore[0].until is '2027-02-30': a day like 2027-03-01 is needed"),
        ({"until": "20270301"}, "a day like 2027-03-01 is needed"),
        ({"until": "2027-03-01T00:00:00Z"}, "a day like 2027-03-01 is needed"),
        ({"untill": "2027-03-01"}, "spec.audit.ignore[0].untill is '2027-03-01': no such field"),
    ],
)
def test_what_cannot_be_an_exception_is_refused_by_field_and_value(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(**changes)


def test_a_policy_accepts_a_bounded_number_of_checks() -> None:
    Audit.model_validate({"ignore": [GOOD] * MAX_IGNORED})
    with pytest.raises(ValidationError, match="at most 32"):
        Audit.model_validate({"ignore": [GOOD] * (MAX_IGNORED + 1)})
    assert SCHEMA["maxItems"] == MAX_IGNORED


def test_the_api_server_has_the_same_rules() -> None:
    said = {rule["message"] for rule in SCHEMA["items"]["x-kubernetes-validations"]}
    assert said == {rule.message for rule in IgnoredCheck.RULES}
    assert SCHEMA["items"]["properties"]["until"]["format"] == "date"
    assert SCHEMA["items"]["required"] == ["check", "reason"]


def test_what_can_never_be_excepted_is_what_the_audit_never_excepts() -> None:
    checks = (API_REJECTS, VERSION_REMOVED, EXCEPTION_UNFIT)
    assert set(NEVER_EXCEPTED) == {name for check in checks for name in (check.id, check.name)}
