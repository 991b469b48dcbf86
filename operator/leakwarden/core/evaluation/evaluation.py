"""The evaluation of one policy in one tick: targets, judgements, findings. Values only; the same evaluation feeds
the remediation, the status, the Events and the metrics, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.policy import PolicySpec
from leakwarden.api.v1alpha1.signal import SYMPTOMS, Role, Signal, SignalType
from leakwarden.core.audit import Finding
from leakwarden.core.audit.exceptions import AuditOutcome, Excepted
from leakwarden.core.detection.history import Newest, PodSeries, PodsSeries, ReadingHistory
from leakwarden.core.evaluation.growth_findings import GrowthFindings, RowFindings
from leakwarden.core.evaluation.shared_cause import Crossing, beginning, crossing, is_shared
from leakwarden.core.evaluation.symptoms import judge_symptom
from leakwarden.core.evaluation.threshold_judgement import judge_absent, judge_series, worst
from leakwarden.core.model.judgement import SEVERITY, Judgement, Verdict
from leakwarden.core.model.policy import Policy, selects
from leakwarden.core.model.readings import Answer, NoData, QueryFailed, Sampled
from leakwarden.core.model.workload import Pod, Snapshot, Workload, container_memory_limit
from leakwarden.core.signals.criteria import FULL, JudgementReason, Standard, standard_of
from leakwarden.core.signals.queries import RATE, answer_key, fixed_limit, limit_from_container, unit_of
from leakwarden.core.signals.threshold import resumed_at


@dataclass(frozen=True, slots=True)
class PodEvaluation:
    """`acting` is the judgement that may lead to an action: Exhausting, of a Leak signal; None otherwise. `resumed` is
    the time at which that signal's readings went on after a hole, epoch s; None where no hole is stored. `needs`: the
    number of replicas that the Deployment needs, where the action is for load and not for a leak; else 0."""

    pod: Pod
    verdict: Verdict
    deciding: Judgement | None
    acting: Judgement | None
    judgements: tuple[Judgement, ...]
    resumed: float | None = None
    needs: int = 0

    @property
    def calm(self) -> Sequence[bool] | None:
        """For a pod that was found healthy without its judgements: for each of the policy's signals whether it was
        read; where it was not, the pod does not have it at all. None for all other pods."""
        return None

    def of_pod(self, pod: Pod) -> PodEvaluation:
        """The same evaluation with the pod's present state."""
        return replace(self, pod=pod)


class CalmPod(PodEvaluation):
    """A healthy pod: each signal that it has is within its threshold and does not grow. Its judgements are made on
    request, which for most pods never comes."""

    __slots__ = ("_calm", "_judged", "_judges")
    _calm: Sequence[bool]
    _judged: PodEvaluation | None
    _judges: _Judges

    def __init__(self, pod: Pod, calm: Sequence[bool], judges: _Judges) -> None:
        object.__setattr__(self, "pod", pod)
        object.__setattr__(self, "verdict", Verdict.HEALTHY)
        object.__setattr__(self, "acting", None)
        object.__setattr__(self, "resumed", None)
        object.__setattr__(self, "_calm", calm)
        object.__setattr__(self, "_judges", judges)
        object.__setattr__(self, "_judged", None)

    @property
    def calm(self) -> Sequence[bool] | None:
        return self._calm

    def of_pod(self, pod: Pod) -> PodEvaluation:
        return CalmPod(pod, self._calm, self._judges)

    @property
    def whole(self) -> PodEvaluation:
        """The evaluation with all of its judgements."""
        if self._judged is None:
            object.__setattr__(self, "_judged", self._judges.of(self.pod))
            assert self._judged is not None
        return self._judged

    @property
    def deciding(self) -> Judgement | None:
        return self.whole.deciding

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        return self.whole.judgements


