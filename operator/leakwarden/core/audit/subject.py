"""The subject of an audit: a workload, its containers that matter, and the known facts that are not in its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from leakwarden.core.audit.related import Related
from leakwarden.core.model.workload import Container, Disruption, Probe, Workload

# Containers that other tools inject or add: the developer cannot change their probes and limits.
SIDECARS = frozenset(
    {
        "cloud-sql-proxy",
        "cloudsql-proxy",
        "consul-dataplane",
        "daprd",
        "datadog-agent",
        "envoy",
        "envoy-sidecar",
        "filebeat",
        "fluent-bit",
        "fluentd",
        "istio-proxy",
        "jaeger-agent",
        "kube-rbac-proxy",
        "kuma-sidecar",
        "linkerd-proxy",
        "otc-container",  # the OpenTelemetry operator's name for its collector
        "vault-agent",
    }
)

ProbeName = Literal["liveness", "readiness", "startup"]


@dataclass(frozen=True, slots=True)
class EndpointObservation:
    """The answer of one probe endpoint of one pod: a status code, or why there is none (a short phrase)."""

    pod: str
    container: str
    probe: ProbeName
    port: int
    path: str
    code: int | None
    error: str = ""
    pod_ready: bool = True


@dataclass(frozen=True, slots=True)
class Skipped:
    """A container that is not audited, and why."""

    container: str
    reason: str


@dataclass(frozen=True, slots=True)
class Standard:
    """The requirements for a workload: a policy's audit section, or the defaults where none is written."""

    liveness_path: str = "/healthz"
    readiness_path: str = "/readyz"
    drain: float = 10.0  # s, from SIGTERM until the requests in flight are finished
    drain_given: bool = False  # a person has measured or decided the time; else it is our estimate
    paths_given: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything a check may read. `disruptions` and `related` are None where nothing is known of them."""

    workload: Workload
    policy: Standard
    containers: tuple[Container, ...]
    answers: tuple[EndpointObservation, ...] = ()
    disruptions: tuple[Disruption, ...] | None = None
    related: Related | None = None

    @property
    def drain(self) -> float:
        """Seconds."""
        return self.policy.drain

    @property
    def drain_said(self) -> str:
        """The drain time in words, with its source."""
        return f"drain {self.drain:g} s" if self.policy.drain_given else f"drain {self.drain:g} s (the default)"

    @property
    def serves(self) -> bool:
        """Whether anything may send requests to it: Jobs run to their end and serve no requests."""
        return not ends(self.workload)


RUN_TO_COMPLETION = frozenset({"Job", "CronJob"})


def ends(workload: Workload) -> bool:
    """Whether its pods run to their end: those of Jobs, and bare Pods that are not started again."""
    return workload.kind in RUN_TO_COMPLETION or (workload.kind == "Pod" and workload.pods.restart_policy != "Always")


def main_containers(workload: Workload) -> tuple[Container, ...]:
    """The containers that are audited: those with ports or probes, without the known sidecars.

    Where no container has any, all but the sidecars; where there are only sidecars, these. A service without
    declarations must not count as a service without anything to check, and a proxy that runs by itself is a service.
    """
    own = tuple(c for c in workload.containers if c.name not in SIDECARS) or workload.containers
    return tuple(c for c in own if _serves(c)) or own


def skipped_containers(workload: Workload) -> tuple[Skipped, ...]:
    """The rest of the workload's containers, each with the reason."""
    audited = {c.name for c in main_containers(workload)}
    return tuple(
        Skipped(c.name, "a known sidecar" if c.name in SIDECARS else "neither ports nor probes, beside one that has")
        for c in workload.containers
        if c.name not in audited
    )


def probes(container: Container) -> tuple[tuple[ProbeName, Probe], ...]:
    """The probes that the container has, by name."""
    found: Sequence[tuple[ProbeName, Probe | None]] = (
        ("liveness", container.liveness),
        ("readiness", container.readiness),
        ("startup", container.startup),
    )
    return tuple((name, probe) for name, probe in found if probe is not None)


def port_number(container: Container, port: int | str | None) -> int | None:
    """The number that a probe's port means, as the kubelet resolves it: a declared name, else digits in a string."""
    if port is None or isinstance(port, int):
        return port
    for name, number in container.ports:
        if name == port:
            return number
    return int(port) if port.isascii() and port.isdigit() else None


def _serves(container: Container) -> bool:
    return bool(container.ports or probes(container))
