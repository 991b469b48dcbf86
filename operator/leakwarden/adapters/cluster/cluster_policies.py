"""Follows the ClusterReliabilityPolicies and the namespaces of the cluster.

By reflectors of our own, and not by kopf: the watch of a kind that the cluster does not serve, or that the account may not
read, must neither end nor delay the watch of the namespaced policies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from leakwarden.adapters.cluster import facts, wire
from leakwarden.adapters.cluster.api_cluster import STALE_AFTER
from leakwarden.adapters.cluster.reflector import Reflector
from leakwarden.adapters.cluster.resource import Pace, ReflectorStats, Resource
from leakwarden.adapters.cluster.session import Session
from leakwarden.api.names import API_VERSION, CLUSTER_POLICY_PLURAL
from leakwarden.engine.cluster_policies import ClusterPolicies

CLUSTER_POLICIES = Resource(f"apis/{API_VERSION}", CLUSTER_POLICY_PLURAL, wire.ApiClusterPolicy, optional=True)
NAMESPACES = Resource("api/v1", "namespaces", wire.ApiNamespace, metadata_only=True)


class _PolicySink:
    def __init__(self, policies: ClusterPolicies, wake: Callable[[], None]) -> None:
        self._policies, self._wake = policies, wake
        self._generations: dict[str, int | None] = {}

    def put(self, uid: str, item: wire.ApiClusterPolicy) -> bool:
        meta = item.metadata
        self._policies.put(
            {
                "metadata": {
                    "uid": meta.uid,
                    "name": meta.name,
                    "resourceVersion": meta.resource_version or "",
                    "generation": meta.generation,
                    "creationTimestamp": meta.creation_timestamp,
                },
                "spec": item.spec,
                "status": item.status,
            }
        )
        # Our own writes of the status come back here, too, and are no reason to tick at once.
        if self._generations.get(uid, -1) != meta.generation:
            self._generations[uid] = meta.generation
            self._wake()
        return True

    def drop(self, uid: str) -> None:
        self._generations.pop(uid, None)
        self._policies.remove(uid)

    def forget(self) -> None:
        """Only objects that were put are kept, so there is nothing more to drop."""


class _NamespaceSink:
    def __init__(self, policies: ClusterPolicies, wake: Callable[[], None]) -> None:
        self._policies, self._wake = policies, wake

    def put(self, _: str, item: wire.ApiNamespace) -> bool:
        if self._policies.put_namespace(facts.namespace(item)):
            self._wake()
        return True

    def drop(self, uid: str) -> None:
        self._policies.remove_namespace(uid)

    def forget(self) -> None:
        """Only objects that were put are kept, so there is nothing more to drop."""


class ClusterPolicyWatch:
    """Keeps `policies` current, and calls `wake` where a tick need not wait for its time. The session is the caller's."""

    def __init__(
        self, session: Session, policies: ClusterPolicies, wake: Callable[[], None], pace: Pace | None = None
    ) -> None:
        self._policies = Reflector(session, CLUSTER_POLICIES, _PolicySink(policies, wake), pace=pace)
        self._namespaces = Reflector(session, NAMESPACES, _NamespaceSink(policies, wake), pace=pace)
        self._tasks: list[asyncio.Task[None]] = []
        policies.unsure = self.unsure

    def start(self) -> None:
        if not self._tasks:
            self._tasks = [asyncio.create_task(each.run()) for each in (self._policies, self._namespaces)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def wait_synced(self, timeout: float) -> bool:  # noqa: ASYNC109 - a plain bool is easier on the caller
        """Wait until both were listed once; False when that took over `timeout` seconds."""
        waits = asyncio.gather(self._policies.synced.wait(), self._namespaces.synced.wait())
        try:
            await asyncio.wait_for(waits, timeout)
        except TimeoutError:
            return False
        return True

    def unsure(self) -> str:
        """Why the labels of namespaces are not known as they are now, in one line; empty where they are."""
        if self._namespaces.synced.is_set() and self._namespaces.age <= STALE_AFTER:
            return ""
        why = self._namespaces.stats().trouble
        return f"the labels of namespaces are not known now{f': {why}' if why else ''}"

    def stats(self) -> tuple[ReflectorStats, ...]:
        return (self._policies.stats(), self._namespaces.stats())