@dataclass(frozen=True, slots=True)
class WorkloadEvaluation:
    workload: Workload
    verdict: Verdict
    pods: tuple[PodEvaluation, ...]
    findings: tuple[Finding, ...] | None  # None: not audited
    conflicts_with: str = ""  # name of the older policy that this workload belongs to
    conflict: str = "acts on it"  # the relation of that policy to the workload, in words
    excepted: tuple[Excepted, ...] = ()  # findings that people have accepted
    unread: tuple[str, ...] = ()  # objects that the audit needed and could not read, in words


@dataclass(frozen=True, slots=True)
class PolicyEvaluation:
    policy: Policy
    source: str  # "Prometheus/main" or "Kubelet"; empty where the policy's source does not exist
    source_error: str
    cluster_fresh: bool
    workloads: tuple[WorkloadEvaluation, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)  # by the signal's name
    cluster_trouble: str = ""  # why the operator cannot read the cluster, in one line, where it is known


@dataclass(frozen=True, slots=True)
class Readings:
    """The answers of a policy's source in this tick, and before."""

    source: str
    error: str
    answers: Mapping[str, Answer]  # by answer key
    history: ReadingHistory
    growth: GrowthFindings = field(default_factory=GrowthFindings)


def targets(policy: Policy, snapshot: Snapshot) -> list[Workload]:
    """The Deployments of the policy's own namespace that its selector matches, by name."""
    return claimed(policy, snapshot) if policy.spec is not None else []


def claimed(policy: Policy, snapshot: Snapshot) -> list[Workload]:
    """The Deployments that are the policy's own, by name: its targets, or those that its last readable spec selected.
    All of its namespace where that is not known, as after a restart: a younger policy must not act on another's
    Deployment."""
    selector, here = policy.claims, snapshot.by_namespace.get(policy.namespace, ())
    found = [
        workload
        for workload in here
        if policy.claims_all or (selector is not None and selects(selector, workload.labels))
    ]
    return sorted(found, key=lambda workload: workload.name)


def owners(policies: Sequence[Policy], snapshot: Snapshot) -> dict[str, Policy]:
    """Workload UID -> the policy that acts on it: the oldest that selects it, by name where equally old. A policy that
    cannot be read acts on nothing, and still keeps its Deployments from others."""
    owner: dict[str, Policy] = {}
    for policy in sorted(policies, key=lambda policy: (policy.created, policy.key)):
        for workload in claimed(policy, snapshot):
            owner.setdefault(workload.uid, policy)
    return owner


def _limit(signal: Signal, limit: float | None, workload: Workload, container: str) -> float | None:
    if limit is not None or not limit_from_container(signal.type):
        return limit
    return container_memory_limit(workload, container)


def says_which_alerts_fire(answer: Answer | None) -> bool:
    """Whether a missing alert means that it is not firing: only a source with alerts shows that, and only for pods that
    its series name."""
    return isinstance(answer, Sampled) or (isinstance(answer, NoData) and answer.reason == JudgementReason.NO_SERIES)


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
                    workload.name
                    for workload in policy.status.workloads
                    for pod in workload.unhealthy
                    if pod.reason == JudgementReason.SHARED_CAUSE and pod.signal == signal.name
                },
            )
        )
    return asked


