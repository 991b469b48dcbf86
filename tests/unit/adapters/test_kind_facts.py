"""StatefulSets, DaemonSets and Rollouts as the API server gives them, as workloads of the core."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from leakwarden.adapters.cluster import facts, wire
from leakwarden.adapters.cluster.kind_facts import FOLLOWED
from leakwarden.api.v1alpha1.audit import Audit
from leakwarden.api.v1alpha1.kinds import WorkloadKind
from leakwarden.cli.audit.workload_manifest import to_workload
from leakwarden.core.audit import audit
from leakwarden.core.model.workload import Workload, ordinal
from leakwarden.engine.auditor import as_written

META = {"uid": "u1", "name": "db", "namespace": "shop", "generation": 4, "resourceVersion": "9"}
TEMPLATE = {
    "metadata": {"labels": {"app": "db"}},
    "spec": {"terminationGracePeriodSeconds": 45, "containers": [{"name": "app", "image": "db:1"}]},
}


def read(kind: WorkloadKind, spec: dict[str, Any], status: dict[str, Any]) -> Workload:
    resource, reads = FOLLOWED[kind]
    item = {"metadata": META, "spec": {"template": TEMPLATE, **spec}, "status": status}
    return reads(msgspec.json.decode(json.dumps(item), type=resource.item))


def stateful(spec: dict[str, Any] | None = None, **status: Any) -> Workload:
    done = {"observedGeneration": 4, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 2}
    return read(WorkloadKind.STATEFUL_SET, {"replicas": 3, "serviceName": "db", **(spec or {})}, {**done, **status})


def daemon(spec: dict[str, Any] | None = None, **status: Any) -> Workload:
    done = {"observedGeneration": 4, "desiredNumberScheduled": 5, "updatedNumberScheduled": 5, "numberReady": 5}
    return read(WorkloadKind.DAEMON_SET, spec or {}, {**done, **status})


def rollout(spec: dict[str, Any] | None = None, **status: Any) -> Workload:
    done = {"observedGeneration": "4", "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
            "currentPodHash": "abc", "stableRS": "abc"}  # fmt: skip
    return read(WorkloadKind.ROLLOUT, {"replicas": 3, **(spec or {})}, {**done, **status})


def test_a_stateful_set_is_read() -> None:
    found = stateful()
    assert (found.kind, found.title, found.key) == ("StatefulSet", "StatefulSet/db", "shop/StatefulSet/db")
    assert (found.replicas, found.ready_replicas, found.unavailable_replicas) == (3, 3, 1)
    assert (found.ordered, found.to_update, found.service_name, found.termination_grace) == (True, 3, "db", 45)
    assert not found.rollout_in_progress
    assert not stateful({"podManagementPolicy": "Parallel"}).ordered


def test_pods_below_the_partition_are_no_rollout_that_goes_on_for_ever() -> None:
    partition = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}
    assert not stateful(partition, updatedReplicas=1).rollout_in_progress
    assert stateful(partition, updatedReplicas=0).rollout_in_progress
    assert stateful(updatedReplicas=1).rollout_in_progress


def test_a_daemon_set_has_as_many_replicas_as_nodes() -> None:
    found = daemon({"updateStrategy": {"type": "OnDelete"}}, numberUnavailable=1)
    assert (found.kind, found.replicas, found.unavailable_replicas, found.strategy) == ("DaemonSet", 5, 1, "OnDelete")
    assert not found.rollout_in_progress
    assert daemon(updatedNumberScheduled=4).rollout_in_progress
    assert daemon(observedGeneration=3).rollout_in_progress


def test_a_rollout_that_is_not_promoted_is_in_progress() -> None:
    assert not rollout().rollout_in_progress
    assert rollout(currentPodHash="new", updatedReplicas=3).rollout_in_progress, "a canary, or one that was aborted"
    assert rollout(stableRS=None).rollout_in_progress, "what is not known does not count as promoted"
    assert rollout(observedGeneration="3").rollout_in_progress
    assert rollout(observedGeneration="75d5b8b8f7").rollout_in_progress


def test_what_a_rollout_takes_away_has_the_defaults_of_argo_rollouts() -> None:
    assert (rollout().strategy, rollout().max_unavailable, rollout().max_surge) == ("RollingUpdate", "25%", "25%")
    assert rollout({"strategy": {"canary": {"maxUnavailable": 0}}}).max_unavailable == 0
    green = rollout({"strategy": {"blueGreen": {"activeService": "web"}}})
    assert (green.strategy, green.max_unavailable) == ("BlueGreen", 0)
    assert rollout({"workloadRef": {"kind": "Deployment", "name": "web"}}).template_of == "web"


def test_what_is_absent_or_null_is_no_error() -> None:
    for kind, (resource, reads) in FOLLOWED.items():
        for body in ({"metadata": META}, {"metadata": META, "spec": None, "status": None}):
            found = reads(msgspec.json.decode(json.dumps(body), type=resource.item))
            assert (found.kind, found.containers) == (kind, ())


@pytest.mark.parametrize(
    ("name", "number"), [("db-0", 0), ("db-12", 12), ("db", None), ("db-x1", None), ("db-٣", None)]
)
def test_the_ordinal_is_the_number_at_the_end_of_the_name(name: str, number: int | None) -> None:
    assert ordinal(name) == number


@pytest.mark.parametrize(
    ("kind", "title"), [("StatefulSet", "StatefulSet/db"), ("Rollout", "Rollout/db"), ("Deployment", "db")]
)
def test_an_autoscaler_owns_the_replicas_of_the_kind_that_it_names(kind: str, title: str) -> None:
    item = {"metadata": {**META, "name": "hpa"}, "spec": {"scaleTargetRef": {"kind": kind, "name": "db"}}}
    found = facts.autoscaled(msgspec.json.decode(json.dumps(item), type=wire.ApiAutoscaler))
    assert found == (("shop", title), "the HorizontalPodAutoscaler hpa")


@pytest.mark.parametrize(
    ("kind", "written", "live"),
    [
        (WorkloadKind.STATEFUL_SET, {"replicas": 3, "serviceName": "db"}, {"replicas": 3, "updatedReplicas": 3}),
        (WorkloadKind.DAEMON_SET, {}, {"desiredNumberScheduled": 5, "updatedNumberScheduled": 5}),
        (WorkloadKind.ROLLOUT, {"replicas": 3}, {"updatedReplicas": 3, "currentPodHash": "a", "stableRS": "a"}),
    ],
)
def test_the_audit_finds_in_a_watched_workload_what_it_finds_in_its_manifest(
    kind: WorkloadKind, written: dict[str, Any], live: dict[str, Any]
) -> None:
    """Its findings, and not its numbers of pods: those of a DaemonSet are known in the cluster alone."""
    manifest = {
        "kind": str(kind),
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"template": TEMPLATE, **written},
    }
    of_manifest = {(each.id, each.container) for each in audit(to_workload(manifest), Audit(), ())}
    of_cluster = {(each.id, each.container) for each in audit(as_written(read(kind, written, live)), Audit(), ())}
    assert of_manifest
    assert of_cluster == of_manifest


def test_the_checks_of_the_written_manifest_know_the_kind() -> None:
    """No revision is kept: a check for kinds that roll, on the manifest as it is written."""
    for kind in FOLLOWED:
        found = read(kind, {"revisionHistoryLimit": 0}, {})
        assert [each.id for each in found.written] == ["LW313"]
    partition = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}
    assert [each.id for each in stateful(partition).written] == ["LW312"]
    assert not stateful().written
