"""Accepted findings: annotations, the configuration, the baseline; and exceptions that have ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from leakwarden.__main__ import main
from leakwarden.core.audit import Finding, Severity
from leakwarden.core.audit.exceptions import AuditException, apply_exceptions, parse_annotation, skip_reason
from tests.unit.cli.audit.audit_manifests import BAD, GOOD, SINGLE

FINDING = Finding("SingleReplica", Severity.WARNING, "", "one", "two", "LW304")
OF_APP = Finding("GraceBelowDrain", Severity.ERROR, "app", "short", "longer", "LW201")
TODAY = date(2026, 11, 30)
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Write a file into the working directory, which is empty before; returns its name."""
    monkeypatch.chdir(tmp_path)

    def _write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return name

    return _write


Write = Callable[[str, str], str]


def annotated(text: str, value: str) -> str:
    return text.replace("{name: ", f"{{annotations: {{leakwarden.dev/ignore: {json.dumps(value)}}}, name: ", 1)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("LW304: one is enough", [AuditException("LW304", "one is enough")]),
        ("SingleReplica: by name", [AuditException("SingleReplica", "by name")]),
        ("LW304: a; b; until 2027-03-01", [AuditException("LW304", "a; b", date(2027, 3, 1))]),
        ("LW201 [app]: of one container", [AuditException("LW201", "of one container", None, "app")]),
        ("LW201: a\n\n LW304: b\n", [AuditException("LW201", "a"), AuditException("LW304", "b")]),
    ],
)
def test_an_annotation_holds_checks_reasons_and_ends(text: str, read: list[AuditException]) -> None:
    assert parse_annotation(text) == (read, [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("LW304", "is not 'CHECK: reason"),
        ("everything: please", "is not 'CHECK: reason"),
        ("LW304: ", "LW304 has no reason"),
        ("LW304: ; until 2027-03-01", "LW304 has no reason"),
        ("LW304: x; until spring", "'spring' is not a day"),
        ("LW304: x\n" * 101, "has 101 entries, and 100 are read"),
    ],
)
def test_what_cannot_be_read_excepts_nothing_and_is_a_finding(text: str, complaint: str) -> None:
    counted, _ = apply_exceptions([], {"leakwarden.dev/ignore": text}, (), TODAY)
    assert [(finding.id, finding.severity) for finding in counted] == [("LW905", Severity.WARNING)]
    assert complaint in counted[0].message


def test_an_exception_holds_until_its_last_day_and_not_longer() -> None:
    exception = AuditException("LW304", "once", TODAY)
    assert apply_exceptions([FINDING], {}, [exception], TODAY)[0] == ()
    counted, excepted = apply_exceptions([FINDING], {}, [exception], date(2026, 12, 1))
    assert [finding.id for finding in counted] == ["LW304", "LW905"]
    assert "ended on 2026-11-30" in counted[1].message
    assert excepted == ()


def test_an_exception_of_one_container_covers_no_other() -> None:
    exception = AuditException("LW201", "it drains in the mesh", None, "other")
    assert apply_exceptions([OF_APP], {}, [exception], TODAY)[0] == (OF_APP,)


def test_an_exception_of_no_check_excepts_nothing_and_is_a_finding() -> None:
    counted, _ = apply_exceptions([], {"leakwarden.dev/ignore": "LW999: a slip of the pen"}, (), TODAY)
    assert [finding.id for finding in counted] == ["LW905"]
    assert "LW999 is not a check" in counted[0].message


POLICY = """
apiVersion: leakwarden.dev/v1alpha1
kind: ReliabilityPolicy
metadata: {name: p, namespace: shop}
spec:
  selector: {matchExpressions: [{key: app, operator: NotIn, values: [none]}]}
  audit:
    ignore:
    - {check: LW201, reason: drains elsewhere, until: %s}
"""


def test_what_the_policy_ignores_is_excepted_in_files_too(write: Write, capsys: Captured) -> None:
    name = write("x.yaml", BAD)
    main(["audit", name, "--policy", write("p.yaml", POLICY % "2999-01-01")])
    out, err = capsys.readouterr()
    assert err == ""
    assert "excepted LW201 GraceBelowDrain: drains elsewhere" in out
    main(["audit", name, "--policy", write("p.yaml", POLICY % "2020-01-01")])
    out = capsys.readouterr().out
    assert "excepted" not in out
    assert "spec.audit.ignore: the exception of LW201 (drains elsewhere) ended on 2020-01-01" in out


def test_what_the_api_server_refuses_cannot_be_excepted() -> None:
    refused = Finding("ApiRejects", Severity.ERROR, "", "API rejects", "", "LW901")
    assert apply_exceptions([refused], {}, [AuditException("LW901", "please")], TODAY)[0] == (refused,)


