"""The bench's real API server: etcd, the controllers, and kwok's nodes and pods; Prometheus stays played."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster.progress import step
from e2e.cluster.simulated import SimulatedCluster
from e2e.faults.background import Background
from leakwarden.adapters.cluster import Session
from tests.bench.scale import world
from tests.bench.scale.measured import Counts, Surroundings, ask, process_of
from tests.bench.scale.played import is_judged, play_prometheus
from tests.bench.scale.population import nodes_for, pods_of, populate, send

LARGEST = 20_000  # pods; etcd, API server, controllers and kwok share two cores with the operator
_POPULATED_WITHIN = 3600.0  # s
_POLICIES = "apis/leakwarden.dev/v1alpha1/reliabilitypolicies"


@contextmanager
def simulated(pods: int, directory: Path) -> Iterator[Surroundings]:
    """A control plane for so many pods, all of them ready. It is gone afterwards, whatever happened."""
    with SimulatedCluster(directory / "cluster", nodes=nodes_for(pods)) as cluster:
        background = Background()
        try:
            session = background.run(Session.open(str(cluster.kubeconfig)))
            try:
                with step(f"{pods:,} pods"):
                    background.run(populate(session, pods, cluster.nodes, world.policies(pods)), _POPULATED_WITHIN)
                found = background.run(pods_of(session))
                names = [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in found]
                with process_of(play_prometheus, names) as pipe:
                    prometheus = pipe.recv()

                    def counts() -> Counts:
                        cluster.check()
                        policies = background.run(send(session, "GET", _POLICIES))["items"]
                        return {**ask(pipe), "judged": sum(map(is_judged, policies))}

                    yield Surroundings(cluster.kubeconfig, prometheus, counts)
            finally:
                background.run(session.close())
        finally:
            background.close()
