"""Did it help? The new pods, by UID, against the old one before the action and against siblings left alone.

The outcomes. A restart sets every counter back, so a low reading right after it proves nothing about the leak; it
proves that the symptom is gone. The definitions keep the two apart:

- **Effective**: all replicas serve, have done so for `settle`, every new pod has readings, none of them is judged a
  leak, no symptom is left, and the signal is back at the level of a healthy pod (at most half of what it was, or within
  a quarter of the highest healthy sibling). The report also states whether the leak goes on: renewed growth, and how
  long the pods last after a restart.
- **Ineffective**: a new pod is judged Leaking or Exhausting within the verification's time, or at its end the symptoms
  that were there before are still there or the level has not come down.
- **Inconclusive**: the Deployment did not settle, or its new pods had no readings, in time.
- **RecoveredAnyway**: pods that leaked as well and were not acted on are Healthy now, too: the leak would have ended by
  itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leakwarden.api.scalars import format_duration, parse_duration
from leakwarden.api.v1alpha1.leakreport import Measurement, Phase, VerificationStatus
from leakwarden.api.v1alpha1.policy import PolicySpec, Role
from leakwarden.api.v1alpha1.status import ActionStatus
from leakwarden.core.episodes.parts import as_range, finite, symptoms_of
from leakwarden.core.evaluation.results import PodEvaluation, WorkloadEvaluation
from leakwarden.core.guards import Candidate
from leakwarden.core.model.judgement import Judgement, Verdict
from leakwarden.core.model.policy import format_time, parse_time

BACK_TO = 0.5  # share of the value before: a level nearer to it than to zero does not count as back to normal
NEAR_SIBLINGS = 1.25  # times the highest healthy sibling: pods of one Deployment differ by their share of the load
LEAKS = (Verdict.LEAKING, Verdict.EXHAUSTING)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`phase` is one of the ends of an episode; `message` compares in one line."""

    phase: Phase
    message: str


def _symptom_names(spec: PolicySpec) -> list[str]:
    return [signal.name for signal in spec.signals if signal.effective_role is Role.SYMPTOM]


def _judgement(pod: PodEvaluation, signal: str) -> Judgement | None:
    return next((judgement for judgement in pod.judgements if judgement.signal == signal), None)


def measure(pods: Sequence[PodEvaluation], signal: str, symptoms: Sequence[str]) -> Measurement:
    """The highest value among the pods, the fastest growth, and their Symptom signals."""
    found = [judgement for pod in pods if (judgement := _judgement(pod, signal)) is not None]
    values = [judgement.value for judgement in found if judgement.value is not None]
    growth = [judgement.growth_per_hour for judgement in found if judgement.growth_per_hour is not None]
    return Measurement(
        growth_per_hour=as_range(max(growth, key=lambda interval: interval.low)) if growth else None,
        value=finite(max(values)) if values else None,
        pods=len(pods),
        symptoms=symptoms_of(pods, symptoms),
    )


def before_action(candidate: Candidate) -> VerificationStatus:
    """The values that the comparison will need, written with the intent: afterwards they cannot be measured any
    more."""
    target, acted_on = candidate.target, candidate.pod.pod.uid
    symptoms = _symptom_names(candidate.spec)
    others = [pod for pod in target.pods if pod.pod.uid != acted_on]
    replaces_all = candidate.action.type == "RolloutRestart"
    return VerificationStatus(
        newest_before=format_time(max(pod.pod.created for pod in target.pods)),
        untouched=[] if replaces_all else [pod.pod.uid for pod in others if pod.verdict in LEAKS][:8],
        before=measure([candidate.pod], candidate.judgement.signal, symptoms),
        siblings=None if replaces_all or not others else measure(others, candidate.judgement.signal, symptoms),
    )


@dataclass(frozen=True, slots=True)
class _Scene:
    """The Deployment some time after the action."""

    record: ActionStatus
    held: VerificationStatus
    target: WorkloadEvaluation
    spec: PolicySpec
    now: float

    @property
    def new(self) -> list[PodEvaluation]:
        newest = parse_time(self.held.newest_before)
        return [pod for pod in self.target.pods if pod.pod.created > newest]

    @property
    def old(self) -> list[PodEvaluation]:
        newest = parse_time(self.held.newest_before)
        return [pod for pod in self.target.pods if pod.pod.created <= newest]

    @property
    def serving(self) -> int:
        return sum(pod.pod.available for pod in self.target.pods)

    @property
    def settled(self) -> bool:
        workload = self.target.workload
        replaced = self.record.type == "ScaleOut" or all(pod.pod.uid != self.record.pod_uid for pod in self.target.pods)
        all_new = self.record.type != "RolloutRestart" or not self.old
        complete = self.serving >= workload.replicas and not workload.rollout_in_progress
        return replaced and all_new and complete and bool(self.new)

    @property
    def late(self) -> bool:
        since = parse_time(self.record.finished_at or self.record.intended_at)
        return self.now - since > parse_duration(self.spec.remediation.verification.timeout)

    @property
    def serves(self) -> str:
        return f"{self.serving} of {self.target.workload.replicas} replicas serve"


