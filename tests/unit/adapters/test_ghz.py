"""ghz's list of requests: answers, refusals of a rate limit and failures, and requests that were never sent."""

from __future__ import annotations

import pytest

from leakwarden.adapters.ghz import GhzFailed, read_requests
from leakwarden.adapters.load import HELD_BACK, Tally

HEAD = "duration (ms),status,error"


def read(lines: list[str], number: int) -> Tally:
    tally = Tally()
    read_requests(["\n", f"{HEAD}\n", *(f"{line}\n" for line in lines)], number, tally)
    return tally


def test_answers_have_latencies_and_failures_have_none() -> None:
    tally = read(
        [
            " 10.50,OK,",
            "2.00,NotFound,rpc error: code = NotFound desc = no, such thing",
            "0.20,ResourceExhausted,rpc error: code = ResourceExhausted desc = too many calls",
            "5000.00,DeadlineExceeded,rpc error",
            "1.00,Unavailable,rpc error",
        ],
        40,
    )
    assert list(tally.seconds) == [0.0105, 0.002]
    assert tally.statuses == {"OK": 1, "NotFound": 1, "ResourceExhausted": 1}
    assert tally.failures == {"DeadlineExceeded": 1, "Unavailable": 1, HELD_BACK: 35}
    assert (tally.due, tally.answered, tally.served, tally.turned_away, tally.failed) == (40, 3, 1, 1, 37)
    assert tally.in_words().startswith("NotFound: 1, OK: 1, ResourceExhausted: 1, ")


def test_the_text_of_an_error_cannot_add_requests() -> None:
    tally = read(["1.00,Unknown,first", "of several lines", "", *["9.00,OK,"] * 500], 100)
    assert tally.failures == {"Unknown": 1}
    assert tally.due == 110


def test_ghz_may_send_a_few_more_or_less_than_it_was_told() -> None:
    for sent in (95, 100, 104):
        assert read(["9.00,OK,"] * sent, 100).statuses == {"OK": sent}
        assert not read(["9.00,OK,"] * sent, 100).failures


def test_what_is_no_list_of_requests_is_refused() -> None:
    with pytest.raises(GhzFailed, match="not the list of requests"):
        read_requests(["Summary:\n", "1.00,OK,\n"], 1, Tally())
