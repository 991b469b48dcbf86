"""A clock that is far from the API server's is detected by the answers' dates, and no action uses it."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from leakwarden.adapters.cluster.servertime import CLOCK_MAY_BE_OFF, ServerTime
from leakwarden.core.episodes.retention import LEAST_MEMORY
from leakwarden.engine.guard_context import GuardContext
from tests.builders import NOW, snapshot, workload
from tests.unit.planning.plan_world import SKEW

DAY = 86_400.0


class Clocks:
    def __init__(self) -> None:
        self.true = NOW
        self.off = 0.0
        self.server_time = ServerTime(lambda: self.true + self.off, lambda: self.true - NOW + 7)

    def heard(self) -> ServerTime:
        self.server_time.hear(formatdate(self.true, usegmt=True))
        return self.server_time


def test_what_may_be_off_is_far_less_than_what_is_remembered_and_than_what_the_limits_are_tried_with() -> None:
    assert CLOCK_MAY_BE_OFF <= SKEW < LEAST_MEMORY


@pytest.mark.parametrize("off", [0.0, 60.0, -60.0, CLOCK_MAY_BE_OFF - 2, 2 - CLOCK_MAY_BE_OFF])
def test_clocks_that_nearly_agree_are_no_trouble(off: float) -> None:
    clocks = Clocks()
    clocks.off = off
    assert clocks.heard().trouble == ""


@pytest.mark.parametrize(
    ("off", "told"),
    [(2 * DAY, "48h ahead of the API server's"), (-DAY, "24h behind the API server's"), (600.0, "10m ahead of")],
)
def test_a_clock_that_is_far_off_is_told_with_how_far_and_which_way(off: float, told: str) -> None:
    clocks = Clocks()
    clocks.off = off
    assert told in clocks.heard().trouble


def test_a_jump_is_seen_before_the_next_answer_and_time_that_passes_is_none() -> None:
    clocks = Clocks()
    clocks.heard()
    clocks.true += 3 * DAY
    assert clocks.server_time.trouble == ""
    clocks.off = 2 * DAY
    assert clocks.server_time.trouble
    clocks.off = 0.0
    assert clocks.server_time.trouble == ""


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Jan 2026 00:00:00 GMT"])
def test_an_answer_without_a_readable_date_says_nothing(date: str | None) -> None:
    clocks = Clocks()
    clocks.off = DAY
    clocks.server_time.hear(date)
    assert clocks.server_time.trouble == ""
    clocks.heard().hear(date)
    assert clocks.server_time.trouble


async def test_a_clock_that_was_ahead_when_it_began_to_lead_does_not_make_it_look_on_for_a_day() -> None:
    guard_context = GuardContext(lambda _: "", started=NOW + DAY)
    assert (await guard_context.gather([], snapshot([workload()], []), NOW)).started == NOW
    assert (await guard_context.gather([], snapshot([workload()], []), NOW + 60)).started == NOW
