"""Each clue by itself, at its threshold; and the answer where readings are missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from leakwarden.core.correlation.causes import (
    BELONGS,
    CARRIED,
    CLUES,
    LEAST_LEAD,
    LEAST_POINTS,
    MEMORY_FULL,
    RISES,
    SLOWER,
    STAYS,
    Cause,
    explain,
)
from leakwarden.core.correlation.episode import Episode, LogKind, PodReadings
from leakwarden.core.correlation.facts import (
    AFTER_START,
    BEFORE_START,
    FULL,
    HALF_WAY,
    Facts,
    facts,
)
from leakwarden.core.correlation.trouble import BAD_SHARE, LEAST_BAD, LEAST_SLOW, SLOW, trouble

NOTHING = Facts(
    bad=20, error_share=0.3, gateway_timeouts=0.5, load=None, carried=None, latency=None, dependency=None, waited=None, goroutines=None, cpu=None,
    full=None, all_read=False, climbed=None, near_starts=None, replaced=True, near_restarts=None, memory=None, start_time=None, longest_burst=600.0,
    usual_over_timeout=None, worst_over_timeout=None, own_errors=None,
)  # fmt: skip
T = 1_700_000_000.0 + 5.0 * np.arange(120, dtype=np.float64)
FLAT = np.full(120, 50.0)


def points(cause: Cause, found: Facts, logs: dict[LogKind, int] | None = None) -> int:
    return sum(clue.points for ask in CLUES[cause] if (clue := ask(found, logs or {})) is not None)


def episode(bad: slice = slice(60, 90), share: float = 0.3, code: int = 502, **known: object) -> Episode:
    errors = np.zeros(120)
    errors[bad] = share * 50
    return replace(Episode(T, FLAT, {code: errors}), **known)  # type: ignore[arg-type]


def measured(found: Episode) -> Facts:
    of = trouble(found)
    assert of is not None
    return facts(found, of)


def line(before: float, during: float) -> np.ndarray:
    values = np.full(120, before)
    values[60:90] = during
    return values


def test_without_a_fact_no_clue_speaks_for_any_cause() -> None:
    for cause in Cause:
        assert points(cause, NOTHING) <= 0
    assert explain(episode()).cause is None


def test_an_episode_needs_bad_moments() -> None:
    assert trouble(episode(share=BAD_SHARE)) is None
    assert trouble(episode(share=BAD_SHARE * 1.5)) is not None
    assert trouble(episode(bad=slice(60, 60 + LEAST_BAD - 1))) is None
    assert explain(episode(share=0.0)).happened is False


@pytest.mark.parametrize(
    ("cause", "field", "at", "below"),
    [
        (Cause.OVERLOAD, "load", RISES, RISES - 0.01),
        (Cause.OVERLOAD, "load", STAYS, STAYS - 0.01),
        (Cause.OVERLOAD, "cpu", 0.9, 0.89),
        (Cause.OVERLOAD, "cpu", 0.7, 0.69),
        (Cause.SLOW_DEPENDENCY, "dependency", SLOWER, SLOWER - 0.01),
        (Cause.EXHAUSTION, "full", 0.1, 0.09),
        (Cause.PROXY_TIMEOUT, "gateway_timeouts", 0.8, 0.79),
        (Cause.PROXY_TIMEOUT, "worst_over_timeout", 0.8, 0.79),
    ],
)
def test_a_fact_speaks_for_its_cause_from_its_threshold_on(cause: Cause, field: str, at: float, below: float) -> None:
    changes: list[dict[str, Any]] = [{field: value} for value in (at, below)]
    there, short = (replace(NOTHING, **change) for change in changes)
    assert points(cause, there) > points(cause, short)


def test_a_slow_workload_without_more_load_waits_for_something() -> None:
    slow = replace(NOTHING, latency=SLOWER, load=RISES - 0.01)
    assert points(Cause.SLOW_DEPENDENCY, slow) > points(Cause.SLOW_DEPENDENCY, replace(slow, latency=SLOWER - 0.01))
    assert points(Cause.SLOW_DEPENDENCY, slow) > points(Cause.SLOW_DEPENDENCY, replace(slow, load=RISES))
    assert points(Cause.SLOW_DEPENDENCY, replace(slow, cpu=0.69)) > points(
        Cause.SLOW_DEPENDENCY, replace(slow, cpu=0.7)
    )


def test_what_was_used_up_all_at_once_is_a_jam_and_what_climbed_is_a_leak() -> None:
    full = replace(NOTHING, full=1.0, all_read=True)
    assert points(Cause.EXHAUSTION, replace(full, climbed=0.8)) >= LEAST_POINTS
    assert points(Cause.EXHAUSTION, replace(full, climbed=0.79)) < LEAST_POINTS
    climbed = replace(full, climbed=0.8)
    for other in (Cause.SLOW_DEPENDENCY, Cause.OVERLOAD):
        assert points(other, climbed) < points(other, replace(full, climbed=0.0))


def test_a_resource_that_nobody_read_does_not_speak_against_exhaustion() -> None:
    partly = replace(NOTHING, full=0.0, all_read=False)
    assert points(Cause.EXHAUSTION, partly) == 0
    assert points(Cause.EXHAUSTION, replace(partly, all_read=True)) < 0
    assert points(Cause.EXHAUSTION, partly, {LogKind.OPEN_FILES: 1}) >= LEAST_POINTS


def test_errors_belong_to_a_rollout_where_they_fall_near_starts_more_than_chance_would_have_it() -> None:
    near = replace(NOTHING, near_starts=BELONGS, start_time=0.2)
    assert points(Cause.ROLLOUT, near) > 0
    assert points(Cause.ROLLOUT, replace(near, near_starts=BELONGS - 0.01)) < 0
    assert points(Cause.ROLLOUT, replace(near, start_time=0.5)) < points(Cause.ROLLOUT, near)
    assert points(Cause.ROLLOUT, replace(near, longest_burst=90.0)) > points(
        Cause.ROLLOUT, replace(near, longest_burst=91.0)
    )
    assert points(Cause.ROLLOUT, near, {LogKind.REFUSED: 3}) > points(Cause.ROLLOUT, near)


def test_a_proxy_that_gives_up_early_does_so_in_good_times_too() -> None:
    late = replace(NOTHING, gateway_timeouts=1.0, worst_over_timeout=1.2)
    assert points(Cause.PROXY_TIMEOUT, replace(late, usual_over_timeout=0.7)) >= LEAST_POINTS
    assert points(Cause.PROXY_TIMEOUT, replace(late, usual_over_timeout=0.69)) < LEAST_POINTS
    quick = replace(NOTHING, gateway_timeouts=1.0, latency=1.49)
    assert points(Cause.PROXY_TIMEOUT, quick) > points(Cause.PROXY_TIMEOUT, replace(quick, latency=1.5))
    assert points(Cause.PROXY_TIMEOUT, replace(quick, own_errors=0.0)) > points(Cause.PROXY_TIMEOUT, quick)


def test_a_cause_is_named_only_with_points_and_a_lead() -> None:
    slow: dict[str, Any] = {"own_p99": line(0.1, 0.5), "dependency_p99": line(0.05, 0.4)}
    found = explain(episode(**slow))
    assert found.cause is Cause.SLOW_DEPENDENCY
    assert found.points is not None
    ranked = sorted(found.points.values(), reverse=True)
    assert ranked[0] >= LEAST_POINTS
    assert ranked[0] - ranked[1] >= LEAST_LEAD
    # Twice as many requests and a slower dependency at once: neither is ahead of the other.
    pods = [PodReadings("a", cpu=line(0.5, 0.95))]
    both = replace(episode(), requests=line(50.0, 90.0), own_p99=slow["own_p99"], pods=pods)
    assert explain(both).cause is Cause.OVERLOAD
    torn = explain(replace(both, dependency_p99=line(0.05, 0.3), pods=[]))
    assert torn.points is not None
    assert torn.points[Cause.SLOW_DEPENDENCY] == torn.points[Cause.OVERLOAD]
    assert torn.cause is None
    # It spends nearly all of its time there: the crowd is not what makes it slow.
    assert explain(replace(both, dependency_p99=line(0.05, 0.4), pods=[])).cause is Cause.SLOW_DEPENDENCY


def test_what_was_not_read_is_said() -> None:
    assert "the latency of what the workload calls" in explain(episode()).unknown
    known = explain(episode(dependency_p99=line(0.05, 0.4))).unknown
    assert "the latency of what the workload calls" not in known


def test_a_resource_that_stands_still_and_jumps_has_not_climbed() -> None:
    def climbed(values: np.ndarray) -> float | None:
        found = measured(episode(pods=[PodReadings("a", descriptors=values)]))
        return found.climbed

    steady = np.minimum(1.0, np.linspace(0.1, 1.9, 120))
    jump = np.where(np.arange(120) < 58, 0.0, 1.0)
    assert climbed(steady) == pytest.approx(1.0)
    assert climbed(jump) == 0.0
    # It gains hardly anything until half-way, and then jumps.
    late = np.concatenate([np.linspace(0.1, 0.1 + 3 * HALF_WAY * FULL * 0.9, 58), np.ones(62)])
    assert climbed(late) == 0.0


def test_a_climb_is_not_joined_over_the_restart_between_two_lives() -> None:
    values = np.concatenate([np.linspace(0.1, 0.9, 46), np.full(12, 0.1), np.ones(62)])
    found = measured(episode(pods=[PodReadings("a", descriptors=values, restarts=[float(T[46])])]))
    assert found.climbed == 0.0
    assert measured(episode(pods=[PodReadings("a", descriptors=values, restarts=[float(T[52])])])).climbed is None


def test_errors_are_counted_from_before_a_start_until_after_it() -> None:
    def near(start: float) -> float | None:
        found = measured(episode(bad=slice(60, 62), pods=[PodReadings("a", starts=[start])]))
        return found.near_starts

    assert near(float(T[61]) + BEFORE_START - 5.0) == 1.0
    assert near(float(T[61]) + BEFORE_START + 0.1) == 0.0
    assert near(float(T[60]) - AFTER_START) == 0.5
    unknown = measured(episode(starts_known=False))
    assert unknown.near_starts is None


def test_slowness_without_errors_is_an_episode_where_it_lasts() -> None:
    def slow(moments: int, p99: float) -> bool:
        values = np.full(120, 0.1)
        values[60 : 60 + moments] = p99
        return explain(replace(episode(share=0.0), own_p99=values)).happened

    lasting = int(LEAST_SLOW / 5.0) + 1
    assert slow(lasting, 1.01 * SLOW)
    assert not slow(lasting - 1, 1.0)
    assert not slow(lasting, 0.99 * SLOW)
    quick = np.full(120, 0.15)
    quick[60:100] = 0.29
    assert not explain(replace(episode(share=0.0), own_p99=quick)).happened, "not twice as slow"


def test_a_slow_dependency_without_an_error_is_named() -> None:
    slow = replace(episode(share=0.0), own_p99=line(0.1, 0.9), dependency_p99=line(0.05, 0.8))
    found = explain(slow)
    assert (found.cause, found.slowness) == (Cause.SLOW_DEPENDENCY, True)


def test_errors_that_are_always_there_do_not_hide_those_that_stand_out() -> None:
    errors = np.full(120, 0.02 * 50)
    errors[60:90] = 0.4 * 50
    found = trouble(replace(episode(), errors={502: errors}))
    assert found is not None
    assert np.flatnonzero(found.bad).tolist() == list(range(60, 90))
    even = trouble(replace(episode(), errors={502: np.full(120, 0.02 * 50)}))
    assert even is not None
    assert even.bad.all()


def test_two_bursts_of_two_causes_are_both_named() -> None:
    errors = np.zeros(120)
    errors[20:24], errors[70:100] = 20.0, 20.0
    load = np.full(120, 50.0)
    load[70:100] = 90.0
    p99 = np.full(120, 0.1)
    p99[70:100] = 0.9
    pods = [PodReadings("a", cpu=np.where(load > 60, 0.97, 0.5), starts=[float(T[20])])]
    found = explain(Episode(T, load, {502: errors}, pods=pods, own_p99=p99))
    assert {found.cause, *found.also} == {Cause.OVERLOAD, Cause.ROLLOUT}


def test_a_process_that_is_killed_for_its_memory_is_exhaustion_and_one_that_crashes_is_not() -> None:
    def restarted(memory: float) -> Cause | None:
        climb = np.where(np.arange(120) < 60, np.linspace(0.2, 0.2 + 2 * (memory - 0.2), 120), 0.2)
        pods = [PodReadings("a", memory=climb, descriptors=FLAT / 1000, pool=FLAT / 1000, restarts=[float(T[60])])]
        return explain(episode(bad=slice(60, 64), pods=pods)).cause

    assert restarted(MEMORY_FULL + 0.02) is Cause.EXHAUSTION
    assert restarted(MEMORY_FULL - 0.05) is None


def test_pods_that_end_when_their_successors_are_ready_are_a_rollout_as_well() -> None:
    old = np.where(np.arange(120) < 62, 0.2, np.nan)
    new = np.where(np.arange(120) < 30, np.nan, 0.2)
    pods = [PodReadings("old", cpu=old), PodReadings("new", cpu=new, starts=[float(T[30])])]
    found = measured(episode(bad=slice(62, 66), pods=pods))
    assert found.near_starts == 1.0
    # One that ends without a successor is scaled in, and the errors may have any cause.
    assert measured(episode(bad=slice(62, 66), pods=pods[:1])).near_starts == 0.0


def test_a_load_that_was_carried_for_minutes_is_no_overload() -> None:
    more = replace(NOTHING, load=2.0)
    assert points(Cause.OVERLOAD, replace(more, carried=CARRIED)) < points(
        Cause.OVERLOAD, replace(more, carried=CARRIED - 1)
    )


def test_an_overload_without_a_busy_cpu_is_seen_by_what_it_calls() -> None:
    slower = replace(NOTHING, load=RISES, latency=SLOWER, cpu=0.3)
    assert points(Cause.OVERLOAD, replace(slower, dependency=1.0)) > points(Cause.OVERLOAD, slower)


def test_classes_of_status_codes_say_nothing_of_the_proxys_timeouts() -> None:
    found = measured(replace(episode(code=500), codes_known=False))
    assert found.gateway_timeouts is None
    assert points(Cause.PROXY_TIMEOUT, replace(NOTHING, gateway_timeouts=None)) == 0
    assert (
        "status codes, of which only classes are counted"
        in explain(replace(episode(code=500), codes_known=False)).unknown
    )


def test_a_pool_that_fills_while_what_is_called_gets_slower_is_jammed_and_does_not_leak() -> None:
    filling = np.minimum(1.0, np.linspace(0.1, 1.9, 120))
    pods = [PodReadings("a", pool=filling)]
    slower = np.linspace(0.05, 0.2, 120)
    assert measured(episode(pods=pods, dependency_p99=FLAT / 1000)).climbed == pytest.approx(1.0)
    assert measured(episode(pods=pods, dependency_p99=slower)).climbed == 0.0


def test_memory_that_is_always_nearly_full_is_not_used_up_and_memory_that_climbed_is() -> None:
    climbing = np.minimum(1.0, np.linspace(0.1, 1.9, 120))
    assert measured(episode(pods=[PodReadings("a", memory=np.full(120, 0.97))])).full is None
    assert measured(episode(pods=[PodReadings("a", memory=climbing)])).full == 1.0


def test_errors_that_the_workload_answered_itself_are_no_refused_connections() -> None:
    near = replace(NOTHING, near_starts=1.0, start_time=0.2)
    own = replace(near, own_errors=0.5 * near.error_share)
    assert points(Cause.ROLLOUT, own) < points(Cause.ROLLOUT, replace(near, own_errors=0.49 * near.error_share))


def test_pods_that_were_only_added_speak_less_for_a_rollout_than_pods_that_were_replaced() -> None:
    near = replace(NOTHING, near_starts=1.0, start_time=0.2)
    assert points(Cause.ROLLOUT, replace(near, replaced=False)) < points(Cause.ROLLOUT, near)


@pytest.mark.parametrize(
    "other",
    [{"load": RISES}, {"dependency": 1.5}, {"own_errors": 0.3}, {"worst_over_timeout": 0.9}, {"full": 1.0}],
    ids=lambda other: next(iter(other)),
)
def test_a_proxy_gives_up_too_early_where_nothing_else_is_wrong(other: dict[str, Any]) -> None:
    late = replace(
        NOTHING, gateway_timeouts=1.0, worst_over_timeout=1.5, dependency=1.0, load=1.0, own_errors=0.0, latency=3.0
    )
    assert points(Cause.PROXY_TIMEOUT, late) >= LEAST_POINTS
    assert points(Cause.PROXY_TIMEOUT, replace(late, **other)) < points(Cause.PROXY_TIMEOUT, late)


def test_log_lines_of_deadlines_speak_for_a_slow_dependency() -> None:
    assert points(Cause.SLOW_DEPENDENCY, NOTHING, {LogKind.DEADLINE: 3}) > points(Cause.SLOW_DEPENDENCY, NOTHING)
