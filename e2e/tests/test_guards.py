"""Guards that prevent an action, and a second action."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.harness.kube import FIELD_MANAGER, Object, apply, delete, existing, raw
from e2e.harness.leaks import LIMIT, deploy, leak, wait_until_held
from e2e.harness.policies import (
    KIND,
    actions_of,
    events,
    policy,
    read_policy,
    signal,
    wait_for_action,
    workload_of,
)
from e2e.harness.release import REPLICAS, scale_operator
from e2e.harness.stack import restarts, uids
from e2e.harness.waiting import NotYet, wait_until

SIGNALS = [signal("Descriptors", "80%", "10s")]


def _skipped(namespace: str, name: str, workload: str, reason: str) -> Object:
    """The status's message about the skipped action, once it gives the reason."""

    def look() -> Object | NotYet:
        judged = workload_of(read_policy(namespace, name), workload) or {}
        skip: Object = judged.get("skipped", {})
        return skip if reason in skip.get("reasons", []) else NotYet(str(judged))

    return wait_until(f"{workload} to be skipped: {reason}", look, 120)


def _without_bookkeeping(found: Object) -> dict[str, Any]:
    """A Deployment without the fields that the control plane writes."""
    metadata = {key: found["metadata"].get(key) for key in ("annotations", "labels", "finalizers", "generation")}
    return {"metadata": metadata, "spec": found["spec"]}


@dataclass
class Guarded:
    """Four services that leak alike, each with a guard that keeps its policy from acting."""

    namespace: str
    uids: dict[str, set[str]]
    deployments: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def guarded(module_namespace: str) -> Guarded:
    namespace = module_namespace
    names = ("budgeted", "watched", "opted-out", "suspended")
    objects = deploy(namespace, *names)
    for each in objects:
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "opted-out":
            each["metadata"]["annotations"] = {"leakwarden.dev/skip": "migration until Friday"}
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "at-least-one", "namespace": namespace},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "budgeted"}}},
    }
    apply(
        [
            *objects,
            budget,
            policy("budgeted", namespace, {"app": "budgeted"}, SIGNALS),
            policy("watched", namespace, {"app": "watched"}, SIGNALS, mode="Observe"),
            policy("opted-out", namespace, {"app": "opted-out"}, SIGNALS),
            policy("suspended", namespace, {"app": "suspended"}, SIGNALS, suspend=True),
        ]
    )
    before = Guarded(
        namespace,
        {name: uids(namespace, name) for name in names},
        {name: _without_bookkeeping(existing("deployment", name, namespace)) for name in names},
    )
    leak(namespace, *names)
    return before


def test_a_disruption_budget_blocks_the_eviction_until_it_is_gone(guarded: Guarded) -> None:
    namespace, before = guarded.namespace, guarded.uids["budgeted"]
    record = wait_for_action(namespace, "budgeted", "budgeted", "Blocked")
    assert "at-least-one" in record["message"]
    assert "DisruptionBudget" in _skipped(namespace, "budgeted", "budgeted", "DisruptionBudget")["reasons"]
    for regarding in ("Deployment/budgeted", "ReliabilityPolicy/budgeted"):
        told = events(namespace, regarding=regarding, reason="EvictionBlocked")
        assert len(told) == 1, "said once, and not with every try"
        assert told[0]["type"] == "Warning"
        assert "at-least-one" in told[0]["note"]
    assert uids(namespace, "budgeted") == before

    delete("poddisruptionbudget", "at-least-one", namespace)
    record = wait_for_action(namespace, "budgeted", "budgeted", result="Effective")
    assert {record["podUID"]} == before
    assert not uids(namespace, "budgeted") & before
    assert len(actions_of(read_policy(namespace, "budgeted"))) == 1, "the refused tries and the eviction are one record"


def test_observing_changes_nothing_and_says_what_it_would_do(guarded: Guarded) -> None:
    namespace = guarded.namespace
    skip = _skipped(namespace, "watched", "watched", "Observing")
    assert skip["reasons"] == ["Observing"]
    assert skip["action"] == "EvictPod"
    wait_until_held(namespace, "watched", 0.8 * LIMIT, 30)
    for regarding in ("Deployment/watched", "ReliabilityPolicy/watched"):
        assert len(events(namespace, regarding=regarding, reason="LeakExhausting")) == 1
        assert len(events(namespace, regarding=regarding, reason="WouldAct")) == 1
    assert uids(namespace, "watched") == guarded.uids["watched"]
    assert restarts(namespace, "watched") == 0
    assert _without_bookkeeping(existing("deployment", "watched", namespace)) == guarded.deployments["watched"]
    assert not actions_of(read_policy(namespace, "watched"))


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [("opted-out", "OptedOut", "migration until Friday"), ("suspended", "Suspended", "suspend is true")],
)
def test_a_deployment_that_is_opted_out_or_suspended_is_left_alone(
    guarded: Guarded, name: str, reason: str, words: str
) -> None:
    skip = _skipped(guarded.namespace, name, name, reason)
    assert words in skip["message"]
    assert uids(guarded.namespace, name) == guarded.uids[name]
    assert not actions_of(read_policy(guarded.namespace, name))


def test_a_policy_removed_midway_acts_no_more_and_leaves_nothing_behind(namespace: str) -> None:
    deploy(namespace, "abandoned")
    before = uids(namespace, "abandoned")
    deployment = _without_bookkeeping(existing("deployment", "abandoned", namespace))
    apply(policy("abandoned", namespace, {"app": "abandoned"}, [signal("Descriptors", "80%", "30s")]))
    leak(namespace, "abandoned")

    def suspected() -> bool | NotYet:
        judged = workload_of(read_policy(namespace, "abandoned"), "abandoned") or {}
        return True if judged.get("verdict") == "Suspect" else NotYet(str(judged))

    wait_until("the leak to be suspected", suspected, 90)
    delete(KIND, "abandoned", namespace, wait=True, timeout=10)

    # Long past the threshold's time, and nothing happened.
    wait_until_held(namespace, "abandoned", 0.8 * LIMIT, 50)
    assert uids(namespace, "abandoned") == before
    assert restarts(namespace, "abandoned") == 0
    found = json.loads(raw(f"/apis/apps/v1/namespaces/{namespace}/deployments/abandoned"))
    assert _without_bookkeeping(found) == deployment
    writers = {each["manager"] for each in found["metadata"]["managedFields"]}
    assert writers == {FIELD_MANAGER, "kube-controller-manager"}, "whoever ever wrote to the Deployment"
    assert not events(namespace, regarding="Deployment/abandoned", reason="PodEvicted")


def test_a_policy_is_deleted_at_once_although_the_operator_is_down(namespace: str) -> None:
    deploy(namespace, "healthy")
    apply(policy("short-lived", namespace, {"app": "healthy"}, SIGNALS))

    def judged() -> bool | NotYet:
        return True if workload_of(read_policy(namespace, "short-lived"), "healthy") else NotYet("not judged yet")

    wait_until("the policy to be judged", judged, 60)
    scale_operator(0)
    try:
        assert "finalizers" not in read_policy(namespace, "short-lived")["metadata"]
        delete(KIND, "short-lived", namespace, wait=True, timeout=10)
    finally:
        scale_operator(REPLICAS)
