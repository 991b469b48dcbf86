"""The engine's ports as Protocols, and the few errors that cross them. The engine uses only these and no adapter; a
test gives it small fakes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from leakwarden.api.v1alpha1.evidence import Evidence
from leakwarden.api.v1alpha1.evidence_reasons import DescriptorReason
from leakwarden.api.v1alpha1.evidence_status import EvidenceStatus
from leakwarden.core.audit.neighbours import Neighbours
from leakwarden.core.audit.policy_report import ReportedObject
from leakwarden.core.descriptors.census import Census
from leakwarden.core.guards.silences import Silences
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.namespace import Namespace
from leakwarden.core.model.readings import Answer
from leakwarden.core.model.readings import Query as Query  # adapters and tests import it as part of the port
from leakwarden.core.model.workload import Disruption, Pod, Snapshot, Workload
from leakwarden.core.rendering.announcement import Announcement as Announcement
from leakwarden.core.rendering.announcement import ObjectRef as ObjectRef


class Outcome(StrEnum):
    """How an attempted change ended. DONE changed something, and UNKNOWN may have."""

    DONE = "Done"
    GONE = "Gone"  # 404, or 409 because the UID differs: another client was faster
    BLOCKED = "Blocked"  # 429: a PodDisruptionBudget forbids it now
    CONFLICT = "Conflict"  # the object changed since it was read
    FORBIDDEN = "Forbidden"  # RBAC: the message names the missing verb
    UNKNOWN = "Unknown"  # the answer was lost, or the API server failed (5xx) after it may have been done
    FAILED = "Failed"  # refused for another reason: nothing was done


@dataclass(frozen=True, slots=True)
class Attempt:
    """`budget` is the PodDisruptionBudget that refuses, where the API server named it."""

    outcome: Outcome
    message: str = ""
    budget: str | None = None


class StatusConflict(Exception):
    """The policy or report changed (or is gone) since it was read; nothing was written."""


class ClusterUnavailable(Exception):
    """The API server did not answer, or refused; the message is fit for people."""


class Forbidden(ClusterUnavailable):
    """RBAC refuses, or the API server does not serve the kind: waiting does not help. The message names the right."""


@dataclass(frozen=True, slots=True)
class ReportView:
    """Every LeakReport, by UID. Our own writes are in it at once, writes of others once the watch shows them."""

    reports: Mapping[str, LeakReport] = field(default_factory=dict)
    synced: bool = True  # False until all were listed once
    trouble: str = ""  # why the reports cannot be followed, or empty
    troubles: Mapping[str, str] = field(default_factory=dict)  # namespace -> why not all its reports can be kept


# The methods of a Cluster that change nothing. Every other method checks the fence first: only the leader may change
# anything.
CLUSTER_READS = frozenset({
    "snapshot", "disruption_budgets", "replicas_set_by", "policy_generation", "namespace", "reports", "refresh_reports",
})  # fmt: skip


class Cluster(Protocol):
    """The API server: a cached view of workloads, and the few changes we make (all but CLUSTER_READS)."""

    def snapshot(self) -> Snapshot: ...

    async def evict(self, pod: Pod) -> Attempt:
        """Eviction API with the pod's UID as precondition. Never falls back to DELETE."""
        ...

    async def add_ephemeral_container(self, pod: Pod, container: Mapping[str, Any]) -> Attempt:
        """Add a container to the running pod of that UID, where it stays. An equal container of that name is left as it
        is. Never changes a container that is there."""
        ...

    async def restart_rollout(self, workload: Workload, at: str) -> Attempt:
        """Set the restartedAt annotation to `at` (RFC 3339), only if resourceVersion still matches."""
        ...

    async def scale(self, workload: Workload, replicas: int) -> Attempt:
        """Set spec.replicas through /scale, only if the Deployment's resourceVersion still matches."""
        ...

    async def disruption_budgets(self, pod: Pod) -> Sequence[Disruption]:
        """The PodDisruptionBudgets of the pod's namespace whose selector matches it, which can forbid an eviction.

        None when the pod is gone. Raises ClusterUnavailable when they could not be read.
        """
        ...

    async def replicas_set_by(self, workload: Workload) -> frozenset[str]:
        """The field managers that own spec.replicas now, read from the API server itself; empty where none is named, or
        the Deployment is gone or another one has its name. Raises ClusterUnavailable when that could not be read."""
        ...

    async def policy_generation(self, namespace: str, name: str, uid: str) -> int | None:
        """The generation that a policy has now, read from the API server itself; None where it is gone, or another one
        has its name. `namespace` is empty for a ClusterReliabilityPolicy. Raises ClusterUnavailable when that could not be
        read."""
        ...

    async def namespace(self, name: str) -> Namespace | None:
        """The namespace as it is now, read from the API server itself; None where it is gone. Raises ClusterUnavailable
        when that could not be read."""
        ...

    async def write_status(
        self, namespace: str, name: str, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> str:
        """Replace a policy's status; returns the new resourceVersion. `namespace` is empty for a
        ClusterReliabilityPolicy. Raises StatusConflict, ClusterUnavailable."""
        ...

    def reports(self) -> ReportView: ...

    async def refresh_reports(self) -> None:
        """List all LeakReports at their most recent: a watch may lag behind the last leader's writes.

        Raises ClusterUnavailable, Forbidden.
        """
        ...

    async def create_report(
        self, namespace: str, name: str, labels: Mapping[str, str], spec: Mapping[str, Any]
    ) -> LeakReport:
        """Create a report without a status. One of that name that exists already is returned as it is.

        Raises ClusterUnavailable, Forbidden.
        """
        ...

    async def write_report_status(self, report: LeakReport, status: Mapping[str, Any]) -> str:
        """Replace a report's status if its resourceVersion still matches; returns the new one.

        Raises StatusConflict, ClusterUnavailable, Forbidden.
        """
        ...

    async def delete_report(self, report: LeakReport) -> None:
        """Delete the report of that UID, if it exists. Raises ClusterUnavailable, Forbidden."""
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
        """The source's names of the two labels that identify a pod: its namespace's and its own."""
        ...

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        """An answer for every query's key, whatever happens: a failure is an answer, never an exception.

        Points lie in (since, now], `step` seconds apart. Timeouts and size caps are the source's own.
        """
        ...


class QuestionFailed(Exception):
    """A query had no answer; the message is fit for people and contains no text of the source."""


@runtime_checkable
class Instant(Protocol):
    """A source that answers PromQL about the present moment. Not every source of readings does."""

    async def values(self, query: str, at: float) -> Sequence[float]:
        """The values of the vector that `query` yields at `at` (epoch s). Raises QuestionFailed."""
        ...


class SilenceSource(Protocol):
    """The source of people's silences."""

    async def active(self) -> Silences:
        """The active silences; a failed read is a trouble of the answer, never an exception."""
        ...


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """The answer of a probe endpoint: a status code, or why there is none (`error`, a short phrase)."""

    path: str
    code: int | None
    error: str = ""


class Endpoints(Protocol):
    """Calls the probe endpoints of pods."""

    async def call(self, pod: Pod, port: int, path: str, scheme: str) -> EndpointAnswer: ...


class NeighbourView(Protocol):
    """The objects that belong to workloads, as of the last read."""

    def latest(self) -> Neighbours | None:
        """None before the first reading."""
        ...


class AuditReports(Protocol):
    """The place where the audit's result is shown in addition to the status of policies."""

    @property
    def trouble(self) -> str:
        """Why it is not shown there, in one line for people; or empty."""
        ...

    def want(self, objects: Iterable[ReportedObject]) -> None:
        """Returns at once."""
        ...


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """The pod to take profiles of."""

    report: str  # NAMESPACE/NAME of the LeakReport that the profiles are kept for
    workload: Workload
    pod: Pod
    container: str  # empty where the signal does not name it
    spec: Evidence
    signal_type: str
    goroutines: float | None = None  # the count by the metric; None where it is not known
    source: str = ""  # name of the policy's source, which has metrics of database pools; empty: the default one


class Profiler(Protocol):
    """Takes profiles of a pod and names suspects."""

    async def capture(self, request: CaptureRequest) -> EvidenceStatus:
        """Within its own timeouts and size caps; a failure is a state of the answer, never an exception."""
        ...

    async def baseline(self, request: CaptureRequest, renew: bool) -> bool:
        """Count a healthy pod's goroutines and objects at each stack, once per template, and once more with `renew`;
        `request.report` is empty. Returns whether the counts are known now; never raises."""
        ...


READER_CONTAINER = "leakwarden-descriptors"  # the name of the one ephemeral container that a pod is given


@dataclass(frozen=True, slots=True)
class DescriptorsFound:
    """The descriptors that a process holds open, or why they are not known: `reason` with a message for people."""

    target: str = ""  # the container that was looked into, where that is known
    census: Census | None = None
    reason: DescriptorReason | None = None
    message: str = ""


class DescriptorReader(Protocol):
    """Looks into a pod by the ephemeral container READER_CONTAINER."""

    async def read(self, pod: Pod, container: str, report: str) -> DescriptorsFound:
        """Add the container, wait for its answer and return it. A container that was added before for the same report
        (NAMESPACE/NAME) is not added again; its answer is used. `container` empty: the pod's main one.

        Has its own timeout; a failure is an answer, never an exception.
        """
        ...


@dataclass(frozen=True, slots=True)
class LogTail:
    """Lines of logs, or why there are none: `trouble` in words for people."""

    lines: Sequence[str] = ()
    trouble: str = ""
    more: bool = False  # whether there were further lines, beyond the bounds


class LogReader(Protocol):
    """Reads the end of a pod's log."""

    async def tail(self, pod: Pod, since: float) -> LogTail:
        """The main container's output of the last `since` s, bounded in bytes, lines and time. Never raises."""
        ...


class LogStore(Protocol):
    """Has the logs of pods, also of those that are gone."""

    name: str

    async def matching(self, namespace: str, pods: str, since: float, until: float) -> LogTail:
        """The lines between two times (epoch s) that contain a known error, of the pods whose names match `pods`, a
        regular expression (RE2). Bounded in bytes, lines and time. Never raises."""
        ...


class Recorder(Protocol):
    async def announce(self, announcements: Sequence[Announcement]) -> None:
        """Record Events; equal ones become a series. Never raises: a lost Event must not stop a tick."""
        ...
