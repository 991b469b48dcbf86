"""Settings between a proxy and the pods: retries, outlier detection, and reuse of connections."""

from __future__ import annotations

from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.related import Handling
from leakwarden.core.audit.subject import Subject


def never_retries(subject: Subject) -> Iterator[Defect]:
    """A proxy never tries another pod.

    A pod that ends, or that refuses a connection, costs the user the request, although the next pod would have answered. One
    more try for connections that fail repeats nothing that a pod has seen.

    Mend:
        nginx.ingress.kubernetes.io/proxy-next-upstream: "error timeout"

    Source: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/configmap/#proxy-next-upstream
    """
    for handling in _handlings(subject):
        if handling.never_retries:
            yield Defect(
                Severity.WARNING,
                f"{handling.identity} has {handling.never_retries}: each pod that ends costs requests that another would answer",
                "retries of connections that fail (error timeout; connect-failure,refused-stream), and few of them",
            )


def repeats_writes(subject: Subject) -> Iterator[Defect]:
    """A proxy may send a request that writes twice.

    A pod may have done the work of a request that failed: an order is placed twice where the proxy repeats a POST. Under
    overload repeats also multiply the load.

    Mend:
        nginx.ingress.kubernetes.io/proxy-next-upstream: "error timeout"   # without non_idempotent

    Source: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream
    """
    for handling in _handlings(subject):
        if handling.repeats_writes:
            yield Defect(
                Severity.WARNING,
                f"{handling.identity} has {handling.repeats_writes}: a request that a pod has begun, a POST too, may be sent again",
                "only failures before a pod has seen the request (error timeout; connect-failure,refused-stream)",
            )


def no_outlier_detection(subject: Subject) -> Iterator[Defect]:
    """A DestinationRule has no circuit breaker.

    Without outlierDetection a pod that answers every request with a 5xx keeps its share of them for as long as its
    readiness probe passes.

    Mend:
        trafficPolicy:
          outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s, maxEjectionPercent: 50}

    Source: https://istio.io/latest/docs/reference/config/networking/destination-rule/#OutlierDetection
    """
    for handling in _handlings(subject):
        if handling.ejects is False:
            yield Defect(
                Severity.INFO,
                f"{handling.identity} has no outlierDetection: a pod that fails keeps its share of the requests",
                "trafficPolicy.outlierDetection with consecutive5xxErrors and maxEjectionPercent",
            )


def connections_not_reused(subject: Subject) -> Iterator[Defect]:
    """A proxy opens a connection for each request.

    Each costs the pod a descriptor, a goroutine and a handshake, and leaves a port in TIME_WAIT: under load ports and
    descriptors run out first.

    Mend:
        connectionPool: {http: {maxRequestsPerConnection: 0}}   # no bound; or 1000

    Source: https://istio.io/latest/docs/reference/config/networking/destination-rule/#ConnectionPoolSettings-HTTPSettings
    """
    for handling in _handlings(subject):
        if handling.new_connections:
            yield Defect(
                Severity.WARNING,
                f"{handling.identity} has {handling.new_connections}: no connection to the pods is used again",
                "kept connections (keep-alive; maxRequestsPerConnection 0, or hundreds)",
            )


def _handlings(subject: Subject) -> tuple[Handling, ...]:
    return subject.related.handlings if subject.related is not None else ()
