"""The kinds of workload that a policy may select, and what the API server calls them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class WorkloadKind(StrEnum):
    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"
    ROLLOUT = "Rollout"


@dataclass(frozen=True, slots=True)
class KindApi:
    """One kind in the API server."""

    group_version: str
    plural: str
    scales: bool = True  # whether it has a number of replicas to set
    built_in: bool = True  # False: it is there only where its CRD is installed

    @property
    def group(self) -> str:
        return self.group_version.partition("/")[0]


KINDS: dict[WorkloadKind, KindApi] = {
    WorkloadKind.DEPLOYMENT: KindApi("apps/v1", "deployments"),
    WorkloadKind.STATEFUL_SET: KindApi("apps/v1", "statefulsets"),
    # One pod a node: the nodes are its number.
    WorkloadKind.DAEMON_SET: KindApi("apps/v1", "daemonsets", scales=False),
    # Argo Rollouts; its CRD has the subresource /scale.
    WorkloadKind.ROLLOUT: KindApi("argoproj.io/v1alpha1", "rollouts", built_in=False),
}
DEFAULT_KIND = WorkloadKind.DEPLOYMENT
