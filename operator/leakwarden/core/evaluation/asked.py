"""The signals of a policy, each with everything that was read for it in this tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from leakwarden.api.v1alpha1.policy import PolicySpec
from leakwarden.api.v1alpha1.signal import SYMPTOMS, Signal
from leakwarden.core.detection.history import PodSeries, ReadingHistory
from leakwarden.core.evaluation.growth_findings import GrowthFindings
from leakwarden.core.model.judgement import Judgement, Verdict
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.readings import Answer, NoData, Sampled
from leakwarden.core.model.workload import Pod
from leakwarden.core.signals.criteria import JudgementReason, Standard, standard_of
from leakwarden.core.signals.queries import RATE, answer_key


@dataclass(frozen=True, slots=True)
class Readings:
    """The answers of a policy's source in this tick, and before."""

    source: str
    error: str
    answers: Mapping[str, Answer]  # by answer key
    history: ReadingHistory
    growth: GrowthFindings = field(default_factory=GrowthFindings)


def says_which_alerts_fire(answer: Answer | None) -> bool:
    """Whether a missing alert means that it is not firing: only a source with alerts shows that, and only for pods that
    its series name."""
    return isinstance(answer, Sampled) or (isinstance(answer, NoData) and answer.reason == JudgementReason.NO_SERIES)


def is_about_nothing(judgement: Judgement) -> bool:
    """A signal that this pod does not have at all, such as a DB pool where there is no database."""
    return judgement.verdict is Verdict.UNKNOWN and judgement.reason in (
        JudgementReason.NO_SERIES, JudgementReason.NO_LIMIT, "NotExported", "ConstantZero", "NoPodLabel",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AskedSignal:
    """A signal of the policy with everything that was read for it in this tick."""

    signal: Signal
    standard: Standard
    key: str  # the answer key of its query
    answer: Answer | None  # None: not read yet
    series: Mapping[str, Sequence[PodSeries]]  # by pod UID
    growth: GrowthFindings
    # The requests per second by pod UID, and the answer for them; of symptoms only.
    rates: Mapping[str, Sequence[PodSeries]] = field(default_factory=dict)
    rate_answer: Answer | None = None
    # Names of the Deployments for which the policy's status has a cause of this signal that their pods share.
    shared_before: Set[str] = frozenset()

    def of(self, pod: Pod) -> Sequence[PodSeries]:
        return self.series.get(pod.uid, ())


def asked_signals(policy: Policy, spec: PolicySpec, readings: Readings) -> list[AskedSignal]:
    """The policy's signals in its order, each with its readings."""
    rates = readings.history.by_pod(RATE) if any(signal.type in SYMPTOMS for signal in spec.signals) else {}
    asked = []
    for signal in spec.signals:
        key = answer_key(signal, policy.namespace)
        asked.append(
            AskedSignal(
                signal=signal,
                standard=standard_of(signal, spec.source.max_age),
                key=key,
                answer=readings.answers.get(key),
                series=readings.history.by_pod(key),
                growth=readings.growth,
                rates=rates if signal.type in SYMPTOMS else {},
                rate_answer=readings.answers.get(RATE),
                shared_before={
                    workload.title
                    for workload in policy.status.workloads
                    for pod in workload.unhealthy
                    if pod.reason == JudgementReason.SHARED_CAUSE and pod.signal == signal.name
                },
            )
        )
    return asked
