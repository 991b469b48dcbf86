"""The cluster changes while the operator acts: Deployments go, nodes fall silent, others scale, rights are taken
away."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import pytest

from e2e.faults import account
from e2e.faults.exchange import Answer, Effect, Exchange, Forward, requests
from e2e.faults.nodes import FRAIL, STEADY, condition, deployment
from e2e.faults.scenarios import Scenario, cases, side_by_side
from e2e.faults.scene import Scene, World
from e2e.harness.kube import Object, apply, delete
from e2e.harness.waiting import NotYet

pytestmark = pytest.mark.long

AT_ONCE = 6
EVICTIONS = requests("POST", "/eviction")


@pytest.fixture(scope="module")
def running(world: World, request: pytest.FixtureRequest) -> Iterator[Mapping[Scenario, Future[None]]]:
    with side_by_side(request, world, AT_ONCE) as begun:
        yield begun


def _judged(scene: Scene, **policy: Any) -> list[Object]:
    """Three pods, judged healthy."""
    pods = scene.deploy(replicas=3)
    scene.guard(**policy)
    scene.start()
    scene.wait_for_condition("Healthy", "True")
    return pods


def _path(scene: Scene, name: str = "victim") -> str:
    return f"apis/apps/v1/namespaces/{scene.namespace}/deployments/{name}"


def _meanwhile(change: Callable[[], object]) -> Effect:
    """The change is made when the request is on its way and has not arrived."""

    async def effect(_: Exchange, forward: Forward) -> Answer:
        await asyncio.to_thread(change)
        return await forward()

    return effect


def _remove(scene: Scene) -> None:
    """The Deployment and its pods, until none is left."""
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
    scene.world.api.send("DELETE", _path(scene), options)

    def gone() -> bool | NotYet:
        left = scene.world.api.items(f"api/v1/namespaces/{scene.namespace}/pods", labelSelector="app=victim")
        return NotYet(f"{len(left)} pods are left") if left else True

    scene.wait("the Deployment to be gone", gone)


def a_deployment_is_deleted_while_its_pod_is_being_evicted(world: World) -> None:
    with world.scene("deleted") as scene:
        pods = _judged(scene)
        fault = scene.api.add(EVICTIONS, _meanwhile(lambda: _remove(scene)), times=1)
        scene.leak(*pods[:2])
        scene.wait("an eviction", lambda: True if fault.hits else NotYet(str(scene.workload())))
        scene.wait_for_condition("Ready", "True", "NoTargets")
        scene.wait_for_ticks(5)
        scene.assert_quiet()
        assert not [each for each in scene.actions() if each["phase"] == "Pending"], "the outcome is told"


def a_deployment_is_replaced_while_its_pod_is_being_evicted(world: World) -> None:
    """The same name, but another UID: its pods are others, and decisions about the old ones do not hold."""
    with world.scene("replaced") as scene:
        pods = _judged(scene)

        def replace() -> None:
            _remove(scene)
            apply(deployment("victim", scene.namespace, 3))

        fault = scene.api.add(EVICTIONS, _meanwhile(replace), times=1)
        scene.leak(*pods[:2])
        scene.wait("an eviction", lambda: True if fault.hits else NotYet(str(scene.workload())))
        successors = scene.wait_for_pods("victim", 3)
        scene.wait_for_condition("Healthy", "True")
        scene.wait_for_ticks(3)
        scene.assert_quiet()
        # The new one's leak is its own: it is acted on although the old one's cooldown would not be over.
        scene.leak(successors[0])
        scene.wait(
            "its own leak to be dealt with", lambda: True if scene.evictions() else NotYet(str(scene.workload()))
        )
        scene.assert_quiet(but=[successors[0]["metadata"]["uid"]])


def a_node_is_not_ready(world: World) -> None:
    """Its pods count as unavailable, so that the budget leaves no room for an eviction elsewhere."""
    with world.scene("silent") as scene:
        steady = deployment("victim", scene.namespace, 3, node="")
        # Spread, so that some pods are on either node.
        steady["spec"]["template"]["spec"]["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": "victim"}},
                "nodeTaintsPolicy": "Honor",
            }
        ]
        apply(steady)
        pods = scene.wait_for_pods("victim", 3)
        scene.guard()
        scene.start()
        scene.wait_for_condition("Healthy", "True")
        on_steady = [pod for pod in pods if pod["spec"]["nodeName"] == STEADY]
        assert 0 < len(on_steady) < 3
        try:
            world.nodes.fall_silent(FRAIL)

            def unavailable() -> bool | NotYet:
                ready = [condition(pod, "Ready").get("status") for pod in scene.pods()]
                return True if "False" in ready else NotYet(str(ready))

            scene.wait("the control plane to take its pods for unavailable", unavailable)
            scene.leak(on_steady[0])
            scene.wait_for_skip("BudgetExhausted")
            scene.wait_for_ticks(5)
            scene.assert_quiet()
        finally:
            world.nodes.recover(FRAIL)
            _say_ready(scene)
        record = scene.wait_for_action(timeout=90)
        assert record["podUID"] == on_steady[0]["metadata"]["uid"]


def _say_ready(scene: Scene) -> None:
    """Report them as ready, as their kubelet would on its return: kwok does that only once per pod."""
    for pod in scene.pods():
        change = {"status": {"conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]}}
        path = f"api/v1/namespaces/{scene.namespace}/pods/{pod['metadata']['name']}/status"
        scene.world.api.send("PATCH", path, change, "application/strategic-merge-patch+json")


def a_rollout_is_stuck_and_an_autoscaler_owns_the_replicas(world: World) -> None:
    """Both at once: nothing is evicted while the rollout lasts, and the operator never changes the number of
    replicas."""
    with world.scene("rollout") as scene:
        actions = [{"type": "ScaleOut", "maxReplicas": 10}, {"type": "EvictPod"}]
        pods = _judged(scene, actions=actions)
        apply(_autoscaler(scene.namespace))
        scene.wait_for_ticks(2)
        # A new template whose pods no node takes, so that the rollout cannot end.
        stuck = {"spec": {"template": {"spec": {"nodeSelector": {"leakwarden.dev/e2e": "nowhere"}}}}}
        world.api.merge(_path(scene), stuck)
        scene.leak(*pods[:2])
        scene.wait_for_skip("RolloutInProgress")
        scene.wait_for_ticks(5)
        scene.assert_quiet()
        assert _replicas(scene) == 3
        world.api.merge(
            _path(scene), {"spec": {"template": {"spec": {"nodeSelector": {"leakwarden.dev/e2e": "simulated"}}}}}
        )
        record = scene.wait_for_action(timeout=90)
        assert record["type"] == "EvictPod"
        assert _replicas(scene) == 3, "the autoscaler's to change"


def _replicas(scene: Scene) -> int:
    found = scene.world.api.get(_path(scene))
    assert found is not None
    return int(found["spec"]["replicas"])


def _autoscaler(namespace: str) -> Object:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "victim", "namespace": namespace},
        "spec": {
            "minReplicas": 3,
            "maxReplicas": 10,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "victim"},
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
    }


def the_right_to_evict_is_taken_away_and_given_back(world: World) -> None:
    with world.scene("no-eviction") as scene:
        pods = _judged(scene, cooldown="10s")
        apply(account.without(scene.rights, "pods/eviction", "create"))
        scene.leak(*pods[:2])
        record = scene.wait_for_action(phase="Failed")
        assert "create pods/eviction" in record["message"], record
        told = scene.wait_for_condition("Ready", "False", "RightsMissing", timeout=90)
        assert "create pods/eviction" in told["message"], told
        scene.wait_for_ticks(5)
        assert scene.operator.runs
        scene.assert_quiet()
        account.grant(scene.rights)
        record = scene.wait_for_action(timeout=90)
        assert record["podUID"] in {pod["metadata"]["uid"] for pod in pods[:2]}


def the_right_to_scale_is_taken_away_before_a_replica_is_taken_back(world: World) -> None:
    with world.scene("no-scale") as scene:
        pods = _judged(scene, actions=[{"type": "ScaleOut", "maxReplicas": 10, "timeToLive": "1m"}])
        scene.leak(pods[0])
        assert scene.wait_for_action()["type"] == "ScaleOut"
        apply(account.without(scene.rights, "deployments/scale", "patch"))
        told = scene.wait_for_condition("Ready", "False", "RightsMissing", timeout=120)
        assert "patch deployments.apps/scale" in told["message"], told
        assert [each for each in scene.events("PolicyNotReady") if "patch deployments.apps/scale" in each["note"]]
        scene.wait_for_ticks(5)
        assert _replicas(scene) == 4
        account.grant(scene.rights)
        scene.wait("the replica to be taken back", lambda: True if _replicas(scene) == 3 else NotYet("still there"))
        scene.wait_for_condition("Ready", "True", "Reconciled")
        assert "taken back: back to 3 replicas" in scene.actions()[0]["message"]


def the_right_to_watch_pods_is_taken_away_and_given_back(world: World) -> None:
    """Without its view it does nothing, and the condition names the missing right."""
    with world.scene("no-pods") as scene:
        pods = _judged(scene)
        apply(account.without(scene.rights, "pods", "list", "watch"))
        # An open watch goes on after its permission is gone.
        scene.api.cut_streams()
        scene.leak(*pods[:2])
        told = scene.wait_for_condition("MetricsAvailable", "Unknown", "ClusterNotSynced", timeout=90)
        assert re.search(r"(list|watch).*pods|pods.*(list|watch)", told["message"]), told
        scene.wait_for_ticks(5)
        scene.assert_quiet()
        account.grant(scene.rights)
        scene.wait_for_action(timeout=90)
        assert scene.operator.lives == 1, "it never ended"


def the_right_to_watch_policies_is_taken_away_and_given_back(world: World) -> None:
    """The policies it has read stay in force. The log names the right, and an edit arrives once the right is back."""
    with world.scene("no-policies") as scene:
        pods = _judged(scene)
        apply(account.without(scene.rights, "reliabilitypolicies", "list", "watch"))
        scene.api.cut_streams()

        def told() -> bool | NotYet:
            words = scene.operator.last_words(200)
            right = r"may not list or watch reliabilitypolicies\.leakwarden\.dev"
            return True if re.search(right, words) else NotYet(words[-400:])

        scene.wait("the log to name the right", told)
        # not seen yet, and still in force: an intent is refused for a policy that has changed
        scene.guard(suspend=True)
        scene.leak(*pods[:2])
        scene.wait_for_ticks(8)
        account.grant(scene.rights)
        scene.wait_for_skip("Suspended", timeout=90)
        scene.assert_quiet()
        assert scene.operator.lives == 1


def the_right_to_write_a_status_is_taken_away_and_given_back(world: World) -> None:
    """Without a record there is no action. The status cannot be written either: the log has the reason."""
    with world.scene("no-status") as scene:
        pods = _judged(scene)
        poorer = scene.rights
        for resource in ("reliabilitypolicies/status", "leakreports/status", "leakreports"):
            poorer = account.without(poorer, resource, "patch", "create", "update")
        apply(poorer)
        scene.leak(*pods[:2])

        def told() -> bool | NotYet:
            words = scene.operator.last_words(200)
            return True if re.search(r"may not (patch|create) \w+\.leakwarden\.dev", words) else NotYet(words[-400:])

        scene.wait("the log to name the right", told)
        scene.wait_for_ticks(5)
        scene.assert_quiet()
        account.grant(scene.rights)
        scene.wait_for_action(timeout=90)
        assert scene.operator.lives == 1


def a_policy_is_deleted_while_a_pod_is_being_evicted(world: World) -> None:
    """The eviction under way may end; nothing is done after it."""
    with world.scene("unguarded") as scene:
        pods = _judged(scene, cooldown="10s")

        def remove() -> None:
            delete("reliabilitypolicies.leakwarden.dev", "guarded", scene.namespace, wait=True)

        fault = scene.api.add(EVICTIONS, _meanwhile(remove), times=1)
        scene.leak(*pods[:2])
        scene.wait("an eviction", lambda: True if fault.hits else NotYet(str(scene.workload())))
        scene.wait("its end", lambda: True if scene.evictions() else NotYet("not yet"))
        scene.wait_for_ticks(14)  # longer than the cooldown
        assert len(scene.evictions()) == 1


@cases(
    the_right_to_scale_is_taken_away_before_a_replica_is_taken_back,
    a_node_is_not_ready,
    the_right_to_watch_pods_is_taken_away_and_given_back,
    the_right_to_watch_policies_is_taken_away_and_given_back,
    the_right_to_evict_is_taken_away_and_given_back,
    the_right_to_write_a_status_is_taken_away_and_given_back,
    a_rollout_is_stuck_and_an_autoscaler_owns_the_replicas,
    a_deployment_is_replaced_while_its_pod_is_being_evicted,
    a_deployment_is_deleted_while_its_pod_is_being_evicted,
    a_policy_is_deleted_while_a_pod_is_being_evicted,
)
def test_it_acts_on_what_is_and_not_on_what_was(scenario: Scenario, running: Mapping[Scenario, Future[None]]) -> None:
    running[scenario].result()
