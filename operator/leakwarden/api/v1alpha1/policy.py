"""`ReliabilityPolicy`: what a team writes. These models are the schema; the CRD is generated from them.

Field descriptions become `kubectl explain`: each says its unit, its default and its hazard.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.evidence import Evidence
from leakwarden.api.v1alpha1.schema import Duration, Model, rules
from leakwarden.api.v1alpha1.signal import DEFAULT_ROLES, Role, Signal, SignalType, default_signals

__all__ = [
    "DEFAULT_ROLES",
    "Action",
    "ActionType",
    "Audit",
    "Budget",
    "Evidence",
    "Mode",
    "PolicySpec",
    "Remediation",
    "Role",
    "Selector",
    "SelectorOperator",
    "SelectorRequirement",
    "Signal",
    "SignalType",
    "Source",
    "SourceKind",
]

LabelText = Annotated[str, Field(max_length=63)]
LabelKey = Annotated[str, Field(max_length=317)]


class Mode(StrEnum):
    OBSERVE = "Observe"
    ENFORCE = "Enforce"


class ActionType(StrEnum):
    EVICT_POD = "EvictPod"
    ROLLOUT_RESTART = "RolloutRestart"
    SCALE_OUT = "ScaleOut"


class SelectorOperator(StrEnum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class SelectorRequirement(Model):
    """One condition on the labels of a Deployment."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0"
                " : !has(self.values) || size(self.values) == 0",
                "values are needed for In and NotIn, and not allowed for Exists and DoesNotExist",
            )
        )
    )

    key: LabelKey = Field(min_length=1, description="The label's key.")
    operator: SelectorOperator = Field(description="How the label's value is compared with values.")
    values: list[LabelText] = Field(
        default_factory=list,
        max_length=64,
        description="The values to compare with: at least one for In and NotIn, none for Exists and DoesNotExist.",
    )

    @model_validator(mode="after")
    def _values_fit_the_operator(self) -> Self:
        needs = self.operator in (SelectorOperator.IN, SelectorOperator.NOT_IN)
        if needs != bool(self.values):
            raise ValueError(f"operator {self.operator} {'needs at least one value' if needs else 'takes no values'}")
        return self


class Selector(Model):
    """Which Deployments of the policy's namespace are its targets. Never empty: nothing is selected by omission."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "(has(self.matchLabels) && size(self.matchLabels) > 0)"
                " || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
                "selector must have at least one entry in matchLabels or matchExpressions;"
                " an empty selector would mean every Deployment",
            )
        )
    )

    match_labels: dict[LabelKey, LabelText] = Field(
        default_factory=dict,
        max_length=32,
        description="Labels that a Deployment must carry, all of them.",
    )
    match_expressions: list[SelectorRequirement] = Field(
        default_factory=list,
        max_length=32,
        description="Further conditions on a Deployment's labels, all of which must hold.",
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.match_labels and not self.match_expressions:
            raise ValueError("is empty; give at least one entry in matchLabels or matchExpressions")
        return self


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
    max_age: Duration = Field(
        default="2m",
        description="A reading older than this counts as missing, and missing readings never act. At least twice the"
        " scrape interval. Default 2m.",
    )


class Audit(Model):
    """The static checks on each target, and whether its endpoints really answer."""

    enabled: bool = Field(
        default=True, description="Whether targets are audited. Default true. Auditing changes nothing."
    )
    liveness_path: str = Field(
        default="/healthz",
        min_length=1,
        max_length=256,
        pattern=r"^/[^\s]*$",
        description="HTTP path that the liveness probe is expected to use. Default /healthz.",
    )
    readiness_path: str = Field(
        default="/readyz",
        min_length=1,
        max_length=256,
        pattern=r"^/[^\s]*$",
        description="HTTP path that the readiness probe is expected to use. Default /readyz.",
    )
    drain_time: Duration = Field(
        default="10s",
        description="How long a target needs, after SIGTERM, to finish the requests in flight."
        " terminationGracePeriodSeconds must cover preStop and this together. Default 10s.",
    )
    call_endpoints: bool = Field(
        default=True,
        description="Whether the operator itself calls each target's probe endpoints (GET, one pod of a target at a"
        " time, 2 s timeout, no redirects) to see that they really answer. Default true.",
    )


class Action(Model):
    """One thing that may be done about an Exhausting pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("(self.type == 'ScaleOut') == has(self.maxReplicas)", "maxReplicas is needed for ScaleOut and only there"),
        )
    )

    type: ActionType = Field(
        description="EvictPod: evict the leaking pod through the Eviction API, so that PodDisruptionBudgets hold and Git"
        " sees no drift. RolloutRestart: restart all pods of the Deployment as kubectl rollout restart does; changes the"
        " pod template, which GitOps tools may revert. ScaleOut: add one replica; for a leak of database connections"
        " it makes things worse and is refused."
    )
    max_replicas: int | None = Field(
        default=None,
        ge=2,
        le=1000,
        description="For ScaleOut: never scale beyond this many replicas. Required there, it has no default.",
    )

    @model_validator(mode="after")
    def _maximum_fits(self) -> Self:
        if (self.type is ActionType.SCALE_OUT) != (self.max_replicas is not None):
            raise ValueError("maxReplicas is needed for ScaleOut and only there")
        return self