def verify(
    record: ActionStatus, held: VerificationStatus, target: WorkloadEvaluation, spec: PolicySpec, now: float
) -> tuple[VerificationStatus, Conclusion | None]:
    """The comparison so far, and its outcome once there is one. `now` in epoch s."""
    scene = _Scene(record, held, target, spec, now)
    symptoms = _symptom_names(spec)
    new = scene.new
    seen = held.model_copy(
        update={
            "since": (held.since or format_time(now)) if scene.settled else None,
            "new_pods": sorted(pod.pod.uid for pod in new)[:8],
            "after": measure(new, record.signal, symptoms) if new else None,
            "siblings": held.siblings if not scene.old else measure(scene.old, record.signal, symptoms),
        }
    )
    conclusion = _scaled_out(scene, seen) if record.type == "ScaleOut" else _replaced(scene, seen)
    message = conclusion.message if conclusion is not None else _so_far(scene, seen)
    return seen.model_copy(update={"message": message[:1024]}), conclusion


def _so_far(scene: _Scene, seen: VerificationStatus) -> str:
    settle = scene.spec.remediation.verification.settle
    if seen.since is None:
        return f"{scene.serves}; waiting for all of them"
    return f"{scene.serves} since {seen.since}; compared once they have for {settle}"


def _has_settled(scene: _Scene, seen: VerificationStatus) -> bool:
    settle = parse_duration(scene.spec.remediation.verification.settle)
    return seen.since is not None and scene.now - parse_time(seen.since) >= settle


def _scaled_out(scene: _Scene, seen: VerificationStatus) -> Conclusion | None:
    """Only one more replica has to serve: the leaking pod is still there, and still leaks."""
    if _has_settled(scene, seen):
        return Conclusion(Phase.EFFECTIVE, f"{scene.serves}, one more than before")
    if seen.since is None and scene.late:
        return Conclusion(Phase.INCONCLUSIVE, f"{_in_time(scene)}: {scene.serves}")
    return None


def _in_time(scene: _Scene) -> str:
    return f"whether it helped could not be seen within {scene.spec.remediation.verification.timeout}"


def _replaced(scene: _Scene, seen: VerificationStatus) -> Conclusion | None:
    signal = scene.record.signal
    for pod in scene.new:
        if pod.verdict in LEAKS and pod.deciding is not None:
            found = f"{pod.pod.name} is {pod.verdict} again: {pod.deciding.signal}: {pod.deciding.message}"
            return Conclusion(Phase.INEFFECTIVE, found)
    if seen.since is None:
        return Conclusion(Phase.INCONCLUSIVE, f"{_in_time(scene)}: {scene.serves}") if scene.late else None
    if not _has_settled(scene, seen):
        return None
    blind = [pod.pod.name for pod in scene.new if not _is_read(_judgement(pod, signal))]
    if blind:
        lacking = f"{_in_time(scene)}: no reading of {signal} for {', '.join(blind[:3])}"
        return Conclusion(Phase.INCONCLUSIVE, lacking) if scene.late else None
    assert seen.after is not None
    if seen.after.symptoms:
        return _symptoms_left(scene, seen.after) if scene.late else None
    if not _is_back(scene, seen.after):
        if not scene.late:
            return None
        return Conclusion(Phase.INEFFECTIVE, f"{scene.serves}, but {signal} is not back: {_levels(scene, seen.after)}")
    if any(pod.verdict is Verdict.SUSPECT for pod in scene.new):
        suspect = f"{_in_time(scene)}: a new pod is Suspect"
        return Conclusion(Phase.INCONCLUSIVE, suspect) if scene.late else None
    if recovered := _siblings_recovered(scene):
        return Conclusion(Phase.RECOVERED_ANYWAY, f"{scene.serves}, and {recovered}: it would have gone by itself")
    return Conclusion(Phase.EFFECTIVE, _effective(scene, seen))


def _is_read(judgement: Judgement | None) -> bool:
    return judgement is not None and (judgement.value is not None or judgement.verdict is not Verdict.UNKNOWN)


def _is_back(scene: _Scene, after: Measurement) -> bool:
    before = scene.held.before.value if scene.held.before is not None else scene.record.value
    if before is None or after.value is None:
        return True  # a signal without a level, such as an alert: the verdicts decide
    calm = [
        judgement.value
        for pod in scene.old
        if pod.verdict is Verdict.HEALTHY
        and (judgement := _judgement(pod, scene.record.signal)) is not None
        and judgement.value is not None
    ]
    return after.value <= max([BACK_TO * before, *(NEAR_SIBLINGS * value for value in calm)])


def _symptoms_left(scene: _Scene, after: Measurement) -> Conclusion:
    had = scene.held.before is not None and bool(scene.held.before.symptoms)
    said = f"{scene.serves}, but {'; '.join(after.symptoms[:2])}"
    return Conclusion(Phase.INEFFECTIVE if had else Phase.INCONCLUSIVE, said)


def _siblings_recovered(scene: _Scene) -> str:
    left = [pod for pod in scene.old if pod.pod.uid in scene.held.untouched]
    well = [pod for pod in left if pod.verdict is Verdict.HEALTHY]
    if not left or len(well) < len(left):
        return ""
    return f"{', '.join(pod.pod.name for pod in left[:3])}, left alone, recovered as well"


def _levels(scene: _Scene, after: Measurement) -> str:
    before = scene.held.before.value if scene.held.before is not None else scene.record.value
    was = f", was {before:g}" if before is not None else ""
    return f"at most {after.value:g}{was}" if after.value is not None else "no level"


def _effective(scene: _Scene, seen: VerificationStatus) -> str:
    assert seen.after is not None
    since = scene.now - parse_time(scene.record.intended_at)
    said = f"after {format_duration(since)} {scene.serves}, {scene.record.signal} {_levels(scene, seen.after)}"
    growth = seen.after.growth_per_hour
    if growth is not None and growth.low > 0:
        return f"{said}; it grows again by {growth.low:g} an hour or more: the restart bought time, the leak goes on"
    return f"{said}; the restart set it back, whether it grows again is watched on"
