"""`ReliabilityPolicy`: what a team writes. These models are the schema; the CRD is generated from them.

Field descriptions become `kubectl explain`: each says its unit, its default and its hazard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from leakwarden.api.v1alpha1.action import Action, ActionType
from leakwarden.api.v1alpha1.audit import Audit, IgnoredCheck
from leakwarden.api.v1alpha1.budget import Budget
from leakwarden.api.v1alpha1.evidence import Evidence
from leakwarden.api.v1alpha1.history import ReportHistory
from leakwarden.api.v1alpha1.kinds import DEFAULT_KIND, KINDS, WorkloadKind
from leakwarden.api.v1alpha1.maintenance import Maintenance, PauseRequest, Veto
from leakwarden.api.v1alpha1.need import ScaleOutOnNeed
from leakwarden.api.v1alpha1.proxy import Proxy
from leakwarden.api.v1alpha1.remediation_parts import CircuitBreaker, Verification
from leakwarden.api.v1alpha1.schema import Duration, Model, Rule, Within, ruled
from leakwarden.api.v1alpha1.signal import DEFAULT_ROLES, Role, Signal, SignalType, default_signals

__all__ = [
    "DEFAULT_ROLES",
    "Action",
    "ActionType",
    "Audit",
    "Budget",
    "CircuitBreaker",
    "Evidence",
    "IgnoredCheck",
    "Maintenance",
    "Mode",
    "PauseRequest",
    "PolicySpec",
    "Profile",
    "Proxy",
    "Remediation",
    "ReportHistory",
    "Role",
    "ScaleOutOnNeed",
    "Selector",
    "SelectorOperator",
    "SelectorRequirement",
    "Signal",
    "SignalType",
    "Source",
    "SourceKind",
    "Verification",
    "Veto",
    "WorkloadKind",
]

LabelText = Annotated[str, Field(max_length=63)]
LabelKey = Annotated[str, Field(max_length=317)]


class Mode(StrEnum):
    OBSERVE = "Observe"
    ENFORCE = "Enforce"


class SelectorOperator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class SelectorRequirement(Model):
    """One condition on the labels of a workload."""

    RULES = (
        Rule(
            "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0"
            " : !has(self.values) || size(self.values) == 0",
            "values are needed for In and NotIn, and not allowed for Exists and DoesNotExist",
            lambda self: self.needs_values == bool(self.values),
            lambda self: (
                f"operator {self.operator} {'needs at least one value' if self.needs_values else 'takes no values'}"
            ),
        ),
    )
    model_config = ruled(RULES)

    key: LabelKey = Field(min_length=1, description="The label's key.")
    operator: SelectorOperator = Field(description="How the label's value is compared with values.")
    values: list[LabelText] = Field(
        default_factory=list,
        max_length=64,
        description="The values to compare with: at least one for In and NotIn, none for Exists and DoesNotExist.",
    )

    @property
    def needs_values(self) -> bool:
        return self.operator in (SelectorOperator.IN, SelectorOperator.NOT_IN)


class Selector(Model):
    """Which workloads of the policy's namespace are its targets. Never empty: nothing is selected by omission."""

    RULES = (
        Rule(
            "(has(self.matchLabels) && size(self.matchLabels) > 0)"
            " || (has(self.matchExpressions) && size(self.matchExpressions) > 0)"
            " || (has(self.all) && self.all)",
            "selector must have at least one entry in matchLabels or matchExpressions, or all: true;"
            " an empty selector would mean every Deployment",
            lambda self: bool(self.match_labels or self.match_expressions or self.all),
            lambda _: "is empty; give at least one entry in matchLabels or matchExpressions, or all: true",
        ),
        Rule(
            "!has(self.all) || !self.all || ((!has(self.matchLabels) || size(self.matchLabels) == 0)"
            " && (!has(self.matchExpressions) || size(self.matchExpressions) == 0))",
            "selector has all: true and conditions on labels; give one of the two",
            lambda self: not self.all or not (self.match_labels or self.match_expressions),
        ),
    )
    model_config = ruled(RULES)

    match_labels: dict[LabelKey, LabelText] = Field(
        default_factory=dict,
        max_length=32,
        description="Labels that a workload must carry, all of them.",
    )
    match_expressions: list[SelectorRequirement] = Field(
        default_factory=list,
        max_length=32,
        description="Further conditions on a workload's labels, all of which must hold.",
    )
    all: bool = Field(
        default=False,
        description="true: every workload of the namespace, of the kinds that workloads lists; then without conditions on"
        " labels. HAZARD: what is added to the namespace later is selected as well. Default false.",
    )


