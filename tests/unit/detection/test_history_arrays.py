"""Readings kept in arrays equal those that are kept series by series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwarden.core.detection.history import ReadingHistory
from leakwarden.core.model.readings import LimitBlock, Points, Sampled, SeriesBlock, SeriesKey
from leakwarden.core.model.workload import Pod, PodContainer
from tests.builders import NOW, pod
from tests.unit.detection.history_model import HistoryModel

pytestmark = pytest.mark.slow

KEYS = [
    SeriesKey(namespace, name, container)
    for namespace in ("shop", "bank")
    for name in ("a", "b", "c")
    for container in ("app", "")
]


@st.composite
def pods(draw: st.DrawFn) -> dict[tuple[str, str], Pod]:
    found = {}
    for namespace in ("shop", "bank"):
        for name in draw(st.sets(st.sampled_from("abc"))):
            started = NOW - draw(st.sampled_from([3600.0, 200.0, 61.0, 0.0, -30.0]))
            uid = f"{namespace}-{name}-{draw(st.integers(0, 1))}"
            found[namespace, name] = pod(
                name, namespace=namespace, uid=uid, created=started - 5, containers=(PodContainer("app", True, 0, started),)
            )  # fmt: skip
    return found


@st.composite
def answers(draw: st.DrawFn) -> Sampled:
    series, limits = {}, {}
    for key in draw(st.permutations(KEYS))[: draw(st.integers(0, len(KEYS)))]:
        moments = sorted(draw(st.sets(st.integers(-40, 6), max_size=8)))
        series[key] = Points(NOW + 30.0 * np.array(moments, dtype=np.float64), np.array(moments, dtype=np.float64) * 2)
        if draw(st.booleans()):
            limits[key] = float(draw(st.integers(1, 9)))
    block = SeriesBlock.of(series)
    return Sampled(block, LimitBlock(block.names, np.array([limits.get(key, np.nan) for key in block.names])))


def told(found: Any) -> dict[str, list[tuple[SeriesKey, list[float], list[float], float | None]]]:
    return {
        uid: [(each.key, each.points.t.tolist(), each.points.v.tolist(), each.limit) for each in found[uid]]
        for uid in found
    }


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(answers(), pods(), st.integers(-3, 6)), min_size=1, max_size=6), st.booleans())
def test_arrays_remember_what_series_by_series_was_remembered(
    ticks: list[tuple[Sampled, dict[tuple[str, str], Pod], int]], same_pods: bool
) -> None:
    history = ReadingHistory(300.0, {("s", "bank"): 900.0})
    model = HistoryModel(300.0, {("s", "bank"): 900.0})
    for answer, those, later in ticks:
        present = ticks[0][1] if same_pods else those
        for each in (history, model):
            each.append("s", answer, present, NOW + 30.0 * later)
        assert told(history.by_pod("s")) == told(model.by_pod())


def test_the_same_names_in_each_tick_are_remembered_as_any_others() -> None:
    names = [SeriesKey("shop", name, "app") for name in "abc"]
    present = {("shop", name): pod(name, created=NOW - 900) for name in "abc"}
    history, model = ReadingHistory(120.0), HistoryModel(120.0)
    for tick in range(6):
        t = np.repeat(NOW + 60.0 * tick - np.array([60.0, 0.0])[None, :], 3, axis=0).ravel()
        answer = Sampled(
            SeriesBlock(names, np.array([2, 2, 2]), t, t % 97), LimitBlock(names, np.array([1.0, np.nan, 3.0]))
        )
        for each in (history, model):
            each.append("s", answer, present, NOW + 60.0 * tick)
        assert told(history.by_pod("s")) == told(model.by_pod())
