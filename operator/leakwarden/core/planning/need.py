"""Does a Deployment that does not leak need more replicas, and how many?

Each question is a small function of one Deployment's readings; all must agree. A leak is remediated first, and a value
that was not read does not count as a need. One replica is added at a time, by the same guards, pace and record as every
ScaleOut, until the Deployment has the needed number.

The number: for latency, the present load divided by the load that one pod carried within the objective
(core/capacity/curve.py); where no such load was measured, one more. For memory the rule of the HorizontalPodAutoscaler:
replicas times use over wanted use, rounded up (Kubernetes documentation, Horizontal Pod Autoscaling, Algorithm
details).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.need import ScaleOutOnNeed
from leakwarden.api.v1alpha1.policy import PolicySpec, Role
from leakwarden.api.v1alpha1.signal import Signal, SignalType
from leakwarden.core.capacity.curve import Measured, points, sustained
from leakwarden.core.capacity.sizing import replicas_needed
from leakwarden.core.detection.history import PodSeries
from leakwarden.core.evaluation.asked import Readings
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.model.judgement import Judgement, Verdict
from leakwarden.core.model.readings import Points
from leakwarden.core.model.workload import container_memory_limit
from leakwarden.core.signals.criteria import JudgementReason
from leakwarden.core.signals.queries import RATE, answer_key

_LEAKS = (Verdict.SUSPECT, Verdict.LEAKING, Verdict.EXHAUSTING)
MOST_MEASURED = 5_000  # the most readings of a Deployment from which its capacity is computed
LEAST_READINGS = 3  # the least readings above the level that count as a need


@dataclass(frozen=True, slots=True)
class Need:
    """The need of one Deployment."""

    replicas: int  # the needed number, before maxReplicas
    pod: PodEvaluation  # one of the pods that show the need
    signal: str
    value: float
    why: str  # one line


@dataclass(frozen=True, slots=True)
class _Scene:
    """One Deployment. Series are by pod UID."""

    target: WorkloadEvaluation
    spec: PolicySpec
    asked: ScaleOutOnNeed
    namespace: str
    readings: Readings
    now: float

    @property
    def length(self) -> float:
        return parse_duration(self.asked.for_)

    @property
    def max_age(self) -> float:
        return parse_duration(self.spec.source.max_age)

    def signal(self, kind: SignalType) -> Signal | None:
        return next((each for each in self.spec.signals if each.type is kind), None)

    def series(self, signal: Signal) -> Mapping[str, Sequence[PodSeries]]:
        return self.readings.history.by_pod(answer_key(signal, self.namespace))


def with_need(evaluation: PolicyEvaluation, readings: Readings, now: float) -> PolicyEvaluation:
    """The evaluation, with a pod to act for in each Deployment that needs replicas."""
    policy = evaluation.policy
    if policy.spec is None or policy.spec.remediation.scale_out_on_need is None:
        return evaluation
    asked, found = policy.spec.remediation.scale_out_on_need, []
    for target in evaluation.workloads:
        need = needed(target, policy.spec, asked, readings=readings, namespace=policy.namespace, now=now)
        found.append(target if need is None else _needing(target, need))
    return replace(evaluation, workloads=tuple(found))


def needed(
    target: WorkloadEvaluation,
    spec: PolicySpec,
    asked: ScaleOutOnNeed,
    *,
    readings: Readings,
    namespace: str,
    now: float,
) -> Need | None:
    """The need; None where nothing is needed, where that is not known, and where the Deployment has enough replicas
    already."""
    scene = _Scene(target, spec, asked, namespace, readings, now)
    if target.conflicts_with or not all(question(scene) for question in QUESTIONS):
        return None
    needs = [need for ask in (_of_latency, _of_memory) if (need := ask(scene)) is not None]
    need = max(needs, key=lambda each: each.replicas, default=None)
    return need if need is not None and need.replicas > target.workload.replicas else None


def _needing(target: WorkloadEvaluation, need: Need) -> WorkloadEvaluation:
    judgement = Judgement(need.signal, Verdict.EXHAUSTING, JudgementReason.NEEDS_REPLICAS, need.why, value=need.value)
    pods = tuple(
        replace(each.whole, verdict=Verdict.EXHAUSTING, deciding=judgement, acting=judgement, needs=need.replicas)
        if each is need.pod
        else each
        for each in target.pods
    )
    return replace(target, verdict=Verdict.EXHAUSTING, pods=pods)


# Conditions for any need


def _has_pods(scene: _Scene) -> bool:
    return bool(scene.target.pods)


def _settled(scene: _Scene) -> bool:
    """Whether no rollout is under way and all pods serve: otherwise that explains load on the others, and ends by
    itself."""
    workload = scene.target.workload
    serving = sum(pod.pod.available for pod in scene.target.pods)
    return not workload.rollout_in_progress and serving >= workload.replicas


def _nothing_leaks(scene: _Scene) -> bool:
    """Whether some leak signal of each pod is judged and Healthy, and none is worse."""
    names = {signal.name for signal in scene.spec.signals if signal.effective_role is Role.LEAK}
    for pod in scene.target.pods:
        verdicts = [each.verdict for each in pod.judgements if each.signal in names]
        if any(verdict in _LEAKS for verdict in verdicts) or Verdict.HEALTHY not in verdicts:
            return False
    return True


QUESTIONS: Sequence[Callable[[_Scene], bool]] = (_has_pods, _settled, _nothing_leaks)


# Latency


def _of_latency(scene: _Scene) -> Need | None:
    signal, objective = scene.signal(SignalType.LATENCY_P99), parse_duration(scene.asked.p99_above)
    if signal is None:
        return None
    series = scene.series(signal)
    slow = _above(scene, {pod.pod.uid: _worst(series.get(pod.pod.uid, ())) for pod in scene.target.pods}, objective)
    if slow is None:
        return None
    pod, value = slow
    replicas, sized = _sized(scene, series, objective)
    why = (
        f"P99 {value:.3g}s of more than half of the pods above {scene.asked.p99_above} for {scene.asked.for_}, and nothing"
        f" leaks; {sized}: {replicas} replicas are needed"
    )
    return Need(replicas, pod, signal.name, value, why)


def _sized(scene: _Scene, latency: Mapping[str, Sequence[PodSeries]], objective: float) -> tuple[int, str]:
    one_more = scene.target.workload.replicas + 1
    rates = scene.readings.history.by_pod(RATE)
    measured: list[Measured] = []
    total = 0.0
    for pod in scene.target.pods:
        rate = _worst(rates.get(pod.pod.uid, ()))
        if rate is None or not rate.t.size or scene.now - float(rate.t[-1]) > scene.max_age:
            return one_more, "the load of a pod is not known, so that one more is tried"
        total += float(rate.v[-1])
        p99 = _worst(latency.get(pod.pod.uid, ()))
        if p99 is not None and len(measured) < MOST_MEASURED:
            _, at, of = np.intersect1d(rate.t, p99.t, return_indices=True)
            measured += [Measured(float(q), float(p)) for q, p in zip(rate.v[at], p99.v[of], strict=True)]
    carried = sustained(points(measured), objective)
    if carried is None or carried.qps <= 0:
        return one_more, "no load was seen that a pod carries within it, so that one more is tried"
    replicas = max(one_more, replicas_needed(total, carried.qps))
    return replicas, f"a pod carries {carried.qps:.3g} requests/s within it, and {total:.3g} come"


# Memory


def _of_memory(scene: _Scene) -> Need | None:
    signal, wanted = scene.signal(SignalType.WORKING_SET), scene.asked.memory_above_percent / 100
    if signal is None or not _judged_healthy(scene, signal.name):
        return None
    series = scene.series(signal)
    shares = {pod.pod.uid: _share(scene, series.get(pod.pod.uid, ())) for pod in scene.target.pods}
    full = _above(scene, shares, wanted)
    if full is None:
        return None
    pod, value = full
    current = [float(points.v[-1]) for points in shares.values() if points is not None]
    workload = scene.target.workload
    replicas = max(workload.replicas + 1, math.ceil(workload.replicas * float(np.mean(current)) / wanted - 1e-9))
    why = (
        f"memory {value:.0%} of the limit in more than half of the pods, above {wanted:.0%} for {scene.asked.for_}, and"
        f" nothing leaks: {replicas} replicas are needed"
    )
    return Need(replicas, pod, signal.name, value, why)


def _judged_healthy(scene: _Scene, name: str) -> bool:
    """Whether memory is known not to leak: more replicas would leak as well."""
    return all(
        any(each.signal == name and each.verdict is Verdict.HEALTHY for each in pod.judgements)
        for pod in scene.target.pods
    )


def _share(scene: _Scene, series: Sequence[PodSeries]) -> Points | None:
    """The share of the limit, of the container with the highest share; None where a limit is not known."""
    found = []
    for each in series:
        limit = each.limit or container_memory_limit(scene.target.workload, each.key.container)
        if not limit:
            return None
        found.append(Points(each.points.t, each.points.v / limit))
    return _fullest(found)


# Readings


def _worst(series: Sequence[PodSeries]) -> Points | None:
    return _fullest([each.points for each in series])


def _fullest(found: Sequence[Points]) -> Points | None:
    known = [each for each in found if each.t.size]
    return max(known, key=lambda each: float(each.v[-1])) if known else None


def _above(scene: _Scene, by_pod: Mapping[str, Points | None], level: float) -> tuple[PodEvaluation, float] | None:
    """A pod above the level and its value, where more than half of all pods have stayed above it. Pods without readings
    count among all, and never among those above. The pod is the oldest of those above, so that one continuing need is
    in one LeakReport."""
    held = [pod for pod in scene.target.pods if _held(by_pod[pod.pod.uid], level, scene)]
    if 2 * len(held) <= len(scene.target.pods):
        return None
    oldest = min(held, key=lambda pod: (pod.pod.created, pod.pod.name))
    found = by_pod[oldest.pod.uid]
    assert found is not None
    return oldest, float(found.v[-1])


def _held(found: Points | None, level: float, scene: _Scene) -> bool:
    """Whether every reading of the time lay above the level, up to now and without a gap longer than maxAge."""
    if found is None:
        return False
    since = scene.now - scene.length
    within = found.t >= since
    t = found.t[within]
    if t.size < LEAST_READINGS or not bool((found.v[within] > level).all()):
        return False
    return float(np.diff(np.concatenate(([since], t, [scene.now]))).max()) <= scene.max_age
