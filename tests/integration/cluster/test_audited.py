"""The audit's reading of the other objects of workloads, and its reports, against a real HTTP server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from leakwarden.adapters.cluster import Session
from leakwarden.adapters.cluster.audited import WRITES_PER_ROUND, AuditReportWriter, NeighbourReader
from leakwarden.core.audit import Finding, Severity
from leakwarden.core.audit.policy_report import MAX_RESULTS, ReportedObject
from leakwarden.core.audit.related import Identity

OPEN, POLICY = "openreports.io/v1alpha1", "wgpolicyk8s.io/v1alpha2"
FINDING = Finding("GraceZero", Severity.ERROR, "app", "no grace", "a grace of 30", id="LW202")


@dataclass
class Api:
    """`held`: the pages of each kind; `denied`: kinds that may not be listed; `stored`: reports by their path."""

    held: dict[str, list[list[dict[str, Any]]]] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    served: dict[str, str] = field(default_factory=dict)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    refuse: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        plural = request.path.rpartition("/")[2]
        if request.method in ("PATCH", "DELETE"):
            return await self._write(request)
        if plural in self.denied:
            return web.json_response({"kind": "Status", "code": 403}, status=403)
        if kind := self.served.get(request.path.removeprefix("/apis/")):
            return web.json_response({"resources": [{"kind": kind}]})
        if plural in ("reports", "policyreports"):
            return web.json_response({"apiVersion": "x", "items": list(self.stored.values())})
        pages = self.held.get(plural)
        if pages is None:
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        number = int(request.query.get("continue", "0"))
        more = {"continue": str(number + 1)} if number + 1 < len(pages) else {}
        return web.json_response({"apiVersion": "v1", "metadata": more, "items": pages[number]})

    async def _write(self, request: web.Request) -> web.Response:
        if self.refuse:
            return web.json_response({"kind": "Status"}, status=self.refuse)
        self.writes.append(f"{request.method} {request.path}")
        if request.method == "DELETE":
            self.stored.pop(request.path, None)
        else:
            assert request.content_type == "application/apply-patch+yaml"
            assert request.query["fieldManager"] == "leakwarden"
            self.stored[request.path] = await request.json()
        return web.json_response({})


@asynccontextmanager
async def connected(api: Api, folder: Path) -> AsyncIterator[Session]:
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", api.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "c", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }  # fmt: skip
    (folder / "kubeconfig").write_text(json.dumps(config), encoding="utf-8")
    session = await Session.open(str(folder / "kubeconfig"))
    try:
        yield session
    finally:
        await session.close()
        await runner.cleanup()


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": {"app": name}, **spec}}


async def test_every_page_of_every_kind_is_read_and_what_the_cluster_does_not_have_is_passed_over(
    tmp_path: Path,
) -> None:
    api = Api(held={"services": [[service("a")], [service("b")]]})
    async with connected(api, tmp_path) as session:
        reader = NeighbourReader(session, None)
        assert reader.latest() is None
        await reader.read()
    found = reader.latest()
    assert found is not None
    assert [each.identity.name for each in found.services] == ["a", "b"]
    assert found.unread == {}


async def test_a_kind_that_may_not_be_listed_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    api = Api(held={"services": [[service("a")]]}, denied={"ingresses", "poddisruptionbudgets"})
    async with connected(api, tmp_path) as session:
        reader = NeighbourReader(session, None)
        await reader.read()
    found = reader.latest()
    assert found is not None
    assert set(found.unread) == {"Ingress", "PodDisruptionBudget"}
    assert len(found.services) == 1


async def test_an_object_that_cannot_be_understood_is_named_and_hides_no_other(tmp_path: Path) -> None:
    api = Api(held={"services": [[service("odd", selector=7), service("a")]]})
    async with connected(api, tmp_path) as session:
        reader = NeighbourReader(session, None)
        await reader.read()
    found = reader.latest()
    assert found is not None
    assert "shop/odd" in found.unread["Service"]
    assert [each.identity.name for each in found.services] == ["a"]


async def test_an_api_server_that_is_gone_costs_the_reading_and_is_said(tmp_path: Path) -> None:
    async with connected(Api(), tmp_path) as session:
        reader = NeighbourReader(session, ["shop"])
    session = await Session.open(str(tmp_path / "kubeconfig"))
    reader = NeighbourReader(session, ["shop"])
    await reader.read()
    await session.close()
    found = reader.latest()
    assert found is not None
    assert "could not be read" in found.unread["Service"]


def reported(namespace: str, *findings: Finding) -> ReportedObject:
    return ReportedObject(Identity("Deployment", namespace, "web"), findings)


@pytest.mark.parametrize(
    ("served", "path"),
    [
        ({OPEN: "Report", POLICY: "PolicyReport"}, f"/apis/{OPEN}/namespaces/shop/reports/leakwarden"),
        ({POLICY: "PolicyReport"}, f"/apis/{POLICY}/namespaces/shop/policyreports/leakwarden"),
    ],
)
async def test_a_report_is_written_once_for_each_change_and_removed_with_the_last_workload(
    tmp_path: Path, served: dict[str, str], path: str
) -> None:
    api = Api(served=served)
    async with connected(api, tmp_path) as session:
        writer = AuditReportWriter(session, None)
        await writer.write()
        assert api.writes == []  # no content was set yet
        writer.want([reported("shop", FINDING)])
        await writer.write()
        await writer.write()
        assert api.writes == [f"PATCH {path}"]
        assert api.stored[path]["summary"] == {"pass": 0, "fail": 1, "warn": 0, "error": 0, "skip": 0}
        writer.want([])
        await writer.write()
        assert (api.stored, writer.trouble) == ({}, "")


async def test_reports_of_an_operator_before_this_one_are_removed_and_those_of_others_are_not(tmp_path: Path) -> None:
    def stored(name: str, by: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": "old", "labels": {"app.kubernetes.io/managed-by": by}}}

    api = Api(served={OPEN: "Report"})
    api.stored = {"1": stored("leakwarden", "leakwarden"), "2": stored("trivy", "trivy")}
    async with connected(api, tmp_path) as session:
        writer = AuditReportWriter(session, None)
        writer.want([])
        await writer.write()
    assert api.writes == [f"DELETE /apis/{OPEN}/namespaces/old/reports/leakwarden"]


async def test_without_either_api_that_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    api = Api()
    async with connected(api, tmp_path) as session:
        writer = AuditReportWriter(session, None)
        writer.want([reported("shop", FINDING)])
        await writer.write()
    assert writer.trouble.startswith("no reports are written: the cluster serves neither Report of openreports.io")
    assert api.writes == []


async def test_a_right_that_is_missing_is_said_and_tried_again(tmp_path: Path) -> None:
    api = Api(served={OPEN: "Report"}, refuse=403)
    async with connected(api, tmp_path) as session:
        writer = AuditReportWriter(session, None)
        writer.want([reported("shop", FINDING)])
        await writer.write()
        assert "403 (the right is missing)" in writer.trouble
        api.refuse = 0
        await writer.write()
    assert (writer.trouble, len(api.writes)) == ("", 1)


async def test_where_reports_may_not_be_listed_they_are_written_and_that_is_said(tmp_path: Path) -> None:
    api = Api(served={OPEN: "Report"}, denied={"reports"})
    async with connected(api, tmp_path) as session:
        writer = AuditReportWriter(session, None)
        writer.want([reported("shop", FINDING)])
        await writer.write()
        assert len(api.writes) == 1
        assert writer.trouble.startswith("Reports may not be read (the right to list them is missing)")
        api.denied = set()
        await writer.write()
    assert (writer.trouble, len(api.writes)) == ("", 1)


async def test_a_round_and_a_report_are_bounded(tmp_path: Path) -> None:
    api = Api(served={OPEN: "Report"})
    async with connected(api, tmp_path) as session:
        writer = AuditReportWriter(session, None)
        writer.want([reported(f"n{number}", *[FINDING] * (MAX_RESULTS + 1)) for number in range(WRITES_PER_ROUND + 5)])
        await writer.write()
        assert len(api.writes) == WRITES_PER_ROUND
        await writer.write()
        assert len(api.writes) == WRITES_PER_ROUND + 5
    report = next(iter(api.stored.values()))
    assert len(report["results"]) == MAX_RESULTS
    assert report["metadata"]["annotations"] == {"leakwarden.dev/results-left-out": "1"}
