"""The rights of the operator's account, for every combination of the values that grant any."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from leakwarden.adapters.evidence.reader_container import COMMAND, MESSAGE
from leakwarden.api.names import ENFORCE_ALLOWED, ENFORCE_LABEL
from leakwarden.engine.ports import READER_CONTAINER
from leakwarden.settings import from_environment
from tests.integration.chart.helm_chart import NAMESPACE, Right, environment, of_kind, render, rights, the

pytestmark = pytest.mark.slow

READING = {"get", "list", "watch"}
TELLING = {
    Right("patch", "leakwarden.dev/reliabilitypolicies/status"),
    Right("patch", "leakwarden.dev/clusterreliabilitypolicies/status"),
    Right("create", "leakwarden.dev/leakreports"),
    Right("delete", "leakwarden.dev/leakreports"),
    Right("patch", "leakwarden.dev/leakreports/status"),
    Right("create", "events.k8s.io/events"),
    Right("patch", "events.k8s.io/events"),
}
#: In the release's own namespace; two of them for one name only.
ELECTING = {
    Right("create", "coordination.k8s.io/leases", NAMESPACE),
    Right("update", "coordination.k8s.io/leases", NAMESPACE),
}
ACTIONS = {
    "evictPod": ("EvictPod", {Right("create", "/pods/eviction")}),
    "rolloutRestart": ("RolloutRestart", {Right("patch", "apps/deployments")}),
    "scaleOut": ("ScaleOut", {Right("patch", "apps/deployments/scale")}),
}


NEIGHBOURS = {
    "/services",
    "/persistentvolumeclaims",
    "networking.k8s.io/ingresses",
    "gateway.networking.k8s.io/httproutes",
    "monitoring.coreos.com/servicemonitors",
    "monitoring.coreos.com/podmonitors",
}


#: What policies of the cluster need; neither they nor namespaces have a namespace.
OF_THE_CLUSTER = {
    *(Right(verb, "leakwarden.dev/clusterreliabilitypolicies") for verb in READING),
    *(Right(verb, "leakwarden.dev/clusterreliabilitypolicies/status") for verb in ("get", "patch")),
    *(Right(verb, "/namespaces") for verb in READING),
}


def changes(granted: set[Right]) -> set[Right]:
    """Those of the rights that can change something; the rights for the election are checked here too."""
    assert granted >= ELECTING
    return {each for each in granted if each.verb not in READING} - ELECTING


def rights_policies(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the admission policies that confine other accounts, not the operator."""
    return [each for each in manifests if not each["metadata"]["name"].endswith(("-records", "-enforce-label"))]


def allow(*names: str) -> dict[str, Any]:
    return {"actions": {name: {"enabled": True} for name in names}}


def test_installed_without_values_the_account_can_only_tell() -> None:
    manifests = render()
    assert changes(rights(manifests)) == TELLING
    assert environment(manifests)["LEAKWARDEN_ACTIONS"] == ""


@pytest.mark.parametrize("chosen", [c for c in product([False, True], repeat=len(ACTIONS)) if any(c)])
def test_each_allowed_action_grants_its_own_verbs_and_no_others(chosen: tuple[bool, ...]) -> None:
    names = [name for name, wanted in zip(ACTIONS, chosen, strict=True) if wanted]
    manifests = render(allow(*names))
    expected = TELLING.union(*(ACTIONS[name][1] for name in names))
    assert changes(rights(manifests)) == expected
    assert environment(manifests)["LEAKWARDEN_ACTIONS"] == ",".join(ACTIONS[name][0] for name in names)


def test_looking_into_pods_grants_the_right_to_add_the_reader_and_no_right_to_logs_or_exec() -> None:
    granted = rights(render({"evidence": {"descriptors": {"enabled": True}}})) - rights(render())
    assert granted == {Right("patch", "/pods/ephemeralcontainers")}
    assert rights(render({"evidence": {"enabled": False, "descriptors": {"enabled": True}}})) == rights(render())


def test_logs_are_readable_only_where_the_value_says_so() -> None:
    allowed = {"evidence": {"logs": {"enabled": True}}}
    assert rights(render(allowed)) - rights(render()) == {Right("get", "/pods/log")}
    assert environment(render(allowed))["LEAKWARDEN_EVIDENCE_LOGS"] == "true"
    assert "LEAKWARDEN_EVIDENCE_LOGS" not in environment(render())
    assert rights(render({"evidence": {"enabled": False, "logs": {"enabled": True}}})) == rights(render())


