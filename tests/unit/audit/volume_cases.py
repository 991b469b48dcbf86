"""The checks of volumes, references, hooks and of an autoscaler's metrics: passes and fails."""

from __future__ import annotations

from dataclasses import replace

from leakwarden.core.audit import Severity
from leakwarden.core.audit.related import Claim, Governing, Identity, Measure, Missing, Related, Route, ServicePort
from leakwarden.core.model.workload import Container, HookPort, Mount, Probe, Reference, Volume, Workload
from tests.unit.audit.audit_examples import CONTAINER, MIB, container, workload
from tests.unit.audit.related_cases import Case, RelatedCase, beside, pods, scaler, service

ERROR, WARNING, INFO = Severity

DATA = Volume("data", "claim", references=(Reference("PersistentVolumeClaim", "data"),))
MOUNTED = Volume("settings", "configuration")


def claim(*modes: str) -> Claim:
    return Claim(Identity("PersistentVolumeClaim", "shop", "data"), modes)


def claiming(**changes: object) -> Workload:
    """The workload with a claim mounted."""
    base = pods(volumes=(DATA,), claims=True)
    return replace(base, **changes)  # type: ignore[arg-type]


def holding(volume: Volume, **changes: object) -> Workload:
    """The workload with its container mounting the volume."""
    mounting = replace(CONTAINER, mounts=(Mount(volume.name),), **changes)  # type: ignore[arg-type]
    return replace(pods(volumes=(volume,)), containers=(mounting,))


def measured(*measures: Measure) -> Related:
    return beside(scalers=(scaler(2, measures=measures),))


ONE = {"replicas": 1, "updated_replicas": 1, "ready_replicas": 1}
RWO, RWOP, RWX = (beside(claims=(claim(mode),)) for mode in ("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"))
REQUESTING = container(cpu_request=0.1, memory_request=512 * MIB)
LIMITED = {"disk_limit": 1024 * MIB}

GRPC = ("/bin/grpc_health_probe", "-addr=:9090", "-rpc-timeout=5s")
KEDA = scaler(0, kind="ScaledObject", minimum_given=False)
INGRESS = Route(Identity("Ingress", "shop", "web"), ("web",))


def asking(*command: str, timeout: int = 1) -> Workload:
    return container(liveness=Probe("exec", command=command, timeout=timeout))


