"""The other objects that belong to workloads: budgets, autoscalers, Services, monitors, routes, claims, ConfigMaps and
Secrets.

Read in the same way from manifests and from the API server: an object is its kind and its body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from leakwarden.adapters.cluster import handling_facts, limit_facts, scaler_facts, template_facts, wire
from leakwarden.core.audit.disruption import allowed
from leakwarden.core.audit.landscape import Landscape, Nearness
from leakwarden.core.audit.related import (
    Budget,
    Claim,
    Handling,
    Identity,
    KeySource,
    Monitor,
    Quota,
    Referring,
    Route,
    Scaler,
    Service,
    ServicePort,
    VerticalScaler,
)
from leakwarden.core.model.labels import LabelSelector
from leakwarden.core.model.workload import Workload

# Kind -> the groups that serve it, and the method that reads it.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "PodDisruptionBudget": ("policy",),
    "HorizontalPodAutoscaler": ("autoscaling",),
    "ScaledObject": ("keda.sh",),
    "Service": ("",),
    "ServiceMonitor": ("monitoring.coreos.com",),
    "PodMonitor": ("monitoring.coreos.com",),
    "Ingress": ("networking.k8s.io", "extensions"),
    "HTTPRoute": ("gateway.networking.k8s.io",),
    "ConfigMap": ("",),
    "Secret": ("",),
    "PersistentVolumeClaim": ("",),
    "VirtualService": ("networking.istio.io",),
    "DestinationRule": ("networking.istio.io",),
    "VerticalPodAutoscaler": ("autoscaling.k8s.io",),
    "ResourceQuota": ("",),
}
_NGINX = "nginx.ingress.kubernetes.io/"
_GO_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)", re.ASCII)
_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class _Meta(wire.Wire):
    name: str = ""
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    generate_name: str | None = None


class _BudgetSpec(wire.Wire):
    selector: wire.ApiLabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    unhealthy_pod_eviction_policy: str | None = None


class _ServicePort(wire.Wire):
    name: str | None = None
    port: int = 0
    target_port: int | str | None = None
    protocol: str | None = None


class _ServiceSpec(wire.Wire):
    selector: dict[str, str] | None = None
    ports: list[_ServicePort] | None = None
    type: str | None = None
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    publish_not_ready_addresses: bool | None = None
    external_traffic_policy: str | None = None


class _ClaimSpec(wire.Wire):
    access_modes: list[str] | None = None


class _Endpoint(wire.Wire):
    port: str | None = None
    port_number: int | None = None
    target_port: int | str | None = None


class _Spaces(wire.Wire):
    any: bool | None = None
    match_names: list[str] | None = None


class _MonitorSpec(wire.Wire):
    selector: wire.ApiLabelSelector | None = None
    namespace_selector: _Spaces | None = None
    endpoints: list[_Endpoint] | None = None
    pod_metrics_endpoints: list[_Endpoint] | None = None


class Kubernetes(NamedTuple):
    """An object as it was read. `place` is opaque here: the reader finds the object again by it."""

    kind: str
    body: Mapping[str, Any]
    place: Any = None


@dataclass(slots=True)
class Beside:
    """The objects read so far."""

    budgets: list[Budget] = field(default_factory=list)
    scalers: list[Scaler] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    monitors: list[Monitor] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    sources: list[KeySource] = field(default_factory=list)
    handlings: list[Handling] = field(default_factory=list)
    vertical: list[VerticalScaler] = field(default_factory=list)
    quotas: list[Quota] = field(default_factory=list)
    referring: list[Referring] = field(default_factory=list)
    _configs: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    @staticmethod
    def reads(kind: str, version: Any) -> bool:
        group = version.rpartition("/")[0] if isinstance(version, str) else None
        return group in GROUPS.get(kind, ())

    def take(self, document: Kubernetes) -> Identity:
        """Read the object's facts. Raises ValueError (msgspec's among them), with a message for people."""
        meta = msgspec.convert(document.body.get("metadata"), _Meta | None) or _Meta()
        name = meta.name or meta.generate_name or ""
        identity = Identity(document.kind, meta.namespace or "", name)
        _READERS[document.kind](self, identity, meta, document)
        return identity

    def take_rollout(self, identity: Identity, body: Mapping[str, Any], place: Any) -> None:
        """The Services by which an Argo Rollout moves its traffic, as a route to them."""
        strategy = _mapping(_mapping(body.get("spec")).get("strategy"))
        canary, blue_green = _mapping(strategy.get("canary")), _mapping(strategy.get("blueGreen"))
        names = [canary.get("stableService"), canary.get("canaryService")]
        names += [blue_green.get("activeService"), blue_green.get("previewService")]
        self._route(identity, [(name, None) for name in names], (None, ""), Kubernetes("Rollout", body, place))

    def take_reference(self, identity: Identity, body: Mapping[str, Any], place: Any) -> None:
        """The workload from which an Argo Rollout takes its template. Raises msgspec.ValidationError."""
        if (made := limit_facts.referring(identity, body.get("spec"), place)) is not None:
            self.referring.append(made)

    def landscape(self, workloads: Sequence[Workload], complete: bool, nearness: Nearness) -> Landscape:
        return Landscape(
            workloads=workloads,
            budgets=self.budgets,
            scalers=self.scalers,
            services=self.services,
            monitors=self.monitors,
            routes=self.routes,
            claims=self.claims,
            sources=self.sources,
            handlings=self.handlings,
            vertical=self.vertical,
            quotas=self.quotas,
            referring=self.referring,
            complete=complete,
            nearness=nearness,
        )

    def config(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The Go runtime's variables in a ConfigMap; None where it was not read."""
        found = self._configs.get((namespace, name))
        return found if found is not None or not namespace else self._configs.get(("", name))

    def _budget(self, identity: Identity, _: _Meta, document: Kubernetes) -> None:
        spec = _spec(document, _BudgetSpec)
        budget = Budget(
            identity,
            wire.label_selector(spec.selector),
            spec.min_available,
            max_unavailable=spec.max_unavailable,
            unhealthy_policy=spec.unhealthy_pod_eviction_policy or "",
            place=document.place,
        )
        # a value that is neither a number nor a percentage is reported here once, and not for each workload
        allowed(budget, 1)
        self.budgets.append(budget)

    def _scaler(self, identity: Identity, _: _Meta, document: Kubernetes) -> None:
        self.scalers.append(scaler_facts.scaler(identity, document.body.get("spec"), document.place))

    def _vertical_scaler(self, identity: Identity, _: _Meta, document: Kubernetes) -> None:
        made = limit_facts.vertical_scaler(identity, document.body.get("spec"), document.place)
        if made is not None:
            self.vertical.append(made)

    def _quota(self, identity: Identity, _: _Meta, document: Kubernetes) -> None:
        if (made := limit_facts.quota(identity, document.body.get("spec"), document.place)) is not None:
            self.quotas.append(made)

    def _service(self, identity: Identity, meta: _Meta, document: Kubernetes) -> None:
        spec = _spec(document, _ServiceSpec)
        external = spec.type == "ExternalName"
        self.services.append(
            Service(
                identity,
                {} if external else spec.selector or {},
                tuple(
                    ServicePort(
                        port.name or "", port.port, _target(port.target_port, port.port), port.protocol or "TCP"
                    )
                    for port in spec.ports or ()
                ),
                labels=meta.labels or {},
                type=spec.type or "ClusterIP",
                headless=spec.cluster_ip == "None",
                publishes_unready=spec.publish_not_ready_addresses or False,
                local_traffic=spec.external_traffic_policy == "Local",
                place=document.place,
            )
        )

    def _monitor(self, identity: Identity, _: _Meta, document: Kubernetes) -> None:
        spec = _spec(document, _MonitorSpec)
        spaces = spec.namespace_selector or _Spaces()
        ports = [
            port
            for each in spec.endpoints or spec.pod_metrics_endpoints or ()
            for port in (each.port, each.port_number, each.target_port)
            if port is not None
        ]
        self.monitors.append(
            Monitor(
                identity,
                wire.label_selector(spec.selector) or LabelSelector(),
                tuple(ports),
                None if spaces.any else tuple(spaces.match_names or ()),
                document.place,
            )
        )

    def _ingress(self, identity: Identity, meta: _Meta, document: Kubernetes) -> None:
        spec = _mapping(document.body.get("spec"))
        backends = [_mapping(spec.get("defaultBackend") or spec.get("backend"))]
        for rule in _items(spec.get("rules")):
            backends += [_mapping(path.get("backend")) for path in _items(_mapping(rule.get("http")).get("paths"))]
        targets = [_backend(each) for each in backends]
        seconds, said = None, ""
        for short in ("proxy-read-timeout", "proxy-send-timeout"):
            text = (meta.annotations or {}).get(_NGINX + short, "").strip()
            if text.isascii() and text.removesuffix("s").isdigit() and len(text) < 10:
                value = float(text.removesuffix("s"))
                if seconds is None or value > seconds:
                    seconds, said = value, _NGINX + short
        self._route(identity, targets, (seconds, said), document)
        self._handled(handling_facts.ingress(identity, targets, meta.annotations or {}, document.place))

    def _virtual_service(self, identity: Identity, _: _Meta, document: Kubernetes) -> None:
        self._handled(handling_facts.virtual_service(identity, document.body.get("spec"), document.place))

    def _destination_rule(self, identity: Identity, _: _Meta, document: Kubernetes) -> None:
        self._handled(handling_facts.destination_rule(identity, document.body.get("spec"), document.place))

    def _handled(self, handling: Handling | None) -> None:
        if handling is not None:
            self.handlings.append(handling)

    def _http_route(self, identity: Identity, _: _Meta, document: Kubernetes) -> None:
        targets: list[tuple[Any, Any]] = []
        seconds, said = None, ""
        for rule in _items(_mapping(document.body.get("spec")).get("rules")):
            for each in _items(rule.get("backendRefs")):
                # A backend in another namespace is not searched for here.
                if each.get("kind", "Service") == "Service" and not each.get("namespace"):
                    targets.append((each.get("name"), each.get("port")))
            timeouts = _mapping(rule.get("timeouts"))
            for limit in ("request", "backendRequest"):
                value = _duration(timeouts.get(limit))
                if value is not None and (seconds is None or value > seconds):
                    seconds, said = value, f"timeouts.{limit}"
        self._route(identity, targets, (seconds, said), document)

    def _route(
        self,
        identity: Identity,
        targets: Iterable[tuple[Any, Any]],
        waits: tuple[float | None, str],
        document: Kubernetes,
    ) -> None:
        backends = tuple(
            dict.fromkeys(
                (name, port if isinstance(port, int | str) else None)
                for name, port in targets
                if isinstance(name, str) and name
            )
        )
        services = tuple(dict.fromkeys(name for name, _ in backends))
        self.routes.append(Route(identity, services, *waits, document.place, backends))

    def _claim(self, identity: Identity, _: _Meta, document: Kubernetes) -> None:
        spec = _spec(document, _ClaimSpec)
        self.claims.append(Claim(identity, tuple(spec.access_modes or ()), document.place))

    def _secret(self, identity: Identity, _: _Meta, document: Kubernetes) -> None:
        # Only the names of a Secret's keys are kept.
        self.sources.append(KeySource(identity, _keys(document, "data", "stringData"), document.place))

    def _config_map(self, identity: Identity, _: _Meta, document: Kubernetes) -> None:
        data = _mapping(document.body.get("data"))
        # Any key may become a runtime variable by configMapKeyRef, so all short ones of a small map are kept.
        kept = {str(k): v for k, v in data.items() if isinstance(v, str) and len(v) <= 32}
        wanted = {
            k: v for k, v in kept.items() if k in template_facts.RUNTIME_ENV or "GO" in k.upper() or "mem" in k.lower()
        }
        self._configs[identity.namespace, identity.name] = wanted
        self.sources.append(KeySource(identity, _keys(document, "data", "binaryData"), document.place))


