"""The Kubernetes of the local node, built from source into a cache outside the work tree.

One go.mod per group of tools, since helm, etcd, containerd and Kubernetes do not agree on the versions
they need. A group is built at most once per content of its go.mod, go.sum and flags.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2e.cluster.commands import Programs
from e2e.cluster.debian import BUILD_PACKAGES, install_packages
from e2e.cluster.errors import ClusterError
from e2e.cluster.locks import exclusively
from e2e.cluster.paths import cache_directory
from e2e.cluster.progress import say
from e2e.cluster.toolchain import find_go

MODULES = Path(__file__).resolve().parent / "go"
_PROGRESS_EVERY = 15.0  # seconds


@dataclass(frozen=True)
class ToolGroup:
    """Programs built from one go.mod."""

    name: str
    programs: Mapping[str, str]  # file name -> Go package
    stamps: tuple[str, ...] = ()  # packages whose gitVersion variables are set at link time
    version_of: str = ""  # the required module whose version they are set to
    tags: str = ""
    uses_c: bool = False
    debian: tuple[str, ...] = field(default=())
    shares_module_of: str = ""
    on_demand: bool = False  # not part of a cluster: built for the one test that needs it

    @property
    def module(self) -> Path:
        return MODULES / (self.shares_module_of or self.name)

    def flags(self) -> list[str]:
        """The arguments of ``go build`` in addition to the packages."""
        link = ["-s", "-w"]
        if self.stamps:
            version = required_version(self.module / "go.mod", self.version_of)
            major, minor = version.removeprefix("v").split(".")[:2]
            values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
            # Without the stamp, kubectl and Helm's capability checks read the server's version as v0.0.0-master.
            link += [f"-X {package}.{name}={value}" for package in self.stamps for name, value in values.items()]
        flags = ["-trimpath", "-ldflags", " ".join(link)]
        return [*flags, "-tags", self.tags] if self.tags else flags

    def fingerprint(self) -> str:
        """Twelve hex digits that change whenever the programs would."""
        digest = hashlib.sha256()
        for part in (
            (self.module / "go.mod").read_bytes(),
            (self.module / "go.sum").read_bytes(),
            repr((sorted(self.programs.items()), self.flags(), self.uses_c, platform.machine())).encode(),
        ):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()[:12]

    def directory(self) -> Path:
        """The directory of the built programs."""
        return cache_directory() / "bin" / f"{self.name}-{self.fingerprint()}"

    def is_built(self) -> bool:
        return all((self.directory() / program).is_file() for program in self.programs)

    def program(self, name: str) -> Path:
        """The path of one program; raises ClusterError if the group is not built."""
        path = self.directory() / name
        if name not in self.programs or not path.is_file():
            raise ClusterError(f"{name} is not built; run: python3 -m e2e.cluster build")
        return path


_KUBERNETES = "k8s.io/kubernetes/cmd/"
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_CONTAINERD = "github.com/containerd/containerd/v2/cmd/"

# In the order of building: the node first, the groups that only complete it last.
GROUPS: tuple[ToolGroup, ...] = (
    ToolGroup("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
    ToolGroup(
        "kubernetes",
        {
            name: _KUBERNETES + name
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
        },
        stamps=_VERSION_PACKAGES,
        version_of="k8s.io/kubernetes",
    ),
    # A group of its own: kind and existing clusters may need kubectl, and no other program of Kubernetes.
    ToolGroup(
        "kubectl",
        {"kubectl": _KUBERNETES + "kubectl"},
        stamps=_VERSION_PACKAGES,
        version_of="k8s.io/kubernetes",
        shares_module_of="kubernetes",
    ),
    ToolGroup(
        "containerd",
        {name: _CONTAINERD + name for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
    ),
    ToolGroup(
        "runc",
        {"runc": "github.com/opencontainers/runc"},
        tags="seccomp",
        uses_c=True,
        debian=BUILD_PACKAGES,
    ),
    ToolGroup("coredns", {"coredns": "github.com/coredns/coredns"}),
    ToolGroup("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}),
    ToolGroup("s3", {"versitygw": "github.com/versity/versitygw/cmd/versitygw"}, on_demand=True),
)

# Not part of the node: built when a test needs it.
EXTRA: tuple[ToolGroup, ...] = (
    ToolGroup("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}),
    # The newest version whose module holds its web pages as Go source; later ones embed files that only npm makes.
    ToolGroup("alertmanager", {"alertmanager": "github.com/prometheus/alertmanager/cmd/alertmanager"}),
    # The newest minor version that the Go of the other groups builds.
    ToolGroup("flux", {"kustomize-controller": "github.com/fluxcd/kustomize-controller"}),
    ToolGroup("rollouts", {"rollouts-controller": "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"}),
)

ALL = tuple(each.name for each in GROUPS if not each.on_demand)  # the groups that the node needs
NAMES = (*(each.name for each in GROUPS), *(each.name for each in EXTRA))


def group(name: str) -> ToolGroup:
    """The group of that name; raises KeyError, since names are written by us."""
    return {each.name: each for each in (*GROUPS, *EXTRA)}[name]


def program(name: str) -> Path:
    """The path of a built program, whatever its group."""
    for each in (*GROUPS, *EXTRA):
        if name in each.programs:
            return each.program(name)
    raise KeyError(name)


def required_version(go_mod: Path, module: str) -> str:
    """The version a go.mod requires of a module, such as v1.37.2."""
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", go_mod.read_text(), re.MULTILINE)
    if not found:
        raise ClusterError(f"{go_mod} does not require {module}")
    return found[1]


def build(names: tuple[str, ...] = ALL) -> None:
    """Build the groups that are not built yet; a run that was cut short continues where it stopped.

    Raises ClusterError with the end of the log when one does not build.
    """
    wanted = [each for each in (*GROUPS, *EXTRA) if each.name in names]
    if all(each.is_built() for each in wanted):
        return
    with exclusively(cache_directory() / "bin" / ".lock"):
        runner = Programs()
        go = find_go(runner)
        missing = [each for each in wanted if not each.is_built()]
        for number, each in enumerate(missing, 1):
            if each.debian:
                install_packages(runner, each.debian)
            _build_group(each, go, f"[{number}/{len(missing)}]")


def _build_group(each: ToolGroup, go: str, position: str) -> None:
    final = each.directory()
    log = cache_directory() / "logs" / f"build-{each.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    say(f"{position} building {each.name}: {', '.join(each.programs)} (log: {log})")
    begin = time.monotonic()
    # Built in another directory and renamed, so that an interrupted build never leaves half a group that looks
    # complete.
    work = Path(tempfile.mkdtemp(prefix=f".{each.name}-", dir=final.parent))
    try:
        with log.open("wb") as output:
            for name, package in each.programs.items():
                _go_build(each, go, package, target=work / name, output=output.fileno(), log=log, begin=begin)
        work.chmod(0o755)
        if final.exists():
            shutil.rmtree(final)
        work.rename(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"{position} {each.name}: built in {time.monotonic() - begin:.0f}s")


def _go_build(each: ToolGroup, go: str, package: str, *, target: Path, output: int, log: Path, begin: float) -> None:
    command = [go, "build", "-v", "-mod=readonly", "-buildvcs=false", *each.flags(), "-o", str(target), package]
    environment = {
        **os.environ,
        "CGO_ENABLED": "1" if each.uses_c else "0",
        # Only the flags above count: the caller's GOFLAGS or workspace must not change the build.
        "GOFLAGS": "",
        "GOWORK": "off",
    }
    process = subprocess.Popen(
        command, cwd=each.module, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    try:
        while True:
            try:
                status = process.wait(timeout=_PROGRESS_EVERY)
                break
            except subprocess.TimeoutExpired:
                compiled = log.read_bytes().count(b"\n")
                elapsed = time.monotonic() - begin
                say(f"  {target.name}: {elapsed:.0f}s, {compiled} packages of {each.name} so far")
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise ClusterError(f"{target.name} did not build (status {status}):\n{tail}\nthe whole log: {log}")
