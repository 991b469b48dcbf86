"""Which kind of cluster is taken: the developer's own, kind, or a local node."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from e2e.cluster.commands import Runner
from e2e.cluster.engine import container_engine, kind_kubeconfig
from e2e.cluster.errors import ClusterError
from e2e.cluster.existing import ExistingCluster
from e2e.cluster.kind import KindCluster
from e2e.cluster.local import LocalNode
from e2e.cluster.paths import StateDirectory
from e2e.cluster.provider import Provider

NAMES = ("local", "kind", "existing")


def choose(environment: Mapping[str, str], runner: Runner) -> str:
    """The provider's name.

    LEAKWARDEN_PROVIDER decides. Without it: a KUBECONFIG that someone has set means that very cluster
    ("existing"), a container engine that answers and a kind program mean "kind", all else "local".
    A KUBECONFIG that the local node's own ``env`` exported does not count as someone's choice.
    Raises ClusterError for a provider that does not exist.
    """
    wanted = environment.get("LEAKWARDEN_PROVIDER", "")
    if wanted:
        if wanted not in NAMES:
            raise ClusterError(f"LEAKWARDEN_PROVIDER={wanted}: no such provider; use one of {', '.join(NAMES)}")
        return wanted
    if environment.get("KUBECONFIG") and not _is_ours(environment["KUBECONFIG"]):
        return "existing"
    if shutil.which("kind", path=environment.get("PATH")) and container_engine(runner):
        return "kind"
    return "local"


def _is_ours(kubeconfig: str) -> bool:
    return Path(kubeconfig) in {StateDirectory.from_environment().kubeconfig, kind_kubeconfig()}


def provider_named(name: str, runner: Runner) -> Provider:
    """The provider of that name; a name that does not exist is an existing cluster's."""
    if name == "local":
        return LocalNode(runner)
    if name == "kind":
        return KindCluster(runner)
    return ExistingCluster(runner)
