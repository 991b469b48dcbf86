"""Refusals of the API server and of the operator, and their messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.harness.kube import apply, attempt, delete, kubectl
from e2e.harness.policies import KIND, condition, policy, signal, wait_for_condition
from e2e.stack import manifests


def _refusal(made: dict[str, Any]) -> str:
    """kubectl's message on creating the policy; it must fail."""
    result = attempt("kubectl", "create", "-f", "-", stdin=json.dumps(made))
    assert not result.succeeded, f"the API server took it: {result.output}"
    return result.errors


def _a_policy(namespace: str, name: str = "policy", **changes: Any) -> dict[str, Any]:
    return policy(name, namespace, {"app": "healthy"}, [signal("Descriptors", "80%")], **changes)


def test_an_empty_selector_is_refused_by_the_api_server(namespace: str) -> None:
    made = _a_policy(namespace)
    made["spec"]["selector"] = {}
    said = _refusal(made)
    assert "selector must have at least one entry" in said
    assert "every Deployment" in said


def test_a_policy_without_a_selector_is_refused_by_the_api_server(namespace: str) -> None:
    made = _a_policy(namespace)
    del made["spec"]["selector"]
    assert "spec.selector: Required value" in _refusal(made)


def test_promql_without_a_query_is_refused_by_the_api_server(namespace: str) -> None:
    made = _a_policy(namespace)
    made["spec"]["signals"] = [signal("PromQL", "100")]
    assert "query is needed for type PromQL, and else only for DBPool" in _refusal(made)


def test_enforcing_on_supporting_signals_alone_is_refused_by_the_api_server(namespace: str) -> None:
    made = _a_policy(namespace)
    made["spec"]["signals"] = [signal("WorkingSet", "90%")]
    assert "mode Enforce needs at least one signal with role Leak" in _refusal(made)


def test_a_slip_of_the_pen_is_refused_by_strict_validation(namespace: str) -> None:
    made = _a_policy(namespace)
    made["spec"]["signals"][0]["treshold"] = made["spec"]["signals"][0].pop("threshold")
    assert 'unknown field "spec.signals[0].treshold"' in _refusal(made)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"type": "HTTPErrors"}, "need a threshold"),
        ({"type": "HTTPErrors", "threshold": {"above": "5"}}, "such as 5% or 0.05"),
        ({"type": "HTTPErrors", "threshold": {"above": "5%"}, "role": "Leak"}, "which never act alone"),
        ({"type": "LatencyP99", "threshold": {"above": "5%"}}, "a number of seconds"),
        ({"type": "LatencyP99", "threshold": {"above": "1.5"}, "minRequestRate": 0}, "at least 0.01 requests a second"),
        ({"type": "Descriptors", "minRequestRate": 1}, "only for types HTTPErrors and LatencyP99"),
    ],
)
def test_a_symptom_that_would_act_or_says_nothing_is_refused_by_the_api_server(
    namespace: str, changes: dict[str, Any], says: str
) -> None:
    made = _a_policy(namespace)
    made["spec"]["signals"].append({"name": "symptom", **changes})
    assert says in _refusal(made)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reason": "  "}, "reason must say why the finding is accepted"),
        ({"check": "LW905"}, "cannot be excepted"),
        ({"until": "2027-02-30"}, "until"),
        ({"check": "everything"}, "check"),
    ],
)
def test_an_exception_of_the_audit_without_sense_is_refused_by_the_api_server(
    namespace: str, changes: dict[str, Any], says: str
) -> None:
    made = _a_policy(namespace)
    made["spec"]["audit"] = {"ignore": [{"check": "LW203", "reason": "drains in the mesh", **changes}]}
    assert says in _refusal(made)


def test_a_cooldown_below_ten_seconds_is_refused_by_the_api_server(namespace: str) -> None:
    assert "must be from 10s to 30d" in _refusal(_a_policy(namespace, cooldown="1s"))


def test_promql_that_does_not_parse_stops_its_own_policy_only(namespace: str) -> None:
    apply(manifests.service("healthy", "healthy", namespace))
    broken = policy(
        "broken", namespace, {"app": "other"}, [signal("PromQL", "100", name="mine", query="sum(rate(foo[5m])")]
    )
    apply([broken, _a_policy(namespace, "sound")])
    found = wait_for_condition(namespace, "broken", "Ready", "False", "InvalidSpec")
    ready = condition(found, "Ready")
    assert ready is not None
    assert "spec.signals[0].query" in ready["message"]
    assert "sum(rate(foo[5m])" in ready["message"]
    stalled = condition(found, "Stalled")
    assert stalled is not None
    assert stalled["status"] == "True"
    wait_for_condition(namespace, "sound", "Ready", "True", "Reconciled")

    # Once corrected, it is in force without any further step.
    broken["spec"]["signals"][0]["query"] = "process_open_fds"
    apply(broken)
    found = wait_for_condition(namespace, "broken", "Ready", "True")
    assert condition(found, "Stalled") is None


def test_of_two_policies_on_one_deployment_the_older_acts_and_the_younger_says_conflicted(namespace: str) -> None:
    apply(manifests.service("healthy", "healthy", namespace))
    apply(_a_policy(namespace, "a-older"))
    wait_for_condition(namespace, "a-older", "Ready", "True", "Reconciled")
    apply(_a_policy(namespace, "b-younger"))
    found = wait_for_condition(namespace, "b-younger", "Ready", "False", "Conflicted")
    ready = condition(found, "Ready")
    assert ready is not None
    assert "healthy" in ready["message"]
    assert "a-older" in ready["message"]
    wait_for_condition(namespace, "a-older", "Ready", "True", "Reconciled")

    delete(KIND, "a-older", namespace, wait=True)
    wait_for_condition(namespace, "b-younger", "Ready", "True", "Reconciled")


def test_a_policy_that_selects_nothing_says_so(namespace: str) -> None:
    apply(_a_policy(namespace))
    wait_for_condition(namespace, "policy", "Ready", "True", "NoTargets")


def test_kubectl_get_shows_what_a_person_looks_for(namespace: str) -> None:
    apply(manifests.service("healthy", "healthy", namespace))
    apply(_a_policy(namespace))
    wait_for_condition(namespace, "policy", "Healthy", "True")
    header, row = kubectl("get", "relpol", "-n", namespace).splitlines()
    assert header.split() == ["NAME", "MODE", "READY", "HEALTHY", "TARGETS", "LAST", "ACTION", "AGE"]
    assert row.split()[:5] == ["policy", "Enforce", "True", "True", "1"]
    wide = kubectl("get", "relpol", "-n", namespace, "-o", "wide").splitlines()[0]
    assert "SOURCE" in wide
    assert "REASON" in wide


def test_kubectl_explain_answers_for_every_part_of_a_signal(operator: str) -> None:
    text = kubectl("explain", "relpol.spec.signals")
    for field in ("threshold", "growth", "role", "query", "limitQuery", "alert"):
        assert field in text
    assert "Default" in kubectl("explain", "relpol.spec.remediation.cooldown")
    assert "Eviction API" in kubectl("explain", "relpol.spec.remediation.actions.type")


def test_applying_an_unchanged_policy_again_changes_nothing_and_says_so(namespace: str) -> None:
    made = json.dumps(_a_policy(namespace, "same"))
    first = attempt("kubectl", "apply", "-f", "-", stdin=made)
    assert first.succeeded, first.errors
    assert "created" in first.output
    assert "unchanged" in attempt("kubectl", "apply", "-f", "-", stdin=made).output
