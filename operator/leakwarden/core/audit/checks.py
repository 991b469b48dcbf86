"""All checks, and the audit that runs them. A new check is one function, one line here, two fixtures.

An id never changes and is never given to another check, whatever the check is called: exceptions, baselines and code
scanning refer to it. LW1xx are probes, LW2xx termination, LW3xx rollouts, LW4xx availability, LW5xx requests and
scrapes, LW6xx memory and the Go runtime, LW70x volumes and configuration, LW75x jobs, LW8xx the answers of endpoints,
LW9xx refusals of the API server and exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from leakwarden.api.scalars import parse_duration
from leakwarden.core.audit import (
    disruption,
    endpoints,
    hooks,
    probe_clients,
    probe_commands,
    probe_handlers,
    probe_timing,
    probes,
    quorum,
    quotas,
    resources,
    rollout,
    scaling,
    scheduling,
    services,
    termination,
    traffic,
    volumes,
)
from leakwarden.core.audit.findings import RANK, Check, Defect, Finding
from leakwarden.core.audit.related import Related
from leakwarden.core.audit.subject import EndpointObservation, Standard, Subject, ends, main_containers
from leakwarden.core.model.workload import Disruption, Workload

if TYPE_CHECKING:
    from leakwarden.api.v1alpha1.policy import Audit

# Kinds whose pods serve as long as they run: Jobs have neither readiness nor rollouts.
_SERVING = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Pod"})
_ROLLED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Rollout"})
_COUNTED = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "Rollout"})

CHECKS: tuple[Check, ...] = (
    # probes
    Check("LW101", "ReadinessProbeMissing", probes.readiness_missing, "readinessProbe", _SERVING),
    Check("LW102", "LivenessProbeMissing", probes.liveness_missing, "livenessProbe", _SERVING),
    Check("LW103", "StartupProbeMissing", probes.startup_missing, "livenessProbe", _SERVING),
    Check("LW104", "ProbePortUndeclared", probes.port_undeclared),
    Check("LW105", "ProbePathUnexpected", probes.path_unexpected),
    Check("LW106", "LivenessEqualsReadiness", probes.liveness_equals_readiness, "livenessProbe"),
    Check("LW107", "ProbeNotHTTP", probes.not_http, "", _SERVING),
    Check("LW108", "LivenessKillsStart", probe_timing.liveness_kills_start, "livenessProbe"),
    Check("LW109", "LivenessImpatient", probe_timing.liveness_impatient, "livenessProbe"),
    Check("LW110", "ProbeTimeoutTooLong", probe_timing.timeout_not_below_period),
    Check("LW111", "StartupBudgetShort", probe_timing.startup_budget_short, "startupProbe"),
    Check("LW112", "ReadinessSlowToFail", probe_timing.readiness_slow_to_fail, "readinessProbe"),
    Check("LW113", "ProbeHostSet", probe_handlers.host_set),
    Check("LW114", "ExecProbeTimeoutShort", probe_handlers.exec_timeout_default),
    Check("LW115", "LivenessAsksReadiness", probe_handlers.liveness_asks_readiness, "livenessProbe"),
    Check("LW116", "SidecarProbeMissing", probe_handlers.sidecar_probe_missing),
    Check("LW117", "ReadinessAsksElsewhere", probe_handlers.readiness_asks_elsewhere, "readinessProbe"),
    Check("LW118", "ReadinessGateSet", hooks.readiness_gate, "@pod.readinessGates"),
    Check("LW119", "ProbeCommandOutlasts", probe_commands.command_outlasts_timeout),
    Check("LW120", "LivenessAsksOthers", probe_clients.liveness_asks_others, "livenessProbe.exec.command"),
    # termination
    Check("LW201", "GraceBelowDrain", termination.grace_below_drain, "@pod.terminationGracePeriodSeconds"),
    Check("LW202", "GraceZero", termination.grace_zero, "@pod.terminationGracePeriodSeconds"),
    Check("LW203", "PreStopLengthUnknown", termination.pre_stop_length_unknown, "lifecycle.preStop"),
    Check("LW204", "EndpointRemovalRace", termination.endpoint_removal_race, "lifecycle"),
    Check("LW205", "SidecarOutlastsGrace", termination.sidecar_outlasts_grace),
    Check("LW206", "ShellIsFirstProcess", termination.shell_is_first, "command"),
    Check("LW207", "GraceVeryLong", termination.grace_very_long),
    Check("LW208", "ProbeGraceUnfit", termination.probe_grace_too_long),
    Check("LW209", "HookPortMissing", hooks.hook_port_missing, "lifecycle"),
    # rollout
    Check("LW301", "StrategyRecreate", rollout.strategy_recreate, "spec.strategy"),
    Check("LW302", "RolloutTakesAllDown", rollout.takes_all_down, "spec.strategy.rollingUpdate"),
    Check("LW303", "RolloutWithoutSurge", rollout.without_surge, "spec.strategy.rollingUpdate"),
    Check("LW304", "SingleReplica", rollout.single_replica, "spec.replicas", _COUNTED),
    Check("LW305", "MinReadySecondsZero", rollout.min_ready_zero, "spec.minReadySeconds", _ROLLED),
    Check("LW306", "ProgressDeadlineShort", rollout.progress_deadline_short, "spec.progressDeadlineSeconds"),
    Check("LW307", "RolloutPaused", rollout.paused, "spec.paused"),
    Check("LW308", "SurgeNeedsNode", scheduling.surge_cannot_schedule, "spec.strategy"),
    Check("LW309", "UpdateOnDelete", rollout.update_on_delete, "spec.updateStrategy"),
    Check("LW314", "RolloutBesidePods", rollout.pods_beside_rollout, "spec.replicas", _COUNTED),
    Check("LW315", "SurgeAboveQuota", quotas.surge_above_quota, "spec.strategy.rollingUpdate", _ROLLED),
    # availability
    Check("LW401", "DisruptionBudgetMissing", disruption.budget_missing, "", _COUNTED),
    Check("LW402", "DisruptionBudgetBlocks", disruption.budget_blocks, "spec.replicas", _SERVING),
    Check("LW403", "DisruptionBudgetsOverlap", disruption.budgets_overlap),
    Check("LW405", "DisruptionBudgetIdle", disruption.budget_protects_nothing),
    Check("LW406", "UnhealthyPodsStay", disruption.unhealthy_pods_stay, "", _SERVING),
    Check("LW407", "ReplicasBesideAutoscaler", scaling.fixed_replicas, "spec.replicas"),
    Check("LW408", "AutoscalerMinimumSingle", scaling.minimum_single),
    Check("LW410", "AutoscalersCompete", scaling.scalers_compete),
    Check("LW411", "SpreadMissing", scheduling.spread_missing, "@pod", _COUNTED),
    Check("LW412", "SpreadSelectsOthers", scheduling.spread_selects_others, "@pod.topologySpreadConstraints"),
    Check("LW413", "AutoscalerRequestMissing", scaling.request_missing, "resources"),
    Check("LW414", "AutoscalerContainerMissing", scaling.measured_container_missing),
    Check("LW415", "AutoscalerServesFromZero", scaling.serves_from_zero),
    Check("LW417", "DisruptionBudgetLosesQuorum", quorum.quorum_lost, "", frozenset({"StatefulSet"})),
    Check("LW418", "DisruptionBudgetOfSeveral", disruption.budget_of_several, "", _COUNTED),
    Check("LW419", "AutoscalersShareRequest", scaling.scalers_share_request, "", _COUNTED),
    # requests and scrapes
    Check("LW501", "ServiceTargetMissing", services.target_unresolved, "", _SERVING),
    Check("LW503", "ServicePublishesUnready", services.publishes_unready),
    Check("LW504", "ServiceLocalTraffic", services.local_traffic),
    Check("LW505", "RouteOutlastsGrace", services.route_outlasts_grace, "@pod.terminationGracePeriodSeconds"),
    Check("LW506", "MetricsNotScraped", services.metrics_not_scraped, "ports"),
    Check("LW507", "MonitorPortMissing", services.monitor_port_missing),
    Check("LW509", "ProfilingExposed", services.profiling_exposed),
    Check("LW511", "GoverningServiceMissing", services.serving_missing, "spec.serviceName", frozenset({"StatefulSet"})),
    Check("LW521", "ProxyNeverRetries", traffic.never_retries),
    Check("LW522", "ProxyRepeatsWrites", traffic.repeats_writes),
    Check("LW523", "OutlierDetectionMissing", traffic.no_outlier_detection),
    Check("LW524", "ConnectionsNotReused", traffic.connections_not_reused),
    # memory and the Go runtime
    Check("LW601", "MemoryLimitMissing", resources.memory_limit_missing, "resources"),
    Check("LW602", "GoMemLimitMissing", resources.gomemlimit_missing, "env"),
    Check("LW603", "GoMemLimitMalformed", resources.gomemlimit_malformed, "env[name=GOMEMLIMIT]"),
    Check("LW604", "GoMemLimitAboveLimit", resources.gomemlimit_above_limit, "env[name=GOMEMLIMIT]"),
    Check("LW605", "GarbageCollectionOff", resources.gc_off, "env[name=GOGC]"),
    Check("LW606", "ProcessorsAboveLimit", resources.processors_above_limit, "resources.limits.cpu"),
    Check("LW607", "DescriptorLimitRaised", resources.descriptor_limit_raised, "command"),
    Check("LW608", "ResourceUnitUnlikely", resources.unit_unlikely, "resources"),
    # volumes and configuration
    Check("LW701", "ClaimHeldByOne", volumes.claim_held_by_one, "@pod.volumes"),
    Check("LW702", "MemoryVolumeUnbounded", volumes.memory_volume_unbounded, "@pod.volumes"),
    Check("LW703", "DiskVolumeUnfit", volumes.disk_volume_unfit, "@pod.volumes"),
    Check("LW704", "ReferenceMissing", volumes.reference_missing),
    Check("LW705", "MountFrozen", volumes.mount_frozen, "volumeMounts"),
    # endpoints, by their observed answers
    Check("LW801", "EndpointSilent", endpoints.silent),
    Check("LW802", "EndpointNotFound", endpoints.not_found),
    Check("LW803", "EndpointFailing", endpoints.failing),
    Check("LW804", "EndpointRedirects", endpoints.redirects),
)


def standard(policy_audit: Audit) -> Standard:
    """The requirements in a policy's audit section."""
    return Standard(
        liveness_path=policy_audit.liveness_path,
        readiness_path=policy_audit.readiness_path,
        drain=parse_duration(policy_audit.drain_time),
        drain_given="drain_time" in policy_audit.model_fields_set,
        paths_given=True,
    )


