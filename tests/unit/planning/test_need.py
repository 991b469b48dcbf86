"""More replicas by need: each threshold and each guard, and that neither a leak nor a missing reading scales out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.core.detection.history import ReadingHistory
from leakwarden.core.evaluation.asked import Readings
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.guards import Situation, Surroundings
from leakwarden.core.model.judgement import Judgement, Verdict
from leakwarden.core.model.policy import parse_policy
from leakwarden.core.model.readings import Points, Sampled, SeriesKey
from leakwarden.core.planning.need import with_need
from leakwarden.core.planning.planning import plan
from leakwarden.core.signals.queries import RATE
from tests.builders import DESCRIPTORS, NOW, body, enforcing, pod, points, policy, workload

LATENCY = {"name": "p99", "type": "LatencyP99", "threshold": {"above": "10", "for": "5m"}}
MEMORY = {"name": "memory", "type": "WorkingSet"}
NAMES = ("api-1", "api-2", "api-3")
LIMIT = 256 * 2.0**20  # of the builder's container
Levels = Mapping[str, Sequence[float] | None]  # by pod


def spec(**need: Any) -> dict[str, Any]:
    asked = {"maxReplicas": 10, **need}
    return enforcing(DESCRIPTORS, LATENCY, MEMORY, scaleOutOnNeed=asked)


def every(values: Sequence[float] | None) -> Levels:
    return dict.fromkeys(NAMES, values)


def history(**by_signal: Levels) -> ReadingHistory:
    """Readings each 30 s, the newest now."""
    pods = {("shop", name): pod(name) for name in NAMES}
    found = ReadingHistory(1800.0)
    for signal, levels in by_signal.items():
        key = {"p99": "LatencyP99", "memory": "WorkingSet", "rate": RATE}[signal]
        series = {
            SeriesKey("shop", name, "app" if signal == "memory" else ""): points(values)
            for name, values in levels.items()
            if values
        }
        found.append(key, Sampled(series, {}), pods, NOW)
    return found


def judged(name: str, **verdicts: Verdict) -> PodEvaluation:
    known = {"descriptors": Verdict.HEALTHY, "memory": Verdict.HEALTHY, **verdicts}
    found = tuple(Judgement(signal, verdict, "Some", "said so") for signal, verdict in known.items())
    return PodEvaluation(pod(name), Verdict.HEALTHY, found[0], None, found)


def target(*pods: PodEvaluation, **changes: Any) -> WorkloadEvaluation:
    return WorkloadEvaluation(workload(**changes), Verdict.HEALTHY, pods or tuple(judged(n) for n in NAMES), ())


def needing(
    readings: ReadingHistory,
    of: WorkloadEvaluation | None = None,
    wanted: dict[str, Any] | None = None,
) -> PolicyEvaluation:
    evaluation = PolicyEvaluation(policy(spec=wanted or spec()), "Prometheus/main", "", True, (of or target(),))
    return with_need(evaluation, Readings("Prometheus/main", "", {}, readings), NOW)


def replicas(readings: ReadingHistory, **more: Any) -> int:
    """How many are needed; 0 where nothing is."""
    (found,) = needing(readings, **more).workloads
    return max((each.needs for each in found.pods), default=0)


SLOW = [0.3] * 11  # of five minutes
BUSY = history(p99=every(SLOW), rate=every([50.0] * 11))


# Thresholds


@pytest.mark.parametrize(("p99", "needs"), [(0.2, 0), (0.201, 4)])
def test_more_are_needed_above_the_latency_and_not_at_it(p99: float, needs: int) -> None:
    assert replicas(history(p99=every([p99] * 11), rate=every([50.0] * 11))) == needs


def test_every_reading_of_the_time_must_lie_above() -> None:
    assert replicas(history(p99=every([*[0.3] * 5, 0.1, *[0.3] * 5]), rate=every([50.0] * 11))) == 0


def test_it_must_have_held_for_the_whole_time() -> None:
    young = history(p99=every([0.3] * 5), rate=every([50.0] * 5))
    assert replicas(young) == 0
    assert replicas(young, wanted=spec(**{"for": "2m"})) == 4


@pytest.mark.parametrize(("slow", "needs"), [(1, 0), (2, 4)])
def test_more_than_half_of_the_pods_must_be_slow(slow: int, needs: int) -> None:
    levels = {name: SLOW if place < slow else [0.05] * 11 for place, name in enumerate(NAMES)}
    assert replicas(history(p99=levels, rate=every([50.0] * 11))) == needs


@pytest.mark.parametrize(("share", "needs"), [(0.8, 0), (0.81, 4), (1.0, 4)])
def test_memory_above_its_share_of_the_limit_needs_more(share: float, needs: int) -> None:
    assert replicas(history(memory=every([share * LIMIT] * 11))) == needs


# How many


def test_it_is_what_the_load_takes_at_what_a_pod_was_seen_to_carry() -> None:
    rates = [*[20.0] * 24, *[60.0] * 12]
    slow = [*[0.1] * 24, *[0.3] * 12]
    found = history(p99=every(slow), rate=every(rates))
    assert replicas(found) == 9, "180 requests/s come, and a pod carried 20 within 200 ms"


def test_where_no_pod_was_seen_to_carry_a_load_one_more_is_tried() -> None:
    assert replicas(BUSY) == 4
    assert replicas(history(p99=every(SLOW))) == 4, "the load is not known"


def test_the_rule_of_the_autoscaler_says_how_many_memory_takes() -> None:
    four = [judged(f"api-{n}") for n in range(1, 4)]
    found = history(memory=every([0.9 * LIMIT] * 11))
    assert replicas(found, of=target(*four, replicas=3, ready_replicas=3), wanted=spec(memoryAbovePercent=45)) == 6


def test_who_has_what_the_load_takes_needs_nothing() -> None:
    rates = [*[50.0] * 20, *[50.0] * 11]
    calm = history(p99=every([0.1] * 31), rate=every(rates))
    assert replicas(calm) == 0


# Guards


@pytest.mark.parametrize("verdict", [Verdict.SUSPECT, Verdict.LEAKING, Verdict.EXHAUSTING, Verdict.UNKNOWN])
def test_what_leaks_or_is_not_known_not_to_is_not_scaled_out(verdict: Verdict) -> None:
    leaking = target(judged("api-1", descriptors=verdict, memory=verdict), judged("api-2"), judged("api-3"))
    assert replicas(BUSY, of=leaking) == 0


@pytest.mark.parametrize("verdict", [Verdict.SUSPECT, Verdict.UNKNOWN])
def test_memory_that_may_leak_is_no_reason(verdict: Verdict) -> None:
    unsure = target(*(judged(name, memory=verdict) for name in NAMES))
    assert replicas(history(memory=every([0.9 * LIMIT] * 11)), of=unsure) == 0


@pytest.mark.parametrize(
    "changes",
    [{"updated_replicas": 2}, {"replicas": 4}, {"observed_generation": 0}],
    ids=["rollout", "fewer", "unseen"],
)
def test_during_a_rollout_and_while_pods_are_missing_nothing_is_needed(changes: dict[str, Any]) -> None:
    assert replicas(BUSY, of=target(**changes)) == 0


def test_a_deployment_of_another_policy_is_left_to_it() -> None:
    assert replicas(BUSY, of=replace(target(), conflicts_with="older")) == 0


def test_nothing_is_needed_unless_the_policy_asks() -> None:
    assert replicas(BUSY, wanted=enforcing(DESCRIPTORS, LATENCY, MEMORY)) == 0


# Missing readings


def test_pods_without_readings_count_among_those_that_are_not_slow() -> None:
    assert replicas(history(p99={"api-1": SLOW, "api-2": None, "api-3": None}, rate=every([50.0] * 11))) == 0


def test_old_readings_and_those_with_a_hole_are_none() -> None:
    pods = {("shop", name): pod(name) for name in NAMES}
    for t in (NOW - 130 - 30.0 * (10 - np.arange(11, dtype=np.float64)), None):
        found = ReadingHistory(1800.0)
        fine = points(SLOW)
        gone = Points(t, fine.v) if t is not None else Points(fine.t[[0, 1, 2, 8, 9, 10]], fine.v[:6])
        found.append("LatencyP99", Sampled({SeriesKey("shop", name): gone for name in NAMES}, {}), pods, NOW)
        assert replicas(found) == 0


READING = st.none() | st.lists(st.floats(0.0, 5.0), min_size=0, max_size=12)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    p99=st.fixed_dictionaries(dict.fromkeys(NAMES, READING)),
    rate=st.fixed_dictionaries(dict.fromkeys(NAMES, READING)),
    memory=st.fixed_dictionaries(dict.fromkeys(NAMES, READING)),
    most=st.integers(2, 6),
    leaks=st.sampled_from(list(Verdict)),
)
def test_never_on_missing_data_never_while_it_leaks_and_never_beyond_the_maximum(
    p99: Levels, rate: Levels, memory: Levels, most: int, leaks: Verdict
) -> None:
    of = target(judged("api-1", descriptors=leaks), judged("api-2"), judged("api-3"))
    scaled = {name: [value * LIMIT for value in values] if values else None for name, values in memory.items()}
    evaluation = needing(history(p99=p99, rate=rate, memory=scaled), of=of, wanted=spec(maxReplicas=most))
    around = Surroundings(autoscalers={})
    decisions = plan([evaluation], Situation(NOW, True, frozenset(ActionType), surroundings=around))
    # Seven readings, 30 s apart, reach from now back to within maxAge (2m) of the beginning of the 5 minutes.
    enough = [n for n in NAMES if any(len(kind[n] or ()) >= 7 for kind in (p99, memory))]
    for decision in decisions:
        assert decision.candidate.action.type is ActionType.SCALE_OUT
        assert leaks is Verdict.HEALTHY
        assert len(enough) >= 2, "most pods were read for the whole time"
        if decision.go:
            assert decision.candidate.target.workload.replicas + 1 <= most


# The plan


def reasons(evaluation: PolicyEvaluation, **situation: Any) -> set[str]:
    values: dict[str, Any] = {"surroundings": Surroundings(autoscalers={}), **situation}
    (decision,) = plan([evaluation], Situation(NOW, True, frozenset(ActionType), **values))
    assert decision.candidate.action.type is ActionType.SCALE_OUT
    return {str(skip.reason) for skip in decision.skips}


def test_one_replica_is_added_where_every_guard_agrees() -> None:
    assert reasons(needing(BUSY)) == set()


def test_at_its_maximum_it_is_left() -> None:
    assert "AtMaxReplicas" in reasons(needing(BUSY, wanted=spec(maxReplicas=3)))


@pytest.mark.parametrize("known", [{("shop", "api"): "the HorizontalPodAutoscaler api"}, None], ids=["HPA", "unknown"])
def test_an_autoscaler_that_owns_the_replicas_is_never_fought(known: Any) -> None:
    assert "ReplicasOwned" in reasons(needing(BUSY), surroundings=Surroundings(autoscalers=known))


def test_an_installation_that_does_not_allow_it_is_obeyed() -> None:
    evaluation = needing(BUSY)
    situation = Situation(NOW, True, frozenset(), surroundings=Surroundings(autoscalers={}))
    (decision,) = plan([evaluation], situation)
    assert not decision.go


def test_the_reason_gives_the_numbers() -> None:
    (found,) = needing(BUSY).workloads
    (acting,) = [each.acting for each in found.pods if each.acting is not None]
    assert acting.reason == "NeedsReplicas"
    assert "P99 0.3s of more than half of the pods above 200ms for 5m, and nothing leaks" in acting.message


def test_it_needs_a_signal_that_shows_load() -> None:
    wanted = enforcing(DESCRIPTORS, scaleOutOnNeed={"maxReplicas": 5})
    assert "needs a signal of type LatencyP99 or WorkingSet" in parse_policy(body(spec=wanted)).error