class _CalmSignal:
    """Whether `judge_signal` would give Healthy, by the newest readings alone. Where that is not certain, the pod is
    judged in full."""

    def __init__(self, asked: AskedSignal, now: float) -> None:
        self._asked, self._now = asked, now
        plain = asked.signal.type not in SYMPTOMS and asked.signal.type is not SignalType.ALERT
        self._series = asked.series if isinstance(asked.series, PodsSeries) else None
        self.possible = plain and not isinstance(asked.answer, QueryFailed) and self._series is not None
        self._newest = self._series.newest() if self._series is not None and self.possible else Newest([], [], [])
        self._of_container = limit_from_container(asked.signal.type)
        self._absent: bool | None = None
        self._growth: RowFindings | None = None
        self._workload: Workload | None = None

    def about(self, workload: Workload) -> bool:
        """Select the Deployment whose pods are asked about next; False where nothing is certain for them."""
        self._workload = workload
        asked = self._asked
        growth = asked.growth.of(asked.key, workload.key, asked.standard) if asked.standard.growth else None
        self._growth = growth if isinstance(growth, RowFindings) else None
        return self.possible and (self._growth is not None or not asked.standard.growth)

    def of(self, uid: str) -> bool | None:
        """Whether the pod's signal was read and is calm; None where it has to be judged in full."""
        assert self._series is not None
        places = self._series.places(uid)
        if not places:
            if self._absent is None:
                self._absent = _is_about_nothing(judge_absent(self._asked.signal, self._asked.answer))
            return False if self._absent else None
        for place in places:
            if not self._is_calm(uid, place):
                return None
        return True

    def _is_calm(self, uid: str, place: int) -> bool:
        newest, standard = self._newest, self._asked.standard
        value = newest.v[place]
        if not -standard.max_age <= self._now - newest.t[place] <= standard.max_age:  # also where it is missing: NaN
            return False
        known = newest.limits[place]
        limit = None if known != known else known
        if limit is None and self._of_container and self._workload is not None and self._series is not None:
            limit = container_memory_limit(self._workload, self._series.container(place))
        if standard.above is not None:
            level = standard.level(limit)
            if level is None or value > level:
                return False
        elif not standard.growth:
            return False
        if not standard.growth:
            return True
        if limit is not None and value > FULL * limit:
            return False
        assert self._growth is not None
        assert self._series is not None
        verdict = self._growth.verdict((self._asked.key, uid, self._series.container(place)))
        if verdict is Verdict.HEALTHY:
            return True
        # Within its threshold it is healthy although its growth is not known yet.
        return standard.above is not None and (verdict is None or verdict is Verdict.UNKNOWN)


class _Judges:
    """Judges the pods of one workload; healthy ones by their newest readings alone."""

    def __init__(
        self, workload: Workload, asked: Sequence[AskedSignal], calm: Sequence[_CalmSignal], now: float
    ) -> None:
        self._workload, self._asked, self._now = workload, asked, now
        self._signals = calm
        self._leading = [each.signal.effective_role is Role.LEAK for each in asked]
        self._possible = bool(asked) and all(each.about(workload) for each in calm)
        self._patterns: dict[tuple[bool, ...], tuple[bool, ...]] = {}

    def calm(self, pod: Pod) -> CalmPod | None:
        """None where the pod has to be judged in full."""
        if not self._possible:
            return None
        found = []
        for each in self._signals:
            one = each.of(pod.uid)
            if one is None:
                return None
            found.append(one)
        if not any(read and leads for read, leads in zip(found, self._leading, strict=True)):
            return None
        pattern = tuple(found)
        return CalmPod(pod, self._patterns.setdefault(pattern, pattern), self)

    def judged(self, pod: Pod) -> list[Judgement]:
        return [judge_signal(each, self._workload, pod, self._now) for each in self._asked]

    def of(self, pod: Pod) -> PodEvaluation:
        return evaluate_pod(pod, list(zip([each.signal for each in self._asked], self.judged(pod), strict=True)))


