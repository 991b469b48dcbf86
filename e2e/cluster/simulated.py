"""A control plane with simulated nodes: a real etcd, API server and controllers on loopback, and kwok as all kubelets.

    with SimulatedCluster(directory, nodes=40) as cluster:
        ...                          # cluster.kubeconfig is the administrator's

It needs no root, no namespace and no container: any number can run next to each other and next to a local node, each
with its own ports, certificates and data. There is no scheduler; a pod template names its node (`node_of`). Of the
controllers only those of Deployments and ReplicaSets run. All processes end with the one that made them, even when that
one is killed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from e2e.cluster import binaries, certificates
from e2e.cluster.commands import Programs
from e2e.cluster.errors import ClusterError
from e2e.cluster.progress import step, wait_until

STAGES = Path(__file__).resolve().parents[1] / "faults" / "stages.yaml"
GROUPS = ("etcd", "kubernetes", "kwok")
_SERVICES = "10.97.0.0/16"
_READY_WITHIN = 90.0  # s
_ENDS_WITHIN = 20.0  # s
# Requests per second of the controllers, so that their own limit (20) is not what a bench measures.
_CONTROLLER_RATE = 2000
_STAGES_AT_ONCE = 16  # pods whose state kwok changes at one time; its default is 4


def free_ports(number: int) -> list[int]:
    """Different free ports of loopback."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def node_of(number: int) -> str:
    return f"simulated-{number}"


