"""What is audited: a workload, the containers of it that matter, and what is known beside the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from leakwarden.api.v1alpha1.policy import Audit
from leakwarden.core.model.workload import Container, Disruption, Probe, Workload

# Injected or bolted on by others: their probes and limits are not the developer's to change.
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
        "kuma-sidecar",
        "linkerd-proxy",
        "otc-container",  # the OpenTelemetry operator's name for its collector
        "vault-agent",
    }
)

ProbeName = Literal["liveness", "readiness", "startup"]


@dataclass(frozen=True, slots=True)
class EndpointObservation:
    """What one probe endpoint of one pod answered: a status code, or why there is none (a short phrase)."""

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
class Subject:
    """Everything a check may look at. `drain` is in seconds; `disruptions` is None where not known."""

    workload: Workload
    policy: Audit
    drain: float
    containers: tuple[Container, ...]
    answers: tuple[EndpointObservation, ...] = ()
    disruptions: tuple[Disruption, ...] | None = None


def main_containers(workload: Workload) -> tuple[Container, ...]:
    """The containers that are audited: those with ports or probes, less the known sidecars.

    Where none has any, all but the sidecars: a service that declares nothing must not pass for
    having nothing to check.
    """
    own = tuple(c for c in workload.containers if c.name not in SIDECARS)
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
    """The number a probe's port stands for, as the kubelet resolves it: a declared name, else digits in a string."""
    if port is None or isinstance(port, int):
        return port
    for name, number in container.ports:
        if name == port:
            return number
    return int(port) if port.isascii() and port.isdigit() else None


def _serves(container: Container) -> bool:
    return bool(container.ports or probes(container))