def audit(
    workload: Workload,
    policy_audit: Audit | Standard,
    answers: Sequence[EndpointObservation],
    disruptions: Sequence[Disruption] | None = None,
    related: Related | None = None,
) -> tuple[Finding, ...]:
    """The findings about a workload: worst first, then in the order of CHECKS, then of its containers.

    `answers` are the results of the endpoint calls, empty where no call was made. `disruptions` are the
    PodDisruptionBudgets that select the pods; None where they are not known, and then there are no findings about them.
    `related` are the other objects that belong to the workload; None where they are not known.
    """
    if not isinstance(policy_audit, Standard):
        if not policy_audit.enabled:
            return ()
        policy_audit = standard(policy_audit)
    subject = Subject(
        workload=workload,
        policy=policy_audit,
        containers=main_containers(workload),
        answers=tuple(answers),
        disruptions=None if disruptions is None else tuple(disruptions),
        related=related,
    )
    kind = "Job" if ends(workload) else workload.kind
    return ranked(
        found(check, defect)
        for check in CHECKS
        if not check.kinds or kind in check.kinds
        for defect in check.find(subject)
    )


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first; findings of equal severity keep their order."""
    return tuple(sorted(findings, key=lambda finding: RANK[finding.severity]))


def found(check: Check, defect: Defect) -> Finding:
    return Finding(
        check.name,
        defect.severity,
        defect.container,
        message=_bounded(defect.message),
        hint=_bounded(defect.hint),
        id=check.id,
        field=defect.field or check.field,
        mend=defect.mend,
    )


def _bounded(text: str) -> str:
    """At most 512 characters: a probe's path may have any length, and findings are stored in status."""
    return text if len(text) <= 512 else text[:511] + "…"
