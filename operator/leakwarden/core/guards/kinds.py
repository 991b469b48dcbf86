"""Guards that follow from the kind of the workload: what a StatefulSet or a DaemonSet cannot bear, or does not have."""

from __future__ import annotations

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.kinds import KINDS, WorkloadKind
from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.core.guards.model import About, Candidate, Situation, guard
from leakwarden.core.model.workload import Workload, ordinal
from leakwarden.core.records.action_counts import is_under_way


@guard(
    SkipReason.UNSUPPORTED_BY_KIND,
    "The workload's kind does not have the action: a DaemonSet has no replicas to add, and with updateStrategy OnDelete, or"
    " for an ordinal below the partition, RolloutRestart restarts nothing.",
    about=About.WORKLOAD,
    waiting_helps=False,
)
def unsupported_by_kind(candidate: Candidate, _: Situation) -> str | None:
    workload = candidate.target.workload
    match candidate.action.type:
        case ActionType.SCALE_OUT if not KINDS[WorkloadKind(workload.kind)].scales:
            return f"a {workload.kind} has no replicas to add"
        case ActionType.ROLLOUT_RESTART if workload.strategy == "OnDelete":
            return f"the {workload.kind} has updateStrategy OnDelete, so a new template restarts nothing"
        case ActionType.ROLLOUT_RESTART if _kept_by_partition(workload, candidate.pod.pod.name):
            return f"the partition of the StatefulSet keeps {candidate.pod.pod.name} from being restarted"
    return None


def _kept_by_partition(workload: Workload, pod: str) -> bool:
    if workload.kind != WorkloadKind.STATEFUL_SET or workload.to_update is None:
        return False
    place = ordinal(pod)
    return place is not None and place < workload.replicas - workload.to_update


@guard(
    SkipReason.ONE_AT_A_TIME,
    "Of a StatefulSet, another ordinal does not serve yet; of a DaemonSet, the node of the last action has no pod that serves"
    " yet. They are taken one after the other, whatever maxUnavailable allows.",
    about=About.WORKLOAD,
    waiting_helps=True,
)
def one_at_a_time(candidate: Candidate, situation: Situation) -> str | None:
    """With OrderedReady a StatefulSet does not make a pod again while one of a lower ordinal is not ready, so a second
    one taken away would stay away. With Parallel, members of a quorum that are away together end it."""
    if not candidate.disturbs:
        return None
    workload = candidate.target.workload
    if workload.kind == WorkloadKind.STATEFUL_SET:
        return _other_ordinals(candidate)
    if workload.kind == WorkloadKind.DAEMON_SET:
        return _other_nodes(candidate, situation)
    return None


def _other_ordinals(candidate: Candidate) -> str | None:
    others = [each.pod for each in candidate.target.pods if each.pod.uid != candidate.pod.pod.uid]
    serving = sum(pod.available for pod in others)
    wanted = candidate.target.workload.replicas - 1
    if serving >= wanted:
        return None
    waiting = ", ".join(sorted(pod.name for pod in others if not pod.available)[:3])
    return f"{serving} of the {wanted} other pods serve{f'; {waiting} does not' if waiting else ''}: one at a time"


def _other_nodes(candidate: Candidate, situation: Situation) -> str | None:
    served = {each.pod.node for each in candidate.target.pods if each.pod.available}
    for report in situation.reports:
        mine = report.spec.workload.uid == candidate.target.workload.uid
        if not mine or report.ended or not report.status.actions or not is_under_way(report.status.actions[0]):
            continue
        node = report.spec.pod.node
        if node and node not in served and node != candidate.pod.pod.node:
            return f"node {node}, of the last action, has no pod that serves yet: one node at a time"
    return None
