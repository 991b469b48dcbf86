"""What stands beside a workload and changes what its manifest means: budgets, autoscalers, Services, monitors, routes.

Facts only, pruned to what the checks need. `place` of each is opaque to this package: whoever read the object may
find it again by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leakwarden.core.model.labels import LabelSelector


@dataclass(frozen=True, slots=True)
class Identity:
    """Which object it is. `namespace` is empty where its manifest names none: it goes wherever it is applied."""

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
class Scaler:
    """A HorizontalPodAutoscaler or a KEDA ScaledObject. `minimum` is that while anything is to be done."""

    identity: Identity
    target_kind: str
    target: str
    minimum: int
    maximum: int | None = None
    minimum_given: bool = True
    place: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ServicePort:
    name: str
    port: int
    target: int | str  # a container port's number or name
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class Service:
    """`selector` is empty where the Service has none: its endpoints are then somebody else's."""

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
    """An Ingress or HTTPRoute, and how long it waits for an answer; `seconds` is None where it does not say."""

    identity: Identity
    services: tuple[str, ...]
    seconds: float | None = None
    said_by: str = ""  # the field or annotation that says so
    place: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Related:
    """What belongs to one workload. `complete`: what is not here is not there; else it may be, elsewhere."""

    budgets: tuple[Budget, ...] = ()
    scalers: tuple[Scaler, ...] = ()
    services: tuple[Service, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    routes: tuple[Route, ...] = ()
    complete: bool = False
    monitored_elsewhere: bool = True  # no monitor is among what was read, so nothing is known of scraping
