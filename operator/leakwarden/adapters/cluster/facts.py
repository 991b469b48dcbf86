"""From the wire to core facts: pure conversions, with the API server's own defaults where a field is absent."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Mapping, Sequence, Set
from datetime import datetime

import msgspec

from leakwarden.adapters.cluster import template_wire, wire
from leakwarden.adapters.cluster.template_facts import container, pod_facts
from leakwarden.api.names import ARGO_TRACKING, IGNORE_ANNOTATION, SKIP_ANNOTATION
from leakwarden.api.v1alpha1.kinds import KINDS
from leakwarden.core.audit.as_written import worth_reading, written_findings
from leakwarden.core.audit.findings import Finding
from leakwarden.core.model.namespace import Namespace
from leakwarden.core.model.workload import (
    Pod,
    PodContainer,
    Workload,
)

# An annotation longer than this is a tool's data, not a fact about the workload, for example the copy of the manifest
# that kubectl leaves behind; ten thousand of them would be most of the cache. Annotations that decisions depend on are
# kept at any length: they are cut, never dropped.
MAX_ANNOTATION = 1024
# Limit for leakwarden.dev/ignore, of which every line counts: a part of it could except findings whose exception has
# ended.
MAX_EXCEPTIONS = 32_768
DECISIVE = frozenset({SKIP_ANNOTATION, *ARGO_TRACKING})
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_SCALED = frozenset(str(kind) for kind, api in KINDS.items() if api.scales)
_MAKES_SETS = frozenset({"Deployment", "Rollout"})

_TEMPLATE = msgspec.json.Decoder(template_wire.ApiTemplate)


def namespace(item: wire.ApiNamespace) -> Namespace:
    meta = item.metadata
    return Namespace(
        name=meta.name,
        uid=meta.uid,
        labels=dict(meta.labels or {}),
        created=meta.creation_timestamp.timestamp() if meta.creation_timestamp else 0.0,
        terminating=meta.deletion_timestamp is not None,
    )


def workload(item: wire.ApiDeployment, kind: str = "Deployment") -> Workload:
    """A Deployment, or another kind that is read as one, as a workload of the core. Raises msgspec.ValidationError when
    its pod template does not fit."""
    raw = bytes((item.spec or wire.ApiDeploymentSpec()).template).removeprefix(b"null")
    template = _TEMPLATE.decode(raw) if raw else None
    made = described(item, template, hashlib.blake2b(raw, digest_size=8).hexdigest())
    try:
        written = _written(item, raw, kind)
    except Exception:  # a defect here costs only these findings; the workload itself must stay known
        import logging  # here, since the audit of files does without it, and starts faster

        logging.getLogger("leakwarden.facts").exception(
            "a defect: its manifest was not audited as it is written", extra={"workload": made.key}
        )
        return made
    return dataclasses.replace(made, written=written) if written else made


def _written(item: wire.ApiDeployment, template: bytes, kind: str) -> tuple[Finding, ...]:
    """The findings of the checks that read the manifest as it is written."""
    spec = item.spec or wire.ApiDeploymentSpec()
    strategy = msgspec.to_builtins(spec.strategy) if spec.strategy else {}
    partitioned = bool((strategy.get("rollingUpdate") or {}).get("partition"))
    if spec.revision_history_limit != 0 and not partitioned and not worth_reading(template):
        return ()
    where = "updateStrategy" if kind in ("StatefulSet", "DaemonSet") else "strategy"
    body = {
        "kind": kind,
        "spec": {
            "replicas": spec.replicas,
            "revisionHistoryLimit": spec.revision_history_limit,
            where: {key: value for key, value in strategy.items() if value is not None},
            "template": msgspec.json.decode(template) if template else {},
        },
    }
    return written_findings(body)


def described(
    item: wire.ApiDeployment, template: template_wire.ApiTemplate | None, template_hash: str = ""
) -> Workload:
    """The same, of a template that is decoded already; for other kinds of workload the caller gives the kind."""
    meta = item.metadata
    spec = item.spec or wire.ApiDeploymentSpec()
    status = item.status or wire.ApiDeploymentStatus()
    rolling = (spec.strategy and spec.strategy.rolling_update) or wire.ApiRollingUpdate()
    pods = (template and template.spec) or template_wire.ApiTemplateSpec()
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
        containers=tuple(container(c) for c in pods.containers or ()),
        template_hash=template_hash,
        rolled_out=_rolled_out(status.conditions or ()),
        owner=next((f"{o.kind} {o.name}" for o in meta.owner_references or () if o.controller and o.kind), ""),
        pods=pod_facts(template, pods),
        replicas_given=spec.replicas is not None,
        service_name=spec.service_name or "",
    )


def _rolled_out(conditions: Sequence[wire.ApiDeploymentCondition]) -> float | None:
    """When the last rollout was complete. Replacing single pods does not change it."""
    for condition in conditions:
        if condition.type == "Progressing" and condition.reason == "NewReplicaSetAvailable":
            return _epoch(condition.last_update_time)
    return None


def autoscaled(item: wire.ApiAutoscaler) -> tuple[tuple[str, str], str] | None:
    """The workload (namespace, title) that an autoscaler scales, and the autoscaler in words; None for kinds that no
    policy selects.

    KEDA works through a HorizontalPodAutoscaler of its own, on which it names its ScaledObject.
    """
    meta = item.metadata
    target = item.spec.scale_target_ref if item.spec else None
    if target is None or target.kind not in _SCALED or not target.name:
        return None
    title = target.name if target.kind == "Deployment" else f"{target.kind}/{target.name}"
    scaled = (meta.labels or {}).get("scaledobject.keda.sh/name")
    who = f"the KEDA ScaledObject {scaled}" if scaled else f"the HorizontalPodAutoscaler {meta.name}"
    return (meta.namespace or "", title), who


def scaled_by_keda(item: wire.ApiAutoscaler) -> tuple[tuple[str, str], str] | None:
    """The workload (namespace, title) that a ScaledObject scales, and the ScaledObject in words; None for kinds that no
    policy selects.

    It owns the replicas also while it has no HorizontalPodAutoscaler: paused, or before KEDA has seen it. The target is a
    Deployment unless it says otherwise (KEDA's documentation, ScaledObject specification).
    """
    target = item.spec.scale_target_ref if item.spec else None
    kind = (target.kind or "Deployment") if target is not None else ""
    if target is None or kind not in _SCALED or not target.name:
        return None
    title = target.name if kind == "Deployment" else f"{kind}/{target.name}"
    return (item.metadata.namespace or "", title), f"the KEDA ScaledObject {item.metadata.name}"


def owning_deployment(item: wire.ApiReplicaSet) -> str | None:
    """The UID of the Deployment or Rollout that controls the ReplicaSet."""
    return _controller(item.metadata.owner_references, _MAKES_SETS)


def pod_controller(item: wire.ApiPod, kinds: Set[str]) -> str | None:
    """The UID of the object that controls the pod, where it is of these kinds; None for pods of anything else, which
    are not kept."""
    return _controller(item.metadata.owner_references, kinds)


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

    Karpenter documents `true`; every other value but `false` counts as a wish to be left alone as well.
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


def _controller(owners: Sequence[wire.ApiOwner] | None, kinds: Set[str]) -> str | None:
    for owner in owners or ():
        if owner.controller and owner.kind in kinds and owner.uid:
            return sys.intern(owner.uid)
    return None


def _short(annotations: dict[str, str] | None) -> Mapping[str, str]:
    short = {
        key: value[:MAX_ANNOTATION]
        for key, value in (annotations or {}).items()
        if key in DECISIVE or (len(value) <= MAX_ANNOTATION and key != LAST_APPLIED)
    }
    if annotations and (exceptions := annotations.get(IGNORE_ANNOTATION)):
        # A value that is too long is replaced by its length, which the audit then reports as not being an exception.
        fits = len(exceptions) <= MAX_EXCEPTIONS
        short[IGNORE_ANNOTATION] = exceptions if fits else f"{len(exceptions)} characters, above {MAX_EXCEPTIONS}"
    return short


def _epoch(at: datetime | None) -> float | None:
    return at.timestamp() if at is not None else None


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