@pytest.mark.parametrize(
    ("value", "reason"), [("a test", "a test"), ("", "no reason given"), ("false", None), (None, None)]
)
def test_skip_leaves_the_object_out_unless_it_is_false(value: str | None, reason: str | None) -> None:
    assert skip_reason({} if value is None else {"leakwarden.dev/skip": value}) == reason


def test_an_excepted_finding_is_shown_with_its_reason_and_does_not_count(write: Write, capsys: Captured) -> None:
    name = write("x.yaml", annotated(SINGLE, "LW304: runs once by design"))
    assert main(["audit", name, "--fail-on", "warning"]) == 0
    assert "excepted LW304 SingleReplica: runs once by design" in capsys.readouterr().out
    main(["audit", name, "-o", "sarif"])
    (result,) = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    assert result["suppressions"][0]["justification"] == "runs once by design"
    main(["audit", name, "-o", "junit"])
    assert '<skipped message="runs once by design"' in capsys.readouterr().out


def test_a_skipped_object_is_named(write: Write, capsys: Captured) -> None:
    text = BAD.replace("{name: ", "{annotations: {leakwarden.dev/skip: being replaced}, name: ", 1)
    assert main(["audit", write("x.yaml", text)]) == 0
    assert "is not audited: leakwarden.dev/skip: being replaced" in capsys.readouterr().err


CONFIGURATION = """\
failOn: warning
drainTime: 3s
severities: {LW304: info, MinReadySecondsZero: off}
exceptions:
- {check: LW201, object: "shop/b*", reason: drains elsewhere, until: 2999-01-01}
"""


def test_the_configuration_is_found_and_in_force(write: Write, capsys: Captured) -> None:
    write(".leakwarden.yaml", CONFIGURATION)
    write("x.yaml", f"{SINGLE.replace('  minReadySeconds: 10', '')}---\n{BAD}")
    assert main(["audit", "x.yaml"]) == 0
    out = capsys.readouterr().out
    assert "info     LW304" in out
    assert "LW305" not in out
    assert "excepted LW201 GraceBelowDrain: drains elsewhere" in out


def test_the_configuration_may_name_the_paths(write: Write, capsys: Captured) -> None:
    write("x.yaml", BAD)
    write(".leakwarden.yaml", "paths: [x.yaml]\n")
    assert main(["audit"]) == 1
    assert "shop/bad" in capsys.readouterr().out


def test_the_strict_profile_fails_on_everything(write: Write) -> None:
    name = write("x.yaml", GOOD.replace("  minReadySeconds: 10\n", ""))
    assert main(["audit", name]) == 0
    assert main(["audit", name, "--profile", "strict"]) == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("fail: x", "'fail' is not known; profile, failOn"),
        ("failOn: sometimes", "failOn is 'sometimes'; one of error, warning"),
        ("profile: lax", "profile is 'lax'; default or strict"),
        ("drainTime: soon", "drainTime is 'soon'; a duration"),
        ("drainTime: 3", "drainTime is '3'; a duration"),
        ("paths: deploy", "paths must be a list"),
        ("severities: {LW999: info}", "'LW999' is not a check"),
        ("severities: {LW304: loud}", "severities.LW304 is 'loud'"),
        ("exceptions: [{check: LW304}]", "exceptions[0].reason is missing"),
        ("exceptions: [{check: LW304, reason: x, until: soon}]", "exceptions[0].until is 'soon'"),
        ("exceptions: [{check: LW304, reason: x, objekt: y}]", "exceptions[0].objekt is not known"),
        ("baseline: 3", "baseline is '3'; text is needed"),
        ("- a", "one mapping is needed"),
        ("a: b: c", "cannot be read"),
        ("baseline: absent.json", "absent.json: No such file"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_by_field_and_value(
    write: Write, capsys: Captured, text: str, complaint: str
) -> None:
    write(".leakwarden.yaml", text)
    assert main(["audit", write("x.yaml", GOOD)]) == 2
    out, err = capsys.readouterr()
    assert complaint in err
    assert out == ""


def test_what_is_in_the_baseline_does_not_count_and_what_is_new_does(write: Write, capsys: Captured) -> None:
    name = write("x.yaml", BAD)
    assert main(["audit", name, "--write-baseline", "base.json"]) == 0
    assert main(["audit", name, "--baseline", "base.json"]) == 0
    # A number that changes is the same finding; another object is not.
    write("x.yaml", BAD.replace("'35'", "'36'"))
    assert main(["audit", name, "--baseline", "base.json"]) == 0
    write("x.yaml", BAD.replace("name: bad", "name: worse"))
    assert main(["audit", name, "--baseline", "base.json"]) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "findings": [{}]}', '{"version": 9, "findings": []}'])
def test_a_baseline_that_is_none_is_refused(write: Write, capsys: Captured, text: str) -> None:
    assert main(["audit", write("x.yaml", GOOD), "--baseline", write("base.json", text)]) == 2
    assert "base.json: " in capsys.readouterr().err
