"""Rollouts under the controller of Argo Rollouts: a pod that leaks, a restart, a scale out, and a canary on its way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.harness import rollouts
from e2e.harness.kube import Object, apply, attempt, existing, kubectl
from e2e.harness.leaks import ENOUGH, LIMIT
from e2e.harness.policies import (
    events,
    policy,
    read_policy,
    reports_of,
    signal,
    wait_for_action,
    wait_for_condition,
    workload_of,
)
from e2e.harness.release import NAMESPACE, OPERATOR_VALUES, RELEASE, install_operator
from e2e.harness.stack import pods, start_load, uids, wait_for_load, wait_for_rollouts
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

pytestmark = pytest.mark.argo

SIGNALS = [signal("Descriptors", "80%", "10s")]
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
CANARY = {"steps": [{"setWeight": 50}, {"pause": {}}]}  # a change of the template waits there for a person


@pytest.fixture(scope="module")
def argo(
    stack: None, installed: dict[str, str], module_namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The namespace in which the controller acts. The operator runs before the CRDs are there, as it may anywhere."""
    install_operator(RELEASE, NAMESPACE, {**OPERATOR_VALUES, "workloads": {"rollouts": True}})
    installed["operator"] = "with Rollouts"
    with rollouts.installed():
        running = rollouts.RolloutsController(module_namespace, tmp_path_factory.mktemp("rollouts"))
        try:
            yield module_namespace
            kubectl("delete", "rollout", "--all", "-n", module_namespace, "--wait")
        finally:
            running.stop()


def rollout(namespace: str, name: str, replicas: int = 1) -> Object:
    """The service of the other scenarios, as a Rollout with a canary."""
    made: list[Object] = manifests.service(name, "fileleak", namespace, leak_every=1, replicas=replicas, nofile=LIMIT)
    [deployment] = [each for each in made if each["kind"] == "Deployment"]
    kept = {key: deployment["spec"][key] for key in ("selector", "template", "replicas")}
    changed = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": deployment["metadata"],
        "spec": {**kept, "strategy": {"canary": CANARY}},
    }
    apply([*manifests.backend(namespace), *(each for each in made if each is not deployment), changed])
    wait_for_rollouts(namespace, manifests.BACKEND)
    wait_for_healthy(namespace, name, replicas)
    return changed


def wait_for_healthy(namespace: str, name: str, replicas: int) -> None:
    def look() -> bool | NotYet:
        found: dict[str, Any] = existing("rollout", name, namespace).get("status", {})
        whole = found.get("phase") == "Healthy" and found.get("availableReplicas") == replicas
        return True if whole else NotYet(f"{found.get('phase')}: {found.get('message')}")

    wait_until(f"the Rollout {name} to be healthy", look, 240)


def leak(namespace: str, name: str, pod: str) -> None:
    [address] = [each["status"]["podIP"] for each in pods(namespace, name) if each["metadata"]["name"] == pod]
    load = f"leak-{name}"
    start_load(
        namespace, load, [f"http://{address}:{manifests.HTTP_PORT}/work"], rate=ENOUGH / 8, duration=60, requests=ENOUGH
    )
    assert wait_for_load(namespace, load, 120)["codes"].get("200", 0) >= ENOUGH * 0.95


def watch(namespace: str, name: str, mode: str = "Enforce", **fields: Any) -> Object:
    made = policy(name, namespace, {"app": name}, SIGNALS, mode=mode, cooldown="20s", workloads=["Rollout"], **fields)
    apply(made)
    return made


