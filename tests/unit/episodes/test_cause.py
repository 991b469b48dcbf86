"""The correlation's answer in a LeakReport: its words, its bounds, and that slowness alone is not called a cause."""

from __future__ import annotations

import json

import pytest

from leakwarden.api.v1alpha1.cause import CauseStatus, Confidence
from leakwarden.core.correlation.causes import Cause, Clue, Explanation, explain
from leakwarden.core.correlation.episode import Episode, LogKind
from leakwarden.core.correlation.log_lines import LogEvidence
from leakwarden.core.episodes.cause import CLEAR_LEAD, Told, cause_status, untold
from tests.bench.causes.drawing import CAUSES, episode, quiet
from tests.builders import NOW

SOME = episode(1, quiet)


def told(found: Explanation, of: Episode = SOME, **more: object) -> CauseStatus:
    return cause_status(Told(found, of, "by the workload itself", **more), NOW)  # type: ignore[arg-type]


def ahead_by(points: int) -> Explanation:
    clues = [Clue(5 + points, "it was used up"), Clue(-1, "all at once"), Clue(0, "not all was read")]
    return Explanation(True, Cause.EXHAUSTION, clues, {Cause.EXHAUSTION: 5 + points, Cause.OVERLOAD: 5}, [])


@pytest.mark.parametrize(("lead", "word"), [(CLEAR_LEAD, Confidence.CLEAR), (CLEAR_LEAD - 1, Confidence.LIKELY)])
def test_a_cause_is_called_clear_where_it_is_far_ahead(lead: int, word: Confidence) -> None:
    found = told(ahead_by(lead))
    assert (found.kind, found.confidence) == ("Exhaustion", word)
    assert found.facts == ["it was used up"], "what speaks for it, and nothing else"


@pytest.mark.parametrize("missing", [0.1, 0.6])
def test_what_is_called_clear_is_right_however_much_was_not_read(missing: float) -> None:
    called = 0
    for cause, draw in CAUSES.items():
        for seed in range(9000, 9012):
            drawn = episode(seed, draw, missing=missing)
            found = told(explain(drawn), drawn)
            called += found.confidence is Confidence.CLEAR
            assert found.confidence is not Confidence.CLEAR or found.kind == cause
    assert called >= 30


def test_what_cannot_be_told_is_unknown_with_what_speaks_against_the_likeliest() -> None:
    clues = [Clue(2, "more came"), Clue(-2, "the CPU was not busy")]
    found = told(Explanation(True, None, clues, {Cause.OVERLOAD: 0}, ["log lines of the time"]))
    assert (found.kind, found.confidence) == ("Unknown", Confidence.UNTOLD)
    assert found.facts == ["the CPU was not busy"]
    assert found.unknown == ["log lines of the time"]


def test_without_errors_and_slowness_there_is_no_cause() -> None:
    found = told(explain(SOME))
    assert (found.kind, found.confidence) == ("NoErrors", Confidence.UNTOLD)
    assert found.message == "never more than 1% of the requests failed, and it was not slow for minutes"


def test_slowness_without_errors_is_said_as_such_and_a_second_cause_is_named_beside_the_first() -> None:
    slow = told(Explanation(True, None, [], {Cause.OVERLOAD: 0}, slowness=True))
    assert slow.message.startswith("it was slow, and what was read does not tell")
    two = told(Explanation(True, Cause.OVERLOAD, [], {Cause.OVERLOAD: 6}, also=[Cause.ROLLOUT]))
    assert two.message == "clearly Overload; besides it RolloutWithoutDraining"


def test_queries_that_failed_come_first_among_what_is_not_known() -> None:
    found = told(ahead_by(3), failed=["Prometheus main: too slow"])
    assert found.unknown[0] == "Prometheus main: too slow"


def test_it_is_bounded_whatever_pods_and_logs_are_called() -> None:
    long = "\u202e" + "x" * 100_000
    logs = LogEvidence(
        dict.fromkeys(LogKind, 10**12), tuple((kind, long) for kind in LogKind for _ in range(3)), read=10**9
    )
    found = told(
        Explanation(True, Cause.OVERLOAD, [Clue(5, long)] * 50, {Cause.OVERLOAD: 5}, [long] * 50),
        logs=logs,
        logs_note=long,
        failed=[long],
    )
    text = found.model_dump_json(by_alias=True)
    assert len(text) < 16_384
    assert CauseStatus.model_validate(json.loads(text)) == found
    assert untold(long, NOW).message.isprintable()
