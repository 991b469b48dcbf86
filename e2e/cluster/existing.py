"""An existing cluster, which is left as it was found."""

from __future__ import annotations

import os
from pathlib import Path

from e2e.cluster.commands import Runner
from e2e.cluster.errors import ClusterError
from e2e.cluster.kubectl import Kubectl, callers_kubeconfig, provide_tools
from e2e.cluster.progress import say
from e2e.cluster.provider import ClusterStatus, ComponentStatus, ShellEnvironment


class ExistingCluster:
    """The Provider over the caller's KUBECONFIG; see Provider for what each method promises."""

    name = "existing"

    def __init__(self, runner: Runner) -> None:
        self._kubeconfig = callers_kubeconfig()
        self._kubectl = Kubectl(runner, self._kubeconfig)

    def up(self) -> None:
        provide_tools()
        status = self.status()
        problems = [f"{each.name}: {each.problem}" for each in status.components if each.problem]
        if problems:
            raise ClusterError(f"the cluster of {self._named()} is not usable: {'; '.join(problems)}")
        say(f"the cluster of {self._named()} is usable")

    def down(self) -> None:
        say(f"the cluster of {self._named()} was not made here and stays as it is")

    def status(self) -> ClusterStatus:
        problem = self._kubectl.api_problem()
        parts = [ComponentStatus("kube-apiserver", None, problem)]
        if not problem:
            parts += self._kubectl.node_statuses()
        return ClusterStatus(self.name, self._kubeconfig, tuple(parts))

    def environment(self) -> ShellEnvironment:
        return ShellEnvironment(self._kubeconfig, provide_tools())

    def load_images(self, archives: list[Path]) -> None:
        """Nodes of an unknown cluster get images only through a registry, for which the caller has the rights."""
        registry = os.environ.get("LEAKWARDEN_IMAGE_REGISTRY")
        names = ", ".join(archive.name for archive in archives)
        if not registry:
            raise ClusterError(
                f"images cannot be put on the nodes of an existing cluster directly ({names}); push them to a "
                "registry its nodes can pull from and set LEAKWARDEN_IMAGE_REGISTRY to it"
            )
        say(f"LEAKWARDEN_IMAGE_REGISTRY is {registry}: taking {names} as pushed there already")

    def fault(self, action: str, component: str) -> None:
        raise ClusterError(f"refusing to {action} {component} of a cluster that was not made here")

    def _named(self) -> str:
        return f"KUBECONFIG={self._kubeconfig}" if self._kubeconfig else "the default kubeconfig"
