"""The audit's result as the reports that Kubernetes dashboards read: PolicyReport, or its successor in openreports.io.

One report per namespace, with a bounded number of results: an object in etcd must stay below 1.5 MiB. Results that were
left out are still counted in the summary, and an annotation has their number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from leakwarden.core.audit.findings import RANK, Finding, Severity
from leakwarden.core.audit.related import Identity
from leakwarden.core.model.text import printable

MAX_RESULTS = 500  # of one report; at about 1 KiB each
MANAGED_BY = "leakwarden"


class ReportApi(NamedTuple):
    """One of the two APIs: the later one has the same fields, and one more at its top."""

    version: str
    kind: str
    plural: str
    has_source: bool  # whether the report as a whole may name its maker once


APIS = {
    "policyreport": ReportApi("wgpolicyk8s.io/v1alpha2", "PolicyReport", "policyreports", False),
    "openreport": ReportApi("openreports.io/v1alpha1", "Report", "reports", True),
}
NEWEST_FIRST = (APIS["openreport"], APIS["policyreport"])
_RESULT = {Severity.ERROR: "fail", Severity.WARNING: "warn", Severity.INFO: "warn"}
_SEVERITY = {Severity.ERROR: "high", Severity.WARNING: "medium", Severity.INFO: "info"}


@dataclass(frozen=True, slots=True)
class ReportedObject:
    """One object of a report: its findings, and the number of accepted ones."""

    identity: Identity
    findings: tuple[Finding, ...]
    excepted: int = 0
    is_workload: bool = True


def by_namespace(objects: Iterable[ReportedObject]) -> Mapping[str, Sequence[ReportedObject]]:
    """The empty namespace has the objects of manifests that name none, for which no report can be made."""
    found: dict[str, list[ReportedObject]] = defaultdict(list)
    for each in objects:
        found[each.identity.namespace].append(each)
    return found


def policy_report(name: str, namespace: str, found: Sequence[ReportedObject], api: ReportApi) -> dict[str, Any]:
    """The report of one namespace, the worst results first. Equal findings give an equal report."""
    results = [(finding, _result(one, finding)) for one in found for finding in one.findings]
    results.sort(key=lambda each: RANK[each[0].severity])
    left_out = len(results) - MAX_RESULTS
    annotations = {"leakwarden.dev/results-left-out": str(left_out)} if left_out > 0 else {}
    return {
        "apiVersion": api.version,
        "kind": api.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": MANAGED_BY},
            **({"annotations": annotations} if annotations else {}),
        },
        **({"source": MANAGED_BY} if api.has_source else {}),
        "summary": {
            "pass": sum(one.is_workload and not one.findings for one in found),
            "fail": sum(finding.severity is Severity.ERROR for finding, _ in results),
            "warn": sum(finding.severity is not Severity.ERROR for finding, _ in results),
            "error": 0,
            "skip": sum(one.excepted for one in found),
        },
        "results": [made for _, made in results[:MAX_RESULTS]],
    }


def _result(one: ReportedObject, finding: Finding) -> dict[str, Any]:
    where = f"container {finding.container}: " if finding.container else ""
    return {
        "policy": f"{finding.id}-{finding.check}",
        "rule": finding.id,
        "category": "reliability",
        "severity": _SEVERITY[finding.severity],
        "result": _RESULT[finding.severity],
        "source": MANAGED_BY,
        "message": printable(f"{where}{finding.message} -> {finding.hint}"),
        "resources": [
            {"kind": one.identity.kind, "namespace": one.identity.namespace, "name": printable(one.identity.name)}
        ],
    }
