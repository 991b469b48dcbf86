"""The container engine of this machine, and where kind's files are."""

from __future__ import annotations

from pathlib import Path

from e2e.cluster.commands import Runner
from e2e.cluster.paths import cache_directory


def kind_kubeconfig() -> Path:
    """Where the kind provider writes its kubeconfig."""
    return cache_directory() / "kind" / "kubeconfig"


def container_engine(runner: Runner) -> str | None:
    """The engine that really answers; a client on PATH whose daemon is down does not count as an engine."""
    for engine in ("docker", "podman"):
        if runner.run([engine, "info"], timeout=20).succeeded:
            return engine
    return None
