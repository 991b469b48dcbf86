"""From the wire to core facts, of a pod template and its containers: pure conversions, with the API server's defaults."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from leakwarden.adapters.cluster import commands, template_wire, volume_facts
from leakwarden.adapters.cluster.wire import label_selector
from leakwarden.core.model.quantity import parse_quantity as parse_quantity
from leakwarden.core.model.workload import (
    Container,
    Entrypoint,
    HookPort,
    PodFacts,
    PreStop,
    Probe,
    Spread,
)

# The Go runtime's settings of memory and CPUs. No other variable of an environment is kept: it may contain secrets.
RUNTIME_ENV = frozenset({"GOMEMLIMIT", "GOGC", "GOMAXPROCS"})
# A probe's command is compared with another's and shown to nobody; one of this length is a script.
MAX_COMMAND = 1024

MAX_SETTINGS = 1024  # of a proxy, in an annotation: longer text is cut

# linkerd.io/2/tasks/graceful-shutdown and istio.io's ProxyConfig: the waits of an injected proxy, in seconds.
_PROXY_WAITS = (
    ("config.alpha.linkerd.io/proxy-wait-before-exit-seconds", re.compile(r"^\s*([0-9]{1,9})\s*$", re.ASCII)),
    ("config.linkerd.io/proxy-wait-before-exit-seconds", re.compile(r"^\s*([0-9]{1,9})\s*$", re.ASCII)),
    ("proxy.istio.io/config", re.compile(r"terminationDrainDuration[\"']?\s*:\s*[\"']?([0-9]{1,9})s\b", re.ASCII)),
)

_NO_ENTRYPOINT = Entrypoint()
_Quantities = Mapping[str, int | float | str | None]


def pod_facts(template: template_wire.ApiTemplate | None, spec: template_wire.ApiTemplateSpec) -> PodFacts:
    meta = template and template.metadata
    limits, requests = _resources(spec.resources)
    return PodFacts(
        labels=(meta and meta.labels) or {},
        sidecars=tuple(container(c) for c in spec.init_containers or () if c.restart_policy == "Always"),
        host_network=spec.host_network or False,
        shared_processes=spec.share_process_namespace or False,
        memory_limit=parse_quantity(limits.get("memory")) or None,
        spreads=tuple(_spreads(spec)),
        claims=any(volume.persistent_volume_claim is not None for volume in spec.volumes or ()),
        restart_policy=spec.restart_policy or "Always",
        proxy_waits=_proxy_waits((meta and meta.annotations) or {}),
        volumes=tuple(volume_facts.volume(each) for each in spec.volumes or ()),
        references=tuple(
            reference
            for each in spec.init_containers or ()
            if each.restart_policy != "Always"
            for reference in volume_facts.references(each)
        ),
        memory_request=_asked("memory", requests, limits),
        cpu_request=_asked("cpu", requests, limits),
        readiness_gates=tuple(gate.condition_type or "" for gate in spec.readiness_gates or ()),
        pinned=bool(spec.node_name) or "kubernetes.io/hostname" in (spec.node_selector or {}),
    )


def _resources(resources: template_wire.ApiResources | None) -> tuple[_Quantities, _Quantities]:
    """(limits, requests), empty where there are none."""
    if resources is None:
        return {}, {}
    return resources.limits or {}, resources.requests or {}


def _asked(name: str, requests: _Quantities, limits: _Quantities) -> float | None:
    """The request; where none is written, the API server takes the limit for it."""
    value = requests.get(name)
    return parse_quantity(limits.get(name) if value is None else value) or None


def _proxy_waits(annotations: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """How long the proxy that a mesh injects waits before it ends, by annotation; the injected container itself is not
    in the template."""
    found = []
    for name, pattern in _PROXY_WAITS:
        text = annotations.get(name, "")
        match = pattern.search(text[:MAX_SETTINGS])
        if match is not None:
            found.append((name, int(match[1])))
    return tuple(found)


def _spreads(spec: template_wire.ApiTemplateSpec) -> Iterator[Spread]:
    for constraint in spec.topology_spread_constraints or ():
        yield Spread(
            constraint.topology_key or "",
            label_selector(constraint.label_selector),
            constraint.when_unsatisfiable != "ScheduleAnyway",
        )
    anti = spec.affinity.pod_anti_affinity if spec.affinity else None
    for term in (anti and anti.required) or ():
        yield Spread(term.topology_key or "", label_selector(term.label_selector), True, affinity=True)
    for weighted in (anti and anti.preferred) or ():
        preferred = weighted.pod_affinity_term or template_wire.ApiAffinityTerm()
        yield Spread(preferred.topology_key or "", label_selector(preferred.label_selector), False, affinity=True)


def container(item: template_wire.ApiContainer) -> Container:
    limits, requests = _resources(item.resources)
    limit = parse_quantity(limits.get("memory"))
    hook = item.lifecycle.pre_stop if item.lifecycle else None
    return Container(
        name=sys.intern(item.name),
        image=sys.intern(item.image or ""),
        ports=tuple((p.name or "", p.container_port) for p in item.ports or () if p.container_port is not None),
        liveness=_probe(item.liveness_probe),
        readiness=_probe(item.readiness_probe),
        startup=_probe(item.startup_probe),
        pre_stop=_pre_stop(hook) if hook else None,
        memory_limit=limit if limit else None,
        env=_runtime_env(item, limit),
        env_from=tuple(_from(source) for source in item.env_from or ()),
        env_keys=tuple(_keys(item)),
        cpu_limit=parse_quantity(limits.get("cpu")) or None,
        host_ports=tuple(p.host_port for p in item.ports or () if p.host_port),
        entrypoint=_entrypoint(item),
        memory_request=_asked("memory", requests, limits),
        cpu_request=_asked("cpu", requests, limits),
        disk_limit=parse_quantity(limits.get("ephemeral-storage")) or None,
        hook_ports=tuple(_hook_ports(item.lifecycle)),
        mounts=volume_facts.mounts(item),
        other_protocols=tuple(
            (port.name, port.protocol) for port in item.ports or () if port.name and port.protocol not in (None, "TCP")
        ),
        references=volume_facts.references(item),
    )


def _hook_ports(lifecycle: template_wire.ApiLifecycle | None) -> Iterator[HookPort]:
    if lifecycle is None:
        return
    hook: Literal["preStop", "postStart"]
    for hook, handler in (("postStart", lifecycle.post_start), ("preStop", lifecycle.pre_stop)):
        if handler is not None and handler.http_get is not None:
            yield HookPort(hook, "httpGet", handler.http_get.port, handler.http_get.host or "")
        elif handler is not None and handler.tcp_socket is not None:
            yield HookPort(hook, "tcpSocket", handler.tcp_socket.port, handler.tcp_socket.host or "")


def _entrypoint(item: template_wire.ApiContainer) -> Entrypoint:
    values = [variable.value for variable in item.env or () if variable.value and variable.name not in RUNTIME_ENV]
    if not item.command and not item.args and not values:
        return _NO_ENTRYPOINT
    return commands.entrypoint(item.command or (), item.args or (), values)


def _from(source: template_wire.ApiEnvFrom) -> str:
    # With a prefix it cannot give any of the runtime's own names.
    return (source.config_map_ref and not source.prefix and source.config_map_ref.name) or ""


def _keys(item: template_wire.ApiContainer) -> Iterator[tuple[str, str, str]]:
    for variable in item.env or ():
        reference = variable.value_from and variable.value_from.config_map_key_ref
        if reference and variable.name in RUNTIME_ENV and reference.name and reference.key:
            yield variable.name, reference.name, reference.key


def _runtime_env(item: template_wire.ApiContainer, limit: float | None) -> Mapping[str, str]:
    """The Go runtime's settings. A value that comes from elsewhere is kept as an empty string: set, not readable here.

    The exception is the container's own memory limit, which is in the spec (and which Go services do use
    for GOMEMLIMIT).
    """
    found: dict[str, str] = {}
    for variable in item.env or ():
        if variable.name not in RUNTIME_ENV:
            continue
        reference = variable.value_from and variable.value_from.resource_field_ref
        if (
            reference
            and limit
            and reference.resource == "limits.memory"
            and reference.container_name in (None, "", item.name)
        ):
            divisor = parse_quantity(reference.divisor) or 1.0
            found[variable.name] = str(-int(-limit // divisor))  # rounded up, as the kubelet does
        else:
            found[variable.name] = variable.value or ""
    return found


def _probe(item: template_wire.ApiProbe | None) -> Probe | None:
    if item is None:
        return None
    kind: Literal["http", "tcp", "grpc", "exec"]
    port: int | str | None = None
    path, scheme, host, service = "", "HTTP", "", ""
    command: tuple[str, ...] = ()
    if item.http_get is not None:
        kind, port, path = "http", item.http_get.port, item.http_get.path or "/"
        scheme = item.http_get.scheme or "HTTP"
        host = item.http_get.host or ""
    elif item.tcp_socket is not None:
        kind, port, host = "tcp", item.tcp_socket.port, item.tcp_socket.host or ""
    elif item.grpc is not None:
        kind, port, service = "grpc", item.grpc.port, item.grpc.service or ""
    elif item.exec is not None:
        kind = "exec"
        command = _compared(item.exec.command or ())
    else:
        return None  # probes nothing; the API server refuses it
    return Probe(
        kind=kind,
        path=path,
        port=port,
        scheme=scheme,
        initial_delay=item.initial_delay_seconds or 0,
        period=item.period_seconds or 10,
        timeout=item.timeout_seconds or 1,
        failure_threshold=item.failure_threshold or 3,
        success_threshold=item.success_threshold or 1,
        host=host,
        service=service,
        command=command,
        grace=item.termination_grace_period_seconds,
    )


def _compared(command: Sequence[str]) -> tuple[str, ...]:
    """The command, to be compared with another; a long one by its digest."""
    if sum(map(len, command)) <= MAX_COMMAND:
        return tuple(command)
    return (hashlib.blake2b("\0".join(command).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),)


def _pre_stop(hook: template_wire.ApiHandler) -> PreStop:
    if hook.sleep is not None:
        return PreStop(kind="sleep", seconds=hook.sleep.seconds or 0)
    if hook.exec is not None:
        return commands.pre_stop(hook.exec.command or ())
    return PreStop(kind="http")
