"""How many replicas a load needs, and which answers were never measured."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.capacity.curve import Point
from leakwarden.core.capacity.sizing import Question, Seen, capacity, replicas_needed

MIB = 2.0**20
CURVE = [Point(q, p, m * MIB, 0.0, 1) for q, p, m in ((10, 0.05, 20), (20, 0.06, 25), (40, 0.15, 35), (80, 0.4, 60))]


def test_replicas_with_nothing_a_pod_or_a_zone_lost() -> None:
    found = capacity(CURVE, Question(0.2, qps=200, zones=3), Seen(today=10.0))
    assert [(size.losing, size.replicas, size.per_pod) for size in found.sizes] == [
        ("nothing", 5, 40.0),
        ("one pod", 6, 40.0),
        ("one zone", 9, 200 / 6),
    ]
    assert found.headroom == 0.75


@given(st.floats(1, 1e5), st.floats(1, 500), st.integers(2, 6))
def test_after_the_loss_no_pod_has_more_than_it_carries(qps: float, carried: float, zones: int) -> None:
    curve = [Point(carried, 0.1, None, 0.0, 1), Point(2 * carried, 9.0, None, 0.0, 1)]
    found = capacity(curve, Question(0.2, qps=qps, zones=zones), Seen())
    for size in found.sizes:
        assert size.per_pod <= carried * (1 + 1e-6)
    zone = found.sizes[-1]
    assert zone.replicas % zones == 0
    assert zone.replicas - zone.replicas // zones >= math.ceil(qps / carried - 1e-6)


def test_a_whole_multiple_needs_no_pod_more() -> None:
    assert replicas_needed(120, 40) == 3
    assert replicas_needed(120.1, 40) == 4
    assert replicas_needed(0.1, 40) == 1


def test_connections_at_that_size_are_held_against_the_databases() -> None:
    found = capacity(CURVE, Question(0.2, qps=200, pool=20, database=110), Seen())
    assert [(size.connections, size.too_many_connections) for size in found.sizes] == [(100, False), (120, True)]


def test_a_size_for_more_than_the_service_was_ever_seen_with_is_marked() -> None:
    def marked(qps: float, highest: float | None) -> bool:
        sizes = capacity(CURVE, Question(0.2, qps=qps), Seen(highest=highest)).sizes
        return all(size.extrapolated for size in sizes)

    assert not marked(200, 200.0)
    assert marked(200, 199.0)
    assert marked(200, None)


def test_what_is_not_known_is_said() -> None:
    blind = capacity([Point(10, None, None, None, 1)], Question(qps=50), Seen())
    assert blind.sizes == []
    assert "no latency is known, so neither is what a pod carries" in blind.notes
    assert "no memory is known" in blind.notes
    least = capacity(CURVE[:3], Question(0.2), Seen())
    assert any("carries this at least" in note for note in least.notes)
    failing = capacity(CURVE, Question(0.01), Seen())
    assert any("not even the lowest load" in note for note in failing.notes)
