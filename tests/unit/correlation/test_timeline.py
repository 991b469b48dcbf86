"""An episode in time: each part has its own errors, fullest pod, starts and log lines."""

from __future__ import annotations

import numpy as np
import pytest

from leakwarden.core.correlation.episode import Episode, LogKind, PodReadings
from leakwarden.core.correlation.timeline import LEAST_LINES, MOST_ROWS, coincide, timeline

T = np.arange(0.0, 240.0)
FULL_FROM = 120


def an_episode() -> Episode:
    """Descriptors of one pod are full in the second half, where a tenth of the requests fail; the other pod is calm."""
    full = np.where(T < FULL_FROM, 0.5, 1.0)
    return Episode(
        t=T,
        requests=np.full(T.size, 100.0),
        errors={502: np.where(T < FULL_FROM, 0.0, 10.0)},
        pods=[
            PodReadings("a", descriptors=full, goroutines=np.full(T.size, 30.0), starts=[200.0]),
            PodReadings("b", descriptors=np.full(T.size, 0.1), goroutines=np.full(T.size, 10.0)),
        ],
    )


def test_each_row_has_what_happened_in_it() -> None:
    lines = {LogKind.OPEN_FILES: [130.0, 131.0, 239.5], LogKind.REFUSED: [1.0]}
    rows = timeline(an_episode(), lines)
    assert len(rows) == MOST_ROWS
    assert [row.at for row in rows] == [20.0 * n for n in range(MOST_ROWS)]
    assert [row.errors for row in rows] == [0.0] * 6 + [0.1] * 6
    assert [row.descriptors for row in rows] == [0.5] * 6 + [1.0] * 6
    assert {row.requests for row in rows} == {100.0}
    assert {row.goroutines for row in rows} == {40.0}
    assert [row.starts for row in rows] == [0] * 10 + [1, 0]
    assert rows[6].lines == {LogKind.OPEN_FILES: 2}
    assert rows[11].lines == {LogKind.OPEN_FILES: 1}
    assert rows[0].lines == {LogKind.REFUSED: 1}
    assert {row.pool for row in rows} == {None}
    assert {row.p99 for row in rows} == {None}


def test_lines_are_held_against_the_readings_around_them() -> None:
    lines = {LogKind.OPEN_FILES: [10.0, 119.5, 150.0, 151.0], LogKind.POOL_WAIT: [150.0] * 5}
    assert coincide(an_episode(), lines) == [
        "3 of 4 log lines TooManyOpenFiles were written while a pod's descriptors were used up"
    ]


@pytest.mark.parametrize("times", [[150.0] * (LEAST_LINES - 1), [1e9] * 9])
def test_too_few_lines_of_the_time_coincide_with_nothing(times: list[float]) -> None:
    assert coincide(an_episode(), {LogKind.OPEN_FILES: times}) == []
