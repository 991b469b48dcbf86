"""A kind cluster, where a container engine runs."""

from __future__ import annotations

from pathlib import Path

from e2e.cluster.commands import Result, Runner
from e2e.cluster.engine import container_engine, kind_kubeconfig
from e2e.cluster.errors import ClusterError
from e2e.cluster.kubectl import Kubectl, provide_tools
from e2e.cluster.progress import say, step
from e2e.cluster.provider import ClusterStatus, ComponentStatus, ShellEnvironment

CLUSTER = "leakwarden-e2e"
CONTROL_PLANE = f"{CLUSTER}-control-plane"
_CONFIGURATION = Path(__file__).with_name("kind.yaml")
_STATIC_PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_SERVICES = ("kubelet", "containerd")


class KindCluster:
    """The Provider over the kind program; see Provider for what each method promises."""

    name = "kind"

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._engine: str | None = None
        self._kubeconfig = kind_kubeconfig()
        self._kubectl = Kubectl(runner, str(self._kubeconfig))

    def up(self) -> None:
        self._required_engine()
        provide_tools()
        self._kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        if self._exists():
            # Its kubeconfig may have been deleted with the cache, or its port may have changed with a restart of the
            # engine.
            self._demand("export", "kubeconfig", "--name", CLUSTER, "--kubeconfig", str(self._kubeconfig))
        else:
            with step(f"creating kind cluster {CLUSTER} (the first time fetches an image of about 1 GB)"):
                self._demand(
                    *("create", "cluster", "--name", CLUSTER, "--config", str(_CONFIGURATION)),
                    *("--kubeconfig", str(self._kubeconfig), "--wait", "300s"),
                    timeout=1200,
                )
        with step("waiting for CoreDNS"):
            rollout = ["-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=180s"]
            result = self._kubectl.run(rollout, timeout=200)
        status = self.status()
        if not result.succeeded or not status.usable:
            problems = [f"{each.name}: {each.problem}" for each in status.components if each.problem]
            raise ClusterError(f"kind cluster {CLUSTER} is not usable: {'; '.join(problems) or result.last_words()}")
        say('the cluster is up; to use it: eval "$(python3 -m e2e.cluster env)"')

    def down(self) -> None:
        self._required_engine()
        if self._exists():
            with step(f"deleting kind cluster {CLUSTER}"):
                self._demand("delete", "cluster", "--name", CLUSTER, "--kubeconfig", str(self._kubeconfig), timeout=300)
        self._kubeconfig.unlink(missing_ok=True)
        say("the cluster is down")

    def status(self) -> ClusterStatus:
        if not self._kubeconfig.exists() or not self._exists():
            return ClusterStatus(self.name, "", ())
        dns = self._kubectl.run(
            ["-n", "kube-system", "get", "deployment", "coredns", "-o", "jsonpath={.status.availableReplicas}"]
        )
        serving = dns.succeeded and dns.output.strip() not in ("", "0")
        return ClusterStatus(
            self.name,
            str(self._kubeconfig),
            (
                ComponentStatus("kube-apiserver", None, self._kubectl.api_problem()),
                *self._kubectl.node_statuses(),
                ComponentStatus("CoreDNS", None, "" if serving else "no replica is available"),
            ),
        )

    def environment(self) -> ShellEnvironment:
        if not self._kubeconfig.exists():
            raise ClusterError("the kind cluster is not up; run: python3 -m e2e.cluster up")
        return ShellEnvironment(str(self._kubeconfig), provide_tools())

    def load_images(self, archives: list[Path]) -> None:
        self._required_engine()
        for archive in archives:
            with step(f"loading {archive.name}"):
                self._demand("load", "image-archive", str(archive), "--name", CLUSTER, timeout=600)

    def fault(self, action: str, component: str) -> None:
        """A static pod stops when its manifest is moved away; kubelet and containerd are systemd's."""
        engine = self._required_engine()
        if component in _STATIC_PODS:
            places = [f"/etc/kubernetes/manifests/{component}.yaml", f"/etc/kubernetes/{component}.yaml"]
            moved = places if action == "stop" else places[::-1]
            # A second request changes nothing and succeeds.
            command = ["sh", "-c", 'if [ -e "$0" ]; then mv "$0" "$1"; fi', *moved]
        elif component in _SERVICES:
            command = ["systemctl", action, component]
        else:
            known = ", ".join((*_STATIC_PODS, *_SERVICES))
            raise ClusterError(f"no component is called {component!r}; there are: {known}")
        result = self._runner.run([engine, "exec", CONTROL_PLANE, *command], timeout=120)
        if not result.succeeded:
            raise ClusterError(f"could not {action} {component}: {result.last_words(2)}")

    def _required_engine(self) -> str:
        self._engine = self._engine or container_engine(self._runner)
        if self._engine is None:
            raise ClusterError(
                "kind needs Docker or Podman, and neither answers ('docker info', 'podman info'); "
                "use LEAKWARDEN_PROVIDER=local on such a machine"
            )
        return self._engine

    def _run(self, *arguments: str, timeout: float) -> Result:
        # kind uses Docker unless another engine is set.
        engine = self._engine or container_engine(self._runner) or "docker"
        self._engine = engine
        environment = {"KIND_EXPERIMENTAL_PROVIDER": engine}
        return self._runner.run(["kind", *arguments], timeout=timeout, environment=environment)

    def _demand(self, *arguments: str, timeout: float = 120) -> str:
        result = self._run(*arguments, timeout=timeout)
        if not result.succeeded:
            raise ClusterError(f"'kind {' '.join(arguments[:2])}' failed: {result.last_words()}")
        return result.output

    def _exists(self) -> bool:
        return CLUSTER in self._run("get", "clusters", timeout=60).output.split()
