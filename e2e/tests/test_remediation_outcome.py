"""The results of an action: the next rung of the ladder, whether it helped, and the circuit that opens where none
does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future

import pytest

from e2e.faults.exchange import Answer, Exchange, Forward, delayed
from e2e.faults.exporter import HEALTHY, Distortion
from e2e.faults.pace import LEAKING
from e2e.faults.remedies import (
    EVICTIONS,
    amend,
    assert_event,
    judged,
    ready,
    replicas,
    report_of,
    seconds,
    uid,
    wait_for_evictions,
    wait_for_phase,
    wait_for_results,
)
from e2e.faults.scenarios import Scenario, cases, side_by_side
from e2e.faults.scene import Scene, World
from e2e.harness.kube import Object, apply, kubectl
from e2e.harness.waiting import NotYet

pytestmark = pytest.mark.long

AT_ONCE = 5
TIMEOUT = 60.0  # s; the least that an action of a policy can have
HELD_BACK = [{"name": "e2e", "reason": "the test is not ready yet"}]


@pytest.fixture(scope="module")
def running(world: World, request: pytest.FixtureRequest) -> Iterator[Mapping[Scenario, Future[None]]]:
    with side_by_side(request, world, AT_ONCE) as begun:
        yield begun


def _wait_for_call(scene: Scene, pod: Object, timeout: float = 60) -> Object:
    """Waits until a person was called for the pod, in every channel; returns the record."""
    told = scene.wait_for_condition("Stalled", "True", "Escalated", timeout=timeout)
    assert pod["metadata"]["name"] in told["message"]
    assert_event(scene, "Escalated", "Warning", pod["metadata"]["name"])
    report = wait_for_phase(scene, pod, "Detected")
    record: Object = report["status"]["actions"][0]
    assert (record["type"], record["phase"]) == ("Escalate", "Done")
    return record


# The ladder


def an_eviction_that_is_refused_for_its_time_gives_way_and_the_last_rung_calls_a_person(world: World) -> None:
    ladder = ({"type": "EvictPod", "timeout": "1m"}, {"type": "ScaleOut", "maxReplicas": 3}, {"type": "Escalate"})
    with world.scene("ladder") as scene:
        apply(_never_disrupt(scene.namespace))
        pods = judged(scene, 2, *ladder)
        _wait_for_budget(scene)
        scene.leak(pods[0])
        scene.wait_for_action(phase="Blocked")
        scene.wait_for_skip("DisruptionBudget")
        assert_event(scene, "EvictionBlocked", "Warning")
        assert replicas(scene) == 2, "its time is not over"
        record = _wait_for_call(scene, pods[0], timeout=TIMEOUT + 60)
        evicting, scaling = wait_for_results(scene, "Blocked", "Effective")
        assert [each["type"] for each in (evicting, scaling)] == ["EvictPod", "ScaleOut"]
        report = report_of(scene, pods[0])
        since = seconds(scaling["intendedAt"]) - seconds(report["status"]["exhaustingAt"])
        assert since >= TIMEOUT - 1, "the next rung before the first one's time was over"
        assert seconds(scaling["verifiedAt"]) <= seconds(record["intendedAt"]), "called before the help was seen"
        assert replicas(scene) == 3
        scene.wait_for_skip("Escalated")
        scene.wait_for_ticks(5)
        assert len(scene.actions()) == 3, "a person is called once"
        scene.assert_quiet()


def _never_disrupt(namespace: str) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "never", "namespace": namespace},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "victim"}}},
    }


def _wait_for_budget(scene: Scene) -> None:
    def look() -> bool | NotYet:
        path = f"apis/policy/v1/namespaces/{scene.namespace}/poddisruptionbudgets/never"
        held = (scene.world.api.get(path) or {}).get("status", {})
        return True if held.get("expectedPods") == 2 else NotYet(str(held))

    scene.wait("the disruption budget to be counted", look)


def an_eviction_whose_successor_does_not_come_is_given_up_after_its_time_and_a_person_is_called(world: World) -> None:
    ladder = ({"type": "EvictPod", "timeout": "1m"}, {"type": "Escalate"})
    with world.scene("overdue") as scene:
        pods = judged(scene, 3, *ladder, verification={"settle": "4s", "timeout": "10m"})
        apply(_no_new_pods(scene.namespace, 2))
        scene.leak(pods[0], value=195.0)
        scene.leak(pods[1], value=185.0)
        assert wait_for_evictions(scene, 1) == [uid(pods[0])]
        scene.wait_for_skip("CanaryPending")
        record = _wait_for_call(scene, pods[1], timeout=TIMEOUT + 60)
        (evicting,) = wait_for_results(scene, "Verifying")
        waited = seconds(record["intendedAt"]) - seconds(evicting["finishedAt"])
        assert waited >= TIMEOUT - 1, "the next rung before the first one's time was over"
        plan = report_of(scene, pods[1])["status"]["plan"]["message"]
        assert "EvictPod was not seen to help within 1m" in plan
        scene.assert_quiet(but=[uid(pods[0])])


def _no_new_pods(namespace: str, most: int) -> Object:
    """Of more than `most` failed actions, no other follows."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full", "namespace": namespace},
        "spec": {"hard": {"pods": str(most)}},
    }


