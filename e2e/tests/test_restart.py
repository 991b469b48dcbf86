"""The operator killed at the worst moment, and the control plane gone for a while: nothing is done twice."""

from __future__ import annotations

import json
import os
import signal as signals
import time
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster.errors import ClusterError
from e2e.harness.kube import Object, apply, containers, delete, kubectl, provider
from e2e.harness.leaks import deploy, leak
from e2e.harness.policies import (
    actions_of,
    policy,
    read_policy,
    reports_of,
    signal,
    wait_for_action,
    workload_of,
)
from e2e.harness.processes import processes_of
from e2e.harness.release import NAMESPACE, RELEASE, REPLICAS, operator_pods, scale_operator, wait_for_operator
from e2e.harness.stack import uids
from e2e.harness.waiting import NotYet, wait_until

SIGNALS = [signal("Descriptors", "80%", "10s")]


def _kill(pod: Object) -> None:
    """kill -9 to every process of the pod where its node shares this machine's kernel; else the pod is deleted hard."""
    ids = processes_of(pod, "leakwarden")
    for each in ids:
        os.kill(each, signals.SIGKILL)
    if not ids:
        kubectl("delete", "pod", pod["metadata"]["name"], "-n", NAMESPACE, "--force", "--grace-period=0")


def _skips(namespace: str, name: str) -> list[str]:
    judged = workload_of(read_policy(namespace, name), name) or {}
    reasons: list[str] = judged.get("skipped", {}).get("reasons", [])
    return reasons


def _until_cooldown_is_the_reason(namespace: str, name: str) -> None:
    def look() -> bool | NotYet:
        found = read_policy(namespace, name)
        if len(actions_of(found)) > 1:
            return True  # the caller's assertions report this fault
        reasons = _skips(namespace, name)
        return True if "CooldownActive" in reasons else NotYet(f"{reasons} {workload_of(found, name)}")

    wait_until(f"{name} to be skipped for its cooldown", look, 120)


def _slow_evictions(namespace: str) -> Object:
    """A webhook without an answer: an eviction takes seconds, in which its intent is recorded and nothing else."""
    hook: dict[str, Any] = {
        "name": "slow.e2e.leakwarden.dev",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 10,
        "failurePolicy": "Ignore",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/eviction"]}],
        # TEST-NET-1: an address that is nobody's.
        "clientConfig": {"url": "https://192.0.2.1:443/"},
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"slow-{namespace}"},
        "webhooks": [hook],
    }


@pytest.fixture(autouse=True)
def _the_operator_is_back() -> Iterator[None]:
    """Starts the operator again, even if a test fails while it is away."""
    yield
    scale_operator(REPLICAS)


def test_killed_between_intent_and_outcome_it_neither_repeats_nor_forgets(namespace: str) -> None:
    deploy(namespace, "victim")
    hook = _slow_evictions(namespace)
    apply([hook, policy("victim", namespace, {"app": "victim"}, SIGNALS)])
    before = uids(namespace, "victim")
    operator = wait_for_operator()
    leak(namespace, "victim")

    def intended() -> Object | NotYet:
        found = [record for report in reports_of(namespace) for record in report.get("status", {}).get("actions", [])]
        return found[0] if found else NotYet(str(workload_of(read_policy(namespace, "victim"), "victim")))

    try:
        record = wait_until("the intent to be recorded", intended, 120, interval=0.1)
        _kill(operator)
    finally:
        delete("validatingwebhookconfiguration", hook["metadata"]["name"])
    wait_for_operator()

    def closed() -> Object | NotYet:
        records = actions_of(read_policy(namespace, "victim"))
        return records[0] if records and records[0]["phase"] != "Pending" else NotYet(str(records))

    record = wait_until("the record to be closed", closed, 60)
    assert record["phase"] in ("Done", "Interrupted"), record
    after = uids(namespace, "victim")
    if record["phase"] == "Interrupted":
        # It was stopped before the eviction: the pod leaks on, and has to wait like any other.
        assert after == before
    else:
        assert {record["podUID"]} == before
        leak(namespace, "victim", run="again")
    _until_cooldown_is_the_reason(namespace, "victim")
    assert uids(namespace, "victim") == after
    assert len(actions_of(read_policy(namespace, "victim"))) == 1


