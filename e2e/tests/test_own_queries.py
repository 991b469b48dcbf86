"""A team's own PromQL and alerts as signals, on a real leak, within their own namespace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.harness.kube import apply
from e2e.harness.leaks import LIMIT, deploy, leak, wait_until_held
from e2e.harness.policies import (
    actions_of,
    policy,
    read_policy,
    signal,
    signal_of,
    wait_for_action,
    wait_for_condition,
)
from e2e.harness.stack import uids
from e2e.harness.waiting import NotYet, wait_until
from e2e.tests.conftest import a_namespace


def test_own_promql_and_a_firing_alert_lead_to_an_eviction(namespace: str) -> None:
    deploy(namespace, "by-query", "by-alert")
    query = signal("PromQL", "80%", "10s", name="open-files", query="process_open_fds", limitQuery="process_max_fds")
    alert = signal("Alert", name="paged", role="Leak", alert={"name": "GoServiceDescriptorsHigh"})
    apply(
        [
            policy("by-query", namespace, {"app": "by-query"}, [query]),
            policy("by-alert", namespace, {"app": "by-alert"}, [alert]),
        ]
    )
    before = {name: uids(namespace, name) for name in ("by-query", "by-alert")}
    wait_for_condition(namespace, "by-query", "Healthy", "True")
    wait_for_condition(namespace, "by-alert", "Healthy", "True")
    leak(namespace, "by-query", "by-alert")

    record = wait_for_action(namespace, "by-query", "by-query", "Done")
    assert record["signal"] == "open-files"
    record = wait_for_action(namespace, "by-alert", "by-alert", "Done")
    assert record["signal"] == "paged"
    assert "GoServiceDescriptorsHigh is firing" in record["reason"]
    for name in before:
        assert not uids(namespace, name) & before[name]


@pytest.fixture
def neighbour(operator: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Another team's namespace."""
    with a_namespace(request.config, "neighbour") as name:
        yield name


def test_a_query_cannot_see_another_namespace(namespace: str, neighbour: str) -> None:
    """Two namespaces have a Deployment of the same name; only the other one's pods leak, and the query asks for it."""
    deploy(neighbour, "twin")
    deploy(namespace, "twin")
    leak(neighbour, "twin")
    wait_until_held(neighbour, "twin", 0.8 * LIMIT, 15)

    asking = signal("PromQL", "100", "10s", name="theirs", query=f'process_open_fds{{namespace="{neighbour}"}}')
    all_of_them = signal("PromQL", "100", "10s", name="all", query='process_open_fds{namespace=~".+"}')
    apply(policy("curious", namespace, {"app": "twin"}, [asking, all_of_them]))
    before = uids(namespace, "twin")

    def answered() -> bool | NotYet:
        found = read_policy(namespace, "curious")
        theirs, everything = signal_of(found, "theirs") or {}, signal_of(found, "all") or {}
        done = theirs.get("state") == "NoData" and everything.get("state") == "Available"
        return True if done else NotYet(f"{theirs} {everything}")

    wait_until("the query to find nothing of the neighbour", answered, 60)
    found = read_policy(namespace, "curious")
    assert found["status"]["targets"]["exhausting"] == 0
    assert (signal_of(found, "all") or {})["pods"] == 1
    assert uids(namespace, "twin") == before
    assert not actions_of(found)
