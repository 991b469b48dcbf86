"""The files the node's programs read."""

from __future__ import annotations

import json

from e2e.cluster import cgroups, network
from e2e.cluster.binaries import program
from e2e.cluster.certificates import NODE_NAME
from e2e.cluster.paths import StateDirectory

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
PAUSE_IMAGE = "localhost/leakwarden-e2e/pause:dev"
CNI_PROGRAMS = "/usr/lib/cni"


def files(state: StateDirectory) -> dict[str, str]:
    """File name -> text, all below the state's configuration directory."""
    return {
        "containerd.toml": _containerd(state),
        "cni/10-bridge.conflist": json.dumps(_CNI, indent=1),
        "kubelet.json": json.dumps(_kubelet(state), indent=1),
        "kube-proxy.json": json.dumps(_kube_proxy(state), indent=1),
        # Empty: pods must not inherit the machine's resolvers, which they cannot reach.
        "resolv.conf": "",
    }


def _containerd(state: StateDirectory) -> str:
    # The socket is at its default place because cAdvisor inside kubelet looks only there.
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE every sandbox would fail to lower its score.
    return f"""\
version = 3
root = "{state.data("containerd")}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.nri.v1.nri"]
  disable = true

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  enable_selinux = false

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{CNI_PROGRAMS}"]
  conf_dir = "{state.configuration / "cni"}"

[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{program("runc")}"
  SystemdCgroup = false
"""


_CNI = {
    "cniVersion": "1.0.0",
    "name": "leakwarden-e2e",
    "plugins": [
        {
            "type": "bridge",
            "bridge": network.BRIDGE,
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": network.NODE_POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": "/run/leakwarden-e2e/cni",
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


def _kubelet(state: StateDirectory) -> dict[str, object]:
    certificates = state.certificates
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(certificates / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificates / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(certificates / "kubelet-server.key"),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroups.NAME}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "oomScoreAdj": 0,
        "clusterDNS": [network.DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(state.configuration / "resolv.conf"),
        "maxPods": 200,
        # The machine's disk may be nearly full: neither pods nor images are to be lost for that, least of all images
        # that no registry has.
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "podLogsDir": str(state.logs / "pods"),
        "volumePluginDir": str(state.data("volume-plugins")),
        "nodeStatusUpdateFrequency": "10s",
    }


def _kube_proxy(state: StateDirectory) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(state.configuration / "kube-proxy.kubeconfig")},
        "mode": "iptables",
        "clusterCIDR": network.POD_RANGE,
        "hostnameOverride": NODE_NAME,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # These limits are the whole machine's, not the namespace's: leave them alone.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
