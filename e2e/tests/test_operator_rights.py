"""The real rights of the operator's account at the API server.

Nothing of the operator runs here (its Deployment has no replicas): kubectl speaks in its name.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.commands import Result
from e2e.harness.images import ensure_cluster
from e2e.harness.kube import attempt

CHART = Path(__file__).resolve().parents[2] / "charts" / "leakwarden"
RESTART = "kubectl.kubernetes.io/restartedAt"
VICTIM: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "victim", "annotations": {"owner": "shop"}},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "victim"}},
        "template": {
            "metadata": {"labels": {"app": "victim"}, "annotations": {"note": "kept"}},
            "spec": {"containers": [{"name": "app", "image": "localhost/none:1"}]},
        },
    },
}


def succeed(*command: str, stdin: str | None = None) -> str:
    done = attempt(*command, stdin=stdin, timeout=120)
    assert done.succeeded, f"{' '.join(command[:4])}: {done.errors}"
    return done.output


@dataclass(frozen=True)
class Installation:
    """One release of the chart, in a namespace of its own, with a Deployment in it."""

    namespace: str

    @property
    def account(self) -> str:
        return f"system:serviceaccount:{self.namespace}:leakwarden"

    def patch(self, change: dict[str, Any], *options: str) -> Result:
        """A merge patch of the Deployment in the operator's name."""
        return self.patch_as_administrator(change, "--as", self.account, *options)

    def patch_as_administrator(self, change: dict[str, Any], *options: str) -> Result:
        patch = ("patch", "deployment", "victim", "--type", "merge", "--patch", json.dumps(change))
        return attempt("kubectl", "--namespace", self.namespace, *patch, *options)

    def may(self, verb: str, resource: str, *, namespace: str = "default", named: str = "") -> bool:
        """The authorizer's answer for the operator's account on "group/resource/subresource"."""
        group, kind, subresource = (*resource.split("/"), "")[:3]
        # Sent as an object: `kubectl auth can-i` reads the part after a slash as a name.
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": self.account,
                "groups": [
                    "system:serviceaccounts",
                    f"system:serviceaccounts:{self.namespace}",
                    "system:authenticated",
                ],
                "resourceAttributes": {
                    "verb": verb,
                    "group": group,
                    "resource": kind,
                    "name": named,
                    "subresource": subresource,
                    "namespace": namespace,
                },
            },
        }
        answer = succeed("kubectl", "create", "--filename", "-", "--output", "json", stdin=json.dumps(review))
        return bool(json.loads(answer)["status"]["allowed"])


def install(*values: str) -> Iterator[Installation]:
    ensure_cluster()
    namespace = f"leakwarden-rights-{uuid.uuid4().hex[:8]}"
    succeed("kubectl", "create", "namespace", namespace)
    try:
        # Another release may own the CRD of a shared cluster, and rights can be granted on what does not exist.
        fixed = ("replicas=0", "crds.install=false")
        settings = [part for value in (*fixed, *values) for part in ("--set", value)]
        succeed("helm", "install", "leakwarden", str(CHART), "--namespace", namespace, *settings)
        succeed("kubectl", "--namespace", namespace, "apply", "--filename", "-", stdin=json.dumps(VICTIM))
        yield Installation(namespace)
    finally:
        attempt("helm", "uninstall", "leakwarden", "--namespace", namespace, "--wait")
        attempt("kubectl", "delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def observing() -> Iterator[Installation]:
    yield from install()


@pytest.fixture(scope="module")
def restarting() -> Iterator[Installation]:
    for installation in install("actions.rolloutRestart.enabled=true"):
        # The API server applies a new admission policy a moment after its creation.
        deadline = time.monotonic() + 60
        while installation.patch({"spec": {"paused": True}}, "--dry-run=server").succeeded:
            assert time.monotonic() < deadline, "the admission policy is not in force"
            time.sleep(0.2)
        yield installation


def template_metadata(change: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"metadata": change}}}


READS = [
    "apps/deployments",
    "apps/replicasets",
    "/pods",
    "leakwarden.dev/reliabilitypolicies",
    "leakwarden.dev/clusterreliabilitypolicies",
    "leakwarden.dev/leakreports",
    "/namespaces",
]
TELLS = [
    ("patch", "leakwarden.dev/reliabilitypolicies/status"),
    ("patch", "leakwarden.dev/clusterreliabilitypolicies/status"),
    ("create", "leakwarden.dev/leakreports"),
    ("delete", "leakwarden.dev/leakreports"),
    ("patch", "leakwarden.dev/leakreports/status"),
    ("create", "events.k8s.io/events"),
    ("patch", "events.k8s.io/events"),
    ("get", "/nodes/metrics"),
    ("list", "policy/poddisruptionbudgets"),
    ("list", "autoscaling/horizontalpodautoscalers"),
    ("watch", "keda.sh/scaledobjects"),
]


