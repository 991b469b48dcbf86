"""The audit's result as the reports that Kubernetes dashboards read: PolicyReport, or its successor in openreports.io.

One report a namespace, with a bounded number of results: an object in etcd must stay below 1.5 MiB, and what was left
out is counted in the summary and said. Of manifests without a namespace no report is made, since it could stand nowhere.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import yaml

from leakwarden.cli.audit.report import Audited, AuditResult, printable
from leakwarden.core.audit import Finding, Severity

NAME = "leakwarden-audit"
MAX_RESULTS = 500  # of one report; at about 1 KiB each


class ReportApi(NamedTuple):
    """Which of the two APIs; they differ in their names and in a few fields."""

    version: str
    kind: str
    message: str  # the field of the text


APIS = {
    "policyreport": ReportApi("wgpolicyk8s.io/v1alpha2", "PolicyReport", "message"),
    "openreport": ReportApi("openreports.io/v1alpha1", "Report", "description"),
}
_RESULT = {Severity.ERROR: "fail", Severity.WARNING: "warn", Severity.INFO: "warn"}
_SEVERITY = {Severity.ERROR: "high", Severity.WARNING: "medium", Severity.INFO: "info"}


def policy_reports(result: AuditResult, api: ReportApi) -> str:
    """YAML documents, one report a namespace, the worst results first."""
    by_namespace: dict[str, list[Audited]] = defaultdict(list)
    for one in result.audited:
        by_namespace[one.identity.namespace].append(one)
    homeless = len(by_namespace.pop("", []))
    made = [_report(namespace, found, api) for namespace, found in sorted(by_namespace.items())]
    text: str = yaml.safe_dump_all(made, sort_keys=False, width=200, explicit_start=True) if made else ""
    if homeless:
        text += f"# {homeless} objects name no namespace, and have no report\n"
    if result.problems:
        text += f"# {len(result.problems)} problems with the input, which standard error has\n"
    return text.rstrip("\n")


def _report(namespace: str, found: list[Audited], api: ReportApi) -> dict[str, Any]:
    results = [(finding, _result(one, finding, api)) for one in found for finding in one.findings]
    results.sort(key=lambda each: list(Severity).index(each[0].severity))
    summary = {
        "pass": sum(one.is_workload and not one.findings for one in found),
        "fail": sum(finding.severity is Severity.ERROR for finding, _ in results),
        "warn": sum(finding.severity is not Severity.ERROR for finding, _ in results),
        "error": 0,
        "skip": sum(len(one.excepted) for one in found),
    }
    left_out = len(results) - MAX_RESULTS
    annotations = {"leakwarden.dev/results-left-out": str(left_out)} if left_out > 0 else {}
    return {
        "apiVersion": api.version,
        "kind": api.kind,
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "leakwarden"},
            **({"annotations": annotations} if annotations else {}),
        },
        "source": "leakwarden",
        "summary": summary,
        "results": [made for _, made in results[:MAX_RESULTS]],
    }


def _result(one: Audited, finding: Finding, api: ReportApi) -> dict[str, Any]:
    where = f"container {finding.container}: " if finding.container else ""
    return {
        "policy": f"{finding.id}-{finding.check}",
        "rule": finding.id,
        "category": "reliability",
        "severity": _SEVERITY[finding.severity],
        "result": _RESULT[finding.severity],
        "source": "leakwarden",
        api.message: printable(f"{where}{finding.message} -> {finding.hint}"),
        ("resources" if api.kind == "PolicyReport" else "subjects"): [
            {"kind": one.identity.kind, "namespace": one.identity.namespace, "name": printable(one.identity.name)}
        ],
    }
