"""The proxies' metrics of requests by status code and of the time of their upstreams, as PromQL.

Names and labels are those of the projects' own documentation: ingress-nginx (User guide, Monitoring), Istio (Standard
Metrics), Envoy (Cluster statistics, also of gateways made from it), and client_golang's promhttp for the application.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from leakwarden.api.v1alpha1.proxy import ProxyType
from leakwarden.core.promql import literal_regex, matcher


@dataclass(frozen=True, slots=True)
class ProxyPreset:
    """Names of one proxy's metrics."""

    about: str
    requests: str  # a counter
    code: str  # the label that holds the status code
    route: str  # the label that names what is asked about
    histogram: str
    scale: float = 1.0  # turns the histogram's unit into seconds
    where: str = ""  # further matchers
    # Labels of which one must be the namespace that is asked about, where one is given. A proxy whose metrics have no such
    # label is read only where it runs in that namespace itself.
    homes: tuple[str, ...] = ("namespace",)
    # The route as the proxy writes it, with {namespace} and {route}, each a literal of a regular expression. Empty: as given.
    written: str = ""

    def errors(self, route: str, step: float) -> str:
        """Requests per second by status code, one series per code, whose label `pod` is the code."""
        return f'label_replace({self.by_code(route, step)}, "pod", "$1", "{self.code}", "(.*)")'

    def p99(self, route: str, step: float) -> str:
        """In seconds, one series."""
        return f'label_replace({self.quantile(0.99, route, step)}, "pod", "proxy", "", "")'

    def by_code(self, route: str, step: float, namespace: str = "") -> str:
        """Requests per second by status code. `step` in s. With a namespace only what belongs to it is read."""
        return self._first(f"sum by ({self.code})", self.requests, route, step=step, namespace=namespace)

    def quantile(self, share: float, route: str, step: float, namespace: str = "") -> str:
        """The time that this share of the requests stays below, in seconds."""
        rates = self._first("sum by (le)", self.histogram, route, step=step, namespace=namespace)
        return f"histogram_quantile({share:g}, {rates}) * {self.scale:g}"

    def selected(self, metric: str, route: str, more: str = "") -> str:
        """A selector of another metric of this proxy, for this route."""
        return f"{metric}{{{','.join(part for part in (self._matchers(route, '', ''), more) if part)}}}"

    def _first(self, summed: str, name: str, route: str, *, step: float, namespace: str) -> str:
        """By the first of the homes that has any."""
        homes: tuple[str, ...] = self.homes if namespace else ("",)
        parts = [
            f"{summed} (rate({name}{{{self._matchers(route, home, namespace)}}}[{window(step)}]))" for home in homes
        ]
        return parts[0] if len(parts) == 1 else f"({' or '.join(parts)})"

    def _matchers(self, route: str, home: str, namespace: str) -> str:
        asked = matcher(self.route, "=", route)
        if self.written:
            literal = {"route": literal_regex(route), "namespace": literal_regex(namespace) if namespace else "[^/]+"}
            asked = matcher(self.route, "=~", self.written.format(**literal))
        return ",".join(part for part in (asked, self.where, matcher(home, "=", namespace) if home else "") if part)


def window(step: float) -> str:
    # A rate over less than four scrapes is noise.
    return f"{math.ceil(4 * step)}s"


PRESETS: Mapping[str, ProxyPreset] = {
    "ingress-nginx": ProxyPreset(
        about="ingress-nginx; --route is the name of the Ingress",
        requests="nginx_ingress_controller_requests",
        code="status",
        route="ingress",
        histogram="nginx_ingress_controller_response_duration_seconds_bucket",
        # Prometheus renames the controller's own label, unless it is told to honour it.
        homes=("exported_namespace", "namespace"),
    ),
    "istio": ProxyPreset(
        about="Istio, as the calling side reports; --route is the workload that is called",
        requests="istio_requests_total",
        code="response_code",
        route="destination_workload",
        histogram="istio_request_duration_milliseconds_bucket",
        scale=0.001,
        where='reporter="source"',
        homes=("destination_workload_namespace",),
    ),
    "envoy": ProxyPreset(
        about="Envoy, and gateways made from it; --route is the name of the cluster",
        requests="envoy_cluster_upstream_rq",
        code="envoy_response_code",
        route="envoy_cluster_name",
        histogram="envoy_cluster_upstream_rq_time_bucket",
        scale=0.001,
    ),
    "envoy-gateway": ProxyPreset(
        about="Envoy Gateway; --route is the name of the HTTPRoute",
        requests="envoy_cluster_upstream_rq",
        code="envoy_response_code",
        route="envoy_cluster_name",
        histogram="envoy_cluster_upstream_rq_time_bucket",
        scale=0.001,
        # Its clusters are called httproute/NAMESPACE/NAME/rule/NUMBER, which names the namespace.
        homes=("",),
        written="httproute/{namespace}/{route}/rule/.+",
    ),
    "application": ProxyPreset(
        about="the application's own http_requests_total; --route is the job that is scraped",
        requests="http_requests_total",
        code="code",
        route="job",
        histogram="http_request_duration_seconds_bucket",
    ),
}

# What a policy calls them.
OF_POLICY: Mapping[ProxyType, ProxyPreset] = {
    ProxyType.INGRESS_NGINX: PRESETS["ingress-nginx"],
    ProxyType.ISTIO: PRESETS["istio"],
    ProxyType.ENVOY: PRESETS["envoy"],
    ProxyType.ENVOY_GATEWAY: PRESETS["envoy-gateway"],
}
