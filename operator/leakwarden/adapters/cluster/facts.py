"""From the wire to core facts: pure conversions, with the API server's own defaults where a field is absent."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from leakwarden.adapters.cluster import commands, wire
from leakwarden.api.names import ARGO_TRACKING, IGNORE_ANNOTATION, SKIP_ANNOTATION
from leakwarden.core.model.workload import (
    Container,
    Entrypoint,
    Pod,
    PodContainer,
    PodFacts,
    PreStop,
    Probe,
    Spread,
    Workload,
)

# What the Go runtime is told about memory and CPUs. Nothing else of an environment is kept: it may hold secrets.
RUNTIME_ENV = frozenset({"GOMEMLIMIT", "GOGC", "GOMAXPROCS"})
# An annotation longer than this is somebody's payload, not a fact about the workload, as is the copy of the manifest
# that kubectl leaves behind; ten thousand of them would be most of the cache. Those that decide something hold at any
# length: they are cut, never dropped.
MAX_ANNOTATION = 1024
# Of leakwarden.dev/ignore, whose every line decides: a part of it could except what has ended.
MAX_EXCEPTIONS = 32_768
DECISIVE = frozenset({SKIP_ANNOTATION, *ARGO_TRACKING})
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_TEMPLATE = msgspec.json.Decoder(wire.ApiTemplate)

_QUANTITY = re.compile(
    r"^([+-]?[0-9]*\.?[0-9]+|[+-]?[0-9]+\.)(?:([eE][+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i))?$", re.ASCII
)
_FACTOR = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip

# A probe's command is compared with another's and shown to nobody; one of this length is a script.
MAX_COMMAND = 1024

# linkerd.io/2/tasks/graceful-shutdown and istio.io's ProxyConfig: the waits of an injected proxy, in seconds.
_PROXY_WAITS = (
    ("config.alpha.linkerd.io/proxy-wait-before-exit-seconds", re.compile(r"^\s*([0-9]{1,9})\s*$", re.ASCII)),
    ("config.linkerd.io/proxy-wait-before-exit-seconds", re.compile(r"^\s*([0-9]{1,9})\s*$", re.ASCII)),
    ("proxy.istio.io/config", re.compile(r"terminationDrainDuration[\"']?\s*:\s*[\"']?([0-9]{1,9})s\b", re.ASCII)),
)

_NO_ENTRYPOINT = Entrypoint()


def parse_quantity(value: int | float | str | None) -> float | None:
    """The number in a Kubernetes quantity (`512Mi`, `1e9`, `500m`); None where there is none that can be read."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    match = _QUANTITY.fullmatch(value.strip())
    if match is None or len(value) > 64:
        return None
    number, exponent, suffix = match.groups()
    return float(number + (exponent or "")) * _FACTOR.get(suffix or "", 1.0)


def workload(item: wire.ApiDeployment) -> Workload:
    """A Deployment as the core knows it. Raises msgspec.ValidationError when its pod template does not fit."""
    raw = bytes((item.spec or wire.ApiDeploymentSpec()).template).removeprefix(b"null")
    template = _TEMPLATE.decode(raw) if raw else None
    return described(item, template, hashlib.blake2b(raw, digest_size=8).hexdigest())


def described(item: wire.ApiDeployment, template: wire.ApiTemplate | None, template_hash: str = "") -> Workload:
    """The same, of a template that is decoded already; what else makes pods is given its kind by the caller."""
    meta = item.metadata
    spec = item.spec or wire.ApiDeploymentSpec()
    status = item.status or wire.ApiDeploymentStatus()
    rolling = (spec.strategy and spec.strategy.rolling_update) or wire.ApiRollingUpdate()
    pods = (template and template.spec) or wire.ApiTemplateSpec()
    return Workload(
        namespace=sys.intern(meta.namespace or ""),
        name=meta.name,
        uid=sys.intern(meta.uid),
        resource_version=meta.resource_version or "",
        created=_epoch(meta.creation_timestamp) or 0.0,
        labels=meta.labels or {},
        annotations=_short(meta.annotations),
        generation=meta.generation or 0,
        observed_generation=status.observed_generation or 0,
        replicas=1 if spec.replicas is None else spec.replicas,
        updated_replicas=status.updated_replicas or 0,
        ready_replicas=status.ready_replicas or 0,
        unavailable_replicas=status.unavailable_replicas or 0,
        paused=spec.paused or False,
        strategy=(spec.strategy and spec.strategy.type) or "RollingUpdate",
        max_unavailable=rolling.max_unavailable,
        max_surge=rolling.max_surge,
        min_ready_seconds=spec.min_ready_seconds or 0,
        progress_deadline=_or(spec.progress_deadline_seconds, 600),
        termination_grace=_or(pods.termination_grace_period_seconds, 30),
        containers=tuple(_container(c) for c in pods.containers or ()),
        template_hash=template_hash,
        rolled_out=_rolled_out(status.conditions or ()),
        owner=next((f"{o.kind} {o.name}" for o in meta.owner_references or () if o.controller and o.kind), ""),
        pods=_pod_facts(template, pods),
        replicas_given=spec.replicas is not None,
    )


