"""How proxies treat requests: facts of ingress-nginx's annotations and of Istio's VirtualServices and DestinationRules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from leakwarden.core.audit.related import Handling, Identity

_NGINX = "nginx.ingress.kubernetes.io/"
# Envoy's conditions for a retry under which a pod may have begun the request (Envoy's router filter, x-envoy-retry-on).
_BEGUN = frozenset({"5xx", "gateway-error", "reset"})


def ingress(
    identity: Identity, targets: Iterable[tuple[Any, Any]], annotations: Mapping[str, str], place: Any
) -> Handling | None:
    services = tuple(dict.fromkeys(name for name, _ in targets if isinstance(name, str) and name))
    name = _NGINX + "proxy-next-upstream"
    words = annotations.get(name, "").split()
    header = annotations.get(_NGINX + "connection-proxy-header", "").strip().lower()
    if not services or not (words or header):
        return None
    written = f"{name}: {' '.join(words)}"[:200]
    return Handling(
        identity,
        services,
        never_retries=written if words == ["off"] else "",
        repeats_writes=written if "non_idempotent" in words else "",
        new_connections=f"{_NGINX}connection-proxy-header: close" if header == "close" else "",
        place=place,
    )


def virtual_service(identity: Identity, spec: Any, place: Any) -> Handling | None:
    """Of its HTTP routes; the first of them that says something counts."""
    services: dict[str, None] = {}
    never = repeats = ""
    for route in _items(_mapping(spec).get("http")):
        for destination in _items(route.get("route")):
            if service := _service(_mapping(destination.get("destination")).get("host"), identity):
                services[service] = None
        retries = _mapping(route.get("retries"))
        attempts = retries.get("attempts")
        if isinstance(attempts, int) and not isinstance(attempts, bool) and attempts == 0:
            never = never or "retries.attempts: 0"
            continue
        on = retries.get("retryOn")
        words = [word.strip() for word in on.split(",")] if isinstance(on, str) else []
        if _BEGUN.intersection(words):
            repeats = repeats or f"retries.retryOn: {','.join(words)}"[:200]
    if not services:
        return None
    return Handling(identity, tuple(services), never_retries=never, repeats_writes=repeats, place=place)


def destination_rule(identity: Identity, spec: Any, place: Any) -> Handling | None:
    service = _service(_mapping(spec).get("host"), identity)
    policy = _mapping(_mapping(spec).get("trafficPolicy"))
    subsets = [_mapping(each.get("trafficPolicy")) for each in _items(_mapping(spec).get("subsets"))]
    if not service:
        return None
    most = _mapping(_mapping(policy.get("connectionPool")).get("http")).get("maxRequestsPerConnection")
    one = isinstance(most, int) and not isinstance(most, bool) and most == 1
    return Handling(
        identity,
        (service,),
        new_connections="connectionPool.http.maxRequestsPerConnection: 1" if one else "",
        ejects=any(isinstance(each.get("outlierDetection"), dict) for each in (policy, *subsets)),
        place=place,
    )


def _service(host: Any, identity: Identity) -> str:
    """The Service of the object's own namespace that a host names; empty for any other."""
    if not isinstance(host, str) or "*" in host:
        return ""
    name, _, rest = host.partition(".")
    if not rest:
        return name
    namespace = rest.partition(".")[0]
    inside = rest == namespace or rest.startswith((f"{namespace}.svc", f"{namespace}.svc."))
    return name if inside and identity.namespace in ("", namespace) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
