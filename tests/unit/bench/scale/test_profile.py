"""The profile of a tick: CPU goes to the stack that used it, waiting counts nothing, and shares add up to the whole."""

from __future__ import annotations

import threading
import time

import pytest

from tests.bench.scale import per_object, record, shares
from tests.bench.scale.profiled import Sampler


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_cpu_of_any_thread_is_put_down_to_its_stack_and_waiting_is_not() -> None:
    burn(0.2)  # before the first look: it counts nowhere
    sampler = Sampler()
    sampler.start()
    waiting = threading.Event()
    waiter = threading.Thread(target=waiting.wait)
    worker = threading.Thread(target=burn, args=(0.3,))
    waiter.start()
    worker.start()
    worker.join()
    sampler.end()
    found = sampler.take()
    waiting.set()
    waiter.join()
    burnt = sum(seconds for stack, seconds in found.items() if "test_profile:burn" in stack)
    assert 0.1 < burnt <= 0.35
    assert sum(seconds for stack, seconds in found.items() if "Event.wait" in stack) < 0.05


def test_what_was_taken_is_not_taken_again() -> None:
    sampler = Sampler()
    sampler.start()
    burn(0.05)
    sampler.end()
    sampler.take()
    assert sampler.take() == {}


STACKS = {
    "asyncio:run;leakwarden.engine.tick:Engine.tick;leakwarden.core.detection.detector:judge;numpy:sort": 3.0,
    "leakwarden.adapters.prometheus.client:_Session.request;leakwarden.adapters.prometheus.decoding:decode": 2.0,
    "leakwarden.adapters.prometheus.client:_Session.request;requests:get": 1.0,
    "asyncio:run;selectors:select": 4.0,
}


def test_the_innermost_function_of_the_operator_names_the_part() -> None:
    assert shares.by_part(STACKS) == {
        "event loop, kopf and libraries": 4.0,
        "judging growth": 3.0,
        "decoding readings": 2.0,
        "reading: requests to Prometheus": 1.0,
    }


def test_every_module_of_the_operator_belongs_to_a_part() -> None:
    assert shares.part_of("leakwarden.some.thing:new") == "the tick itself"


def test_callers_hold_the_time_of_what_they_call() -> None:
    root = shares.tree(STACKS)
    assert root.seconds == 10.0
    assert sum(each.seconds for each in root.inside.values()) == pytest.approx(10.0)
    request = root.inside["leakwarden.adapters.prometheus.client:_Session.request"]
    assert request.seconds == 3.0
    assert set(request.inside) == {"leakwarden.adapters.prometheus.decoding:decode", "requests:get"}


def test_the_mean_tick_is_shown() -> None:
    assert shares.together([{"a": 1.0}, {"a": 3.0, "b": 2.0}]) == {"a": 2.0, "b": 1.0}


def test_a_query_per_object_is_as_many_as_objects_and_signals_while_ours_do_not_grow() -> None:
    asked = {each["pods"]: each["queries"] for each in record.load(per_object.RESULTS)["sizes"]}
    ours = {each["pods"]: each["queries"] for each in record.load()["sizes"]}
    assert asked[10_000] == 10 * asked[1_000] == 12_000
    assert ours[10_000] == ours[1_000]
