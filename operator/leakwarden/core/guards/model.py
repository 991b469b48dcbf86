"""The input of guards, and their answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum

from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.api.v1alpha1.policy import Action, ActionType, PolicySpec
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.evaluation.results import PodEvaluation, WorkloadEvaluation
from leakwarden.core.guards.limits import Limits
from leakwarden.core.guards.silences import Silences
from leakwarden.core.model.judgement import Judgement
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.text import printable
from leakwarden.core.records.action_counts import Ledger


@dataclass(frozen=True, slots=True)
class Candidate:
    """An action that follows from a judgement, before the guards are evaluated.

    `order` is the pod's place among those of its Deployment that need an action, from 1; `not_before` when its turn
    comes, epoch s; `why` says in one line why this pod, this action and this moment.
    """

    policy: Policy
    spec: PolicySpec
    target: WorkloadEvaluation
    pod: PodEvaluation
    judgement: Judgement
    action: Action
    order: int = 1
    not_before: float = 0.0
    why: str = ""

    @property
    def changes(self) -> bool:
        """Whether it changes anything; calling for a person does not."""
        return self.action.type is not ActionType.ESCALATE

    @property
    def disturbs(self) -> bool:
        """Whether it takes pods away."""
        return self.action.type in (ActionType.EVICT_POD, ActionType.ROLLOUT_RESTART)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The facts gathered in addition to readings. Absent facts never let an action pass that depends on them."""

    limits: Limits = field(default_factory=Limits)
    started: float = 0.0  # epoch s; since when this replica has the lead
    # (namespace, title) of a workload -> its autoscaler in words; None: not known.
    autoscalers: Mapping[tuple[str, str], str] | None = None
    autoscalers_denied: str = ""  # the missing right to read autoscalers, or empty
    # (policy UID, veto's name) -> the objection in words, or empty; a veto that is not in it was not asked.
    vetoes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    # To find the actions that all other guards allow, before their vetoes are asked. No action follows from such a
    # plan.
    unasked_agree: bool = False
    silences: Silences | None = None  # None where no Alertmanager is configured


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts that guards use in addition to the candidate."""

    now: float  # epoch s
    cluster_fresh: bool
    permitted: frozenset[ActionType]  # the actions that the installation allows
    # Workload UID -> the actions on it, of all policies.
    records: Mapping[str, Sequence[ActionStatus]] = field(default_factory=dict)
    reports: Sequence[LeakReport] = ()  # every LeakReport
    records_trouble: str = ""  # why reports cannot be read or written, or empty
    # The same of one namespace: it may refuse writes that all others accept.
    records_troubles: Mapping[str, str] = field(default_factory=dict)
    looking_on: Set[str] = frozenset()  # UIDs of policies that, by their spec, change nothing now
    surroundings: Surroundings = field(default_factory=Surroundings)
    # Workload UID -> since when it runs out of a resource, epoch s; only where no report has it.
    exhausting: Mapping[str, float] = field(default_factory=dict)
    namespaces: Mapping[str, str] = field(default_factory=dict)  # workload UID -> namespace
    unread_kinds: Mapping[str, str] = field(default_factory=dict)  # kind of workload -> why it is not known now
    ledger: Ledger = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ledger", Ledger(self.reports, self.records, self.namespaces))

    def call(self, workload_uid: str, pod_uid: str) -> ActionStatus | None:
        """The record of the call for a person about the pod's present trouble; a call ends with its episode."""
        over = {
            record.id
            for report in self.reports
            if report.ended and report.spec.pod.uid == pod_uid
            for record in report.status.actions
        }
        calls = (record for record in self.records.get(workload_uid, ()) if record.type == ActionType.ESCALATE)
        return next((record for record in calls if record.pod_uid == pod_uid and record.id not in over), None)

    def of(self, candidate: Candidate) -> Sequence[ActionStatus]:
        """The actions on the candidate's workload."""
        return self.records.get(candidate.target.workload.uid, ())


@dataclass(frozen=True, slots=True)
class Skip:
    reason: SkipReason
    message: str


class About(Enum):
    """The object of a guard's refusal: it decides whether the next pod of the Deployment may be considered instead."""

    POD = "pod"
    WORKLOAD = "workload"


Question = Callable[[Candidate, Situation], str | None]


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard. The reference, metrics, reports and the planning read its facts from here."""

    reason: SkipReason
    meaning: str  # of the reason, for people: one or two sentences, as the reference shows them
    about: About
    # Whether its refusal can end without a change of the policy or the Deployment. Where it cannot, the policy's next
    # action is considered at once.
    waiting_helps: bool
    question: Question  # why not, in one line for people; None where it lets the action pass

    @property
    def name(self) -> str:
        return self.question.__name__

    def __call__(self, candidate: Candidate, situation: Situation) -> Skip | None:
        why_not = self.question(candidate, situation)
        # It quotes the reasons that people gave: of pauses, annotations, windows.
        return None if why_not is None else Skip(self.reason, printable(why_not))


def guard(reason: SkipReason, meaning: str, *, about: About, waiting_helps: bool) -> Callable[[Question], Guard]:
    """Makes a guard of the decorated question. No argument has a default: each author decides each one."""

    def made(question: Question) -> Guard:
        return Guard(reason, meaning, about, waiting_helps, question)

    return made
