"""`leakwarden backtest`, from the file to the exit code."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leakwarden.cli.backtest import command as backtest
from leakwarden.cli.backtest import run as backtest_run
from leakwarden.cli.backtest.output import table
from leakwarden.cli.backtest.policy import rules_of
from leakwarden.cli.errors import Unreplayable
from leakwarden.core.detection.detector import EXHAUSTING, HEALTHY, LEAKING, UNKNOWN
from leakwarden.core.detection.recording import Series
from leakwarden.core.detection.replay import Change

pytestmark = pytest.mark.slow

BEGIN = 1_700_000_000


def line(**changes: Any) -> dict[str, Any]:
    """The line of a descriptor leak that reaches its limit after an hour."""
    whole = {
        "signal": "descriptors",
        "namespace": "shop",
        "workload": "cart",
        "pod": "cart-1",
        "uid": "uid-1",
        "start": BEGIN - 3,
        "limit": 1000,
        "t": [BEGIN + 30 * i for i in range(121)],
        "v": [200 + 800 * i // 120 for i in range(121)],
    }
    return {**whole, **changes}


def write(path: Path, *lines: Any) -> str:
    text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    backtest.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["backtest", *arguments])
    code: int = parsed.run(parsed)
    return code


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(one) for one in text.splitlines()]


def test_every_change_of_verdict_is_one_object_with_exactly_the_documented_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--series", write(tmp_path / "a.jsonl", line()), "-o", "jsonl") == 0

    found = objects(capsys.readouterr().out)
    assert all(
        list(one) == ["time", "namespace", "workload", "pod", "uid", "signal", "verdict", "reason", "because", "tte"]
        for one in found
    )
    assert all(set(one["tte"]) == {"low", "high"} for one in found)
    assert next(one["verdict"] for one in found) == "Unknown"
    acting = next(one for one in found if one["verdict"] == "Exhausting")
    left = BEGIN + 3600 - acting["time"]
    assert left >= 300
    assert acting["tte"]["low"] - 60 <= left <= acting["tte"]["high"] + 60


def test_changes_come_in_the_order_of_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    later = line(pod="cart-2", uid="uid-2", t=[BEGIN + 7200 + 30 * i for i in range(121)])
    run("--series", write(tmp_path / "a.jsonl", later, line()), "-o", "jsonl")

    times = [one["time"] for one in objects(capsys.readouterr().out)]
    assert times == sorted(times)


def test_times_of_fractions_of_a_second_are_written_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = [BEGIN + 30 * i + 0.125 for i in range(121)]
    assert run("--series", write(tmp_path / "a.jsonl", line(t=moments)), "-o", "jsonl") == 0
    assert {one["time"] % 1 for one in objects(capsys.readouterr().out)} == {0.125}


def test_an_interval_of_fractions_of_a_second_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--series", write(tmp_path / "a.jsonl", line()), "-o", "jsonl", "--interval", "12s500ms") == 0
    assert objects(capsys.readouterr().out)


def test_gzip_is_recognised_by_its_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--series", write(tmp_path / "a.jsonl", line()), "-o", "jsonl")
    plain = capsys.readouterr().out
    packed = write(tmp_path / "b.gz", line())
    Path(packed).rename(tmp_path / "b.jsonl")
    run("--series", str(tmp_path / "b.jsonl"), "-o", "jsonl")

    assert capsys.readouterr().out == plain


@pytest.mark.parametrize("output", ["jsonl", "table"])
def test_the_order_of_lines_changes_no_byte_of_what_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    """All begin at one moment and leak in the same way, so that their changes come at the same moments."""
    lines = [line(pod=f"cart-{pod}", uid=f"uid-{pod}", signal=signal) for pod in "123" for signal in ("fds", "pool")]
    lines.append(line(limit=2000))  # only its limit differs from the first
    shown = set()
    for turn in (0, 3, 5):
        run("--series", write(tmp_path / "a.jsonl", *lines[turn:], *reversed(lines[:turn])), "-o", output)
        shown.add(capsys.readouterr().out)

    assert len(shown) == 1


def test_unsorted_and_repeated_times_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--series", write(tmp_path / "a.jsonl", line()), "-o", "jsonl")
    plain = capsys.readouterr().out
    whole = line()
    pairs = [*zip(whole["t"], whole["v"], strict=True), (whole["t"][7], None), (whole["t"][9], whole["v"][9])]
    mixed = line(t=[t for t, _ in reversed(pairs)], v=[v for _, v in reversed(pairs)])
    run("--series", write(tmp_path / "b.jsonl", mixed), "-o", "jsonl")

    assert capsys.readouterr().out == plain


def test_a_restarted_process_is_another_line_and_is_judged_for_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = line(start=BEGIN + 3610, t=[BEGIN + 3630 + 30 * i for i in range(121)], v=[150] * 121)
    run("--series", write(tmp_path / "a.jsonl", line(), again), "-o", "jsonl")

    after = [one for one in objects(capsys.readouterr().out) if one["time"] >= BEGIN + 3630]
    assert {one["verdict"] for one in after if one["reason"] != "Stale"} <= {"Unknown", "Healthy"}


@pytest.mark.parametrize(
    "bad",
    [
        "not json",
        "[]",
        '{"signal": "descriptors"}',
        json.dumps(line(v=[1])),
        json.dumps(line(rate=[1.0])),
        json.dumps(line(limit="many")),
        json.dumps(line(v=["1"] * 121)),
        json.dumps(line(pod="")),
        json.dumps(line()).replace("1000", "NaN"),
        json.dumps(line(v=[float("inf")] * 121)),
        json.dumps(line(v=[1e300] * 121)),
        json.dumps(line(limit=1e-300)),
        json.dumps(line(t=[1e300 + i for i in range(121)])),
        json.dumps(line(t=[1000 * (BEGIN + 30 * i) for i in range(121)])),
        json.dumps(line(rate=[-1.0] * 121)),
        json.dumps(line(gc=[-1] * 121)),
        json.dumps(line(v=[True] * 121)),
        json.dumps(line(start="1700000000")),
        json.dumps({key: value for key, value in line().items() if key != "uid"}),
        json.dumps(line())[:-1] + ', "more": ' + "[" * 100_000 + "]" * 100_000 + "}",
        json.dumps(line(pod="\ud800")),
    ],
)
def test_a_malformed_line_is_named_by_number_and_skipped_and_the_exit_code_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    code = run("--series", write(tmp_path / "a.jsonl", line(), "", bad, line(pod="cart-2", uid="uid-2")), "-o", "jsonl")

    shown = capsys.readouterr()
    assert code == 3
    assert "line 3" in shown.err
    assert {one["pod"] for one in objects(shown.out)} == {"cart-1", "cart-2"}


def test_milliseconds_are_named_and_not_taken_for_a_far_future(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = line(t=[1000 * (BEGIN + 30 * i) for i in range(121)])
    run("--series", write(tmp_path / "a.jsonl", line(), late))

    assert f"line 2: t[0] is {1000 * BEGIN}; epoch seconds are allowed" in capsys.readouterr().err


def test_a_byte_order_mark_and_line_ends_of_windows_do_no_harm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(line()).encode() + b"\r\n")

    assert run("--series", str(tmp_path / "a.jsonl"), "-o", "jsonl") == 0
    assert objects(capsys.readouterr().out)


@pytest.mark.parametrize("limit", [None, 0, -1, 2**63, 1.8e19])
def test_what_is_no_limit_is_judged_by_the_past_and_never_exhausted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: float | None
) -> None:
    """Container runtimes write "unlimited" as a number near 2^63, kubelets as 0."""
    assert run("--series", write(tmp_path / "a.jsonl", line(limit=limit)), "-o", "jsonl") == 0

    found = objects(capsys.readouterr().out)
    assert "Exhausting" not in {one["verdict"] for one in found}
    assert {one["tte"]["low"] for one in found} == {None}


def test_of_a_series_without_a_single_reading_nothing_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = line(pod="cart-2", uid="uid-2", v=[None] * 121)
    empty = line(pod="cart-3", uid="uid-3", t=[], v=[])
    assert run("--series", write(tmp_path / "a.jsonl", silent, empty, line()), "-o", "jsonl") == 0
    told = [one for one in objects(capsys.readouterr().out) if one["pod"] != "cart-1"]
    assert [(one["pod"], one["verdict"], one["reason"]) for one in told] == [("cart-2", "Unknown", "NoSeries")]

    assert run("--series", write(tmp_path / "b.jsonl", silent)) == 0
    assert "Unknown 1, Healthy 0" in capsys.readouterr().out


@pytest.mark.parametrize(("signal", "verdict"), [("descriptors", "Unknown"), ("heap", "Unknown"), ("pool", "Healthy")])
def test_a_constant_zero_is_not_measured_unless_it_is_an_idle_pool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], signal: str, verdict: str
) -> None:
    run("--series", write(tmp_path / "a.jsonl", line(signal=signal, v=[0] * 121)), "-o", "jsonl")

    found = [one for one in objects(capsys.readouterr().out) if one["reason"] != "Stale"]
    assert found[-1]["verdict"] == verdict
    assert ("ConstantZero" in {one["reason"] for one in found}) == (verdict == "Unknown")


def test_names_drive_no_terminal_and_break_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from xml.etree import ElementTree

    recording = write(tmp_path / "a.jsonl", line(pod="cart\x1b[31m\x00<&>\n", signal="f\u00fcnf"))
    assert run("--series", recording, "--picture", str(tmp_path / "a.svg")) == 0

    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "f\u00fcnf" in shown
    ElementTree.parse(tmp_path / "a.svg")


def test_a_file_that_ends_in_the_middle_is_replayed_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import random

    noise = random.Random(3)
    lines = [
        json.dumps(line(pod=f"p{i}", uid=f"u{i}", v=[noise.random() * 300 for _ in range(121)])) for i in range(40)
    ]
    packed = gzip.compress("\n".join(lines).encode())
    (tmp_path / "a.gz").write_bytes(packed[: len(packed) // 2])

    assert run("--series", str(tmp_path / "a.gz"), "-o", "jsonl") == 3
    shown = capsys.readouterr()
    assert "end in the middle" in shown.err
    assert objects(shown.out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--series", "/nonexistent.jsonl"),
        ("--series", "GOOD", "--interval", "soon"),
        ("--series", "GOOD", "--interval", "10ms"),
        ("--series", "GOOD", "--policy", "/nonexistent.yaml"),
        ("--series", "GOOD", "--picture", "week.png"),
        ("--series", "GOOD", "--picture", "/nonexistent/week.svg"),
        ("--series", "EMPTY"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    names = {"GOOD": write(tmp_path / "a.jsonl", line()), "EMPTY": write(tmp_path / "b.jsonl", "")}

    assert run(*(names.get(argument, argument) for argument in arguments)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1


def test_an_interval_that_is_none_is_named_with_its_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--series", write(tmp_path / "a.jsonl", line()), "--interval", "soon") == 2
    assert "--interval is 'soon'; write it like 30s" in capsys.readouterr().err


def test_standard_input_is_read_where_the_file_is_a_dash(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = io.TextIOWrapper(io.BufferedReader(io.BytesIO((json.dumps(line()) + "\n").encode())))
    monkeypatch.setattr(sys, "stdin", data)

    assert run("--series", "-") == 0
    assert "Exhausting 1" in capsys.readouterr().out


def test_the_table_shows_when_and_how_a_pod_leaked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    healthy = line(pod="web-1", workload="web", uid="w", v=[100] * 121)
    assert run("--series", write(tmp_path / "a.jsonl", line(), healthy)) == 0

    shown = capsys.readouterr().out
    assert "shop/cart-1 descriptors" in shown
    assert "Exhausting (ExhaustsSoon)" in shown
    assert "web-1" not in shown


def test_a_day_of_readings_is_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = line(t=[BEGIN + 60 * i for i in range(1440)], v=[100] * 1440)
    run("--series", write(tmp_path / "a.jsonl", day))

    assert " UTC (24h)\n" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [None, "80", "200", "10"])
def test_the_table_fits_a_terminal_and_has_no_colour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str | None
) -> None:
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    run("--series", write(tmp_path / "a.jsonl", line(), line(pod="cart-2", uid="u", v=[100] * 121)))

    shown = capsys.readouterr().out
    width = {"10": 60, "200": 120}.get(columns or "80", 80)
    timelines = [len(one) for one in shown.splitlines() if one.endswith("EEE")]
    assert timelines == [width]
    assert all(one.isprintable() for one in shown.splitlines())
    if width == 80:
        assert max(len(one) for one in shown.splitlines()) == 80


@pytest.mark.parametrize("every", [300, 600])
def test_a_recording_coarser_than_the_operator_reads_is_judged_at_its_own_pace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], every: int
) -> None:
    coarse = line(t=[BEGIN + every * i for i in range(200)], v=[100 + 9 * i // 2 for i in range(200)])
    run("--series", write(tmp_path / "a.jsonl", coarse), "-o", "jsonl", "--interval", "2m")

    found = [one for one in objects(capsys.readouterr().out) if one["time"] <= coarse["t"][-1]]
    assert "Exhausting" in {one["verdict"] for one in found}
    assert "Stale" not in {one["reason"] for one in found}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_what_is_recorded_later_and_finer_changes_nothing_of_what_was_said_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float
) -> None:
    moments = [*range(BEGIN, BEGIN + 36_000, 300), *range(BEGIN + 36_000, BEGIN + 72_000, 30)]
    values = [100 + 880 * (t - BEGIN) // 72_000 for t in moments]
    until = BEGIN + 72_000 * share
    short = sum(1 for t in moments if t <= until)
    shown = []
    for name, many in (("whole", len(moments)), ("cut", short)):
        one = write(tmp_path / name, line(t=moments[:many], v=values[:many]))
        run("--series", one, "-o", "jsonl")
        shown.append([each for each in objects(capsys.readouterr().out) if each["time"] <= until])

    assert shown[0] == shown[1] != []


@pytest.mark.parametrize("apart", [100_000_000, 250_000_000_000])
def test_readings_that_lie_years_apart_are_judged_each_for_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], apart: int
) -> None:
    assert run("--series", write(tmp_path / "a.jsonl", line(t=[BEGIN, BEGIN + apart], v=[1, 2])), "-o", "jsonl") == 0

    assert [(one["time"], one["verdict"]) for one in objects(capsys.readouterr().out)] == [(BEGIN, "Unknown")]


def test_a_leak_is_told_once_however_often_its_readings_are_missing() -> None:
    t = BEGIN + 60.0 * np.arange(600, dtype=np.float64)
    one = Series("descriptors", "shop", "cart", "cart-1", "u", BEGIN - 5.0, 1000.0, t, np.full(600, 500.0))
    codes = [UNKNOWN, HEALTHY, LEAKING, UNKNOWN, LEAKING, UNKNOWN, LEAKING, EXHAUSTING]
    changes = [(0, Change(BEGIN + 60.0 * n, 0, code, "Told", np.inf, np.inf)) for n, code in enumerate(codes)]

    shown = table([one], changes, rules_of(None))

    assert (shown.count("Leaking (Told)"), shown.count("Exhausting (Told)")) == (1, 1)


def test_a_process_that_is_followed_by_another_of_its_pod_is_not_stale_but_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = line(start=BEGIN + 3610, t=[BEGIN + 3630 + 30 * i for i in range(121)], v=[150] * 121)
    run("--series", write(tmp_path / "a.jsonl", line(), again), "-o", "jsonl")

    stale = [one["time"] for one in objects(capsys.readouterr().out) if one["reason"] == "Stale"]
    assert stale == [BEGIN + 3630 + 3600 + 150], "only when the second has ended as well"


def test_the_picture_is_an_svg_with_every_suspicious_process(tmp_path: Path) -> None:
    run("--series", write(tmp_path / "a.jsonl", line()), "--picture", str(tmp_path / "a.svg"))

    drawn = (tmp_path / "a.svg").read_text()
    assert drawn.startswith("<svg")
    assert "shop/cart-1" in drawn


POLICY = """\
apiVersion: leakwarden.dev/v1alpha1
kind: ReliabilityPolicy
metadata: {name: calm, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  mode: Enforce
  signals:
    - {name: descriptors, type: Descriptors, growth: {exhaustsWithin: 1m}}
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (POLICY + "---\n" + POLICY, "holds 2 ReliabilityPolicy or ClusterReliabilityPolicy objects"),
        ("kind: ConfigMap\n", "holds 0 ReliabilityPolicy or ClusterReliabilityPolicy objects"),
        (POLICY.replace("v1alpha1", "v9"), "apiVersion is 'leakwarden.dev/v9'"),
        (POLICY.replace("type: Descriptors", "type: Nope"), "spec.signals[0].type is 'Nope'"),
        (POLICY.replace("1m", "soon"), "spec.signals[0].growth.exhaustsWithin is 'soon'"),
        (POLICY.rpartition("spec:")[0] + "spec: 7\n", "spec is '7'"),
        ("a: " + "[" * 20_000, "nested too deeply"),
        ("a: !!timestamp 2026-99-99\n", "holds 0 ReliabilityPolicy or ClusterReliabilityPolicy objects"),
        ("a: [\n", "(line 2): not valid YAML"),
        ("a: \x00\n", "not valid YAML"),
    ],
)
def test_a_policy_that_cannot_be_used_is_one_line_that_names_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(text)

    assert run("--series", write(tmp_path / "a.jsonl", line()), "--policy", str(policy)) == 2
    shown = capsys.readouterr()
    assert (shown.out, len(shown.err.splitlines())) == ("", 1)
    assert says in shown.err


