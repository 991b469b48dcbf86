"""The few Debian packages the node needs from the machine itself."""

from __future__ import annotations

import os
import shutil

from e2e.cluster.commands import Runner, demand
from e2e.cluster.errors import ClusterError
from e2e.cluster.progress import step

# Needed to build: runc is the one program that links C (seccomp filters are libseccomp's).
BUILD_PACKAGES = ("ca-certificates", "gcc", "libc6-dev", "libseccomp-dev", "pkg-config")

# Needed to run: the programs that kubelet, kube-proxy, containerd and this package call.
NODE_PACKAGES = (
    "conntrack",
    "containernetworking-plugins",
    "iproute2",
    "iptables",
    "kmod",
    "libseccomp2",
    "openssl",
    "procps",
    "socat",
    "util-linux",
)


def as_root(command: list[str]) -> list[str]:
    """The command with root's rights: unchanged for root, through sudo otherwise."""
    return command if os.geteuid() == 0 else ["sudo", *command]


def missing_packages(runner: Runner, wanted: tuple[str, ...]) -> list[str]:
    """Those of ``wanted`` that dpkg does not list as installed."""
    listing = runner.run(["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *wanted])
    installed = {line.split()[0] for line in listing.output.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in installed]


def install_packages(runner: Runner, wanted: tuple[str, ...]) -> None:
    """Install those of ``wanted`` that are missing; no network is used when none is missing.

    Raises ClusterError where there is no apt, or when apt fails.
    """
    if shutil.which("dpkg-query") is None or shutil.which("apt-get") is None:
        raise ClusterError(
            "the local node installs what it needs with apt-get, which this machine does not have; "
            "use LEAKWARDEN_PROVIDER=kind or existing here, or install by hand: " + " ".join(wanted)
        )
    missing = missing_packages(runner, wanted)
    if not missing:
        return
    with step(f"installing Debian packages: {' '.join(missing)}"):
        demand(runner, as_root(["apt-get", "update", "-q"]), timeout=600)
        # A noninteractive front end: no package can stop the run with a question.
        install = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-q", "-y"]
        demand(runner, as_root([*install, "--no-install-recommends", *missing]), timeout=1800)
