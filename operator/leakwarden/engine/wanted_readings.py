"""The part of a source's answers that each policy wants: how far back, by which standards, and of which pods."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from leakwarden.api.scalars import parse_duration
from leakwarden.core.evaluation.asked import Readings
from leakwarden.core.evaluation.evaluation import targets
from leakwarden.core.evaluation.growth_findings import Standards, rounds_of
from leakwarden.core.evaluation.shared_cause import REACH
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.readings import Answer, Points, Sampled, SeriesKey
from leakwarden.core.model.workload import Pod, Snapshot, Workload
from leakwarden.core.signals.criteria import Standard, standard_of
from leakwarden.core.signals.queries import RATE, answer_key
from leakwarden.engine.read_windows import LEAST_LOOKBACK


@dataclass(frozen=True, slots=True)
class Targets:
    """The pods of all targets by (namespace, name) and the standards for them, with what they follow from."""

    policies: Sequence[Policy]
    workloads: Mapping[str, Workload]
    pods_by_workload: Mapping[str, tuple[Pod, ...]]
    pods: Mapping[tuple[str, str], Pod]
    rounds: Sequence[Standards]

    @classmethod
    def of(cls, policies: Sequence[Policy], snapshot: Snapshot) -> Targets:
        pods = {
            (pod.namespace, pod.name): pod
            for policy in policies
            for workload in targets(policy, snapshot)
            for pod in snapshot.pods_by_workload.get(workload.uid, ())
        }
        rounds = rounds_of(asked_standards(policies, snapshot))
        return cls(list(policies), snapshot.workloads, snapshot.pods_by_workload, pods, rounds=rounds)

    def next(self, policies: Sequence[Policy], snapshot: Snapshot) -> Targets:
        """The targets of the next tick: the same object where nothing has changed, and with the same standards where these
        are equal, so that what was found out about them can be remembered by them."""
        same = self.workloads is snapshot.workloads and self.pods_by_workload is snapshot.pods_by_workload
        if same and same_objects(self.policies, policies):
            return self
        found = Targets.of(policies, snapshot)
        return replace(found, rounds=self.rounds) if found.rounds == self.rounds else found


def same_objects(some: Sequence[object], others: Sequence[object]) -> bool:
    """Whether both have the very same objects, in the same order; objects that are only equal do not count."""
    return len(some) == len(others) and all(map(operator.is_, some, others))


def of_namespace(readings: Readings, namespace: str) -> Readings:
    """The readings with only this namespace's failures, for which the source had no answer although it had for
    others."""
    failed = {
        key: answer.failed[namespace]
        for key, answer in readings.answers.items()
        if isinstance(answer, Sampled) and namespace in answer.failed
    }
    return replace(readings, answers={**readings.answers, **failed}) if failed else readings


def wanted(policy: Policy) -> dict[str, float]:
    """How far back each query of the policy looks, in seconds: its threshold's time, and the time after a
    gap until the readings count again (`refill`)."""
    if policy.spec is None:
        return {}
    refill = parse_duration(policy.spec.source.refill)
    found: dict[str, float] = {}
    for signal in policy.spec.signals:
        held = parse_duration(signal.threshold.for_) if signal.threshold is not None else 0.0
        key = answer_key(signal, policy.namespace)
        standard_of(signal, policy.spec.source.max_age)
        found[key] = max(LEAST_LOOKBACK, refill, 2 * held, held + REACH if held else 0.0, found.get(key, 0.0))
    return found


def lookbacks(policies: Sequence[Policy]) -> dict[tuple[str, str], float]:
    """The same by query and namespace: the time that one namespace's policies look back costs no other one memory."""
    found: dict[tuple[str, str], float] = {}
    for policy in policies:
        for key, seconds in wanted(policy).items():
            found[key, policy.namespace] = max(seconds, found.get((key, policy.namespace), 0.0))
            found[RATE, policy.namespace] = max(found[key, policy.namespace], found.get((RATE, policy.namespace), 0.0))
    return found


def asked_standards(policies: Sequence[Policy], snapshot: Snapshot) -> Iterator[tuple[str, str, Standard]]:
    """The standards for each answer and workload; those of the policy that acts on it come first."""
    for policy in sorted(policies, key=lambda policy: policy.precedence):
        if policy.spec is None:
            continue
        asked = [
            (answer_key(s, policy.namespace), standard_of(s, policy.spec.source.max_age)) for s in policy.spec.signals
        ]
        for workload in targets(policy, snapshot):
            for key, standard in asked:
                if standard.growth:
                    yield key, workload.key, standard


def asked_of(answers: Mapping[str, Sampled], standards: Standards, snapshot: Snapshot) -> dict[str, Sampled]:
    """From each answer, the series of the Deployments that the standards apply to."""
    names: dict[str, set[str]] = {}
    for key, workload in standards:
        names.setdefault(key, set()).add(workload)
    targeted = set().union(*names.values())
    homes = {
        (pod.namespace, pod.name): workload.key
        for workload in snapshot.workloads.values()
        if workload.key in targeted
        for pod in snapshot.pods_by_workload.get(workload.uid, ())
    }
    found = {}
    for key, workloads in names.items():
        if key in answers:
            kept = {
                one: s for one, s in answers[key].series.items() if homes.get((one.namespace, one.pod)) in workloads
            }
            found[key] = Sampled(kept, answers[key].limits)
    return found


def series_of(answer: Answer | None) -> Mapping[SeriesKey, Points]:
    return answer.series if isinstance(answer, Sampled) else {}
