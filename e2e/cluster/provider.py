"""What every kind of cluster offers the tests, and which kind is taken."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from e2e.cluster.commands import Runner
from e2e.cluster.errors import ClusterError
from e2e.cluster.paths import StateDirectory, cache_directory

NAMES = ("local", "kind", "existing")


@dataclass(frozen=True)
class ComponentStatus:
    """One part of the cluster; ``problem`` is empty when it is well."""

    name: str
    pid: int | None
    problem: str


@dataclass(frozen=True)
class ClusterStatus:
    """What ``status`` shows; the cluster is usable only without a single problem."""

    provider: str
    kubeconfig: str
    components: tuple[ComponentStatus, ...]

    @property
    def usable(self) -> bool:
        return bool(self.components) and not any(each.problem for each in self.components)


@dataclass(frozen=True)
class ShellEnvironment:
    """What a shell needs to use the cluster."""

    kubeconfig: str  # as KUBECONFIG has it: one path, or several with colons; empty for kubectl's default
    programs: Path | None  # a directory with kubectl and helm to put before PATH

    def exports(self) -> str:
        """Lines for ``eval``."""
        lines = [f"export KUBECONFIG={_quoted(self.kubeconfig)}"] if self.kubeconfig else []
        if self.programs:
            lines.append(f'export PATH={_quoted(str(self.programs))}:"$PATH"')
        return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


class Provider(Protocol):
    """A cluster one can bring up, use and take down. Every method raises ClusterError in plain words."""

    name: str

    def up(self) -> None:
        """Bring the cluster up, or find that it is; returns once pods can run and names resolve."""
        ...

    def down(self) -> None:
        """Leave nothing behind; does nothing where nothing is."""
        ...

    def status(self) -> ClusterStatus:
        """How it is now; never raises for a cluster that is merely down."""
        ...

    def environment(self) -> ShellEnvironment:
        """How to reach it; raises ClusterError while there is nothing to reach."""
        ...

    def load_images(self, archives: list[Path]) -> None:
        """Make the images of these archives available on every node."""
        ...

    def fault(self, action: str, component: str) -> None:
        """Stop or start one component of the control plane or node."""
        ...


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


def kind_kubeconfig() -> Path:
    """Where the kind provider writes its kubeconfig."""
    return cache_directory() / "kind" / "kubeconfig"


def container_engine(runner: Runner) -> str | None:
    """The engine that really answers; a client on PATH whose daemon is down is no engine."""
    for engine in ("docker", "podman"):
        if runner.run([engine, "info"], timeout=20).succeeded:
            return engine
    return None


def provider_named(name: str, runner: Runner) -> Provider:
    """The provider; imported only when chosen, so that none needs what another needs."""
    if name == "local":
        from e2e.cluster.local import LocalNode

        return LocalNode(runner)
    if name == "kind":
        from e2e.cluster.kind import KindCluster

        return KindCluster(runner)
    from e2e.cluster.existing import ExistingCluster

    return ExistingCluster(runner)