class Budget(Model):
    """How much may be disturbed at once."""

    max_unavailable: int | str = Field(
        default=1,
        description="How many pods of a target, a number or a share such as 25% (rounded down, at least one), may be"
        " unavailable including the one that is about to be evicted. Pods that are not ready, terminating or not yet"
        " created count, whatever the cause. Default 1.",
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            **rules(
                (
                    "type(self) == int ? self >= 1 && self <= 1000 : self.matches('^([1-9]|[1-9][0-9])%$')",
                    "maxUnavailable must be a number from 1 to 1000 or a share from 1% to 99%",
                )
            ),
        },
    )

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        value = self.max_unavailable
        if isinstance(value, int):
            good = 1 <= value <= 1000
        else:
            digits = value[:-1]
            good = value.endswith("%") and digits.isascii() and digits.isdigit() and 1 <= int(digits) <= 99
        if not good:
            raise ValueError(
                f"maxUnavailable is {value!r}; it must be a number from 1 to 1000 or a share from 1% to 99%"
            )
        return self


class Remediation(Model):
    """What may be done, and its guards."""

    actions: list[Action] = Field(
        default_factory=lambda: [Action(type=ActionType.EVICT_POD)],
        min_length=1,
        max_length=3,
        description="What may be done, in order of preference: the next one is considered only where the one before"
        " it is impossible (not merely made to wait). Default: EvictPod alone.",
        json_schema_extra={
            "default": [{"type": "EvictPod"}],
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    cooldown: Duration = Field(
        default="30m",
        description="The least time between two actions on one target, counted from the moment an action was decided,"
        " so that a crash never shortens it. At least 10s. Default 30m.",
        json_schema_extra=rules(("duration(self) >= duration('10s')", "cooldown must be at least 10s")),
    )
    budget: Budget = Field(default_factory=Budget, description="How much may be disturbed at once.")

    @field_validator("cooldown")
    @classmethod
    def _not_a_storm(cls, value: str) -> str:
        if parse_duration(value) < 10:
            raise ValueError(f"{value!r} is too short; at least 10s")
        return value


_ACTING_TYPES = [str(t) for t, role in DEFAULT_ROLES.items() if role is Role.LEAK]


class PolicySpec(Model):
    """What is watched, how it is judged and what may be done."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.mode) || self.mode != 'Enforce' || !has(self.signals) || self.signals.exists(s,"
                f" has(s.role) ? s.role == 'Leak' : s.type in {_ACTING_TYPES})",
                "mode Enforce needs at least one signal with role Leak: Supporting and Symptom signals never act alone",
            )
        )
    )

    selector: Selector = Field(description="Which Deployments of this namespace are the policy's targets. Required.")
    mode: Mode = Field(
        default=Mode.OBSERVE,
        description="Observe: nothing is ever changed; what would have been done is reported. Enforce: the remediation is"
        " carried out within its guards. Default Observe.",
    )
    suspend: bool = Field(
        default=False,
        description="While true the policy's targets are judged and reported but no action is taken. Default false.",
    )
    source: Source = Field(default_factory=Source, description="Where readings come from.")
    audit: Audit = Field(default_factory=Audit, description="The static checks on each target.")
    signals: list[Signal] = Field(
        default_factory=default_signals,
        min_length=1,
        max_length=16,
        description="What is measured, and how it is judged. Default: descriptors, goroutines, heap, db-pool and"
        " working-set, each judged by its growth.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    remediation: Remediation = Field(default_factory=Remediation, description="What may be done, and its guards.")
    evidence: Evidence = Field(
        default_factory=Evidence, description="What is taken from a leaking pod before it is acted on."
    )

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        names = [signal.name for signal in self.signals]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"signals has the name {name!r} more than once; names must be unique")
        types = [action.type for action in self.remediation.actions]
        if len(set(types)) != len(types):
            raise ValueError("remediation.actions names a type more than once; each may stand there once")
        if self.mode is Mode.ENFORCE and all(signal.effective_role is not Role.LEAK for signal in self.signals):
            raise ValueError("mode Enforce needs at least one signal with role Leak")
        return self


SourceKind = Literal["Prometheus", "Kubelet"]