def test_a_rollout_that_leaks_loses_only_the_pod_that_leaks(argo: str) -> None:
    rollout(argo, "cart", 2)
    before = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods(argo, "cart")}
    leaking, sound = sorted(before)
    watching = watch(argo, "cart", "Observe")
    wait_for_condition(argo, "cart", "Ready", "True", "Reconciled")
    leak(argo, "cart", leaking)

    def observed() -> bool | NotYet:
        skipped = (workload_of(read_policy(argo, "cart"), "cart") or {}).get("skipped") or {}
        done = skipped.get("reasons") == ["Observing"] and skipped.get("pod") == leaking
        return True if done else NotYet(str(skipped))

    wait_until("only the mode to keep the pod", observed, 180)
    assert uids(argo, "cart") == set(before.values()), "in Observe nothing is touched"

    apply({**watching, "spec": {**watching["spec"], "mode": "Enforce"}})
    record = wait_for_action(argo, "cart", "cart", result="Effective")
    assert (record["type"], record["workloadKind"]) == ("EvictPod", "Rollout")
    assert record["podUID"] == before[leaking]
    wait_for_healthy(argo, "cart", 2)
    after = uids(argo, "cart")
    assert before[sound] in after
    assert before[leaking] not in after
    assert {each["spec"]["workload"]["kind"] for each in reports_of(argo, "cart")} == {"Rollout"}
    assert events(argo, regarding="Rollout/cart", reason="PodEvicted")


def test_a_restart_is_asked_of_the_controller_and_leaves_the_template_alone(argo: str) -> None:
    template = rollout(argo, "till")["spec"]["template"]
    before = uids(argo, "till")
    watch(argo, "till", actions=[{"type": "RolloutRestart"}])
    leak(argo, "till", pods(argo, "till")[0]["metadata"]["name"])

    record = wait_for_action(argo, "till", "till", result="Effective")
    assert (record["type"], record["workloadKind"]) == ("RolloutRestart", "Rollout")
    found = existing("rollout", "till", argo)
    assert found["spec"]["restartAt"]
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == template["spec"]["containers"][0]["image"]
    assert "annotations" not in found["spec"]["template"]["metadata"] or (
        found["spec"]["template"]["metadata"]["annotations"] == template["metadata"].get("annotations")
    )
    wait_for_healthy(argo, "till", 1)
    assert not uids(argo, "till") & before


def test_a_rollout_is_scaled_out_by_one(argo: str) -> None:
    rollout(argo, "wide")
    watch(argo, "wide", actions=[{"type": "ScaleOut", "maxReplicas": 2}])
    before = uids(argo, "wide")
    leak(argo, "wide", pods(argo, "wide")[0]["metadata"]["name"])
    record = wait_for_action(argo, "wide", "wide", "Done")
    assert record["type"] == "ScaleOut"
    wait_for_healthy(argo, "wide", 2)
    assert uids(argo, "wide") > before


def test_a_canary_on_its_way_is_left_alone(argo: str) -> None:
    rollout(argo, "step", 2)
    change = '{"spec":{"template":{"metadata":{"annotations":{"release":"2"}}}}}'
    kubectl("patch", "rollout", "step", "-n", argo, "--type=merge", "-p", change)

    def paused() -> bool | NotYet:
        found: dict[str, Any] = existing("rollout", "step", argo).get("status", {})
        return True if found.get("phase") == "Paused" else NotYet(f"{found.get('phase')}: {found.get('message')}")

    wait_until("the canary to pause", paused, 180)
    watch(argo, "step")

    def one_of_each() -> list[Object] | NotYet:
        found = [each for each in pods(argo, "step") if "deletionTimestamp" not in each["metadata"]]
        templates = {each["metadata"]["labels"]["rollouts-pod-template-hash"] for each in found}
        return (
            found if len(found) == len(templates) == 2 else NotYet(f"{len(found)} pods of {len(templates)} templates")
        )

    now = wait_until("one pod of each template", one_of_each, 60)
    leak(argo, "step", now[0]["metadata"]["name"])

    def kept() -> Object | NotYet:
        skipped: Object = (workload_of(read_policy(argo, "step"), "step") or {}).get("skipped") or {}
        return skipped if "RolloutInProgress" in skipped.get("reasons", []) else NotYet(str(skipped))

    wait_until("the canary to be what keeps the pod", kept, 180)
    assert uids(argo, "step") >= {each["metadata"]["uid"] for each in now}


def test_the_right_to_restart_a_rollout_of_argo_is_not_a_right_to_change_its_image(argo: str) -> None:
    rollout(argo, "fixed")
    change = '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"localhost/other:1"}]'
    image = attempt("kubectl", "patch", "rollout", "fixed", "-n", argo, f"--as={ACCOUNT}", "--type=json", "-p", change)
    assert not image.succeeded
    assert "leakwarden may change nothing" in image.errors