PASSES: dict[str, list[RelatedCase]] = {
    "ProbeCommandOutlasts": [
        Case("no limit of its own", asking("/bin/alive", "-m", "9")),
        Case("as long as the probe waits", asking(*GRPC, timeout=5)),
        Case("timeout ends what takes longer", asking("timeout", "1", "curl", "-m", "9", "localhost")),
        Case("a flag of another command", asking("sh", "-c", "grep -m 5 up /tmp/state")),
        Case("milliseconds", asking("grpc_health_probe", "-rpc-timeout=500ms")),
    ],
    "AutoscalerServesFromZero": [
        Case("a queue's worker", related=beside(scalers=(KEDA,))),
        Case(
            "its metrics alone are served",
            related=beside(scalers=(KEDA,), services=(service(ports=(ServicePort("http-metrics", 9090, 9090),)),)),
        ),
        Case("0 is written", related=beside(scalers=(replace(KEDA, minimum_given=True),), routes=(INGRESS,))),
        Case("no KEDA", related=beside(scalers=(scaler(1, minimum_given=False),), routes=(INGRESS,))),
    ],
    "ResourceUnitUnlikely": [Case("ordinary amounts", container(cpu_request=0.5, memory_request=64 * MIB))],
    "ClaimHeldByOne": [
        Case("many may hold it", claiming(), RWX),
        Case("how it may be held is not known", claiming(), beside()),
        Case("one pod that is stopped first", claiming(strategy="Recreate", **ONE), RWO),
        Case("one pod that goes before the next comes", claiming(max_surge=0, max_unavailable=1, **ONE), RWO),
        Case("all on one node", replace(claiming(), pods=replace(claiming().pods, pinned=True)), RWO),
        Case("a claim for each pod", workload(kind="StatefulSet"), RWO),
    ],
    "MemoryVolumeUnbounded": [
        Case("no such volume"),
        Case("well below the limit", holding(Volume("tmp", "memory", 64 * MIB))),
        Case("on disk", holding(Volume("tmp", "disk"))),
    ],
    "DiskVolumeUnfit": [
        Case("no limit", holding(Volume("tmp", "disk", 4096 * MIB))),
        Case("within the limit", holding(Volume("tmp", "disk", 512 * MIB), **LIMITED)),
    ],
    "ReferenceMissing": [Case("nothing is missing", related=beside(sources_read=True))],
    "MountFrozen": [
        Case("the whole volume", holding(MOUNTED)),
        Case(
            "a part of a claim", replace(holding(DATA), containers=(replace(CONTAINER, mounts=(Mount("data", True),)),))
        ),
    ],
    "HookPortMissing": [
        Case("a declared name", container(hook_ports=(HookPort("preStop", "httpGet", "http"),))),
        Case("a declared number", container(hook_ports=(HookPort("postStart", "httpGet", 8080),))),
        Case("another host", container(hook_ports=(HookPort("preStop", "httpGet", 15000, "127.0.0.1"),))),
    ],
    "ReadinessGateSet": [
        Case("none"),
        Case("a load balancer's", pods(readiness_gates=("target-health.elbv2.k8s.aws/web",))),
    ],
    "AutoscalerRequestMissing": [
        Case("a request", REQUESTING, measured(Measure("cpu"), Measure("memory"))),
        Case("an amount", related=measured(Measure("cpu", utilization=False))),
        Case("of the pod as a whole", pods(cpu_request=1.0), measured(Measure("cpu"))),
        Case("another measure", related=measured()),
    ],
    "AutoscalerContainerMissing": [Case("its name", related=measured(Measure("cpu", "app")))],
    "GoverningServiceMissing": [
        Case("it is headless", workload(kind="StatefulSet"), beside(governing=Governing("db", True, True))),
        Case("no Service was read", workload(kind="StatefulSet"), beside()),
    ],
}

