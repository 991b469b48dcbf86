"""How a watch ends: its exit code, and sentences that never call a process healthy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from leakwarden.core.watch.outcome import MOST_MISSED, Code, Outcome, sentences, traffic
from leakwarden.core.watch.scraped import Scrape
from tests.unit.watch.watch_scrapes import judged, noise, scrapes, served

LEAK = 8 + 5.0 * np.arange(60)
FLAT = 20 + noise(60)


def outcome(found: Sequence[Scrape], **changed: Any) -> Outcome:
    return Outcome(found, [judged(found)], 60.0, changed.pop("attempts", 60), **changed)


def test_a_leak_is_told_by_the_exit_code_even_where_readings_are_missing() -> None:
    found = scrapes(LEAK, requests=served(60))
    assert outcome(found).code is Code.LEAK
    assert outcome(found, missed={"no answer": 30}).code is Code.LEAK


@pytest.mark.parametrize(
    "changed",
    [
        {"missed": {"no answer within 5s": 7}},
        {"interrupted": "the process exited with code 1 after 20s"},
    ],
)
def test_without_a_leak_what_was_not_seen_is_no_success(changed: dict[str, Any]) -> None:
    found = scrapes(FLAT, requests=served(60))
    assert outcome(found).code is Code.NOTHING
    assert outcome(found, **changed).code is Code.INCOMPLETE


def test_a_few_lost_scrapes_are_said_and_do_no_harm() -> None:
    few = outcome(scrapes(FLAT), missed={"no answer within 5s": int(60 * MOST_MISSED)})
    assert few.code is Code.NOTHING
    assert "6 of 60 scrapes failed: no answer within 5s (6)" in list(sentences(few))


def test_a_suspicion_and_a_watch_that_was_too_short_are_no_success() -> None:
    assert outcome(scrapes(20 + np.floor(np.arange(60) * 9 / 59), requests=served(60))).code is Code.INCOMPLETE
    assert outcome(scrapes(FLAT[:20])).code is Code.INCOMPLETE


def test_a_page_without_a_known_metric_is_no_success() -> None:
    nothing = Outcome([Scrape(1.0, {})], [], 60.0, 60)
    assert nothing.code is Code.INCOMPLETE
    assert any("none of the metrics that Leakwarden knows" in line for line in sentences(nothing))


def test_nothing_found_is_never_called_healthy() -> None:
    for found in (scrapes(FLAT, requests=served(60)), scrapes(FLAT[:20])):
        assert "healthy" not in " ".join(sentences(outcome(found))).lower()


def test_the_traffic_says_what_it_could_have_shown() -> None:
    assert traffic(16_729).endswith("a leak of 1,000 or more per million (one request in 1,000)")
    assert "too few to show a leak" in traffic(3)
    assert "is not known" in traffic(None)
