"""LeakReports at the API server: our own writes are read at once, others' writes through the watch, fenced or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leakwarden.adapters.cluster import ApiCluster, wire
from leakwarden.adapters.cluster.fence import Fence, FencedCluster, NotLeading
from leakwarden.adapters.cluster.reports import ReportStore
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.engine.ports import ClusterUnavailable, Forbidden, StatusConflict
from tests.integration.cluster.fake_api_objects import cluster_of, eventually, service, session_to
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault
from tests.integration.cluster.lease_scene import Clock

SPEC: dict[str, Any] = {
    "policy": {"name": "web", "uid": "p-1"},
    "workload": {"name": "web", "uid": "w-1"},
    "pod": {"name": "web-1", "uid": "pod-1"},
    "signal": "descriptors",
    "signalType": "Descriptors",
    "detectedAt": "2026-01-02T03:04:05Z",
}


def stored(name: str = "web-1", **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "team", "creationTimestamp": "2026-01-02T03:04:05Z"}
    return {"metadata": metadata, "spec": SPEC, "status": status}


def held(cluster: ApiCluster) -> dict[str, str]:
    return {report.name: str(report.status.phase) for report in cluster.reports().reports.values()}


async def created(cluster: ApiCluster, name: str = "web-1") -> LeakReport:
    return await cluster.create_report("team", name, {"leakwarden.dev/policy": "web"}, SPEC)


async def test_reports_are_listed_and_watched_and_the_unreadable_are_left_out(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        api.put("leakreports", stored(phase="Verifying"))
        api.put("leakreports", {"metadata": {"name": "strange", "namespace": "team"}, "spec": {"pod": "who?"}})
        async with cluster_of(api, tmp_path) as cluster:
            assert await cluster.wait_reports(20)
            assert held(cluster) == {"web-1": "Verifying"}
            await eventually(lambda: api.watching("leakreports") == 1)
            api.put("leakreports", stored("web-2"))
            await eventually(lambda: held(cluster) == {"web-1": "Verifying", "web-2": "Detected"})
            api.delete("leakreports", "team", "web-1")
            await eventually(lambda: held(cluster) == {"web-2": "Detected"})


async def test_what_was_written_is_read_at_once_and_stands_until_the_watch_shows_as_much(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        cluster = ApiCluster(session)  # not started: there is no watch that could help
        report = await created(cluster)
        version = await cluster.write_report_status(report, {"phase": "Remediating"})
        assert held(cluster) == {"web-1": "Remediating"}
        (mine,) = cluster.reports().reports.values()
        assert mine.resource_version == version
        await cluster.start()
        try:
            # The watch begins with the list, and then shows the past: an older version changes nothing.
            assert await cluster.wait_reports(20)
            await eventually(lambda: api.watching("leakreports") == 1)
            old = {**(api.get("leakreports", "team", "web-1") or {}), "status": {"phase": "Detected"}}
            old["metadata"] = {**old["metadata"], "resourceVersion": "1"}
            api.send("leakreports", _line("MODIFIED", old))
            api.put("leakreports", stored("web-2"))
            await eventually(lambda: "web-2" in held(cluster))
            assert held(cluster)["web-1"] == "Remediating"
        finally:
            await cluster.stop()


def _line(kind: str, obj: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


async def test_a_report_that_was_written_by_an_earlier_life_is_adopted(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        earlier = api.put("leakreports", stored(phase="Verifying"))
        cluster = ApiCluster(session)
        adopted = await created(cluster)
        assert adopted.uid == earlier["metadata"]["uid"]
        assert str(adopted.status.phase) == "Verifying"
        assert held(cluster) == {"web-1": "Verifying"}


async def test_a_status_is_written_only_over_the_version_that_was_read(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        cluster = ApiCluster(session)
        report = await created(cluster)
        await cluster.write_report_status(report, {"phase": "Remediating"})
        with pytest.raises(StatusConflict):
            await cluster.write_report_status(report, {"phase": "Detected"})
        (write, _) = api.asked("PATCH", "/leakreports/web-1/status")
        assert "apply-patch" in write.content_type
        assert write.body["metadata"]["resourceVersion"] == report.resource_version
        assert write.body["metadata"]["uid"] == report.uid


async def test_a_report_that_somebody_deleted_is_a_conflict_and_held_no_longer(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        cluster = ApiCluster(session)
        report = await created(cluster)
        api.delete("leakreports", "team", "web-1")
        with pytest.raises(StatusConflict):
            await cluster.write_report_status(report, {"phase": "Detected"})
        assert held(cluster) == {}


async def test_deleting_names_the_uid_and_a_namesake_stays(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        cluster = ApiCluster(session)
        report = await created(cluster)
        api.delete("leakreports", "team", "web-1")
        api.put("leakreports", stored())
        await cluster.delete_report(report)
        assert api.get("leakreports", "team", "web-1") is not None
        (request,) = api.asked("DELETE", "/leakreports/web-1")
        assert request.body["preconditions"] == {"uid": report.uid}
        await cluster.delete_report(report)  # a deleted report stays deleted


def test_what_we_deleted_is_not_shown_again_by_a_watch_that_lags() -> None:
    def item(version: str) -> wire.ApiReport:
        meta = wire.ApiReportMeta(uid="u-1", name="web-1", namespace="team", resource_version=version)
        return wire.ApiReport(metadata=meta, spec=SPEC)

    store = ReportStore()
    store.put("u-1", item("5"))
    assert set(store.view()) == {"u-1"}
    store.deleted("u-1")
    assert store.put("u-1", item("6")), "tracked on, so that its end is heard of"
    assert store.view() == {}
    store.drop("u-1")
    assert store.view() == {}


def of(uid: str, version: str, namespace: str = "team") -> wire.ApiReport:
    meta = wire.ApiReportMeta(uid=uid, name=uid, namespace=namespace, resource_version=version)
    return wire.ApiReport(metadata=meta, spec=SPEC)


def test_a_namespace_with_more_reports_than_are_held_is_in_trouble_and_no_other_is() -> None:
    store = ReportStore(per_namespace=3)
    for n in range(5):
        store.put(f"u-{n}", of(f"u-{n}", "5"))
    assert store.put("other", of("other", "5", namespace="bank"))
    assert set(store.view()) == {"u-0", "u-1", "u-2", "other"}
    assert store.troubles == {"team": "the namespace has more than 3 LeakReports; delete some"}
    store.put("u-1", of("u-1", "6"))  # the held ones are still updated
    assert store.view()["u-1"].resource_version == "6"
    for n in (3, 4):
        store.drop(f"u-{n}")
    assert store.troubles == {}


def test_after_a_restore_of_etcd_what_we_wrote_is_forgotten_too() -> None:
    store = ReportStore()
    store.put("u-1", of("u-1", "900"))
    store.deleted("u-2")
    store.forget()
    assert store.put("u-1", of("u-1", "5"))
    assert store.put("u-2", of("u-2", "6"))
    assert {uid: each.resource_version for uid, each in store.view().items()} == {"u-1": "5", "u-2": "6"}


async def test_a_fresh_list_shows_what_the_watch_does_not_and_forgets_what_is_gone(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        cluster = ApiCluster(session)
        await created(cluster)
        api.delete("leakreports", "team", "web-1")
        api.put("leakreports", stored("web-2", phase="Verifying"))
        await cluster.refresh_reports()
        assert held(cluster) == {"web-2": "Verifying"}
        listing = api.asked("GET", "/leakreports")[-1]
        assert "resourceVersion" not in listing.query, "most recent, from the quorum"


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (403, Forbidden, "may not list leakreports.leakwarden.dev"),
        (404, Forbidden, "apply the files in crds/"),
        (500, ClusterUnavailable, "answered 500"),
    ],
)
async def test_a_list_that_is_refused_says_why(tmp_path: Path, status: int, kind: type[Exception], words: str) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        api.fail("GET", "/leakreports", Fault(status=status))
        with pytest.raises(kind, match=words):
            await ApiCluster(session).refresh_reports()


async def test_without_the_right_to_reports_workloads_are_followed_all_the_same(tmp_path: Path) -> None:
    async with FakeApiServer() as api:
        service(api)
        api.fail("GET", "/leakreports", Fault(status=403), times=1_000_000)
        async with cluster_of(api, tmp_path) as cluster:
            assert await cluster.wait_synced(20)
            assert cluster.snapshot().synced
            await eventually(lambda: "may not list leakreports" in cluster.reports().trouble)
            assert not cluster.reports().synced
            assert not await cluster.wait_reports(0.05)


async def test_without_leadership_no_report_is_written(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        plain = ApiCluster(session)
        report = await created(plain)
        fenced = FencedCluster(plain, Fence(Clock()))
        before = len(api.requests)
        with pytest.raises(NotLeading):
            await fenced.create_report("team", "web-2", {}, SPEC)
        with pytest.raises(NotLeading):
            await fenced.write_report_status(report, {"phase": "Detected"})
        with pytest.raises(NotLeading):
            await fenced.delete_report(report)
        assert len(api.requests) == before
        await fenced.refresh_reports()
        assert fenced.reports().reports
