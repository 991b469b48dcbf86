"""Errors and latency: judged only with enough traffic, and never a reason to act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.signal import Signal
from leakwarden.core.detection.history import ReadingHistory
from leakwarden.core.evaluation.asked import Readings
from leakwarden.core.evaluation.evaluation import evaluate
from leakwarden.core.evaluation.results import PolicyEvaluation
from leakwarden.core.evaluation.symptoms import judge_symptom
from leakwarden.core.guards import Situation
from leakwarden.core.model.judgement import Judgement, Verdict
from leakwarden.core.model.readings import Answer, NoData, Points, QueryFailed, Sampled
from leakwarden.core.planning.planning import plan
from leakwarden.core.signals.criteria import standard_of
from leakwarden.core.signals.queries import RATE
from tests.builders import DESCRIPTORS, NOW, enforcing, pod, points, policy, sampled, snapshot, workload

ERRORS = {"name": "errors", "type": "HTTPErrors", "threshold": {"above": "5%", "for": "1m"}}
LATENCY = {"name": "latency", "type": "LatencyP99", "threshold": {"above": "1.5", "for": "1m"}}
SOME: Answer = Sampled({}, {})


def judge(
    share: Sequence[float],
    rate: Sequence[float],
    signal: Mapping[str, Any] = ERRORS,
    *,
    answer: Answer | None = SOME,
    rate_answer: Answer | None = SOME,
    until: float = NOW,
) -> Judgement:
    series = [points(share, until=until)] if share else []
    rates = [points(rate, until=until)] if rate else []
    parsed = Signal.model_validate(signal)
    limit = 1.0 if parsed.type == "HTTPErrors" else None
    unit = "of requests" if parsed.type == "HTTPErrors" else "seconds"
    return judge_symptom(
        parsed,
        standard_of(parsed, "2m"),
        series,
        answer=answer,
        rates=rates,
        rate_answer=rate_answer,
        limit=limit,
        now=NOW,
        unit=unit,
    )


def test_a_share_of_failures_that_holds_is_told_in_percent() -> None:
    found = judge([0.08] * 5, [20] * 5)
    assert (found.verdict, found.reason) == (Verdict.EXHAUSTING, "ThresholdHeld")
    assert found.message == "8% of requests, above 5% for 2m"


def test_no_failures_among_many_requests_is_healthy() -> None:
    found = judge([0.0] * 5, [20] * 5)
    assert (found.verdict, found.message) == (Verdict.HEALTHY, "0% of requests, below 5%")


def test_a_latency_is_held_against_seconds_and_has_no_limit() -> None:
    assert judge([1.8] * 5, [20] * 5, LATENCY).message == "1.8 seconds, above 1.5 for 2m"
    assert judge([1.4] * 5, [20] * 5, LATENCY).verdict is Verdict.HEALTHY


@pytest.mark.parametrize("share", [0.0, 0.04, 1.0])
def test_with_too_little_traffic_nothing_is_healthy_or_bad(share: float) -> None:
    found = judge([share] * 20, [0.9] * 20)
    assert (found.verdict, found.reason, found.value) == (Verdict.UNKNOWN, "TooLittleTraffic", None)
    assert found.message == "0.9 requests a second, fewer than 1"


def test_without_any_request_there_is_no_ratio_and_that_is_no_missing_reading() -> None:
    found = judge([], [0.0] * 20, answer=NoData("NoNumbers", "its series hold no number"))
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "TooLittleTraffic")


def test_each_policy_brings_its_own_minimum() -> None:
    assert judge([0.5] * 5, [3] * 5, {**ERRORS, "minRequestRate": 3}).verdict is Verdict.EXHAUSTING
    assert judge([0.5] * 5, [3] * 5, {**ERRORS, "minRequestRate": 3.1}).verdict is Verdict.UNKNOWN


def test_a_quiet_time_does_not_count_towards_the_time_a_threshold_must_hold() -> None:
    # Two minutes of failures, but with traffic only for the last half minute.
    found = judge([1.0] * 5, [0.1, 0.1, 0.1, 20, 20])
    assert (found.verdict, found.reason) == (Verdict.SUSPECT, "AboveThreshold")


def test_a_reading_of_which_the_traffic_is_not_known_is_none() -> None:
    found = judge([1.0] * 5, [])
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "NoRequestRate")


@pytest.mark.parametrize("which", ["answer", "rate_answer"])
def test_where_either_query_failed_the_history_says_nothing_about_now(which: str) -> None:
    found = judge([1.0] * 5, [20] * 5, **{which: QueryFailed("Timeout", "too slow")})  # type: ignore[arg-type]
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "Timeout")


def test_old_readings_are_unknown() -> None:
    assert judge([1.0] * 5, [20] * 5, until=NOW - 121).reason == "Stale"


def test_a_service_that_tells_no_status_codes_is_not_one_without_errors() -> None:
    found = judge([], [20] * 5, answer=NoData("NoSeries", "no pod of these namespaces has it"))
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "NoSeries")
    assert judge([], [20] * 5).reason == "NoSeries"  # other pods have it


def evaluated(signals: Sequence[Mapping[str, Any]], readings: Mapping[str, Sampled]) -> PolicyEvaluation:
    """One Deployment with the pod api-1, judged by these readings, by type or context key."""
    one = pod("api-1")
    world = snapshot([workload(replicas=1, updated_replicas=1, ready_replicas=1)], [one])
    history = ReadingHistory(3600)
    for key, answer in readings.items():
        history.append(key, answer, {(one.namespace, one.name): one}, NOW)
    enforced = policy(spec=enforcing(*signals))
    owner = {"uid-api": enforced}
    return evaluate(
        enforced,
        world,
        True,
        readings=Readings("Prometheus/main", "", readings, history),
        owner=owner,
        audited={},
        now=NOW,
    )


def acted(evaluation: PolicyEvaluation) -> bool:
    return bool(plan([evaluation], Situation(NOW, True, frozenset(ActionType), {"uid-api": ()})))


def of(values: Sequence[float], limit: float | None = None) -> Sampled:
    return sampled({"api-1": points(values)}, limit)


def test_a_symptom_makes_a_healthy_pod_suspect_and_no_more() -> None:
    found = evaluated(
        [DESCRIPTORS, ERRORS], {"Descriptors": of([10] * 5, 1000), "HTTPErrors": of([0.9] * 5), RATE: of([50] * 5)}
    )
    (one,) = found.workloads[0].pods
    assert one.verdict is Verdict.SUSPECT
    assert one.deciding is not None
    assert one.deciding.signal == "errors"
    assert not acted(found)


def test_a_symptom_is_told_although_no_leak_signal_can_be_read() -> None:
    found = evaluated([DESCRIPTORS, ERRORS], {"HTTPErrors": of([0.9] * 5), RATE: of([50] * 5)})
    assert found.workloads[0].pods[0].verdict is Verdict.SUSPECT
    assert not acted(found)


def test_the_leak_beside_a_symptom_acts() -> None:
    found = evaluated(
        [DESCRIPTORS, ERRORS], {"Descriptors": of([990] * 5, 1000), "HTTPErrors": of([0.9] * 5), RATE: of([50] * 5)}
    )
    assert acted(found)


# The newest reading of the leak signal is calm, old, or missing; every symptom and supporting signal may have any
# value.
series = st.lists(st.floats(0, 1e6), max_size=30)
calm = st.lists(st.floats(0, 800), max_size=30)


@given(
    errors=series,
    latency=series,
    rate=series,
    memory=series,
    leak=calm,
    role=st.sampled_from(["Symptom", "Supporting"]),
)
def test_no_plan_ever_acts_on_symptoms_alone(
    errors: list[float], latency: list[float], rate: list[float], *, memory: list[float], leak: list[float], role: str
) -> None:
    signals: list[Mapping[str, Any]] = [
        DESCRIPTORS,
        {**ERRORS, "role": role, "minRequestRate": 0.01},
        {**LATENCY, "role": role},
        {"name": "memory", "type": "WorkingSet", "threshold": {"above": "1k", "for": "0s"}},
        {"name": "mine", "type": "Heap", "role": role, "threshold": {"above": "1k", "for": "0s"}},
    ]
    found = evaluated(
        signals,
        {
            "Descriptors": of(leak, 1000),
            "HTTPErrors": of(errors),
            "LatencyP99": of(latency),
            "WorkingSet": of(memory, 1e6),
            "Heap": of(memory, 1e6),
            RATE: of(rate),
        },
    )
    assert not acted(found)
    assert all(one.verdict not in (Verdict.LEAKING, Verdict.EXHAUSTING) for one in found.workloads[0].pods)
    assert all(one.acting is None for one in found.workloads[0].pods)


@given(share=st.floats(0, 1), rate=st.floats(0, 0.99), count=st.integers(1, 40))
def test_below_the_minimum_no_ratio_is_ever_healthy_or_bad(share: float, rate: float, count: int) -> None:
    assert judge([share] * count, [rate] * count).verdict is Verdict.UNKNOWN


@given(
    data=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5)), min_size=1, max_size=30),
    shift=st.integers(-(10**8), 10**8),
)
def test_a_symptoms_verdict_does_not_depend_on_the_date(data: list[tuple[float, float]], shift: int) -> None:
    def at(moment: float) -> Judgement:
        share, rate = (points(column, until=moment) for column in zip(*data, strict=True))
        signal = Signal.model_validate(ERRORS)
        return judge_symptom(
            signal,
            standard_of(signal, "2m"),
            [share],
            answer=SOME,
            rates=[rate],
            rate_answer=SOME,
            limit=1.0,
            now=moment,
            unit="of requests",
        )

    assert at(NOW).verdict == at(NOW + shift).verdict


def test_empty_points_are_no_reading() -> None:
    nothing = Points(points([]).t, points([]).v)
    signal = Signal.model_validate(ERRORS)
    standard = standard_of(signal, "2m")
    found = judge_symptom(
        signal,
        standard,
        [nothing],
        answer=SOME,
        rates=[points([20] * 5)],
        rate_answer=SOME,
        limit=1.0,
        now=NOW,
        unit="of requests",
    )
    assert found.verdict is Verdict.UNKNOWN
