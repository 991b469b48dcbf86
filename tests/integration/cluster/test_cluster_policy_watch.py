"""ClusterReliabilityPolicies and namespaces at the API server: followed, read again before acting, and told when not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from leakwarden.adapters.cluster import ApiCluster, Session
from leakwarden.adapters.cluster.cluster_policies import ClusterPolicyWatch
from leakwarden.engine.cluster_policies import ClusterPolicies
from leakwarden.engine.ports import Forbidden, StatusConflict
from tests.integration.cluster.fake_api_objects import eventually, session_to
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault
from tests.unit.engine.cluster_policy_world import ALLOWED, cluster_body

KIND = "clusterreliabilitypolicies"


def golden(**changes: Any) -> dict[str, Any]:
    made = cluster_body(**changes)
    made["metadata"].pop("resourceVersion")
    return made


def home(name: str, labels: dict[str, str], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels, "creationTimestamp": "2026-01-02T03:04:05Z", **metadata}}


@contextlib.asynccontextmanager
async def followed(session: Session) -> AsyncIterator[tuple[ClusterPolicies, list[str], ClusterPolicyWatch]]:
    woken: list[str] = []
    policies = ClusterPolicies()
    watch = ClusterPolicyWatch(session, policies, lambda: woken.append("woken"))
    watch.start()
    try:
        yield policies, woken, watch
    finally:
        await watch.stop()


async def where(policies: ClusterPolicies) -> dict[str, str]:
    """Each namespace with the mode that the policy has there."""
    await policies.read()
    return {each.namespace: str(each.spec.mode) for each in policies.all() if each.spec is not None}


async def test_policies_and_labels_are_followed_from_the_first_list_on(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        api.put("namespaces", home("bank", ALLOWED))
        api.put("namespaces", home("shop", {}))
        api.put(KIND, golden())
        async with followed(session) as (policies, woken, watch):
            assert await watch.wait_synced(20)
            assert await where(policies) == {"bank": "Enforce", "shop": "Observe"}
            await eventually(lambda: api.watching("namespaces") == 1 and api.watching(KIND) == 1)
            woken.clear()
            api.put("namespaces", home("shop", ALLOWED))
            await eventually(lambda: bool(woken))
            assert await where(policies) == {"bank": "Enforce", "shop": "Enforce"}
            api.put("namespaces", home("bank", ALLOWED, deletionTimestamp="2026-01-02T03:04:06Z"))
            api.delete("namespaces", "", "shop")
            await eventually(lambda: [each.namespace for each in policies.all()] == ["bank"])
            assert await where(policies) == {"bank": "Observe"}
            api.delete(KIND, "", "golden")
            await eventually(lambda: policies.all() == [])


async def test_our_own_status_that_comes_back_is_no_reason_to_tick(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        stored = api.put(KIND, golden())
        async with followed(session) as (policies, woken, watch):
            assert await watch.wait_synced(20)
            await policies.read()
            await eventually(lambda: api.watching(KIND) == 1)
            woken.clear()
            cluster = ApiCluster(session)
            version = await cluster.write_status(
                "",
                "golden",
                stored["metadata"]["uid"],
                stored["metadata"]["resourceVersion"],
                {"observedGeneration": 1},
            )

            async def seen() -> bool:
                await policies.read()
                return policies.known()[0].resource_version == version

            for _ in range(200):
                if await seen():
                    break
                await asyncio.sleep(0.05)
            assert policies.known()[0].status.observed_generation == 1
            assert woken == []
            with pytest.raises(StatusConflict):
                await cluster.write_status("", "golden", stored["metadata"]["uid"], "1", {})


async def test_without_the_right_to_namespaces_it_is_said_which_right_is_missing(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        api.put("namespaces", home("bank", ALLOWED))
        api.put(KIND, golden())
        api.fail("GET", "/namespaces", Fault(status=403), times=1000)
        async with followed(session) as (policies, _, watch):
            assert not await watch.wait_synced(1)
            assert "may not" in policies.unsure()
            assert "namespaces" in policies.unsure()
            api.recover()
            assert await watch.wait_synced(60)
            await eventually(lambda: policies.unsure() == "")
            assert await where(policies) == {"bank": "Enforce"}


async def test_a_right_that_is_taken_away_makes_it_observe(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        api.put("namespaces", home("bank", ALLOWED))
        api.put(KIND, golden())
        async with followed(session) as (policies, _, watch):
            assert await watch.wait_synced(20)
            assert await where(policies) == {"bank": "Enforce"}
            api.fail("GET", "/namespaces", Fault(status=403), times=1000)
            await eventually(lambda: api.watching("namespaces") == 1)
            api.cut_watches("namespaces")
            await eventually(lambda: policies.unsure() != "")
            assert await where(policies) == {"bank": "Observe"}


async def test_where_the_kind_is_not_installed_there_is_none(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        api.put("namespaces", home("bank", ALLOWED))
        api.fail("GET", f"/{KIND}", Fault(status=404), times=1000)
        async with followed(session) as (policies, _, watch):
            assert await watch.wait_synced(20)
            assert await where(policies) == {}


async def test_a_policy_and_a_namespace_are_read_again_before_acting(tmp_path: Path) -> None:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        cluster = ApiCluster(session)
        uid = api.put(KIND, golden())["metadata"]["uid"]
        api.put("namespaces", home("bank", ALLOWED))
        assert await cluster.policy_generation("", "golden", uid) == 1
        assert await cluster.policy_generation("", "golden", "another") is None
        assert await cluster.policy_generation("", "gone", uid) is None
        found = await cluster.namespace("bank")
        assert found is not None
        assert (found.name, found.labels, found.terminating) == ("bank", ALLOWED, False)
        assert await cluster.namespace("gone") is None
        api.fail("GET", "/namespaces/bank", Fault(status=403))
        with pytest.raises(Forbidden):
            await cluster.namespace("bank")
