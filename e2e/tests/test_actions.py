"""The other two actions, each once for real, and the limits of the operator's rights to them."""

from __future__ import annotations

from e2e.harness.kube import Object, apply, attempt, existing
from e2e.harness.leaks import deploy, leak
from e2e.harness.policies import (
    actions_of,
    events,
    policy,
    read_policy,
    signal,
    wait_for_action,
    workload_of,
)
from e2e.harness.release import NAMESPACE, RELEASE
from e2e.harness.stack import uids, wait_for_rollouts
from e2e.harness.waiting import NotYet, wait_until

SIGNALS = [signal("Descriptors", "80%", "10s")]
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"


def test_scaling_out_and_restarting_a_rollout_each_happen_once(namespace: str) -> None:
    deploy(namespace, "wide", "rolled")
    apply(
        [
            policy("wide", namespace, {"app": "wide"}, SIGNALS, actions=[{"type": "ScaleOut", "maxReplicas": 2}],
                   cooldown="20s"),
            policy("rolled", namespace, {"app": "rolled"}, SIGNALS, actions=[{"type": "RolloutRestart"}]),
        ]
    )  # fmt: skip
    before = {name: uids(namespace, name) for name in ("wide", "rolled")}
    leak(namespace, "wide", "rolled")

    record = wait_for_action(namespace, "rolled", "rolled", result="Effective")
    assert record["type"] == "RolloutRestart"
    restarted = existing("deployment", "rolled", namespace)
    assert RESTARTED_AT in restarted["spec"]["template"]["metadata"]["annotations"]
    wait_for_rollouts(namespace, "rolled")
    assert not uids(namespace, "rolled") & before["rolled"]
    assert events(namespace, regarding="Deployment/rolled", reason="RolloutRestarted")

    record = wait_for_action(namespace, "wide", "wide", "Done")
    assert record["type"] == "ScaleOut"
    wait_for_rollouts(namespace, "wide")
    assert existing("deployment", "wide", namespace)["spec"]["replicas"] == 2
    assert uids(namespace, "wide") > before["wide"], "the leaking pod is still there, and a fresh one beside it"
    assert events(namespace, regarding="Deployment/wide", reason="ScaledOut")

    def at_most_two() -> Object | NotYet:
        judged = workload_of(read_policy(namespace, "wide"), "wide") or {}
        skip: Object = judged.get("skipped", {})
        return skip if skip.get("reasons") == ["AtMaxReplicas"] else NotYet(str(judged))

    wait_until("the maximum to be what is left in the way", at_most_two, 120)
    assert existing("deployment", "wide", namespace)["spec"]["replicas"] == 2
    assert len(actions_of(read_policy(namespace, "wide"))) == 1


def test_a_replica_that_was_added_for_a_while_is_taken_back_once(namespace: str) -> None:
    deploy(namespace, "brief")
    for_a_minute: Object = {"type": "ScaleOut", "maxReplicas": 3, "timeToLive": "1m"}
    apply(policy("brief", namespace, {"app": "brief"}, SIGNALS, actions=[for_a_minute]))
    leak(namespace, "brief")
    wait_for_action(namespace, "brief", "brief", "Done")

    def replicas(wanted: int) -> bool | NotYet:
        found = existing("deployment", "brief", namespace)["spec"]["replicas"]
        return True if found == wanted else NotYet(f"{found} replicas")

    wait_until("one replica more", lambda: replicas(2), 30)
    wait_until("it to be taken back", lambda: replicas(1), 150)
    wait_for_rollouts(namespace, "brief")
    assert len(actions_of(read_policy(namespace, "brief"))) == 1


def test_the_right_to_restart_a_rollout_is_not_a_right_to_change_its_image(namespace: str) -> None:
    deploy(namespace, "target")
    image = attempt(
        "kubectl", "set", "image", "deployment/target", "app=localhost/other:1", "-n", namespace, f"--as={ACCOUNT}"
    )
    assert not image.succeeded
    assert "leakwarden may change nothing" in image.errors
    scaled = attempt(
        "kubectl", "patch", "deployment", "target", "-n", namespace, f"--as={ACCOUNT}", "-p", '{"spec":{"replicas":9}}'
    )
    assert not scaled.succeeded
    assert "leakwarden may change nothing" in scaled.errors
    labelled = attempt(
        "kubectl", "patch", "deployment", "target", "-n", namespace, f"--as={ACCOUNT}",
        "-p", '{"metadata":{"labels":{"owner":"leakwarden"}}}',
    )  # fmt: skip
    assert not labelled.succeeded
    assert "may not change a workload's metadata" in labelled.errors
    for command in (["delete", "pod", "-l", "app=target"], ["delete", "deployment", "target"]):
        refused = attempt("kubectl", *command, "-n", namespace, f"--as={ACCOUNT}")
        assert "forbidden" in refused.errors.lower(), command
    restart = attempt("kubectl", "rollout", "restart", "deployment/target", "-n", namespace, f"--as={ACCOUNT}")
    assert restart.succeeded, restart.errors
