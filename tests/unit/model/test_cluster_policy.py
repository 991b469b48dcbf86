"""What a ClusterReliabilityPolicy selects, and the policy that follows from it in each namespace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.names import ENFORCE_ALLOWED, ENFORCE_LABEL
from leakwarden.api.v1alpha1.cluster_policy import NamespaceSelector
from leakwarden.api.v1alpha1.policy import Mode
from leakwarden.core.model.cluster_policy import (
    as_shown,
    as_written,
    derive,
    derived_uid,
    parse_cluster_policy,
    selects_namespace,
    why_not_now,
)
from tests.builders import policy
from tests.unit.engine.cluster_policy_world import ALLOWED, cluster_body, namespace


def selector(**given: Any) -> NamespaceSelector:
    return NamespaceSelector.model_validate(given)


@pytest.mark.parametrize(
    ("namespaces", "says"),
    [
        ({}, "give at least one entry in names, matchLabels or matchExpressions, or all: true"),
        ({"names": []}, "give at least one entry"),
        ({"all": False}, "give at least one entry"),
        ({"names": ["a"], "all": True}, "give one of them"),
        ({"matchLabels": {"a": "b"}, "names": ["a"]}, "give one of them"),
        ({"matchLabels": {"a": "b"}, "all": True}, "give one of them"),
        ({"names": ["UPPER"]}, "spec.namespaces.names[0]"),
        (None, "spec.namespaces"),
    ],
)
def test_namespaces_that_say_nothing_or_two_things_are_refused(namespaces: Any, says: str) -> None:
    found = parse_cluster_policy(cluster_body(spec={"namespaces": namespaces}))
    assert found.spec is None
    assert says in found.error


def test_a_namespace_is_selected_by_name_by_its_labels_or_with_all() -> None:
    shop = namespace("shop", {"tier": "gold"})
    assert selects_namespace(selector(names=["bank", "shop"]), shop)
    assert selects_namespace(selector(matchLabels={"tier": "gold"}), shop)
    assert selects_namespace(selector(matchExpressions=[{"key": "tier", "operator": "Exists"}]), shop)
    assert selects_namespace(selector(all=True), shop)
    assert not selects_namespace(selector(names=["shops"]), shop)
    assert not selects_namespace(selector(matchLabels={"tier": "gold", "team": "a"}), shop)
    assert not selects_namespace(None, shop)


def test_a_derived_policy_has_a_uid_of_its_own_in_each_namespace() -> None:
    assert derived_uid("a", "b") == derived_uid("a", "b")
    assert len({derived_uid("a", "b"), derived_uid("a", "c"), derived_uid("b", "b"), derived_uid("b", "a")}) == 4
    assert len(derived_uid("x" * 200, "y" * 200)) <= 64


@given(
    labels=st.dictionaries(st.sampled_from([ENFORCE_LABEL, "leakwarden.dev/Enforce", "enforce"]), st.sampled_from(
        ["allowed", "Allowed", "", "true", "denied"])),
    mode=st.sampled_from(["Observe", "Enforce"]),
    unsure=st.sampled_from(["", "the labels are not known"]),
    terminating=st.booleans(),
)  # fmt: skip
def test_it_enforces_exactly_where_the_spec_and_the_label_say_so(
    labels: dict[str, str], mode: str, unsure: str, terminating: bool
) -> None:
    cluster = parse_cluster_policy(cluster_body(spec={"mode": mode}))
    home = namespace("shop", labels, terminating=terminating)
    made = derive(cluster, home, unsure=unsure)
    may = labels.get(ENFORCE_LABEL) == ENFORCE_ALLOWED and not unsure and not terminating
    assert made.spec is not None
    assert (made.spec.mode is Mode.ENFORCE) == (mode == "Enforce" and may)
    assert bool(made.observes) == (made.spec.mode is Mode.OBSERVE)
    assert made.origin is not None
    assert bool(made.origin.bound) == (mode == "Enforce" and not may)
    assert bool(why_not_now(made, home)) == (labels.get(ENFORCE_LABEL) != ENFORCE_ALLOWED or terminating)


def test_the_namespaces_own_policy_comes_first_whatever_its_age_and_name() -> None:
    cluster = parse_cluster_policy(cluster_body(metadata={"creationTimestamp": "2000-01-01T00:00:00Z"}))
    derived, own = derive(cluster, namespace("shop", ALLOWED)), policy("zzz")
    assert own.precedence < derived.precedence
    assert derived.key == "shop/ClusterReliabilityPolicy/golden"


@pytest.mark.parametrize(
    "spec", [None, 1, [], {"namespaces": {"all": True}}, {"selector": {"all": 1}}, {"signals": "x"}]
)
def test_reading_one_never_raises(spec: Any) -> None:
    found = parse_cluster_policy({"metadata": {"name": "x"}, "spec": spec, "status": {"namespaces": 1}})
    assert found.spec is None
    assert found.error
    assert not derive(found, namespace("shop", ALLOWED)).claims_all


def test_one_that_is_shown_without_its_namespace_says_that_its_mode_is_not_known() -> None:
    cluster = parse_cluster_policy(cluster_body())
    shown = as_shown(cluster, "shop")
    assert shown.observes.startswith("whether the namespace lets it act is not shown")
    assert as_written(cluster).spec == cluster.spec