class Source(Model):
    """Where readings come from."""

    prometheus: str | None = Field(
        default=None,
        min_length=1,
        max_length=63,
        description="Name of a Prometheus endpoint from the operator's configuration. Default: the endpoint that the"
        " configuration marks as default; where none is configured, the kubelets are read directly. A policy"
        " can never name an address, so that it cannot make the operator call arbitrary hosts.",
    )
    max_age: Annotated[Duration, Within("0s", "15m")] = Field(
        default="2m",
        description="A reading older than this counts as missing, and missing readings never act. At least twice the"
        " scrape interval; at most 15m, for between two readings nobody looked. Default 2m.",
    )
    refill: Annotated[Duration, Within("0s", "6h")] = Field(
        default="10m",
        description="After a hole in the readings of a pod, longer than maxAge, nothing is done for it until they have been"
        " whole for this long: averages and growth are wrong until then. 0s turns it off. At most 6h. Default 10m.",
    )
    proxy: Proxy | None = Field(
        default=None,
        description="The proxy before the Deployments, which counts what users get, a 502 of its own among it. LeakReports"
        " then compare its status codes and latency before and after an action, and say why it answered with errors."
        " Default: none; what the Deployments count themselves is read.",
    )


class Profile(StrEnum):
    """A set of signals by one name."""

    GO_SERVICE = "go-service"


# What each profile stands for; the signals that a policy lists itself are added, and win by name.
PROFILES: Mapping[Profile, Callable[[], list[Signal]]] = {Profile.GO_SERVICE: default_signals}
MAX_SIGNALS = 16


