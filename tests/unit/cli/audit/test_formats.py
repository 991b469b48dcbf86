"""`leakwarden audit -o ...`: each format has the content that its readers look for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from leakwarden.__main__ import main
from leakwarden.core.audit import CHECKS
from tests.unit.cli.audit.audit_manifests import BAD, GOOD, SINGLE


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Write a file into the working directory, which is empty before; returns its name."""
    monkeypatch.chdir(tmp_path)

    def _write(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    return _write


Write = Callable[[str, str], str]
Captured = pytest.CaptureFixture[str]


def test_json_holds_place_findings_and_counts(write: Write, capsys: Captured) -> None:
    main(["audit", write("x.yaml", f"{GOOD}---\n{BAD}"), "-o", "json"])
    answer = json.loads(capsys.readouterr().out)
    good, bad = answer["objects"]
    assert (bad["file"], bad["document"], bad["line"], bad["namespace"], bad["name"]) == (
        "x.yaml",
        2,
        27,
        "shop",
        "bad",
    )
    assert good["findings"] == []
    assert [(f["check"], f["severity"], f["container"]) for f in bad["findings"]] == [
        ("GraceBelowDrain", "Error", "app")
    ]
    assert answer["summary"] == {"error": 1, "warning": 0, "info": 0}
    assert answer["problems"] == []


def test_sarif_is_what_code_scanning_reads(write: Write, capsys: Captured) -> None:
    main(["audit", write("dir with space/x.yaml", f"{GOOD}---\n{BAD}---\n{SINGLE}"), "-o", "sarif"])
    log = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules[: len(CHECKS)]] == [check.id for check in CHECKS]
    assert all(rule["helpUri"].endswith(f"#{rule['id'].lower()}-{rule['name'].lower()}") for rule in rules)
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [
        ("LW201", "error"),
        ("LW304", "warning"),
    ]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == "dir%20with%20space/x.yaml"
    lines = [r["locations"][0]["physicalLocation"]["region"]["startLine"] for r in run["results"]]
    assert lines == [36, 57]  # the pod's spec, where the grace period would be, and spec.replicas
    prints = [r["partialFingerprints"]["leakwarden/v1"] for r in run["results"]]
    assert len(set(prints)) == 2


def test_a_sarif_alert_stays_the_same_when_the_file_is_edited_above_it(write: Write, capsys: Captured) -> None:
    fingerprints = []
    for text in (BAD, f"# a line more\n{BAD}"):
        main(["audit", write("x.yaml", text), "-o", "sarif"])
        (result,) = json.loads(capsys.readouterr().out)["runs"][0]["results"]
        fingerprints.append(result["partialFingerprints"])
    assert fingerprints[0] == fingerprints[1]


def test_junit_counts_what_it_lists_and_fails_only_what_fails_the_run(write: Write, capsys: Captured) -> None:
    main(["audit", write("x.yaml", f"{SINGLE}---\n{BAD}---\na: b: c"), "-o", "junit"])
    root = ElementTree.fromstring(capsys.readouterr().out)
    single, bad, unreadable = root.findall("testsuite")
    assert single.findall(".//failure") == []
    assert "replicas is 1" in (single.findtext(".//system-out") or "")
    (failure,) = bad.findall(".//failure")
    assert failure.get("type") == "Error"
    assert unreadable.findall(".//error")
    for suite in (single, bad, unreadable):
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        assert int(suite.get("failures", "")) == len(suite.findall(".//failure"))
    assert root.get("failures") == "1"
    assert root.get("errors") == "1"


def test_what_a_manifest_says_cannot_drive_the_terminal_or_break_xml(write: Write, capsys: Captured) -> None:
    evil = BAD.replace("name: bad,", 'name: "\\e[2J\\0<bad>",')
    name = write("x.yaml", evil)
    assert main(["audit", name]) == 1
    assert "\x1b" not in capsys.readouterr().out
    assert main(["audit", name, "-o", "junit"]) == 1
    assert "<bad>" in (ElementTree.fromstring(capsys.readouterr().out)[0].get("name") or "")


def test_junit_says_skipped_of_what_was_not_checked(write: Write, capsys: Captured) -> None:
    main(["audit", write("x.yaml", GOOD), "-o", "junit"])
    root = ElementTree.fromstring(capsys.readouterr().out)
    reasons = {case.get("name"): case.find("skipped") for case in root.iter("testcase")}
    for name in ("LW801 EndpointSilent", "LW402 DisruptionBudgetBlocks", "LW501 ServiceTargetMissing"):
        assert reasons[name] is not None, name
    assert reasons["LW101 ReadinessProbeMissing"] is None
    assert int(root.get("skipped", "")) == sum(skipped is not None for skipped in reasons.values())


