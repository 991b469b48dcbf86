"""Frozen facts about workloads and their pods: the API server's objects, pruned to the fields that decisions need."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Literal

from leakwarden.core.model.labels import LabelSelector


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of a container. `port` is a number or the name of a container port; None unless http/tcp/grpc."""

    kind: Literal["http", "tcp", "grpc", "exec"]
    path: str = ""
    port: int | str | None = None
    scheme: str = "HTTP"
    initial_delay: int = 0
    period: int = 10
    timeout: int = 1
    failure_threshold: int = 3
    success_threshold: int = 1
    host: str = ""  # httpGet.host or tcpSocket.host: the kubelet then asks this address in place of the pod's
    service: str = ""  # of a gRPC probe
    command: tuple[str, ...] = ()  # of an exec probe
    grace: int | None = None  # s; the probe's own terminationGracePeriodSeconds


@dataclass(frozen=True, slots=True)
class PreStop:
    """A preStop hook. `seconds` is its duration where it is known (`sleep`), else None, and it takes `at_least`."""

    kind: Literal["sleep", "exec", "http"]
    seconds: int | None = None
    at_least: int = 0  # s

    @property
    def least(self) -> int:
        """Seconds that it takes for certain."""
        return self.at_least if self.seconds is None else self.seconds


@dataclass(frozen=True, slots=True)
class HookPort:
    """A lifecycle hook that asks a port of the pod."""

    hook: Literal["preStop", "postStart"]
    handler: Literal["httpGet", "tcpSocket"]
    port: int | str | None
    host: str = ""  # empty: the pod's own address


@dataclass(frozen=True, slots=True)
class Reference:
    """What a pod cannot start without: a ConfigMap, a Secret or a claim, or (`key`) one key of the former two."""

    kind: Literal["ConfigMap", "Secret", "PersistentVolumeClaim"]
    name: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a container sees a volume. `part`: by subPath, so that later changes of the source are not seen."""

    volume: str
    part: bool = False


@dataclass(frozen=True, slots=True)
class Volume:
    """`memory` and `disk` are an emptyDir; `configuration` comes of ConfigMaps and Secrets."""

    name: str
    kind: Literal["claim", "memory", "disk", "configuration", "other"]
    size_limit: float | None = None  # bytes; of an emptyDir
    references: tuple[Reference, ...] = ()  # those that are not optional


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """The facts from a container's command and arguments. These themselves are not kept: they may hold secrets."""

    # The first process is a shell that waits for the program: after other commands ("chain"), or for the only one
    # ("simple"), where many shells put the program in their own place.
    waiting_shell: Literal["", "simple", "chain"] = ""
    raises_descriptors: bool = False  # it calls `ulimit -n`
    numbers: frozenset[int] = frozenset()  # in the arguments and variables: a port may be given by them


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    image: str = ""
    ports: tuple[tuple[str, int], ...] = ()  # (name or "", containerPort)
    liveness: Probe | None = None
    readiness: Probe | None = None
    startup: Probe | None = None
    pre_stop: PreStop | None = None
    memory_limit: float | None = None  # bytes
    env: Mapping[str, str] = field(default_factory=dict)  # literal values only, never from secrets
    env_from: tuple[str, ...] = ()  # ConfigMaps that become variables; "" stands for a Secret
    env_keys: tuple[tuple[str, str, str], ...] = ()  # (variable, ConfigMap, key) of the variables in `env`
    cpu_limit: float | None = None  # cores
    host_ports: tuple[int, ...] = ()
    entrypoint: Entrypoint = Entrypoint()
    memory_request: float | None = None  # bytes; the limit where no request is written, as the API server defaults it
    cpu_request: float | None = None  # cores; the same
    disk_limit: float | None = None  # bytes of ephemeral storage
    hook_ports: tuple[HookPort, ...] = ()
    mounts: tuple[Mount, ...] = ()
    other_protocols: tuple[tuple[str, str], ...] = ()  # (port's name, protocol) of named ports that are not TCP
    references: tuple[Reference, ...] = ()  # of its variables; those that are optional are not among them


@dataclass(frozen=True, slots=True)
class Spread:
    """A topology spread constraint, or a pod anti-affinity term, and the pods that it counts."""

    topology_key: str
    selector: LabelSelector | None
    required: bool  # DoNotSchedule, or requiredDuringScheduling
    affinity: bool = False  # an anti-affinity term


