"""`LeakReport`: one object an episode, the whole story of one leaking pod. Written by the operator alone.

It is the write-ahead record: an action's intent stands here before anything is done and its outcome after it, so that
cooldowns, budgets and what to verify are computed from what the cluster holds and never from memory.
Bounded everywhere: the largest report stays far below what one object may weigh.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from leakwarden.api.names import POLICY_KIND
from leakwarden.api.v1alpha1.cause import CauseStatus
from leakwarden.api.v1alpha1.evidence_status import EvidenceStatus
from leakwarden.api.v1alpha1.kinds import DEFAULT_KIND
from leakwarden.api.v1alpha1.outcome import OutcomeTable
from leakwarden.api.v1alpha1.schema import LenientModel, rules
from leakwarden.api.v1alpha1.status import ActionStatus

MAX_EPISODE_ACTIONS = 8
MAX_GUARDS = 48
MAX_POINTS = 60
SHORT = 1024


class Phase(StrEnum):
    """Where an episode stands. The last four are ends: nothing follows them."""

    DETECTED = "Detected"
    REMEDIATING = "Remediating"
    VERIFYING = "Verifying"
    EFFECTIVE = "Effective"
    INEFFECTIVE = "Ineffective"
    INCONCLUSIVE = "Inconclusive"
    RECOVERED_ANYWAY = "RecoveredAnyway"


ENDED = frozenset({Phase.EFFECTIVE, Phase.INEFFECTIVE, Phase.INCONCLUSIVE, Phase.RECOVERED_ANYWAY})


class Reference(LenientModel):
    """An object by name and UID: what was deleted and created anew under its name is another one."""

    name: str = Field(max_length=253, description="Its name.")
    uid: str = Field(max_length=64, description="Its UID.")


class PolicyReference(Reference):
    """The policy that found it. That of a ClusterReliabilityPolicy has a UID of its own in each namespace."""

    kind: str = Field(
        default=POLICY_KIND,
        max_length=63,
        description="ReliabilityPolicy, also where none is written, or ClusterReliabilityPolicy.",
        json_schema_extra={"default": POLICY_KIND},
    )

    @property
    def title(self) -> str:
        """As `Policy.title`: a ReliabilityPolicy's name, KIND/NAME of a ClusterReliabilityPolicy."""
        return self.name if self.kind == POLICY_KIND else f"{self.kind}/{self.name}"


class WorkloadReference(Reference):
    """The workload that the pod belongs to."""

    kind: str = Field(
        default=DEFAULT_KIND,
        max_length=63,
        description="Its kind; Deployment where none is written.",
        json_schema_extra={"default": str(DEFAULT_KIND)},
    )

    @property
    def title(self) -> str:
        """As `Workload.title`: a Deployment's name, KIND/NAME of any other kind."""
        return self.name if self.kind == DEFAULT_KIND else f"{self.kind}/{self.name}"


class PodReference(Reference):
    """The pod that leaks."""

    node: str = Field(default="", max_length=253, description="The node it runs on.")
    created_at: str | None = Field(
        default=None, json_schema_extra={"format": "date-time"}, description="When the pod was created."
    )
    started_at: str | None = Field(
        default=None,
        json_schema_extra={"format": "date-time"},
        description="When the newest of its containers' processes began; what a restart buys is counted from here.",
    )


class LeakReportSpec(LenientModel):
    """Who leaks what: set when the episode begins and never changed."""

    model_config = ConfigDict(json_schema_extra=rules(("self == oldSelf", "the identity of an episode cannot change")))

    policy: PolicyReference = Field(description="The policy that found it.")
    workload: WorkloadReference = Field(description="The workload.")
    pod: PodReference = Field(description="The pod.")
    signal: str = Field(max_length=63, description="The signal's name in the policy.")
    signal_type: str = Field(max_length=32, description="The signal's type, such as Descriptors.")
    detected_at: str = Field(json_schema_extra={"format": "date-time"}, description="When it was first judged a leak.")


class Range(LenientModel):
    """An interval; `high` is absent where it has no end."""

    low: float = Field(description="Its lower end.")
    high: float | None = Field(default=None, description="Its upper end; absent where it has none.")


class VerdictStatus(LenientModel):
    """What the pod was judged to be, last, while it could be judged."""

    verdict: str = Field(max_length=32, description="Leaking or Exhausting; later also Healthy, Suspect or Unknown.")
    reason: str = Field(default="", max_length=64, description="A CamelCase word for the cause.")
    message: str = Field(default="", max_length=SHORT, description="One line with the numbers behind it.")
    value: float | None = Field(default=None, description="The signal's value, in its own unit.")
    limit: float | None = Field(default=None, description="The limit it grows towards, in the same unit.")
    unit: str = Field(default="", max_length=32, description="The unit of value and limit.")
    growth_per_hour: Range | None = Field(default=None, description="Growth an hour with its confidence interval.")
    seconds_to_exhaustion: Range | None = Field(
        default=None, description="Seconds until the limit is reached, as an interval."
    )
    judged_at: str | None = Field(
        default=None, json_schema_extra={"format": "date-time"}, description="When this was judged."
    )


