"""Small Kubernetes objects for the fake API server, a session to it, and a wait."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Set
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from leakwarden.adapters.cluster import ApiCluster, Pace, Session
from leakwarden.adapters.cluster.credentials import Kubeconfig
from leakwarden.api.v1alpha1.kinds import WorkloadKind
from tests.integration.cluster.fake_api_answers import Json
from tests.integration.cluster.fake_api_server import FakeApiServer

# Times for tests: short enough not to be waited for, and never asserted.
QUICK = Pace(backoff=0.01, backoff_max=0.05)


def deployment(name: str = "web", ns: str = "team", **spec: Any) -> Json:
    container = {"name": "app", "image": "web:1", "ports": [{"containerPort": 8080}]}
    return {
        "metadata": {"name": name, "namespace": ns, "creationTimestamp": "2026-01-02T03:04:05Z", "generation": 1},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [container]}}, **spec},
        "status": {"observedGeneration": 1, "updatedReplicas": 2, "readyReplicas": 2},
    }


def replica_set(owner: Json, name: str = "web-1") -> Json:
    return {"metadata": {"name": name, "namespace": owner["metadata"]["namespace"], **_owned("Deployment", owner)}}


def pod(owner: Json, name: str = "web-1-a", ready: bool = True, labels: dict[str, str] | None = None) -> Json:
    return {
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": labels or {},
            "creationTimestamp": "2026-01-02T03:04:05Z",
            **_owned(owner.get("kind", "ReplicaSet"), owner),
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "hostIP": "192.0.2.1",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [
                {
                    "name": "app",
                    "ready": ready,
                    "restartCount": 1,
                    "state": {"running": {"startedAt": "2026-01-02T03:05:00Z"}},
                }
            ],
        },
    }


def _owned(kind: str, owner: Json) -> Json:
    return {"ownerReferences": [{"kind": kind, "controller": True, "uid": owner["metadata"]["uid"], "name": "x"}]}


def service(api: FakeApiServer, name: str = "web", ns: str = "team", pods: int = 1) -> tuple[Json, Json, list[Json]]:
    """A Deployment with its ReplicaSet and pods, stored in the server."""
    owner = api.put("deployments", deployment(name, ns))
    group = api.put("replicasets", replica_set(owner, f"{name}-1"))
    return owner, group, [api.put("pods", pod(group, f"{name}-1-{i}")) for i in range(pods)]


def kubeconfig(directory: Path, server: str, token: str = "") -> Path:
    """A kubeconfig whose token, if any, is in the file `token` in the same directory."""
    (directory / "token").write_text(token + "\n")
    user = {"tokenFile": str(directory / "token")} if token else {}
    path = directory / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    return path


@asynccontextmanager
async def session_to(api: FakeApiServer, directory: Path, timeout: float = 10.0) -> AsyncIterator[Session]:  # noqa: ASYNC109
    path = kubeconfig(directory, api.url, api.token or "")
    async with Session(Kubeconfig(str(path)), timeout=timeout) as session:
        yield session


@asynccontextmanager
async def cluster_of(
    api: FakeApiServer,
    directory: Path,
    namespaces: list[str] | None = None,
    pace: Pace = QUICK,
    kinds: Set[WorkloadKind] = frozenset(),
) -> AsyncIterator[ApiCluster]:
    """A cluster's view that follows the server; not yet synced."""
    async with session_to(api, directory) as session:
        cluster = ApiCluster(session, namespaces, pace, kinds=kinds)
        await cluster.start()
        try:
            yield cluster
        finally:
            await cluster.stop()


async def eventually(holds: Callable[[], bool], within: float = 20.0) -> None:
    """Wait for a condition; fails when it does not come true. Generous, since the machine may be busy."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "it did not become true"
        await asyncio.sleep(0.01)
