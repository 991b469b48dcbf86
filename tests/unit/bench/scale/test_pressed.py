"""The pressed clock, the API server's times on it, and the readings of pods that come and go."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.bench.scale.live import BASE, FULL_AFTER, LiveReadings, kind_of
from tests.bench.scale.pressed import PressedClock, stamp
from tests.bench.scale.relay import shifted
from tests.bench.scale.world import LIMIT

DAY = 86_400.0


def a_clock(directory: Path, rate: float = 1000.0) -> PressedClock:
    return PressedClock.create(directory / "clock", rate)


def test_before_it_starts_it_is_the_clock_of_the_machine(tmp_path: Path) -> None:
    clock = a_clock(tmp_path)
    clock.begin_tick()
    assert clock.offset == 0.0


def test_it_jumps_between_ticks_and_only_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 5000.0
    monkeypatch.setattr("tests.bench.scale.pressed._machine", lambda: now)
    clock = a_clock(tmp_path)
    clock.start()
    now = 5002.0
    clock.begin_tick()
    assert clock.now() == 5000.0 + 2 * 1000
    now = 5003.0
    assert clock.now() == 5000.0 + 2 * 1000 + 1  # within a tick a second is a second
    clock.end_tick()
    now = 5004.0
    clock.begin_tick()
    assert clock.now() == 5000.0 + 4 * 1000
    assert clock.at(5003.5) == 5000.0 + 2 * 1000 + 1.5  # a moment of the past keeps its time
    assert [each.ended for each in clock.ticks()] == [5003.0, 0.0]


def test_another_process_reads_the_same_time(tmp_path: Path) -> None:
    clock = a_clock(tmp_path)
    clock.start()
    time.sleep(0.01)
    clock.begin_tick()
    other = PressedClock(tmp_path / "clock")
    assert other.offset == clock.offset > 1.0


def test_the_monotonic_clock_jumps_with_it_so_that_both_differ_by_what_they_did(tmp_path: Path) -> None:
    clock = a_clock(tmp_path)
    before = clock.now() - clock.monotonic()
    clock.start()
    time.sleep(0.01)
    clock.begin_tick()
    assert clock.now() - clock.monotonic() == pytest.approx(before, abs=0.05)


def test_times_of_the_api_server_are_shown_on_the_clock_and_nothing_else_is_changed() -> None:
    pod: Any = {
        "metadata": {"name": "a", "creationTimestamp": stamp(1000), "labels": {"release": stamp(1000)}},
        "status": {"startTime": stamp(1000), "conditions": [{"lastTransitionTime": stamp(1001)}]},
    }
    told = json.loads(shifted(json.dumps(pod).encode(), "/api/v1/pods", lambda real: real + DAY))
    assert told["metadata"]["creationTimestamp"] == stamp(1000 + DAY)
    assert told["status"]["startTime"] == stamp(1000 + DAY)
    assert told["status"]["conditions"][0]["lastTransitionTime"] == stamp(1001 + DAY)
    assert told["metadata"]["labels"] == pod["metadata"]["labels"]


def test_times_that_the_operator_wrote_are_passed_as_they_are() -> None:
    policy = {
        "metadata": {"creationTimestamp": stamp(1000)},
        "status": {"conditions": [{"lastTransitionTime": stamp(5 * DAY)}]},
    }
    path = "/apis/leakwarden.dev/v1alpha1/reliabilitypolicies"
    told = json.loads(shifted(json.dumps(policy).encode(), path, lambda real: real + DAY))
    assert told["metadata"]["creationTimestamp"] == stamp(1000 + DAY)
    assert told["status"] == policy["status"]


def readings(now: float) -> LiveReadings:
    made = LiveReadings(lambda workload: workload == "leaky", lambda: now, 0.0)
    made.put("1", "team", "calm-a-b", "calm", 0.0)
    made.put("2", "team", "leaky-a-b", "leaky", 0.0)
    return made


def ask(made: LiveReadings, start: float, end: float, query: str = "process_open_fds") -> dict[str, list[list[float]]]:
    asked = {"query": query, "start": str(start), "end": str(end), "step": "60"}
    found = json.loads(made.matrix(asked))["data"]["result"]
    return {each["metric"]["pod"]: [[t, float(v)] for t, v in each["values"]] for each in found}


def test_a_leaking_pod_reaches_its_limit_in_its_time_and_a_calm_one_never_comes_near() -> None:
    made = readings(2 * DAY)
    found = ask(made, 0.0, 2 * DAY)
    assert max(v for _, v in found["calm-a-b"]) < LIMIT / 4
    reached = next(t for t, v in found["leaky-a-b"] if v >= LIMIT)
    # The load adds to the leak, so that the limit may be reached a little earlier.
    assert FULL_AFTER[0] * 3600 * (1 - 2 * BASE / LIMIT) <= reached <= FULL_AFTER[1] * 3600


def test_nothing_is_sampled_while_the_server_is_stopped_nor_after_now() -> None:
    made = readings(7200.0)
    made.gaps.append((1800.0, 3600.0))
    times = [t for t, _ in ask(made, 0.0, DAY)["calm-a-b"]]
    assert max(times) == 7200.0
    assert not [t for t in times if 1800.0 <= t <= 3600.0]


def test_a_pod_has_readings_from_its_start_to_its_end_only() -> None:
    made = LiveReadings(lambda _: False, lambda: 5000.0, 0.0)
    made.put("1", "team", "young", "calm", 3000.0)
    made.drop("1")
    assert [ask(made, 0.0, 9000.0)["young"][place][0] for place in (0, -1)] == [3000.0, 4980.0]
    assert json.loads(made.vector({"query": "process_max_fds", "time": "4000"}))["data"]["result"] == []


def test_a_query_that_is_not_played_is_refused_and_not_answered_with_nothing() -> None:
    with pytest.raises(LookupError):
        kind_of("up")
