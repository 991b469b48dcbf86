"""A pod that is found healthy by its newest readings gets the same evaluation as by a judgement of each signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwarden.core.detection.history import ReadingHistory
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.evaluation import evaluation
from leakwarden.core.evaluation.asked import Readings
from leakwarden.core.evaluation.calm import CalmPod, CalmPods, CalmSignal
from leakwarden.core.evaluation.capabilities import capabilities
from leakwarden.core.evaluation.evaluation import evaluate
from leakwarden.core.evaluation.growth_findings import GrowthFindings, Ranges, RowFindings
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.readings import Answer, NoData, Points, QueryFailed, Sampled, SeriesKey
from leakwarden.core.model.workload import Pod
from tests.builders import NOW, container, pod, policy, snapshot, workload

pytestmark = pytest.mark.slow

NAMES = ("Descriptors", "Goroutines", "WorkingSet", "HTTPErrors")
PODS = [pod(f"api-{n}", created=NOW - 7200) for n in range(4)]
REASONS = {Verdict.HEALTHY: VerdictReason.Steady, Verdict.SUSPECT: VerdictReason.Unconfirmed}
THRESHOLDS = [None, {"above": "80%", "for": "1m"}, {"above": "50", "for": "1m"}]


@st.composite
def signals(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        signal: dict[str, Any] = {"name": name.lower(), "type": name}
        threshold = draw(st.sampled_from(THRESHOLDS))
        if name == "HTTPErrors":
            signal["threshold"] = {"above": "5%", "for": "1m"}
        elif threshold is not None:
            signal["threshold"] = threshold
        if name != "HTTPErrors":
            signal["growth"] = {"enabled": draw(st.booleans())}
            signal["role"] = draw(st.sampled_from(["Leak", "Supporting"]))
        found.append(signal)
    return found


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    for name in (*NAMES, "context/rate"):
        series, limits = {}, {}
        for one in draw(st.sets(st.integers(0, 3))):
            for part in draw(st.sampled_from([("app",), ("app", "")])):
                key = SeriesKey("shop", f"api-{one}", part)
                age, level = (
                    draw(st.sampled_from([0.0, 60.0, 300.0, -300.0])),
                    draw(st.sampled_from([1.0, 49.0, 51.0, 97.0])),
                )
                series[key] = Points(NOW - age - np.array([60.0, 30.0, 0.0]), np.full(3, level))
                if draw(st.booleans()):
                    limits[key] = 100.0
        kind = draw(st.sampled_from(["sampled", "sampled", "sampled", "none", "failed"]))
        kinds: dict[str, Answer] = {
            "sampled": Sampled(series, limits),
            "none": NoData("NoSeries", "no pod has it"),
            "failed": QueryFailed("Timeout", "it did not answer"),
        }
        found[name] = kinds[kind]
    return found


Placed = dict[str, tuple[Sequence[SeriesKey], np.ndarray]]
UIDS = {(one.namespace, one.name): one.uid for one in PODS}


@st.composite
def findings(draw: st.DrawFn) -> Callable[[Placed], RowFindings]:
    keys = [(name, one.uid, part) for name in NAMES for one in PODS for part in ("app", "")]
    everybody = draw(st.booleans())
    kept = [key for key in keys if everybody or draw(st.booleans())]
    verdicts = [draw(st.sampled_from([0, 0, 0, 1, 2])) for _ in kept]
    reasons = np.array(
        [int(REASONS.get(tuple(Verdict)[code], VerdictReason.TooFewReadings)) for code in verdicts], dtype=np.int64
    )
    nothing = np.full(len(kept), np.nan)
    return lambda placed: RowFindings(
        {key: row for row, key in enumerate(kept)}, tuple(Verdict), verdicts, reasons,
        growth=Ranges(nothing, nothing), left=Ranges(nothing, nothing), limits=nothing, weighed={}, placed=placed,
    )  # fmt: skip


def placed_in(history: ReadingHistory, rows: Mapping[tuple[str, str, str], int]) -> Placed:
    """The rows of each answer's series, as the detector keeps them, where all of them have one."""
    found: Placed = {}
    for key in NAMES:
        names = history.by_pod(key).names
        wanted = [(key, UIDS[name.namespace, name.pod], name.container) for name in names]
        if wanted and all(each in rows for each in wanted):
            found[key] = names, np.array([rows[each] for each in wanted], dtype=np.int64)
    return found


