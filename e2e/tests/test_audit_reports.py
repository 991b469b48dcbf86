"""PolicyReports of the audit on the real API server: written by server-side apply, once for each change, and removed.

The CRDs have the fields and the allowed values of the two APIs' own, as far as the audit writes them: what they do not know
is refused here.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from e2e.harness import kube
from e2e.harness.kube import apply, attempt, delete, kubectl
from leakwarden.adapters.cluster import Session
from leakwarden.adapters.cluster.audited import NAME, AuditReportWriter
from leakwarden.core.audit import Finding, Severity
from leakwarden.core.audit.policy_report import APIS, ReportApi, ReportedObject
from leakwarden.core.audit.related import Identity

WAIT = 30.0  # s; the API server serves a new CRD within some seconds
TEXT = {"type": "string"}
FINDINGS = (
    Finding("GraceZero", Severity.ERROR, "app", "no grace", "a grace of 30", id="LW202"),
    Finding("SpreadMissing", Severity.INFO, "", "not spread", "a constraint", id="LW411"),
)


def crd(api: ReportApi) -> dict[str, Any]:
    group, _, version = api.version.partition("/")
    subject = {"type": "object", "properties": {"kind": TEXT, "namespace": TEXT, "name": TEXT}}
    result = {
        "type": "object",
        "required": ["policy"],
        "properties": {
            "policy": TEXT,
            "rule": TEXT,
            "category": TEXT,
            "source": TEXT,
            "message": TEXT,
            "severity": {"type": "string", "enum": ["critical", "high", "low", "medium", "info"]},
            "result": {"type": "string", "enum": ["pass", "fail", "warn", "error", "skip"]},
            "resources": {"type": "array", "items": subject},
        },
    }
    counts = {name: {"type": "integer"} for name in ("pass", "fail", "warn", "error", "skip")}
    properties = {
        "apiVersion": TEXT,
        "kind": TEXT,
        "metadata": {"type": "object"},
        **({"source": TEXT} if api.has_source else {}),
        "summary": {"type": "object", "properties": counts},
        "results": {"type": "array", "items": result},
    }
    names = {"kind": api.kind, "plural": api.plural, "singular": api.kind.lower(), "listKind": f"{api.kind}List"}
    schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # The group wgpolicyk8s.io belongs to the community, which the API server wants to see approved.
        "metadata": {
            "name": f"{api.plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test"},
        },
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced",
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest.fixture(params=sorted(APIS))
def api(request: pytest.FixtureRequest) -> Iterator[ReportApi]:
    served = APIS[request.param]
    made = crd(served)
    apply(made)
    until = time.monotonic() + WAIT
    while not attempt("kubectl", "get", made["metadata"]["name"], "-A").succeeded:
        assert time.monotonic() < until, f"{served.version} is not served after {WAIT:g} s"
        time.sleep(0.5)
    yield served
    delete("customresourcedefinition", made["metadata"]["name"])


@asynccontextmanager
async def administering() -> AsyncIterator[Session]:
    session = await Session.open(kube.provider().environment().kubeconfig)
    try:
        yield session
    finally:
        await session.close()


async def test_a_report_is_written_once_for_each_change_and_removed(namespace: str, api: ReportApi) -> None:
    async with administering() as session:
        writer = AuditReportWriter(session, [namespace])
        found = ReportedObject(Identity("Deployment", namespace, "web"), FINDINGS, excepted=1)
        writer.want([found])
        await writer.write()
        assert writer.trouble == ""
        report = json.loads(kubectl("get", api.plural, NAME, "-n", namespace, "-o", "json"))
        assert report["summary"] == {"pass": 0, "fail": 1, "warn": 1, "error": 0, "skip": 1}
        assert [each["rule"] for each in report["results"]] == ["LW202", "LW411"]
        assert report["results"][0]["message"].startswith("container app: no grace")

        # A replica that takes over finds the report, and writing the same again changes nothing.
        other = AuditReportWriter(session, [namespace])
        other.want([found])
        await other.write()
        again = json.loads(kubectl("get", api.plural, NAME, "-n", namespace, "-o", "json"))
        assert again["metadata"]["resourceVersion"] == report["metadata"]["resourceVersion"]

        other.want([])
        await other.write()
        assert not attempt("kubectl", "get", api.plural, NAME, "-n", namespace).succeeded
