"""The memory of readings between ticks."""

from __future__ import annotations

import numpy as np

from leakwarden.core.detection.history import ReadingHistory
from leakwarden.core.model.workload import Pod, PodContainer
from tests.builders import NOW, pod, points, sampled


def keep(
    history: ReadingHistory, one: Pod, values: list[float], until: float = NOW, now: float | None = None
) -> list[float]:
    history.append(
        "Descriptors", sampled({one.name: points(values, until=until)}), {("shop", one.name): one}, now or until
    )
    return [float(v) for series in history.by_pod("Descriptors").get(one.uid, []) for v in series[1].v]


def test_only_newer_points_are_added() -> None:
    history, one = ReadingHistory(600), pod()
    keep(history, one, [1, 2, 3], until=NOW - 30)
    assert keep(history, one, [2, 3, 4], until=NOW) == [1, 2, 3, 4]


def test_points_older_than_the_lookback_are_forgotten() -> None:
    history, one = ReadingHistory(60), pod()
    keep(history, one, [1, 2, 3])
    assert keep(history, one, [4], until=NOW + 60) == [3, 4]


def test_a_hole_as_long_as_the_lookback_is_remembered_until_it_is_past() -> None:
    history, one = ReadingHistory(600), pod()
    keep(history, one, [1, 2, 3], until=NOW)
    assert keep(history, one, [4, 5], until=NOW + 1200) == [3, 4, 5]
    for seconds in range(30, 601, 30):
        kept = keep(history, one, [6], until=NOW + 1200 + seconds)
    assert kept[0] == 5, "the first reading after the hole is the oldest that counts, and the hole is past"


def test_a_restarted_container_starts_a_new_life() -> None:
    history = ReadingHistory(600)
    keep(history, pod(), [900, 910, 920], until=NOW - 60)
    restarted = pod(containers=(PodContainer("app", True, 1, NOW - 45),))
    assert keep(history, restarted, [5, 6], until=NOW) == [5, 6]


def test_a_new_pod_under_an_old_name_does_not_inherit_readings() -> None:
    history = ReadingHistory(600)
    keep(history, pod(), [900, 910, 920], until=NOW - 60)
    assert keep(history, pod(uid="another"), [5], until=NOW) == [5]


def test_pods_that_are_gone_are_forgotten() -> None:
    history = ReadingHistory(600)
    keep(history, pod("a"), [1])
    keep(history, pod("b"), [1])
    assert list(history.by_pod("Descriptors")) == ["uid-b"]


def test_memory_stays_bounded_over_many_ticks() -> None:
    history, one = ReadingHistory(600), pod()
    for tick in range(500):
        keep(history, one, [1.0], until=NOW + 30 * tick)
    kept = history.by_pod("Descriptors")[one.uid][0][1]
    assert kept.t.size <= 21
    assert np.all(np.diff(kept.t) > 0)
