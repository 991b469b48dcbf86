"""One pod as it is now: the cache keeps neither annotations nor ports of pods, and a capture is rare enough to ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from leakwarden.adapters.cluster import Session
from leakwarden.adapters.cluster.wire import ContainerPort, Meta, PodStatus, Wire
from leakwarden.api.names import PPROF_PORT_ANNOTATION
from leakwarden.api.v1alpha1.evidence_reasons import EvidenceReason
from leakwarden.core.profile.port import Ports
from leakwarden.core.workload import Pod
from leakwarden.ports import ClusterUnavailable


class PodUnread(Exception):
    """The pod is not there or cannot be read; the message is one line for people."""

    def __init__(self, reason: EvidenceReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Facts:
    """What a capture needs of a pod. `pod` has its present addresses."""

    pod: Pod
    annotation: str | None
    ports: Mapping[str, Ports]  # by container, in the pod's order


class _Container(Wire):
    name: str
    ports: list[ContainerPort] | None = None


class _Spec(Wire):
    containers: list[_Container] | None = None


class _Pod(Wire):
    metadata: Meta
    spec: _Spec | None = None
    status: PodStatus | None = None


async def read_pod(session: Session, pod: Pod) -> Facts:
    """The pod, if it still is the one that is meant; without a UID whoever has its name is. Raises PodUnread."""
    try:
        reply = await session.ask("GET", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}")
    except ClusterUnavailable as error:
        raise PodUnread(EvidenceReason.POD_UNREAD, str(error)) from None
    if reply.status == 404:
        raise PodUnread(EvidenceReason.POD_GONE, f"pod {pod.key} is gone")
    if not reply.ok:
        raise PodUnread(EvidenceReason.POD_UNREAD, f"the API server answered {reply.status} for pod {pod.key}")
    try:
        found = msgspec.json.decode(reply.body, type=_Pod)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PodUnread(EvidenceReason.POD_UNREAD, "the API server's answer is not a pod") from None
    if pod.uid and found.metadata.uid != pod.uid:
        raise PodUnread(EvidenceReason.POD_GONE, f"pod {pod.key} was replaced by another")
    status = found.status or PodStatus()
    containers = (found.spec.containers if found.spec else None) or []
    return Facts(
        replace(pod, pod_ip=status.pod_ip or "", host_ip=status.host_ip or ""),
        (found.metadata.annotations or {}).get(PPROF_PORT_ANNOTATION),
        {each.name: [(port.name or "", port.container_port or 0) for port in each.ports or ()] for each in containers},
    )


def named(namespace: str, name: str) -> Pod:
    """A pod of which only the name is known, for `read_pod`."""
    return Pod(namespace, name, "", None, 0.0, "", "", "", "", False, False, ())
