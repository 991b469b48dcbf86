"""Before, during and after an action: the times that are compared, and the values that never count as 0."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwarden.api.v1alpha1.leakreport import VerificationStatus
from leakwarden.api.v1alpha1.outcome import MAX_ROWS, OutcomeRow, OutcomeTable
from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.api.v1alpha1.status import ActionPhase, ActionStatus
from leakwarden.core.correlation.traffic import Traffic
from leakwarden.core.episodes.outcome import AFTER, BEFORE, Times, When, queries, table, times
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.readings import Answer, NoData, Points, QueryFailed, Sampled, SeriesKey
from tests.builders import NOW

STEP = 15.0
DECIDED, SETTLED, VERIFIED = NOW - 400, NOW - 300, NOW - 240


def record(**changes: object) -> ActionStatus:
    return ActionStatus.model_validate(
        {
            "id": "a1", "type": ActionType.EVICT_POD, "workload": "api", "workloadUID": "uid-api", "signal": "descriptors",
            "phase": ActionPhase.DONE, "intendedAt": format_time(DECIDED), "verifiedAt": format_time(VERIFIED), **changes,
        }
    )  # fmt: skip


def of(now: float = NOW, since: float | None = SETTLED) -> Times:
    found = times(record(), VerificationStatus(since=format_time(since) if since else None), now, STEP)
    assert found is not None
    return found


def series(by_name: dict[str, dict[str, float]], at: Times | None = None) -> Sampled:
    """Constant values before, during and after, of those that are given."""
    at = at or of()
    found = {}
    for name, levels in by_name.items():
        t: list[float] = []
        v: list[float] = []
        for when in When:
            span = at.span(when)
            if when in levels and span is not None:
                moments = np.arange(span[0] + STEP, span[1] + 1, STEP)
                t += list(moments)
                v += [levels[when]] * moments.size
        if t:
            found[SeriesKey("shop", name)] = Points(np.array(t), np.array(v))
    return Sampled(found, {})


def made(**answers: Answer) -> OutcomeTable:
    keys = {"codes": "outcome/codes", "waits": "outcome/pool-waits"}
    return table({keys.get(name, f"outcome/{name}"): each for name, each in answers.items()}, of(), "at the proxy", NOW)


def row(found: OutcomeTable, name: str) -> OutcomeRow:
    (only,) = [each for each in found.rows if each.name == name]
    return only


def values(found: OutcomeRow) -> tuple[float | None, float | None, float | None]:
    return found.before, found.during, found.after


# Which times


def test_after_begins_when_rates_reach_back_no_further_than_all_replicas_serve() -> None:
    assert of() == Times(DECIDED - BEFORE, DECIDED, SETTLED + 4 * STEP, NOW, STEP)


def test_it_is_too_early_until_there_are_two_moments_of_after() -> None:
    held = VerificationStatus(since=format_time(VERIFIED - 5))
    ready = VERIFIED - 5 + 6 * STEP
    assert times(record(), held, ready - 1, STEP) is None
    assert times(record(), held, ready, STEP) is not None


def test_nothing_is_compared_before_the_verification_has_ended() -> None:
    assert times(record(verifiedAt=None), VerificationStatus(since=format_time(SETTLED)), NOW, STEP) is None


def test_the_times_do_not_depend_on_how_much_later_they_are_read() -> None:
    assert of(NOW + 5000) == of(NOW + 9000)
    assert of(NOW + 5000).until == VERIFIED + AFTER


def test_a_deployment_that_did_not_settle_has_no_after() -> None:
    found = of(since=None)
    assert found.span(When.AFTER) is None
    told = table({"outcome/codes": series({"200": {"before": 1.0}}, found)}, found, "", NOW)
    assert told.after is None
    assert "not all replicas served again" in row(told, "ErrorRate").missing


def test_a_verification_of_a_day_is_read_at_a_coarser_step() -> None:
    long_ago = record(intendedAt=format_time(NOW - 86_400))
    found = times(long_ago, VerificationStatus(since=format_time(SETTLED)), NOW + 5000, STEP)
    assert found is not None
    assert (found.until - found.since) / found.step <= 250


# The rows


def test_the_error_rate_is_the_share_of_5xx() -> None:
    found = made(codes=series({"200": {"before": 90, "during": 95, "after": 100},
                               "502": {"before": 10, "during": 5}}))  # fmt: skip
    assert values(row(found, "ErrorRate")) == (0.1, 0.05, 0.0)
    assert values(row(found, "HTTP 502")) == (10, 5, 0), "others were counted then, and none of these"
    assert row(found, "HTTP 502").missing == ""


def test_without_requests_there_is_no_error_rate() -> None:
    found = made(codes=series({"200": {"before": 10, "during": 0.0}}))
    assert values(row(found, "ErrorRate")) == (0.0, None, None)
    assert row(found, "ErrorRate").missing == "no requests during and after"


def test_errors_of_servers_come_first_and_what_is_too_much_is_summed_up() -> None:
    codes = {str(code): {"before": float(code)} for code in (200, 201, 204, 301, 404, 429, 502)}
    names = [each.name for each in made(codes=series(codes)).rows if each.name.startswith("HTTP")]
    assert names == ["HTTP 502", "HTTP 429", "HTTP 404", "HTTP 301", "HTTP other"]


def test_the_highest_pod_at_its_highest_moment_counts_for_descriptors() -> None:
    found = made(Descriptors=series({"api-1": {"before": 950, "after": 40}, "api-2": {"before": 50, "after": 60}}))
    assert values(row(found, "Descriptors")) == (950, None, 60)
    assert row(found, "Descriptors").missing == "no readings during"


def test_no_descriptors_at_all_are_no_reading() -> None:
    assert row(made(Descriptors=series({"api-1": {"before": 0.0}})), "Descriptors").before is None


def test_no_waits_at_all_are_a_0() -> None:
    assert row(made(waits=series({"api-1": {"before": 0.0}})), "PoolWaits").before == 0


@pytest.mark.parametrize("answer", [None, NoData("NoSeries", "none has it"), QueryFailed("Timeout", "too slow")])
def test_what_was_not_read_is_a_row_that_says_why(answer: Answer | None) -> None:
    found = made(**({"P99": answer, "codes": answer} if answer is not None else {}))
    for name in ("P99", "HTTP", "ErrorRate"):
        assert values(row(found, name)) == (None, None, None)
        assert (f"{answer.reason}: {answer.message}" if answer else "gave no answer") in row(found, name).missing  # type: ignore[union-attr]


def test_labels_that_are_no_status_code_are_left_out() -> None:
    assert [each.name for each in made(codes=series({"9" * 300: {"before": 1}, "٥٠٢": {"before": 1}})).rows][
        1
    ] == "HTTP"


WHENS = st.dictionaries(st.sampled_from(["before", "during", "after"]), st.floats(0, 1e12))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["200", "404", "429", "500", "502", "503", "504", "5xx", "x" * 300]), WHENS),
    st.dictionaries(st.sampled_from(["api-1", "api-2"]), WHENS),
)
def test_it_is_bounded_has_each_name_once_and_what_is_absent_has_a_reason(
    codes: dict[str, dict[str, float]], pods: dict[str, dict[str, float]]
) -> None:
    found = made(codes=series(codes), P50=series(pods), Goroutines=series(pods), waits=series(pods))
    names = [each.name for each in found.rows]
    assert len(names) == len(set(names)) <= MAX_ROWS
    for each in found.rows:
        assert (None in values(each)) == bool(each.missing)
    assert OutcomeTable.model_validate(json.loads(found.model_dump_json(by_alias=True))) == found
    assert len(found.model_dump_json()) < 8192


def test_seven_queries_are_asked_however_many_pods_there_are() -> None:
    assert len({each.key for each in queries(Traffic("shop", "api-.*"), STEP)}) == 7