def test_a_policy_is_found_among_other_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "all.yaml"
    policy.write_text("kind: ConfigMap\n---\n---\n" + POLICY + "---\n- a list\n")

    assert run("--series", write(tmp_path / "a.jsonl", line()), "--policy", str(policy)) == 0
    assert "would have acted" in capsys.readouterr().out


def test_a_policy_decides_how_soon_exhaustion_must_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    recording = write(tmp_path / "a.jsonl", line())

    def first(*more: str) -> float:
        run("--series", recording, "-o", "jsonl", *more)
        return next(float(one["time"]) for one in objects(capsys.readouterr().out) if one["verdict"] == "Exhausting")

    assert first("--policy", str(policy)) > first()


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        ("{name: descriptors, type: Descriptors}", "would have acted"),
        ("{name: fds, type: Descriptors, role: Supporting}", "only reported, its role is Supporting"),
        ("{name: fds, type: Descriptors, role: Leak}", "would have acted"),
    ],
)
def test_only_a_signal_with_the_role_leak_would_have_acted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], signal: str, said: str
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY.rpartition("    - ")[0] + f"    - {signal}\n    - {{name: heap, type: Heap}}\n")
    run("--series", write(tmp_path / "a.jsonl", line()), "--policy", str(policy))

    assert f" {said}\n" in capsys.readouterr().out


