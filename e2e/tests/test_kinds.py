"""A StatefulSet and a DaemonSet that leak, in Observe and then in Enforce."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.harness.kube import Object, apply, existing, listed
from e2e.harness.leaks import ENOUGH, LIMIT
from e2e.harness.policies import (
    actions_of,
    events,
    policy,
    read_policy,
    reports_of,
    signal,
    wait_for_condition,
    workload_of,
)
from e2e.harness.release import NAMESPACE, OPERATOR_VALUES, RELEASE, install_operator
from e2e.harness.stack import pods, start_load, wait_for_load, wait_for_rollouts
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

pytestmark = pytest.mark.long

SIGNALS = [signal("Descriptors", "80%", "10s")]
EVERY_KIND = {"statefulSets": True, "daemonSets": True, "rollouts": True}


@pytest.fixture(scope="module")
def operator(stack: None, installed: dict[str, str]) -> str:
    """The operator with every kind of workload switched on."""
    install_operator(RELEASE, NAMESPACE, {**OPERATOR_VALUES, "workloads": EVERY_KIND})
    installed["operator"] = "every kind"
    return NAMESPACE


def as_kind(objects: list[Object], kind: str, **spec: Any) -> list[Object]:
    """The same, with the Deployment among them as another kind."""
    made = []
    for each in objects:
        if each["kind"] == "Deployment":
            kept = {key: value for key, value in each["spec"].items() if key in ("selector", "template", "replicas")}
            each = {**each, "kind": kind, "spec": {**kept, **spec}}
            if kind == "DaemonSet":
                del each["spec"]["replicas"]
        made.append(each)
    return made


def deploy(namespace: str, name: str, kind: str, replicas: int = 1, **spec: Any) -> None:
    service = manifests.service(name, "fileleak", namespace, leak_every=1, replicas=replicas, nofile=LIMIT)
    apply([*manifests.backend(namespace), *as_kind(service, kind, **spec)])
    wait_for_rollouts(namespace, manifests.BACKEND)

    def serving() -> bool | NotYet:
        found = existing(kind, name, namespace).get("status", {})
        ready = found.get("numberReady", 0) if kind == "DaemonSet" else found.get("readyReplicas", 0)
        wanted = found.get("desiredNumberScheduled") if kind == "DaemonSet" else replicas
        return True if wanted and ready == wanted else NotYet(f"{ready} of {wanted} ready")

    wait_until(f"the pods of {kind} {name}", serving, 180)


def by_name(namespace: str, app: str) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods(namespace, app)}


def leak(namespace: str, app: str, *names: str) -> None:
    """Make these pods leak, each on its own: their Service would spread the requests over all."""
    addresses = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods(namespace, app)}
    urls = [f"http://{addresses[name]}:{manifests.HTTP_PORT}/work" for name in names]
    requests = ENOUGH * len(names)
    start_load(namespace, "leak", urls, rate=requests / 8, duration=60, requests=requests)
    assert wait_for_load(namespace, "leak", 120)["codes"].get("200", 0) >= requests * 0.95


def wait_for_observing(namespace: str, name: str, pod: str) -> None:
    def look() -> bool | NotYet:
        judged = workload_of(read_policy(namespace, name), name) or {}
        skipped = judged.get("skipped") or {}
        done = skipped.get("reasons") == ["Observing"] and skipped.get("pod") == pod
        return True if done else NotYet(str(judged))

    wait_until(f"only the mode to keep {pod}", look, 180)


def wait_for_actions(namespace: str, name: str, count: int) -> list[Object]:
    """The actions, oldest first, once so many helped."""

    def look() -> list[Object] | NotYet:
        found = read_policy(namespace, name)
        records = [each for each in actions_of(found, name) if each.get("result") == "Effective"]
        return records[::-1] if len(records) == count else NotYet(str([*actions_of(found), workload_of(found, name)]))

    return wait_until(f"{count} actions on {name} to help", look, 420)


def test_a_stateful_set_that_leaks_is_acted_on_from_its_highest_ordinal_one_at_a_time(namespace: str) -> None:
    deploy(namespace, "ledger", "StatefulSet", 3, serviceName="ledger")
    watching = policy(
        "ledger", namespace, {"app": "ledger"}, SIGNALS, mode="Observe", cooldown="20s", workloads=["StatefulSet"]
    )
    apply(watching)
    wait_for_condition(namespace, "ledger", "Ready", "True", "Reconciled")
    before = by_name(namespace, "ledger")
    assert set(before) == {"ledger-0", "ledger-1", "ledger-2"}
    leak(namespace, "ledger", "ledger-1", "ledger-2")

    wait_for_observing(namespace, "ledger", "ledger-2")
    assert by_name(namespace, "ledger") == before, "in Observe nothing is touched"
    assert {report["spec"]["workload"]["kind"] for report in reports_of(namespace, "ledger")} == {"StatefulSet"}

    apply({**watching, "spec": {**watching["spec"], "mode": "Enforce"}})
    first, second = wait_for_actions(namespace, "ledger", 2)
    assert [first["pod"], second["pod"]] == ["ledger-2", "ledger-1"]
    assert [first["podUID"], second["podUID"]] == [before["ledger-2"], before["ledger-1"]]
    assert first["workloadKind"] == "StatefulSet"
    after = by_name(namespace, "ledger")
    assert after["ledger-0"] == before["ledger-0"], "a pod that does not leak is left alone"
    assert set(after) == set(before), "the names have come again"
    assert not set(after.values()) & {before["ledger-1"], before["ledger-2"]}
    assert {report["spec"]["pod"]["uid"] for report in reports_of(namespace, "ledger")} == {
        first["podUID"],
        second["podUID"],
    }
    assert events(namespace, regarding="StatefulSet/ledger", reason="PodEvicted")


def test_a_daemon_set_that_leaks_is_evicted_and_comes_back_on_its_node(namespace: str) -> None:
    deploy(namespace, "agent", "DaemonSet")
    watching = policy("agent", namespace, {"app": "agent"}, SIGNALS, mode="Observe", workloads=["DaemonSet"])
    apply(watching)
    wait_for_condition(namespace, "agent", "Ready", "True", "Reconciled")
    before = by_name(namespace, "agent")
    leaking = sorted(before)[0]
    [node] = [pod["spec"]["nodeName"] for pod in pods(namespace, "agent") if pod["metadata"]["name"] == leaking]
    leak(namespace, "agent", leaking)
    wait_for_observing(namespace, "agent", leaking)
    assert by_name(namespace, "agent") == before

    apply({**watching, "spec": {**watching["spec"], "mode": "Enforce"}})
    [record] = wait_for_actions(namespace, "agent", 1)
    assert (record["workloadKind"], record["podUID"]) == ("DaemonSet", before[leaking])
    now = {pod["spec"]["nodeName"]: pod["metadata"]["uid"] for pod in pods(namespace, "agent")}
    assert now[node] not in before.values()
    assert len(now) == len(before)


def test_rollouts_in_a_cluster_without_their_crd_are_said_and_stop_nothing(namespace: str) -> None:
    if any(crd["metadata"]["name"] == "rollouts.argoproj.io" for crd in listed("crd")):
        pytest.skip("this cluster has Argo Rollouts")
    deploy(namespace, "web", "StatefulSet", 1, serviceName="web")
    apply(policy("web", namespace, {"app": "web"}, SIGNALS, mode="Observe", workloads=["Rollout", "StatefulSet"]))
    found = wait_for_condition(namespace, "web", "Ready", "True", "Reconciled")
    [ready] = [each for each in found["status"]["conditions"] if each["type"] == "Ready"]
    assert "1 StatefulSet selected" in ready["message"]
    assert "the cluster does not have Rollouts" in ready["message"]
