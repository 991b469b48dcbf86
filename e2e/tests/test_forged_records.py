"""Only the operator writes the records that it acts by: the API server refuses a tenant's forgeries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.harness.kube import apply, attempt, existing, kubectl
from e2e.harness.policies import KIND, policy, signal
from e2e.harness.release import NAMESPACE, RELEASE
from e2e.harness.waiting import NotYet, wait_until

OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
REFUSED = "only leakwarden writes LeakReports and the status of its policies"


def _report(namespace: str, name: str = "forged") -> dict[str, Any]:
    return {
        "apiVersion": "leakwarden.dev/v1alpha1",
        "kind": "LeakReport",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "policy": {"name": "theirs", "uid": "none"},
            "workload": {"name": "checkout", "uid": "of-another-namespace"},
            "pod": {"name": "checkout-1", "uid": "of-another-namespace-too"},
            "signal": "descriptors",
            "signalType": "Descriptors",
            "detectedAt": "2026-01-01T00:00:00Z",
        },
    }


FORGED = {
    "phase": "Verifying",
    "actions": [
        {
            "id": "forged", "type": "ScaleOut", "workload": "checkout", "workloadUID": "of-another-namespace",
            "phase": "Done", "intendedAt": "2026-01-01T00:00:00Z", "replicasBefore": 0, "replicasAfter": 3,
            "returnAt": "2026-01-01T00:01:00Z",
        }
    ],
}  # fmt: skip


@pytest.fixture
def tenant(namespace: str) -> str:
    """An account that may do everything in its own namespace, LeakReports and every status included."""
    apply(
        [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tenant", "namespace": namespace}},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "everything", "namespace": namespace},
                "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "everything", "namespace": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "everything"},
                "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}],
            },
        ]
    )
    return f"system:serviceaccount:{namespace}:tenant"


def _create(made: dict[str, Any], account: str) -> Any:
    return attempt("kubectl", "create", "-f", "-", f"--as={account}", stdin=json.dumps(made))


def _patch_status(resource: str, namespace: str, account: str, status: dict[str, Any]) -> Any:
    return attempt(
        "kubectl", "patch", resource, "-n", namespace, "--subresource=status", "--type=merge", f"--as={account}",
        "-p", json.dumps({"status": status}),
    )  # fmt: skip


def _refused_within_seconds(made: dict[str, Any], account: str) -> None:
    """The API server applies an admission policy within seconds of its install."""

    def look() -> bool | NotYet:
        result = _create(made, account)
        if result.succeeded:
            kubectl("delete", "leakreport", made["metadata"]["name"], "-n", made["metadata"]["namespace"])
            return NotYet("the API server took it")
        return True if REFUSED in result.errors else NotYet(result.errors)

    wait_until("a forged report to be refused", look, 60)


def test_a_forged_report_is_refused_whatever_rights_the_tenant_has(namespace: str, tenant: str) -> None:
    _refused_within_seconds(_report(namespace), tenant)


def test_an_administrator_writes_no_report_either_since_the_operator_would_act_by_it(
    namespace: str, tenant: str
) -> None:
    _refused_within_seconds(_report(namespace), tenant)
    result = attempt("kubectl", "create", "-f", "-", stdin=json.dumps(_report(namespace, "by-hand")))
    assert not result.succeeded
    assert REFUSED in result.errors


def test_what_the_operator_wrote_is_changed_by_nobody_else(namespace: str, tenant: str) -> None:
    _refused_within_seconds(_report(namespace, "first"), tenant)
    written = _create(_report(namespace, "written"), OPERATOR)
    assert written.succeeded, written.errors
    forged = _patch_status("leakreport/written", namespace, tenant, FORGED)
    assert not forged.succeeded
    assert REFUSED in forged.errors
    labelled = attempt("kubectl", "label", "leakreport", "written", "x=y", "-n", namespace, f"--as={tenant}")
    assert REFUSED in labelled.errors
    # The operator may have ended it by now, since there is no such workload.
    status = existing("leakreport", "written", namespace).get("status", {})
    assert (status.get("actions", []), status.get("phase") == FORGED["phase"]) == ([], False)
    deleted = attempt("kubectl", "delete", "leakreport", "written", "-n", namespace, f"--as={tenant}")
    assert deleted.succeeded, "deleting is left to those who have the right: a namespace must be able to go away"


def test_the_status_of_a_policy_is_written_by_nobody_else(namespace: str, tenant: str) -> None:
    _refused_within_seconds(_report(namespace), tenant)
    apply([policy("mine", namespace, {"app": "none"}, [signal("Descriptors", "80%")])])
    forged = _patch_status(f"{KIND}/mine", namespace, tenant, {"actions": FORGED["actions"]})
    assert not forged.succeeded
    assert REFUSED in forged.errors
    edited = attempt(
        "kubectl", "patch", f"{KIND}/mine", "-n", namespace, "--type=merge", f"--as={tenant}",
        "-p", json.dumps({"spec": {"suspend": True}}),
    )  # fmt: skip
    assert edited.succeeded, "the policy itself is the tenant's"
