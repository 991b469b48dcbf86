"""StatefulSets, DaemonSets and Rollouts in the mirror of the cluster: pods by owner UID, kinds that cannot be read apart."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from leakwarden.adapters.cluster import ApiCluster
from leakwarden.api.v1alpha1.kinds import KINDS, WorkloadKind
from leakwarden.core.model.workload import Workload
from leakwarden.engine.ports import Outcome
from tests.integration.cluster.fake_api_answers import Json
from tests.integration.cluster.fake_api_objects import cluster_of, deployment, eventually, pod, replica_set, service
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault

EVERY = frozenset(WorkloadKind) - {WorkloadKind.DEPLOYMENT}
DIRECT = [WorkloadKind.STATEFUL_SET, WorkloadKind.DAEMON_SET]


def made(api: FakeApiServer, kind: WorkloadKind, name: str = "db", ns: str = "team") -> Json:
    return {**api.put(KINDS[kind].plural, deployment(name, ns)), "kind": str(kind)}


def of(cluster: ApiCluster, kind: WorkloadKind) -> Workload | None:
    return next((each for each in cluster.snapshot().workloads.values() if each.kind == kind), None)


def pods(cluster: ApiCluster, kind: WorkloadKind) -> list[str]:
    found = of(cluster, kind)
    return [each.uid for each in cluster.snapshot().pods_by_workload[found.uid]] if found is not None else []


@pytest.mark.parametrize("kind", DIRECT)
async def test_pods_belong_to_the_controller_that_owns_them(kind: WorkloadKind, tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path, kinds=EVERY) as cluster:
        owner = made(api, kind)
        one = api.put("pods", pod(owner, "db-0"))
        await eventually(lambda: pods(cluster, kind) == [one["metadata"]["uid"]])
        api.delete("pods", "team", "db-0")
        again = api.put("pods", pod(owner, "db-0"))
        await eventually(lambda: pods(cluster, kind) == [again["metadata"]["uid"]])
        assert again["metadata"]["uid"] != one["metadata"]["uid"]
        api.delete(KINDS[kind].plural, "team", "db")
        await eventually(lambda: of(cluster, kind) is None)


async def test_pods_may_come_before_their_stateful_set(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path, kinds=EVERY) as cluster:
        assert await cluster.wait_synced(20)
        owner = {**deployment("db"), "kind": "StatefulSet"}
        owner["metadata"]["uid"] = "uid-of-db"
        orphan = api.put("pods", pod(owner, "db-0"))
        api.put("statefulsets", owner)
        await eventually(lambda: pods(cluster, WorkloadKind.STATEFUL_SET) == [orphan["metadata"]["uid"]])


async def test_a_rollout_has_its_pods_through_its_replica_sets(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path, kinds=EVERY) as cluster:
        owner = made(api, WorkloadKind.ROLLOUT)
        group = replica_set(owner, "db-1")
        group["metadata"]["ownerReferences"][0]["kind"] = "Rollout"
        one = api.put("pods", pod(api.put("replicasets", group), "db-1-a"))
        await eventually(lambda: pods(cluster, WorkloadKind.ROLLOUT) == [one["metadata"]["uid"]])


async def test_a_pod_of_another_namespace_cannot_pose_as_a_workloads_own(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path, kinds=EVERY) as cluster:
        owner = made(api, WorkloadKind.STATEFUL_SET)
        honest = api.put("pods", pod(owner, "db-0"))
        forged = pod(owner, "db-1")
        forged["metadata"]["namespace"] = "evil"
        api.put("pods", forged)
        web, group, _ = service(api)
        forged_set = copy.deepcopy(group)
        forged_set["metadata"] = {**replica_set(web)["metadata"], "namespace": "evil", "name": "web-2"}
        stray = pod(api.put("replicasets", forged_set), "web-2-a")
        api.put("pods", stray)
        own = made(api, WorkloadKind.STATEFUL_SET, "last", "evil")  # seen, so all that came before it was seen
        await eventually(lambda: own["metadata"]["uid"] in cluster.snapshot().workloads)
        await eventually(lambda: len(cluster.snapshot().pods_by_workload.get(web["metadata"]["uid"], ())) == 1)
        found = cluster.snapshot().pods_by_workload
        assert [each.uid for each in found[owner["metadata"]["uid"]]] == [honest["metadata"]["uid"]]
        assert {each.namespace for each in found[web["metadata"]["uid"]]} == {"team"}


async def test_kinds_that_are_not_switched_on_are_not_asked_for(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        api.put("pods", pod(made(api, WorkloadKind.STATEFUL_SET), "db-0"))
        service(api)
        assert await cluster.wait_synced(20)
        assert set(cluster.snapshot().unread_kinds) == {"StatefulSet", "DaemonSet", "Rollout"}
        assert "chart's values" in cluster.snapshot().unread_kinds["StatefulSet"]
        assert not any(api.asked("GET", plural) for plural in ("statefulsets", "daemonsets", "rollouts"))
        assert {each.kind for each in cluster.snapshot().workloads.values()} == {"Deployment"}


async def test_a_crd_that_is_absent_and_comes_later_stops_nothing(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path, kinds=EVERY) as cluster:
        api.fail("GET", "rollouts", Fault(404), times=10_000)
        made(api, WorkloadKind.STATEFUL_SET)
        service(api)
        await eventually(lambda: cluster.snapshot().synced and of(cluster, WorkloadKind.STATEFUL_SET) is not None)
        await eventually(lambda: cluster.snapshot().absent_kinds == {"Rollout"})
        assert "its CRD is not installed" in cluster.snapshot().unread_kinds["Rollout"]
        assert set(cluster.snapshot().unread_kinds) == {"Rollout"}
        api.recover()
        made(api, WorkloadKind.ROLLOUT)
        await eventually(lambda: of(cluster, WorkloadKind.ROLLOUT) is not None)
        assert not cluster.snapshot().absent_kinds
        assert not cluster.snapshot().unread_kinds


async def test_a_right_that_is_missing_for_one_kind_is_said_of_that_one(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path, kinds=EVERY) as cluster:
        api.fail("GET", "daemonsets", Fault(403), times=10_000)
        service(api)
        await eventually(lambda: cluster.snapshot().synced and "DaemonSet" in cluster.snapshot().unread_kinds)
        await eventually(lambda: "may not list daemonsets.apps" in cluster.snapshot().unread_kinds["DaemonSet"])
        assert not cluster.snapshot().absent_kinds
        await eventually(lambda: set(cluster.snapshot().unread_kinds) == {"DaemonSet"})


@pytest.mark.parametrize("kind", sorted(EVERY))
async def test_changes_go_to_the_kinds_own_path_with_its_version(kind: WorkloadKind, tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path, kinds=EVERY) as cluster:
        made(api, kind)
        await eventually(lambda: of(cluster, kind) is not None)
        found = of(cluster, kind)
        assert found is not None
        assert (await cluster.restart_rollout(found, "2026-01-02T03:04:05Z")).outcome is Outcome.DONE
        [request] = api.asked("PATCH")
        group = KINDS[kind].group_version
        assert request.path == f"/apis/{group}/namespaces/team/{KINDS[kind].plural}/db"
        assert request.body["metadata"] == {"resourceVersion": found.resource_version}
        restarted: Any = {
            "template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z"}}}
        }
        wanted = {"restartAt": "2026-01-02T03:04:05Z"} if kind is WorkloadKind.ROLLOUT else restarted
        assert request.body["spec"] == wanted
        assert (await cluster.restart_rollout(found, "2026-01-02T03:04:06Z")).outcome is Outcome.CONFLICT
        if KINDS[kind].scales:
            api.fail("PATCH", "/scale", Fault(403))
            refused = await cluster.scale(found, 3)
            assert f"patch {KINDS[kind].plural}.{group.partition('/')[0]}/scale" in refused.message