class SimulatedCluster:
    """`directory` is its own; data and certificates there are removed at the end, logs stay.

    Raises ClusterError when a program does not build, start or become ready. To be used from one thread that outlasts
    it: the kernel ends the processes when that thread ends.
    """

    def __init__(self, directory: Path, *, nodes: int) -> None:
        self.directory = directory
        self.nodes = nodes
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._etcd, self._peers, self._port, self._controllers = free_ports(4)
        self._keys = directory / "certificates"
        self.kubeconfig = directory / "kubeconfig"

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        try:
            binaries.build(GROUPS)
            self.directory.mkdir(parents=True, exist_ok=True)
            with step("certificates"):
                certificates.create(Programs(), self._keys)
            certificates.write_private(self.kubeconfig, certificates.kubeconfig(self._keys, "admin", self.server))
            with step("etcd and the API server"):
                self._start("etcd", self._etcd_command())
                self.start_api_server()
            with step(f"controllers, kwok and {self.nodes} nodes"):
                self._start("kube-controller-manager", self._controllers_command())
                self._start("kwok", self._kwok_command())
                self._make_nodes()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, the newest first, and remove what they stored."""
        for name in reversed(list(self._running)):
            self._stop(name)
        for path in (self.directory / "data", self._keys):
            shutil.rmtree(path, ignore_errors=True)
        self.kubeconfig.unlink(missing_ok=True)

    def pid(self, name: str) -> int:
        return self._running[name].pid

    # The API server's faults

    def kill_api_server(self) -> None:
        """SIGKILL; gone when this returns. What it stored is safe in etcd."""
        process = self._running.pop("kube-apiserver")
        process.kill()
        process.wait(_ENDS_WITHIN)

    def start_api_server(self) -> None:
        """Returns when it is ready."""
        self._start("kube-apiserver", self._api_server_command())
        wait_until(
            "the API server",
            lambda: self._answers("/readyz"),
            timeout=_READY_WITHIN,
            interval=0.2,
            abandoned=self._ended,
        )

    # Processes

    def log(self, name: str) -> Path:
        return self.directory / "logs" / f"{name}.log"

    def _start(self, name: str, command: list[str]) -> None:
        path = self.log(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as log:
            self._running[name] = subprocess.Popen(
                # Where this process is killed, nobody else ends its children.
                ["setpriv", "--pdeathsig", "KILL", *command],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _stop(self, name: str) -> None:
        process = self._running.pop(name)
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ended(self) -> str | None:
        for name, process in self._running.items():
            if process.poll() is not None:
                tail = "\n".join(self.log(name).read_text(errors="replace").splitlines()[-8:])
                return f"{name} ended with {process.returncode}:\n{tail}"
        return None

    def check(self) -> None:
        """Raises ClusterError where a process has ended by itself."""
        reason = self._ended()
        if reason:
            raise ClusterError(reason)

    # Requests

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._keys / "ca.crt"))
        context.load_cert_chain(self._keys / "admin.crt", self._keys / "admin.key")
        return context

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.server}{path}", timeout=5, context=self._context()) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _make_nodes(self) -> None:
        context = self._context()
        for number in range(self.nodes):
            body = json.dumps(_node(node_of(number))).encode()
            request = urllib.request.Request(
                f"{self.server}/api/v1/nodes", body, {"Content-Type": "application/json"}, method="POST"
            )
            with urllib.request.urlopen(request, timeout=30, context=context):
                pass

        def ready() -> bool:
            with urllib.request.urlopen(f"{self.server}/api/v1/nodes", timeout=30, context=context) as answer:
                items = json.loads(answer.read())["items"]
            return len(items) == self.nodes and all(_is_ready(each) for each in items)

        wait_until("the nodes to be ready", ready, timeout=_READY_WITHIN, abandoned=self._ended)

    # Command lines

    def _etcd_command(self) -> list[str]:
        clients, peers = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{self._peers}"
        return [
            str(binaries.program("etcd")),
            "--name=simulated",
            f"--data-dir={self.directory / 'data' / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=simulated={peers}",
            "--log-level=warn",
            "--unsafe-no-fsync",
            # 20,000 pods with their changes are more than the default of 2 GiB allows between two compactions.
            f"--quota-backend-bytes={8 << 30}",
        ]

    def _api_server_command(self) -> list[str]:
        keys = self._keys
        return [
            str(binaries.program("kube-apiserver")),
            f"--etcd-servers=http://127.0.0.1:{self._etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            "--advertise-address=127.0.0.1",
            f"--service-cluster-ip-range={_SERVICES}",
            "--authorization-mode=RBAC",
            # No controller makes service accounts here. Loopback may not be the address of a Service's endpoint.
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
            f"--client-ca-file={keys / 'ca.crt'}",
            f"--tls-cert-file={keys / 'kube-apiserver.crt'}",
            f"--tls-private-key-file={keys / 'kube-apiserver.key'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={keys / 'service-account.pub'}",
            f"--service-account-signing-key-file={keys / 'service-account.key'}",
        ]

    def _controllers_command(self) -> list[str]:
        return [
            str(binaries.program("kube-controller-manager")),
            f"--kubeconfig={self.kubeconfig}",
            "--controllers=deployment-controller,replicaset-controller",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._controllers}",
            "--leader-elect=false",
            f"--kube-api-qps={_CONTROLLER_RATE}",
            f"--kube-api-burst={_CONTROLLER_RATE}",
            "--concurrent-deployment-syncs=10",
            "--concurrent-replicaset-syncs=10",
        ]

    def _kwok_options(self) -> Path:
        options = self.directory / "kwok.json"
        made = {"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration"}
        options.write_text(
            json.dumps({**made, "options": {"podPlayStageParallelism": _STAGES_AT_ONCE, "nodePlayStageParallelism": 4}})
        )
        return options

    def _kwok_command(self) -> list[str]:
        return [
            str(binaries.program("kwok")),
            f"--kubeconfig={self.kubeconfig}",
            f"--config={STAGES}",
            "--manage-all-nodes=true",
            "--v=WARN",
            f"--config={self._kwok_options()}",
        ]


@contextlib.contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, so that everything is cleaned up."""

    def end(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_ready(node: dict[str, Any]) -> bool:
    return any(
        each["type"] == "Ready" and each["status"] == "True" for each in node.get("status", {}).get("conditions", [])
    )


def _node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
    }
