"""The circuit breaker, from records alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.v1alpha1.remediation_parts import CircuitBreaker
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult, ActionStatus
from leakwarden.core.model.policy import format_time
from leakwarden.core.records.circuit import open_circuit
from tests.builders import NOW, enforcing
from tests.unit.engine.engine_world import World

HOUR = 3600.0
BREAKER = CircuitBreaker(failures=3, sleep_window="6h")


def record(ago: float, result: ActionResult | None, phase: ActionPhase = ActionPhase.DONE, **more: Any) -> ActionStatus:
    at = format_time(NOW - ago)
    found = at if result not in (None, ActionResult.VERIFYING) else None
    values = {"id": f"a{ago:g}", "type": "EvictPod", "workload": "api", "workload_uid": "uid-api", "phase": phase,
              "intended_at": at, "finished_at": at, "verified_at": found, "result": result}  # fmt: skip
    return ActionStatus(**{**values, **more})


def failures(count: int, newest: float = HOUR) -> list[ActionStatus]:
    kinds = (ActionResult.INEFFECTIVE, ActionResult.INCONCLUSIVE)
    return [record(newest + n * HOUR, kinds[n % 2]) for n in range(count)]


def test_it_opens_after_so_many_failures_in_a_row_and_sleeps() -> None:
    assert open_circuit(failures(2), BREAKER, NOW) is None
    opened = open_circuit(failures(3), BREAKER, NOW)
    assert opened is not None
    assert (opened.failures, opened.until, opened.on_trial) == (3, NOW + 5 * HOUR, False)


def test_an_effective_action_among_them_begins_the_row_anew() -> None:
    between = [*failures(2), record(2.5 * HOUR, ActionResult.EFFECTIVE), record(5 * HOUR, ActionResult.INEFFECTIVE)]
    assert open_circuit(between, BREAKER, NOW) is None


@pytest.mark.parametrize(
    "neutral",
    [
        record(1.5 * HOUR, ActionResult.RECOVERED_ANYWAY),
        record(1.5 * HOUR, None, ActionPhase.BLOCKED),
        record(1.5 * HOUR, None, ActionPhase.FAILED),
    ],
)
def test_what_says_nothing_about_actions_neither_counts_nor_resets(neutral: ActionStatus) -> None:
    assert open_circuit([*failures(2), neutral], BREAKER, NOW) is None
    assert open_circuit([*failures(3), neutral], BREAKER, NOW) is not None


def test_after_the_sleep_window_one_trial_is_let_through_and_no_second_beside_it() -> None:
    slept = failures(3, newest=6 * HOUR + 1)
    assert open_circuit(slept, BREAKER, NOW) is None
    for trial in (record(60, None, ActionPhase.PENDING), record(60, ActionResult.VERIFYING)):
        under_way = open_circuit([*slept, trial], BREAKER, NOW)
        assert under_way is not None
        assert under_way.on_trial


def test_a_trial_that_failed_begins_the_window_anew_and_one_that_helped_closes_the_circuit() -> None:
    slept = failures(3, newest=7 * HOUR)
    again = open_circuit([*slept, record(60, ActionResult.INEFFECTIVE)], BREAKER, NOW)
    assert again is not None
    assert again.failures == 4
    assert again.until == NOW - 60 + 6 * HOUR
    assert open_circuit([*slept, record(60, ActionResult.EFFECTIVE)], BREAKER, NOW) is None


@given(
    st.lists(
        st.builds(
            record,
            st.floats(0, 48 * HOUR),
            st.sampled_from([None, *ActionResult]),
            st.sampled_from([ActionPhase.DONE, ActionPhase.FAILED, ActionPhase.BLOCKED]),
        ),
        max_size=8,
    ),
    st.permutations(range(8)),
)
def test_the_order_of_the_records_does_not_matter_and_few_failures_never_open_it(
    records: list[ActionStatus], order: list[int]
) -> None:
    shuffled = [records[index] for index in order if index < len(records)]
    assert open_circuit(records, BREAKER, NOW) == open_circuit(shuffled, BREAKER, NOW)
    if sum(r.result in (ActionResult.INEFFECTIVE, ActionResult.INCONCLUSIVE) for r in records) < 3:
        assert open_circuit(records, BREAKER, NOW) is None


async def test_an_open_circuit_is_a_condition_an_event_and_a_skip_and_closes_with_a_trial() -> None:
    spec = enforcing(circuitBreaker={"failures": 2, "sleepWindow": "1h"}, cooldown="10s")
    spec["source"] = {"refill": "0s"}  # an hour goes by below without a reading
    world = World(spec=spec, status={"actions": []})
    earlier = [record(100 * n, ActionResult.INEFFECTIVE, id=f"old{n}") for n in (1, 2)]
    status = {"actions": [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in earlier]}
    world = World(spec=spec, status=status)
    await world.engine.tick()
    assert world.changes() == []
    assert world.condition("Ready")[0] == "True"
    assert world.condition("Stalled") == ("True", "CircuitOpen")
    assert "CircuitOpened" in world.recorder.reasons("ReliabilityPolicy")
    skipped = world.status.workloads[0].skipped
    assert skipped is not None
    assert skipped.reasons == ["CircuitOpen"]
    world.levels(api_1=950, api_2=50, api_3=50)
    await world.later(HOUR)
    await world.later(100)
    assert world.changes() == [("evict", "uid-api-1")]
    assert all(condition.type != "Stalled" or "trial" in condition.message for condition in world.status.conditions)
