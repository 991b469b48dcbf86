"""The cgroups of the node: all its processes are under one name, so that all of them can be found again."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from e2e.cluster.errors import ClusterError
from e2e.cluster.processes import Identity

NAME = "leakwarden-e2e"
_ROOT = Path("/sys/fs/cgroup")
_V1_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "freezer", "blkio", "systemd")
_V1_OPTIONAL = ("hugetlb", "perf_event", "net_cls", "net_prio")
_V2_NEEDED = ("cpuset", "cpu", "memory", "pids")


def is_unified() -> bool:
    """Whether the machine has cgroup v2 alone."""
    return (_ROOT / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    if is_unified():
        return [_ROOT]
    # Controllers mounted together, as "cpu,cpuacct", are seen under each name through links.
    places = {(_ROOT / each).resolve() for each in (*_V1_CONTROLLERS, *_V1_OPTIONAL) if (_ROOT / each).is_dir()}
    unified = _ROOT / "unified"
    return sorted(places) + ([unified] if (unified / "cgroup.procs").exists() else [])


def create() -> None:
    """Make the node's cgroup in every hierarchy; kubelet requires that it exists.

    Raises ClusterError when the machine lacks a controller or forbids it.
    """
    if not is_unified() and not (_ROOT / "memory").is_dir():
        raise ClusterError("the machine has no memory cgroup; the local node cannot run here")
    for hierarchy in _hierarchies():
        directory = hierarchy / NAME
        try:
            if is_unified():
                _delegate(hierarchy)
            directory.mkdir(exist_ok=True)
            if is_unified():
                _delegate(directory)
            if hierarchy.name == "cpuset":
                # v1: an empty cpuset accepts no process; children do not inherit by default.
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (directory / name).write_text((hierarchy / name).read_text())
            elif hierarchy.name == "memory":
                _account_for_hierarchy(directory)
        except OSError as error:
            raise ClusterError(f"cannot prepare cgroup {directory}: {error.strerror}") from error


def _delegate(directory: Path) -> None:
    offered = (directory / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{each}" for each in _V2_NEEDED if each in offered)
    (directory / "cgroup.subtree_control").write_text(wanted)


def _account_for_hierarchy(directory: Path) -> None:
    # Already so on most machines, and then not writable.
    with contextlib.suppress(OSError):
        (directory / "memory.use_hierarchy").write_text("1")


def members() -> list[Identity]:
    """Every process in the node's cgroups: the containers and their pause processes."""
    pids: set[int] = set()
    for hierarchy in _hierarchies():
        for path in (hierarchy / NAME).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                pids.update(int(line) for line in path.read_text().split())
    identities = (Identity.of(pid) for pid in pids if pid != os.getpid())
    return [each for each in identities if each]


def remove() -> list[Path]:
    """Remove the node's cgroups, deepest first; returns those that could not be removed.

    A cgroup stays busy for a moment after its last process is gone, hence the retries.
    """
    left: list[Path] = []
    for _ in range(20):
        left = []
        for hierarchy in _hierarchies():
            top = hierarchy / NAME
            directories = sorted((each for each in top.rglob("*") if each.is_dir()), reverse=True)
            for directory in [*directories, top]:
                try:
                    directory.rmdir()
                except FileNotFoundError:
                    continue
                except OSError:
                    left.append(directory)
        if not left:
            return []
        time.sleep(0.25)
    return left
