"""Simulated nodes, and pods that run on them without being there: kwok in the place of their kubelets."""

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
LEFT_ALONE = "leakwarden.dev/e2e-left-alone"


class Nodes:
    """Two of them: STEADY, where pods run that say nothing else, and FRAIL, which a scenario may let fall silent. Only
    pods that ask for them come here, and no other node is touched."""

    def __init__(self, api: Api, directory: Path) -> None:
        binaries.build(("kwok",))
        self._api = api
        self.names = [STEADY, FRAIL]
        kubeconfig = directory / "kwok.kubeconfig"
        kubeconfig.write_text(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        kubeconfig.chmod(0o600)
        self.log = directory / "kwok.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(binaries.program("kwok")),
                    f"--kubeconfig={kubeconfig}",
                    f"--config={_STAGES}",
                    f"--manage-nodes-with-label-selector={LABEL}={SIMULATED}",
                    # Else they are not heard of, and the control plane takes them for lost after some time.
                    "--node-lease-duration-seconds=40",
                ],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        apply([_node(name) for name in self.names])
        for name in self.names:
            self.wait(name, "True")

    def close(self) -> None:
        for name in self.names:
            kubectl("delete", "node", name, "--ignore-not-found", "--wait=false")
        self._process.terminate()
        self._process.wait(20)

    def wait(self, name: str, ready: str) -> None:
        """Until the node's condition Ready is `ready`."""

        def look() -> bool | NotYet:
            if self._process.poll() is not None:
                raise AssertionError(f"kwok ended: {self.log.read_text()[-800:]}")
            found = condition(self._api.get(f"api/v1/nodes/{name}"), "Ready")
            return True if found.get("status") == ready else NotYet(str(found))

        wait_until(f"{name} to be Ready={ready}", look, 60, interval=0.3)

    def fall_silent(self, name: str) -> None:
        """As the control plane says of a node whose kubelet has not been heard for too long: Ready is Unknown."""
        self._api.merge(f"api/v1/nodes/{name}", {"metadata": {"annotations": {LEFT_ALONE: "true"}}})
        self._say(name, "Unknown")

    def recover(self, name: str) -> None:
        self._say(name, "True")
        self._api.merge(f"api/v1/nodes/{name}", {"metadata": {"annotations": {LEFT_ALONE: None}}})

    def _say(self, name: str, ready: str) -> None:
        change = {"status": {"conditions": [{"type": "Ready", "status": ready, "reason": "Simulated", "message": ""}]}}
        self._api.send("PATCH", f"api/v1/nodes/{name}/status", change, "application/strategic-merge-patch+json")
        self.wait(name, ready)


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
