"""All checks, and the audit that runs them. A new check is one function, one line here, two fixtures."""

from __future__ import annotations

from collections.abc import Sequence

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.policy import Audit
from leakwarden.core.audit import disruption, endpoints, probe_timing, probes, resources, rollout, termination
from leakwarden.core.audit.findings import RANK, Check, Finding
from leakwarden.core.audit.subject import EndpointObservation, Subject, main_containers
from leakwarden.core.model.workload import Disruption, Workload

CHECKS: tuple[Check, ...] = (
    # probes
    Check("ReadinessProbeMissing", "A container has no readiness probe", probes.readiness_missing),
    Check("LivenessProbeMissing", "A container has no liveness probe", probes.liveness_missing),
    Check("StartupProbeMissing", "Only the liveness probe bounds a slow start", probes.startup_missing),
    Check("ProbePortUndeclared", "A probe asks a port that the container does not declare", probes.port_undeclared),
    Check("ProbePathUnexpected", "A probe asks another path than the policy names", probes.path_unexpected),
    Check("LivenessEqualsReadiness", "Liveness and readiness ask the same", probes.liveness_equals_readiness),
    Check("ProbeNotHTTP", "A TCP or exec probe does not show that requests are answered", probes.not_http),
    Check("LivenessKillsStart", "Liveness kills before the start can be finished", probe_timing.liveness_kills_start),
    Check("LivenessImpatient", "Liveness restarts after a short stall", probe_timing.liveness_impatient),
    Check("ProbeTimeoutTooLong", "A probe may take longer than its period", probe_timing.timeout_not_below_period),
    Check("StartupBudgetShort", "The startup probe leaves too little time", probe_timing.startup_budget_short),
    Check("ReadinessSlowToFail", "A broken pod gets requests for long", probe_timing.readiness_slow_to_fail),
    # termination
    Check("GraceBelowDrain", "The grace period does not cover preStop and drain", termination.grace_below_drain),
    Check("GraceZero", "Pods are killed without being told", termination.grace_zero),
    Check("PreStopLengthUnknown", "preStop has no certain length", termination.pre_stop_length_unknown),
    Check("EndpointRemovalRace", "SIGTERM may come before traffic ends", termination.endpoint_removal_race),
    # rollout
    Check("StrategyRecreate", "Every rollout is an outage", rollout.strategy_recreate),
    Check("RolloutTakesAllDown", "A rollout may stop all pods at once", rollout.takes_all_down),
    Check("RolloutWithoutSurge", "A rollout runs on fewer pods", rollout.without_surge),
    Check("SingleReplica", "One pod carries everything", rollout.single_replica),
    Check("MinReadySecondsZero", "A rollout does not wait for pods to prove themselves", rollout.min_ready_zero),
    Check("ProgressDeadlineShort", "A rollout is given up while pods may start", rollout.progress_deadline_short),
    Check("RolloutPaused", "The Deployment is paused", rollout.paused),
    # disruption
    Check("DisruptionBudgetMissing", "No PodDisruptionBudget selects the pods", disruption.budget_missing),
    Check("DisruptionBudgetBlocks", "A PodDisruptionBudget forbids every eviction", disruption.budget_blocks),
    Check("DisruptionBudgetsOverlap", "Two budgets make eviction impossible", disruption.budgets_overlap),
    # resources
    Check("MemoryLimitMissing", "A container has no memory limit", resources.memory_limit_missing),
    Check("GoMemLimitMissing", "The Go runtime is not told the memory limit", resources.gomemlimit_missing),
    Check("GoMemLimitMalformed", "The Go runtime refuses GOMEMLIMIT", resources.gomemlimit_malformed),
    Check("GoMemLimitAboveLimit", "GOMEMLIMIT leaves no room below the limit", resources.gomemlimit_above_limit),
    Check("GarbageCollectionOff", "Garbage is never collected", resources.gc_off),
    # endpoints, as they were seen to answer
    Check("EndpointSilent", "A probe endpoint gives no answer", endpoints.silent),
    Check("EndpointNotFound", "A probe endpoint does not exist", endpoints.not_found),
    Check("EndpointFailing", "A probe endpoint answers with an error", endpoints.failing),
    Check("EndpointRedirects", "A probe endpoint redirects", endpoints.redirects),
)


def audit(
    workload: Workload,
    policy_audit: Audit,
    answers: Sequence[EndpointObservation],
    disruptions: Sequence[Disruption] | None = None,
) -> tuple[Finding, ...]:
    """What is wrong with a workload: worst first, then in the order of CHECKS, then of its containers.

    `answers` are the endpoint calls that were made, none where none were; `disruptions` the
    PodDisruptionBudgets that select the pods, None where that is not known, which finds nothing.
    """
    if not policy_audit.enabled:
        return ()
    subject = Subject(
        workload=workload,
        policy=policy_audit,
        drain=parse_duration(policy_audit.drain_time),
        containers=main_containers(workload),
        answers=tuple(answers),
        disruptions=None if disruptions is None else tuple(disruptions),
    )
    findings = [
        Finding(check.name, defect.severity, defect.container, _bounded(defect.message), _bounded(defect.hint))
        for check in CHECKS
        for defect in check.find(subject)
    ]
    return tuple(sorted(findings, key=lambda finding: RANK[finding.severity]))  # stable: keeps the order within


def _bounded(text: str) -> str:
    """At most 512 characters: a probe's path may be of any length, and findings are stored in status."""
    return text if len(text) <= 512 else text[:511] + "…"
