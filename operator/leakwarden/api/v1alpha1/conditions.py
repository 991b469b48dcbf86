"""Condition types and reasons: one constant per cause, which feeds the condition, the Event, the metric label
and the log line alike. The README's table is checked against this module by a test.
"""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """Positive adjectives: True is good. RECONCILING and STALLED follow kstatus and exist only while true."""

    READY = "Ready"
    HEALTHY = "Healthy"
    COMPLIANT = "Compliant"
    METRICS_AVAILABLE = "MetricsAvailable"
    STALLED = "Stalled"


class ConditionReason(StrEnum):
    """Why a condition is what it is. The docstring of each member is what the README says."""

    # Ready
    RECONCILED = "Reconciled"
    INVALID_SPEC = "InvalidSpec"
    CONFLICTED = "Conflicted"
    NO_TARGETS = "NoTargets"
    UNKNOWN_SOURCE = "UnknownSource"
    RECORDS_UNAVAILABLE = "RecordsUnavailable"
    RIGHTS_MISSING = "RightsMissing"
    SILENCES_UNREAD = "SilencesUnread"
    # Stalled
    CIRCUIT_OPEN = "CircuitOpen"
    ESCALATED = "Escalated"
    # Healthy
    NO_LEAK = "NoLeak"
    LEAK_SUSPECTED = "LeakSuspected"
    LEAK_DETECTED = "LeakDetected"
    NOT_JUDGED = "NotJudged"
    # Compliant
    NO_FINDINGS = "NoFindings"
    FINDINGS = "Findings"
    AUDIT_DISABLED = "AuditDisabled"
    # MetricsAvailable
    ALL_SIGNALS_FRESH = "AllSignalsFresh"
    SIGNALS_MISSING = "SignalsMissing"
    NO_DATA = "NoData"
    QUERY_FAILED = "QueryFailed"
    CLUSTER_NOT_SYNCED = "ClusterNotSynced"


REASON_MEANINGS: dict[ConditionReason, str] = {
    ConditionReason.RECONCILED: "The policy is understood and in force.",
    ConditionReason.INVALID_SPEC: "The spec holds a value that cannot be used; the message names the field, the value and what"
    " is allowed. Nothing is done for this policy until it is corrected; other policies are not affected.",
    ConditionReason.CONFLICTED: "An older policy selects the same Deployment and acts on it; this one leaves it alone.",
    ConditionReason.NO_TARGETS: "No Deployment of the namespace matches the selector.",
    ConditionReason.UNKNOWN_SOURCE: "spec.source.prometheus names an endpoint that the operator's configuration does not have.",
    ConditionReason.RECORDS_UNAVAILABLE: "LeakReports cannot be read or written; the message names the missing right or the"
    " missing CRD. Nothing is done: without its record an action could be done twice.",
    ConditionReason.RIGHTS_MISSING: "The operator's account may not do, or read, something that this policy needs; the message names"
    " the verb and the resource. The rest of the policy is in force. It is said until the right is there and was needed"
    " again.",
    ConditionReason.SILENCES_UNREAD: "spec.respectSilences is true, but no Alertmanager is configured for the operator (chart value"
    " alertmanager), so that nobody knows what is silenced. Targets are judged, and nothing is done; configure one, or"
    " leave the field out.",
    ConditionReason.CIRCUIT_OPEN: "As many actions in a row as spec.remediation.circuitBreaker allows did not help on the"
    " Deployments that the message names; nothing more is done to them until its sleepWindow is over.",
    ConditionReason.ESCALATED: "A person was called for the pods that the message names, since nothing else that"
    " spec.remediation.actions has helps them or may be done; said until their leaks are over.",
    ConditionReason.NO_LEAK: "Every pod that could be judged shows no leak.",
    ConditionReason.LEAK_SUSPECTED: "A level was exceeded or growth was seen, but not for long enough to be sure.",
    ConditionReason.LEAK_DETECTED: "At least one pod is Leaking or Exhausting; the message names the worst.",
    ConditionReason.NOT_JUDGED: "Readings are missing, stale or too few, so nothing can be said, and nothing is done.",
    ConditionReason.NO_FINDINGS: "The audit found nothing at severity Error.",
    ConditionReason.FINDINGS: "The audit found something at severity Error; status.workloads lists findings with hints.",
    ConditionReason.AUDIT_DISABLED: "spec.audit.enabled is false.",
    ConditionReason.ALL_SIGNALS_FRESH: "Every signal has fresh readings for every target.",
    ConditionReason.SIGNALS_MISSING: "Some signals have no readings for some targets; status.signals says which and what would"
    " provide them. The signals that are there are judged.",
    ConditionReason.NO_DATA: "The source answered but had no readings at all for the targets. Nothing is done.",
    ConditionReason.QUERY_FAILED: "The source could not be queried: unreachable, refused, too slow or an error. Nothing is done"
    " on the signals concerned.",
    ConditionReason.CLUSTER_NOT_SYNCED: "The operator's view of the cluster is not complete or too old. Nothing is done.",
}


