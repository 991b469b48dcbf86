"""`helm install` with no values at all: it watches through the kubelets, reports, and can change nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.harness.images import ensure_images
from e2e.harness.kube import Object, apply, delete, existing, helm, may
from e2e.harness.leaks import LIMIT, deploy, leak, wait_until_held
from e2e.harness.policies import (
    actions_of,
    condition,
    events,
    policy,
    read_policy,
    signal,
    signal_of,
    wait_for_condition,
    workload_of,
)
from e2e.harness.release import CHART, RELEASE, uninstall_operator, wait_for_operator
from e2e.harness.stack import restarts, uids
from e2e.harness.waiting import NotYet, wait_until
from e2e.tests.conftest import a_namespace

NAMESPACE = "leakwarden"
ACCOUNT = f"{NAMESPACE}:{RELEASE}"

CHANGING = ("create", "update", "patch", "delete", "deletecollection")
# Rights that would change a workload, start one, or let its secrets be read.
TABOO = [
    *[(verb, resource, "") for verb in CHANGING for resource in
      ("pods", "deployments.apps", "replicasets.apps", "secrets", "configmaps", "services", "namespaces", "nodes",
       "reliabilitypolicies.leakwarden.dev", "clusterreliabilitypolicies.leakwarden.dev", "clusterroles.rbac.authorization.k8s.io",
       "poddisruptionbudgets.policy", "jobs.batch", "serviceaccounts")],
    *[(verb, "pods", subresource) for verb in ("create", "update", "patch") for subresource in
      ("eviction", "exec", "attach", "portforward", "ephemeralcontainers", "status")],
    *[(verb, "deployments.apps", "scale") for verb in ("update", "patch")],
    ("create", "serviceaccounts", "token"),
    ("get", "secrets", ""),
    ("list", "secrets", ""),
    ("get", "pods", "exec"),
    ("get", "nodes", "proxy"),
    ("impersonate", "users", ""),
    ("bind", "clusterroles.rbac.authorization.k8s.io", ""),
    ("escalate", "clusterroles.rbac.authorization.k8s.io", ""),
]  # fmt: skip


@pytest.fixture(scope="module")
def plain(stack: None, installed: dict[str, str]) -> Iterator[str]:
    """The operator as `helm install` with the chart alone makes it; the other one is gone meanwhile."""
    ensure_images()
    uninstall_operator()
    installed["operator"] = "plain"
    uninstall_operator(RELEASE, NAMESPACE)
    # The CRD outlives its release, as users' policies must, so Helm is told that it may adopt it. Only the observation
    # time after a start is shortened.
    helm("install", RELEASE, str(CHART), "-n", NAMESPACE, "--create-namespace", "--take-ownership",
         "--set", "guards.quietAfterStart=1s")  # fmt: skip
    yield NAMESPACE
    uninstall_operator(RELEASE, NAMESPACE)
    delete("namespace", NAMESPACE)
    installed["operator"] = ""


def test_it_becomes_ready(plain: str) -> None:
    wait_for_operator(RELEASE, plain)


def test_its_account_can_change_nothing(plain: str) -> None:
    allowed = [f"{verb} {resource}/{sub}" for verb, resource, sub in TABOO if may(ACCOUNT, verb, resource, "", sub)]
    assert not allowed
    assert may(ACCOUNT, "list", "pods"), "the question is asked of the right account"
    assert may(ACCOUNT, "patch", "reliabilitypolicies.leakwarden.dev", "", "status")


@pytest.fixture
def shop(plain: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace with services."""
    with a_namespace(request.config, "plain") as name:
        yield name


def test_a_leak_is_found_through_the_kubelets_and_only_reported(plain: str, shop: str) -> None:
    namespace = shop
    wait_for_operator(RELEASE, plain)
    deploy(namespace, "leaking", "enforced", "calm", labels={"team": "shop"})
    signals = [signal("Descriptors", "80%", "10s"), signal("Goroutines", "10k")]
    # Even a policy that asks for more gets no more than the installation allows.
    apply(
        [
            policy("leaking", namespace, {"app": "leaking"}, signals, mode="Observe", max_age="2m"),
            policy("enforced", namespace, {"app": "enforced"}, signals, max_age="2m"),
            policy("calm", namespace, {"app": "calm"}, signals, max_age="2m"),
        ]
    )
    before = {name: uids(namespace, name) for name in ("leaking", "enforced", "calm")}
    deployment = existing("deployment", "enforced", namespace)
    leak(namespace, "leaking", "enforced")
    wait_until_held(namespace, "enforced", 0.8 * LIMIT, 15)

    found = wait_for_condition(namespace, "leaking", "Healthy", "False", "LeakDetected", timeout=240)
    assert found["status"]["source"] == "Kubelet"
    assert f"of {LIMIT} descriptors" in (condition(found, "Healthy") or {})["message"], "the process's real limit"
    assert (signal_of(found, "descriptors") or {})["state"] == "Available"
    goroutines = signal_of(found, "goroutines") or {}
    assert goroutines["state"] == "NoData"
    assert "Prometheus" in goroutines["message"], "it says what would provide it"
    _until_told(namespace, "leaking", "WouldAct")

    def not_permitted() -> Object | NotYet:
        judged = workload_of(read_policy(namespace, "enforced"), "enforced") or {}
        skip: Object = judged.get("skipped", {})
        return skip if skip.get("reasons") == ["NotPermitted"] else NotYet(str(judged))

    wait_until("the enforcing policy to say that it may not", not_permitted, 240)
    wait_for_condition(namespace, "calm", "Healthy", "True", "NoLeak", timeout=120)

    for name, pods in before.items():
        assert uids(namespace, name) == pods
        assert restarts(namespace, name) == 0
        assert not actions_of(read_policy(namespace, name))
    assert (
        existing("deployment", "enforced", namespace)["metadata"]["generation"]
        == (deployment["metadata"]["generation"])
    )


def _until_told(namespace: str, name: str, reason: str) -> None:
    def look() -> bool | NotYet:
        told = events(namespace, regarding=f"Deployment/{name}", reason=reason)
        return True if told else NotYet("no such Event")

    wait_until(f"the Event {reason} on {name}", look, 60)
