"""Condition types and reasons: one constant per cause, which feeds the condition, the Event, the metric label and the
log line alike. The meaning of a skip reason is in its guard's record (core/guards); a test compares the tables of
docs/reference/conditions.md with both.
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
    """Why a condition is what it is. REASON_MEANINGS has the text that the reference shows."""

    # Ready
    RECONCILED = "Reconciled"
    INVALID_SPEC = "InvalidSpec"
    CONFLICTED = "Conflicted"
    NO_TARGETS = "NoTargets"
    UNKNOWN_SOURCE = "UnknownSource"
    RECORDS_UNAVAILABLE = "RecordsUnavailable"
    RIGHTS_MISSING = "RightsMissing"
    SILENCES_UNREAD = "SilencesUnread"
    KIND_UNREAD = "KindUnread"
    LIMIT_EXCEEDED = "LimitExceeded"
    NAMESPACES_NOT_READY = "NamespacesNotReady"
    DEFECT = "Defect"
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
    " is allowed. Nothing is done for this policy until it is corrected; what its last readable spec selected stays its own, so that"
    " no younger policy acts there meanwhile.",
    ConditionReason.CONFLICTED: "An older policy selects the same workload, in mode Observe as well as in Enforce; this one leaves"
    " it alone. What a namespace's own policy takes from a ClusterReliabilityPolicy is no conflict: it is meant to come first.",
    ConditionReason.NO_TARGETS: "No workload of the namespace matches the selector.",
    ConditionReason.UNKNOWN_SOURCE: "spec.source.prometheus names an endpoint that the operator's configuration does not have.",
    ConditionReason.RECORDS_UNAVAILABLE: "LeakReports cannot be read or written; the message names the missing right or the"
    " missing CRD. Nothing is done: without its record an action could be done twice.",
    ConditionReason.RIGHTS_MISSING: "The operator's account may not do, or read, something that this policy needs; the message names"
    " the verb and the resource. The rest of the policy is in force. It is said until the right is there and was needed"
    " again.",
    ConditionReason.SILENCES_UNREAD: "spec.respectSilences is true, but no Alertmanager is configured for the operator (chart value"
    " alertmanager), so that nobody knows what is silenced. Targets are judged, and nothing is done; configure one, or"
    " leave the field out.",
    ConditionReason.KIND_UNREAD: "spec.workloads has a kind that the operator does not read: it is not switched on in the"
    " installation (workloads in the chart's values), its right is missing, or it could not be listed lately; the message says"
    " which. Nothing is done for workloads of that kind; those of the other kinds are watched.",
    ConditionReason.LIMIT_EXCEEDED: "The namespace has more policies than the installation has in force at once"
    " (guards.namespacePolicies in the chart's values); the oldest are, and this one is not. Of ClusterReliabilityPolicies twenty"
    " are, and one with a query of its own only in the oldest hundred of its namespaces. Nothing is done for the rest.",
    ConditionReason.NAMESPACES_NOT_READY: "A ClusterReliabilityPolicy is in force, but not in every namespace that it selects;"
    " the message and status.namespaces name those where it is not, with the reason that a policy there would have. The"
    " condition is True: what is wrong in one namespace must not make the policy unready for all.",
    ConditionReason.DEFECT: "An error in Leakwarden itself kept this policy from being read, judged or carried out; the message"
    " says since when its status is not current, the operator's log has the traceback, and leakwarden_defects_total counts"
    " it. Other policies are not affected.",
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
    """Why an action was not taken. Each is one guard's answer; the guard's record says what it means."""

    SUSPENDED = "Suspended"
    OBSERVING = "Observing"
    PAUSED = "Paused"
    CONFLICTED = "Conflicted"
    OPTED_OUT = "OptedOut"
    POD_PROTECTED = "PodProtected"
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
    UNSUPPORTED_BY_KIND = "UnsupportedByKind"
    ONE_AT_A_TIME = "OneAtATime"
    CIRCUIT_OPEN = "CircuitOpen"
    EVIDENCE_MISSING = "EvidenceMissing"
    EVIDENCE_PENDING = "EvidencePending"
    RECORDS_UNAVAILABLE = "RecordsUnavailable"
