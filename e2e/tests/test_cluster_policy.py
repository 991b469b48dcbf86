"""A ClusterReliabilityPolicy over three namespaces: one allows it to act, one does not, one has a policy of its own.

The namespace that does not allow it belongs to a hostile tenant, whose account has `cluster-admin` within it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.cluster.commands import Result
from e2e.cluster.paths import REPOSITORY
from e2e.harness.kube import Object, apply, attempt, delete, existing, kubectl, provider
from e2e.harness.leaks import deploy, leak
from e2e.harness.policies import (
    API_VERSION,
    CLUSTER_KIND,
    cluster_policy,
    condition,
    events,
    policy,
    read_policy,
    reports_of,
    signal,
    status,
)
from e2e.harness.stack import uids
from e2e.harness.waiting import NotYet, wait_until
from e2e.tests.conftest import a_namespace

pytestmark = pytest.mark.long

LABEL = "leakwarden.dev/enforce"
SIGNALS = [signal("Descriptors", "80%", "10s")]


@dataclass(frozen=True)
class Homes:
    """Three namespaces, each with the Deployment `web`, and the policy over all of them."""

    allowed: str
    tenant: str  # without the label; the tenant's account is `tenant`
    own: str  # with the label, and with a policy of its own in mode Observe
    policy: str

    @property
    def all(self) -> tuple[str, str, str]:
        return self.allowed, self.tenant, self.own

    def read(self) -> Object:
        return existing(CLUSTER_KIND, self.policy)

    def place(self, namespace: str) -> Object:
        found = status(self.read()).get("namespaces", [])
        return next((each for each in found if each["name"] == namespace), {})

    def as_tenant(self, *arguments: str, stdin: str = "") -> Result:
        account = f"--as=system:serviceaccount:{self.tenant}:tenant"
        return attempt("kubectl", *arguments, account, stdin=stdin or None)


def label(namespace: str, value: str) -> None:
    kubectl("label", "namespace", namespace, f"{LABEL}={value}" if value else f"{LABEL}-", "--overwrite")


@pytest.fixture(scope="module")
def homes(operator: str, request: pytest.FixtureRequest) -> Iterator[Homes]:
    config = request.config
    with (
        a_namespace(config, "allows") as allowed,
        a_namespace(config, "tenant") as tenant,
        a_namespace(config, "own") as own,
    ):
        made = Homes(allowed, tenant, own, policy=f"golden-{allowed[-6:]}")
        for each in made.all:
            kubectl("label", "namespace", each, f"e2e-cluster-policy={made.policy}")
            deploy(each, "web")
        label(allowed, "allowed")
        label(own, "allowed")
        about = {"name": "tenant", "namespace": tenant}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        apply([
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": about, "roleRef": role,
             "subjects": [{"kind": "ServiceAccount", **about}]},
            policy("mine", own, {"app": "web"}, SIGNALS, mode="Observe"),
            cluster_policy(made.policy, {"matchLabels": {"e2e-cluster-policy": made.policy}}, {"app": "web"}, SIGNALS),
        ])  # fmt: skip
        try:
            yield made
        finally:
            delete(CLUSTER_KIND, made.policy)


def wait_for_place(homes: Homes, namespace: str, **wanted: str) -> Object:
    def look() -> Object | NotYet:
        found = homes.place(namespace)
        held = {key: found.get(key) for key in wanted}
        return found if held == wanted else NotYet(f"{found}; {condition(homes.read(), 'Ready')}")

    return wait_until(f"{homes.policy} to be {wanted} in {namespace}", look, 90)


def explained(namespace: str) -> str:
    shell = provider().environment()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "operator"), "KUBECONFIG": shell.kubeconfig or ""}
    command = [sys.executable, "-m", "leakwarden", "explain", f"{namespace}/web"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


def test_what_it_may_do_follows_from_the_namespace_and_is_said(homes: Homes) -> None:
    wait_for_place(homes, homes.allowed, mode="Enforce", ready="True")
    assert LABEL in wait_for_place(homes, homes.tenant, mode="Observe", ready="True")["bound"]
    found = wait_for_place(homes, homes.own, mode="Enforce", ready="True")
    assert "left to policies of the namespace: web (mine)" in found["message"]
    shown = status(homes.read())
    assert shown["namespaceCounts"]["selected"] == 3
    assert shown["namespaceCounts"]["enforcing"] == 2
    assert shown["targets"]["workloads"] == 3
    columns = kubectl("get", CLUSTER_KIND, homes.policy).splitlines()
    assert columns[0].split() == ["NAME", "MODE", "NAMESPACES", "ENFORCING", "WORKLOADS", "LEAKING", "READY", "AGE"]
    assert columns[1].split()[1:7] == ["Enforce", "3", "2", "3", "0", "True"]


def test_the_right_one_is_acted_upon_and_the_tenants_tricks_change_nothing(homes: Homes) -> None:
    before = {each: uids(each, "web") for each in homes.all}
    try_everything(homes)
    for each in homes.all:
        leak(each, "web")

    def acted() -> Object | NotYet:
        actions = status(homes.read()).get("actions", [])
        done = [each for each in actions if each["namespace"] == homes.allowed and each["phase"] == "Done"]
        return done[0] if done else NotYet(f"{actions}; {homes.place(homes.allowed)}")

    record = wait_until("the action in the namespace that allows it", acted, 240)
    assert record["podUID"] in before[homes.allowed]
    assert not uids(homes.allowed, "web") & before[homes.allowed]

    def told() -> bool | NotYet:
        found = events(homes.tenant, regarding="Deployment/web", reason="WouldAct")
        return True if any(LABEL in each["note"] for each in found) else NotYet(str(found))

    wait_until("the tenant to be told what would have been done", told, 180)
    (report, *_) = reports_of(homes.tenant, "web")
    assert report["spec"]["policy"]["kind"] == "ClusterReliabilityPolicy"
    assert report["metadata"]["labels"]["leakwarden.dev/cluster-policy"] == homes.policy
    said = explained(homes.tenant)
    assert f"policy ClusterReliabilityPolicy/{homes.policy} (Observe: the namespace does not have the label" in said

    def by_its_own() -> list[Object] | NotYet:
        return reports_of(homes.own, "web") or NotYet("no report")

    (report, *_) = wait_until("the namespace's own policy to report", by_its_own, 180)
    assert report["spec"]["policy"]["name"] == "mine"
    for each in (homes.tenant, homes.own):
        assert uids(each, "web") == before[each], "nothing was done there"
    assert [each["namespace"] for each in status(homes.read())["actions"]] == [homes.allowed]
    assert (condition(homes.read(), "Ready") or {})["status"] == "True"


def try_everything(homes: Homes) -> None:
    """What the tenant tries, so that the policy acts in its namespace, or stops acting in others."""
    refused = homes.as_tenant("label", "namespace", homes.tenant, f"{LABEL}=allowed")
    assert not refused.succeeded
    assert "needs the right to enforce" in refused.errors, refused.errors
    for subresource in ("status", "finalize"):
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": homes.tenant, "labels": {LABEL: "allowed"}},
        }
        path = f"/api/v1/namespaces/{homes.tenant}/{subresource}"
        refused = homes.as_tenant("replace", "--raw", path, "-f", "-", stdin=json.dumps(body))
        assert not refused.succeeded, subresource
    assert LABEL not in existing("namespace", homes.tenant)["metadata"]["labels"]
    refused = homes.as_tenant(
        "patch", CLUSTER_KIND, homes.policy, "--type=merge", "-p", json.dumps({"spec": {"suspend": True}})
    )
    assert "forbidden" in refused.errors.lower()
    # Labels where they mean nothing, a policy of the same name that selects nothing, and a workload with such a name.
    assert homes.as_tenant("label", "deployment", "web", f"{LABEL}=allowed", "-n", homes.tenant).succeeded
    empty = policy(homes.policy, homes.tenant, {"app": "nothing"}, SIGNALS)
    made = homes.as_tenant("apply", "-f", "-", stdin=json.dumps(empty))
    assert made.succeeded, made.errors
    victim = existing("deployment", "web", homes.allowed)["metadata"]
    forged: dict[str, Any] = {
        "apiVersion": API_VERSION, "kind": "LeakReport", "metadata": {"name": "forged", "namespace": homes.tenant},
        "spec": {
            "policy": {"name": homes.policy, "kind": "ClusterReliabilityPolicy", "uid": homes.read()["metadata"]["uid"]},
            "workload": {"name": "web", "uid": victim["uid"]}, "pod": {"name": "web-1", "uid": "uid-1"},
            "signal": "descriptors", "signalType": "Descriptors", "detectedAt": "2026-01-01T00:00:00Z",
        },
    }  # fmt: skip
    assert not homes.as_tenant("create", "-f", "-", stdin=json.dumps(forged)).succeeded


def test_a_label_that_is_taken_away_ends_what_the_policy_may_do(homes: Homes) -> None:
    label(homes.allowed, "")
    try:
        found = wait_for_place(homes, homes.allowed, mode="Observe")
        assert LABEL in found["bound"]
        before = uids(homes.allowed, "web")
        leak(homes.allowed, "web", run="again")

        def waits() -> bool | NotYet:
            held = [each for each in status(homes.read()).get("workloads", []) if each["namespace"] == homes.allowed]
            reasons = held[0].get("skipped", {}).get("reasons", []) if held else []
            return True if "Observing" in reasons else NotYet(str(held))

        wait_until("the label to be why nothing is done", waits, 180)
        assert uids(homes.allowed, "web") == before
    finally:
        label(homes.allowed, "allowed")
    wait_for_place(homes, homes.allowed, mode="Enforce")


@pytest.mark.parametrize(
    ("namespaces", "says"),
    [
        ({}, "an empty selector would mean every namespace"),
        ({"names": ["a"], "all": True}, "give one of them"),
        ({"names": ["a"], "matchLabels": {"a": "b"}}, "give one of them"),
        ({"names": ["Not-A-Name"]}, "should match"),
    ],
    ids=["empty", "names and all", "names and labels", "no name"],
)
def test_namespaces_that_say_nothing_or_two_things_are_refused(operator: str, namespaces: Object, says: str) -> None:
    made = cluster_policy("refused", namespaces, {"app": "web"}, SIGNALS)
    answer = attempt("kubectl", "create", "--dry-run=server", "-f", "-", stdin=json.dumps(made))
    assert not answer.succeeded
    assert says in answer.errors


def test_it_has_no_namespace_and_what_is_set_by_default_shows(homes: Homes) -> None:
    found = homes.read()
    assert "namespace" not in found["metadata"]
    assert found["spec"]["workloads"] == ["Deployment"]
    assert found["spec"]["remediation"]["budget"]["maxUnavailable"] == 1
    assert read_policy(homes.own, "mine")["status"]["observedGeneration"] == 1
