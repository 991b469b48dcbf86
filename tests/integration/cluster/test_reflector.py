"""The mirror of the cluster stays true through paging, cuts, expiry, garbage and silence."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path

from leakwarden.adapters.cluster import ApiCluster, ReflectorStats
from leakwarden.adapters.cluster.servertime import ServerTime
from tests.integration.cluster.fake_api_objects import (
    QUICK,
    cluster_of,
    deployment,
    eventually,
    pod,
    replica_set,
    service,
    session_to,
)
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault
from tests.integration.cluster.test_reports import stored


def names(cluster: ApiCluster) -> set[str]:
    return {workload.name for workload in cluster.snapshot().workloads.values()}


def pods(cluster: ApiCluster, workload: str = "web") -> list[str]:
    view = cluster.snapshot()
    uid = next(found.uid for found in view.workloads.values() if found.name == workload)
    return [found.name for found in view.pods_by_workload[uid]]


def about(cluster: ApiCluster, resource: str) -> ReflectorStats:
    return next(entry for entry in cluster.stats() if entry.resource == resource)


async def synced(cluster: ApiCluster) -> None:
    assert await cluster.wait_synced(20)


async def watched(api: FakeApiServer) -> None:
    await eventually(lambda: all(api.watching(kind) == 1 for kind in ("deployments", "replicasets", "pods")))


async def test_pods_are_joined_to_their_deployment_by_owner(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        owner, _, made = service(api, pods=2)
        await synced(cluster)
        await eventually(lambda: names(cluster) == {"web"} and len(pods(cluster)) == 2)
        view = cluster.snapshot()
        [workload] = view.workloads.values()
        assert workload.uid == owner["metadata"]["uid"]
        found = view.pods_by_workload[workload.uid]
        assert {pod.uid for pod in found} == {pod["metadata"]["uid"] for pod in made}
        assert all(pod.workload_uid == workload.uid and pod.ready and pod.node == "node-1" for pod in found)


async def test_what_a_dead_watch_did_not_tell_is_seen_when_looked_for_anew(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        service(api, pods=2)
        await synced(cluster)
        await eventually(lambda: names(cluster) == {"web"} and len(pods(cluster)) == 2)
        await watched(api)
        api.silent.add("pods")
        api.delete("pods", "team", "web-1-0")
        assert len(pods(cluster)) == 2, "nobody could know"
        await cluster.begin_anew()
        assert not cluster.snapshot().synced, "until it is listed nothing is to be done on it"
        await synced(cluster)
        assert pods(cluster) == ["web-1-1"]


async def test_a_list_comes_in_pages(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        for index in range(7):
            api.put("deployments", deployment(f"web-{index}"))
        async with cluster_of(api, tmp_path, pace=replace(QUICK, page=3)) as cluster:
            await synced(cluster)
            assert names(cluster) == {f"web-{index}" for index in range(7)}
            lists = [request for request in api.asked("GET", "/deployments") if "watch" not in request.query]
            assert [request.query.get("limit") for request in lists] == ["3", "3", "3"]
            assert [("continue" in request.query) for request in lists] == [False, True, True]


async def test_replica_sets_are_asked_for_as_metadata_only(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        await synced(cluster)
        await watched(api)
        accepts = {request.accept.split(";")[1] for request in api.asked("GET", "/replicasets")}
        assert accepts == {"as=PartialObjectMetadataList", "as=PartialObjectMetadata"}
        assert {request.accept for request in api.asked("GET", "/pods")} == {"application/json"}


async def test_a_watch_begins_at_the_lists_version_and_asks_for_bookmarks(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        service(api)
        async with cluster_of(api, tmp_path) as cluster:
            await synced(cluster)
            await watched(api)
            [watch] = [request for request in api.asked("GET", "/deployments") if "watch" in request.query]
            assert watch.query["resourceVersion"] == str(api.version)
            assert watch.query["allowWatchBookmarks"] == "true"
            assert int(watch.query["timeoutSeconds"]) > 0


async def test_changes_and_deletions_are_followed(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        _, _, [first] = service(api)
        await synced(cluster)
        await watched(api)
        changed = json.loads(json.dumps(first))
        changed["status"]["conditions"][0]["status"] = "False"
        api.put("pods", changed)
        await eventually(lambda: [p.ready for p in next(iter(cluster.snapshot().pods_by_workload.values()))] == [False])
        api.delete("pods", "team", first["metadata"]["name"])
        await eventually(lambda: pods(cluster) == [])
        api.delete("deployments", "team", "web")
        await eventually(lambda: not cluster.snapshot().workloads and not cluster.snapshot().pods_by_workload)


async def test_a_cut_watch_goes_on_from_the_last_version_and_misses_nothing(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        _, _, made = service(api, pods=2)
        await synced(cluster)
        await watched(api)
        await eventually(lambda: len(pods(cluster)) == 2)
        lists = about(cluster, "pods").lists
        # The next watch is refused first, so that both the change and the deletion happen without a watch.
        api.fail("GET", r"/pods\?watch", Fault(status=500), times=2)
        api.cut_watches("pods")
        await eventually(lambda: api.watching("pods") == 0)
        api.delete("pods", "team", made[0]["metadata"]["name"])
        await eventually(lambda: pods(cluster) == [made[1]["metadata"]["name"]])
        assert about(cluster, "pods").lists == lists


async def test_a_bookmark_moves_the_version_on(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        await synced(cluster)
        await watched(api)
        api.version += 1000
        api.bookmark()
        api.cut_watches("pods")
        await eventually(
            lambda: any(
                request.query.get("resourceVersion") == str(api.version) for request in api.asked("GET", "/pods")
            )
        )


async def _no_ghost_after_expiry(api: FakeApiServer, directory: Path) -> None:
    async with cluster_of(api, directory) as cluster:
        _, _, made = service(api, pods=2)
        await synced(cluster)
        await watched(api)
        await eventually(lambda: len(pods(cluster)) == 2)
        api.fail("GET", r"watch=true", Fault(status=503), times=3)
        api.cut_watches()
        await eventually(lambda: api.watching("pods") == 0)
        api.delete("pods", "team", made[0]["metadata"]["name"])
        api.put("deployments", deployment("late"))
        api.expire()
        await eventually(lambda: pods(cluster) == [made[1]["metadata"]["name"]] and "late" in names(cluster))
        assert about(cluster, "pods").relists_expired >= 1


async def test_no_ghost_is_left_when_a_watch_is_answered_410(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        await _no_ghost_after_expiry(api, tmp_path)


async def test_no_ghost_is_left_when_a_watch_ends_with_an_expired_event(tmp_path: Path) -> None:
    async with FakeApiServer(expired_as_event=True) as api:
        await _no_ghost_after_expiry(api, tmp_path)


async def test_after_a_restore_of_etcd_the_list_replaces_what_was_held(tmp_path: Path) -> None:
    """Versions went back by then: the held objects would permanently seem newer than all that exist now."""
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        _, _, made = service(api, pods=2)
        report = stored("web-1", phase="Verifying")
        api.put("leakreports", report)
        await synced(cluster)
        await eventually(lambda: len(pods(cluster)) == 2 and len(cluster.reports().reports) == 1)
        api.restore(version=10)
        api.delete("pods", "team", made[0]["metadata"]["name"])
        api.put("leakreports", {**report, "status": {**report["status"], "phase": "Detected"}})
        await eventually(lambda: pods(cluster) == [made[1]["metadata"]["name"]])
        await eventually(lambda: [each.status.phase for each in cluster.reports().reports.values()] == ["Detected"])
        assert cluster.snapshot().synced


async def test_a_continue_token_that_expires_begins_the_list_anew(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        for index in range(5):
            api.put("deployments", deployment(f"web-{index}"))
        api.fail("GET", r"/deployments\?.*continue=", Fault(status=410))
        async with cluster_of(api, tmp_path, pace=replace(QUICK, page=2)) as cluster:
            await synced(cluster)
            assert len(names(cluster)) == 5
            assert about(cluster, "deployments").relists_expired == 1


async def test_a_silent_watch_is_left_after_the_idle_timeout(tmp_path: Path) -> None:
    """The connection stays open and nothing comes, as with a load balancer that has dropped it."""
    async with FakeApiServer() as api:
        api.fail("GET", r"/deployments\?watch", Fault(hang=True))
        async with cluster_of(api, tmp_path, pace=replace(QUICK, idle=0.3)) as cluster:
            await synced(cluster)
            api.put("deployments", deployment("late"))
            await eventually(lambda: names(cluster) == {"late"})
            assert about(cluster, "deployments").lists == 1


async def test_one_unreadable_object_in_a_list_does_not_lose_the_others(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        api.put("deployments", deployment("good"))
        api.put("deployments", {**deployment("odd"), "spec": {"replicas": "three"}})
        api.put("deployments", deployment("odd-template", template={"spec": {"containers": [{"name": 5}]}}))
        async with cluster_of(api, tmp_path) as cluster:
            await synced(cluster)
            assert names(cluster) == {"good"}
            assert about(cluster, "deployments").malformed == 2


async def test_an_object_that_becomes_unreadable_is_left_out_rather_than_kept_as_it_was(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        api.put("deployments", deployment("web"))
        api.put("deployments", deployment("good"))
        await synced(cluster)
        await watched(api)
        await eventually(lambda: names(cluster) == {"web", "good"})
        api.put("deployments", {**deployment("web"), "spec": {"replicas": "three"}})
        await eventually(lambda: names(cluster) == {"good"})
        api.put("deployments", deployment("web"))
        await eventually(lambda: names(cluster) == {"web", "good"})


async def test_garbage_in_a_watch_leads_to_a_new_list(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        await synced(cluster)
        await watched(api)
        for garbage in (b"<html>\n", b'{"type":"DELETED","object":{}}\n', b"\xff\xfe\n"):
            before = about(cluster, "deployments").lists
            api.send("deployments", garbage)
            await eventually(lambda before=before: about(cluster, "deployments").lists > before)  # type: ignore[misc]
            await watched(api)
        api.send("deployments", b'{"type":"NOVELTY","object":{}}\n')
        api.put("deployments", deployment("late"))
        await eventually(lambda: names(cluster) == {"late"})


async def test_a_list_that_is_a_proxys_page_erases_nothing(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        service(api)
        await synced(cluster)
        await watched(api)
        await eventually(lambda: names(cluster) == {"web"})
        page = Fault(status=200, body="<html>it works</html>")
        api.fail("GET", r"/deployments\?limit", page, times=2)
        api.fail("GET", r"/deployments\?limit", Fault(status=200, body='{"items":[]}'))
        api.fail("GET", r"/deployments\?watch", Fault(status=410))
        api.cut_watches("deployments")
        seen: list[set[str]] = []

        def listed_again() -> bool:
            seen.append(names(cluster))
            return about(cluster, "deployments").lists == 2

        await eventually(listed_again)
        # An empty list without a version is not a Kubernetes list either.
        assert all(view == {"web"} for view in seen)
        assert about(cluster, "deployments").errors >= 3


async def test_the_server_decides_how_long_to_wait(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        api.fail("GET", r"/deployments\?limit", Fault(status=429, retry_after=1))
        async with cluster_of(api, tmp_path) as cluster:
            await eventually(lambda: about(cluster, "deployments").errors == 1)
            assert not cluster.snapshot().synced
            await synced(cluster)
            refused, accepted = [r for r in api.asked("GET", "/deployments") if "limit" in r.query]
            # A lower bound only: a busy machine can make it later, never sooner.
            assert accepted.at - refused.at >= 1.0


async def test_trouble_is_told_in_one_line_and_ends_when_it_is_over(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        api.fail("GET", "/deployments", Fault(status=403, message="secret words"), times=3)
        async with cluster_of(api, tmp_path, namespaces=["team"]) as cluster:
            await eventually(lambda: bool(about(cluster, "deployments").trouble))
            assert about(cluster, "deployments").trouble == (
                "the operator's account may not list deployments.apps in namespace team (403)"
            )
            await synced(cluster)
            await eventually(lambda: not about(cluster, "deployments").trouble)


async def test_a_view_counts_no_more_from_the_moment_the_right_to_look_is_taken_away(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        await synced(cluster)
        await watched(api)
        assert cluster.snapshot().age < math.inf
        api.fail("GET", "/pods", Fault(status=403), times=1000)
        api.cut_watches("pods")
        await eventually(lambda: cluster.snapshot().age == math.inf)
        assert cluster.snapshot().trouble == "the operator's account may not watch pods (403)"
        api.recover()
        await eventually(lambda: cluster.snapshot().age < math.inf)
        assert cluster.snapshot().trouble == ""


async def test_without_the_right_to_autoscalers_the_rest_is_followed_and_the_right_is_named(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        api.fail("GET", "/horizontalpodautoscalers", Fault(status=403), times=1000)
        async with cluster_of(api, tmp_path) as cluster:
            await synced(cluster)
            await eventually(lambda: bool(cluster.snapshot().autoscalers_denied))
            view = cluster.snapshot()
            assert view.autoscalers_denied == (
                "the operator's account may not list horizontalpodautoscalers.autoscaling (403)"
            )
            assert view.autoscalers is None
            assert (view.synced, view.trouble) == (True, "")


SCALED = {
    "metadata": {"name": "queue", "namespace": "team", "uid": "s1"},
    "spec": {"scaleTargetRef": {"name": "api"}},
}


async def test_without_keda_there_is_no_scaled_object_and_once_there_is_one_it_owns_the_replicas(
    tmp_path: Path,
) -> None:
    async with FakeApiServer() as api:
        api.fail("GET", "/scaledobjects", Fault(status=404), times=1000)
        async with cluster_of(api, tmp_path, pace=replace(QUICK, absent=0.1)) as cluster:
            await eventually(lambda: cluster.snapshot().autoscalers == {})
            assert about(cluster, "scaledobjects").trouble == ""
            api.put("scaledobjects", SCALED)
            api.recover()
            await eventually(lambda: cluster.snapshot().autoscalers == {("team", "api"): "the KEDA ScaledObject queue"})
            # KEDA is uninstalled.
            api.fail("GET", "/scaledobjects", Fault(status=404), times=1000)
            api.cut_watches("scaledobjects")
            await eventually(lambda: cluster.snapshot().autoscalers == {})


async def test_without_the_right_to_scaled_objects_it_is_not_known_who_owns_the_replicas(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        api.fail("GET", "/scaledobjects", Fault(status=403), times=1000)
        async with cluster_of(api, tmp_path) as cluster:
            await eventually(lambda: bool(cluster.snapshot().autoscalers_denied))
            assert cluster.snapshot().autoscalers_denied == (
                "the operator's account may not list scaledobjects.keda.sh (403)"
            )
            assert cluster.snapshot().autoscalers is None


async def test_an_outage_of_autoscalers_is_no_missing_right(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        api.fail("GET", "/horizontalpodautoscalers", Fault(status=500), times=1000)
        async with cluster_of(api, tmp_path) as cluster:
            await eventually(lambda: bool(about(cluster, "horizontalpodautoscalers").trouble))
            assert cluster.snapshot().autoscalers_denied == ""
            assert cluster.snapshot().autoscalers is None


async def test_an_outage_ages_the_view_and_does_not_end_it_at_once(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        await synced(cluster)
        await watched(api)
        api.fail("GET", "/pods", Fault(status=500), times=1000)
        api.cut_watches("pods")
        await eventually(lambda: bool(about(cluster, "pods").trouble))
        assert cluster.snapshot().age < math.inf


async def test_a_relist_comes_round_and_finds_what_no_event_told(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path, pace=replace(QUICK, resync=0.2)) as cluster:
        service(api)
        await synced(cluster)
        await watched(api)
        await eventually(lambda: names(cluster) == {"web"})
        # Gone without an event, as with a defect in a watch cache.
        api._objects["deployments"].clear()
        await eventually(lambda: names(cluster) == set())


async def test_only_the_named_namespaces_are_looked_at(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        service(api, ns="team")
        service(api, ns="other")
        service(api, ns="third")
        async with cluster_of(api, tmp_path, namespaces=["team", "other"]) as cluster:
            await synced(cluster)
            assert {workload.namespace for workload in cluster.snapshot().workloads.values()} == {"team", "other"}
            assert all("/namespaces/" in request.path for request in api.requests)
            assert not [request for request in api.requests if "/third/" in request.path]


async def test_a_pod_that_is_seen_before_its_replica_set_finds_its_deployment(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        await synced(cluster)
        await watched(api)
        owner = api.put("deployments", deployment())
        group = {**replica_set(owner), "kind": "ReplicaSet"}
        group["metadata"]["uid"] = "set-1"
        api.put("pods", pod(group))
        await eventually(lambda: about(cluster, "pods").objects == 1 and names(cluster) == {"web"})
        assert pods(cluster) == []
        api.put("replicasets", group)
        await eventually(lambda: pods(cluster) == ["web-1-a"])
        view = cluster.snapshot()
        assert view.pods_by_workload[owner["metadata"]["uid"]][0].workload_uid == owner["metadata"]["uid"]


async def test_pods_of_anything_but_a_replica_set_are_not_kept(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        api.put("pods", pod({"kind": "DaemonSet", "metadata": {"namespace": "team", "uid": "d1"}}))
        async with cluster_of(api, tmp_path) as cluster:
            await synced(cluster)
            assert about(cluster, "pods").objects == 0


async def test_a_snapshot_never_changes_once_it_was_given(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        service(api)
        await synced(cluster)
        await watched(api)
        await eventually(lambda: names(cluster) == {"web"} and len(pods(cluster)) == 1)
        before = cluster.snapshot()
        api.delete("pods", "team", "web-1-0")
        api.put("deployments", deployment("late"))
        await eventually(lambda: "late" in names(cluster) and pods(cluster) == [])
        assert len(before.workloads) == 1
        assert [len(found) for found in before.pods_by_workload.values()] == [1]


async def test_nothing_new_means_the_same_objects_again(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        service(api)
        async with cluster_of(api, tmp_path) as cluster:
            await synced(cluster)
            assert cluster.snapshot().workloads is cluster.snapshot().workloads


async def test_a_view_that_was_never_filled_says_so(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        api.fail("GET", "/pods", Fault(status=500), times=10_000)
        async with cluster_of(api, tmp_path) as cluster:
            assert not await cluster.wait_synced(0.3)
            assert not cluster.snapshot().synced
            assert cluster.snapshot().age == float("inf")


async def test_a_view_ages_while_the_server_is_away_and_recovers(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        service(api)
        await synced(cluster)
        await watched(api)
        api.fail("GET", "watch=true", Fault(cut=True), times=10_000)
        api.fail("GET", r"\?limit", Fault(cut=True), times=10_000)
        api.cut_watches()
        await eventually(lambda: cluster.snapshot().age > 0.5)
        assert cluster.snapshot().synced
        assert names(cluster) == {"web"}
        api.recover()
        await eventually(lambda: cluster.snapshot().age < 0.5)
        api.put("deployments", deployment("late"))
        await eventually(lambda: "late" in names(cluster))


async def test_after_stop_nothing_is_asked_any_more(tmp_path: Path) -> None:
    async with FakeApiServer() as api, cluster_of(api, tmp_path) as cluster:
        await synced(cluster)
        await cluster.stop()
        await eventually(lambda: not any(api.watching(kind) for kind in ("deployments", "replicasets", "pods")))


async def test_by_a_clock_that_is_far_from_the_api_servers_nothing_is_to_be_done(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        session.server_time = ServerTime(wall=lambda: time.time() + 2 * 86_400)
        cluster = ApiCluster(session, pace=QUICK)
        await cluster.start()
        try:
            await synced(cluster)
            view = cluster.snapshot()
            assert not view.synced
            assert "the operator's clock is 48h ahead of the API server's" in view.trouble
            session.server_time = ServerTime()
            await session.ask("GET", "/version")
            assert (cluster.snapshot().synced, cluster.snapshot().trouble) == (True, "")
        finally:
            await cluster.stop()
