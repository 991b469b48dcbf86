"""The control plane with simulated nodes: the operator judges on it, its API server can be killed, and nothing stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.cluster.processes import Identity
from e2e.cluster.simulated import SimulatedCluster
from e2e.faults.background import Background
from leakwarden.adapters.cluster import Session
from tests.bench.scale.measured import measure
from tests.bench.scale.population import nodes_for, pods_of, populate
from tests.bench.scale.simulated import simulated

pytestmark = pytest.mark.long
PODS = 100


def test_the_operator_judges_every_pod_of_it() -> None:
    found = measure(PODS, ticks=1, interval=2.0, port=18095, servers=simulated)
    assert found.first_verdict > 0
    assert found.queries


def test_a_killed_api_server_comes_back_with_all_it_had_and_nothing_stays_in_the_end(tmp_path: Path) -> None:
    background = Background()
    try:
        with SimulatedCluster(tmp_path, nodes=nodes_for(PODS)) as cluster:
            session = background.run(Session.open(str(cluster.kubeconfig)))
            background.run(populate(session, PODS, cluster.nodes, ()), 300)
            before = {each["metadata"]["uid"] for each in background.run(pods_of(session))}
            cluster.kill_api_server()
            cluster.start_api_server()
            after = {each["metadata"]["uid"] for each in background.run(pods_of(session))}
            background.run(session.close())
            programs = ("etcd", "kube-apiserver", "kube-controller-manager", "kwok")
            processes = [Identity.of(cluster.pid(name)) for name in programs]
        assert len(before) == PODS
        assert after == before
        assert all(each is not None and not each.is_running() for each in processes)
        assert not cluster.kubeconfig.exists()
    finally:
        background.close()
