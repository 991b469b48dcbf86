"""What the operator writes back. Bounded everywhere, so that 500 pods make no larger an object than five."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from leakwarden.api.v1alpha1.kinds import DEFAULT_KIND
from leakwarden.api.v1alpha1.schema import LenientModel

MAX_WORKLOADS = 20
MAX_OTHERS = 480
MAX_PODS = 5
MAX_FINDINGS = 8
MAX_ACTIONS = 20
MAX_SIGNALS = 16  # as many as a policy may have
MAX_MISSING = 8
FIX_LENGTH = 256
MESSAGE_LENGTH = 512


class ActionPhase(StrEnum):
    PENDING = "Pending"
    DONE = "Done"
    BLOCKED = "Blocked"
    FAILED = "Failed"
    INTERRUPTED = "Interrupted"


class ActionResult(StrEnum):
    """Whether an action that was carried out helped."""

    VERIFYING = "Verifying"
    EFFECTIVE = "Effective"
    INEFFECTIVE = "Ineffective"
    INCONCLUSIVE = "Inconclusive"
    RECOVERED_ANYWAY = "RecoveredAnyway"


class Condition(LenientModel):
    """A condition as in metav1.Condition."""

    type: str = Field(max_length=316, description="Ready, Healthy, Compliant, MetricsAvailable or Stalled.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    observed_generation: int = Field(default=0, description="The generation of the spec this was judged for.")
    last_transition_time: str = Field(
        json_schema_extra={"format": "date-time"}, description="When status last changed."
    )
    reason: str = Field(
        max_length=1024, description="A CamelCase word for the cause; docs/reference/conditions.md explains each."
    )
    message: str = Field(default="", max_length=32768, description="One line for people, with numbers and names.")


class TargetCounts(LenientModel):
    """How many targets there are and how they fare."""

    workloads: int = Field(default=0, description="Workloads that the selector matches.")
    pods: int = Field(default=0, description="Their pods.")
    healthy: int = Field(default=0, description="Pods judged Healthy.")
    suspect: int = Field(default=0, description="Pods judged Suspect.")
    leaking: int = Field(default=0, description="Pods judged Leaking.")
    exhausting: int = Field(default=0, description="Pods judged Exhausting.")
    unknown: int = Field(default=0, description="Pods that cannot be judged.")


class PodStatus(LenientModel):
    """One pod that is not Healthy."""

    name: str = Field(max_length=253, description="The pod's name.")
    verdict: str = Field(max_length=32, description="Suspect, Leaking, Exhausting or Unknown.")
    signal: str = Field(default="", max_length=63, description="The signal that decided the verdict.")
    reason: str = Field(default="", max_length=64, description="A CamelCase word for the cause.")
    message: str = Field(default="", max_length=1024, description="One line with the numbers behind it.")


class FindingStatus(LenientModel):
    """One finding of the audit."""

    id: str = Field(
        default="",
        max_length=16,
        description="The check's id, such as LW201, which never changes; docs/reference/checks.md has a section on each.",
    )
    check: str = Field(max_length=64, description="The check that failed.")
    severity: str = Field(max_length=16, description="Error, Warning or Info.")
    container: str = Field(
        default="", max_length=63, description="The container concerned; empty for the pod as a whole."
    )
    message: str = Field(max_length=1024, description="What is wrong.")
    hint: str = Field(default="", max_length=1024, description="What to do about it.")


class SkipStatus(LenientModel):
    """Why nothing was done about a workload that would need it."""

    action: str = Field(default="", max_length=32, description="The action that was considered.")
    pod: str = Field(default="", max_length=253, description="The pod it would have been taken on.")
    reasons: list[str] = Field(default_factory=list, max_length=48, description="Every guard that said no.")
    message: str = Field(default="", max_length=1024, description="The guards' answers in one line.")


class MissingStatus(LenientModel):
    """One thing that cannot be judged for a workload, and what would change that."""

    signal: str = Field(max_length=63, description="The signal's name in the spec, or pprof.")
    reason: str = Field(
        max_length=64,
        description="NotInWorkload: this workload lacks it, others of the policy have it. NotInSource: no target has it."
        " NotExported: the kubelets do not know it. ConstantZero: only zeros are exported, so that it is not measured."
        " NoLimit: it is read, but has no limit to be judged against. NoPodLabel: its series do not say whose they are."
        " NoPort: no such container port is declared.",
    )
    fix: str = Field(default="", max_length=FIX_LENGTH, description="What is missing and what to do, in one line.")


class WorkloadStatus(LenientModel):
    """One target; the worst first, at most twenty."""

    name: str = Field(max_length=253, description="The workload's name.")
    kind: str = Field(
        default=DEFAULT_KIND,
        max_length=63,
        description="Its kind; Deployment where none is written.",
        json_schema_extra={"default": str(DEFAULT_KIND)},
    )
    verdict: str = Field(max_length=32, description="The worst verdict among its pods.")
    pods: int = Field(default=0, description="How many pods it has.")
    unhealthy: list[PodStatus] = Field(
        default_factory=list, max_length=MAX_PODS, description="Its worst pods, at most five."
    )
    unreported: int = Field(
        default=0,
        description="Leaking pods without a LeakReport of their own: at most twenty are open for a target at a time, of the"
        " pods that run out first. All of them are judged, and each has a report before it is acted on.",
    )
    findings: list[FindingStatus] = Field(
        default_factory=list, max_length=MAX_FINDINGS, description="Findings of the audit, worst first, at most eight."
    )
    findings_total: int = Field(default=0, description="How many findings there are in all.")
    findings_excepted: int = Field(
        default=0,
        description="How many further findings are accepted, by the annotation leakwarden.dev/ignore or spec.audit.ignore.",
    )
    available: list[str] = Field(
        default_factory=list, max_length=MAX_SIGNALS, description="Signals that at least one of its pods has."
    )
    missing: list[MissingStatus] = Field(
        default_factory=list,
        max_length=MAX_MISSING,
        description="What cannot be judged here and the fix, at most eight. What could not be read for the moment is in"
        " neither list.",
    )
    missing_total: int = Field(default=0, description="How many things are missing in all.")
    skipped: SkipStatus | None = Field(default=None, description="Why an action that would be due is not taken.")

    @property
    def title(self) -> str:
        """As `Workload.title`: a Deployment's name, KIND/NAME of any other kind."""
        return self.name if self.kind == DEFAULT_KIND else f"{self.kind}/{self.name}"