def _pod_facts(template: wire.ApiTemplate | None, spec: wire.ApiTemplateSpec) -> PodFacts:
    meta = template and template.metadata
    return PodFacts(
        labels=(meta and meta.labels) or {},
        sidecars=tuple(_container(c) for c in spec.init_containers or () if c.restart_policy == "Always"),
        host_network=spec.host_network or False,
        shared_processes=spec.share_process_namespace or False,
        memory_limit=parse_quantity(((spec.resources and spec.resources.limits) or {}).get("memory")) or None,
        spreads=tuple(_spreads(spec)),
        claims=any(volume.persistent_volume_claim is not None for volume in spec.volumes or ()),
        restart_policy=spec.restart_policy or "Always",
        proxy_waits=_proxy_waits((meta and meta.annotations) or {}),
    )


def _proxy_waits(annotations: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """How long the proxy that a mesh injects waits before it ends, by annotation; the injection itself is not here."""
    found = []
    for name, pattern in _PROXY_WAITS:
        text = annotations.get(name, "")
        match = pattern.search(text[:MAX_ANNOTATION])
        if match is not None:
            found.append((name, int(match[1])))
    return tuple(found)


def _spreads(spec: wire.ApiTemplateSpec) -> Iterator[Spread]:
    for constraint in spec.topology_spread_constraints or ():
        yield Spread(
            constraint.topology_key or "",
            wire.label_selector(constraint.label_selector),
            constraint.when_unsatisfiable != "ScheduleAnyway",
        )
    anti = spec.affinity.pod_anti_affinity if spec.affinity else None
    for term in (anti and anti.required) or ():
        yield Spread(term.topology_key or "", wire.label_selector(term.label_selector), True, affinity=True)
    for weighted in (anti and anti.preferred) or ():
        preferred = weighted.pod_affinity_term or wire.ApiAffinityTerm()
        yield Spread(preferred.topology_key or "", wire.label_selector(preferred.label_selector), False, affinity=True)


def _rolled_out(conditions: Sequence[wire.ApiDeploymentCondition]) -> float | None:
    """When the last rollout was complete. Replacing single pods does not change it."""
    for condition in conditions:
        if condition.type == "Progressing" and condition.reason == "NewReplicaSetAvailable":
            return _epoch(condition.last_update_time)
    return None


def autoscaled(item: wire.ApiAutoscaler) -> tuple[tuple[str, str], str] | None:
    """The Deployment (namespace, name) that an autoscaler scales, and who that is in words; None for other kinds.

    KEDA works through a HorizontalPodAutoscaler of its own, on which it names its ScaledObject.
    """
    meta = item.metadata
    target = item.spec.scale_target_ref if item.spec else None
    if target is None or target.kind != "Deployment" or not target.name:
        return None
    scaled = (meta.labels or {}).get("scaledobject.keda.sh/name")
    who = f"the KEDA ScaledObject {scaled}" if scaled else f"the HorizontalPodAutoscaler {meta.name}"
    return (meta.namespace or "", target.name), who


def owning_deployment(item: wire.ApiReplicaSet) -> str | None:
    """The UID of the Deployment that controls the ReplicaSet."""
    return _controller(item.metadata.owner_references, "Deployment")


def owning_replica_set(item: wire.ApiPod) -> str | None:
    """The UID of the ReplicaSet that controls the pod; None for pods of anything else, which are not kept."""
    return _controller(item.metadata.owner_references, "ReplicaSet")


def pod(item: wire.ApiPod, workload_uid: str | None) -> Pod:
    meta = item.metadata
    status = item.status or wire.ApiPodStatus()
    return Pod(
        namespace=sys.intern(meta.namespace or ""),
        name=meta.name,
        uid=meta.uid,
        workload_uid=workload_uid,
        created=_epoch(meta.creation_timestamp) or 0.0,
        node=sys.intern((item.spec and item.spec.node_name) or ""),
        host_ip=sys.intern(status.host_ip or ""),
        pod_ip=status.pod_ip or "",
        phase=sys.intern(status.phase or "Unknown"),
        ready=any(c.type == "Ready" and c.status == "True" for c in status.conditions or ()),
        terminating=meta.deletion_timestamp is not None,
        protected=_protected(meta.annotations),
        containers=tuple(_running(c) for c in status.container_statuses or ()),
    )


def _protected(annotations: wire.ApiPodAnnotations | None) -> str:
    """The annotation that forbids to take the pod away, with its value; empty where none does.

    Karpenter documents `true`; anything else but `false` is taken for a wish to be left alone as well.
    """
    if annotations is None:
        return ""
    if annotations.do_not_disrupt not in (None, "", "false"):
        return f"karpenter.sh/do-not-disrupt: {str(annotations.do_not_disrupt)[:40]}"
    if annotations.safe_to_evict == "false":
        return "cluster-autoscaler.kubernetes.io/safe-to-evict: false"
    return ""


def _running(status: wire.ApiContainerStatus) -> PodContainer:
    running = status.state.running if status.state else None
    return PodContainer(
        name=sys.intern(status.name),
        ready=status.ready or False,
        restarts=status.restart_count or 0,
        started=_epoch(running.started_at) if running else None,
    )


def _container(item: wire.ApiContainer) -> Container:
    limits = (item.resources and item.resources.limits) or {}
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
    )


