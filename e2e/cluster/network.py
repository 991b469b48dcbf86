"""One network namespace that holds the whole node.

Nothing in it can reach the machine's network and nothing collides with it: there is no route between
the two. It is entered with nsenter; ``ip netns exec`` would also unshare the mount namespace and hide
the cgroup mounts, without which kubelet does not start.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster.commands import Runner, demand
from e2e.cluster.errors import ClusterError

NAME = "leakwarden"
NAMESPACE = Path("/run/netns") / NAME
NODE_ADDRESS = "10.240.0.10"
POD_RANGE = "10.244.0.0/16"
NODE_POD_RANGE = "10.244.0.0/24"
SERVICE_RANGE = "10.96.0.0/16"
API_ADDRESS = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
BRIDGE = "cni0"


def inside(command: Sequence[str]) -> list[str]:
    """The command, run in the node's network namespace; nsenter becomes it, so the pid stays."""
    return ["nsenter", f"--net={NAMESPACE}", "--", *command]


def exists() -> bool:
    """Whether the namespace is really there: after a restart only an empty file would be."""
    return os.path.ismount(NAMESPACE)


def create(runner: Runner) -> None:
    """Make the namespace with the node's address, idempotently; raises ClusterError when the kernel refuses."""
    if not exists():
        NAMESPACE.unlink(missing_ok=True)
        demand(runner, ["ip", "netns", "add", NAME])
    demand(runner, inside(["ip", "link", "set", "lo", "up"]))
    if not runner.run(inside(["ip", "link", "show", "node0"])).succeeded:
        # A veth pair with both ends inside: some kernels have no dummy device.
        demand(runner, inside(["ip", "link", "add", "node0", "type", "veth", "peer", "name", "node1"]))
        demand(runner, inside(["ip", "address", "add", f"{NODE_ADDRESS}/24", "dev", "node0"]))
    for link in ("node0", "node1"):
        demand(runner, inside(["ip", "link", "set", link, "up"]))
    # The route has no target; but without a route a Service address fails before kube-proxy's rules apply.
    demand(runner, inside(["ip", "route", "replace", "default", "dev", "node0"]))
    demand(runner, inside(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]))
    # Traffic between pods of one bridge must pass iptables, or answers bypass a Service's translation.
    runner.run(["modprobe", "br_netfilter"])  # may be built in, or not loadable from here
    bridged = runner.run(inside(["sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1"]))
    if not bridged.succeeded:
        raise ClusterError(f"the kernel lacks br_netfilter, which Services need: {bridged.last_words(1)}")


def destroy(runner: Runner) -> None:
    """Remove the namespace, and with it its links, routes and iptables rules; idempotent."""
    if exists():
        demand(runner, ["ip", "netns", "delete", NAME])
    NAMESPACE.unlink(missing_ok=True)
    # The directory, which ip makes a mount of its own, stays only where others use it.
    with contextlib.suppress(OSError):
        if not any(NAMESPACE.parent.iterdir()):
            runner.run(["umount", str(NAMESPACE.parent)])
            NAMESPACE.parent.rmdir()