class OtherWorkload(LenientModel):
    """A target beyond the twenty worst, in short."""

    name: str = Field(max_length=253, description="The workload's name.")
    kind: str = Field(
        default=DEFAULT_KIND,
        max_length=63,
        description="Its kind; Deployment where none is written.",
        json_schema_extra={"default": str(DEFAULT_KIND)},
    )
    verdict: str = Field(max_length=32, description="The worst verdict among its pods.")
    pods: int = Field(default=0, description="How many pods it has.")
    available: list[Annotated[str, Field(max_length=63)]] = Field(
        default_factory=list, max_length=MAX_SIGNALS, description="Signals that at least one of its pods has."
    )
    missing: list[Annotated[str, Field(max_length=128)]] = Field(
        default_factory=list,
        max_length=MAX_MISSING,
        description="What cannot be judged here, each as SIGNAL=REASON; leakwarden capabilities says the fix.",
    )
    missing_total: int = Field(default=0, description="How many things are missing in all.")


class SignalStatus(LenientModel):
    """Whether a signal can be read, and what would provide it where it can't."""

    name: str = Field(max_length=63, description="The signal's name in the spec.")
    state: str = Field(max_length=32, description="Available, Partial, NoData or QueryFailed.")
    pods: int = Field(default=0, description="How many pods have a fresh reading.")
    reason: str = Field(default="", max_length=64, description="A CamelCase word for the cause.")
    message: str = Field(default="", max_length=1024, description="What is missing and what would provide it.")


