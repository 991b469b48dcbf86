"""Each change is one exact request with its precondition, and each answer means one outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from leakwarden.adapters.cluster import ApiCluster, Session
from leakwarden.core.model.workload import Pod, Workload
from leakwarden.engine.ports import Attempt, ClusterUnavailable, Outcome, StatusConflict
from tests.integration.cluster.fake_api_objects import eventually, pod, service, session_to
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault

PODS = "/api/v1/namespaces/team/pods/web-1-0"
DEPLOYMENT = "/apis/apps/v1/namespaces/team/deployments/web"
SECRET = "upstream words with a-password"


@dataclass
class Scene:
    api: FakeApiServer
    session: Session
    cluster: ApiCluster
    workload: Workload
    pod: Pod

    def requests(self, method: str) -> list[Any]:
        return self.api.asked(method)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with FakeApiServer() as api, session_to(api, tmp_path, timeout=3) as session:
        service(api)
        cluster = ApiCluster(session)
        await cluster.start()
        assert await cluster.wait_synced(20)
        view = cluster.snapshot()
        [workload] = view.workloads.values()
        await cluster.stop()
        yield Scene(api, session, cluster, workload, view.pods_by_workload[workload.uid][0])


async def test_an_eviction_names_the_pods_uid_and_is_a_post_to_its_subresource(scene: Scene) -> None:
    assert await scene.cluster.evict(scene.pod) == Attempt(Outcome.DONE)
    [request] = scene.requests("POST")
    assert (request.path, request.query, request.content_type) == (f"{PODS}/eviction", {}, "application/json")
    assert request.body == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "web-1-0", "namespace": "team"},
        "deleteOptions": {"preconditions": {"uid": scene.pod.uid}},
    }
    assert scene.api.get("pods", "team", "web-1-0") is None


READER = {"name": "leakwarden-descriptors", "image": "localhost/leakwarden:1", "targetContainerName": "app"}


async def test_an_ephemeral_container_is_added_to_the_pod_of_that_uid_and_nothing_else_is_said(scene: Scene) -> None:
    assert await scene.cluster.add_ephemeral_container(scene.pod, READER) == Attempt(Outcome.DONE)
    [request] = scene.requests("PATCH")
    assert (request.path, request.content_type) == (
        f"{PODS}/ephemeralcontainers",
        "application/strategic-merge-patch+json",
    )
    assert request.body == {"metadata": {"uid": scene.pod.uid}, "spec": {"ephemeralContainers": [READER]}}
    assert await scene.cluster.add_ephemeral_container(scene.pod, READER) == Attempt(Outcome.DONE)
    stored = scene.api.get("pods", "team", "web-1-0")
    assert stored is not None
    assert stored["spec"]["ephemeralContainers"] == [READER]


async def test_no_namesake_is_given_an_ephemeral_container_and_none_is_changed(scene: Scene) -> None:
    await scene.cluster.add_ephemeral_container(scene.pod, READER)
    changed = await scene.cluster.add_ephemeral_container(scene.pod, {**READER, "image": "other:1"})
    assert changed.outcome is Outcome.FORBIDDEN
    [group] = scene.api.all("replicasets")
    scene.api.delete("pods", "team", "web-1-0")
    assert (await scene.cluster.add_ephemeral_container(scene.pod, READER)).outcome is Outcome.GONE
    scene.api.put("pods", pod(group, "web-1-0"))
    assert (await scene.cluster.add_ephemeral_container(scene.pod, READER)).outcome is Outcome.GONE


async def test_the_right_to_ephemeral_containers_is_named_where_it_is_missing(scene: Scene) -> None:
    message = 'pods "web-1-0" is forbidden: User "x" cannot patch resource "pods/ephemeralcontainers" in API group ""'
    scene.api.fail("PATCH", "ephemeralcontainers", Fault(status=403, message=message))
    attempt = await scene.cluster.add_ephemeral_container(scene.pod, READER)
    assert attempt.outcome is Outcome.FORBIDDEN
    assert (
        attempt.message == "the operator's account lacks the right `patch pods/ephemeralcontainers` in namespace team"
    )


async def test_a_pod_that_is_gone_was_evicted_by_somebody_else(scene: Scene) -> None:
    scene.api.delete("pods", "team", "web-1-0")
    assert (await scene.cluster.evict(scene.pod)).outcome is Outcome.GONE


async def test_a_namesake_with_another_uid_is_not_evicted(scene: Scene) -> None:
    [group] = scene.api.all("replicasets")
    scene.api.delete("pods", "team", "web-1-0")
    scene.api.put("pods", pod(group, "web-1-0"))
    assert (await scene.cluster.evict(scene.pod)).outcome is Outcome.GONE
    assert scene.api.get("pods", "team", "web-1-0") is not None


async def test_a_conflict_over_the_same_pod_is_a_conflict(scene: Scene) -> None:
    scene.api.fail("POST", "eviction", Fault(status=409, message="the UID in the precondition"))
    assert (await scene.cluster.evict(scene.pod)).outcome is Outcome.CONFLICT


async def test_a_budget_blocks_and_is_named(scene: Scene) -> None:
    scene.api.blocked_by["web-1-0"] = "web-pdb"
    attempt = await scene.cluster.evict(scene.pod)
    assert attempt.outcome is Outcome.BLOCKED
    assert attempt.message == "PodDisruptionBudget web-pdb does not allow a disruption now"
    assert len(scene.requests("POST")) == 1
    assert not scene.requests("DELETE")


async def test_a_budgets_name_that_is_no_name_is_not_repeated(scene: Scene) -> None:
    scene.api.blocked_by["web-1-0"] = "<script>"
    attempt = await scene.cluster.evict(scene.pod)
    assert attempt == Attempt(Outcome.BLOCKED, "a PodDisruptionBudget does not allow a disruption now")


async def test_an_overloaded_server_is_not_taken_for_a_budget(scene: Scene) -> None:
    scene.api.fail("POST", "eviction", Fault(status=429, retry_after=1))
    assert (await scene.cluster.evict(scene.pod)).outcome is Outcome.FAILED


async def test_two_budgets_over_one_pod_are_explained(scene: Scene) -> None:
    message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    scene.api.fail("POST", "eviction", Fault(status=500, message=message))
    attempt = await scene.cluster.evict(scene.pod)
    assert attempt.outcome is Outcome.FAILED
    assert "more than one PodDisruptionBudget" in attempt.message


async def test_a_missing_right_is_named(scene: Scene) -> None:
    message = f'pods "web-1-0" is forbidden: User "{SECRET}" cannot create resource "pods/eviction" in API group ""'
    scene.api.fail("POST", "eviction", Fault(status=403, message=message))
    attempt = await scene.cluster.evict(scene.pod)
    assert attempt == Attempt(
        Outcome.FORBIDDEN, "the operator's account lacks the right `create pods/eviction` in namespace team"
    )


async def test_an_admission_rule_is_not_taken_for_a_missing_right(scene: Scene) -> None:
    scene.api.fail("POST", "eviction", Fault(status=403, message='admission webhook "x" denied the request'))
    attempt = await scene.cluster.evict(scene.pod)
    assert attempt.outcome is Outcome.FORBIDDEN
    assert "admission" in attempt.message


@pytest.mark.parametrize("code", [500, 502, 503, 504])
async def test_after_a_server_error_it_is_not_known_what_was_done_and_it_is_asked_once(scene: Scene, code: int) -> None:
    scene.api.fail("POST", "eviction", Fault(status=code, message=SECRET))
    attempt = await scene.cluster.evict(scene.pod)
    assert attempt == Attempt(Outcome.UNKNOWN, f"the API server answered {code}; whether it was done is not known")
    assert len(scene.requests("POST")) == 1


async def test_an_eviction_whose_answer_is_lost_is_not_repeated(scene: Scene) -> None:
    scene.api.fail("POST", "eviction", Fault(cut=True, after=True))
    attempt = await scene.cluster.evict(scene.pod)
    assert attempt.outcome is Outcome.UNKNOWN
    assert "not known" in attempt.message
    assert scene.api.get("pods", "team", "web-1-0") is None
    assert len(scene.requests("POST")) == 1


@pytest.mark.slow
async def test_a_server_that_never_answers_may_have_done_it(scene: Scene) -> None:
    scene.api.fail("POST", "eviction", Fault(hang=True))
    attempt = await scene.cluster.evict(scene.pod)
    assert attempt.outcome is Outcome.UNKNOWN
    assert len(scene.requests("POST")) == 1


async def test_a_restart_changes_one_annotation_of_the_version_it_saw(scene: Scene) -> None:
    assert await scene.cluster.restart_rollout(scene.workload, "2026-02-03T04:05:06Z") == Attempt(Outcome.DONE)
    [request] = scene.requests("PATCH")
    assert (request.path, request.query) == (DEPLOYMENT, {"fieldManager": "leakwarden"})
    assert request.content_type == "application/strategic-merge-patch+json"
    annotation = {"kubectl.kubernetes.io/restartedAt": "2026-02-03T04:05:06Z"}
    assert request.body == {
        "metadata": {"resourceVersion": scene.workload.resource_version},
        "spec": {"template": {"metadata": {"annotations": annotation}}},
    }
    stored = scene.api.get("deployments", "team", "web")
    assert stored is not None
    assert stored["spec"]["template"]["metadata"]["annotations"] == annotation
    assert stored["spec"]["template"]["spec"]["containers"]


async def test_a_scale_changes_replicas_of_the_version_it_saw(scene: Scene) -> None:
    assert await scene.cluster.scale(scene.workload, 5) == Attempt(Outcome.DONE)
    [request] = scene.requests("PATCH")
    assert (request.path, request.query) == (f"{DEPLOYMENT}/scale", {"fieldManager": "leakwarden"})
    assert request.content_type == "application/merge-patch+json"
    assert request.body == {
        "metadata": {"resourceVersion": scene.workload.resource_version},
        "spec": {"replicas": 5},
    }


async def test_a_deployment_that_changed_meanwhile_is_left_as_it_is(scene: Scene) -> None:
    seen = replace(scene.workload, resource_version="1")
    assert (await scene.cluster.scale(seen, 5)).outcome is Outcome.CONFLICT
    assert (await scene.cluster.restart_rollout(seen, "2026-02-03T04:05:06Z")).outcome is Outcome.CONFLICT
    stored = scene.api.get("deployments", "team", "web")
    assert stored is not None
    assert stored["spec"]["replicas"] == 2


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(401, Outcome.FORBIDDEN), (403, Outcome.FORBIDDEN), (404, Outcome.GONE), (409, Outcome.CONFLICT),
     (422, Outcome.FORBIDDEN), (429, Outcome.FAILED), (500, Outcome.UNKNOWN), (302, Outcome.FAILED)],
)  # fmt: skip
async def test_what_each_answer_to_a_patch_means(scene: Scene, code: int, outcome: Outcome) -> None:
    scene.api.fail("PATCH", "deployments", Fault(status=code, message=SECRET), times=10)
    scaled = await scene.cluster.scale(scene.workload, 5)
    restarted = await scene.cluster.restart_rollout(scene.workload, "2026-02-03T04:05:06Z")
    assert scaled.outcome is outcome
    assert restarted.outcome is outcome
    assert SECRET not in scaled.message + restarted.message


OURS = {"manager": "leakwarden", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
THEIRS = {"manager": "kubectl", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
OTHER = {"manager": "leakwarden", "fieldsV1": {"f:spec": {"f:template": {}}}}


@pytest.mark.parametrize(
    ("entries", "owners"),
    [([OURS], {"leakwarden"}), ([OTHER, THEIRS], {"kubectl"}), ([OURS, THEIRS], {"leakwarden", "kubectl"}),
     ([OTHER], set()), ([], set()), (["odd", {"fieldsV1": None}], set())],
)  # fmt: skip
async def test_who_set_the_replicas_is_asked_of_the_api_server(scene: Scene, entries: Any, owners: set[str]) -> None:
    stored = scene.api.get("deployments", "team", "web")
    assert stored is not None
    stored["metadata"]["managedFields"] = entries
    assert await scene.cluster.replicas_set_by(scene.workload) == owners


async def test_nobody_set_the_replicas_of_a_deployment_that_is_another_one_by_now(scene: Scene) -> None:
    stored = scene.api.get("deployments", "team", "web")
    assert stored is not None
    stored["metadata"] |= {"uid": "another", "managedFields": [OURS]}
    assert await scene.cluster.replicas_set_by(scene.workload) == frozenset()
    scene.api.delete("deployments", "team", "web")
    assert await scene.cluster.replicas_set_by(scene.workload) == frozenset()


async def test_replicas_whose_setter_cannot_be_read_raise(scene: Scene) -> None:
    scene.api.fail("GET", "deployments/web", Fault(status=403))
    with pytest.raises(ClusterUnavailable):
        await scene.cluster.replicas_set_by(scene.workload)


async def test_the_budgets_that_select_a_pod_are_found(scene: Scene) -> None:
    [group] = scene.api.all("replicasets")
    labels = {"app": "web", "tier": "front"}
    stored = scene.api.put("pods", pod(group, "web-1-0", labels=labels))
    expressions = [
        {"key": "tier", "operator": "In", "values": ["front", "back"]},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    for name, selector in {
        "by-labels": {"matchLabels": {"app": "web"}},
        "by-expressions": {"matchExpressions": expressions},
        "everything": {},
        "another": {"matchLabels": {"app": "db"}},
    }.items():
        meta = {"name": name, "namespace": "team"}
        scene.api.put(
            "poddisruptionbudgets",
            {"metadata": meta, "spec": {"selector": selector}, "status": {"disruptionsAllowed": 1}},
        )
    elsewhere = {"name": "elsewhere", "namespace": "other"}
    scene.api.put("poddisruptionbudgets", {"metadata": elsewhere, "spec": {"selector": {}}})
    found = await scene.cluster.disruption_budgets(replace(scene.pod, uid=stored["metadata"]["uid"]))
    assert [budget.name for budget in found] == ["by-expressions", "by-labels", "everything"]
    assert {budget.disruptions_allowed for budget in found} == {1}


async def test_budgets_that_cannot_be_read_are_not_called_none(scene: Scene) -> None:
    scene.api.fail("GET", "poddisruptionbudgets", Fault(status=403, message=SECRET))
    with pytest.raises(ClusterUnavailable, match=r"may not list poddisruptionbudgets\.policy") as error:
        await scene.cluster.disruption_budgets(scene.pod)
    assert SECRET not in str(error.value)


async def test_a_pod_that_is_gone_has_no_budgets(scene: Scene) -> None:
    scene.api.delete("pods", "team", "web-1-0")
    assert list(await scene.cluster.disruption_budgets(scene.pod)) == []


def a_policy(scene: Scene) -> tuple[str, str]:
    meta = scene.api.put("reliabilitypolicies", {"metadata": {"name": "p", "namespace": "team"}, "spec": {}})[
        "metadata"
    ]
    return meta["uid"], meta["resourceVersion"]


async def test_a_status_is_applied_to_the_version_that_was_read(scene: Scene) -> None:
    uid, version = a_policy(scene)
    written = await scene.cluster.write_status("team", "p", uid, version, {"observedGeneration": 1})
    [request] = scene.requests("PATCH")
    assert request.path == "/apis/leakwarden.dev/v1alpha1/namespaces/team/reliabilitypolicies/p/status"
    assert request.query == {"fieldManager": "leakwarden", "force": "true"}
    assert request.content_type == "application/apply-patch+yaml"
    assert request.body == {
        "apiVersion": "leakwarden.dev/v1alpha1",
        "kind": "ReliabilityPolicy",
        "metadata": {"name": "p", "namespace": "team", "uid": uid, "resourceVersion": version},
        "status": {"observedGeneration": 1},
    }
    stored = scene.api.get("reliabilitypolicies", "team", "p")
    assert stored is not None
    assert (written, stored["status"]) == (stored["metadata"]["resourceVersion"], {"observedGeneration": 1})


async def test_a_status_of_a_policy_that_changed_or_was_made_anew_is_not_written(scene: Scene) -> None:
    uid, version = a_policy(scene)
    with pytest.raises(StatusConflict):
        await scene.cluster.write_status("team", "p", uid, "1", {})
    with pytest.raises(StatusConflict):
        await scene.cluster.write_status("team", "p", uid, "", {})
    scene.api.delete("reliabilitypolicies", "team", "p")
    with pytest.raises(StatusConflict):
        await scene.cluster.write_status("team", "p", uid, version, {})
    a_policy(scene)
    with pytest.raises(StatusConflict):
        await scene.cluster.write_status("team", "p", uid, version, {})


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault(status=500, message=SECRET), Fault(cut=True), Fault(hang=True)])
async def test_a_status_that_could_not_be_written_says_so(scene: Scene, fault: Fault) -> None:
    uid, version = a_policy(scene)
    scene.api.fail("PATCH", "status", fault)
    with pytest.raises(ClusterUnavailable) as error:
        await scene.cluster.write_status("team", "p", uid, version, {})
    assert SECRET not in str(error.value)
    assert len(scene.requests("PATCH")) == 1


async def test_an_eviction_shows_in_the_view(scene: Scene) -> None:
    await scene.cluster.start()
    await eventually(lambda: scene.api.watching("pods") == 1)
    await scene.cluster.evict(scene.pod)
    await eventually(lambda: scene.cluster.snapshot().pods_by_workload[scene.workload.uid] == ())
    await scene.cluster.stop()