def judge_signal(asked: AskedSignal, workload: Workload, pod: Pod, now: float) -> Judgement:
    """The judgement of one signal of one pod: the worst of its containers' series."""
    signal, answer, series = asked.signal, asked.answer, asked.of(pod)
    if signal.type is SignalType.ALERT and says_which_alerts_fire(answer):
        fresh = [
            each.points for each in series if each.points.t.size and now - each.points.t[-1] <= asked.standard.max_age
        ]
        if not fresh or float(fresh[0].v[-1]) == 0:
            return Judgement(signal.name, Verdict.HEALTHY, JudgementReason.WITHIN_LIMITS, "the alert is not firing")
    if signal.type in SYMPTOMS:
        return judge_symptom(
            signal,
            asked.standard,
            [each.points for each in series],
            answer=answer,
            rates=[each.points for each in asked.rates.get(pod.uid, ())],
            rate_answer=asked.rate_answer,
            limit=fixed_limit(signal.type),
            now=now,
            unit=unit_of(signal.type),
        )
    if not series or isinstance(answer, QueryFailed):
        # A failed query shows nothing about the present, whatever the history holds.
        return judge_absent(signal, answer)
    growth = asked.growth.of(asked.key, workload.key, asked.standard)
    return worst(
        [
            judge_series(
                signal,
                asked.standard,
                each.points,
                limit=_limit(signal, each.limit, workload, each.key.container),
                growth=growth.get((asked.key, pod.uid, each.key.container)),
                now=now,
                unit=unit_of(signal.type),
            )
            for each in series
        ]
    )


def has_shared_cause(asked: AskedSignal, workload: Workload, pods: Sequence[Pod], now: float) -> bool:
    """Whether the level of the signal was crossed by many of the Deployment's pods at once, in a step. An alert goes from
    silent to firing, so it counts as a step: it does not show whether the pods grew before."""
    if asked.signal.type in SYMPTOMS:
        return False  # a symptom is never acted on
    held_before = workload.name in asked.shared_before
    if asked.signal.type is SignalType.ALERT:
        fired = [_fired(asked.of(pod), asked.standard.max_age, now) for pod in pods]
        return is_shared(fired, held_before)
    crossings = []
    for pod in pods:
        found = []
        for each in asked.of(pod):
            level = _level_of(asked, _limit(asked.signal, each.limit, workload, each.key.container))
            found.append(crossing(each.points, level) if level is not None else None)
        crossings.append(next((one for one in found if one is not None), None))
    return is_shared(crossings, held_before)


def _fired(series: Sequence[PodSeries], max_age: float, now: float) -> Crossing | None:
    """The begin of an alert of a pod; None where it does not fire."""
    found = [one for each in series if (one := beginning(each.points, max_age, now)) is not None]
    return min(found, key=lambda one: one.at, default=None)


def _level_of(asked: AskedSignal, limit: float | None) -> float | None:
    if asked.standard.above is not None:
        return asked.standard.level(limit)
    return None if limit is None else FULL * limit


def _shared(judgement: Judgement, pods: int) -> Judgement:
    why = f"many of its {pods} pods came to it at once, in a step and without growth before: a dependency, not a leak"
    return replace(
        judgement,
        verdict=Verdict.SUSPECT,
        reason=JudgementReason.SHARED_CAUSE,
        message=f"{judgement.message}; {why}",
    )


def _is_about_nothing(judgement: Judgement) -> bool:
    """A signal that this pod does not have at all, such as a DB pool where there is no database."""
    return judgement.verdict is Verdict.UNKNOWN and judgement.reason in (
        JudgementReason.NO_SERIES, JudgementReason.NO_LIMIT, "NotExported", "ConstantZero", "NoPodLabel",
    )  # fmt: skip