class SkipReason(StrEnum):
    """Why an action was not taken. Each is one guard's answer."""

    SUSPENDED = "Suspended"
    OBSERVING = "Observing"
    PAUSED = "Paused"
    CONFLICTED = "Conflicted"
    OPTED_OUT = "OptedOut"
    NOT_PERMITTED = "NotPermitted"
    OUTSIDE_MAINTENANCE = "OutsideMaintenance"
    VETOED = "Vetoed"
    SILENCED = "Silenced"
    CLUSTER_NOT_SYNCED = "ClusterNotSynced"
    QUIET_AFTER_START = "QuietAfterStart"
    REFILLING = "Refilling"
    WARMING_UP = "WarmingUp"
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    ACTION_PENDING = "ActionPending"
    CANARY_PENDING = "CanaryPending"
    OTHERS_IN_FLIGHT = "OthersInFlight"
    COOLDOWN_ACTIVE = "CooldownActive"
    POD_COOLDOWN_ACTIVE = "PodCooldownActive"
    STAGGERED = "Staggered"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    BELOW_MIN_READY = "BelowMinReady"
    TOO_FEW_REPLICAS = "TooFewReplicas"
    WORKLOAD_BUDGET_EXHAUSTED = "WorkloadBudgetExhausted"
    NAMESPACE_BUDGET_EXHAUSTED = "NamespaceBudgetExhausted"
    CLUSTER_BUDGET_EXHAUSTED = "ClusterBudgetExhausted"
    STORM_ACTIVE = "StormActive"
    REPLICAS_OWNED = "ReplicasOwned"
    TEMPLATE_OWNED = "TemplateOwned"
    ESCALATED = "Escalated"
    DISRUPTION_BUDGET = "DisruptionBudget"
    AT_MAX_REPLICAS = "AtMaxReplicas"
    DROPS_REQUESTS = "DropsRequests"
    WORSENS_LEAK = "WorsensLeak"
    CIRCUIT_OPEN = "CircuitOpen"
    EVIDENCE_MISSING = "EvidenceMissing"
    EVIDENCE_PENDING = "EvidencePending"
    RECORDS_UNAVAILABLE = "RecordsUnavailable"


