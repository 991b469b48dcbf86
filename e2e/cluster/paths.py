"""The directories of the cluster's builds and of its state."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def cache_directory() -> Path:
    """The directory of everything that is kept between runs and checkouts: toolchains, binaries, images.

    ``LEAKWARDEN_CACHE``, else ``$XDG_CACHE_HOME/leakwarden``, else ``~/.cache/leakwarden``.
    """
    chosen = os.environ.get("LEAKWARDEN_CACHE")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "leakwarden"


@dataclass(frozen=True)
class StateDirectory:
    """The directory of one running local node; ``down`` removes all of it but the logs."""

    root: Path

    @classmethod
    def from_environment(cls) -> StateDirectory:
        """``LEAKWARDEN_STATE``, else /var/lib/leakwarden-e2e."""
        return cls(Path(os.environ.get("LEAKWARDEN_STATE") or "/var/lib/leakwarden-e2e").absolute())

    @property
    def mark(self) -> str:
        """An environment variable that every process of this node carries, as NAME=value."""
        return f"LEAKWARDEN_NODE={self.root}"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def processes(self) -> Path:
        return self.root / "processes"

    @property
    def certificates(self) -> Path:
        return self.root / "certificates"

    @property
    def configuration(self) -> Path:
        return self.root / "configuration"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, usable on the host and inside the node's network namespace."""
        return self.root / "kubeconfig"

    @property
    def settings(self) -> Path:
        """The choices of ``up`` that later verbs need, such as the port."""
        return self.root / "node.json"

    @property
    def tools(self) -> Path:
        """The directory for the caller's PATH: kubectl, helm and ctr, and nothing else."""
        return self.root / "bin"

    def data(self, component: str) -> Path:
        return self.root / "data" / component