def test_github_annotates_the_very_line(write: Write, capsys: Captured) -> None:
    main(["audit", write("x.yaml", BAD.replace("460MiB", "512Mi")), "-o", "github"])
    lines = capsys.readouterr().out.splitlines()
    (found,) = [line for line in lines if "LW603" in line]
    number = next(n for n, line in enumerate(BAD.splitlines(), 1) if "GOMEMLIMIT" in line)
    assert found.startswith(
        f"::error file=x.yaml,line={number},title=LW603 GoMemLimitMalformed::shop/bad, container app:"
    )


def test_the_line_of_a_field_is_found_in_a_list_too(write: Write, capsys: Captured) -> None:
    inside = BAD.replace("460MiB", "512Mi").strip().replace("\n", "\n  ")
    text = f"kind: List\napiVersion: v1\nitems:\n- {GOOD.strip().replace(chr(10), chr(10) + '  ')}\n- {inside}\n"
    main(["audit", write("x.yaml", text), "-o", "json"])
    bad = json.loads(capsys.readouterr().out)["objects"][1]
    (line,) = [finding["line"] for finding in bad["findings"] if finding["id"] == "LW603"]
    assert "512Mi" in text.splitlines()[line - 1]


def test_markdown_escapes_what_a_manifest_says(write: Write, capsys: Captured) -> None:
    evil = BAD.replace("name: bad,", 'name: "<b>|x",')
    main(["audit", write("x.yaml", evil), "-o", "markdown"])
    out = capsys.readouterr().out
    assert "<b>" not in out
    assert "| Error |" in out


def test_notes_and_kinds_that_are_not_audited_are_in_every_machines_output(write: Write, capsys: Captured) -> None:
    other = GOOD.replace("apps/v1", "serving.knative.dev/v1").replace("kind: Deployment", "kind: Service")
    name = write("x.yaml", f"{other}---\n{GOOD}")
    for output in ("json", "sarif", "junit", "github", "markdown"):
        main(["audit", name, "-o", output])
        assert "Service of serving.knative.dev/v1" in capsys.readouterr().out.replace("\\", ""), output


@pytest.mark.parametrize(
    ("output", "version", "kind"),
    [("policyreport", "wgpolicyk8s.io/v1alpha2", "PolicyReport"), ("openreport", "openreports.io/v1alpha1", "Report")],
)
def test_a_policy_report_stands_in_each_namespace(
    write: Write, capsys: Captured, output: str, version: str, kind: str
) -> None:
    nowhere = SINGLE.replace("namespace: shop, ", "")
    elsewhere = GOOD.replace("namespace: shop", "namespace: other")
    main(["audit", write("x.yaml", f"{BAD}---\n{elsewhere}---\n{nowhere}"), "-o", output])
    out = capsys.readouterr().out
    other, shop = yaml.safe_load_all(out)
    assert (shop["apiVersion"], shop["kind"], shop["metadata"]["namespace"]) == (version, kind, "shop")
    assert shop["summary"] == {"pass": 0, "fail": 1, "warn": 0, "error": 0, "skip": 0}
    assert [(each["rule"], each["result"], each["severity"]) for each in shop["results"]] == [("LW201", "fail", "high")]
    assert other["summary"]["pass"] == 1
    assert "1 objects name no namespace" in out


# The fields of one result, in both APIs: policyreport_types.go of wg-policy-prototypes, report_types.go of openreports.
FIELDS = {
    "policy", "rule", "category", "severity", "result", "source", "message", "resources", "properties", "scored", "timestamp",
    "resourceSelector",
}  # fmt: skip


@pytest.mark.parametrize(("output", "more"), [("policyreport", set()), ("openreport", {"source"})])
def test_a_report_has_no_field_that_its_api_does_not_know(
    write: Write, capsys: Captured, output: str, more: set[str]
) -> None:
    main(["audit", write("x.yaml", BAD), "-o", output])
    (report,) = yaml.safe_load_all(capsys.readouterr().out)
    assert set(report) == {"apiVersion", "kind", "metadata", "summary", "results"} | more
    assert all(set(each) <= FIELDS and each["message"] and each["resources"] for each in report["results"])


def test_a_policy_report_is_bounded_and_says_so(write: Write, capsys: Captured) -> None:
    many = "---\n".join(
        BAD.replace("name: bad", f"name: bad{n}").replace("app: bad", f"app: bad{n}") for n in range(510)
    )
    main(["audit", write("x.yaml", many), "-o", "policyreport"])
    (report,) = yaml.safe_load_all(capsys.readouterr().out)
    assert len(report["results"]) == 500
    assert report["summary"]["fail"] == 510
    assert report["metadata"]["annotations"] == {"leakwarden.dev/results-left-out": "10"}