def a_single_replica_is_given_another_before_it_is_evicted(world: World) -> None:
    with world.scene("single") as scene:
        (pod,) = judged(scene, 1, "EvictPod", {"type": "ScaleOut", "maxReplicas": 2})
        scene.leak(pod)

        def evicted() -> bool | NotYet:
            assert ready(scene) >= 1, "nobody served"
            return True if scene.evictions() else NotYet(str(scene.workload()))

        scene.wait("its eviction", evicted)
        assert scene.evicted() == [uid(pod)]
        scaling, evicting = wait_for_results(scene, "Effective", "Effective")
        assert [each["type"] for each in (scaling, evicting)] == ["ScaleOut", "EvictPod"]
        assert seconds(scaling["verifiedAt"]) <= seconds(evicting["intendedAt"]), "cut before the other served"
        assert replicas(scene) == 2


def a_single_replica_that_may_have_no_other_is_left_alone_and_a_person_is_called(world: World) -> None:
    with world.scene("lonely") as scene:
        (pod,) = judged(scene, 1, "EvictPod")
        scene.leak(pod)
        _wait_for_call(scene, pod)
        plan = report_of(scene, pod)["status"]["plan"]["message"]
        assert "EvictPod is impossible: of 1 replicas 0 would be left" in plan
        scene.wait_for_skip("Escalated")
        scene.wait_for_ticks(5)
        assert len(scene.actions()) == 1, "a person is called once"
        scene.assert_quiet()
        assert scene.uids() == {uid(pod)}
        # The call stands until the leak is over.
        scene.leak(pod, value=HEALTHY)
        amend(scene, remediation={"verification": {"settle": "4s", "timeout": "8s"}})
        wait_for_phase(scene, pod, "RecoveredAnyway")
        scene.wait("the call to be over", lambda: NotYet(str(held)) if (held := scene.condition("Stalled")) else True)


# Whether it helped


def kubectl_get_leak_tells_each_phase_of_an_episode_that_ends_well(world: World) -> None:
    with world.scene("phases") as scene:
        pods = judged(
            scene, 2, "EvictPod", policy={"pauseRequests": HELD_BACK}, verification={"settle": "6s", "timeout": "60s"}
        )
        scene.leak(pods[0])
        row = _wait_for_row(scene, pods[0], "Detected")
        assert (row["WORKLOAD"], row["SIGNAL"]) == ("victim", "descriptors")
        assert (row["VERDICT"], row["ACTION"]) == ("Exhausting", "")
        with scene.api.suffering(EVICTIONS, delayed(4)):
            amend(scene, pauseRequests=None)
            assert _wait_for_row(scene, pods[0], "Remediating")["ACTION"] == "EvictPod"
        _wait_for_row(scene, pods[0], "Verifying")
        assert _wait_for_row(scene, pods[0], "Effective")["ACTION"] == "EvictPod"
        report = report_of(scene, pods[0])
        status = report["status"]
        lived = seconds(status["exhaustingAt"]) - seconds(report["spec"]["pod"]["startedAt"])
        assert status["restartBuysSeconds"] == lived
        assert f"a restart buys {lived / 60:.1f} min" in status["message"]
        assert "2 of 2 replicas serve" in status["message"]
        assert_event(scene, "RemediationEffective", words="a restart buys")
        (record,) = wait_for_results(scene, "Effective")
        assert "a restart buys" in record["message"]


