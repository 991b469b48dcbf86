"""Scenarios that wait for most of their time run side by side; each stays a test of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from e2e.faults.scene import World

Scenario = Callable[[World], None]


def cases(*scenarios: Scenario) -> pytest.MarkDecorator:
    """One test per scenario, named after its function: the test's arguments are `scenario` and a fixture that ran
    `side_by_side`."""
    return pytest.mark.parametrize("scenario", scenarios, ids=[each.__name__ for each in scenarios])


@contextmanager
def side_by_side(
    request: pytest.FixtureRequest, world: World, at_once: int
) -> Iterator[Mapping[Scenario, Future[None]]]:
    """Begin all selected scenarios of the module; `result()` of each raises its error."""
    chosen: list[Scenario] = []
    for item in request.session.items:
        if getattr(item, "module", None) is request.module and hasattr(item, "callspec"):
            scenario = item.callspec.params.get("scenario")
            if scenario is not None and scenario not in chosen:
                chosen.append(scenario)
    with _pool(chosen, at_once) as pool:
        yield {scenario: pool.submit(scenario, world) for scenario in chosen}


@contextmanager
def _pool(chosen: Sequence[Scenario], at_once: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(max(1, min(at_once, len(chosen))), thread_name_prefix="scenario")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
