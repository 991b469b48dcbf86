"""Taking the local node down without leaving a process, mount, namespace, cgroup or file behind."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster import cgroups, network
from e2e.cluster.commands import Runner
from e2e.cluster.errors import ClusterError
from e2e.cluster.health import answers
from e2e.cluster.paths import StateDirectory
from e2e.cluster.processes import Identity, Process, marked, stop
from e2e.cluster.progress import say, step

_RUN = (Path("/run/leakwarden-e2e"), Path("/run/containerd"))


def stop_process(process: Process, *, patience: float = 20.0) -> None:
    """Stop one process, by force after ``patience`` seconds, and wait until it is gone.

    Raises ClusterError if it will not go.
    """
    identity = process.identity()
    if identity:
        stuck = stop([identity], patience=patience)
        if stuck:
            raise ClusterError(f"{process.name} (pid {identity.pid}) cannot be killed")
    process.forget()


def take_down(runner: Runner, state: StateDirectory, processes: Sequence[Process]) -> None:
    """Stop ``processes`` and everything they started, then remove what they used.

    The order matters. First the programs that would restart a container (kubelet) or that talk to the API server at
    their end; then the containers, which outlast containerd; then containerd and its shims; then the mounts they leave;
    only then the namespaces and cgroups, which would otherwise be busy. Raises ClusterError naming what could not be
    removed.
    """
    by_name = {process.name: process for process in processes}
    for name in ("kubelet", "kube-proxy", "kube-controller-manager", "kube-scheduler"):
        if name in by_name:
            with _told(by_name[name]):
                stop_process(by_name[name])
    # No graceful end is needed any more: the whole node is removed.
    _end("containers", cgroups.members(), patience=2.0)
    for process in reversed(processes):
        with _told(process):
            stop_process(process)
    # containerd's shims, and processes that a crashed run left without a record.
    _end("leftover programs", marked(state.mark), patience=3.0)
    _end("containers", cgroups.members(), patience=0.5)
    with step("removing mounts, namespaces, cgroups and state"):
        _unmount(runner, state)
        _remove_pod_namespaces(runner)
        network.destroy(runner)
        _remove_traces(state)
        left: list[object] = list(cgroups.remove())
        left += _remove_files(state)
    if left:
        raise ClusterError("could not be removed: " + ", ".join(str(each) for each in left))


def _told(process: Process) -> contextlib.AbstractContextManager[None]:
    return step(f"stopping {process.name}") if process.identity() else contextlib.nullcontext()


def _end(what: str, identities: list[Identity], *, patience: float) -> None:
    if identities:
        with step(f"ending {len(identities)} {what}"):
            stuck = stop(identities, patience=patience)
        if stuck:
            raise ClusterError(f"cannot be killed: {', '.join(str(each.pid) for each in stuck)}")


def mounts_below(table: str, roots: Sequence[Path]) -> list[str]:
    """Mount points of a /proc/self/mounts text that lie in one of ``roots``, innermost first."""
    points = [line.split()[1] for line in table.splitlines() if line.strip()]
    # The kernel writes a space in a path as \040.
    points = [point.encode().decode("unicode_escape") for point in points]
    return [point for point in reversed(points) if any(point.startswith(f"{root}/") for root in roots)]


def _unmount(runner: Runner, state: StateDirectory) -> None:
    for point in mounts_below(Path("/proc/self/mounts").read_text(), (state.root, *_RUN)):
        if not runner.run(["umount", point]).succeeded:
            runner.run(["umount", "--lazy", point])


def _remove_pod_namespaces(runner: Runner) -> None:
    """The namespaces containerd made for pods (cni-...), when no process is in them any more."""
    directory = network.NAMESPACE.parent
    occupied = {_inode(path / "ns/net") for path in Path("/proc").iterdir() if path.name.isdigit()}
    for path in directory.glob("cni-*"):
        # Another runtime may keep pods here as well; those have processes.
        if _inode(path) not in occupied:
            runner.run(["ip", "netns", "delete", path.name])


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _remove_traces(state: StateDirectory) -> None:
    """Files that kubelet leaves at fixed places; files of another kubelet there stay."""
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(state.root):
            link.unlink()
    plugins = Path("/var/lib/kubelet/device-plugins")
    registration = plugins / "kubelet.sock"
    if registration.is_socket() and not answers(f"unix://{registration}", inside=False):
        registration.unlink()
    for directory in (Path("/var/log/containers"), plugins, plugins.parent):
        with contextlib.suppress(OSError):  # rmdir refuses a directory that is not empty, as it should
            directory.rmdir()


def _remove_files(state: StateDirectory) -> list[Path]:
    """Removes everything but the logs, which a person may want to read after a failure.

    The settings go last: while they are there, the next ``down`` finds that there is something to remove.
    """
    targets = [each for each in state.root.glob("*") if each not in (state.logs, state.settings)]
    left: list[Path] = []
    for target in (*targets, *_RUN, state.settings):
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target, ignore_errors=True)
        elif target != state.settings or not left:
            target.unlink(missing_ok=True)
        if target.exists():
            say(f"not removed: {target}")
            left.append(target)
    return left
