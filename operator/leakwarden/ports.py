"""What the engine needs from the world, as Protocols, and the few errors that cross them.

The engine knows these and nothing behind them; a test gives it small fakes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from leakwarden.api.v1alpha1.evidence import Evidence
from leakwarden.api.v1alpha1.evidence_status import EvidenceStatus
from leakwarden.core.announcement import Announcement as Announcement
from leakwarden.core.announcement import ObjectRef as ObjectRef
from leakwarden.core.readings import Answer
from leakwarden.core.readings import Query as Query  # adapters and tests know it as part of the port
from leakwarden.core.workload import Disruption, Pod, Snapshot, Workload


class Outcome(StrEnum):
    """How an attempted change ended. Only DONE changed anything."""

    DONE = "Done"
    GONE = "Gone"  # 404, or 409 because the UID differs: someone else was faster
    BLOCKED = "Blocked"  # 429: a PodDisruptionBudget forbids it now
    CONFLICT = "Conflict"  # the object changed since it was read
    FORBIDDEN = "Forbidden"  # RBAC: the message names the missing verb
    FAILED = "Failed"  # anything else, including timeouts, after which it is not known whether it was done


@dataclass(frozen=True, slots=True)
class Attempt:
    outcome: Outcome
    message: str = ""


class StatusConflict(Exception):
    """The policy changed (or is gone) since it was read; nothing was written."""


class ClusterUnavailable(Exception):
    """The API server did not answer, or refused; the message is fit for people."""


class Cluster(Protocol):
    """The API server: a cached view of workloads, and the few changes we make."""

    def snapshot(self) -> Snapshot: ...

    async def evict(self, pod: Pod) -> Attempt:
        """Eviction API with the pod's UID as precondition. Never falls back to DELETE."""
        ...

    async def restart_rollout(self, workload: Workload, at: str) -> Attempt:
        """Set the restartedAt annotation to `at` (RFC 3339), only if resourceVersion still matches."""
        ...

    async def scale(self, workload: Workload, replicas: int) -> Attempt:
        """Set spec.replicas through /scale, only if the Deployment's resourceVersion still matches."""
        ...

    async def disruption_budgets(self, pod: Pod) -> Sequence[Disruption]:
        """The PodDisruptionBudgets of the pod's namespace whose selector matches it: who forbids an eviction.

        None when the pod is gone. Raises ClusterUnavailable when they could not be read.
        """
        ...

    async def write_status(
        self, namespace: str, name: str, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> str:
        """Replace a policy's status; returns the new resourceVersion. Raises StatusConflict, ClusterUnavailable."""
        ...


class Metrics(Protocol):
    """One source of readings."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str:
        """`Prometheus` or `Kubelet`."""
        ...

    @property
    def pod_labels(self) -> tuple[str, str]:
        """What the source calls the labels that name a pod: its namespace's and its own."""
        ...

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        """An answer for every query's key, whatever happens: a failure is an answer, never an exception.

        Points lie in (since, now], `step` seconds apart. Timeouts and size caps are the source's own.
        """
        ...


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """What a probe endpoint answered: a status code, or why there is none (`error`, a short phrase)."""

    path: str
    code: int | None
    error: str = ""


class Endpoints(Protocol):
    """Calls the probe endpoints of pods."""

    async def call(self, pod: Pod, port: int, path: str, scheme: str) -> EndpointAnswer: ...


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What to take profiles of. `goroutines` is the count by the metric, None where it is not known."""

    report: str  # NAMESPACE/NAME of the LeakReport that the profiles are kept for
    workload: Workload
    pod: Pod
    container: str  # empty where the signal does not name it
    spec: Evidence
    signal_type: str
    goroutines: float | None = None


class Profiler(Protocol):
    """Takes profiles of a pod and names suspects."""

    async def capture(self, request: CaptureRequest) -> EvidenceStatus:
        """Within its own timeouts and size caps; a failure is a state of the answer, never an exception."""
        ...


class Recorder(Protocol):
    async def announce(self, announcements: Sequence[Announcement]) -> None:
        """Record Events; like ones become a series. Never raises: a lost Event must not stop a tick."""
        ...
