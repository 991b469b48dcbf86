"""The evaluation of one policy in one tick: targets, judgements, findings. Values only; the same evaluation feeds
the remediation, the status, the Events and the metrics, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.signal import SYMPTOMS, Role, Signal, SignalType
from leakwarden.core.audit.exceptions import AuditOutcome
from leakwarden.core.detection.history import PodSeries
from leakwarden.core.evaluation.asked import (
    AskedSignal,
    Readings,
    asked_signals,
    is_about_nothing,
    says_which_alerts_fire,
)
from leakwarden.core.evaluation.calm import CalmPods, CalmSignals
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.evaluation.shared_cause import Crossing, beginning, crossing, is_shared
from leakwarden.core.evaluation.symptoms import judge_symptom
from leakwarden.core.evaluation.threshold_judgement import judge_absent, judge_series, worst
from leakwarden.core.model.judgement import SEVERITY, Judgement, Verdict
from leakwarden.core.model.policy import Policy, selects
from leakwarden.core.model.readings import NoData, QueryFailed
from leakwarden.core.model.workload import Pod, Snapshot, Workload, container_memory_limit
from leakwarden.core.signals.criteria import FULL, JudgementReason
from leakwarden.core.signals.queries import fixed_limit, limit_from_container, unit_of
from leakwarden.core.signals.threshold import resumed_at


def targets(policy: Policy, snapshot: Snapshot) -> Sequence[Workload]:
    """The workloads of the policy's own namespace that its selector matches, by name and kind."""
    return claimed(policy, snapshot) if policy.spec is not None else []


def claimed(policy: Policy, snapshot: Snapshot) -> Sequence[Workload]:
    """The workloads that are the policy's own, by name and kind: its targets, or those that its last readable spec
    selected. All of its namespace where that is not known, as after a restart: a younger policy must not act on
    another's workload. Found once per snapshot, since several steps of a tick need them."""
    known = snapshot.claims.get(policy.uid)
    if known is not None and known[0] is policy:
        return known[1]
    selector, here = policy.claims, snapshot.by_namespace.get(policy.namespace, ())
    found = [
        workload
        for workload in here
        if policy.claims_all
        or (selector is not None and workload.kind in policy.kinds and selects(selector, workload.labels))
    ]
    found.sort(key=lambda workload: (workload.name, workload.kind))
    snapshot.claims[policy.uid] = (policy, found)
    return found


def owners(policies: Sequence[Policy], snapshot: Snapshot) -> dict[str, Policy]:
    """Workload UID -> the policy that acts on it: of those that select it one of its own namespace before one of the
    cluster, then the oldest, by name where equally old. A policy that cannot be read acts on nothing, and still keeps its
    Deployments from others."""
    owner: dict[str, Policy] = {}
    for policy in sorted(policies, key=lambda policy: policy.precedence):
        for workload in claimed(policy, snapshot):
            owner.setdefault(workload.uid, policy)
    return owner


def _limit(signal: Signal, limit: float | None, workload: Workload, container: str) -> float | None:
    if limit is not None or not limit_from_container(signal.type):
        return limit
    return container_memory_limit(workload, container)


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
    held_before = workload.title in asked.shared_before
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


def evaluate_pod(pod: Pod, judged: Sequence[tuple[Signal, Judgement]]) -> PodEvaluation:
    """Leak signals decide; a Supporting signal or a symptom makes a pod at most Suspect, and never leads to an action.

    Signals the pod does not have are left out, but if no Leak signal is left the pod is Unknown: without
    any judgement it must not be called healthy. A signal whose growth is not known yet does not make a
    young pod Unknown where another signal can be judged.
    """
    leaks = [j for signal, j in judged if signal.effective_role is Role.LEAK and not is_about_nothing(j)]
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
    calm_signals: CalmSignals | None = None,
) -> list[PodEvaluation]:
    """The workload's pods that run or are about to run, the worst first."""
    running = [
        pod
        for pod in snapshot.pods_by_workload.get(workload.uid, ())
        if pod.phase not in ("Succeeded", "Failed") and not pod.terminating
    ]
    signals_at_rest = calm_signals if calm_signals is not None else CalmSignals(asked, now)
    signals = [each.signal for each in asked]

    def judge(pod: Pod) -> list[Judgement]:
        return [judge_signal(each, workload, pod, now) for each in asked]

    at_rest = CalmPods(
        workload, signals_at_rest, lambda pod: evaluate_pod(pod, list(zip(signals, judge(pod), strict=True)))
    )
    calm = [well for pod in running if (well := at_rest.of(pod)) is not None]
    found_well = {each.pod.uid for each in calm}
    told = [pod for pod in running if pod.uid not in found_well]
    judged = {pod.uid: judge(pod) for pod in told}
    for place, each in enumerate(asked):
        exhausting = [pod for pod in told if judged[pod.uid][place].verdict is Verdict.EXHAUSTING]
        if exhausting and has_shared_cause(each, workload, running, now):
            for pod in exhausting:
                judged[pod.uid][place] = _shared(judged[pod.uid][place], len(running))
    pods = [
        _with_hole(evaluate_pod(pod, list(zip(signals, judged[pod.uid], strict=True))), asked, max_age) for pod in told
    ]
    return sorted([*calm, *pods], key=lambda p: (-SEVERITY[p.verdict], p.pod.name))


def _claim(owner: Policy) -> str:
    """The policy's relation to a Deployment, for the condition of a younger policy."""
    if owner.spec is not None:
        return "acts on it"
    known = "what it selects is not known, so it may be any workload" if owner.claims_all else "it selected this before"
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
    calm = CalmSignals(asked, now)
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
                conflicts_with=acts.title if acts is not None and acts.uid != policy.uid else "",
                own_first=acts is not None and acts.origin is None and policy.origin is not None,
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
        workloads=tuple(sorted(evaluated, key=lambda w: (-SEVERITY[w.verdict], w.workload.name, w.workload.kind))),
        answers={each.signal.name: each.answer or NoData("NotRead", "not read yet") for each in asked},
        unread_kinds={
            kind: why
            for kind, why in snapshot.unread_kinds.items()
            if kind in spec.workloads and kind not in snapshot.absent_kinds
        },
        absent_kinds=frozenset(snapshot.absent_kinds & set(map(str, spec.workloads))),
        cluster_trouble=snapshot.trouble,
    )
