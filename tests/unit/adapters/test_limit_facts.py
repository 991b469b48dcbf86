"""Vertical autoscalers, quotas and references of Rollouts, as they are read from objects."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from leakwarden.adapters.cluster import limit_facts
from leakwarden.core.audit.related import Identity

NAMED = Identity("Any", "shop", "web")


@pytest.mark.parametrize(
    ("policies", "of_app"),
    [
        (None, {"cpu", "memory"}),
        ([{"containerName": "*", "controlledResources": ["memory"]}], {"memory"}),
        ([{"containerName": "*", "mode": "Off"}, {"containerName": "app"}], {"cpu", "memory"}),
        ([{"containerName": "app", "mode": "Off"}], set()),
    ],
)
def test_the_resources_that_a_vertical_autoscaler_sets(policies: Any, of_app: set[str]) -> None:
    made = limit_facts.vertical_scaler(NAMED, {"resourcePolicy": {"containerPolicies": policies}}, None)
    assert made is not None
    assert (made.mode, set(made.resources("app"))) == ("Auto", of_app)


def test_one_that_only_recommends_is_not_kept() -> None:
    assert limit_facts.vertical_scaler(NAMED, {"updatePolicy": {"updateMode": "Off"}}, None) is None


def test_a_quota_by_full_names_in_pods_cores_and_bytes() -> None:
    hard = {"cpu": "500m", "memory": "1Ki", "count/pods": 3, "limits.cpu": "2", "services": "1", "pods": "many"}
    made = limit_facts.quota(NAMED, {"hard": hard}, None)
    assert made is not None
    assert made.hard == (("requests.cpu", 0.5), ("requests.memory", 1024.0), ("pods", 3.0), ("limits.cpu", 2.0))


@pytest.mark.parametrize(
    "spec",
    [None, {"hard": {"pods": 3}, "scopes": ["BestEffort"]}, {"hard": {"pods": 3}, "scopeSelector": {"a": 1}}, {"hard": {"services": 1}}],
)  # fmt: skip
def test_a_quota_that_bounds_only_some_pods_or_none_is_not_kept(spec: Any) -> None:
    assert limit_facts.quota(NAMED, spec, None) is None


def test_a_rollout_without_pods_or_without_a_reference_refers_to_nothing() -> None:
    reference = {"kind": "Deployment", "name": "web"}
    assert limit_facts.referring(NAMED, {"replicas": 0, "workloadRef": reference}, None) is None
    assert limit_facts.referring(NAMED, {"replicas": 4}, None) is None
    made = limit_facts.referring(NAMED, {"workloadRef": {**reference, "scaleDown": "onsuccess"}}, None)
    assert made is not None
    assert (made.target_kind, made.target, made.scale_down) == ("Deployment", "web", "onsuccess")


def test_a_field_of_another_type_is_named_from_the_spec_on() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.spec\.hard"):
        limit_facts.quota(NAMED, {"hard": [3]}, None)