def test_without_a_policy_memory_of_the_container_is_only_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leak = line(signal="WorkingSet")
    run("--series", write(tmp_path / "a.jsonl", {**leak, "rss": leak["v"]}))

    assert " only reported, its role is Supporting\n" in capsys.readouterr().out


def test_a_working_set_without_its_rss_may_be_page_cache_and_is_not_acted_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--series", write(tmp_path / "a.jsonl", line(signal="WorkingSet")))

    shown = capsys.readouterr().out
    assert "Exhausting 0, Leaking 1" in shown
    assert "MayBePageCache" in shown


def test_signals_that_the_policy_does_not_name_are_left_out_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    run("--series", write(tmp_path / "a.jsonl", line(), line(signal="heap")), "-o", "jsonl", "--policy", str(policy))

    shown = capsys.readouterr()
    assert {one["signal"] for one in objects(shown.out)} == {"descriptors"}
    assert "heap" in shown.err


@pytest.mark.parametrize("signal", ["HTTPErrors", "http_errors", "LatencyP99", "p99"])
def test_without_a_policy_a_symptom_is_never_a_leak_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], signal: str
) -> None:
    rising = [i / 121 for i in range(121)]
    assert run("--series", write(tmp_path / "a.jsonl", line(signal=signal, limit=1, v=rising)), "-o", "jsonl") == 0

    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"from symptoms alone nothing follows: {signal}: left out" in shown.err