class Remediation(Model):
    """What may be done, and its guards."""

    actions: list[Action] = Field(
        default_factory=lambda: [Action(type=ActionType.EVICT_POD)],
        min_length=1,
        max_length=4,
        description="What may be done, as a ladder: the next one is considered where the one before it is impossible (not"
        " merely made to wait), did not help, or could not be seen to help within its timeout. Default: EvictPod alone.",
        json_schema_extra={
            "default": [{"type": "EvictPod"}],
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    pod_cooldown: Annotated[Duration, Within("0s", "30d")] = Field(
        default="30m",
        description="The least time between two actions for one pod, such as a ScaleOut and then its eviction, counted as"
        " cooldown is. At most 30d. Default 30m.",
    )
    warm_up: Annotated[Duration, Within("0s", "7d")] = Field(
        default="10m",
        description="A pod younger than this is left alone, and so is a Deployment whose last rollout ended less than this"
        " ago: what looks like a leak then may be a cache that fills. 0s turns it off. At most 7d. Default 10m.",
    )
    cooldown: Annotated[Duration, Within("10s", "30d")] = Field(
        default="10m",
        description="The least time between two actions on one target, counted from the moment an action was decided,"
        " so that a crash never shortens it. Replicas that leak together are at least this far apart. From 10s"
        " to 30d. Default 10m.",
    )
    budget: Budget = Field(default_factory=Budget, description="How much may be disturbed at once.")
    verification: Verification = Field(
        default_factory=Verification, description="How it is found out whether an action helped."
    )
    circuit_breaker: CircuitBreaker = Field(
        default_factory=CircuitBreaker, description="When to stop acting on a target because it does not help."
    )
    scale_out_on_need: ScaleOutOnNeed | None = Field(
        default=None,
        description="More replicas for a Deployment that is loaded and does not leak: one at a time, by the guards, cooldown"
        " and budget of every ScaleOut, until it has what its load takes. Where something leaks, actions come first; an"
        " autoscaler that owns the replicas is never fought. Needs a signal of type LatencyP99 or WorkingSet. Default: none.",
    )

    @property
    def scale_out(self) -> Action | None:
        """The action that adds replicas, whatever for; None where nothing does."""
        for action in self.actions:
            if action.type is ActionType.SCALE_OUT:
                return action
        return self.scale_out_on_need.action if self.scale_out_on_need is not None else None


_SCALING = [str(kind) for kind, api in KINDS.items() if api.scales]
_PROFILED = [signal.name for signal in default_signals()]
_ACTING_TYPES = [str(t) for t, role in DEFAULT_ROLES.items() if role is Role.LEAK]


class PolicySpec(Model):
    """What is watched, how it is judged and what may be done."""

    RULES = (
        Rule(
            "!has(self.mode) || self.mode != 'Enforce' || has(self.profile) || !has(self.signals) || self.signals.exists(s,"
            f" has(s.role) ? s.role == 'Leak' : s.type in {_ACTING_TYPES})",
            "mode Enforce needs at least one signal with role Leak: Supporting and Symptom signals never act alone",
            lambda self: (
                self.mode is not Mode.ENFORCE or any(signal.effective_role is Role.LEAK for signal in self.signals)
            ),
        ),
        Rule(
            "!has(self.remediation) || !has(self.remediation.scaleOutOnNeed) || has(self.profile) || !has(self.signals)"
            " || self.signals.exists(s, s.type in ['LatencyP99', 'WorkingSet'])",
            "remediation.scaleOutOnNeed needs a signal of type LatencyP99 or WorkingSet",
            lambda self: (
                self.remediation.scale_out_on_need is None
                or any(signal.type in (SignalType.LATENCY_P99, SignalType.WORKING_SET) for signal in self.signals)
            ),
        ),
        Rule(
            "!has(self.profile) || !has(self.signals) || size(self.signals)"
            f" + size({_PROFILED}.filter(n, !self.signals.exists(s, s.name == n))) <= {MAX_SIGNALS}",
            f"signals and those of profile are more than {MAX_SIGNALS} together",
            lambda self: len(self.signals) <= MAX_SIGNALS,
        ),
        Rule(
            f"!has(self.workloads) || self.workloads.exists(k, k in {_SCALING}) || !has(self.remediation)"
            " || (!has(self.remediation.scaleOutOnNeed) && (!has(self.remediation.actions)"
            " || !self.remediation.actions.exists(a, a.type == 'ScaleOut')))",
            "workloads holds no kind that has replicas to add; remove ScaleOut and scaleOutOnNeed, or select another kind",
            lambda self: any(KINDS[kind].scales for kind in self.workloads) or self.remediation.scale_out is None,
        ),
    )
    model_config = ruled(RULES)

    selector: Selector = Field(description="Which workloads of this namespace are the policy's targets. Required.")
    workloads: list[WorkloadKind] = Field(
        default_factory=lambda: [DEFAULT_KIND],
        min_length=1,
        max_length=len(KINDS),
        description="The kinds of workload that are selected: Deployment, StatefulSet, DaemonSet, Rollout (of Argo Rollouts)."
        " All but Deployment must be switched on in the installation as well (workloads in the chart's values). Default:"
        " Deployment alone.",
        json_schema_extra={"default": [str(DEFAULT_KIND)], "x-kubernetes-list-type": "set"},
    )
    mode: Mode = Field(
        default=Mode.OBSERVE,
        description="Observe: nothing is ever changed; what would have been done is reported. Enforce: the remediation is"
        " carried out within its guards. Default Observe.",
    )
    suspend: bool = Field(
        default=False,
        description="While true the policy's targets are judged and reported but no action is taken. Default false.",
    )
    pause_requests: list[PauseRequest] = Field(
        default_factory=list,
        max_length=16,
        description="Wishes that nothing be done for now, each with a name and a reason. While there is any, targets are"
        " judged and reported but no action is taken.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    maintenance: Maintenance = Field(
        default_factory=Maintenance, description="When acting is allowed, by the clock. Default: at any time."
    )
    vetoes: list[Veto] = Field(
        default_factory=list,
        max_length=8,
        description="Questions to Prometheus that must have an empty or a zero answer before anything is done.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    respect_silences: bool = Field(
        default=False,
        description="Whether nothing is done while it is not known which silences are active: while an Alertmanager of the"
        " operator's configuration does not answer, and for good where none is configured, which the condition Ready then"
        " says (SilencesUnread). Policies with a signal of type Alert always wait for an Alertmanager that is configured."
        " An active silence for the namespace, Deployment or pod forbids every action in either case. Default false.",
    )
    source: Source = Field(default_factory=Source, description="Where readings come from.")
    audit: Audit = Field(default_factory=Audit, description="The static checks on each target.")
    profile: Profile | None = Field(
        default=None,
        description="A set of signals by one name, in addition to those that signals lists; one of the same name there wins."
        " go-service: descriptors, goroutines, heap, db-pool and working-set, each judged by its growth. status.profile shows"
        " what it stands for. Default: none; signals alone, whose default is the same set.",
    )
    signals: list[Signal] = Field(
        default_factory=default_signals,
        min_length=1,
        max_length=MAX_SIGNALS,
        description="What is measured, and how it is judged. Default: descriptors, goroutines, heap, db-pool and"
        " working-set, each judged by its growth.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    remediation: Remediation = Field(default_factory=Remediation, description="What may be done, and its guards.")
    evidence: Evidence = Field(
        default_factory=Evidence, description="What is taken from a leaking pod before it is acted on."
    )
    history: ReportHistory = Field(
        default_factory=ReportHistory, description="How many LeakReports are kept, and how long."
    )

    @model_validator(mode="before")
    @classmethod
    def _with_profile(cls, given: Any) -> Any:
        """Adds the signals of the profile. What is not of the right shape is left for the fields to refuse."""
        if not isinstance(given, Mapping) or given.get("profile") not in set(Profile):
            return given
        own = given.get("signals")
        if not isinstance(own, list):
            return given
        names = {each.get("name") for each in own if isinstance(each, Mapping)}
        more = [each for each in PROFILES[Profile(given["profile"])]() if each.name not in names]
        if len(own) <= MAX_SIGNALS < len(own) + len(more):
            raise ValueError(
                f"signals has {len(own)} and profile {given['profile']} adds {len(more)}; a policy may have {MAX_SIGNALS}"
            )
        return {**given, "signals": [*own, *more]}

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        names = [signal.name for signal in self.signals]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"signals has the name {name!r} more than once; names must be unique")
        for field, given in (("pauseRequests", self.pause_requests), ("vetoes", self.vetoes)):
            if len({each.name for each in given}) != len(given):
                raise ValueError(f"{field} has a name more than once; names must be unique")
        types = [action.type for action in self.remediation.actions]
        if len(set(types)) != len(types):
            raise ValueError("remediation.actions names a type more than once; each may stand there once")
        if len(set(self.workloads)) != len(self.workloads):
            raise ValueError("workloads names a kind more than once; each may stand there once")
        return self


SourceKind = Literal["Prometheus", "Kubelet"]