FAILS: dict[str, list[RelatedCase]] = {
    "ProbeCommandOutlasts": [
        Case("gRPC", asking(*GRPC), severity=WARNING, says="gives itself 5 s"),
        Case("curl", asking("curl", "-sfm", "10", "localhost", timeout=5), severity=WARNING, says="10 s"),
        Case("curl in a shell", asking("sh", "-c", "curl --max-time 3 -f localhost"), severity=WARNING, says="3 s"),
        Case("wget", asking("wget", "-T", "4", "-qO-", "localhost"), severity=WARNING, says="4 s"),
        Case("timeout", asking("timeout", "-s", "KILL", "8s", "/alive", timeout=5), severity=WARNING, says="8 s"),
    ],
    "AutoscalerServesFromZero": [
        Case("an Ingress", related=beside(scalers=(KEDA,), routes=(INGRESS,)), severity=WARNING, says="Ingress web"),
        Case("a Service", related=beside(scalers=(KEDA,), services=(service(),)), severity=WARNING, says="Service web"),
    ],
    "ResourceUnitUnlikely": [
        Case("half a byte", container(memory_limit=0.512), severity=ERROR, says="m is a thousandth"),
        Case("half a byte asked for", container(memory_request=0.512), severity=WARNING),
        Case("five hundred cores", container(cpu_request=500.0), severity=WARNING, says="500 cores"),
    ],
    "ClaimHeldByOne": [
        Case("three pods", claiming(), RWO, severity=WARNING, says="replicas is 3"),
        Case("the new pod first", claiming(**ONE), RWO, severity=WARNING, says="the rollout hangs"),
        Case("the new pod first, and one pod alone", claiming(**ONE), RWOP, severity=ERROR, says="one pod at a time"),
        Case("on every node", claiming(kind="DaemonSet"), RWO, severity=WARNING, says="on every node"),
        Case(
            "an autoscaler",
            claiming(strategy="Recreate", **ONE),
            replace(RWO, scalers=(scaler(1, maximum=5),)),
            severity=WARNING,
            says="may ask for 5 pods",
        ),
    ],
    "MemoryVolumeUnbounded": [
        Case("all of the limit", holding(Volume("tmp", "memory")), severity=INFO, says="the whole memory limit"),
        Case("no limit", holding(Volume("tmp", "memory"), memory_limit=None), severity=WARNING, says="by nothing"),
        Case("as much", holding(Volume("tmp", "memory", 512 * MIB)), severity=WARNING, says="512Mi"),
    ],
    "DiskVolumeUnfit": [
        Case("above the limit", holding(Volume("t", "disk", 2048 * MIB), **LIMITED), severity=WARNING, says="2048Mi")
    ],
    "ReferenceMissing": [
        Case("a ConfigMap", related=beside(missing=(Missing(Reference("ConfigMap", "a")),)), severity=WARNING),
        Case(
            "a Secret, seldom kept in Git", related=beside(missing=(Missing(Reference("Secret", "a")),)), severity=INFO
        ),
        Case(
            "a Secret of nearly this name",
            related=beside(missing=(Missing(Reference("Secret", "web-tsl"), near=("web-tls",), likely=True),)),
            severity=WARNING,
            says="did you mean web-tls?",
        ),
        Case(
            "a key",
            related=beside(missing=(Missing(Reference("Secret", "a", "pasword"), near=("password",), key_only=True),)),
            severity=ERROR,
            says="has no key pasword (it has password)",
        ),
        Case(
            "in a cluster",
            related=beside(missing=(Missing(Reference("PersistentVolumeClaim", "a")),), complete=True),
            severity=ERROR,
        ),
    ],
    "MountFrozen": [
        Case(
            "a part",
            replace(holding(MOUNTED), containers=(replace(CONTAINER, mounts=(Mount("settings", True),)),)),
            severity=INFO,
            says="subPath",
        )
    ],
    "HookPortMissing": [
        Case("a name", container(hook_ports=(HookPort("preStop", "httpGet", "gone"),)), severity=ERROR, says="'gone'"),
        Case(
            "a number", container(hook_ports=(HookPort("postStart", "httpGet", 81),)), severity=WARNING, says="port 81"
        ),
        Case(
            "a handler that never works",
            container(hook_ports=(HookPort("postStart", "tcpSocket", "http"),)),
            severity=ERROR,
            says="started again",
        ),
    ],
    "ReadinessGateSet": [
        Case("one", pods(readiness_gates=("example.com/warm",)), severity=INFO, says="example.com/warm")
    ],
    "AutoscalerRequestMissing": [
        Case("CPU", related=measured(Measure("cpu")), severity=WARNING, says="utilization of cpu"),
        Case("memory", related=measured(Measure("memory")), severity=WARNING, says="of memory"),
        Case("no metric at all", related=measured(Measure("cpu", default=True)), severity=INFO, says="by default"),
        Case(
            "a native sidecar",
            replace(REQUESTING, pods=replace(REQUESTING.pods, sidecars=(Container("proxy"),))),
            measured(Measure("cpu")),
            severity=WARNING,
        ),
    ],
    "AutoscalerContainerMissing": [
        Case("another name", related=measured(Measure("cpu", "ap")), severity=WARNING, says="the container ap"),
        Case("a mesh's", related=measured(Measure("cpu", "istio-proxy")), severity=INFO),
    ],
    "GoverningServiceMissing": [
        Case("none", workload(kind="StatefulSet"), beside(governing=Governing("db", False, False)), severity=WARNING),
        Case(
            "it has an address",
            workload(kind="StatefulSet"),
            beside(governing=Governing("db", True, False)),
            severity=INFO,
        ),
    ],
}