@dataclass(frozen=True, slots=True)
class PodFacts:
    """The fields of a pod template that the audit needs in addition to its containers."""

    labels: Mapping[str, str] = field(default_factory=dict)
    sidecars: tuple[Container, ...] = ()  # init containers with restartPolicy: Always
    host_network: bool = False
    shared_processes: bool = False  # shareProcessNamespace: the first process is then the pod's pause
    memory_limit: float | None = None  # bytes; the pod's own, which bounds its containers together
    spreads: tuple[Spread, ...] = ()
    claims: bool = False  # a PersistentVolumeClaim is mounted
    restart_policy: str = "Always"
    # (annotation, seconds) of the proxies that a mesh injects: how long they wait before they end.
    proxy_waits: tuple[tuple[str, int], ...] = ()
    volumes: tuple[Volume, ...] = ()
    references: tuple[Reference, ...] = ()  # of init containers that end
    memory_request: float | None = None  # bytes; of the pod as a whole
    cpu_request: float | None = None  # cores; of the pod as a whole
    readiness_gates: tuple[str, ...] = ()
    pinned: bool = False  # to one node, by nodeName or its hostname label


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, or another kind that makes pods from a template; `kind` names it."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    created: float  # epoch s
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    generation: int
    observed_generation: int
    replicas: int  # spec.replicas
    updated_replicas: int
    ready_replicas: int
    unavailable_replicas: int
    paused: bool
    strategy: str  # RollingUpdate | Recreate
    max_unavailable: int | str | None
    max_surge: int | str | None
    min_ready_seconds: int
    progress_deadline: int
    termination_grace: int  # s
    containers: tuple[Container, ...]
    template_hash: str = ""  # changes when the pod template does
    # epoch s; when the last rollout was complete, None where the status does not have it
    rolled_out: float | None = None
    owner: str = ""  # kind and name of the object that controls it, such as a custom resource
    kind: str = "Deployment"
    pods: PodFacts = PodFacts()
    service_name: str = ""  # of a StatefulSet
    # Findings of the checks that read the manifest as it is written, made when it was read; opaque here.
    written: tuple[Any, ...] = field(default=(), compare=False)
    replicas_given: bool = True  # spec.replicas is written; False where the default of 1 stands in
    ordered: bool = False  # a StatefulSet whose pods are made one after the other (podManagementPolicy OrderedReady)
    # How many pods a rollout replaces, where that is not all of them: a StatefulSet's partition keeps the others.
    to_update: int | None = None
    template_of: str = ""  # the Deployment that holds the template of a Rollout with workloadRef, which is not read
    promoted: bool = True  # False for an Argo Rollout whose newest version is not, or not yet, the stable one

    @property
    def title(self) -> str:
        """What identifies it within its namespace: the name of a Deployment; KIND/NAME of any other kind, since
        workloads of two kinds may have one name."""
        return self.name if self.kind == "Deployment" else f"{self.kind}/{self.name}"

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.title}"

    @property
    def rollout_in_progress(self) -> bool:
        wanted = self.replicas if self.to_update is None else self.to_update
        return self.observed_generation < self.generation or self.updated_replicas < wanted or not self.promoted


def ordinal(pod: str) -> int | None:
    """The ordinal in the name of a StatefulSet's pod; None where the name has none."""
    digits = pod.rpartition("-")[2]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


@dataclass(frozen=True, slots=True)
class PodContainer:
    """The running state of one container of a pod."""

    name: str
    ready: bool
    restarts: int
    started: float | None  # epoch s of the present incarnation; None when not running


@dataclass(frozen=True, slots=True)
class Pod:
    namespace: str
    name: str
    uid: str
    # The UID of its workload: a Deployment or Rollout, found through its ReplicaSet, or the StatefulSet or DaemonSet that
    # controls it; None when owned otherwise.
    workload_uid: str | None
    created: float  # epoch s
    node: str
    host_ip: str
    pod_ip: str
    phase: str
    ready: bool
    terminating: bool
    containers: tuple[PodContainer, ...]
    protected: str = ""  # the annotation by which people forbid to take it away; empty where none does

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def available(self) -> bool:
        """Whether it serves: ready and not on its way out."""
        return self.ready and not self.terminating


@dataclass(frozen=True, slots=True)
class Disruption:
    """A PodDisruptionBudget, as far as it can explain a refused eviction."""

    namespace: str
    name: str
    disruptions_allowed: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the cluster at one moment."""

    workloads: Mapping[str, Workload]  # by UID
    pods_by_workload: Mapping[str, tuple[Pod, ...]]  # by the workload's UID
    # False until each reflector has listed once, and while the operator's clock is far from the API server's.
    synced: bool = True
    # s since the most outdated reflector last got data from the API server; infinite where it has no right to read.
    age: float = 0.0
    trouble: str = ""  # the present obstacle in one line for people, such as a missing right; or empty
    # The autoscaler of a workload, in words, by its namespace and title; None where autoscalers cannot be read.
    autoscalers: Mapping[tuple[str, str], str] | None = None
    autoscalers_denied: str = ""  # the right that is missing to read them, in one line for people, or empty
    # Kind -> why its workloads are not known now, or not all of them, in words. A Deployment is never in it: without
    # Deployments nothing at all is `synced`.
    unread_kinds: Mapping[str, str] = field(default_factory=dict)
    absent_kinds: Set[str] = frozenset()  # those of `unread_kinds` that the API server does not serve
    # The workloads of each namespace: a thousand policies must not each walk over all workloads of the cluster.
    by_namespace: Mapping[str, tuple[Workload, ...]] = field(init=False, repr=False, compare=False)
    # The workloads that each policy claims, as far as they were looked for: by the policy's UID, with the policy.
    claims: dict[str, tuple[object, list[Workload]]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        grouped: dict[str, list[Workload]] = {}
        for workload in self.workloads.values():
            grouped.setdefault(workload.namespace, []).append(workload)
        object.__setattr__(self, "by_namespace", {name: tuple(found) for name, found in grouped.items()})


def container_memory_limit(workload: Workload, container: str) -> float | None:
    """A container's memory limit in bytes. Where the source of a reading does not name the container it is that of the
    only one: with several, it is not known whose limit it would be."""
    limits = {each.name: each.memory_limit for each in workload.containers}
    if container:
        return limits.get(container)
    return next(iter(limits.values())) if len(limits) == 1 else None
