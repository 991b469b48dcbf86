"""Without readings nothing is touched, whatever the reason, and the condition names it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.harness.kube import apply, delete, kubectl
from e2e.harness.leaks import LIMIT, deploy, leak, wait_until_held
from e2e.harness.policies import (
    actions_of,
    condition,
    events,
    policy,
    read_policy,
    signal,
    wait_for_action,
    wait_for_condition,
)
from e2e.harness.stack import MONITORING, another_prometheus, uids, wait_for_rollouts
from e2e.stack import manifests


@pytest.fixture(scope="module")
def servers(stack: None) -> Iterator[None]:
    """Two more real Prometheus servers: one that scrapes nothing, and one that will be stopped."""
    made = [*another_prometheus("empty", scrapes=False), *another_prometheus("stopped", scrapes=True)]
    apply(made)
    wait_for_rollouts(MONITORING, "empty", "stopped")
    yield
    for each in made:
        delete(each["kind"], each["metadata"]["name"], MONITORING)


def test_without_readings_nothing_is_touched_and_when_they_are_back_the_leak_is_dealt_with(
    servers: None, namespace: str
) -> None:
    cases = ("stopped", "empty", "unknown")
    deploy(namespace, *cases)
    signals = [signal("Descriptors", "80%", "10s")]
    apply([policy(case, namespace, {"app": case}, signals, prometheus=case) for case in cases])
    before = {case: uids(namespace, case) for case in cases}
    wait_for_condition(namespace, "stopped", "MetricsAvailable", "True", "AllSignalsFresh")
    wait_for_condition(namespace, "stopped", "Healthy", "True")

    kubectl("scale", "deployment/stopped", "--replicas=0", "-n", MONITORING)
    wait_for_condition(namespace, "stopped", "MetricsAvailable", "False", "QueryFailed", timeout=90)
    leak(namespace, *cases)

    # The main Prometheus, which these policies do not use, shows that all three are past the threshold for long.
    for case in cases:
        wait_until_held(namespace, case, 0.8 * LIMIT, 30)

    found = wait_for_condition(namespace, "stopped", "MetricsAvailable", "False", "QueryFailed")
    assert (condition(found, "Healthy") or {})["status"] == "Unknown"
    found = wait_for_condition(namespace, "empty", "MetricsAvailable", "False", "NoData")
    assert (condition(found, "Healthy") or {})["status"] == "Unknown"
    found = wait_for_condition(namespace, "unknown", "Ready", "False", "UnknownSource")
    ready = condition(found, "Ready") or {}
    assert "'unknown'" in ready["message"]
    assert "main" in ready["message"], "it says which names there are"
    assert (condition(found, "Healthy") or {})["status"] == "Unknown"
    for case in cases:
        assert uids(namespace, case) == before[case], f"{case}: its pod is untouched"
        assert not actions_of(read_policy(namespace, case))
        assert not events(namespace, regarding=f"Deployment/{case}", reason="PodEvicted")
    assert len(events(namespace, regarding="ReliabilityPolicy/stopped", reason="SignalsUnavailable")) <= 2

    kubectl("scale", "deployment/stopped", "--replicas=1", "-n", MONITORING)
    wait_for_action(namespace, "stopped", "stopped", result="Effective")
    wait_for_condition(namespace, "stopped", "MetricsAvailable", "True")
    assert not uids(namespace, "stopped") & before["stopped"]
    assert uids(namespace, "empty") == before["empty"]
    assert uids(namespace, "unknown") == before["unknown"]


def test_a_service_that_exports_nothing_is_unknown_and_status_says_what_would_help(namespace: str) -> None:
    apply(manifests.service("mute", "healthy", namespace, scrape=False))
    signals = [signal("Goroutines", "10"), signal("DBPool", "50%")]
    apply(policy("mute", namespace, {"app": "mute"}, signals, max_age="10s"))
    found = wait_for_condition(namespace, "mute", "MetricsAvailable", "False", "NoData")
    assert (condition(found, "Healthy") or {})["status"] == "Unknown"