@pytest.mark.parametrize(("verb", "resource"), [*((v, r) for r in READS for v in ("get", "list", "watch")), *TELLS])
def test_an_observing_operator_may_read_and_tell(observing: Installation, verb: str, resource: str) -> None:
    assert observing.may(verb, resource)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("create", "/pods"),
        ("delete", "/pods"),
        ("patch", "/pods"),
        ("create", "/pods/eviction"),
        ("create", "/pods/exec"),
        ("patch", "/pods/ephemeralcontainers"),
        ("create", "/pods/portforward"),
        ("get", "/pods/log"),
        ("patch", "apps/deployments"),
        ("update", "apps/deployments"),
        ("patch", "apps/deployments/scale"),
        ("update", "apps/deployments/scale"),
        ("patch", "apps/deployments/status"),
        ("delete", "apps/replicasets"),
        ("patch", "leakwarden.dev/reliabilitypolicies"),
        ("delete", "leakwarden.dev/reliabilitypolicies"),
        ("patch", "leakwarden.dev/clusterreliabilitypolicies"),
        ("create", "leakwarden.dev/clusterreliabilitypolicies"),
        ("delete", "leakwarden.dev/clusterreliabilitypolicies"),
        ("enforce", "leakwarden.dev/clusterreliabilitypolicies"),
        ("patch", "leakwarden.dev/leakreports"),
        ("deletecollection", "leakwarden.dev/leakreports"),
        ("delete", "events.k8s.io/events"),
        ("create", "/serviceaccounts/token"),
        ("get", "/secrets"),
        ("list", "/configmaps"),
        ("list", "/nodes"),
        ("patch", "autoscaling/horizontalpodautoscalers"),
        ("get", "/nodes/proxy"),
        ("patch", "/namespaces"),
        ("update", "/namespaces"),
        ("delete", "/namespaces"),
        ("get", "coordination.k8s.io/leases"),
        ("create", "rbac.authorization.k8s.io/rolebindings"),
    ],
)
def test_an_observing_operator_may_not(observing: Installation, verb: str, resource: str) -> None:
    assert not observing.may(verb, resource)
    assert not observing.may(verb, resource, namespace=observing.namespace)


def test_its_lease_is_the_only_one_it_may_touch(observing: Installation) -> None:
    leases, here = "coordination.k8s.io/leases", observing.namespace
    for verb in ("get", "update"):
        assert observing.may(verb, leases, namespace=here, named="leakwarden")
        assert not observing.may(verb, leases, namespace=here, named="another")
        assert not observing.may(verb, leases, namespace="kube-system", named="leakwarden")
    assert observing.may("create", leases, namespace=here)
    assert not observing.may("create", leases, namespace="kube-system")
    assert not observing.may("delete", leases, namespace=here, named="leakwarden")


def test_a_rollout_can_be_restarted_twice(restarting: Installation) -> None:
    for when in ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"):
        done = restarting.patch(template_metadata({"annotations": {RESTART: when}}))
        assert done.succeeded, done.errors
    victim = json.loads(
        succeed("kubectl", "--namespace", restarting.namespace, "get", "deployment", "victim", "-o", "json")
    )
    assert victim["spec"]["template"]["metadata"]["annotations"] == {"note": "kept", RESTART: "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "localhost/other:1"}]}}}},
        {"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}},
        {"spec": {"template": {"spec": {"hostNetwork": True}}}},
        {"spec": {"replicas": 5}},
        {"spec": {"paused": True}},
        {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}},
        {"metadata": {"labels": {"own": "us"}}},
        {"metadata": {"annotations": {"owner": "us"}}},
        {"metadata": {"annotations": {"owner": None}}},
        {"metadata": {"finalizers": ["example.com/stuck"]}},
        template_metadata({"labels": {"more": "labels"}}),
        template_metadata({"annotations": {RESTART: "2026-01-03T00:00:00Z", "more": "annotations"}}),
        template_metadata({"annotations": {"note": "changed"}}),
        template_metadata({"annotations": {"note": None}}),
        template_metadata({"annotations": None}),
    ],
    ids=json.dumps,
)
def test_the_right_to_restart_is_no_right_to_change_anything_else(
    restarting: Installation, change: dict[str, Any]
) -> None:
    done = restarting.patch(change)
    assert not done.succeeded
    assert "ValidatingAdmissionPolicy" in done.errors
    assert "denied request: leakwarden may" in done.errors


def test_nobody_else_is_confined(restarting: Installation) -> None:
    done = restarting.patch_as_administrator({"metadata": {"labels": {"touched": "by-an-administrator"}}})
    assert done.succeeded, done.errors
