"""One pod as it is now: the cache keeps neither annotations nor ports of pods, and a capture is rare enough for a
request of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import msgspec

from leakwarden.adapters.cluster import Session
from leakwarden.adapters.cluster.template_wire import ApiContainerPort
from leakwarden.adapters.cluster.wire import ApiMeta, ApiPodStatus, Wire
from leakwarden.api.names import PPROF_PORT_ANNOTATION
from leakwarden.core.model.workload import Pod
from leakwarden.core.profile.port import Ports
from leakwarden.engine.ports import ClusterUnavailable

WITHIN = 10.0  # s for one answer


class PodUnread(Exception):
    """The pod is not there any more (`gone`) or cannot be read; the message is one line for people."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


@dataclass(frozen=True, slots=True)
class PodFacts:
    """The facts of a pod that a capture needs. `pod` has its present addresses."""

    pod: Pod
    annotation: str | None
    ports: Mapping[str, Ports]  # by container, in the pod's order


class _Container(Wire):
    name: str
    ports: list[ApiContainerPort] | None = None


class _Spec(Wire):
    containers: list[_Container] | None = None


class _Pod(Wire):
    metadata: ApiMeta
    spec: _Spec | None = None
    status: ApiPodStatus | None = None


class _Named(Protocol):
    @property
    def metadata(self) -> ApiMeta: ...


Shape = TypeVar("Shape", bound=_Named)


async def fetch_pod(session: Session, pod: Pod, shape: type[Shape]) -> Shape:
    """The pod, if it still has the given UID; without a UID any pod of that name. Raises PodUnread."""
    try:
        reply = await session.ask("GET", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}", timeout=WITHIN)
    except ClusterUnavailable as error:
        raise PodUnread(str(error)) from None
    if reply.status == 404:
        raise PodUnread(f"pod {pod.key} is gone", gone=True)
    if not reply.ok:
        raise PodUnread(f"the API server answered {reply.status} for pod {pod.key}")
    try:
        found = msgspec.json.decode(reply.body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PodUnread("the API server's answer is not a pod") from None
    if pod.uid and found.metadata.uid != pod.uid:
        raise PodUnread(f"pod {pod.key} was replaced by another", gone=True)
    return found


async def read_pod(session: Session, pod: Pod) -> PodFacts:
    """The facts that a capture needs, of the pod that `fetch_pod` gets. Raises PodUnread."""
    found = await fetch_pod(session, pod, _Pod)
    status = found.status or ApiPodStatus()
    containers = (found.spec.containers if found.spec else None) or []
    return PodFacts(
        replace(pod, pod_ip=status.pod_ip or "", host_ip=status.host_ip or ""),
        (found.metadata.annotations or {}).get(PPROF_PORT_ANNOTATION),
        {each.name: [(port.name or "", port.container_port or 0) for port in each.ports or ()] for each in containers},
    )


def named(namespace: str, name: str) -> Pod:
    """A pod of which only the name is known, for `read_pod`."""
    return Pod(
        namespace,
        name,
        "",
        workload_uid=None,
        created=0.0,
        node="",
        host_ip="",
        pod_ip="",
        phase="",
        ready=False,
        terminating=False,
        containers=(),
    )