class ActionStatus(LenientModel):
    """One action: written as Pending before it is carried out, and with its outcome afterwards."""

    id: str = Field(max_length=64, description="Identifies the action.")
    type: str = Field(max_length=32, description="EvictPod, RolloutRestart, ScaleOut or Escalate.")
    workload: str = Field(max_length=253, description="The workload's name.")
    workload_kind: str = Field(
        default=DEFAULT_KIND,
        max_length=63,
        description="Its kind; Deployment where none is written.",
        json_schema_extra={"default": str(DEFAULT_KIND)},
    )
    workload_uid: str = Field(max_length=64, alias="workloadUID", description="The workload's UID.")
    pod: str = Field(default="", max_length=253, description="The pod whose leak led to it.")
    pod_uid: str = Field(default="", max_length=64, alias="podUID", description="That pod's UID.")
    signal: str = Field(default="", max_length=63, description="The signal that led to it.")
    reason: str = Field(default="", max_length=1024, description="The judgement it was based on.")
    value: float | None = Field(default=None, description="The signal's value then, in its own unit.")
    phase: ActionPhase = Field(
        description="Pending: intended, the outcome is not recorded yet. Done. Blocked: a PodDisruptionBudget forbade it."
        " Failed: not carried out. Interrupted: the operator stopped in between, or the answer was lost; it may have been"
        " carried out, and is not repeated."
    )
    intended_at: str = Field(
        json_schema_extra={"format": "date-time"}, description="When it was decided; the cooldown counts from here."
    )
    finished_at: str | None = Field(
        default=None, json_schema_extra={"format": "date-time"}, description="When its outcome was recorded."
    )
    message: str = Field(default="", max_length=1024, description="The outcome in one line.")
    result: ActionResult | None = Field(
        default=None,
        description="Whether it helped. Verifying: that is being watched. Effective: the new pods are back at the level of"
        " a healthy one. Ineffective: they leak or show the symptoms again. Inconclusive: that could not be told in"
        " time; counts as a failure. RecoveredAnyway: pods that were left alone recovered at the same time.",
    )
    verified_at: str | None = Field(
        default=None, json_schema_extra={"format": "date-time"}, description="When the result was found."
    )
    report: str = Field(
        default="",
        max_length=253,
        description="In status.actions of a policy: the LeakReport that holds this record. Empty in the report itself.",
    )

    replicas_before: int | None = Field(
        default=None, description="For ScaleOut: spec.replicas before, to which it returns."
    )
    replicas_after: int | None = Field(default=None, description="For ScaleOut: spec.replicas as it was set.")
    return_at: str | None = Field(
        default=None, json_schema_extra={"format": "date-time"}, description="For ScaleOut: when it is taken back."
    )
    returned_at: str | None = Field(
        default=None,
        json_schema_extra={"format": "date-time"},
        description="For ScaleOut: when it was taken back, or given up because somebody else changed the replicas.",
    )


class LastAction(LenientModel):
    """The newest action at a glance."""

    summary: str = Field(default="", max_length=300, description="What was done, on what, and how it ended.")
    time: str = Field(json_schema_extra={"format": "date-time"}, description="When it was decided.")


class PolicyStatus(LenientModel):
    """What the operator found and did. Written only when it changes."""

    observed_generation: int = Field(default=0, description="The generation of the spec that this status is for.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=16,
        description="Ready: the policy is in force. Healthy: no target leaks. Compliant: the audit has no errors."
        " MetricsAvailable: readings are there. Stalled: it cannot go on by itself: its spec must change, acting did not"
        " help and a circuit is open, or a person was called.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    source: str = Field(default="", max_length=128, description="Where readings come from: Prometheus/NAME or Kubelet.")
    profile: str = Field(
        default="",
        max_length=256,
        description="What spec.profile stands for: the signals that it adds; empty without one.",
    )
    targets: TargetCounts = Field(default_factory=TargetCounts, description="How many targets, and how they fare.")
    workloads: list[WorkloadStatus] = Field(
        default_factory=list,
        max_length=MAX_WORKLOADS,
        description="The targets, worst first, at most twenty.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "kind"]},
    )
    others: list[OtherWorkload] = Field(
        default_factory=list,
        max_length=MAX_OTHERS,
        description="The targets after those twenty in short, worst first, at most 480; fewer where their names are long."
        " What they leak is in their LeakReports.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "kind"]},
    )
    signals: list[SignalStatus] = Field(
        default_factory=list,
        max_length=MAX_SIGNALS,
        description="Which signals can be read.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    notes: list[Annotated[str, Field(max_length=FIX_LENGTH)]] = Field(
        default_factory=list,
        max_length=4,
        description="What cannot be measured from outside a pod, whatever it exports, and what the audit could not read.",
    )
    actions: list[ActionStatus] = Field(
        default_factory=list,
        max_length=MAX_ACTIONS,
        description="The newest actions, newest first, at most twenty: a view of the LeakReports of this policy, which cooldowns"
        " and budgets are computed from.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
    )
    last_action: LastAction | None = Field(default=None, description="The newest action at a glance.")
