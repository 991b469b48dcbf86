"""Joins workloads, their ReplicaSets and their pods by owner UID into one snapshot.

A StatefulSet and a DaemonSet control their pods themselves: each stands here for its own ReplicaSet.

Incremental: an event marks one workload, and a snapshot copies two dictionaries of references and rebuilds only
marked entries. A snapshot that was handed out never changes.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import Generic, TypeVar

from leakwarden.adapters.cluster import facts, wire
from leakwarden.core.model.workload import Pod, Workload

T = TypeVar("T")


class Cache:
    """Single-threaded: reflectors write and the engine reads on one event loop, with no await in between."""

    def __init__(self, direct: Set[str] = frozenset()) -> None:
        """`direct`: the kinds that are followed and control their pods without a ReplicaSet."""
        self._controllers = frozenset({"ReplicaSet", *direct})
        self._workloads: dict[str, Workload] = {}
        self._workload_of: dict[str, str] = {}  # ReplicaSet UID -> workload UID; that of a StatefulSet is its own
        self._sets_of: dict[str, set[str]] = defaultdict(set)  # workload UID -> ReplicaSet UIDs
        self._pods: dict[str, Pod] = {}
        self._set_of: dict[str, str] = {}  # pod UID -> ReplicaSet UID
        self._pods_of: dict[str, set[str]] = defaultdict(set)  # ReplicaSet UID -> pod UIDs
        self._dirty: set[str] = set()  # workload UIDs
        self._shown_workloads: Mapping[str, Workload] = {}
        self._shown_pods: Mapping[str, tuple[Pod, ...]] = {}

    def view(self) -> tuple[Mapping[str, Workload], Mapping[str, tuple[Pod, ...]]]:
        """Workloads by UID, and for each of them its pods, ordered by age and name."""
        if self._dirty:
            workloads, pods = dict(self._shown_workloads), dict(self._shown_pods)
            for uid in self._dirty:
                workload = self._workloads.get(uid)
                if workload is None:
                    workloads.pop(uid, None)
                    pods.pop(uid, None)
                else:
                    workloads[uid] = workload
                    pods[uid] = self._pods_for(workload)
            self._dirty.clear()
            self._shown_workloads, self._shown_pods = workloads, pods
        return self._shown_workloads, self._shown_pods

    def _pods_for(self, workload: Workload) -> tuple[Pod, ...]:
        """A pod of another namespace does not belong to it, whatever its owner reference says: people who may make pods
        write that themselves."""
        found = [
            self._pods[pod]
            for owner in self._sets_of.get(workload.uid, ())
            for pod in self._pods_of.get(owner, ())
            if self._pods[pod].namespace == workload.namespace
        ]
        found.sort(key=lambda pod: (pod.created, pod.name))
        return tuple(found)

    def put_workload(self, uid: str, workload: Workload) -> bool:
        self._workloads[uid] = workload
        self._dirty.add(uid)
        if workload.kind in self._controllers:
            self._link(uid, uid)
        return True

    def drop_workload(self, uid: str) -> None:
        workload = self._workloads.pop(uid, None)
        if workload is None:
            return
        self._dirty.add(uid)
        if workload.kind in self._controllers:
            self._link(uid, None)

    def put_set(self, uid: str, item: wire.ApiReplicaSet) -> bool:
        workload = facts.owning_deployment(item)
        self._link(uid, workload)
        return workload is not None

    def drop_set(self, uid: str) -> None:
        self._link(uid, None)

    def _link(self, uid: str, workload: str | None) -> None:
        """The ReplicaSet of this UID belongs to the workload, or to none any more."""
        before = self._workload_of.get(uid)
        if workload == before:
            return
        if before is not None:
            self._unlink(uid, before)
        if workload is not None:
            self._workload_of[uid] = workload
            self._sets_of[workload].add(uid)
        self._reown(uid, workload)

    def _unlink(self, uid: str, workload: str) -> None:
        self._workload_of.pop(uid, None)
        siblings = self._sets_of.get(workload)
        if siblings is not None:
            siblings.discard(uid)
            if not siblings:
                del self._sets_of[workload]
        self._dirty.add(workload)

    def _reown(self, replica_set: str, workload: str | None) -> None:
        """Events of pods may come before those of their ReplicaSet, and pods may outlast it."""
        for pod in self._pods_of.get(replica_set, ()):
            self._pods[pod] = replace(self._pods[pod], workload_uid=workload)
        if workload is not None:
            self._dirty.add(workload)

    def put_pod(self, uid: str, item: wire.ApiPod) -> bool:
        owner = facts.pod_controller(item, self._controllers)
        if owner is None:
            return False
        before = self._set_of.get(uid)
        if before is not None and before != owner:
            self.drop_pod(uid)
        owner = sys.intern(owner)  # one text for all pods of a ReplicaSet
        workload = self._workload_of.get(owner)
        pod = facts.pod(item, workload)
        if self._pods.get(uid) == pod:
            return True
        self._pods[uid] = pod
        self._set_of[uid] = owner
        self._pods_of[owner].add(uid)
        if workload is not None:
            self._dirty.add(workload)
        return True

    def drop_pod(self, uid: str) -> None:
        owner = self._set_of.pop(uid, None)
        if owner is None:
            return
        del self._pods[uid]
        siblings = self._pods_of[owner]
        siblings.discard(uid)
        if not siblings:
            del self._pods_of[owner]
        workload = self._workload_of.get(owner)
        if workload is not None:
            self._dirty.add(workload)


class WorkloadSink(Generic[T]):
    """`reads` makes a workload of an object of its kind."""

    def __init__(self, cache: Cache, reads: Callable[[T], Workload]) -> None:
        self._cache, self._reads = cache, reads
        self.drop = cache.drop_workload

    def put(self, uid: str, item: T) -> bool:
        return self._cache.put_workload(uid, self._reads(item))

    def forget(self) -> None:
        """Only objects that were put are kept, so there is nothing more to drop."""


class SetSink:
    def __init__(self, cache: Cache) -> None:
        self.put = cache.put_set
        self.drop = cache.drop_set

    def forget(self) -> None:
        """Only objects that were put are kept, so there is nothing more to drop."""


class PodSink:
    def __init__(self, cache: Cache) -> None:
        self.put = cache.put_pod
        self.drop = cache.drop_pod

    def forget(self) -> None:
        """Only objects that were put are kept, so there is nothing more to drop."""


class AutoscalerSink:
    """Which autoscaler scales which workload: `held` maps its namespace and title to a description in words. `about`
    gives both for an object."""

    def __init__(self, about: Callable[[wire.ApiAutoscaler], tuple[tuple[str, str], str] | None]) -> None:
        self._about = about
        self._of: dict[str, tuple[tuple[str, str], str]] = {}  # by the autoscaler's UID

    @property
    def held(self) -> Mapping[tuple[str, str], str]:
        return dict(self._of.values())

    def put(self, uid: str, item: wire.ApiAutoscaler) -> bool:
        found = self._about(item)
        if found is None:
            return False
        self._of[uid] = found
        return True

    def drop(self, uid: str) -> None:
        self._of.pop(uid, None)

    def forget(self) -> None:
        self._of.clear()