def _wait_for_row(scene: Scene, pod: Object, phase: str) -> dict[str, str]:
    """What `kubectl get leak` prints of the pod's report, by column, once the phase is this."""

    def look() -> dict[str, str] | NotYet:
        rows = _table(kubectl("get", "leak", "-o", "wide", "-n", scene.namespace))
        mine = next((row for row in rows if row["POD"] == pod["metadata"]["name"]), None)
        return mine if mine is not None and mine["PHASE"] == phase else NotYet(str(rows))

    return scene.wait(f"kubectl get leak to print {phase}", look)


def _table(printed: str) -> list[dict[str, str]]:
    header, *lines = printed.splitlines() or [""]
    columns = [(each.group().strip(), each.start(), each.end()) for each in re.finditer(r"\S+\s*", header)]
    last = columns[-1][0] if columns else ""
    return [
        {name: line[begin : None if name == last else end].strip() for name, begin, end in columns} for line in lines
    ]


def readings_that_fall_by_themselves_before_anything_is_done_end_the_episode_as_recovered_anyway(world: World) -> None:
    with world.scene("calm") as scene:
        pods = judged(
            scene, 2, "EvictPod", policy={"pauseRequests": HELD_BACK}, verification={"settle": "4s", "timeout": "8s"}
        )
        scene.leak(pods[0])
        scene.wait_for_skip("Paused")
        wait_for_phase(scene, pods[0], "Detected")
        scene.leak(pods[0], value=HEALTHY)
        report = wait_for_phase(scene, pods[0], "RecoveredAnyway")
        assert "judged Healthy for 8s" in report["status"]["message"]
        assert not report["status"].get("actions")
        assert_event(scene, "RecoveredAnyway", words=pods[0]["metadata"]["name"])
        amend(scene, pauseRequests=None)
        scene.wait_for_ticks(5)
        scene.assert_quiet()
        assert not scene.actions()


def a_sibling_that_recovers_without_help_makes_the_action_recovered_anyway(world: World) -> None:
    """This does not count as a failure: the circuit, which one failure would open, stays closed."""
    with world.scene("sibling") as scene:
        pods = judged(
            scene, 3, "EvictPod",
            verification={"settle": "10s", "timeout": "60s"}, circuitBreaker={"failures": 1, "sleepWindow": "1h"},
        )  # fmt: skip
        amend(scene, pauseRequests=HELD_BACK)
        scene.leak(pods[0], value=195.0)
        scene.leak(pods[1], value=185.0)
        wait_for_phase(scene, pods[1], "Detected")
        amend(scene, pauseRequests=None)
        assert wait_for_evictions(scene, 1) == [uid(pods[0])]
        scene.leak(pods[1], value=HEALTHY)
        report = wait_for_phase(scene, pods[0], "RecoveredAnyway")
        assert f"{pods[1]['metadata']['name']}, left alone, recovered as well" in report["status"]["message"]
        scene.wait_for_ticks(3)
        assert not scene.condition("Stalled")
        scene.leak(pods[2])
        assert wait_for_evictions(scene, 2) == [uid(pods[0]), uid(pods[2])]


def a_successor_that_nobody_can_read_is_inconclusive_which_counts_as_a_failure(world: World) -> None:
    with world.scene("blind") as scene:
        pods = judged(
            scene, 2, "EvictPod",
            verification={"settle": "3s", "timeout": "12s"}, circuitBreaker={"failures": 1, "sleepWindow": "1h"},
        )  # fmt: skip

        async def blinding(_: Exchange, forward: Forward) -> Answer:
            scene.world.exporter.distort(scene.namespace, Distortion.ABSENT)
            return await forward()

        scene.api.add(EVICTIONS, blinding, times=1)
        scene.leak(pods[0])
        report = wait_for_phase(scene, pods[0], "Inconclusive")
        assert "no reading of descriptors for" in report["status"]["message"]
        assert_event(scene, "RemediationInconclusive", "Warning")
        scene.wait_for_condition("Stalled", "True", "CircuitOpen")
        scene.world.exporter.distort(scene.namespace, None)
        scene.leak(pods[1])
        scene.wait_for_skip("CircuitOpen")
        scene.wait_for_ticks(5)
        scene.assert_quiet(but=[uid(pods[0])])


