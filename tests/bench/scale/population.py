"""The bench's Deployments as real objects: made with bounded concurrency, their pods by the real controllers and kwok.

The same shape as the played cluster (`world`): a namespace has twenty Deployments of five pods and one policy.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster.paths import REPOSITORY
from e2e.cluster.progress import say
from e2e.cluster.simulated import node_of
from leakwarden.adapters.cluster import Session
from leakwarden.adapters.cluster.session import Reply
from tests.bench.scale import world
from tests.bench.scale.world import Json, Place

AT_ONCE = 16  # requests under way
PODS_OF_A_NODE = 250
KINDS = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_TOLD_EVERY = 10.0  # s
_POLL = 1.0  # s
_KIND_LOOKS, _KIND_PAUSE = 300, 0.2  # how often it is looked whether the kinds are served, and s in between
_PODS_WITHIN = 60.0  # s without any further pod that runs, after which the bench gives up
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Refused(Exception):
    """The API server refused a request of the bench."""


def nodes_for(pods: int) -> int:
    return max(2, -(-pods // PODS_OF_A_NODE))


@asynccontextmanager
async def administrator(kubeconfig: Path) -> AsyncIterator[Session]:
    session = await Session.open(str(kubeconfig))
    try:
        yield session
    finally:
        await session.close()


async def send(session: Session, method: str, path: str, body: Json | None = None, **given: Any) -> Json:
    """The object of the answer. Raises Refused, and ClusterUnavailable where there is none."""
    told = None if body is None else json.dumps(body).encode()
    reply = await session.ask(method, f"/{path}", body=told, **given)
    return loaded(reply, f"{method} {path}")


def loaded(reply: Reply, what: str) -> Json:
    if not reply.ok:
        raise Refused(f"{what}: {reply.status} {reply.body[:300]!r}")
    found: Json = json.loads(reply.body)
    return found


async def all_of(work: Iterable[Coroutine[Any, Any, Any]], what: str) -> None:
    """Run them all, at most AT_ONCE at a time, and show how far it is."""
    waiting = list(work)
    total, done = len(waiting), 0
    queue = iter(waiting)
    loop = asyncio.get_running_loop()
    told = loop.time()

    async def one_after_the_other() -> None:
        nonlocal done, told
        for each in queue:
            await each
            done += 1
            if loop.time() - told >= _TOLD_EVERY:
                told = loop.time()
                say(f"{what}: {done:,} of {total:,}")

    workers = [asyncio.create_task(one_after_the_other()) for _ in range(AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        for left in queue:
            left.close()


async def install_kinds(session: Session) -> None:
    """The operator's kinds; returns when they are served."""
    names = []
    for path in sorted((REPOSITORY / "crds").glob("*.yaml")):
        for kind in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            names.append(kind["metadata"]["name"])
            await send(session, "POST", KINDS, kind)
    plurals = [name.partition(".")[0] for name in names]
    for _ in range(_KIND_LOOKS):
        replies = [await session.ask("GET", f"/apis/leakwarden.dev/v1alpha1/{plural}") for plural in plurals]
        if all(reply.ok for reply in replies):
            return
        await asyncio.sleep(_KIND_PAUSE)
    raise Refused(f"{', '.join(plurals)} are not served after {_KIND_LOOKS * _KIND_PAUSE:.0f} s")


def deployment(place: Place, nodes: int) -> Json:
    """The Deployment of a pod, as users would write it, with the node in its template."""
    made = next(world.deployments_of([place]))
    labels = made["metadata"]["labels"]
    template = made["spec"]["template"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": place.workload, "namespace": place.namespace, "labels": labels},
        "spec": {
            "replicas": world.PODS_OF_A_WORKLOAD,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": {"app": place.workload}},
            "template": {
                "metadata": template["metadata"],
                "spec": {
                    **template["spec"],
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 1,
                    "nodeName": node_of(place.number // world.PODS_OF_A_WORKLOAD % nodes),
                },
            },
        },
    }


def policy(made: Json) -> Json:
    """The same policy, without the fields that the API server writes."""
    meta = {name: made["metadata"][name] for name in ("name", "namespace")}
    return {**made, "metadata": meta}


async def populate(session: Session, pods: int, nodes: int, policies: Iterable[Json]) -> None:
    """Namespaces, policies and Deployments for so many pods; returns when all pods are ready."""
    places = [Place(number) for number in range(0, pods, world.PODS_OF_A_WORKLOAD)]
    namespaces = sorted({place.namespace for place in places} | {"leakwarden"})
    await install_kinds(session)
    spaces = ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in namespaces)
    await all_of((send(session, "POST", "api/v1/namespaces", each) for each in spaces), "namespaces")
    await all_of(
        (
            send(
                session,
                "POST",
                f"apis/leakwarden.dev/v1alpha1/namespaces/{each['metadata']['namespace']}/reliabilitypolicies",
                policy(each),
            )
            for each in policies
        ),
        "policies",
    )
    await all_of(
        (
            send(session, "POST", f"apis/apps/v1/namespaces/{place.namespace}/deployments", deployment(place, nodes))
            for place in places
        ),
        "Deployments",
    )
    await wait_for_pods(session, pods)


async def wait_for_pods(session: Session, pods: int, check: Callable[[], None] = lambda: None) -> None:
    """Until so many pods are ready, as their Deployments count them. Raises TimeoutError where no further one gets
    ready for a minute."""
    loop = asyncio.get_running_loop()
    seen, moved, told = -1, loop.time(), loop.time()
    while True:
        check()
        ready = await ready_pods(session)
        if ready >= pods:
            return
        now = loop.time()
        if ready != seen:
            seen, moved = ready, now
        if now - moved > _PODS_WITHIN:
            raise TimeoutError(f"{ready:,} of {pods:,} pods are ready, and no further one got ready for a minute")
        if now - told >= _TOLD_EVERY:
            told = now
            say(f"pods: {ready:,} of {pods:,} ready")
        await asyncio.sleep(max(_POLL, pods / 5000))


async def ready_pods(session: Session) -> int:
    total, more = 0, ""
    while True:
        query = {"limit": "500", **({"continue": more} if more else {})}
        found = await send(session, "GET", "apis/apps/v1/deployments", query=query)
        total += sum(int(each.get("status", {}).get("readyReplicas", 0)) for each in found["items"])
        more = found["metadata"].get("continue", "")
        if not more:
            return total


async def pods_of(session: Session) -> list[Json]:
    """The metadata of all pods."""
    found: list[Json] = []
    more = ""
    while True:
        query = {"limit": "2000", **({"continue": more} if more else {})}
        page = await send(session, "GET", "api/v1/pods", query=query, accept=_METADATA)
        found += page["items"]
        more = page["metadata"].get("continue", "")
        if not more:
            return found
