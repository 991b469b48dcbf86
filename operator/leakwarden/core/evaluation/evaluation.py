"""What one tick thinks of one policy: targets, judgements, findings. Values only; the same evaluation feeds
the remediation, the status, the Events and the metrics, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.signal import SYMPTOMS, Role, Signal, SignalType
from leakwarden.core.audit import Finding
from leakwarden.core.detection.growth import GrowthFinding
from leakwarden.core.detection.history import ReadingHistory
from leakwarden.core.evaluation.symptoms import judge_symptom
from leakwarden.core.evaluation.threshold_judgement import judge_absent, judge_series, worst
from leakwarden.core.model.judgement import SEVERITY, Judgement, Verdict
from leakwarden.core.model.policy import Policy, selects
from leakwarden.core.model.readings import Answer, NoData, Points, QueryFailed, Sampled, SeriesKey
from leakwarden.core.model.workload import Pod, Snapshot, Workload, container_memory_limit
from leakwarden.core.signals.criteria import JudgementReason, Standard, standard_of
from leakwarden.core.signals.queries import RATE, answer_key, fixed_limit, limit_from_container, unit_of
from leakwarden.core.signals.threshold import resumed_at


@dataclass(frozen=True, slots=True)
class PodEvaluation:
    """`acting` is the judgement that may lead to an action: Exhausting, of a Leak signal; None otherwise. `resumed` is
    when that signal's readings went on after a hole, epoch s; None where there is none within what is remembered."""

    pod: Pod
    verdict: Verdict
    deciding: Judgement | None
    acting: Judgement | None
    judgements: tuple[Judgement, ...]
    resumed: float | None = None


@dataclass(frozen=True, slots=True)
class WorkloadEvaluation:
    workload: Workload
    verdict: Verdict
    pods: tuple[PodEvaluation, ...]
    findings: tuple[Finding, ...] | None  # None: not audited
    conflicts_with: str = ""  # name of the older policy that acts on this workload


@dataclass(frozen=True, slots=True)
class PolicyEvaluation:
    policy: Policy
    source: str  # "Prometheus/main" or "Kubelet"; empty where the policy's source does not exist
    source_error: str
    cluster_fresh: bool
    workloads: tuple[WorkloadEvaluation, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)  # by the signal's name
    cluster_trouble: str = ""  # what keeps the operator from looking at the cluster, in one line, where it is known


@dataclass(frozen=True, slots=True)
class Readings:
    """What a policy's source answered this tick, and what it answered before."""

    source: str
    error: str
    answers: Mapping[str, Answer]  # by answer key
    history: ReadingHistory
    # What the detector found, by answer key, pod UID and container.
    growth: Mapping[tuple[str, str, str], GrowthFinding] = field(default_factory=dict)


def targets(policy: Policy, snapshot: Snapshot) -> list[Workload]:
    """The Deployments of the policy's own namespace that its selector matches, by name."""
    if policy.spec is None:
        return []
    selector = policy.spec.selector
    found = (
        workload for workload in snapshot.by_namespace.get(policy.namespace, ()) if selects(selector, workload.labels)
    )
    return sorted(found, key=lambda workload: workload.name)


def owners(policies: Sequence[Policy], snapshot: Snapshot) -> dict[str, Policy]:
    """Workload UID -> the policy that acts on it: the oldest that selects it, by name where equally old."""
    owner: dict[str, Policy] = {}
    for policy in sorted(policies, key=lambda policy: (policy.created, policy.key)):
        for workload in targets(policy, snapshot):
            owner.setdefault(workload.uid, policy)
    return owner


def _limit(signal: Signal, limit: float | None, workload: Workload, container: str) -> float | None:
    if limit is not None or not limit_from_container(signal.type):
        return limit
    return container_memory_limit(workload, container)


def says_which_alerts_fire(answer: Answer | None) -> bool:
    """Only a source that knows alerts can say that one is not firing, and only by pods that its series name."""
    return isinstance(answer, Sampled) or (isinstance(answer, NoData) and answer.reason == JudgementReason.NO_SERIES)


def _judge_signal(
    signal: Signal,
    standard: Standard,
    workload: Workload,
    pod: Pod,
    readings: Readings,
    known: Mapping[str, Mapping[str, Sequence[tuple[SeriesKey, Points, float | None]]]],
    now: float,
) -> Judgement:
    key = answer_key(signal, workload.namespace)
    answer = readings.answers.get(key)
    series = known.get(key, {}).get(pod.uid, [])
    if signal.type is SignalType.ALERT and says_which_alerts_fire(answer):
        fresh = [points for _, points, _ in series if points.t.size and now - points.t[-1] <= standard.max_age]
        if not fresh or float(fresh[0].v[-1]) == 0:
            return Judgement(signal.name, Verdict.HEALTHY, JudgementReason.WITHIN_LIMITS, "the alert is not firing")
    unit = unit_of(signal.type)
    if signal.type in SYMPTOMS:
        rates = [points for _, points, _ in known.get(RATE, {}).get(pod.uid, [])]
        return judge_symptom(
            signal,
            standard,
            [points for _, points, _ in series],
            answer,
            rates,
            readings.answers.get(RATE),
            fixed_limit(signal.type),
            now,
            unit,
        )
    if not series or isinstance(answer, QueryFailed):
        # A failed query says nothing about now, whatever the history holds.
        return judge_absent(signal, answer)
    return worst(
        [
            judge_series(
                signal,
                standard,
                points,
                _limit(signal, limit, workload, name.container),
                readings.growth.get((key, pod.uid, name.container)),
                now,
                unit,
            )
            for name, points, limit in series
        ]
    )


