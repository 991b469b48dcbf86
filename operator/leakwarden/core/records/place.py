"""Which LeakReports and action records count, and for what: a record counts only for objects of its own namespace.

Every account with the right to write in a namespace can write LeakReports there. Cooldowns, budgets, circuits and
scale-ins are computed from these records, so a report counts only where all objects that it names are in its own
namespace:

    its policy, its Deployment and its pod, as far as they exist;
    and each of its action records only where it is about the report's own Deployment.

An object that does not exist (any more) can neither be acted on nor belong to another namespace, so it counts: the
action budget of a Deployment that was deleted must not be refilled by that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Snapshot


@dataclass(frozen=True, slots=True)
class Places:
    """The namespace of each policy, Deployment and pod, by UID."""

    policies: Mapping[str, str]
    workloads: Mapping[str, str]
    pods: Mapping[str, str]

    @classmethod
    def of(cls, policies: Iterable[Policy], snapshot: Snapshot) -> Places:
        return cls(
            {policy.uid: policy.namespace for policy in policies},
            {workload.uid: workload.namespace for workload in snapshot.workloads.values()},
            {pod.uid: pod.namespace for pods in snapshot.pods_by_workload.values() for pod in pods},
        )

    def foreign(self, report: LeakReport) -> str:
        """The objects of other namespaces that the report names, in words; empty where there are none."""
        named = (
            ("policy", self.policies.get(report.spec.policy.uid)),
            ("workload", self.workloads.get(report.spec.workload.uid)),
            ("pod", self.pods.get(report.spec.pod.uid)),
        )
        return next((kind for kind, home in named if home is not None and home != report.namespace), "")

    def counted(self, report: LeakReport) -> LeakReport:
        """The report with those of its records that are about its own Deployment."""
        kept = [record for record in report.status.actions if self._is_about(record, report)]
        if len(kept) == len(report.status.actions):
            return report
        return replace(report, status=report.status.model_copy(update={"actions": kept}))

    def _is_about(self, record: ActionStatus, report: LeakReport) -> bool:
        home = self.pods.get(record.pod_uid, report.namespace)
        return record.workload_uid == report.spec.workload.uid and home == report.namespace

    def of_policy(self, records: Sequence[ActionStatus], policy: Policy) -> list[ActionStatus]:
        """Those of the records in a policy's status that are about its own namespace."""
        return [
            record
            for record in records
            if self.workloads.get(record.workload_uid, policy.namespace) == policy.namespace
            and self.pods.get(record.pod_uid, policy.namespace) == policy.namespace
        ]