def test_everything_it_may_read_is_what_it_needs() -> None:
    everything = allow(*ACTIONS)
    reads = {each.resource for each in rights(render(everything)) if each.verb in READING}
    assert reads == NEIGHBOURS | {
        "leakwarden.dev/reliabilitypolicies",
        "leakwarden.dev/reliabilitypolicies/status",
        "leakwarden.dev/clusterreliabilitypolicies",
        "leakwarden.dev/clusterreliabilitypolicies/status",
        "leakwarden.dev/leakreports",
        "/namespaces",
        "apps/deployments",
        "apps/deployments/scale",
        "apps/replicasets",
        "/pods",
        "policy/poddisruptionbudgets",
        "autoscaling/horizontalpodautoscalers",
        "keda.sh/scaledobjects",
        "/nodes/metrics",
        "coordination.k8s.io/leases",
    }


#: Of each value of `workloads`: the kind, what may be read of it, and what an action may change.
KINDS = {
    "statefulSets": ("StatefulSet", "apps/statefulsets", True),
    "daemonSets": ("DaemonSet", "apps/daemonsets", False),
    "rollouts": ("Rollout", "argoproj.io/rollouts", True),
}


@pytest.mark.parametrize("chosen", [c for c in product([False, True], repeat=len(KINDS)) if any(c)])
def test_each_kind_that_is_switched_on_grants_its_own_rights_and_no_others(chosen: tuple[bool, ...]) -> None:
    names = [name for name, wanted in zip(KINDS, chosen, strict=True) if wanted]
    on = {"workloads": dict.fromkeys(names, True)}
    read = {Right(verb, KINDS[name][1]) for name in names for verb in READING}
    assert rights(render(on)) - rights(render()) == read
    assert environment(render(on))["LEAKWARDEN_WORKLOADS"] == ",".join(KINDS[name][0] for name in names)
    assert from_environment(environment(render(on))).workloads == {KINDS[name][0] for name in names}
    changed = {Right("patch", KINDS[name][1]) for name in names}
    scaled = {Right(verb, f"{KINDS[name][1]}/scale") for name in names if KINDS[name][2] for verb in ("get", "patch")}
    allowed = allow(*ACTIONS)
    assert rights(render({**allowed, **on})) - rights(render(allowed)) == read | changed | scaled


def test_the_right_to_patch_a_kind_is_confined_by_an_admission_policy() -> None:
    allowed = allow("rolloutRestart")
    every = {"workloads": dict.fromkeys(KINDS, True)}
    policies = rights_policies(of_kind(render({**allowed, **every}), "ValidatingAdmissionPolicy"))
    confined = {
        f"{rule['apiGroups'][0]}/{resource}"
        for each in policies
        for rule in each["spec"]["matchConstraints"]["resourceRules"]
        for resource in rule["resources"]
    }
    assert confined == {"apps/deployments", *(resource for _, resource, _ in KINDS.values())}


def test_without_the_audits_neighbours_nothing_beside_workloads_may_be_read() -> None:
    granted = rights(render({"audit": {"neighbours": False}}))
    assert not {each.resource for each in granted} & NEIGHBOURS


def test_what_stands_beside_workloads_may_be_listed_and_no_more() -> None:
    assert {each.verb for each in rights(render()) if each.resource in NEIGHBOURS} == {"list"}


def test_reports_may_be_written_only_where_that_is_asked_for() -> None:
    reports = {"openreports.io/reports", "wgpolicyk8s.io/policyreports"}
    assert not {each.resource for each in rights(render())} & reports
    granted = [each for each in rights(render({"audit": {"policyReports": True}})) if each.resource in reports]
    assert {(each.verb, each.resource) for each in granted} == set(
        product(("list", "create", "patch", "delete"), sorted(reports))
    )


def test_one_lease_can_be_read_and_written_and_no_other() -> None:
    for values, release in (({}, "leakwarden"), ({"watchNamespaces": ["shop"]}, "leakwarden"), ({}, "other")):
        manifests = render(values, release=release)
        [role] = [each for each in of_kind(manifests, "Role") if each["metadata"]["namespace"] == NAMESPACE]
        create, keep = role["rules"]
        assert create["verbs"] == ["create"], "the one verb that cannot be confined to a name"
        assert keep["verbs"] == ["get", "update"]
        assert keep["resourceNames"] == [environment(manifests)["LEAKWARDEN_LEASE_NAME"]]
        assert create["resources"] == keep["resources"] == ["leases"]


@pytest.mark.parametrize("values", [{}, allow(*ACTIONS), {"watchNamespaces": ["shop"]}])
def test_no_rule_uses_a_wildcard(values: dict[str, Any]) -> None:
    for right in rights(render(values)):
        assert "*" not in right.verb + right.resource


