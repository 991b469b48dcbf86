"""The proxies' metrics of requests by status code and of the time of their upstreams, as PromQL.

Names and labels are those of the projects' own documentation: ingress-nginx (User guide, Monitoring), Istio (Standard
Metrics), Envoy (Cluster statistics, also of gateways made from it), and client_golang's promhttp for the application.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from leakwarden.core.promql import matcher


@dataclass(frozen=True, slots=True)
class ProxyPreset:
    """`route` is the label of the route in question; `scale` turns the histogram's unit into seconds."""

    about: str
    requests: str
    code: str
    route: str
    histogram: str
    scale: float = 1.0
    where: str = ""

    def errors(self, route: str, step: float) -> str:
        """Requests per second by status code, one series per code, whose label `pod` is the code."""
        series = f"{self.requests}{{{self._matchers(route)}}}[{_window(step)}]"
        return f'label_replace(sum by ({self.code}) (rate({series})), "pod", "$1", "{self.code}", "(.*)")'

    def p99(self, route: str, step: float) -> str:
        """In seconds, one series."""
        series = f"{self.histogram}{{{self._matchers(route)}}}[{_window(step)}]"
        quantile = f"histogram_quantile(0.99, sum by (le) (rate({series}))) * {self.scale:g}"
        return f'label_replace({quantile}, "pod", "proxy", "", "")'

    def _matchers(self, route: str) -> str:
        return ",".join(part for part in (matcher(self.route, "=", route), self.where) if part)


def _window(step: float) -> str:
    # A rate over less than four scrapes is noise.
    return f"{math.ceil(4 * step)}s"


PRESETS: Mapping[str, ProxyPreset] = {
    "ingress-nginx": ProxyPreset(
        about="ingress-nginx; --route is the name of the Ingress",
        requests="nginx_ingress_controller_requests",
        code="status",
        route="ingress",
        histogram="nginx_ingress_controller_response_duration_seconds_bucket",
    ),
    "istio": ProxyPreset(
        about="Istio, as the calling side reports; --route is the workload that is called",
        requests="istio_requests_total",
        code="response_code",
        route="destination_workload",
        histogram="istio_request_duration_milliseconds_bucket",
        scale=0.001,
        where='reporter="source"',
    ),
    "envoy": ProxyPreset(
        about="Envoy, and gateways made from it; --route is the name of the cluster",
        requests="envoy_cluster_upstream_rq",
        code="envoy_response_code",
        route="envoy_cluster_name",
        histogram="envoy_cluster_upstream_rq_time_bucket",
        scale=0.001,
    ),
    "application": ProxyPreset(
        about="the application's own http_requests_total; --route is the job that is scraped",
        requests="http_requests_total",
        code="code",
        route="job",
        histogram="http_request_duration_seconds_bucket",
    ),
}
