"""Windows of readings become one line for each process, under its workload's name."""

from __future__ import annotations

import numpy as np
import pytest

from leakwarden.cli.backtest.history import Part, RecordedHistory
from leakwarden.cli.backtest.owners import Owners, workload_of_name
from leakwarden.core.detection.recording import Series
from leakwarden.core.model.readings import Points, SeriesKey

BEGIN = 1_700_000_040.0
STEP = 60.0
APP = SeriesKey("shop", "cart-1", "app")


def times(first: int, count: int) -> np.ndarray:
    return BEGIN + STEP * np.arange(first, first + count, dtype=np.float64)


def part(first: int, count: int, limit: float | None = 100.0, uid: str = "") -> Part:
    t = times(first, count)
    nothing = np.full(count, np.nan)
    values = np.arange(count, dtype=np.float64)
    return Part(t, values, rate=nothing, gc=nothing, rss=nothing, latency=nothing, limit=limit, uid=uid)


def starts(first: int, *values: float) -> Points:
    return Points(t=times(first, len(values)), v=np.array(values))


def lines(history: RecordedHistory) -> list[Series]:
    return history.series(lambda _, pod: workload_of_name(pod))


def test_windows_of_one_life_are_one_line() -> None:
    history = RecordedHistory()
    for first in (0, 10):
        history.add("Descriptors", APP, part(first, 10))
        history.processes.learn({APP: starts(first, *[BEGIN - 5] * 10)})

    (one,) = lines(history)
    assert one.start == BEGIN - 5
    assert one.t.tolist() == times(0, 20).tolist()
    assert (one.limit, one.rate, one.gc) == (100.0, None, None)


def test_a_restart_begins_another_line_at_the_first_reading_that_has_the_new_start() -> None:
    history = RecordedHistory()
    history.add("Descriptors", APP, part(0, 10))
    history.processes.learn({APP: starts(0, *[BEGIN - 5] * 6, *[BEGIN + 330] * 4)})

    first, second = lines(history)
    assert (first.start, second.start) == (BEGIN - 5, BEGIN + 330)
    assert (first.t.size, second.t.tolist()) == (6, times(6, 4).tolist())


def test_a_machines_clock_that_is_set_restarts_nothing() -> None:
    history = RecordedHistory()
    history.add("Descriptors", APP, part(0, 9))
    history.processes.learn({APP: starts(0, *[BEGIN - 5, BEGIN - 4, BEGIN - 5] * 3)})

    (one,) = lines(history)
    assert one.start == BEGIN - 5


def test_a_start_that_is_not_scraped_for_a_while_is_carried_on() -> None:
    history = RecordedHistory()
    for first in (0, 10, 20):
        history.add("Descriptors", APP, part(first, 10))
    history.processes.learn({APP: starts(0, BEGIN - 5)})
    history.processes.learn({APP: starts(20, BEGIN - 5)})

    (one,) = lines(history)
    assert one.t.size == 30


def test_readings_from_before_the_first_start_that_was_seen_are_of_another_process() -> None:
    history = RecordedHistory()
    history.add("Descriptors", APP, part(0, 10))
    history.processes.learn({APP: starts(5, *[BEGIN + 290] * 5)})

    first, second = lines(history)
    assert (first.start, first.t.size) == (BEGIN, 5)
    assert (second.start, second.t.size) == (BEGIN + 290, 5)


def test_where_the_process_does_not_say_the_container_tells_its_start() -> None:
    history = RecordedHistory()
    history.add("WorkingSet", APP, part(0, 10))
    history.containers.learn({APP: starts(0, *[BEGIN - 9] * 5, *[BEGIN + 295] * 5)})

    assert [one.start for one in lines(history)] == [BEGIN - 9, BEGIN + 295]


def test_a_reading_that_names_no_container_has_the_latest_start_of_its_pod() -> None:
    history = RecordedHistory()
    history.add("Descriptors", APP._replace(container=""), part(0, 10))
    history.processes.learn({APP: starts(0, BEGIN - 50), APP._replace(container="proxy"): starts(0, BEGIN - 20)})

    assert [one.start for one in lines(history)] == [BEGIN - 20]


def test_without_any_start_a_life_begins_with_its_first_reading() -> None:
    history = RecordedHistory()
    history.add("Sockets", APP, part(3, 5))

    assert [one.start for one in lines(history)] == [BEGIN + 3 * STEP]


def test_a_limit_that_changes_begins_another_line_of_the_same_life() -> None:
    history = RecordedHistory()
    history.add("Heap", APP, part(0, 10, limit=100.0, uid="old"))
    history.add("Heap", APP, part(10, 10, limit=200.0, uid="new"))
    history.processes.learn({APP: starts(0, BEGIN - 5)})

    first, second = lines(history)
    assert (first.limit, second.limit) == (100.0, 200.0)
    assert (first.start, first.uid) == (second.start, second.uid) == (BEGIN - 5, "new")


def test_a_window_that_did_not_see_the_limit_has_that_of_its_neighbours() -> None:
    history = RecordedHistory()
    for first, limit in ((0, None), (10, 100.0), (20, None), (30, 100.0)):
        history.add("Heap", APP, part(first, 10, limit=limit))

    (one,) = lines(history)
    assert (one.limit, one.t.size) == (100.0, 40)


def test_containers_of_one_pod_are_told_apart_only_where_several_have_readings() -> None:
    history = RecordedHistory()
    for container in ("app", "proxy"):
        history.add("WorkingSet", APP._replace(container=container), part(0, 3))
    history.add("Descriptors", APP, part(0, 3))

    assert {(one.signal, one.pod) for one in lines(history)} == {
        ("WorkingSet", "cart-1/app"), ("WorkingSet", "cart-1/proxy"), ("Descriptors", "cart-1"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("cart-7d9f8b6c5d-x2k4z", "cart"),
        ("shop-cart-c54b4fb68-cbbkh", "shop-cart"),
        ("node-driver-x2k4z", "node-driver"),  # a DaemonSet: vowels are in no hash
        ("mysql-0", "mysql"),
        ("kafka-broker-12", "kafka-broker"),
        ("debug", "debug"),
    ],
)
def test_a_pods_name_tells_the_workload_that_it_was_made_from(pod: str, workload: str) -> None:
    assert workload_of_name(pod) == workload


def owner(kind: str, name: str, pod: str = "cart-1", **more: str) -> dict[str, str]:
    return {"namespace": "shop", "pod": pod, "owner_kind": kind, "owner_name": name, **more}


@pytest.mark.parametrize(
    ("of_pod", "workload"),
    [
        (owner("ReplicaSet", "basket-6c5d4f7b8"), "cart"),  # as the owner of its ReplicaSet is recorded
        (owner("ReplicaSet", "other-6c5d4f7b8"), "other"),  # its owner is not known: by its name
        (owner("ReplicaSet", "by-hand"), "by-hand"),
        (owner("StatefulSet", "db"), "db"),
        (owner("Node", "worker-1"), "cart"),
        (owner("<none>", "<none>"), "cart"),
        (owner("ReplicaSet", "x", owner_is_controller="false"), "cart"),
    ],
)
def test_what_kube_state_metrics_says_of_a_pod_counts_more_than_its_name(of_pod: dict[str, str], workload: str) -> None:
    owners = Owners()
    owners.learn([of_pod], [{"namespace": "shop", "replicaset": "basket-6c5d4f7b8", "owner_name": "cart"}])

    assert owners.workload("shop", "cart-1") == workload
