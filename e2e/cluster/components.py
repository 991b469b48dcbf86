"""The node's programs: how each is started, and how its health is checked."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2e.cluster import network
from e2e.cluster.binaries import group, program
from e2e.cluster.certificates import NODE_NAME
from e2e.cluster.configuration import CONTAINERD_SOCKET
from e2e.cluster.paths import StateDirectory

ETCD = "http://127.0.0.1:2379"


@dataclass(frozen=True)
class Component:
    """One program of the node; ``health`` is a target for probe.py, probed inside the namespace."""

    name: str
    command: tuple[str, ...]
    health: str
    environment: Mapping[str, str] = field(default_factory=dict)


def components(state: StateDirectory, port: int) -> tuple[Component, ...]:
    """Every program in the order it is started; it is stopped in the reverse."""
    configuration = state.configuration
    return (
        Component(
            "etcd",
            (
                str(program("etcd")),
                f"--name={NODE_NAME}",
                f"--data-dir={state.data('etcd')}",
                f"--listen-client-urls={ETCD}",
                f"--advertise-client-urls={ETCD}",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--initial-advertise-peer-urls=http://127.0.0.1:2380",
                f"--initial-cluster={NODE_NAME}=http://127.0.0.1:2380",
                "--log-level=warn",
                # A test cluster may lose data in a crash of the machine: no fsync per write.
                "--unsafe-no-fsync",
            ),
            f"{ETCD}/health",
        ),
        _api_server(state, port),
        Component(
            "kube-controller-manager",
            (
                str(program("kube-controller-manager")),
                *_kubeconfigs(configuration / "kube-controller-manager.kubeconfig"),
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
                "--use-service-account-credentials=true",
                f"--service-account-private-key-file={state.certificates / 'service-account.key'}",
                f"--root-ca-file={state.certificates / 'ca.crt'}",
                f"--cluster-signing-cert-file={state.certificates / 'ca.crt'}",
                f"--cluster-signing-key-file={state.certificates / 'ca.key'}",
                f"--requestheader-client-ca-file={state.certificates / 'front-proxy-ca.crt'}",
            ),
            "https://127.0.0.1:10257/healthz",
        ),
        Component(
            "kube-scheduler",
            (
                str(program("kube-scheduler")),
                *_kubeconfigs(configuration / "kube-scheduler.kubeconfig"),
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
            ),
            "https://127.0.0.1:10259/healthz",
        ),
        Component(
            "containerd",
            (str(program("containerd")), "--config", str(configuration / "containerd.toml"), "--log-level=warn"),
            f"unix://{CONTAINERD_SOCKET}",
            # Its shims are found on PATH; the CNI plugins need iptables there.
            {"PATH": f"{group('containerd').directory()}:/usr/sbin:/usr/bin:/sbin:/bin"},
        ),
        Component(
            "kubelet",
            (
                str(program("kubelet")),
                f"--config={configuration / 'kubelet.json'}",
                f"--kubeconfig={configuration / 'kubelet.kubeconfig'}",
                f"--root-dir={state.data('kubelet')}",
                f"--cert-dir={state.data('kubelet')}/pki",
                f"--hostname-override={NODE_NAME}",
                f"--node-ip={network.NODE_ADDRESS}",
            ),
            "http://127.0.0.1:10248/healthz",
        ),
        Component(
            "kube-proxy",
            (str(program("kube-proxy")), f"--config={configuration / 'kube-proxy.json'}"),
            "http://127.0.0.1:10256/healthz",
        ),
    )


def _kubeconfigs(path: Path) -> tuple[str, ...]:
    return (
        f"--kubeconfig={path}",
        f"--authentication-kubeconfig={path}",
        f"--authorization-kubeconfig={path}",
    )


def _api_server(state: StateDirectory, port: int) -> Component:
    certificates = state.certificates
    issuer = "https://kubernetes.default.svc.cluster.local"
    return Component(
        "kube-apiserver",
        (
            str(program("kube-apiserver")),
            f"--etcd-servers={ETCD}",
            "--bind-address=0.0.0.0",
            f"--secure-port={port}",
            f"--advertise-address={network.NODE_ADDRESS}",
            f"--service-cluster-ip-range={network.SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--client-ca-file={certificates / 'ca.crt'}",
            f"--tls-cert-file={certificates / 'kube-apiserver.crt'}",
            f"--tls-private-key-file={certificates / 'kube-apiserver.key'}",
            f"--kubelet-certificate-authority={certificates / 'ca.crt'}",
            f"--kubelet-client-certificate={certificates / 'kube-apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={certificates / 'kube-apiserver-kubelet-client.key'}",
            # By name, logs, exec and the node proxy would query a DNS server that does not know the node.
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer={issuer}",
            f"--service-account-key-file={certificates / 'service-account.pub'}",
            f"--service-account-signing-key-file={certificates / 'service-account.key'}",
            f"--requestheader-client-ca-file={certificates / 'front-proxy-ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={certificates / 'front-proxy-client.crt'}",
            f"--proxy-client-key-file={certificates / 'front-proxy-client.key'}",
        ),
        f"https://127.0.0.1:{port}/readyz",
    )


def forwarder_command(descriptor: int, port: int) -> tuple[str, ...]:
    """The relay from the host's loopback to the API server; see forward.py."""
    script = Path(__file__).with_name("forward.py")
    return (sys.executable, str(script), str(descriptor), "127.0.0.1", str(port))