def test_a_policy_of_another_namespace_judges_the_recording_all_the_same_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {}
    for namespace in ("shop", "elsewhere"):
        policy = tmp_path / f"{namespace}.yaml"
        policy.write_text(
            POLICY.replace("exhaustsWithin: 1m", "exhaustsWithin: 1h").replace(": shop", f": {namespace}")
        )
        assert run("--series", write(tmp_path / "a.jsonl", line()), "--policy", str(policy), "-o", "jsonl") == 0
        shown = capsys.readouterr()
        said[namespace] = shown.err
        assert "Exhausting" in shown.out

    assert "is of namespace" not in said["shop"]
    assert "calm does not see" in said["shop"]
    assert "calm is of namespace elsewhere; what is recorded of shop is judged as if it were in it" in said["elsewhere"]


@pytest.mark.parametrize("jobs", ["2", "4"])
def test_several_processes_find_what_one_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, jobs: str
) -> None:
    """Also for signals that begin at different moments: the output must not depend on the number of processors."""
    lines = [line(workload=f"w{i}", pod=f"w{i}-1") for i in range(3)]
    lines += [{**one, "signal": "heap", "t": [t + 17 for t in one["t"]]} for one in lines]
    recording = write(tmp_path / "a.jsonl", *lines)
    run("--series", recording, "-o", "jsonl", "--jobs", "1")
    alone = capsys.readouterr().out
    monkeypatch.setattr(backtest_run, "_WORTH_IT", 0)
    run("--series", recording, "-o", "jsonl", "--jobs", jobs)

    assert capsys.readouterr().out == alone


