"""The controller of Argo Rollouts as a process on loopback, and its CRDs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import binaries
from e2e.cluster.commands import Programs
from e2e.cluster.toolchain import find_go
from e2e.faults.served import Served, free_port
from e2e.harness.kube import apply, delete, kubectl, provider

GROUP = "rollouts"
_MODULE = "github.com/argoproj/argo-rollouts"


class RolloutsController(Served):
    """For the Rollouts of one namespace; it acts with the rights of the user who runs the tests."""

    ready_path = "/healthz"

    def __init__(self, namespace: str, directory: Path) -> None:
        binaries.build((GROUP,))
        super().__init__("the controller of Argo Rollouts", directory)
        self._namespace = namespace
        self.start()

    def command(self) -> Sequence[str]:
        kubeconfig = provider().environment().kubeconfig
        return [
            str(binaries.program("rollouts-controller")),
            *([f"--kubeconfig={kubeconfig}"] if kubeconfig else []),
            f"--namespace={self._namespace}",
            "--namespaced",
            f"--healthzPort={self.address.rpartition(':')[2]}",
            f"--metricsPort={free_port()}",
            "--leader-elect=false",
        ]


def definitions() -> list[dict[str, Any]]:
    """The CRDs from the controller's module."""
    command = [find_go(Programs()), "list", "-m", "-mod=mod", "-f", "{{.Dir}}", _MODULE]
    module = binaries.group(GROUP).module
    where = subprocess.run(command, cwd=module, capture_output=True, text=True, check=True, timeout=300).stdout.strip()
    files = sorted(Path(where).glob("manifests/crds/*-crd.yaml"))
    return [yaml.safe_load(file.read_text()) for file in files]


@contextmanager
def installed() -> Iterator[None]:
    """The definitions, as long as they are needed."""
    made = definitions()
    # A server-side apply: the CRD is longer than the annotation that a client-side one writes may be.
    apply(made)
    try:
        for each in made:
            kubectl("wait", "--for=condition=Established", f"crd/{each['metadata']['name']}")
        yield
    finally:
        for each in made:
            delete("crd", each["metadata"]["name"])