def _entrypoint(item: wire.ApiContainer) -> Entrypoint:
    values = [variable.value for variable in item.env or () if variable.value and variable.name not in RUNTIME_ENV]
    if not item.command and not item.args and not values:
        return _NO_ENTRYPOINT
    return commands.entrypoint(item.command or (), item.args or (), values)


def _from(source: wire.ApiEnvFrom) -> str:
    # With a prefix none of the runtime's own names can come of it.
    return (source.config_map_ref and not source.prefix and source.config_map_ref.name) or ""


def _keys(item: wire.ApiContainer) -> Iterator[tuple[str, str, str]]:
    for variable in item.env or ():
        reference = variable.value_from and variable.value_from.config_map_key_ref
        if reference and variable.name in RUNTIME_ENV and reference.name and reference.key:
            yield variable.name, reference.name, reference.key


def _runtime_env(item: wire.ApiContainer, limit: float | None) -> Mapping[str, str]:
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


def _probe(item: wire.ApiProbe | None) -> Probe | None:
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
        return None  # asks nothing; the API server refuses it
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


def _pre_stop(hook: wire.ApiHandler) -> PreStop:
    if hook.sleep is not None:
        return PreStop(kind="sleep", seconds=hook.sleep.seconds or 0)
    if hook.exec is not None:
        return commands.pre_stop(hook.exec.command or ())
    return PreStop(kind="http")


def _controller(owners: Sequence[wire.ApiOwner] | None, kind: str) -> str | None:
    for owner in owners or ():
        if owner.controller and owner.kind == kind and owner.uid:
            return sys.intern(owner.uid)
    return None


def _short(annotations: dict[str, str] | None) -> Mapping[str, str]:
    short = {
        key: value[:MAX_ANNOTATION]
        for key, value in (annotations or {}).items()
        if key in DECISIVE or (len(value) <= MAX_ANNOTATION and key != LAST_APPLIED)
    }
    if annotations and (exceptions := annotations.get(IGNORE_ANNOTATION)):
        # In place of one that is too long its length stands, which the audit then says is no exception.
        fits = len(exceptions) <= MAX_EXCEPTIONS
        short[IGNORE_ANNOTATION] = exceptions if fits else f"{len(exceptions)} characters, above {MAX_EXCEPTIONS}"
    return short


def _epoch(at: datetime | None) -> float | None:
    return at.timestamp() if at is not None else None


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