def test_killed_after_an_eviction_it_does_not_evict_again_within_the_cooldown(namespace: str) -> None:
    deploy(namespace, "victim")
    apply(policy("victim", namespace, {"app": "victim"}, SIGNALS))
    before = uids(namespace, "victim")
    leak(namespace, "victim")
    wait_for_action(namespace, "victim", "victim", "Done")
    _kill(wait_for_operator())
    wait_for_operator()
    # Verified by the operator's next process.
    wait_for_action(namespace, "victim", "victim", result="Effective")

    successor = uids(namespace, "victim")
    assert not successor & before
    leak(namespace, "victim", run="again")
    _until_cooldown_is_the_reason(namespace, "victim")
    assert uids(namespace, "victim") == successor
    assert len(actions_of(read_policy(namespace, "victim"))) == 1


def test_an_intent_of_an_earlier_life_is_closed_and_not_repeated(namespace: str) -> None:
    """The record that a crash leaves behind, in front of a pod that leaks."""
    deploy(namespace, "victim")
    apply(policy("victim", namespace, {"app": "victim"}, SIGNALS, mode="Observe"))
    leak(namespace, "victim")

    def seen() -> bool | NotYet:
        reasons = _skips(namespace, "victim")
        return True if reasons == ["Observing"] else NotYet(str(reasons))

    wait_until("the leak to be seen", seen, 120)
    scale_operator(0)
    pod = json.loads(kubectl("get", "pods", "-l", "app=victim", "-n", namespace, "-o", "json"))["items"][0]
    deployment = json.loads(kubectl("get", "deployment", "victim", "-n", namespace, "-o", "json"))
    record = {
        "id": "from-an-earlier-life", "type": "EvictPod", "workload": "victim", "phase": "Pending",
        "workloadUID": deployment["metadata"]["uid"], "pod": pod["metadata"]["name"],
        "podUID": pod["metadata"]["uid"], "signal": "descriptors",
        "intendedAt": kubectl("create", "configmap", "now", "-n", namespace,
                              "-o", "jsonpath={.metadata.creationTimestamp}"),
    }  # fmt: skip
    (report,) = reports_of(namespace)
    left = {
        "apiVersion": report["apiVersion"],
        "kind": report["kind"],
        "metadata": {"name": report["metadata"]["name"], "namespace": namespace},
        "status": {"phase": "Remediating", "actions": [record]},
    }
    # only the operator writes records, and it may only patch them
    account = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
    kubectl("apply", "--server-side", "--force-conflicts", "--subresource=status", "--validate=false",
            f"--as={account}", "-f", "-", stdin=json.dumps(left))  # fmt: skip
    apply(policy("victim", namespace, {"app": "victim"}, SIGNALS))
    before = uids(namespace, "victim")
    scale_operator(REPLICAS)
    found = wait_for_action(namespace, "victim", "victim", "Interrupted")
    assert found["id"] == "from-an-earlier-life"
    _until_cooldown_is_the_reason(namespace, "victim")
    assert uids(namespace, "victim") == before
    assert len(actions_of(read_policy(namespace, "victim"))) == 1


def test_with_the_api_server_gone_for_a_while_it_waits_and_then_acts_once(namespace: str) -> None:
    deploy(namespace, "victim")
    # Not before the API server is away.
    apply(policy("victim", namespace, {"app": "victim"}, [signal("Descriptors", "80%", "20s")]))
    before = uids(namespace, "victim")
    before_that = {pod["metadata"]["uid"]: _restarts(pod) for pod in operator_pods()}
    leak(namespace, "victim")
    try:
        provider().fault("stop", "kube-apiserver")
    except ClusterError as error:
        pytest.skip(f"this cluster's API server cannot be stopped: {error}")
    try:
        # Longer than the threshold's time and several ticks. No question can be answered meanwhile.
        time.sleep(30)
    finally:
        provider().fault("start", "kube-apiserver")

    wait_for_action(namespace, "victim", "victim", result="Effective")
    assert not uids(namespace, "victim") & before
    assert len([each for each in actions_of(read_policy(namespace, "victim")) if each["phase"] == "Done"]) == 1
    wait_for_operator()
    # Its leader could not renew, so it ended and stands by, once; nobody fell into a crash loop.
    after = {pod["metadata"]["uid"]: _restarts(pod) for pod in operator_pods()}
    assert after.keys() == before_that.keys()
    assert sum(after.values()) - sum(before_that.values()) <= 1


def _restarts(pod: Object) -> int:
    return sum(each["restartCount"] for each in containers(pod))
