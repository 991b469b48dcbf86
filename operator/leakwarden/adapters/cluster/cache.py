"""Joins Deployments, their ReplicaSets and their pods by owner UID into one snapshot.

Incremental: an event marks one Deployment, and a snapshot copies two dictionaries of references and rebuilds only
marked entries. A snapshot that was handed out never changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

from leakwarden.adapters.cluster import facts, wire
from leakwarden.core.model.workload import Pod, Workload


class Cache:
    """Single-threaded: reflectors write and the engine reads on one event loop, with no await in between."""

    def __init__(self) -> None:
        self._workloads: dict[str, Workload] = {}
        self._deployment_of: dict[str, str] = {}  # ReplicaSet UID -> Deployment UID
        self._sets_of: dict[str, set[str]] = defaultdict(set)  # Deployment UID -> ReplicaSet UIDs
        self._pods: dict[str, Pod] = {}
        self._set_of: dict[str, str] = {}  # pod UID -> ReplicaSet UID
        self._pods_of: dict[str, set[str]] = defaultdict(set)  # ReplicaSet UID -> pod UIDs
        self._dirty: set[str] = set()  # Deployment UIDs
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
                    pods[uid] = self._pods_for(uid)
            self._dirty.clear()
            self._shown_workloads, self._shown_pods = workloads, pods
        return self._shown_workloads, self._shown_pods

    def _pods_for(self, deployment: str) -> tuple[Pod, ...]:
        found = [self._pods[pod] for owner in self._sets_of.get(deployment, ()) for pod in self._pods_of.get(owner, ())]
        found.sort(key=lambda pod: (pod.created, pod.name))
        return tuple(found)

    def put_workload(self, uid: str, item: wire.ApiDeployment) -> bool:
        self._workloads[uid] = facts.workload(item)
        self._dirty.add(uid)
        return True

    def drop_workload(self, uid: str) -> None:
        if self._workloads.pop(uid, None) is not None:
            self._dirty.add(uid)

    def put_set(self, uid: str, item: wire.ApiReplicaSet) -> bool:
        deployment = facts.owning_deployment(item)
        before = self._deployment_of.get(uid)
        if deployment != before:
            if before is not None:
                self._unlink(uid, before)
            if deployment is not None:
                self._deployment_of[uid] = deployment
                self._sets_of[deployment].add(uid)
            self._reown(uid, deployment)
        return deployment is not None

    def drop_set(self, uid: str) -> None:
        deployment = self._deployment_of.get(uid)
        if deployment is not None:
            self._unlink(uid, deployment)
            self._reown(uid, None)

    def _unlink(self, uid: str, deployment: str) -> None:
        self._deployment_of.pop(uid, None)
        siblings = self._sets_of.get(deployment)
        if siblings is not None:
            siblings.discard(uid)
            if not siblings:
                del self._sets_of[deployment]
        self._dirty.add(deployment)

    def _reown(self, replica_set: str, deployment: str | None) -> None:
        """Events of pods may come before those of their ReplicaSet, and pods may outlast it."""
        for pod in self._pods_of.get(replica_set, ()):
            self._pods[pod] = replace(self._pods[pod], workload_uid=deployment)
        if deployment is not None:
            self._dirty.add(deployment)

    def put_pod(self, uid: str, item: wire.ApiPod) -> bool:
        owner = facts.owning_replica_set(item)
        if owner is None:
            return False
        before = self._set_of.get(uid)
        if before is not None and before != owner:
            self.drop_pod(uid)
        deployment = self._deployment_of.get(owner)
        pod = facts.pod(item, deployment)
        if self._pods.get(uid) == pod:
            return True
        self._pods[uid] = pod
        self._set_of[uid] = owner
        self._pods_of[owner].add(uid)
        if deployment is not None:
            self._dirty.add(deployment)
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
        deployment = self._deployment_of.get(owner)
        if deployment is not None:
            self._dirty.add(deployment)


class WorkloadSink:
    def __init__(self, cache: Cache) -> None:
        self.put = cache.put_workload
        self.drop = cache.drop_workload

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
    """Which autoscaler scales which Deployment: `held` maps its namespace and name to a description in words. `about`
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
