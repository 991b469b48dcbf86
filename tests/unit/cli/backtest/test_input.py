"""For every content of the file: a line is replayed or named, and nothing else happens."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import tempfile
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from leakwarden.cli.backtest import command as backtest
from leakwarden.cli.backtest import input as backtest_input
from leakwarden.cli.backtest.input import Recording, read
from leakwarden.cli.errors import InputUnreadable

BEGIN = 1_700_000_000
GOOD: dict[str, Any] = {
    "signal": "descriptors", "namespace": "shop", "workload": "cart", "pod": "cart-1", "uid": "u", "start": BEGIN,
    "limit": 1000, "t": [BEGIN + 30 * i for i in range(10)], "v": [100 + i for i in range(10)],
}  # fmt: skip
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def reading(content: bytes) -> Recording:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return read(file.name, lambda _: None)


def run(content: bytes, *more: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    parser = argparse.ArgumentParser()
    backtest.add_parser(parser.add_subparsers())
    out, err = io.StringIO(), io.StringIO()
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        arguments = parser.parse_args(["backtest", "--series", file.name, *more])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code: int = arguments.run(arguments)
    return code, out.getvalue(), err.getvalue()


def is_sound(recording: Recording) -> bool:
    return all(
        one.t.size == one.v.size > 0
        and np.all(np.diff(one.t) > 0)
        and np.all(np.isfinite(one.t))
        and not np.any(np.isinf(one.v))
        and (one.limit is None or 0 < one.limit < 2.0**50)
        and all(beside is None or beside.size == one.t.size for beside in (one.rate, one.gc))
        for one in recording.series
    )


numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.integers(BEGIN - 1000, BEGIN + 1000),
    st.sampled_from([0, -0.0, 1e308, -1e308, 5e-324, 2**63, 1e18, 1_700_000_000_000]),
)
scalars = st.one_of(st.none(), st.booleans(), st.text(max_size=8), numbers)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)
fields = st.sampled_from([*GOOD, "rate", "gc"])
arrays = st.one_of(st.lists(numbers, max_size=12), st.lists(st.one_of(numbers, scalars), min_size=10, max_size=10))


@relaxed
@given(st.binary(max_size=400))
@example(b"\x1f\x8b")
@example(b"\x1f\x8b\x08\x00" + b"\0" * 40)
@example(b"\n\n\n")
@example(b"\xff\xfe\x00{")
def test_any_bytes_are_lines_to_name_and_nothing_worse(content: bytes) -> None:
    found = reading(content)
    assert is_sound(found)
    assert len(found.problems) == found.skipped


@relaxed
@given(st.dictionaries(fields, st.one_of(anything, arrays), max_size=4), st.sets(fields, max_size=2))
def test_any_values_are_taken_whole_or_named(changes: dict[str, Any], without: set[str]) -> None:
    line = {key: value for key, value in {**GOOD, **changes}.items() if key not in without}
    text = json.dumps(line).encode() + b"\n" + json.dumps(GOOD).encode() + b"\n"  # NaN as Python writes it
    found = reading(text)
    assert is_sound(found)
    assert len(found.series) + found.skipped + found.empty == 2
    assert all("line 1: " in problem for problem in found.problems)
    assert found.series[-1].pod == "cart-1"


@settings(relaxed, max_examples=30)
@given(st.lists(st.dictionaries(fields, st.one_of(anything, arrays), max_size=2), min_size=1, max_size=4))
def test_whatever_is_replayed_ends_with_a_documented_exit_code_and_whole_objects(lines: list[dict[str, Any]]) -> None:
    content = b"\n".join(json.dumps({**GOOD, **changes}).encode() for changes in lines)
    code, out, err = run(content, "-o", "jsonl")
    assert code in (0, 3)
    assert (code == 3) == ("skipped" in err)
    for each in out.splitlines():
        assert set(json.loads(each)["tte"]) == {"low", "high"}
    assert run(content)[0] == code


@pytest.mark.parametrize("content", [b"no json\n", b"\x00\x01\xff", b"{}\n[]\n", b"\x1f\x8b\x08\x00damaged"])
def test_where_every_line_is_malformed_each_is_named_and_the_exit_code_is_that_of_skipped_lines(content: bytes) -> None:
    for output in ("jsonl", "table"):
        code, out, err = run(content, "-o", output)
        assert code == 3
        assert "line 1: " in err
        assert "lines were skipped" in err
        assert "Exhausting" not in out


def test_lines_without_readings_are_no_error() -> None:
    code, out, err = run(json.dumps({**GOOD, "t": [], "v": []}).encode())
    assert (code, out, err) == (0, "Nothing was replayed: there are no readings.\n", "")


def test_a_file_without_lines_is_no_recording() -> None:
    code, out, err = run(b"\n \n")
    assert (code, out) == (2, "")
    assert "no series" in err


@relaxed
@given(st.integers(0, 600))
def test_of_compressed_data_that_end_anywhere_all_whole_lines_are_kept(at: int) -> None:
    lines = [json.dumps({**GOOD, "pod": f"cart-{n}", "v": [n * i for i in range(10)]}) for n in range(30)]
    packed = gzip.compress("\n".join(lines).encode())
    cut = packed[: min(at, len(packed) - 1)]
    found = reading(cut)
    assert [one.pod for one in found.series] == [f"cart-{n}" for n in range(len(found.series))]
    # An empty input has nothing missing, and one byte is not yet recognised as compressed.
    assert found.skipped == (1 if cut else 0)


def test_compressed_members_one_after_the_other_and_padding_are_read_through() -> None:
    members = b"".join(gzip.compress(json.dumps({**GOOD, "pod": f"cart-{n}"}).encode() + b"\n") for n in range(3))
    found = reading(members + b"\0" * 512)
    assert ([one.pod for one in found.series], found.skipped) == (["cart-0", "cart-1", "cart-2"], 0)


def test_a_line_beyond_all_measure_is_named_and_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few kB may unpack to gigabytes."""
    monkeypatch.setattr(backtest_input, "LONGEST_LINE", 2**20)
    bomb = gzip.compress(b"[" * 2**27 + b"\n" + json.dumps(GOOD).encode())
    assert len(bomb) < 2**18
    tracemalloc.start()
    try:
        found = reading(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.series) == 1
    assert "line 1: longer than 1 MiB" in found.problems[0]
    assert peak < 2**24


def test_of_very_many_malformed_lines_all_are_counted_and_the_first_are_named() -> None:
    code, _, err = run(b"x\n" * 5000)
    assert code == 3
    assert len(err.splitlines()) == backtest_input.MOST_PROBLEMS + 2
    assert "and 4000 more" in err
    assert "5000 of 5000 lines were skipped" in err


def test_more_readings_than_can_be_held_are_refused_before_memory_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest_input, "MOST_READINGS", 25)
    with pytest.raises(InputUnreadable, match="replay it in parts"):
        reading(b"\n".join([json.dumps(GOOD).encode()] * 3))


@pytest.mark.parametrize("start", [1_700_000_000_000, -1e300])
def test_a_start_that_is_not_in_epoch_seconds_is_named(start: float) -> None:
    assert "start is" in reading(json.dumps({**GOOD, "start": start}).encode()).problems[0]
