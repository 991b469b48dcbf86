"""The local node: a one-node Kubernetes of plain processes in a network namespace, without any engine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
from pathlib import Path

from e2e.cluster import binaries, certificates, cgroups, configuration, network, teardown
from e2e.cluster.certificates import NODE_NAME, write_private
from e2e.cluster.commands import Runner, demand
from e2e.cluster.components import Component, components, forwarder_command
from e2e.cluster.debian import NODE_PACKAGES, install_packages
from e2e.cluster.errors import ClusterError
from e2e.cluster.health import answers, probe
from e2e.cluster.locks import exclusively
from e2e.cluster.paths import StateDirectory
from e2e.cluster.processes import Process
from e2e.cluster.progress import say, step, wait_until
from e2e.cluster.provider import ClusterStatus, ComponentStatus, ShellEnvironment

FORWARDER = "api-forwarder"
_PREFERRED_PORT = 6443
_DNS_TARGET = f"dns://{network.DNS_ADDRESS}/kubernetes.default.svc.cluster.local"
_TOOLS = ("kubectl", "helm", "ctr")


class LocalNode:
    """The Provider that needs only root on a Linux machine with Debian's packages."""

    name = "local"

    def __init__(self, runner: Runner, state: StateDirectory | None = None) -> None:
        self._runner = runner
        self._state = state or StateDirectory.from_environment()

    # Bringing it up

    def up(self) -> None:
        """See Provider.up. Whatever already runs is kept, so a second ``up`` takes a second or two."""
        _require_root()
        install_packages(self._runner, NODE_PACKAGES)
        binaries.build()
        with exclusively(_LOCK):
            self._up()

    def _up(self) -> None:
        with step("preparing the network namespace, cgroups, certificates and configuration"):
            port = self._prepare()
        for component in components(self._state, port):
            if component.name == "containerd":
                _require_free_socket(self._process(component.name))
            self._start(component)
        self._start_forwarder(port)
        self._publish_tools()
        self._load_own_images()
        with step("starting CoreDNS"):
            self._kubectl("apply", "--server-side", "--force-conflicts", "-f", str(_COREDNS))
        with step(f"waiting for node {NODE_NAME} to be Ready"):
            wait_until(f"node {NODE_NAME} Ready", self._node_is_ready, timeout=180, abandoned=self._casualty)
        with step("waiting for CoreDNS to answer"):
            wait_until("an answer from CoreDNS", lambda: answers(_DNS_TARGET), timeout=180, abandoned=self._casualty)
        say(f'the cluster is up; to use it: eval "$(python3 -m e2e.cluster env)" ({self._state.kubeconfig})')

    def _prepare(self) -> int:
        state = self._state
        if not state.settings.exists():
            shutil.rmtree(state.logs, ignore_errors=True)  # processes of a node that is gone
        for directory in (state.root, state.logs, state.logs / "pods", state.processes, state.configuration / "cni"):
            directory.mkdir(parents=True, exist_ok=True)
        port = self._port() or _free_port()
        state.settings.write_text(json.dumps({"port": port}))
        cgroups.create()
        network.create(self._runner)
        certificates.create(self._runner, state.certificates)
        server = f"https://127.0.0.1:{port}"
        for user in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"):
            text = certificates.kubeconfig(state.certificates, user, server)
            write_private(state.configuration / f"{user}.kubeconfig", text)
        write_private(state.kubeconfig, certificates.kubeconfig(state.certificates, "admin", server))
        for name, text in configuration.files(state).items():
            write_private(state.configuration / name, text)
        return port

    def _port(self) -> int | None:
        """The port an earlier ``up`` chose: certificates of running parts and existing kubeconfigs contain it."""
        try:
            return int(json.loads(self._state.settings.read_text())["port"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _process(self, name: str) -> Process:
        return Process(name, self._state.processes, self._state.logs, self._state.mark)

    def _start(self, component: Component) -> None:
        process = self._process(component.name)
        if process.identity() and answers(component.health):
            return
        with step(f"starting {component.name}"):
            process.start(network.inside(component.command), environment=component.environment)

            def died() -> str | None:
                if process.identity():
                    return None
                return f"{component.name} ended at start:\n{process.last_words()}\nits log: {process.log}"

            try:
                wait_until(component.name, lambda: answers(component.health), timeout=120, abandoned=died)
            except ClusterError as error:
                problem = probe([component.health])[component.health]
                raise ClusterError(f"{error} ({problem}); its log: {process.log}") from error

    def _start_forwarder(self, port: int) -> None:
        process = self._process(FORWARDER)
        if process.identity():
            return
        with step(f"forwarding 127.0.0.1:{port} to the API server"), _listen(port) as listener:
            # The socket is the host's; the process that accepts on it runs in the namespace.
            command = network.inside(forwarder_command(listener.fileno(), port))
            process.start(command, descriptors=(listener.fileno(),))

    def _publish_tools(self) -> None:
        self._state.tools.mkdir(exist_ok=True)
        for name in _TOOLS:
            link = self._state.tools / name
            link.unlink(missing_ok=True)
            link.symlink_to(binaries.program(name))

    def _load_own_images(self) -> None:
        from e2e.images.builders import build_image

        self.load_images([build_image(name) for name in ("pause", "coredns")])

    def _kubectl(self, *arguments: str, timeout: float = 60) -> str:
        kubectl = [str(binaries.program("kubectl")), f"--kubeconfig={self._state.kubeconfig}"]
        return demand(self._runner, [*kubectl, *arguments], timeout=timeout)

    def _node_is_ready(self) -> bool:
        query = '{.status.conditions[?(@.type=="Ready")].status}'
        kubectl = [str(binaries.program("kubectl")), f"--kubeconfig={self._state.kubeconfig}"]
        asked = self._runner.run(
            [*kubectl, "get", "node", NODE_NAME, "--request-timeout=5s", "-o", f"jsonpath={query}"], timeout=20
        )
        return asked.succeeded and asked.output.strip() == "True"

    def _casualty(self) -> str | None:
        """Why waiting for the cluster is pointless: the first component that has died."""
        for component in components(self._state, self._port() or _PREFERRED_PORT):
            process = self._process(component.name)
            if process.identity() is None:
                return f"{component.name} has ended:\n{process.last_words()}\nits log: {process.log}"
        return None

    # Taking it down

    def down(self) -> None:
        """See Provider.down. Also clears up after an ``up`` that crashed or a machine that was restarted."""
        if not self._state.settings.exists() and not network.exists():
            say("the cluster is down")
            return
        _require_root()
        with exclusively(_LOCK):
            self._down()

    def _down(self) -> None:
        names = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "containerd", "kubelet"]
        processes = [self._process(name) for name in (*names, "kube-proxy", FORWARDER)]
        teardown.take_down(self._runner, self._state, processes)
        say(f"the cluster is down; its logs stay in {self._state.logs}")

    # Using it

    def status(self) -> ClusterStatus:
        """See Provider.status."""
        port = self._port()
        if port is None or not network.exists():
            return ClusterStatus(self.name, "", ())
        try:
            parts = components(self._state, port)
        except ClusterError as error:
            return ClusterStatus(self.name, "", (ComponentStatus("binaries", None, str(error)),))
        health = probe([each.health for each in parts] + [_DNS_TARGET])
        found = []
        for part in parts:
            identity = self._process(part.name).identity()
            problem = health[part.health] if identity else "not running"
            found.append(ComponentStatus(part.name, identity.pid if identity else None, problem))
        forwarder = self._process(FORWARDER).identity()
        problem = "" if forwarder else "not running"
        found.append(ComponentStatus(FORWARDER, forwarder.pid if forwarder else None, problem))
        found.append(ComponentStatus("node Ready", None, "" if self._node_is_ready() else "not Ready"))
        found.append(ComponentStatus("CoreDNS", None, health[_DNS_TARGET]))
        return ClusterStatus(self.name, str(self._state.kubeconfig), tuple(found))

    def environment(self) -> ShellEnvironment:
        """See Provider.environment."""
        if not self._state.kubeconfig.exists():
            raise ClusterError("the local node is not up; run: python3 -m e2e.cluster up")
        return ShellEnvironment(str(self._state.kubeconfig), self._state.tools)

    def load_images(self, archives: list[Path]) -> None:
        """See Provider.load_images: directly into containerd, where kubelet looks."""
        _require_root()
        if self._process("containerd").identity() is None:
            raise ClusterError("the local node is not up; run: python3 -m e2e.cluster up")
        ctr = [str(binaries.program("ctr")), "--address", configuration.CONTAINERD_SOCKET]
        for archive in archives:
            with step(f"loading {archive.name}"):
                demand(self._runner, [*ctr, "--namespace", "k8s.io", "images", "import", str(archive)], timeout=600)

    def fault(self, action: str, component: str) -> None:
        """Stop or start one of the node's programs, as an accident would."""
        _require_root()
        port = self._port()
        parts = {each.name: each for each in components(self._state, port)} if port else {}
        if component not in parts:
            known = ", ".join(parts) or "none, the node is not up"
            raise ClusterError(f"no component is called {component!r}; there are: {known}")
        if action == "start":
            self._start(parts[component])
            return
        with step(f"stopping {component}"):
            # An accident does not wait for watches to end, as an API server would for a minute.
            teardown.stop_process(self._process(component), patience=1.0)


_LOCK = Path("/run/lock/leakwarden-e2e")
_COREDNS = Path(__file__).with_name("coredns.yaml")


def _require_root() -> None:
    if platform.system() != "Linux":
        raise ClusterError("the local node needs Linux; use LEAKWARDEN_PROVIDER=kind or existing here")
    if os.geteuid() != 0:
        raise ClusterError("the local node makes namespaces and cgroups and must run as root (try sudo -E)")
    if shutil.which("nsenter") is None and shutil.which("apt-get") is None:
        raise ClusterError("the local node needs nsenter (util-linux)")


def _require_free_socket(process: Process) -> None:
    """Another containerd at the default socket is the machine's own, which must not be disturbed."""
    if process.identity() is None and answers(f"unix://{configuration.CONTAINERD_SOCKET}", inside=False):
        raise ClusterError(
            f"another program already listens on {configuration.CONTAINERD_SOCKET}, where the local node must "
            "have its own containerd (kubelet's metrics look only there); use LEAKWARDEN_PROVIDER=kind with the "
            "engine it belongs to, or stop it"
        )


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ClusterError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from error
    listener.listen(512)
    return listener


def _free_port() -> int:
    """6443 where it is free, else a free port from the kernel."""
    for port in (_PREFERRED_PORT, 0):
        try:
            with _listen(port) as listener:
                return int(listener.getsockname()[1])
        except ClusterError:
            continue
    raise ClusterError("no port on 127.0.0.1 is free")