_READERS: Mapping[str, Callable[[Beside, Identity, _Meta, Kubernetes], None]] = {
    "PodDisruptionBudget": Beside._budget,
    "HorizontalPodAutoscaler": Beside._scaler,
    "ScaledObject": Beside._scaler,
    "Service": Beside._service,
    "ServiceMonitor": Beside._monitor,
    "PodMonitor": Beside._monitor,
    "Ingress": Beside._ingress,
    "HTTPRoute": Beside._http_route,
    "ConfigMap": Beside._config_map,
    "Secret": Beside._secret,
    "PersistentVolumeClaim": Beside._claim,
    "VirtualService": Beside._virtual_service,
    "DestinationRule": Beside._destination_rule,
    "VerticalPodAutoscaler": Beside._vertical_scaler,
    "ResourceQuota": Beside._quota,
}


def _keys(document: Kubernetes, *fields: str) -> frozenset[str] | None:
    """The names of the keys; None where none is written: then another program, such as an operator, fills it."""
    found = frozenset(str(key) for name in fields for key in _mapping(document.body.get(name)))
    return found or None


def _backend(backend: Mapping[str, Any]) -> tuple[Any, Any]:
    """(the Service's name, its port), as networking.k8s.io/v1 and its earlier versions write them."""
    service = _mapping(backend.get("service"))
    port = _mapping(service.get("port"))
    if service:
        return service.get("name"), port.get("name") or port.get("number")
    return backend.get("serviceName"), backend.get("servicePort")


def _spec(document: Kubernetes, shape: Any) -> Any:
    try:
        return msgspec.convert(document.body.get("spec"), shape | None) or shape()
    except msgspec.ValidationError as error:
        # The path begins at the spec.
        raise msgspec.ValidationError(
            str(error).replace("`$", "`$.spec", 1) if "`$" in str(error) else str(error)
        ) from None


def _target(target: int | str | None, port: int) -> int | str:
    if target is None or target == 0 or target == "":
        return port
    return int(target) if isinstance(target, str) and target.isascii() and target.isdigit() else target


def _duration(text: Any) -> float | None:
    """Seconds of a Gateway API duration such as 1m30s; None for anything else, and for 0s, which means no limit."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    parts = _GO_DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNIT[unit] for number, unit in parts) or None


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
