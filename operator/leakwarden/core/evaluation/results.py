"""The result of an evaluation: of a pod, of its workload, of the whole policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from leakwarden.core.audit import Finding
from leakwarden.core.audit.exceptions import Excepted
from leakwarden.core.model.judgement import Judgement, Verdict
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.readings import Answer
from leakwarden.core.model.workload import Pod, Workload


@dataclass(frozen=True, slots=True)
class PodEvaluation:
    """The evaluation of one pod."""

    pod: Pod
    verdict: Verdict
    deciding: Judgement | None
    acting: Judgement | None  # the judgement that may lead to an action: Exhausting, of a Leak signal
    judgements: tuple[Judgement, ...]
    # Epoch s at which that signal's readings went on after a hole; None where no hole is stored.
    resumed: float | None = None
    needs: int = 0  # replicas that the Deployment needs, where the action is for load and not for a leak; else 0

    @property
    def calm(self) -> Sequence[bool] | None:
        """For a pod that was found healthy without its judgements: for each of the policy's signals whether it was
        read; where it was not, the pod does not have it at all. None for all other pods."""
        return None

    @property
    def whole(self) -> PodEvaluation:
        """The evaluation with all of its judgements made; what is changed in it is changed in this one."""
        return self

    def of_pod(self, pod: Pod) -> PodEvaluation:
        """The same evaluation with the pod's present state."""
        return replace(self, pod=pod)


@dataclass(frozen=True, slots=True)
class WorkloadEvaluation:
    workload: Workload
    verdict: Verdict
    pods: tuple[PodEvaluation, ...]
    findings: tuple[Finding, ...] | None  # None: not audited
    conflicts_with: str = ""  # title of the policy that comes first, which this workload belongs to
    # Whether that is a policy of the workload's own namespace, which comes before one of the cluster.
    own_first: bool = False
    conflict: str = "acts on it"  # the relation of that policy to the workload, in words
    excepted: tuple[Excepted, ...] = ()  # findings that people have accepted
    unread: tuple[str, ...] = ()  # objects that the audit needed and could not read, in words


@dataclass(frozen=True, slots=True)
class PolicyEvaluation:
    policy: Policy
    source: str  # "Prometheus/main" or "Kubelet"; empty where the policy's source does not exist
    source_error: str
    cluster_fresh: bool
    workloads: tuple[WorkloadEvaluation, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)  # by the signal's name
    # The kinds that the policy selects and that are not read, with the reason in words; `absent_kinds` apart: the
    # cluster does not have them.
    unread_kinds: Mapping[str, str] = field(default_factory=dict)
    absent_kinds: Set[str] = frozenset()
    cluster_trouble: str = ""  # why the operator cannot read the cluster, in one line, where it is known
