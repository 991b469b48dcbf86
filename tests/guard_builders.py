"""Makers of evaluations, candidates and situations to which no guard objects: a test names only the special values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from leakwarden.api.v1alpha1.leakreport import (
    LeakReportSpec,
    LeakReportStatus,
    Phase,
    PodReference,
    PolicyReference,
    WorkloadReference,
)
from leakwarden.api.v1alpha1.policy import Action, ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionStatus
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards import Candidate, Situation, Surroundings
from leakwarden.core.model.judgement import Interval, Judgement, Verdict
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.workload import Pod
from leakwarden.core.planning.planning import Decision, plan
from tests.builders import NOW, enforcing, pod, policy, workload

EVERYTHING = frozenset(ActionType)
QUIET = Surroundings(autoscalers={})


def exhausting(one: Pod, left: float | None = None, signal: str = "descriptors", value: float = 950) -> PodEvaluation:
    tte = Interval(left, left * 2) if left is not None else None
    found = Judgement(
        signal,
        Verdict.EXHAUSTING,
        "ThresholdHeld",
        message="too many",
        value=value,
        limit=1000,
        growth_per_hour=None,
        seconds_to_exhaustion=tte,
    )
    return PodEvaluation(one, Verdict.EXHAUSTING, found, found, (found,))


def healthy(one: Pod, value: float | None = 10.0) -> PodEvaluation:
    found = Judgement("descriptors", Verdict.HEALTHY, "WithinLimits", message="fine", value=value, limit=1000)
    return PodEvaluation(one, Verdict.HEALTHY, found, None, (found,))


def unknown(one: Pod) -> PodEvaluation:
    return PodEvaluation(one, Verdict.UNKNOWN, None, None, ())


def target(pods: Sequence[PodEvaluation], conflict: str = "", **changes: Any) -> WorkloadEvaluation:
    worst = max((p.verdict for p in pods), key=list(Verdict).index, default=Verdict.UNKNOWN)
    return WorkloadEvaluation(workload(**changes), worst, tuple(pods), (), conflict)


def three(conflict: str = "", **changes: Any) -> WorkloadEvaluation:
    pods = [exhausting(pod("api-1")), healthy(pod("api-2")), healthy(pod("api-3"))]
    return target(pods, conflict, **changes)


def single(**changes: Any) -> WorkloadEvaluation:
    return target([exhausting(pod("api-1"))], replicas=1, updated_replicas=1, **changes)


def record(phase: ActionPhase = ActionPhase.DONE, ago: float = 60, **changes: Any) -> ActionStatus:
    values = {
        "id": "a1", "type": "EvictPod", "workload": "api", "workload_uid": "uid-api", "pod": "api-0",
        "pod_uid": "uid-api-0", "signal": "descriptors", "value": 950.0, "phase": phase,
        "intended_at": format_time(NOW - ago), "finished_at": format_time(NOW - ago),
    }  # fmt: skip
    return ActionStatus(**{**values, **changes})


def records(count: int, ago: float, apart: float = 1.0, **changes: Any) -> list[ActionStatus]:
    """So many carried out actions, the newest `ago` seconds ago."""
    return [record(ago=ago + apart * n, id=f"r{n}", **changes) for n in range(count)]


def report(
    name: str, *actions: ActionStatus, exhausting_ago: float | None = None, namespace: str = "shop", **changes: Any
) -> LeakReport:
    """An open episode of the pod `api-1`, by default of its own workload."""
    since = format_time(NOW - exhausting_ago) if exhausting_ago is not None else None
    spec = LeakReportSpec(
        policy=PolicyReference(name="shop", uid="uid-policy-shop"),
        workload=changes.pop("workload", WorkloadReference(name=name, uid=f"uid-{name}")),
        pod=changes.pop("pod", PodReference(name=f"{name}-1", uid=f"uid-{name}-1")),
        signal="descriptors",
        signal_type="Descriptors",
        detected_at=since or format_time(NOW),
    )
    status = LeakReportStatus(phase=Phase.DETECTED, actions=list(actions), exhausting_at=since, **changes)
    return LeakReport(
        namespace, name, f"uid-report-{name}", resource_version="1", created=NOW, spec=spec, status=status
    )


def situation(records: Sequence[ActionStatus] = (), around: Surroundings = QUIET, **changes: Any) -> Situation:
    values: dict[str, Any] = {
        "now": NOW, "cluster_fresh": True, "permitted": EVERYTHING, "records": {"uid-api": list(records)},
        "surroundings": around, "namespaces": {"uid-api": "shop"},
    }  # fmt: skip
    return Situation(**{**values, **changes})


def candidate(
    one: WorkloadEvaluation | None = None,
    spec: Mapping[str, Any] | None = None,
    action: Mapping[str, Any] | None = None,
    resumed: float | None = None,
    **changes: Any,
) -> Candidate:
    """The first pod of the target as a candidate, by default for EvictPod."""
    one = one or three()
    found = policy(spec=dict(spec or enforcing()))
    assert found.spec is not None
    first = replace(one.pods[0], resumed=resumed)
    assert first.acting is not None
    act = Action.model_validate(action or {"type": "EvictPod"})
    return Candidate(found, found.spec, one, pod=first, judgement=first.acting, action=act, **changes)


def evaluation(one: WorkloadEvaluation, spec: Mapping[str, Any] | None = None, name: str = "shop") -> PolicyEvaluation:
    return PolicyEvaluation(policy(name, spec=dict(spec or enforcing())), "Prometheus/main", "", True, (one,))


def decide(
    one: WorkloadEvaluation | None = None,
    spec: Mapping[str, Any] | None = None,
    records: Sequence[ActionStatus] = (),
    around: Surroundings = QUIET,
    **changes: Any,
) -> Decision:
    (decision,) = plan([evaluation(one or three(), spec)], situation(records, around, **changes))
    return decision
