"""Durations, amounts and budgets."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.scalars import format_duration, parse_amount, parse_duration, parse_int_or_percent


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("0s", 0),
        ("2h3m4s", 7384),
        ("1d", 86_400),
        ("2w", 1_209_600),
        ("1w1d1h", 694_800),
        ("0d", 0),
    ],
)
def test_durations_are_go_strings(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "5 m", "-5m", "1h1d", "1d1w", "d", "1.5d", "1y", "99999999999h", "m5", "5m\n", "٣m", "1h" * 20]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write it like 90s"):
        parse_duration(text)


@given(st.text(max_size=40))
def test_parsers_raise_nothing_but_value_errors(text: str) -> None:
    for parse in (parse_duration, parse_amount):
        with contextlib.suppress(ValueError):
            parse(text)


def test_an_amount_has_at_most_fifteen_digits() -> None:
    assert parse_amount("9" * 15).value == 999_999_999_999_999
    with pytest.raises(ValueError, match="is not an amount"):
        parse_amount("9" * 16)


def test_amounts_are_shares_or_numbers() -> None:
    assert parse_amount("80%").share == 0.8
    assert parse_amount("512Mi").value == 512 * 2**20
    assert parse_amount("10k").value == 10_000
    with pytest.raises(ValueError, match="at most 100%"):
        parse_amount("120%")


@pytest.mark.parametrize(("value", "of", "allowed"), [(2, 10, 2), ("25%", 10, 2), ("25%", 3, 1), ("99%", 1, 1)])
def test_a_share_of_the_replicas_is_rounded_down_but_never_to_nothing(value: int | str, of: int, allowed: int) -> None:
    assert parse_int_or_percent(value, of) == allowed


@pytest.mark.parametrize(
    ("seconds", "text"), [(12, "12s"), (125, "2m5s"), (1800, "30m"), (5400, "1h30m"), (90000, "25h")]
)
def test_durations_are_shown_as_people_say_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
