"""The search over thresholds: it judges as the detector does, and changes only what gains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from unittest.mock import patch

import pytest

from leakwarden.core.detection.detector import EXHAUSTING, LEAKING
from leakwarden.core.detection.replay import replay
from leakwarden.core.detection.thresholds import Gates, tuned
from leakwarden.core.signals.criteria import Standard
from tests.bench import tune, worlds
from tests.bench.replaying import episodes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab() -> tune.Lab:
    return tune.record([(worlds.draw(9, 8, "minutes"), 60.0)])


def test_windows_judged_apart_are_told_when_the_detector_tells_them(lab: tune.Lab) -> None:
    changes = replay([trace.series for trace in lab.traces], Standard(), 60.0)
    changes = [change for change in changes if change.reason != "Full"]  # not of growth
    told, acted = episodes(changes, LEAKING), episodes(changes, EXHAUSTING)
    apart, acts = lab.told(tuned())

    assert told
    assert set(apart) == set(told)
    assert all(apart[i][0] == pytest.approx(told[i][0], abs=180) for i in told)
    assert acted
    assert set(acts) == set(acted)
    assert all(acts[i][0] == pytest.approx(acted[i][0], abs=600) for i in acts)


@pytest.fixture(scope="module")
def few() -> Iterator[None]:
    """Of a hundred thresholds some, so that a search is over soon."""
    with patch.object(tune, "names", lambda: ["level", "reach", "birth_even", "confirm"]):
        yield


def test_a_search_keeps_a_change_only_if_it_gains_and_goes_on_where_it_was(
    lab: tune.Lab, few: None, tmp_path: Path
) -> None:
    begin = tune.scaled(tuned(), "level", 1.15)  # told too late
    before = tune.figures(lab, begin)
    said: list[str] = []
    found = tune.search(lab, begin, said.append, progress=tune.Progress.of(tmp_path / "state.json"))
    again: list[str] = []
    once_more = tune.search(lab, begin, again.append, progress=tune.Progress.of(tmp_path / "state.json"))

    assert found.figures.objective >= before.objective
    assert found.unreached == ()
    assert "level" not in found.inert
    assert "birth_even" in found.inert
    assert said
    assert not again
    assert once_more == found


def test_a_search_whose_time_is_up_says_what_it_has_not_reached(lab: tune.Lab, few: None) -> None:
    asked = iter([False, False, True, True, True])
    found = tune.search(lab, tuned(), lambda _: None, lambda: next(asked))

    assert set(found.unreached) == {"level", "reach", "birth_even", "confirm"} - set(found.inert)
    assert {"birth_even", "confirm"} <= set(found.unreached)


def test_replaying_stops_when_half_the_time_is_over_with_some_worlds_of_each_scale() -> None:
    asked = iter([False, False, False, False, True])
    some = list(tune.drawn(9, lambda: next(asked)))

    assert len(some) == 4
    assert {trace.family for traces, _ in some[:3] for trace in traces} == {f"worlds: {name}" for name in worlds.SCALES}
    assert len(list(tune.drawn(2, lambda: True))) == len(worlds.SCALES)
    every = [trace.series.workload for traces, _ in tune.drawn(5, lambda: False) for trace in traces]
    assert set(every) == {
        t.series.workload for s in tune.TUNING_SEEDS for n in worlds.SCALES for t in worlds.draw(s, 5, n)
    }


def test_a_threshold_is_scaled_for_all_widths_and_counts_stay_counts() -> None:
    assert tune.scaled(Gates(), "level", 0.5).level == tuple(0.5 * one for one in Gates().level)
    assert all(isinstance(one, int) for one in tune.scaled(Gates(), "readings", 0.5).readings)
    assert tune.scaled(Gates(), "reach", 2.0).reach == 2 * Gates().reach


def test_what_was_tuned_is_written_as_a_module_that_reads_back() -> None:
    found = tune.scaled(Gates(), "reach", 0.8)
    space: dict[str, object] = {}
    exec(tune.written(found, ["said"]), space)

    assert space["TUNED"] == {"reach": 0.8}
    assert {of.name for of in fields(Gates)} >= set(tune.names())
