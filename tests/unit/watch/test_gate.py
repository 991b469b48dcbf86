"""The cases in which a soak lets a build pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from leakwarden.core.watch.gate import MOST_FAILED, Pressed, gate_code, gate_sentences
from leakwarden.core.watch.outcome import Code, Outcome
from tests.unit.watch.watch_scrapes import judged, noise, scrapes, served

ENOUGH = Pressed(answered=4_000, failed=0, due=4_000, per_million=5_000, in_words="200: 4,000")


def outcome(leaks: bool) -> Outcome:
    line = 8 + 5.0 * np.arange(60) if leaks else 20 + noise(60)
    found = scrapes(line, requests=served(60))
    return Outcome(found, [judged(found)], 60.0, 60)


def test_it_passes_where_nothing_grows_and_the_load_could_have_shown_it() -> None:
    assert gate_code(outcome(False), ENOUGH) is Code.NOTHING


def test_too_few_requests_are_no_pass_and_it_is_said_how_many_are_needed() -> None:
    few = replace(ENOUGH, answered=3_345)
    assert gate_code(outcome(False), few) is Code.INCOMPLETE
    assert gate_code(outcome(False), replace(few, answered=few.needed)) is Code.NOTHING
    assert any(
        "a leak of 5,000 per million needs 3,346: only 3,345 were answered" in s
        for s in gate_sentences(outcome(False), few)
    )


def test_a_service_that_fails_its_requests_was_not_soaked() -> None:
    at_most = round(MOST_FAILED * ENOUGH.due)
    assert gate_code(outcome(False), replace(ENOUGH, failed=at_most)) is Code.NOTHING
    failing = replace(ENOUGH, failed=at_most + 1)
    assert gate_code(outcome(False), failing) is Code.INCOMPLETE
    assert any("201 of 4,000 requests failed" in sentence for sentence in gate_sentences(outcome(False), failing))


def test_a_leak_fails_the_build_whatever_the_load_was() -> None:
    assert gate_code(outcome(True), replace(ENOUGH, answered=10, failed=9)) is Code.LEAK


def test_refusals_do_not_count_and_are_said() -> None:
    refused = replace(ENOUGH, answered=3_000, refused=1_000, in_words="200: 3,000, 404: 1,000")
    assert gate_code(outcome(False), refused) is Code.INCOMPLETE
    assert any("1,000 of 4,000 requests were refused with a 4xx" in s for s in gate_sentences(outcome(False), refused))
    few = replace(ENOUGH, refused=round(MOST_FAILED * ENOUGH.due))
    assert not any("refused" in sentence for sentence in gate_sentences(outcome(False), few))