def test_without_the_kubelets_nothing_of_the_nodes_can_be_read() -> None:
    assert Right("get", "/nodes/metrics") in rights(render())
    assert not {each for each in rights(render({"kubelet": {"enabled": False}})) if "nodes" in each.resource}


def test_with_a_prometheus_the_kubelets_are_not_read_and_their_right_is_not_granted() -> None:
    granted = rights(render({"prometheus": [{"name": "main", "url": "http://prometheus.monitoring:9090"}]}))
    assert rights(render()) - granted == {Right("get", "/nodes/metrics")}
    assert granted <= rights(render())


def test_watching_two_namespaces_grants_the_same_rights_in_these_two_only() -> None:
    everywhere = rights(render(allow("evictPod")))
    confined = rights(render({**allow("evictPod"), "watchNamespaces": ["shop", "bank"]}))
    election = {each for each in everywhere if each.namespace == NAMESPACE}
    assert {each for each in confined if each.namespace == NAMESPACE} == election
    everywhere, confined = everywhere - election, confined - election
    kubelets = Right("get", "/nodes/metrics")
    assert {each for each in confined if not each.namespace} == {kubelets}
    for namespace in ("shop", "bank"):
        here = {Right(each.verb, each.resource) for each in confined if each.namespace == namespace}
        assert here == everywhere - {kubelets} - OF_THE_CLUSTER
    assert {each.namespace for each in confined} == {"", "shop", "bank"}


def test_watching_namespaces_without_the_kubelets_needs_no_cluster_wide_right() -> None:
    manifests = render({"watchNamespaces": ["shop"], "kubelet": {"enabled": False}})
    assert not of_kind(manifests, "ClusterRole")
    assert not of_kind(manifests, "ClusterRoleBinding")
    assert environment(manifests)["LEAKWARDEN_WATCH_NAMESPACES"] == "shop"


def test_rights_for_people_are_not_rights_of_the_operator() -> None:
    manifests = render({"rbac": {"aggregateToUserRoles": True}})
    assert changes(rights(manifests)) == TELLING
    assert len(of_kind(manifests, "ClusterRole")) == 3
    assert len(of_kind(render(), "ClusterRole")) == 1


def test_without_rbac_nothing_is_granted() -> None:
    manifests = render({"rbac": {"create": False}})
    assert not [each for each in manifests if each["apiVersion"].startswith("rbac.authorization.k8s.io/")]


def test_patching_deployments_comes_with_an_admission_policy_for_exactly_this_account() -> None:
    manifests = render(allow("rolloutRestart"))
    policy = the(rights_policies(manifests), "ValidatingAdmissionPolicy")
    binding = the(rights_policies(manifests), "ValidatingAdmissionPolicyBinding")
    assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
    assert policy["spec"]["failurePolicy"] == "Fail"
    account = the(manifests, "ServiceAccount")["metadata"]["name"]
    (condition,) = policy["spec"]["matchConditions"]
    assert f"'system:serviceaccount:{NAMESPACE}:{account}'" in condition["expression"]


