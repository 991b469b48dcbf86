"""nginx's access log as readings: by status code and time, only of the route, for every content of a line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.correlation.access_log import AccessLog, read_access_log
from leakwarden.core.model.policy import format_time
from leakwarden.core.model.readings import NoData, Sampled, SeriesKey
from tests.builders import NOW

STEP = 15.0


def line(ago: float, status: int = 200, uri: str = "/checkout/work", **more: object) -> str:
    return json.dumps({"time": format_time(NOW - ago), "uri": uri, "status": str(status), **more})


def read(*lines: str) -> AccessLog:
    return read_access_log(lines, "/checkout/", NOW - 300, NOW, step=STEP)


def rates(found: AccessLog) -> dict[str, list[float]]:
    answer = found.answers("errors", "p99", "shop", STEP)["errors"]
    assert isinstance(answer, Sampled)
    return {key.pod: list(points.v) for key, points in answer.series.items()}


def test_requests_are_counted_by_code_at_each_moment_and_a_code_that_a_moment_lacks_is_0() -> None:
    found = read(*[line(50)] * 30, *[line(50, 502)] * 15, *[line(5)] * 60)
    got = rates(found)
    assert got["200"][0] == 2.0
    assert got["502"][0] == 1.0
    assert got["200"][-1] == 4.0
    assert got["502"][-1] == 0.0


def test_other_routes_and_other_times_are_not_counted() -> None:
    found = read(line(10, uri="/checkout-2/work"), line(400), line(-10))
    assert isinstance(found.answers("errors", "p99", "shop", STEP)["errors"], NoData)


def test_the_99th_percentile_of_what_requests_took_is_known_where_the_log_has_it() -> None:
    found = read(*[line(5, request_time="0.010")] * 98, *[line(5, request_time="1.000, 2.000")] * 5)
    answer = found.answers("errors", "p99", "shop", STEP)["p99"]
    assert isinstance(answer, Sampled)
    assert answer.series[SeriesKey("shop", "proxy")].v[-1] == pytest.approx(2.0)


def test_the_combined_format_has_codes_and_no_times() -> None:
    found = read('192.0.2.1 - - [21/Sep/2026:14:13:15 +0000] "GET /checkout/work HTTP/1.1" 502 157 "-" "curl/8"')
    assert rates(found) == {"502": [1 / STEP]}
    assert isinstance(found.answers("errors", "p99", "shop", STEP)["p99"], NoData)


def test_a_time_that_kubectl_puts_before_a_line_does_no_harm() -> None:
    assert rates(read("2026-09-21T14:13:15.1Z " + line(5, 504))) == {"504": [1 / STEP]}


@pytest.mark.parametrize(
    "odd", ["", "{", "[]", "{}", '{"time":"soon","uri":"/checkout/","status":200}', line(5, 999), "\x00" * 50_000]
)
def test_what_is_no_line_of_an_access_log_is_counted_as_such(odd: str) -> None:
    found = read(odd)
    assert not found.codes
    assert found.unread == bool(odd.strip())


@pytest.mark.slow
@given(st.lists(st.text(max_size=200) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps)))
def test_no_line_breaks_the_reading(lines: list[str]) -> None:
    found = read(*lines)
    assert found.unread <= len(lines)
