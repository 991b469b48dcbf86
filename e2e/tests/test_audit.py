"""The audit in the cluster: the faults of a Deployment, and whether its endpoints really answer."""

from __future__ import annotations

from typing import Any

from e2e.harness.kube import apply
from e2e.harness.policies import condition, policy, read_policy, signal, wait_for_condition, workload_of
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests


def _findings(namespace: str, workload: str) -> list[dict[str, Any]]:
    found = workload_of(read_policy(namespace, "audited"), workload)
    assert found is not None
    findings: list[dict[str, Any]] = found.get("findings", [])
    return findings


def test_a_deployment_that_is_wrong_gets_findings_and_a_good_one_no_errors(namespace: str) -> None:
    watched = {"team": "shop"}
    wrong = manifests.service("wrong", "healthy", namespace, labels=watched)
    container = wrong[0]["spec"]["template"]["spec"]["containers"][0]
    del container["readinessProbe"]
    # It answers 404 there; the kubelet's threshold is high, since this test is about the operator's finding.
    container["livenessProbe"]["httpGet"]["path"] = "/nope"
    container["livenessProbe"]["failureThreshold"] = 600
    apply([*wrong, *manifests.service("good", "healthy", namespace, labels=watched)])
    apply(policy("audited", namespace, watched, [signal("Descriptors", "80%")], mode="Observe"))

    found = wait_for_condition(namespace, "audited", "Compliant", "False", "Findings")

    def called() -> list[dict[str, Any]] | NotYet:
        findings = _findings(namespace, "wrong")
        return findings if any("404" in each["message"] for each in findings) else NotYet(str(findings))

    findings = wait_until("the audit to have called the wrong endpoint", called, 60)
    by_message = " | ".join(each["message"] for each in findings)
    assert "no readiness probe" in by_message
    assert "/nope" in by_message
    assert any(each["severity"] == "Error" for each in findings)
    assert all(each["hint"] for each in findings), "each finding says what to do"
    assert not [each for each in _findings(namespace, "good") if each["severity"] == "Error"]
    compliant = condition(found, "Compliant")
    assert compliant is not None
    assert "wrong" in compliant["message"]


def test_a_good_deployment_alone_is_compliant(namespace: str) -> None:
    apply(manifests.service("good", "healthy", namespace))
    apply(policy("audited", namespace, {"app": "good"}, [signal("Descriptors", "80%")], mode="Observe"))
    wait_for_condition(namespace, "audited", "Compliant", "True", "NoFindings")