def _is_about_nothing(judgement: Judgement) -> bool:
    """A signal that this pod does not have at all, such as a DB pool where there is no database."""
    return judgement.verdict is Verdict.UNKNOWN and judgement.reason in (
        JudgementReason.NO_SERIES, JudgementReason.NO_LIMIT, "NotExported", "ConstantZero", "NoPodLabel",
    )  # fmt: skip


def evaluate_pod(pod: Pod, judged: Sequence[tuple[Signal, Judgement]]) -> PodEvaluation:
    """Leak signals decide; a Supporting signal or a symptom makes a pod Suspect at the most, and never acts.

    Signals the pod does not have are left out, but if no Leak signal is left the pod is Unknown: with
    nothing to judge by, nobody may call it healthy. A signal whose growth cannot be told yet does not
    make a young pod Unknown where another signal can be judged.
    """
    leaks = [j for signal, j in judged if signal.effective_role is Role.LEAK and not _is_about_nothing(j)]
    told = [j for j in leaks if j.reason not in (JudgementReason.WARMING_UP, JudgementReason.TOO_FEW_READINGS)]
    leaks = told or leaks
    others = [
        j
        for signal, j in judged
        if signal.effective_role is not Role.LEAK and SEVERITY[j.verdict] >= SEVERITY[Verdict.SUSPECT]
    ]
    acting = next((j for j in leaks if j.verdict is Verdict.EXHAUSTING), None)
    everything = tuple(j for _, j in judged)
    if not leaks and others:
        return PodEvaluation(pod, Verdict.SUSPECT, worst(others), None, everything)
    if not leaks:
        absent = [j for signal, j in judged if signal.effective_role is Role.LEAK]
        return PodEvaluation(pod, Verdict.UNKNOWN, absent[0] if absent else None, None, everything)
    decisive = worst(leaks)
    verdict = decisive.verdict
    if others and SEVERITY[verdict] < SEVERITY[Verdict.SUSPECT]:
        decisive, verdict = worst(others), Verdict.SUSPECT
    return PodEvaluation(pod, verdict, decisive, acting, everything)


def _with_hole(
    evaluated: PodEvaluation,
    policy: Policy,
    known: Mapping[str, Mapping[str, Sequence[tuple[SeriesKey, Points, float | None]]]],
    max_age: float,
) -> PodEvaluation:
    """Said of pods that may be acted on only. An alert has holes by its nature: it is silent while it does not fire."""
    if evaluated.acting is None or policy.spec is None:
        return evaluated
    signal = next(s for s in policy.spec.signals if s.name == evaluated.acting.signal)
    if signal.type is SignalType.ALERT:
        return evaluated
    series = known[answer_key(signal, policy.namespace)].get(evaluated.pod.uid, [])
    holes = [resumed for _, points, _ in series if (resumed := resumed_at(points, max_age)) is not None]
    return replace(evaluated, resumed=max(holes)) if holes else evaluated


def evaluate(
    policy: Policy,
    snapshot: Snapshot,
    cluster_fresh: bool,
    readings: Readings,
    owner: Mapping[str, Policy],
    findings: Mapping[str, tuple[Finding, ...]],
    now: float,
) -> PolicyEvaluation:
    """Judge all pods of all targets of one policy. `findings` by workload UID."""
    if policy.spec is None:
        return PolicyEvaluation(policy, readings.source, readings.error, cluster_fresh)
    spec = policy.spec
    max_age = parse_duration(spec.source.max_age)
    asked = [(signal, standard_of(signal, spec.source.max_age)) for signal in spec.signals]
    known = {
        answer_key(signal, policy.namespace): readings.history.by_pod(answer_key(signal, policy.namespace))
        for signal in spec.signals
    }
    if any(signal.type in SYMPTOMS for signal in spec.signals):
        known[RATE] = readings.history.by_pod(RATE)
    evaluated = []
    for workload in targets(policy, snapshot):
        pods = [
            _with_hole(
                evaluate_pod(
                    pod,
                    [(s, _judge_signal(s, standard, workload, pod, readings, known, now)) for s, standard in asked],
                ),
                policy,
                known,
                max_age,
            )
            for pod in snapshot.pods_by_workload.get(workload.uid, ())
            if pod.phase not in ("Succeeded", "Failed") and not pod.terminating
        ]
        verdict = max((pod.verdict for pod in pods), key=lambda v: SEVERITY[v], default=Verdict.UNKNOWN)
        acts = owner.get(workload.uid)
        conflict = acts.name if acts is not None and acts.uid != policy.uid else ""
        evaluated.append(
            WorkloadEvaluation(
                workload=workload,
                verdict=verdict,
                pods=tuple(sorted(pods, key=lambda p: (-SEVERITY[p.verdict], p.pod.name))),
                findings=findings.get(workload.uid, ()) if spec.audit.enabled else None,
                conflicts_with=conflict,
            )
        )
    answers: dict[str, Answer] = {}
    for signal in spec.signals:
        answers[signal.name] = readings.answers.get(
            answer_key(signal, policy.namespace), NoData("NotRead", "not read yet")
        )
    return PolicyEvaluation(
        policy, readings.source, readings.error, cluster_fresh,
        tuple(sorted(evaluated, key=lambda w: (-SEVERITY[w.verdict], w.workload.name))), answers, snapshot.trouble,
    )  # fmt: skip
