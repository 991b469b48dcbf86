"""The verdict of the pressed week: each thing that must not happen is named when it happens, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.bench.scale.pressed import TickTimes
from tests.bench.scale.week_verdict import API_KILLED, COOLDOWN, Fault, Seen, faults_of, longest_unrenewed

LEAKING = frozenset({"api-7"})
POLICY = {"metadata": {"namespace": "team-0"}, "status": {"targets": {"unknown": 0}}}


def eviction(**changed: Any) -> dict[str, Any]:
    usual = {"at": 1000.0, "on_clock": 90_000.0, "namespace": "team-0", "pod": "api-7-abc-1", "workload": "api-7"}
    return {**usual, "ready": 5, "replicas": 5, **changed}


def good() -> Seen:
    """Ticks of one second, two seconds apart; one leaking pod is evicted."""
    return Seen(
        pods=100,
        interval=2.0,
        memory=[(float(t), 100e6) for t in range(100)],
        ticks=[TickTimes(3.0 * n + 1, 3.0 * n + 2) for n in range(100)],
        counts={"evictions": [eviction()], "unknown": [], "renewals": [1.0, 3.0, 5.0]},
        lease={"holderIdentity": "leakwarden-0_x", "leaseTransitions": 0},
        policies=[POLICY],
    )


def with_evictions(*evictions: dict[str, Any]) -> Seen:
    return replace(good(), counts={"evictions": evictions})


def with_a_pause(seen: Seen) -> Seen:
    return replace(seen, ticks=[*seen.ticks[:50], *(TickTimes(a + 20, b + 20) for a, b in seen.ticks[50:])])


def test_a_good_week_has_nothing_to_name() -> None:
    assert faults_of(good(), LEAKING) == []


BAD: dict[str, Callable[[], Seen]] = {
    "ended by itself with 1": lambda: replace(good(), restarts=[(50.0, 1)]),
    "no tick began for 22.0 s": lambda: with_a_pause(good()),
    "1 ticks did not end": lambda: replace(good(), ticks=[TickTimes(0.5, 0.0), *good().ticks]),
    "2 ticks failed": lambda: replace(good(), metrics={"leakwarden_tick_failures_total": 2.0}),
    "memory grew by a factor of 2.00": lambda: replace(
        good(), memory=[(float(t), 100e6 * (1 + (t >= 50))) for t in range(100)]
    ),
    "memory was not sampled": lambda: replace(good(), memory=[]),
    "the healthy pod team-0/api-8-abc-1 was evicted": lambda: with_evictions(
        eviction(workload="api-8", pod="api-8-abc-1")
    ),
    "was evicted with 4 of 5 pods ready": lambda: with_evictions(eviction(ready=4)),
    "s after another pod of api-7": lambda: with_evictions(
        eviction(), eviction(pod="api-7-abc-2", on_clock=90_000 + COOLDOWN - 1)
    ),
    "the Lease changed hands 1 times": lambda: replace(
        good(), lease={"holderIdentity": "another", "leaseTransitions": 1}
    ),
    "held by nobody": lambda: replace(good(), lease={}),
    "no answer to up": lambda: replace(good(), counts={"unknown": ["up"]}),
    "2 targets are Unknown at the end": lambda: replace(
        good(), policies=[{**POLICY, "status": {"targets": {"unknown": 2}}}]
    ),
    "None targets are Unknown at the end": lambda: replace(good(), policies=[{**POLICY, "status": {}}]),
}


@pytest.mark.parametrize("said", BAD)
def test_what_must_not_happen_is_named(said: str) -> None:
    found = faults_of(BAD[said](), LEAKING)
    assert len(found) == 1
    assert said in found[0]


def test_a_pause_while_a_source_was_away_is_no_missed_tick() -> None:
    seen = replace(with_a_pause(good()), faults=[Fault("API server killed", 150.0, 160.0)])
    assert faults_of(seen, LEAKING) == []


def test_a_pause_long_after_a_source_was_back_is_one() -> None:
    seen = replace(with_a_pause(good()), faults=[Fault("API server killed", 20.0, 30.0)])
    assert len(faults_of(seen, LEAKING)) == 1


def test_a_pod_that_somebody_else_took_away_at_that_moment_is_not_the_operators_fault() -> None:
    seen = replace(with_evictions(eviction(ready=4)), touched={"api-7": [999.0]})
    assert faults_of(seen, LEAKING) == []


def away(seconds: float) -> Seen:
    """The API server is away, and the operator ends by itself in the end; another one takes the Lease."""
    fault = Fault(API_KILLED, 100.0, 100.0 + seconds)
    lease = {"holderIdentity": "leakwarden-0_y", "leaseTransitions": 1}
    return replace(good(), faults=[fault], restarts=[(100.0 + seconds, 1)], lease=lease, deadline=40.0)


def test_a_leader_has_to_end_where_the_api_server_is_away_for_longer_than_its_lease_allows() -> None:
    assert faults_of(away(41.0), LEAKING) == []


def test_and_must_not_where_it_is_back_in_time() -> None:
    found = faults_of(away(39.0), LEAKING)
    assert [each.split(" 1")[0] for each in found] == [
        "the operator ended by itself with",
        "the Lease changed hands",
    ]


def test_the_longest_time_without_a_renewal_is_found() -> None:
    assert longest_unrenewed(replace(good(), counts={"renewals": [1.0, 3.0, 10.0, 11.0]})) == 7.0
