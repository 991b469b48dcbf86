"""Which workloads a policy may select, and what the kinds rule out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from leakwarden.api.v1alpha1.leakreport import LeakReportSpec
from leakwarden.api.v1alpha1.policy import PolicySpec, Selector
from leakwarden.api.v1alpha1.status import ActionStatus, WorkloadStatus
from leakwarden.core.model.policy import parse_policy, selects
from tests.builders import body

SCALE = {"type": "ScaleOut", "maxReplicas": 4}
ANY = {"matchLabels": {"team": "shop"}}


def test_a_policy_that_names_no_kind_is_about_deployments() -> None:
    assert PolicySpec.model_validate({"selector": ANY}).workloads == ["Deployment"]


@pytest.mark.parametrize("selector", [{}, {"all": False}, {"matchLabels": {}}])
def test_an_empty_selector_stays_refused(selector: dict[str, Any]) -> None:
    with pytest.raises(
        ValidationError, match="is empty; give at least one entry in matchLabels or matchExpressions, or all"
    ):
        Selector.model_validate(selector)


def test_all_is_said_in_so_many_words() -> None:
    everything = Selector.model_validate({"all": True})
    assert selects(everything, {})
    assert selects(everything, {"app": "web"})
    with pytest.raises(ValidationError, match="all: true and conditions on labels"):
        Selector.model_validate({"all": True, **ANY})


@pytest.mark.parametrize(
    ("kinds", "remediation", "refused"),
    [
        (["DaemonSet"], {"actions": [SCALE]}, True),
        (["DaemonSet"], {"scaleOutOnNeed": {"maxReplicas": 4}}, True),
        (["DaemonSet"], {"actions": [{"type": "RolloutRestart"}]}, False),
        (["DaemonSet", "Deployment"], {"actions": [SCALE]}, False),  # the guard says it of the DaemonSets
        (["StatefulSet"], {"actions": [SCALE]}, False),
    ],
)
def test_what_no_selected_kind_has_is_refused(kinds: list[str], remediation: dict[str, Any], refused: bool) -> None:
    found = parse_policy(body(spec={"workloads": kinds, "remediation": remediation}))
    assert ("no kind that has replicas to add" in found.error) is refused


@pytest.mark.parametrize("kinds", [[], ["Deployment", "Deployment"], ["Job"], ["deployment"]])
def test_a_list_of_kinds_that_cannot_be_meant_is_refused(kinds: list[str]) -> None:
    assert "workloads" in parse_policy(body(spec={"workloads": kinds})).error


def test_a_profile_adds_its_signals_to_those_that_are_listed_which_win_by_name() -> None:
    heap = {"name": "heap", "type": "Heap", "threshold": {"above": "80%"}}
    queue = {
        "name": "queue",
        "type": "PromQL",
        "query": "queue_length",
        "role": "Supporting",
        "threshold": {"above": "90"},
    }
    bare = PolicySpec.model_validate({"selector": ANY, "profile": "go-service"})
    assert bare.signals == PolicySpec.model_validate({"selector": ANY}).signals
    mixed = PolicySpec.model_validate(
        {"selector": ANY, "profile": "go-service", "mode": "Enforce", "signals": [queue, heap]}
    )
    assert [signal.name for signal in mixed.signals] == [
        "queue",
        "heap",
        "descriptors",
        "goroutines",
        "db-pool",
        "working-set",
    ]
    assert mixed.signals[1].threshold is not None
    assert "spec.profile" in parse_policy(body(spec={"profile": "java"})).error
    many = [{**queue, "name": f"q{n}"} for n in range(12)]
    assert (
        "signals has 12 and profile go-service adds 5; a policy may have 16"
        in parse_policy(body(spec={"profile": "go-service", "signals": many})).error
    )
    assert not parse_policy(body(spec={"profile": "go-service", "signals": many[:11]})).error


def test_an_unreadable_spec_keeps_its_claim_on_the_kinds_that_it_names() -> None:
    assert parse_policy(body(spec={"mode": "Nonsense", "workloads": ["StatefulSet"]})).kinds == {"StatefulSet"}
    assert parse_policy(body(spec={"mode": "Nonsense"})).kinds == {"Deployment"}
    assert len(parse_policy(body(spec={"workloads": ["Job"]})).kinds) == 4, "what it meant is not known"


def test_what_was_stored_without_a_kind_is_about_a_deployment() -> None:
    action = {
        "id": "a",
        "type": "EvictPod",
        "workload": "api",
        "workloadUID": "u",
        "phase": "Done",
        "intendedAt": "2026-01-01T00:00:00Z",
    }
    assert ActionStatus.model_validate(action).workload_kind == "Deployment"
    assert WorkloadStatus.model_validate({"name": "api", "verdict": "Healthy"}).title == "api"
    report = {
        "policy": {"name": "p", "uid": "u"}, "workload": {"name": "api", "uid": "u"}, "pod": {"name": "p", "uid": "u"},
        "signal": "heap", "signalType": "Heap", "detectedAt": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    assert LeakReportSpec.model_validate(report).workload.title == "api"
