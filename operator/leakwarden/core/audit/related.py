"""Other objects that change the meaning of a workload's manifest: budgets, autoscalers, Services, monitors, routes.

Facts only, reduced to those that the checks need. The `place` of each is opaque to this package: the code that read the
object can find it again by this value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leakwarden.core.model.labels import LabelSelector
from leakwarden.core.model.workload import Reference, Workload


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of an object. `namespace` is empty where its manifest names none: it goes wherever it is applied."""

    kind: str
    namespace: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget. `selector` is None where it has none, which selects nothing."""

    identity: Identity
    selector: LabelSelector | None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    unhealthy_policy: str = ""
    place: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric that an autoscaler compares with the requests of the pods: `resource` is cpu or memory."""

    resource: str
    container: str = ""  # of this container alone; empty for the whole pod
    utilization: bool = True  # a share of the request, and not an amount
    default: bool = False  # no metric is written, so the API server uses 80 % of the CPU requests


@dataclass(frozen=True, slots=True)
class Scaler:
    """A HorizontalPodAutoscaler or a KEDA ScaledObject. `minimum` is the least number of pods while there is work to
    do."""

    identity: Identity
    target_kind: str
    target: str
    minimum: int
    maximum: int | None = None
    minimum_given: bool = True
    place: Any = field(default=None, compare=False)
    measures: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class VerticalScaler:
    """A VerticalPodAutoscaler that changes the requests of pods; one that only recommends is not kept.

    `controls`: (container, or * for every other one; the resources whose request it sets, cpu and memory).
    """

    identity: Identity
    target_kind: str
    target: str
    mode: str
    controls: tuple[tuple[str, frozenset[str]], ...] = ()
    place: Any = field(default=None, compare=False)

    def resources(self, container: str) -> frozenset[str]:
        """The resources whose request it sets for this container."""
        policies = dict(self.controls)
        return policies.get(container, policies.get("*", frozenset({"cpu", "memory"})))


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota of a namespace; one that counts only some of the pods (by its scopes) is not kept."""

    identity: Identity
    hard: tuple[tuple[str, float], ...]  # (pods, requests.cpu, ...; the amount in pods, cores or bytes)
    place: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Referring:
    """An Argo Rollout that takes its pods' template from another workload, by workloadRef."""

    identity: Identity
    target_kind: str
    target: str
    scale_down: str = ""  # onsuccess, progressively, never; empty where it is not written, which means never
    place: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Shared:
    """A budget that counts the pods of several workloads together."""

    pods: int
    names: tuple[str, ...]  # of the first of the workloads
    workloads: int


@dataclass(frozen=True, slots=True)
class Full:
    """What the pods of a namespace use of a quota's resource, at least."""

    quota: Identity
    resource: str
    hard: float
    used: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim."""

    identity: Identity
    modes: tuple[str, ...] = ()
    place: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class KeySource:
    """A ConfigMap or Secret: its keys, never their values. `keys` None: they are not known."""

    identity: Identity
    keys: frozenset[str] | None = None
    place: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Missing:
    """An object that a workload refers to and that was not found."""

    reference: Reference
    container: str = ""
    near: tuple[str, ...] = ()  # names that may have been meant
    key_only: bool = False  # the object exists, its key does not
    likely: bool = False  # an object of nearly the same name is used by nothing


@dataclass(frozen=True, slots=True)
class ServicePort:
    name: str
    port: int
    target: int | str  # a container port's number or name
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class Service:
    """`selector` is empty where the Service has none: another controller then makes its endpoints."""

    identity: Identity
    selector: Mapping[str, str]
    ports: tuple[ServicePort, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    type: str = "ClusterIP"
    headless: bool = False
    publishes_unready: bool = False
    local_traffic: bool = False
    place: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Monitor:
    """A ServiceMonitor or PodMonitor of the Prometheus operator.

    `namespaces` is None for all of them, and empty for the monitor's own.
    """

    identity: Identity
    selector: LabelSelector
    ports: tuple[int | str, ...] = ()
    namespaces: tuple[str, ...] | None = ()
    place: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Route:
    """An Ingress or HTTPRoute, and how long it waits for an answer; `seconds` is None where the time is not written."""

    identity: Identity
    services: tuple[str, ...]
    seconds: float | None = None
    said_by: str = ""  # the field or annotation with this time
    place: Any = field(default=None, compare=False)
    # (Service, its port by number or name; None where it is not written)
    backends: tuple[tuple[str, int | str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Handling:
    """How a proxy treats the requests to a Service: of an Ingress, VirtualService or DestinationRule."""

    identity: Identity
    services: tuple[str, ...]
    never_retries: str = ""  # the setting that forbids any second try, as it is written
    repeats_writes: str = ""  # the setting by which a request that a pod has begun may be sent again
    new_connections: str = ""  # the setting by which connections are not used again
    ejects: bool | None = None  # whether pods that fail are taken out; None: it is not said here
    place: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Governing:
    """The Service that gives the pods of a StatefulSet their names, as far as it was found."""

    name: str
    found: bool
    headless: bool


@dataclass(frozen=True, slots=True)
class Related:
    """The objects that belong to one workload."""

    budgets: tuple[Budget, ...] = ()
    scalers: tuple[Scaler, ...] = ()
    services: tuple[Service, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    routes: tuple[Route, ...] = ()
    claims: tuple[Claim, ...] = ()
    handlings: tuple[Handling, ...] = ()
    missing: tuple[Missing, ...] = ()
    vertical: tuple[VerticalScaler, ...] = ()
    referring: tuple[Referring, ...] = ()
    shared: Mapping[str, Shared] = field(default_factory=dict)  # by the budget's name; of those that are shared
    servers: Mapping[str, Workload] = field(
        default_factory=dict
    )  # by the Service's name; of those that send to several
    full: tuple[Full, ...] = ()
    governing: Governing | None = None  # also None where no Service was read
    sources_read: bool = False  # whether any ConfigMap, Secret or claim of its namespace was read
    complete: bool = False  # an object that is not here does not exist; else it may be defined elsewhere
    monitored_elsewhere: bool = True  # no monitor was read, so nothing is known about scraping