SKIP_MEANINGS: dict[SkipReason, str] = {
    SkipReason.SUSPENDED: "spec.suspend is true.",
    SkipReason.OBSERVING: "spec.mode is Observe; the action named would have been taken.",
    SkipReason.PAUSED: "spec.pauseRequests holds at least one request; the message names them with their reasons.",
    SkipReason.CONFLICTED: "An older policy acts on this Deployment.",
    SkipReason.OPTED_OUT: "The Deployment carries the annotation leakwarden.dev/skip; its value is the reason.",
    SkipReason.NOT_PERMITTED: "The installation does not allow this action (actions.* in the chart's values).",
    SkipReason.OUTSIDE_MAINTENANCE: "Now is outside spec.maintenance.allow, or within spec.maintenance.deny.",
    SkipReason.VETOED: "A query of spec.vetoes has an answer that is neither empty nor zero, or no answer.",
    SkipReason.SILENCED: "An active silence of the Alertmanager covers the namespace, Deployment or pod; or, for policies"
    " that use alerts or have spec.respectSilences, it is not known whether one does. With spec.respectSilences that is so"
    " for good while no Alertmanager is configured.",
    SkipReason.CLUSTER_NOT_SYNCED: "The operator's view of the cluster is not complete or too old.",
    SkipReason.QUIET_AFTER_START: "The operator started, or took the lead, less than guards.quietAfterStart (chart values) ago.",
    SkipReason.REFILLING: "The pod's readings had a hole less than spec.source.refill ago; what was averaged over it is wrong.",
    SkipReason.WARMING_UP: "The pod, its process or the Deployment's last rollout is younger than spec.remediation.warmUp.",
    SkipReason.ROLLOUT_IN_PROGRESS: "The Deployment is rolling out or is paused; its pods are about to change anyway.",
    SkipReason.ACTION_PENDING: "An action on this Deployment has not ended yet, or whether the pod's own one helped"
    " is not known yet.",
    SkipReason.CANARY_PENDING: "Whether the first action on this Deployment helped is not known yet; no other pod is touched"
    " before.",
    SkipReason.OTHERS_IN_FLIGHT: "Actions on other Deployments are under way or not verified yet, as many as guards.maxConcurrent"
    " (chart values) allows.",
    SkipReason.COOLDOWN_ACTIVE: "The last action on this Deployment is younger than spec.remediation.cooldown.",
    SkipReason.POD_COOLDOWN_ACTIVE: "The last action for this pod is younger than spec.remediation.podCooldown.",
    SkipReason.STAGGERED: "Another pod of the Deployment was acted on; this one's turn comes later, so that replicas that leak"
    " together get out of step.",
    SkipReason.BUDGET_EXHAUSTED: "As many pods as spec.remediation.budget.maxUnavailable allows are unavailable already.",
    SkipReason.BELOW_MIN_READY: "Fewer pods than spec.remediation.budget.minReady would be left to serve.",
    SkipReason.TOO_FEW_REPLICAS: "The Deployment has too few replicas to spare one (spec.remediation.budget.minReady); it is"
    " scaled out first where spec.remediation.actions has ScaleOut, else a person is called.",
    SkipReason.WORKLOAD_BUDGET_EXHAUSTED: "The Deployment has had spec.remediation.budget.actions within its window.",
    SkipReason.NAMESPACE_BUDGET_EXHAUSTED: "The namespace has had guards.namespaceActions (chart values) within guards.window.",
    SkipReason.CLUSTER_BUDGET_EXHAUSTED: "The cluster has had guards.clusterActions (chart values) within guards.window.",
    SkipReason.STORM_ACTIVE: "Many actions, or many Deployments that began to run out, within a short time: one cause, which"
    " restarts do not remove. Nothing is done anywhere until guards.storm.cooldown (chart values) is over.",
    SkipReason.REPLICAS_OWNED: "An autoscaler, a GitOps application or another controller owns the replicas (or whether one"
    " does is not known), so ScaleOut is refused.",
    SkipReason.TEMPLATE_OWNED: "A GitOps application or another controller owns the pod template, so RolloutRestart is refused.",
    SkipReason.ESCALATED: "A person was called for this pod already; nothing else is tried.",
    SkipReason.DISRUPTION_BUDGET: "A PodDisruptionBudget forbids the eviction now.",
    SkipReason.AT_MAX_REPLICAS: "The Deployment already has maxReplicas replicas.",
    SkipReason.DROPS_REQUESTS: "Pods of the Deployment are killed before they can finish their requests:"
    " terminationGracePeriodSeconds is 0, or preStop uses all of it up. Nothing that takes pods away is done;"
    " spec.audit.enabled: false waives it.",
    SkipReason.WORSENS_LEAK: "Scaling out would open more connections to a database whose pool is exhausted.",
    SkipReason.CIRCUIT_OPEN: "The last actions on this Deployment did not help; after"
    " spec.remediation.circuitBreaker.sleepWindow one more is tried.",
    SkipReason.EVIDENCE_MISSING: "spec.evidence.required is true and no profile of this pod could be taken yet.",
    SkipReason.EVIDENCE_PENDING: "Profiles of this pod are being taken, or of others before it. Everything else goes on"
    " meanwhile; the action waits no longer than three minutes for that.",
    SkipReason.RECORDS_UNAVAILABLE: "Its LeakReport cannot be read or written (yet), and nothing is done unrecorded.",
}