class SeriesStatus(LenientModel):
    """The signal's course in short: at most sixty points, evenly spread over what is known."""

    times: list[int] = Field(default_factory=list, max_length=MAX_POINTS, description="Epoch seconds.")
    values: list[float] = Field(
        default_factory=list, max_length=MAX_POINTS, description="The value at each of the times, in the signal's unit."
    )


class PlanStatus(LenientModel):
    """What is, or would be, done."""

    action: str = Field(max_length=32, description="The next action of spec.remediation.actions that is possible.")
    step: int = Field(default=0, description="Its place in spec.remediation.actions of the policy, from 0.")
    order: int = Field(
        default=0, description="This pod's place in the queue of its Deployment, from 1; 0 if not queued."
    )
    not_before: str | None = Field(
        default=None,
        json_schema_extra={"format": "date-time"},
        description="When it is due at the earliest, where replicas are staggered.",
    )
    message: str = Field(default="", max_length=SHORT, description="Why this one, in one line.")


class GuardStatus(LenientModel):
    """One guard's answer."""

    guard: str = Field(max_length=64, description="The guard's name.")
    passed: bool = Field(description="Whether it lets the action pass.")
    reason: str = Field(default="", max_length=64, description="Its skip reason, where it does not.")
    message: str = Field(default="", max_length=SHORT, description="Its answer in one line.")


class Measurement(LenientModel):
    """A signal's growth over a while, for comparison."""

    growth_per_hour: Range | None = Field(default=None, description="Growth an hour with its confidence interval.")
    value: float | None = Field(default=None, description="The last value, in the signal's unit.")
    pods: int = Field(default=0, description="How many pods it was measured on.")
    symptoms: list[Annotated[str, Field(max_length=256)]] = Field(
        default_factory=list,
        max_length=8,
        description="Symptoms seen then, such as an error ratio above its threshold.",
    )


class VerificationStatus(LenientModel):
    """Whether the action helped: the new pod against the old one and against siblings that were not touched."""

    since: str | None = Field(
        default=None,
        json_schema_extra={"format": "date-time"},
        description="When the Deployment had settled after the action; the comparison begins here.",
    )
    newest_before: str | None = Field(
        default=None,
        json_schema_extra={"format": "date-time"},
        description="When the newest pod that was there before the action was created, by the API server's clock: what"
        " was created later is new.",
    )
    untouched: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list,
        max_length=8,
        description="UIDs of pods of the Deployment that leaked as well and were left alone, at most eight.",
    )
    new_pods: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list, max_length=8, alias="newPodUIDs", description="UIDs of the pods that took its place."
    )
    before: Measurement | None = Field(default=None, description="The leaking pod before the action.")
    after: Measurement | None = Field(default=None, description="The new pods.")
    siblings: Measurement | None = Field(default=None, description="Pods of the Deployment that were not touched.")
    message: str = Field(default="", max_length=SHORT, description="The comparison in one line.")
    outcome: OutcomeTable | None = Field(
        default=None,
        description="Status codes, error rate, latency and resources before, during and after the action; read once, when"
        " the verification has ended.",
    )


class LeakReportStatus(LenientModel):
    """How the episode goes on. Written only when it changes."""

    phase: Phase = Field(
        default=Phase.DETECTED,
        description="Detected: a leak, nothing done about it (guards say why). Remediating: an action is intended or under"
        " way. Verifying: it was carried out, and whether it helped is being watched. Effective: growth or symptoms are"
        " gone. Ineffective: the new pod shows them again. Inconclusive: that could not be told in time; counts as a"
        " failure. RecoveredAnyway: the leak ended, or the pod went, without an action of ours.",
    )
    message: str = Field(default="", max_length=SHORT, description="The state in one line for people.")
    verdict: VerdictStatus | None = Field(default=None, description="The last judgement of the leaking pod.")
    series: SeriesStatus | None = Field(default=None, description="The signal's course in short.")
    plan: PlanStatus | None = Field(default=None, description="What is, or would be, done.")
    guards: list[GuardStatus] = Field(
        default_factory=list,
        max_length=MAX_GUARDS,
        description="Every guard's answer when the plan was last considered.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["guard"]},
    )
    actions: list[ActionStatus] = Field(
        default_factory=list,
        max_length=MAX_EPISODE_ACTIONS,
        description="What was done, newest first: as Pending before it is carried out, with its outcome afterwards."
        " Cooldowns and budgets are computed from these.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
    )
    evidence: EvidenceStatus | None = Field(default=None, description="What the pod's profiles say.")
    verification: VerificationStatus | None = Field(default=None, description="Whether the action helped.")
    cause: CauseStatus | None = Field(
        default=None,
        description="Why users got errors meanwhile, where a signal with role Symptom was above its threshold.",
    )
    exhausting_at: str | None = Field(
        default=None, json_schema_extra={"format": "date-time"}, description="When it was first judged Exhausting."
    )
    calm_since: str | None = Field(
        default=None,
        json_schema_extra={"format": "date-time"},
        description="Since when the pod is judged Healthy; a leak that stays away ends as RecoveredAnyway.",
    )
    restart_buys_seconds: float | None = Field(
        default=None,
        description="How long a restart keeps this Deployment from the limit, learnt from its episodes: the median time"
        " from a pod's start to its exhaustion, in seconds.",
    )
    ended_at: str | None = Field(
        default=None, json_schema_extra={"format": "date-time"}, description="When the episode ended."
    )
