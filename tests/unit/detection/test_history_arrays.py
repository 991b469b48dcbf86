"""Readings kept in arrays equal those that are kept series by series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwarden.core.detection import history as history_module
from leakwarden.core.detection.history import ReadingHistory
from leakwarden.core.detection.stored import PIECES
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


@st.composite
def _ticks(draw: st.DrawFn) -> list[tuple[dict[SeriesKey, list[int]], int, float]]:
    """For each tick the moments at which each series was read, how far the clock went on, and how far policies look
    back; minutes."""
    found, now = [], 0
    for _ in range(draw(st.integers(2, 24))):
        now += draw(st.sampled_from([0, 1, 1, 1, 2, 9, -1]))
        moments = st.lists(st.sampled_from([now, now, now - 1, now - 2, now + 1]), max_size=3)
        read = {SeriesKey("shop", name, "app"): sorted(set(draw(moments))) for name in "abc"}
        found.append((read, now, draw(st.sampled_from([5.0, 5.0, 5.0, 8.0, 3.0]))))
    return found


@settings(max_examples=150, deadline=None)
@given(_ticks(), st.integers(0, 30))
def test_the_pieces_of_many_ticks_are_what_was_read_together(
    ticks: list[tuple[dict[SeriesKey, list[int]], int, float]], restarted: int
) -> None:
    """The same series of the same processes in each tick, of which some have no reading, or an older one."""
    names: list[SeriesKey] = list(ticks[0][0])
    started = NOW + 60.0 * (restarted - 20)
    present = {
        ("shop", name): pod(name, created=started - 900, containers=(PodContainer("app", True, 0, started),))
        for name in "abc"
    }
    history, model = ReadingHistory(0), HistoryModel(0)
    for number, (read, now, back) in enumerate(ticks):
        for each in (history, model):
            each.lookback = 60.0 * back
        t = np.array([NOW + 60.0 * each for key in names for each in read[key]], dtype=np.float64)
        sizes = np.array([len(read[key]) for key in names], dtype=np.int64)
        block = SeriesBlock(names, sizes, t, np.arange(t.size) / 3 + number)
        answer = Sampled(block, LimitBlock(names, np.full(len(names), 7.0 + number)))
        for each in (history, model):
            each.append("s", answer, present, NOW + 60.0 * now)
        assert told(history.by_pod("s")) == told(model.by_pod())
        newest = history.by_pod("s").newest()
        for place, key in enumerate(names):
            last = model.kept[key].points.t[-1:].tolist()
            assert [newest[0][place]] == last or (not last and np.isnan(newest[0][place]))


def test_a_tick_without_a_newer_reading_stores_nothing_and_others_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Putting all readings together in each tick was a sixth of the work of a tick."""
    merged = []
    real = history_module._merged

    def counted(*given: Any) -> Any:
        merged.append(given)
        return real(*given)

    monkeypatch.setattr(history_module, "_merged", counted)
    names = [SeriesKey("shop", name, "app") for name in "abc"]
    present = {("shop", name): pod(name, created=NOW - 900_000) for name in "abc"}
    history = ReadingHistory(1800.0)
    for tick in range(80):
        t = np.repeat(NOW + 60.0 * (tick // 2) - np.array([60.0, 0.0])[None, :], 3, axis=0).ravel()
        answer = Sampled(SeriesBlock(names, np.full(3, 2), t, np.arange(6.0)), LimitBlock(names, np.full(3, np.nan)))
        history.append("s", answer, present, NOW + 30.0 * tick)

    assert len(merged) <= 1 + 40 // (PIECES - 1) + 1
    assert history.by_pod("s")["uid-a"][0].points.t.size == 30
