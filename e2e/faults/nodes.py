"""Simulated nodes, and simulated pods on them: kwok in the place of their kubelets."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.cluster import binaries
from e2e.faults.api import Api
from e2e.faults.exporter import LABEL, SIMULATED
from e2e.harness.kube import Object, apply, kubectl
from e2e.harness.waiting import NotYet, wait_until

_STAGES = Path(__file__).with_name("stages.yaml")
STEADY = "simulated-steady"
FRAIL = "simulated-frail"


class Nodes:
    """Two nodes: STEADY, where pods run by default, and FRAIL, which a scenario may silence. Each has a kwok of its own
    as its kubelet. Only pods that select these nodes run here, and no other node is touched."""

    def __init__(self, api: Api, directory: Path) -> None:
        binaries.build(("kwok",))
        self._api = api
        self._directory = directory
        self._kubeconfig = directory / "kwok.kubeconfig"
        self._kubeconfig.write_text(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        self._kubeconfig.chmod(0o600)
        self._kubelets: dict[str, subprocess.Popen[bytes]] = {}
        apply([_node(name) for name in (STEADY, FRAIL)])
        for name in (STEADY, FRAIL):
            self._start(name)
        for name in (STEADY, FRAIL):
            self._wait(name, "True", 60)

    def close(self) -> None:
        for name, kubelet in self._kubelets.items():
            kubectl("delete", "node", name, "--ignore-not-found", "--wait=false")
            kubelet.terminate()
            kubelet.wait(20)

    def fall_silent(self, name: str) -> None:
        """Its kubelet ends; returns when the control plane has marked the node as lost, which takes a minute."""
        kubelet = self._kubelets.pop(name)
        kubelet.terminate()
        kubelet.wait(20)
        self._wait(name, "Unknown", 120)

    def recover(self, name: str) -> None:
        if name not in self._kubelets:
            self._start(name)
        self._wait(name, "True", 60)

    def _start(self, name: str) -> None:
        # A kwok waits until the Lease of an earlier one has run out.
        kubectl("delete", "lease", name, "-n", "kube-node-lease", "--ignore-not-found")
        with (self._directory / f"kwok-{name}.log").open("ab") as log:
            self._kubelets[name] = subprocess.Popen(
                [
                    str(binaries.program("kwok")),
                    f"--kubeconfig={self._kubeconfig}",
                    f"--config={_STAGES}",
                    f"--manage-single-node={name}",
                    # Else there is no heartbeat, and the control plane marks the node as lost after some time.
                    "--node-lease-duration-seconds=40",
                ],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _wait(self, name: str, ready: str, timeout: float) -> None:
        """Until the node's condition Ready is `ready`."""

        def look() -> bool | NotYet:
            kubelet = self._kubelets.get(name)
            if kubelet is not None and kubelet.poll() is not None:
                log = (self._directory / f"kwok-{name}.log").read_text(errors="replace")
                raise AssertionError(f"kwok ended: {log[-800:]}")
            found = condition(self._api.get(f"api/v1/nodes/{name}"), "Ready")
            return True if found.get("status") == ready else NotYet(str(found))

        wait_until(f"{name} to be Ready={ready}", look, timeout, interval=0.3)


def condition(found: Object | None, kind: str) -> Object:
    """The condition of an object's status; empty where it has none."""
    conditions = ((found or {}).get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def _node(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {LABEL: SIMULATED, "kubernetes.io/hostname": name},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"taints": [{"key": LABEL, "value": SIMULATED, "effect": "NoSchedule"}]},
    }


def deployment(
    name: str, namespace: str, replicas: int, *, node: str = STEADY, labels: Mapping[str, str] | None = None
) -> Object:
    """A Deployment whose pods run on a simulated node; on any of them where `node` is empty."""
    shown = {"app": name, LABEL: SIMULATED, **(labels or {})}
    where = {LABEL: SIMULATED, **({"kubernetes.io/hostname": node} if node else {})}
    container: dict[str, Any] = {"name": "app", "image": "localhost/simulated:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": shown},
                "spec": {
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 1,
                    "nodeSelector": where,
                    "tolerations": [{"key": LABEL, "operator": "Exists"}],
                    "containers": [container],
                },
            },
        },
    }
