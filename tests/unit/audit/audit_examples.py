"""A Deployment for which the audit has no findings, and the ways to change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from leakwarden.api.v1alpha1.policy import Audit
from leakwarden.core.audit import EndpointObservation, Finding, audit
from leakwarden.core.audit.related import Related
from leakwarden.core.model.labels import LabelSelector
from leakwarden.core.model.workload import Container, Disruption, Pod, PodFacts, PreStop, Probe, Spread, Workload

MIB = 2.0**20

LIVENESS = Probe("http", "/healthz", "http", timeout=2)
READINESS = Probe("http", "/readyz", "http", period=5, timeout=2)
STARTUP = Probe("http", "/healthz", "http", period=2, failure_threshold=30)

CONTAINER = Container(
    name="app",
    image="shop/web:1",
    ports=(("http", 8080), ("metrics", 9090)),
    liveness=LIVENESS,
    readiness=READINESS,
    startup=STARTUP,
    pre_stop=PreStop("sleep", 5),
    memory_limit=512 * MIB,
    env={"GOMEMLIMIT": "460MiB"},
)

WORKLOAD = Workload(
    namespace="shop",
    name="web",
    uid="w",
    resource_version="1",
    created=0.0,
    labels={"app": "web"},
    annotations={},
    generation=3,
    observed_generation=3,
    replicas=3,
    updated_replicas=3,
    ready_replicas=3,
    unavailable_replicas=0,
    paused=False,
    strategy="RollingUpdate",
    max_unavailable="25%",
    max_surge="25%",
    min_ready_seconds=10,
    progress_deadline=600,
    termination_grace=30,
    containers=(CONTAINER,),
    pods=PodFacts(
        labels={"app": "web"},
        spreads=(Spread("kubernetes.io/hostname", LabelSelector((("app", "web"),)), required=False),),
    ),
)

BUDGET = Disruption("shop", "web", 1)


def workload(**changes: Any) -> Workload:
    return replace(WORKLOAD, **changes)


def container(**changes: Any) -> Workload:
    """The workload with its container changed."""
    return workload(containers=(replace(CONTAINER, **changes),))


def answered(code: int | None, **changes: Any) -> EndpointObservation:
    return replace(EndpointObservation("web-1", "app", "readiness", 8080, "/readyz", code), **changes)


def found(
    subject: Workload,
    answers: Sequence[EndpointObservation] = (),
    disruptions: Sequence[Disruption] | None = (BUDGET,),
    related: Related | None = None,
    **policy: Any,
) -> tuple[Finding, ...]:
    return audit(subject, Audit(**policy), answers, disruptions, related)


def pod(name: str = "web-1", **changes: Any) -> Pod:
    ordinary = Pod("shop", name, name, "w", 0.0, "node", "10.0.0.1", "10.244.0.7", "Running", True, False, ())
    return replace(ordinary, **changes)
