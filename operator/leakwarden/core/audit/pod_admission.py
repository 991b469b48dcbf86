"""Refusals of the API server about a pod: its containers, probes, hooks, ports and resources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from leakwarden.core.audit import container_admission
from leakwarden.core.audit.written import Refusal, count, items, mapping

_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?", re.ASCII)
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOKS = ("exec", "httpGet", "tcpSocket", "sleep")
_TIMES = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold")


def pod_spec(spec: Mapping[str, Any], at: str, claimed: frozenset[str] = frozenset()) -> Iterator[Refusal]:
    """All reasons for which the API server would refuse this pod.

    `claimed` are the names of the volumes that a StatefulSet makes of its claim templates.
    """
    containers = items(spec.get("containers"))
    inits = items(spec.get("initContainers"))
    grace = spec.get("terminationGracePeriodSeconds", 30)
    if (given := count(grace)) is not None and given < 0:
        yield f"{at}.terminationGracePeriodSeconds", f"is {given} and must not be negative"
    volumes = {str(volume.get("name")) for volume in items(spec.get("volumes"))} | claimed
    yield from container_admission.volumes(items(spec.get("volumes")), at)
    yield from container_admission.host_ports(containers, at)
    if (dns := spec.get("dnsPolicy")) not in (None, "", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"):
        yield (
            f"{at}.dnsPolicy",
            f"is {str(dns)[:40]!r}; ClusterFirst, ClusterFirstWithHostNet, Default or None is needed",
        )
    names: set[str] = set()
    for group, listed in (("containers", containers), ("initContainers", inits)):
        for number, container in enumerate(listed):
            here = f"{at}.{group}[{number}]"
            name = container.get("name")
            if isinstance(name, str):
                if not _DNS_LABEL.fullmatch(name):
                    yield f"{here}.name", f"{name[:60]!r} is not a name: lower case letters, digits and -, at most 63"
                elif name in names:
                    yield f"{here}.name", f"{name!r} is there twice"
                names.add(name)
            yield from _container(container, here, mapping(spec), given)
            yield from container_admission.container(container, here)
            if group == "initContainers" and container.get("restartPolicy") not in (None, "", "Always"):
                yield f"{here}.restartPolicy", "must be Always where it is set on an init container"
            if group == "initContainers" and container.get("restartPolicy") != "Always":
                for field in (*_PROBES, "lifecycle"):
                    if container.get(field) is not None:
                        yield f"{here}.{field}", "may not be set on an init container without restartPolicy: Always"
            for mount in items(container.get("volumeMounts")):
                if mount.get("name") and str(mount.get("name")) not in volumes:
                    yield (
                        f"{here}.volumeMounts",
                        f"names the volume {str(mount.get('name'))[:60]!r}, which is not there",
                    )
    yield from _pod_affinity(mapping(spec.get("affinity")), f"{at}.affinity")
    for number, spread in enumerate(items(spec.get("topologySpreadConstraints"))):
        here = f"{at}.topologySpreadConstraints[{number}]"
        if (skew := count(spread.get("maxSkew"))) is None or skew < 1:
            yield f"{here}.maxSkew", "must be at least 1"
        if not spread.get("topologyKey"):
            yield f"{here}.topologyKey", "is missing"
        if spread.get("whenUnsatisfiable") not in ("DoNotSchedule", "ScheduleAnyway"):
            yield f"{here}.whenUnsatisfiable", "must be DoNotSchedule or ScheduleAnyway"


def _container(container: Mapping[str, Any], at: str, pod: Mapping[str, Any], grace: int | None) -> Iterator[Refusal]:
    for name in _PROBES:
        if container.get(name) is not None:
            yield from _probe(mapping(container.get(name)), name, f"{at}.{name}")
    lifecycle = mapping(container.get("lifecycle"))
    for name in ("preStop", "postStart"):
        hook = lifecycle.get(name)
        if hook is None:
            continue
        hook, here = mapping(hook), f"{at}.lifecycle.{name}"
        yield from _one_of(hook, _HOOKS, here)
        seconds = count(mapping(hook.get("sleep")).get("seconds"))
        if seconds is not None and grace is not None and not 0 <= seconds <= grace:
            yield (
                f"{here}.sleep.seconds",
                f"is {seconds} and must not be above terminationGracePeriodSeconds ({grace}), nor negative",
            )
    yield from _ports(items(container.get("ports")), at, pod.get("hostNetwork") is True)
    for number, variable in enumerate(items(container.get("env"))):
        if not variable.get("name"):
            yield f"{at}.env[{number}].name", "is missing"
        if variable.get("value") and variable.get("valueFrom") is not None:
            yield f"{at}.env[{number}]", "may not have both value and valueFrom"


def _probe(probe: Mapping[str, Any], name: str, at: str) -> Iterator[Refusal]:
    yield from _one_of(probe, _HANDLERS, at)
    for field in _TIMES:
        if (value := count(probe.get(field))) is not None and value < 0:
            yield f"{at}.{field}", f"is {value} and must not be negative"
    if name != "readinessProbe" and count(probe.get("successThreshold")) not in (None, 0, 1):
        yield f"{at}.successThreshold", f"is {probe['successThreshold']} and must be 1 for {name}"
    if (own := probe.get("terminationGracePeriodSeconds")) is not None:
        if name == "readinessProbe":
            yield f"{at}.terminationGracePeriodSeconds", "must not be set for readinessProbe"
        elif count(own) is not None and own <= 0:
            yield f"{at}.terminationGracePeriodSeconds", f"is {own} and must be greater than 0"
    for handler in ("httpGet", "tcpSocket"):
        if probe.get(handler) is not None:
            yield from _port(mapping(probe[handler]).get("port"), f"{at}.{handler}.port")
    scheme = mapping(probe.get("httpGet")).get("scheme")
    if scheme not in (None, "", "HTTP", "HTTPS"):
        yield f"{at}.httpGet.scheme", f"is {str(scheme)[:40]!r}; HTTP or HTTPS is needed"
    if probe.get("grpc") is not None:
        port = mapping(probe["grpc"]).get("port")
        if isinstance(port, str):
            yield f"{at}.grpc.port", f"is {port[:40]!r}: a gRPC probe takes a number, and no name"
        else:
            yield from _port(port, f"{at}.grpc.port")
    if (run := probe.get("exec")) is not None and not mapping(run).get("command"):
        yield f"{at}.exec.command", "is missing"


def _ports(ports: list[Mapping[str, Any]], at: str, host_network: bool) -> Iterator[Refusal]:
    names: set[str] = set()
    for number, port in enumerate(ports):
        here = f"{at}.ports[{number}]"
        inside, outside, name = port.get("containerPort"), port.get("hostPort"), port.get("name")
        yield from _port(inside, f"{here}.containerPort")
        if outside:
            yield from _port(outside, f"{here}.hostPort")
            if host_network and outside != inside:
                yield f"{here}.hostPort", f"is {outside} and must match containerPort ({inside}) with hostNetwork"
        if isinstance(name, str) and name:
            if not _PORT_NAME.fullmatch(name):
                yield (
                    f"{here}.name",
                    f"{name[:60]!r} is not a port's name: at most 15 lower case letters, digits and -, one a letter",
                )
            elif name in names:
                yield f"{here}.name", f"{name!r} is there twice"
            names.add(name)


def _port(port: Any, at: str) -> Iterator[Refusal]:
    if port is None:
        yield at, "is missing"
    elif (number := count(port)) is not None:
        if not 1 <= number <= 65535:
            yield at, f"is {number}; 1 to 65535 is needed"
    elif isinstance(port, str) and not _PORT_NAME.fullmatch(port):
        yield at, f"{port[:60]!r} is not a port's name: at most 15 lower case letters, digits and -, one a letter"


def _one_of(handler: Mapping[str, Any], names: tuple[str, ...], at: str) -> Iterator[Refusal]:
    given = [name for name in names if handler.get(name) is not None]
    if not given:
        yield at, f"has no handler: one of {', '.join(names)} is needed"
    elif len(given) > 1:
        yield at, f"has {len(given)} handlers ({', '.join(given)}), and one is allowed"


def _pod_affinity(affinity: Mapping[str, Any], at: str) -> Iterator[Refusal]:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    for side in ("podAffinity", "podAntiAffinity"):
        terms = mapping(affinity.get(side))
        for number, term in enumerate(items(terms.get(required))):
            if not term.get("topologyKey"):
                yield f"{at}.{side}.{required}[{number}].topologyKey", "is missing"
        for number, weighted in enumerate(items(terms.get(preferred))):
            here = f"{at}.{side}.{preferred}[{number}]"
            weight = weighted.get("weight")
            if not isinstance(weight, int) or not 1 <= weight <= 100:
                yield f"{here}.weight", f"is {'missing' if weight is None else str(weight)[:20]}; 1 to 100 is needed"
            if not mapping(weighted.get("podAffinityTerm")).get("topologyKey"):
                yield f"{here}.podAffinityTerm.topologyKey", "is missing"
