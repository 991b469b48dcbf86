"""What the status of a policy whose pods are all calm follows from, in a form that is quickly compared.

Most policies are so in most ticks, and to build a status only to find it equal to the one before costs more than to
judge the pods.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from leakwarden.api.scalars import parse_duration
from leakwarden.core.evaluation.results import PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.model.readings import Sampled
from leakwarden.core.planning.planning import Decision
from leakwarden.core.rendering.conditions import Records


def calm_facts(
    evaluation: PolicyEvaluation, decisions: Sequence[Decision], records: Records, now: float
) -> tuple[Any, ...] | None:
    """Everything that `build_status` reads of such a policy: where it is equal, the status is equal. None where the status
    also follows from a judgement, an action or the present time."""
    spec = evaluation.policy.spec
    if spec is None or decisions or not evaluation.workloads:
        return None
    max_age = parse_duration(spec.source.max_age)
    targets = []
    for target in evaluation.workloads:
        facts = _of_target(target, records, now - max_age)
        if facts is None:
            return None
        targets.append(facts)
    return (
        evaluation.policy,
        evaluation.source,
        evaluation.source_error,
        evaluation.cluster_fresh,
        evaluation.cluster_trouble,
        dict(evaluation.unread_kinds),
        evaluation.absent_kinds,
        # Of an answer with readings only that there is one: the readings show in the judgements of pods.
        {name: "Sampled" if isinstance(each, Sampled) else each for name, each in evaluation.answers.items()},
        records.trouble,
        list(records.actions),
        list(records.missing_rights),
        records.silences_read,
        records.defect,
        targets,
    )


def _of_target(target: WorkloadEvaluation, records: Records, young: float) -> tuple[Any, ...] | None:
    """`young`: epoch s; pods that were created later may have no readings yet."""
    workload = target.workload
    if records.by_workload.get(workload.uid):
        return None  # whether its circuit is open depends on the time
    patterns: list[Hashable] = []
    for each in target.pods:
        pattern, pod = each.calm, each.pod
        if pattern is None or not pod.ready or pod.created >= young or (records.calls and pod.uid in records.calls):
            return None
        patterns.append(pattern)
    return (
        workload,
        target.verdict,
        patterns,
        target.findings,
        target.conflicts_with,
        target.own_first,
        target.conflict,
        target.excepted,
        target.unread,
    )
