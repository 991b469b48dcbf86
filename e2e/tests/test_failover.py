"""Two replicas of the installed operator, and a leader that is killed, ended by SIGTERM, or stopped by SIGSTOP."""

from __future__ import annotations

import signal as signals
import time
from datetime import datetime

import pytest

from e2e.cluster.progress import say
from e2e.harness.kube import Object, apply, containers, existing
from e2e.harness.leaks import deploy, leak
from e2e.harness.policies import actions_of, events, policy, read_policy, signal, wait_for_action
from e2e.harness.processes import processes_of, send
from e2e.harness.release import NAMESPACE, holder_of, lease, pod_logs, wait_for_operator
from e2e.harness.stack import uids
from e2e.harness.waiting import NotYet, wait_until

pytestmark = pytest.mark.long

# Due only after a leader that is killed or stopped right away has been followed, or nearly so.
SIGNALS = [signal("Descriptors", "80%", "20s")]
# Seconds, generous to a busy machine. Planned are up to 17 after a crash (a Lease of 15 s, read every 2 s) and 2 after
# a release, which must be less than the Lease would have lasted.
AFTER_A_CRASH = 30.0
AFTER_A_GOODBYE = 12.0
SLEEP = 25.0  # longer than the Lease, shorter than the liveness probe's limit of 60 s


def _leader() -> Object:
    """The leader's pod, on a node whose processes can be signalled from here."""
    found = wait_for_operator()
    if not processes_of(found, "leakwarden"):
        pytest.skip("this cluster's node does not share this machine's kernel: its processes take no signals from here")
    return found


def _followed(leader: Object, since: float) -> tuple[str, float]:
    """The next leader, and how many seconds after the wall clock's `since` it took the Lease over."""

    def look() -> Object | NotYet:
        spec = lease()
        successor = holder_of(spec)
        return spec if successor not in ("", leader["metadata"]["name"]) else NotYet(f"{successor or 'nobody'} leads")

    spec = wait_until("another replica to lead", look, 90, interval=0.5)
    acquired = datetime.fromisoformat(spec["acquireTime"].replace("Z", "+00:00")).timestamp()
    return holder_of(spec), acquired - since


def _exit_code(pod: Object) -> int:
    """The end of this pod's earlier container, once the kubelet has reported it."""
    before = sum(each["restartCount"] for each in containers(pod))

    def look() -> int | NotYet:
        [now] = containers(existing("pod", pod["metadata"]["name"], NAMESPACE))
        if now["restartCount"] <= before:
            return NotYet(str(now["state"]))
        return int(now["lastState"]["terminated"]["exitCode"])

    return wait_until("the container to be started again", look, 90)


def _evicted_once(namespace: str, before: set[str], by: str) -> None:
    """One pod, one record, one Event, and the replica that wrote them."""
    wait_for_action(namespace, "victim", "victim", "Done")
    assert len(actions_of(read_policy(namespace, "victim"))) == 1

    def told() -> list[Object] | NotYet:
        found = events(namespace, regarding="Deployment/victim", reason="PodEvicted")
        return found or NotYet("no Event yet")

    [event] = wait_until("the Event to be written", told, 30)
    assert event["reportingInstance"] == by
    assert not (event.get("series") or {}).get("count")

    def replaced() -> set[str] | NotYet:
        now = uids(namespace, "victim")
        return now if len(now) == 1 and not now & before else NotYet(str(now))

    wait_until("the pod to be replaced", replaced, 60)


def test_a_leader_that_is_killed_is_followed_and_the_leak_is_evicted_once(namespace: str) -> None:
    deploy(namespace, "victim")
    apply(policy("victim", namespace, {"app": "victim"}, SIGNALS))
    before = uids(namespace, "victim")
    leader = _leader()
    leak(namespace, "victim")
    assert actions_of(read_policy(namespace, "victim")) == []
    killed = time.time()
    send(leader, signals.SIGKILL)
    successor, seconds = _followed(leader, killed)
    say(f"{successor} led {seconds:.1f} s after kill -9 of {leader['metadata']['name']}")
    assert seconds < AFTER_A_CRASH
    _evicted_once(namespace, before, by=successor)
    after = uids(namespace, "victim")
    # The killed one is back, as standby.
    assert wait_for_operator()["metadata"]["name"] == successor
    assert uids(namespace, "victim") == after
    assert len(actions_of(read_policy(namespace, "victim"))) == 1


def test_a_leader_that_is_asked_to_end_hands_over_before_its_lease_has_run_out(operator: str) -> None:
    leader = _leader()
    asked = time.time()
    send(leader, signals.SIGTERM)
    successor, seconds = _followed(leader, asked)
    say(f"{successor} led {seconds:.1f} s after SIGTERM to {leader['metadata']['name']}")
    assert seconds < AFTER_A_GOODBYE
    assert _exit_code(leader) == 0
    assert "the Lease is released" in pod_logs(leader)


def test_a_leader_that_slept_changes_nothing_when_it_wakes_and_ends(namespace: str) -> None:
    deploy(namespace, "victim")
    apply(policy("victim", namespace, {"app": "victim"}, SIGNALS))
    before = uids(namespace, "victim")
    leader = _leader()
    sleeper = leader["metadata"]["name"]
    leak(namespace, "victim")
    stopped = time.time()
    send(leader, signals.SIGSTOP)
    try:
        successor, seconds = _followed(leader, stopped)
        say(f"{successor} led {seconds:.1f} s after SIGSTOP to {sleeper}")
        assert seconds < AFTER_A_CRASH
        _evicted_once(namespace, before, by=successor)
        time.sleep(max(SLEEP - (time.time() - stopped), 0.0))
        after = uids(namespace, "victim")
    finally:
        send(leader, signals.SIGCONT)
    assert _exit_code(leader) == 1
    assert "leadership lost" in pod_logs(leader)
    assert wait_for_operator()["metadata"]["name"] == successor
    assert uids(namespace, "victim") == after
    assert len(actions_of(read_policy(namespace, "victim"))) == 1
    assert len(events(namespace, regarding="Deployment/victim", reason="PodEvicted")) == 1