def evaluate_pod(pod: Pod, judged: Sequence[tuple[Signal, Judgement]]) -> PodEvaluation:
    """Leak signals decide; a Supporting signal or a symptom makes a pod at most Suspect, and never leads to an action.

    Signals the pod does not have are left out, but if no Leak signal is left the pod is Unknown: without
    any judgement it must not be called healthy. A signal whose growth is not known yet does not make a
    young pod Unknown where another signal can be judged.
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


def _with_hole(evaluated: PodEvaluation, asked: Sequence[AskedSignal], max_age: float) -> PodEvaluation:
    """Only for pods with a possible action. An alert has holes by its nature: it is silent while it does not fire."""
    if evaluated.acting is None:
        return evaluated
    acting = next(each for each in asked if each.signal.name == evaluated.acting.signal)
    if acting.signal.type is SignalType.ALERT:
        return evaluated
    holes = [resumed for each in acting.of(evaluated.pod) if (resumed := resumed_at(each.points, max_age)) is not None]
    return replace(evaluated, resumed=max(holes)) if holes else evaluated


def evaluate_workload(
    workload: Workload,
    asked: Sequence[AskedSignal],
    snapshot: Snapshot,
    *,
    max_age: float,
    now: float,
    calm_signals: Sequence[_CalmSignal] | None = None,
) -> list[PodEvaluation]:
    """The workload's pods that run or are about to run, the worst first."""
    running = [
        pod
        for pod in snapshot.pods_by_workload.get(workload.uid, ())
        if pod.phase not in ("Succeeded", "Failed") and not pod.terminating
    ]
    signals_at_rest = calm_signals if calm_signals is not None else [_CalmSignal(each, now) for each in asked]
    judges = _Judges(workload, asked, signals_at_rest, now)
    calm = [well for pod in running if (well := judges.calm(pod)) is not None]
    found_well = {each.pod.uid for each in calm}
    told = [pod for pod in running if pod.uid not in found_well]
    judged = {pod.uid: judges.judged(pod) for pod in told}
    for place, each in enumerate(asked):
        exhausting = [pod for pod in told if judged[pod.uid][place].verdict is Verdict.EXHAUSTING]
        if exhausting and has_shared_cause(each, workload, running, now):
            for pod in exhausting:
                judged[pod.uid][place] = _shared(judged[pod.uid][place], len(running))
    signals = [each.signal for each in asked]
    pods = [
        _with_hole(evaluate_pod(pod, list(zip(signals, judged[pod.uid], strict=True))), asked, max_age) for pod in told
    ]
    return sorted([*calm, *pods], key=lambda p: (-SEVERITY[p.verdict], p.pod.name))


def _claim(owner: Policy) -> str:
    """The policy's relation to a Deployment, for the condition of a younger policy."""
    if owner.spec is not None:
        return "acts on it"
    known = (
        "what it selects is not known, so it may be any Deployment" if owner.claims_all else "it selected this before"
    )
    return f"cannot be read, and {known}"


def evaluate(
    policy: Policy,
    snapshot: Snapshot,
    cluster_fresh: bool,
    *,
    readings: Readings,
    owner: Mapping[str, Policy],
    audited: Mapping[str, AuditOutcome],
    now: float,
) -> PolicyEvaluation:
    """Judge all pods of all targets of one policy. `audited` by workload UID."""
    if policy.spec is None:
        return PolicyEvaluation(policy, readings.source, readings.error, cluster_fresh)
    spec = policy.spec
    asked = asked_signals(policy, spec, readings)
    calm = [_CalmSignal(each, now) for each in asked]
    max_age = parse_duration(spec.source.max_age)
    evaluated = []
    for workload in targets(policy, snapshot):
        pods = evaluate_workload(workload, asked, snapshot, max_age=max_age, now=now, calm_signals=calm)
        acts = owner.get(workload.uid)
        outcome = audited.get(workload.uid, AuditOutcome(()))
        evaluated.append(
            WorkloadEvaluation(
                workload=workload,
                verdict=max((pod.verdict for pod in pods), key=lambda v: SEVERITY[v], default=Verdict.UNKNOWN),
                pods=tuple(pods),
                findings=outcome.findings if spec.audit.enabled else None,
                conflicts_with=acts.name if acts is not None and acts.uid != policy.uid else "",
                conflict=_claim(acts) if acts is not None else "",
                excepted=outcome.excepted if spec.audit.enabled else (),
                unread=outcome.unread if spec.audit.enabled else (),
            )
        )
    return PolicyEvaluation(
        policy,
        readings.source,
        readings.error,
        cluster_fresh=cluster_fresh,
        workloads=tuple(sorted(evaluated, key=lambda w: (-SEVERITY[w.verdict], w.workload.name))),
        answers={each.signal.name: each.answer or NoData("NotRead", "not read yet") for each in asked},
        cluster_trouble=snapshot.trouble,
    )