def test_looking_into_pods_comes_with_an_admission_policy_for_exactly_this_account_and_image() -> None:
    manifests = render({"evidence": {"descriptors": {"enabled": True}}})
    policy = the(rights_policies(manifests), "ValidatingAdmissionPolicy")
    assert the(rights_policies(manifests), "ValidatingAdmissionPolicyBinding")["spec"] == {
        "policyName": policy["metadata"]["name"],
        "validationActions": ["Deny"],
    }
    assert policy["spec"]["failurePolicy"] == "Fail"
    (rule,) = policy["spec"]["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == (["pods/ephemeralcontainers"], ["UPDATE"])
    account = the(manifests, "ServiceAccount")["metadata"]["name"]
    (condition,) = policy["spec"]["matchConditions"]
    assert f"'system:serviceaccount:{NAMESPACE}:{account}'" in condition["expression"]
    text = " ".join(each["expression"] for each in policy["spec"]["validations"])
    assert f"c.image == '{environment(manifests)['LEAKWARDEN_EVIDENCE_DESCRIPTORS_IMAGE']}'" in text
    assert f"c.command == {list(COMMAND)}" in text
    assert f"c.name == '{READER_CONTAINER}'" in text
    assert f"c.args[1] == '{MESSAGE}'" in text


def test_without_its_admission_policy_the_right_is_the_same() -> None:
    values = {"evidence": {"descriptors": {"enabled": True, "admissionPolicy": False}}}
    assert not of_kind(rights_policies(render(values)), "ValidatingAdmissionPolicy")
    assert Right("patch", "/pods/ephemeralcontainers") in rights(render(values))


@pytest.mark.parametrize(
    "actions",
    [
        {"evictPod": {"enabled": True}, "scaleOut": {"enabled": True}},
        {"rolloutRestart": {"enabled": True, "admissionPolicy": False}},
    ],
)
def test_no_admission_policy_is_created_where_it_is_not_wanted(actions: dict[str, Any]) -> None:
    assert not of_kind(rights_policies(render({"actions": actions})), "ValidatingAdmissionPolicy")


def records_policy(values: dict[str, Any] | None = None) -> dict[str, Any]:
    (found,) = [
        each
        for each in of_kind(render(values), "ValidatingAdmissionPolicy")
        if each["metadata"]["name"].endswith("-records")
    ]
    return dict(found["spec"])


def test_nobody_but_the_operator_writes_the_records_that_it_acts_by() -> None:
    spec = records_policy()
    assert spec["failurePolicy"] == "Fail"
    written = {resource for rule in spec["matchConstraints"]["resourceRules"] for resource in rule["resources"]}
    statuses = {"reliabilitypolicies/status", "clusterreliabilitypolicies/status"}
    assert written == {"leakreports", "leakreports/status", *statuses}
    conditions = {each["name"]: each["expression"] for each in spec["matchConditions"]}
    assert f"'system:serviceaccount:{NAMESPACE}:leakwarden'" in conditions["is-not-the-operator"]
    assert "is-in-a-watched-namespace" not in conditions
    assert [each["expression"] for each in spec["validations"]] == ["false"]
    bindings = [each["spec"]["policyName"] for each in of_kind(render(), "ValidatingAdmissionPolicyBinding")]
    assert f"leakwarden-{NAMESPACE}-records" in bindings


def test_a_release_that_watches_some_namespaces_guards_the_records_of_these_alone() -> None:
    conditions = {
        each["name"]: each["expression"] for each in records_policy({"watchNamespaces": ["a", "b"]})["matchConditions"]
    }
    assert conditions["is-in-a-watched-namespace"] == "request.namespace in ['a', 'b']"


def test_others_who_may_write_records_are_named_by_the_installation() -> None:
    spec = records_policy({"records": {"alsoWrittenBy": ["system:serviceaccount:velero:velero"]}})
    assert "'system:serviceaccount:velero:velero'" in spec["matchConditions"][0]["expression"]


def test_without_the_right_to_create_admission_policies_the_chart_can_be_installed_all_the_same() -> None:
    none = {"records": {"admissionPolicy": False}, "clusterPolicies": {"admissionPolicy": False}}
    assert not of_kind(render(none), "ValidatingAdmissionPolicy")


def test_policies_of_the_cluster_are_read_where_the_value_says_so_and_never_for_single_namespaces() -> None:
    off = render({"clusterPolicies": {"enabled": False}})
    assert rights(render()) - rights(off) == OF_THE_CLUSTER
    assert from_environment(environment(render())).cluster_policies
    assert not from_environment(environment(off)).cluster_policies
    confined = render({"watchNamespaces": ["shop"]})
    assert not {each.resource for each in rights(confined)} & {each.resource for each in OF_THE_CLUSTER}
    assert not from_environment(environment(confined)).cluster_policies


def test_the_label_that_lets_such_policies_act_needs_a_right_of_its_own() -> None:
    (found,) = [
        each["spec"]
        for each in of_kind(render(), "ValidatingAdmissionPolicy")
        if each["metadata"]["name"].endswith("-enforce-label")
    ]
    (rule,) = found["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["namespaces", "namespaces/status", "namespaces/finalize"]
    assert rule["operations"] == ["CREATE", "UPDATE"]
    assert found["failurePolicy"] == "Fail"
    (condition,) = found["matchConditions"]
    assert f"object.metadata.labels['{ENFORCE_LABEL}'] == '{ENFORCE_ALLOWED}'" in condition["expression"]
    assert "check('enforce').allowed()" in found["validations"][0]["expression"]
    for values in ({"clusterPolicies": {"enabled": False}}, {"watchNamespaces": ["shop"]}):
        names = [each["metadata"]["name"] for each in of_kind(render(values), "ValidatingAdmissionPolicy")]
        assert not [name for name in names if name.endswith("-enforce-label")]


def test_the_lease_is_the_releases_own_so_that_uninstalling_takes_it_away() -> None:
    manifests = render()
    lease = the(manifests, "Lease")
    assert (lease["metadata"]["name"], lease["metadata"]["namespace"]) == (
        environment(manifests)["LEAKWARDEN_LEASE_NAME"], NAMESPACE,
    )  # fmt: skip
    assert "spec" not in lease, "the replicas write it, and an upgrade must not write over it"
