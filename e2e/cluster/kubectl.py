"""kubectl and helm for clusters that are not the local node: the caller's own, or ours built from source."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster import binaries
from e2e.cluster.commands import Result, Runner
from e2e.cluster.paths import cache_directory
from e2e.cluster.provider import ComponentStatus

TOOLS = ("kubectl", "helm")


def missing_tools() -> list[str]:
    """Which of kubectl and helm the caller's PATH lacks."""
    return [name for name in TOOLS if shutil.which(name) is None]


def provide_tools() -> Path | None:
    """Build the tools that PATH lacks; the directory that holds them, or None when nothing is missing.

    Raises ClusterError when one cannot be built.
    """
    missing = missing_tools()
    if not missing:
        return None
    binaries.build(tuple(missing))
    directory = cache_directory() / "tools"
    directory.mkdir(parents=True, exist_ok=True)
    for name in missing:
        link = directory / name
        link.unlink(missing_ok=True)
        link.symlink_to(binaries.program(name))
    return directory


class Kubectl:
    """kubectl against one kubeconfig; an empty one means kubectl's own default."""

    def __init__(self, runner: Runner, kubeconfig: str) -> None:
        self._runner = runner
        self._kubeconfig = kubeconfig

    def run(self, arguments: Sequence[str], *, timeout: float = 30) -> Result:
        """Run it to its end, for at most ``timeout`` seconds; never raises for a failure."""
        environment = {"KUBECONFIG": self._kubeconfig} if self._kubeconfig else None
        program = shutil.which("kubectl") or str(cache_directory() / "tools" / "kubectl")
        return self._runner.run([program, *arguments], timeout=timeout, environment=environment)

    def api_problem(self) -> str:
        """Empty when the API server reports that it is ready, else its answer."""
        asked = self.run(["get", "--raw", "/readyz", "--request-timeout=10s"])
        return "" if asked.succeeded else asked.last_words(1)

    def node_statuses(self) -> list[ComponentStatus]:
        """One line per node, with the reason why it is not Ready."""
        listed = self.run(["get", "nodes", "-o", "json", "--request-timeout=10s"])
        if not listed.succeeded:
            return [ComponentStatus("nodes", None, listed.last_words(1))]
        try:
            nodes = json.loads(listed.output)["items"]
        except (ValueError, KeyError):
            return [ComponentStatus("nodes", None, "kubectl gave no list")]
        if not nodes:
            return [ComponentStatus("nodes", None, "there is none")]
        return [ComponentStatus(f"node {node['metadata']['name']}", None, _node_problem(node)) for node in nodes]


def _node_problem(node: dict[str, dict[str, list[dict[str, str]]]]) -> str:
    for condition in node.get("status", {}).get("conditions", []):
        if condition.get("type") == "Ready":
            return "" if condition.get("status") == "True" else condition.get("message") or "not Ready"
    return "has not said whether it is Ready"


def callers_kubeconfig() -> str:
    """KUBECONFIG as the caller set it, or empty."""
    return os.environ.get("KUBECONFIG", "")
