"""The demo's input: nginx's log in overlapping pieces, and the objects of a namespace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from e2e.demo.access import AccessLog, Codes, error_rate, errors
from e2e.demo.observation import observation


def logged(second: int, status: int, identity: str, location: str = "leaky") -> str:
    entry = {
        "time": f"2026-01-02T03:04:{second:02d}+00:00",
        "uri": f"/{location}/work",
        "status": str(status),
        "request_id": identity,
    }
    return json.dumps(entry) + "\n"


def test_a_line_that_is_read_twice_counts_once() -> None:
    log = AccessLog()
    log.add(logged(1, 200, "a") + logged(1, 502, "b"))
    answers = log.add(logged(1, 502, "b") + logged(2, 502, "c"))
    assert answers.codes("leaky") == {200: 1, 502: 2}


def test_the_next_piece_is_asked_for_from_the_newest_line_on() -> None:
    log = AccessLog()
    assert log.since == ""
    log.add(logged(7, 200, "a") + logged(5, 200, "b"))
    assert log.since == "2026-01-02T03:04:07+00:00"


def test_the_last_seconds_leave_out_the_one_that_is_still_being_written() -> None:
    answers = AccessLog().add("".join(logged(second, 200 + second, str(second)) for second in range(10)))
    assert answers.codes("leaky", 3) == {206: 1, 207: 1, 208: 1}


def test_a_moment_does_not_change_when_the_log_goes_on() -> None:
    log = AccessLog()
    moment = log.add(logged(1, 200, "a"))
    log.add(logged(1, 502, "b"))
    assert moment.codes("leaky") == {200: 1}


def test_locations_are_told_apart_by_their_whole_name() -> None:
    answers = AccessLog().add(logged(1, 200, "a", "leaky") + logged(1, 502, "b", "leaky-fixed"))
    assert answers.codes("leaky") == {200: 1}
    assert answers.codes("leaky-fixed") == {502: 1}


@pytest.mark.parametrize(
    "text",
    [
        "plain text\n",
        '{"time": "yesterday", "uri": "/leaky/", "status": "200", "request_id": "a"}\n',
        '{"time": "2026-01-02T03:04:05+00:00", "uri": "/leaky/", "status": "-", "request_id": "a"}\n',
        '{"time": "2026-01-02T03:04:05+00:00", "uri": "/leaky/", "status": "200"}\n',
        logged(1, 200, "a")[:-9],
    ],
)
def test_what_is_no_line_of_the_log_is_not_counted(text: str) -> None:
    assert AccessLog().add(text).codes("leaky") == {}


def test_errors_are_those_that_users_cannot_help() -> None:
    codes = Codes({200: 6, 404: 2, 502: 1, 504: 1})
    assert errors(codes) == 2
    assert error_rate(codes) == pytest.approx(0.2)
    assert error_rate(Codes()) is None


def pod(name: str, created: str, *, leaving: bool = False, ready: bool = True, restarts: int = 0) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"uid-{name}", "creationTimestamp": created, "labels": {"app": "leaky"}}
    if leaving:
        metadata["deletionTimestamp"] = created
    status = {"containerStatuses": [{"ready": ready, "restartCount": restarts}]}
    return {"kind": "Pod", "metadata": metadata, "status": status}


def event(reason: str, at: str, *, on: str = "Deployment", related: str = "", by: str = "leakwarden.dev/operator",
          count: int = 0) -> dict[str, Any]:  # fmt: skip
    made: dict[str, Any] = {
        "kind": "Event",
        "metadata": {"uid": reason, "creationTimestamp": at},
        "eventTime": at,
        "reason": reason,
        "note": f"note of {reason}",
        "type": "Warning",
        "reportingController": by,
        "regarding": {"kind": on, "name": "leaky"},
    }
    if related:
        made["related"] = {"kind": related, "name": "leaky"}
    if count:
        made["series"] = {"count": count, "lastObservedTime": at}
    return made


def seen(items: Sequence[dict[str, Any]], series: Sequence[tuple[dict[str, str], float]] = ()) -> Any:
    return observation(items, series, "p", ["leaky"])


def test_the_replacement_is_shown_and_not_the_pod_on_its_way_out() -> None:
    items = [
        pod("old", "2026-01-02T03:04:05Z", leaving=True),
        pod("new", "2026-01-02T03:05:05Z", ready=False, restarts=2),
    ]
    levels = [({"__name__": "process_open_fds", "pod": "old"}, 199.0)]
    state = seen(items, levels).state("leaky")
    assert (state.pod.name, state.pod.ready, state.pod.restarts) == ("new", False, 2)
    assert state.levels.share is None


def test_levels_belong_to_their_pod() -> None:
    levels = [
        ({"__name__": "process_open_fds", "pod": "a"}, 50.0),
        ({"__name__": "process_max_fds", "pod": "a"}, 200.0),
        ({"__name__": "go_goroutines", "pod": "other"}, 9.0),
    ]
    state = seen([pod("a", "2026-01-02T03:04:05Z")], levels).state("leaky")
    assert state.levels.share == pytest.approx(0.25)
    assert state.levels.goroutines is None


def test_nothing_there_is_nothing_and_no_error() -> None:
    empty = seen([])
    assert empty.state("leaky").pod is None
    assert empty.state("leaky").verdict == ""
    assert list(empty.told) == []
    assert empty.actions_on("leaky") == []


def test_only_the_operators_events_are_told_in_order_and_once() -> None:
    told = seen(
        [
            event("PodEvicted", "2026-01-02T03:04:09Z"),
            event("PodEvicted", "2026-01-02T03:04:09Z", on="ReliabilityPolicy", related="Deployment"),
            event("LeakSuspected", "2026-01-02T03:04:05Z"),
            event("SignalsUnavailable", "2026-01-02T03:04:01Z", on="ReliabilityPolicy"),
            event("Scheduled", "2026-01-02T03:04:02Z", by="default-scheduler"),
        ]
    ).told
    assert [each.reason for each in told] == ["SignalsUnavailable", "LeakSuspected", "PodEvicted"]


def test_an_event_that_happens_again_is_told_again() -> None:
    first = seen([event("WouldAct", "2026-01-02T03:04:05Z")]).told[0]
    again = seen([event("WouldAct", "2026-01-02T03:09:05Z", count=2)]).told[0]
    assert first.key != again.key


def test_mode_verdict_and_records_come_from_the_policy_that_is_asked_for() -> None:
    mine = {
        "kind": "ReliabilityPolicy",
        "metadata": {"name": "p"},
        "spec": {"mode": "Enforce"},
        "status": {
            "workloads": [{"name": "leaky", "verdict": "Exhausting"}],
            "actions": [{"workload": "leaky", "type": "EvictPod"}, {"workload": "another", "type": "EvictPod"}],
        },
    }
    other = {"kind": "ReliabilityPolicy", "metadata": {"name": "q"}, "spec": {"mode": "Observe"}}
    found = seen([other, mine])
    assert found.mode == "Enforce"
    assert found.state("leaky").verdict == "Exhausting"
    assert len(found.actions_on("leaky")) == 1
