"""A cluster with a ClusterReliabilityPolicy and the namespaces that it holds in: one pod of each Deployment is out of
descriptors, and the engine is the real one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from leakwarden.api.names import ENFORCE_ALLOWED, ENFORCE_LABEL
from leakwarden.api.v1alpha1.status import PolicyStatus
from leakwarden.core.model.cluster_policy import ClusterPolicy
from leakwarden.core.model.namespace import Namespace
from leakwarden.core.model.policy import Policy, format_time
from leakwarden.core.model.readings import Sampled, SeriesKey
from leakwarden.core.model.workload import Pod, Workload
from leakwarden.engine.auditor import Auditor
from leakwarden.engine.policy_store import PolicyStore
from leakwarden.engine.reader import Reader
from leakwarden.engine.tick import Engine
from tests.builders import NOW, body, enforcing, pod, points, snapshot, workload
from tests.unit.engine.engine_world import EVERYTHING, FakeCluster, FakeMetrics, FakeRecorder

ALLOWED = {ENFORCE_LABEL: ENFORCE_ALLOWED}
EVERYWHERE = {"all": True}


def cluster_body(name: str = "golden", **changes: Any) -> dict[str, Any]:
    """A ClusterReliabilityPolicy as the API server would hold it, in mode Enforce and in every namespace."""
    spec = {
        "namespaces": EVERYWHERE,
        "selector": {"matchLabels": {"team": "shop"}},
        **enforcing(),
        **changes.pop("spec", {}),
    }
    metadata = {
        "name": name,
        "uid": f"uid-cluster-{name}",
        "resourceVersion": "7",
        "generation": 1,
        "creationTimestamp": format_time(NOW - 86_400),
        **changes.pop("metadata", {}),
    }
    return {"metadata": metadata, "spec": spec, **changes}


def namespace(name: str, labels: Mapping[str, str] = {}, **changes: Any) -> Namespace:
    return replace(Namespace(name, f"uid-namespace-{name}", dict(labels), NOW - 864_000), **changes)


def deployment(home: str, name: str = "api", **changes: Any) -> tuple[Workload, list[Pod]]:
    """A Deployment of three pods; the UIDs differ from those of another namespace, the names do not."""
    uid = f"uid-{home}-{name}"
    made = workload(name, namespace=home, uid=uid, **changes)
    pods = [pod(f"{name}-{n}", name, namespace=home, uid=f"uid-{home}-{name}-{n}", workload_uid=uid) for n in (1, 2, 3)]
    return made, pods


class ClusterWorld:
    """`namespaces`: their labels by name. Each has the Deployment `api`."""

    def __init__(self, namespaces: Mapping[str, Mapping[str, str]], *bodies: dict[str, Any]) -> None:
        self.now = NOW
        self.homes = {name: namespace(name, labels) for name, labels in namespaces.items()}
        self.deployments = [deployment(name) for name in namespaces]
        self.cluster = FakeCluster(snapshot([], []))
        self.metrics = FakeMetrics(Sampled({}, {}))
        self.recorder = FakeRecorder()
        self.bodies = list(bodies) or [cluster_body()]
        self.own: list[dict[str, Any]] = []
        self.policies = PolicyStore()
        self.show()
        self.restart()

    def show(self) -> None:
        """The cluster as the watch shows it: all Deployments, and the first pod of each nearly out of descriptors."""
        pods = [each for _, members in self.deployments for each in members]
        self.cluster.world = snapshot([made for made, _ in self.deployments], pods)
        series, limits = {}, {}
        for each in pods:
            key = SeriesKey(each.namespace, each.name, "app")
            series[key] = points([950 if each.name.endswith("-1") else 50] * 5, until=self.now)
            limits[key] = 1000.0
        self.metrics.answer = Sampled(series, limits)

    def restart(self) -> None:
        """A new process: what it knows comes from the API server."""
        statuses = {each.uid: each.status for each in self.policies.clusters.known()}
        self.policies = PolicyStore(per_namespace=5)
        for each in self.bodies:
            held = statuses.get(each["metadata"]["uid"])
            told = held.model_dump(mode="json", by_alias=True, exclude_none=True) if held is not None else {}
            self.policies.clusters.put({**each, "status": told})
        for home in self.homes.values():
            self.label(home.name, home.labels)
        for each in self.own:
            self.policies.put(each)
        self.engine = Engine(
            self.policies, self.cluster, Reader({"main": self.metrics}, self.metrics, 30.0), auditor=Auditor(None),
            recorder=self.recorder, permitted=EVERYTHING, clock=lambda: self.now,
        )  # fmt: skip

    def label(self, name: str, labels: Mapping[str, str], *, seen: bool = True) -> None:
        """The labels of a namespace from now on; `seen`: by the operator's watch as well."""
        self.homes[name] = replace(self.homes[name], labels=dict(labels))
        assert isinstance(self.cluster.namespaces, dict)
        self.cluster.namespaces[name] = self.homes[name]
        if seen:
            self.policies.clusters.put_namespace(self.homes[name])

    def own_policy(self, home: str, name: str = "own", **changes: Any) -> None:
        """A policy of the namespace itself, younger than the cluster's."""
        metadata = {"namespace": home, "uid": f"uid-policy-{home}-{name}", **changes.pop("metadata", {})}
        self.own.append(body(name, metadata=metadata, **changes))
        self.policies.put(self.own[-1])

    async def later(self, seconds: float = 60.0) -> None:
        self.now += seconds
        self.cluster.now = self.now
        self.show()
        await self.engine.tick()

    def evicted(self) -> list[str]:
        return [uid for kind, uid in self.cluster.done if kind == "evict"]

    def changed(self) -> Iterable[tuple[str, str]]:
        return [entry for entry in self.cluster.done if entry[0] in ("evict", "restart", "scale", "look")]

    def policy(self, home: str, name: str = "golden") -> Policy:
        (found,) = [p for p in self.policies.all() if p.namespace == home and p.name == name and p.origin is not None]
        return found

    def status(self, home: str) -> PolicyStatus:
        return self.policy(home).status

    def shown(self, name: str = "golden") -> ClusterPolicy:
        (found,) = [each for each in self.policies.clusters.known() if each.name == name]
        return found

    def condition(self, kind: str, name: str = "golden") -> tuple[str, str, str]:
        (found,) = [each for each in self.shown(name).status.conditions if each.type == kind]
        return found.status, found.reason, found.message