def test_a_process_of_the_replay_that_is_killed_ends_it_with_a_word_and_without_waiting_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the kernel kills it where memory runs out."""
    told: list[str] = []

    def progress(text: str) -> None:
        told.append(text)
        assert len(told) < 60, "nobody noticed"
        for child in multiprocessing.active_children():
            child.kill()

    monkeypatch.setattr(backtest_run, "_WORTH_IT", 0)
    t = np.arange(BEGIN, BEGIN + 3600.0, 30)
    recorded = [Series("fds", "shop", f"w{i}", f"w{i}-1", "", BEGIN, 100.0, t, t - BEGIN) for i in range(3)]
    with pytest.raises(Unreplayable, match="--jobs 1"):
        backtest_run.replay_all(recorded, rules_of(None), 30.0, 2, progress)


@pytest.mark.parametrize("terminal", [True, False])
def test_long_work_is_told_from_its_third_second_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    moment = 0.0
    monkeypatch.setattr("time.monotonic", lambda: moment)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    progress = backtest.BacktestProgress()
    told = []
    for moment in (0.5, 1.5, 2.5, 4.0, 12.0, 13.0):
        progress(f"after {moment}")
        told.append(capsys.readouterr().err != "")

    assert told == ([False, False, True, True, True, True] if terminal else [False, False, True, False, False, True])