# The circuit


def after_two_evictions_that_did_not_help_the_circuit_opens_and_lets_one_trial_through_at_a_time(world: World) -> None:
    sleep = 20.0
    breaker = {"failures": 2, "sleepWindow": f"{sleep:g}s"}
    with world.scene("circuit") as scene:
        pods = judged(scene, 2, "EvictPod", circuitBreaker=breaker)
        scene.leak(pods[1], value=HEALTHY)
        scene.leak(pods[0])
        scene.world.exporter.presume(scene.namespace, "victim", LEAKING)  # its replacement
        _, second = wait_for_results(scene, "Ineffective", "Ineffective")
        assert "is Exhausting again" in second["message"]
        assert_event(scene, "RemediationIneffective", "Warning")

        told = scene.wait_for_condition("Stalled", "True", "CircuitOpen")
        assert "2 actions in a row did not help" in told["message"]
        assert_event(scene, "CircuitOpened", "Warning")
        scene.wait_for_skip("CircuitOpen")
        (leaking,) = [pod for pod in scene.pods() if uid(pod) != uid(pods[1])]
        advised = wait_for_phase(scene, leaking, "Detected")["status"]
        assert advised["plan"]["action"] == "EvictPod"
        assert "CircuitOpen" in advised["plan"]["message"]
        assert len(scene.evictions()) == 2

        # The trial does not help either: the circuit is open again, for the same time.
        *_, trial = wait_for_results(scene, *["Ineffective"] * 3, timeout=sleep + 40)
        assert seconds(trial["intendedAt"]) >= seconds(second["verifiedAt"]) + sleep - 1
        told = scene.wait_for_condition("Stalled", "True", "CircuitOpen")
        scene.wait_for_skip("CircuitOpen")
        assert "3 actions in a row did not help" in scene.workload()["skipped"]["message"]
        assert len(scene.evictions()) == 3

        # The next one does.
        scene.leak(*[pod for pod in scene.pods() if uid(pod) != uid(pods[1])])
        scene.world.exporter.presume(scene.namespace, "victim", HEALTHY)
        *_, helped = wait_for_results(scene, *["Ineffective"] * 3, "Effective", timeout=sleep + 40)
        assert seconds(helped["intendedAt"]) >= seconds(trial["verifiedAt"]) + sleep - 1
        scene.wait("the circuit to close", lambda: NotYet(str(held)) if (held := scene.condition("Stalled")) else True)
        assert_event(scene, "CircuitClosed")
        assert len(scene.evictions()) == 4
        # It is closed: the next leak is dealt with at once.
        scene.leak(pods[1])
        assert wait_for_evictions(scene, 5)[-1] == uid(pods[1])


@cases(
    after_two_evictions_that_did_not_help_the_circuit_opens_and_lets_one_trial_through_at_a_time,
    an_eviction_that_is_refused_for_its_time_gives_way_and_the_last_rung_calls_a_person,
    an_eviction_whose_successor_does_not_come_is_given_up_after_its_time_and_a_person_is_called,
    kubectl_get_leak_tells_each_phase_of_an_episode_that_ends_well,
    a_single_replica_that_may_have_no_other_is_left_alone_and_a_person_is_called,
    a_single_replica_is_given_another_before_it_is_evicted,
    a_successor_that_nobody_can_read_is_inconclusive_which_counts_as_a_failure,
    a_sibling_that_recovers_without_help_makes_the_action_recovered_anyway,
    readings_that_fall_by_themselves_before_anything_is_done_end_the_episode_as_recovered_anyway,
)
def test_what_was_done_is_judged_by_what_came_of_it(
    scenario: Scenario, running: Mapping[Scenario, Future[None]]
) -> None:
    running[scenario].result()
