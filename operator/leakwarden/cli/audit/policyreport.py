"""The audit's result as YAML documents of PolicyReports. Manifests without a namespace get none."""

from __future__ import annotations

import yaml

from leakwarden.cli.audit.report import AuditResult
from leakwarden.core.audit.policy_report import ReportApi, ReportedObject, by_namespace, policy_report

NAME = "leakwarden-audit"  # the operator's own have another


def policy_reports(result: AuditResult, api: ReportApi) -> str:
    """YAML documents, one report per namespace, the worst results first."""
    found = dict(
        by_namespace(
            ReportedObject(one.identity, one.findings, len(one.excepted), one.is_workload) for one in result.audited
        )
    )
    homeless = len(found.pop("", ()))
    made = [policy_report(NAME, namespace, objects, api) for namespace, objects in sorted(found.items())]
    text: str = yaml.safe_dump_all(made, sort_keys=False, width=200, explicit_start=True) if made else ""
    if homeless:
        text += f"# {homeless} objects name no namespace, and have no report\n"
    if result.problems:
        text += f"# {len(result.problems)} problems with the input, which standard error has\n"
    return text.rstrip("\n")
