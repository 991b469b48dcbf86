"""The interface of every kind of cluster to the tests. choice.py selects the kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ComponentStatus:
    """One part of the cluster; ``problem`` is empty when it is healthy."""

    name: str
    pid: int | None
    problem: str


@dataclass(frozen=True)
class ClusterStatus:
    """The result of ``status``; the cluster is usable only without a single problem."""

    provider: str
    kubeconfig: str
    components: tuple[ComponentStatus, ...]

    @property
    def usable(self) -> bool:
        return bool(self.components) and not any(each.problem for each in self.components)


@dataclass(frozen=True)
class ShellEnvironment:
    """The settings that a shell needs to use the cluster."""

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
        """Remove everything; does nothing where there is no cluster."""
        ...

    def status(self) -> ClusterStatus:
        """The present state; never raises for a cluster that is merely down."""
        ...

    def environment(self) -> ShellEnvironment:
        """The way to reach it; raises ClusterError while there is no cluster."""
        ...

    def load_images(self, archives: list[Path]) -> None:
        """Make the images of these archives available on every node."""
        ...

    def fault(self, action: str, component: str) -> None:
        """Stop or start one component of the control plane or node."""
        ...
