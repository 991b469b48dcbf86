"""A cluster of any size, as its API server and its Prometheus would show it.

A namespace has a hundred pods in twenty Deployments and one policy with six signals. One pod in a thousand leaks
descriptors, so that a large cluster has something to report and most pods are healthy.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Json = dict[str, Any]

PODS_OF_A_NAMESPACE = 100
PODS_OF_A_WORKLOAD = 5
LEAKING_EVERY = 1000  # pods
MIB = float(1 << 20)
SIGNALS = ("Descriptors", "Sockets", "Goroutines", "Heap", "DBPool", "WorkingSet")
LIMIT = 1024.0
SHAPES = 61  # different series of readings; a prime, so that the pods of a Deployment differ
MADE = "2026-01-02T03:04:05Z"


@dataclass(frozen=True, slots=True)
class Place:
    """A pod by its number: its namespace and its owners."""

    number: int

    @property
    def namespace(self) -> str:
        return f"team-{self.number // PODS_OF_A_NAMESPACE}"

    @property
    def workload(self) -> str:
        return f"api-{self.number // PODS_OF_A_WORKLOAD}"

    @property
    def name(self) -> str:
        return f"{self.workload}-7d4b9c-{self.number}"


def names(pods: int) -> list[tuple[str, str]]:
    """Namespace and name of every pod of the played cluster."""
    return [(place.namespace, place.name) for place in map(Place, range(pods))]


def policies(pods: int) -> Iterator[Json]:
    signals = [
        {"name": kind.lower(), "type": kind, "threshold": {"above": f"{LIMIT * 0.9:g}", "for": "5m"}}
        for kind in SIGNALS
    ]
    for first in range(0, pods, PODS_OF_A_NAMESPACE):
        yield {
            "apiVersion": "leakwarden.dev/v1alpha1",
            "kind": "ReliabilityPolicy",
            "metadata": {
                "name": "everything",
                "namespace": Place(first).namespace,
                "generation": 1,
                "creationTimestamp": MADE,
            },
            "spec": {
                "selector": {"matchLabels": {"team": "ours"}},
                "mode": "Observe",
                "signals": signals,
                "audit": {"callEndpoints": False},
                "evidence": {"enabled": False},
            },
        }


def _meta(kind: str, name: str, namespace: str, owner: tuple[str, str] | None) -> Json:
    meta: Json = {
        "name": name,
        "namespace": namespace,
        "uid": f"{kind}-{namespace}-{name}",
        "resourceVersion": "90",
        "generation": 1,
        "creationTimestamp": MADE,
        "labels": {"team": "ours", "app": name},
    }
    if owner is not None:
        above, uid = owner
        meta["ownerReferences"] = [{"kind": above, "controller": True, "uid": uid, "name": "x"}]
    return meta


def deployments(pods: int) -> Iterator[Json]:
    return deployments_of(Place(first) for first in range(0, pods, PODS_OF_A_WORKLOAD))


def deployments_of(places: Iterable[Place]) -> Iterator[Json]:
    for place in places:
        probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
        container = {
            "name": "app",
            "image": "registry.example/app:1.2.3",
            "ports": [{"containerPort": 8080, "name": "http"}],
            "livenessProbe": probe,
            "readinessProbe": {**probe, "httpGet": {"path": "/readyz", "port": 8080}},
            "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
            "env": [{"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(6)],
        }
        yield {
            "metadata": _meta("deployment", place.workload, place.namespace, None),
            "spec": {
                "replicas": PODS_OF_A_WORKLOAD,
                "template": {
                    "metadata": {"labels": {"team": "ours", "app": place.workload}},
                    "spec": {"containers": [container]},
                },
            },
            "status": {
                "observedGeneration": 1,
                "updatedReplicas": PODS_OF_A_WORKLOAD,
                "readyReplicas": PODS_OF_A_WORKLOAD,
            },
        }


def replica_sets(pods: int) -> Iterator[Json]:
    for first in range(0, pods, PODS_OF_A_WORKLOAD):
        place = Place(first)
        above = ("Deployment", f"deployment-{place.namespace}-{place.workload}")
        yield {"metadata": _meta("set", f"{place.workload}-7d4b9c", place.namespace, above)}


def pods_of(pods: int) -> Iterator[Json]:
    for number in range(pods):
        place = Place(number)
        above = ("ReplicaSet", f"set-{place.namespace}-{place.workload}-7d4b9c")
        yield {
            "metadata": _meta("pod", place.name, place.namespace, above),
            "spec": {"nodeName": f"node-{number // 30}"},
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.7",
                "hostIP": "192.0.2.1",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [
                    {"name": "app", "ready": True, "restartCount": 0, "state": {"running": {"startedAt": MADE}}}
                ],
            },
        }


_NAMED = re.compile(r'namespace(=~?)"([^"]*)"')
_KEPT = 2  # answers that are kept: the queries of a tick ask for the same moments


class Readings:
    """The answers of a Prometheus, each written in one pass and once for all queries that ask for the same: labels are
    made once, pods share series of readings. Of a selector, the namespaces that it names are read."""

    def __init__(self, pods: Sequence[tuple[str, str]], began: float) -> None:
        """`pods`: namespace and name of each. `began`: epoch s."""
        self._began = began
        self._heads = [
            b'{"metric":%s,' % json.dumps({"namespace": namespace, "pod": name, "container": "app"}).encode()
            for namespace, name in pods
        ]
        shapes = [n % SHAPES for n in range(len(pods))]
        for leaking in range(7, len(pods), LEAKING_EVERY):
            shapes[leaking] = SHAPES
        self._shapes = shapes
        self._of_namespace: dict[str, list[int]] = {}
        for number, (namespace, _) in enumerate(pods):
            self._of_namespace.setdefault(namespace, []).append(number)
        self._bodies: dict[tuple[str, ...], bytes] = {}
        self._writing = threading.Lock()
        rng = np.random.default_rng(1)
        self._base = np.append(rng.uniform(100, 400, SHAPES), 400.0)
        self._phase = rng.integers(0, 1000, SHAPES + 1)
        self._noise = rng.normal(size=1000) * 8

    def _values(self, shape: int, t: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        noise = self._noise[((t // 15).astype(np.int64) + self._phase[shape]) % 1000]
        climb = 0.05 * np.maximum(t - self._began + 7200, 0) if shape == SHAPES else 0.0
        return np.asarray(np.maximum(self._base[shape] + climb + noise, 1.0))

    def matrix(self, asked: Mapping[str, str]) -> bytes:
        def tails() -> list[bytes]:
            t = np.arange(float(asked["start"]), float(asked["end"]) + 1, float(asked["step"]))
            found = []
            for shape in range(SHAPES + 1):
                points = ",".join(f'[{a:.0f},"{b:.0f}"]' for a, b in zip(t, self._values(shape, t), strict=True))
                found.append(f'"values":[{points}]}}'.encode())
            return found

        return self._body(b"matrix", asked, tails, (asked["start"], asked["end"], asked["step"]))

    def vector(self, asked: Mapping[str, str], value: float = LIMIT) -> bytes:
        def tails() -> list[bytes]:
            return [f'"value":[{float(asked["time"]):.0f},"{value:.0f}"]}}'.encode()] * (SHAPES + 1)

        return self._body(b"vector", asked, tails, (asked["time"], f"{value}"))

    def _body(
        self, kind: bytes, asked: Mapping[str, str], tails: Callable[[], list[bytes]], at: tuple[str, ...]
    ) -> bytes:
        named = next((each[2] for each in _NAMED.finditer(asked.get("query", ""))), "")
        at = (named, *at)
        with self._writing:
            if at not in self._bodies:
                while len(self._bodies) >= _KEPT:
                    del self._bodies[next(iter(self._bodies))]
                self._bodies[at] = self._written(kind, tails(), named)
            return self._bodies[at]

    def _written(self, kind: bytes, tails: list[bytes], named: str) -> bytes:
        heads, shapes = self._heads, self._shapes
        if named:
            places = [place for each in named.split("|") for place in self._of_namespace.get(each, ())]
            heads, shapes = [heads[place] for place in places], [shapes[place] for place in places]
        rows = b",".join([head + tails[shape] for head, shape in zip(heads, shapes, strict=True)])
        return b'{"status":"success","data":{"resultType":"%s","result":[%s]}}' % (kind, rows)