def told(found: PolicyEvaluation) -> list[Any]:
    return [
        (each.verdict, each.workload.name, [(p.pod, p.verdict, p.deciding, p.acting, p.judgements, p.resumed) for p in each.pods])
        for each in found.workloads
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(signals(), answers(), findings())
def test_what_is_found_at_a_glance_is_what_each_judgement_says(
    asked: list[dict[str, Any]], answered: dict[str, Answer], find: Callable[[Placed], RowFindings]
) -> None:
    judged_by = policy(spec={"signals": asked})
    world = snapshot([workload(containers=(container(memory_limit=100.0),))], PODS)
    history = ReadingHistory(1800.0)
    present: dict[tuple[str, str], Pod] = {(one.namespace, one.name): one for one in PODS}
    for key, answer in answered.items():
        if isinstance(answer, Sampled):
            history.append(key, answer, present, NOW)
    rows = {key: row for row, key in enumerate(find({}))}
    grown = find(placed_in(history, rows))
    readings = Readings("Prometheus/main", "", answered, history, GrowthFindings((), grown))

    def judged() -> PolicyEvaluation:
        return evaluate(judged_by, world, True, readings=readings, owner={}, audited={}, now=NOW)

    quick = judged()
    with patch.object(CalmPods, "of", lambda self, pod: None):
        full = judged()

    assert told(quick) == told(full)
    assert capabilities(quick, NOW) == capabilities(full, NOW)


@pytest.mark.parametrize(("kind", "whole"), [("Descriptors", 100.0), ("Heap", 256 * 2.0**20)])
def test_a_pod_that_is_well_costs_no_judgement(kind: str, whole: float) -> None:
    """The limit of memory is that of the container, which only the workload shows."""
    judged_by = policy(spec={"signals": [{"name": "d", "type": kind, "threshold": {"above": "90%", "for": "5m"}}]})
    history = ReadingHistory(1800.0)
    keys = [SeriesKey("shop", one.name, "app") for one in PODS]
    values = [0.10 * whole, 0.20 * whole, 0.95 * whole, 0.30 * whole]
    series = {
        key: Points(NOW - np.array([60.0, 0.0]), np.full(2, value)) for key, value in zip(keys, values, strict=True)
    }
    answer = Sampled(series, dict.fromkeys(keys, whole) if kind == "Descriptors" else {})
    history.append(kind, answer, {(one.namespace, one.name): one for one in PODS}, NOW)
    rows = {(kind, one.uid, "app"): row for row, one in enumerate(PODS)}
    nothing = np.full(4, np.nan)
    grown = RowFindings(
        rows, tuple(Verdict), [0] * 4, np.full(4, int(VerdictReason.Steady)),
        growth=Ranges(nothing, nothing), left=Ranges(nothing, nothing), limits=np.full(4, whole), weighed={},
        placed={kind: (keys, np.arange(4))},
    )  # fmt: skip
    readings = Readings("Prometheus/main", "", {kind: answer}, history, GrowthFindings((), grown))

    with (
        patch.object(evaluation, "judge_signal", wraps=evaluation.judge_signal) as judging,
        patch.object(CalmSignal, "_is_calm", return_value=False) as one_by_one,
    ):
        found = evaluate(
            judged_by, snapshot([workload()], PODS), True, readings=readings, owner={}, audited={}, now=NOW
        )

    assert judging.call_count == 1
    assert one_by_one.call_count == 1, "the others are found by arrays"
    assert [isinstance(each, CalmPod) for each in found.workloads[0].pods] == [False, True, True, True]
    assert found.workloads[0].pods[0].pod.name == "api-2"


def test_a_calm_pod_has_what_any_other_has_and_can_be_given_a_need() -> None:
    full = PodEvaluation(PODS[0], Verdict.HEALTHY, None, None, ())
    calm = CalmPod(PODS[0], (True,), lambda _: full)
    assert {of.name: getattr(calm, of.name) for of in fields(PodEvaluation)} == {
        of.name: getattr(full, of.name) for of in fields(PodEvaluation)
    }
    assert replace(calm.whole, needs=3).needs == 3


def test_a_reading_that_is_not_a_number_is_not_healthy() -> None:
    """The sources leave such readings out; whatever comes here nevertheless is not taken for one below the threshold."""
    quiet = {"name": "d", "type": "Descriptors", "threshold": {"above": "80%"}, "growth": {"enabled": False}}
    history, key = ReadingHistory(1800.0), SeriesKey("shop", PODS[0].name, "app")
    answer = Sampled({key: Points(NOW - np.array([60.0, 0.0]), np.array([10.0, np.nan]))}, {key: 100.0})
    history.append("Descriptors", answer, {("shop", PODS[0].name): PODS[0]}, NOW)
    readings = Readings("Prometheus/main", "", {"Descriptors": answer}, history, GrowthFindings())
    world = snapshot([workload()], [PODS[0]])
    found = evaluate(policy(spec={"signals": [quiet]}), world, True, readings=readings, owner={}, audited={}, now=NOW)
    (one,) = found.workloads[0].pods
    assert one.verdict is Verdict.UNKNOWN
    assert one.judgements[0].message == "the newest reading is not a number"
