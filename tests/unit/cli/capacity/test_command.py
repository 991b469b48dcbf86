"""`leakwarden capacity` as a person runs it: a real service on loopback, a table, JSON, and wrong options."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from leakwarden.cli.capacity import command
from leakwarden.cli.capacity.output import picture, table
from leakwarden.cli.errors import Misused
from leakwarden.core.capacity.curve import Point
from leakwarden.core.capacity.sizing import Question, Seen, capacity

MIB = 2.0**20
CURVE = [Point(q, p, m * MIB, 0.0, 1) for q, p, m in ((10, 0.05, 20), (20, 0.06, 25), (40, 0.15, 35), (80, 0.9, 60))]


def ask(*arguments: str) -> int:
    top = argparse.ArgumentParser()
    command.add_parser(top.add_subparsers())
    parsed = top.parse_args(["capacity", *arguments])
    code: int = parsed.run(parsed)
    return code


def test_the_table_says_what_a_pod_carries_and_marks_what_was_never_seen() -> None:
    question = Question(0.2, qps=200, zones=3, pool=20, database=110)
    text = table(capacity(CURVE, question, Seen(today=10.0, highest=80.0)), question)
    assert "40.0   150.0 ms     35 MiB     0.00%  <- knee" in text
    assert "one pod carries 40.0 requests/s within a P99 of 200 ms" in text
    assert "headroom today: 75%" in text
    assert "one zone                           9*     33.3/s" in text
    assert "* beyond the load that was seen" in text
    assert "120 connections, more than the database takes" in text


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    question = Question(0.2, qps=200)
    picture(str(tmp_path / "curve.png"), capacity(CURVE, question, Seen()), question)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--load", "127.0.0.1:1", "--rates", "10"], "--rates is '10'; 2 to 20 numbers from 0.1 to 2000 are wanted"),
        (["--load", "127.0.0.1:1", "--rates", "10,9999"], "--rates is '10,9999'"),
        (["--load", "127.0.0.1:1", "--step", "1h"], "--step is 1h; more than 0 and at most 5m is allowed"),
        (["--load", "127.0.0.1:1", "--namespace", "shop"], "--namespace goes with --prometheus; leave it out"),
        (["--load", "127.0.0.1:1", "--data", "{}"], "--data goes with --load grpc://...; leave it out"),
        (["--load", "grpc://127.0.0.1:1"], "--load is 'grpc://127.0.0.1:1'; grpc://HOST:PORT/package.Service/Method"),
        (["--load", "grpc://a:1/a.B/C", "--load", "http://a"], "--load grpc://... is given once"),
        (["--load", "grpc://a:1/a.B/C", "--data", "[1]"], "--data is '[1]'; one JSON object of at most"),
        (["--load", "grpc://a:1/a.B/C", "--rates", "0.5,1"], "--rates has 0.5; ghz sends whole numbers"),
        (["--load", "grpc://a:1/a.B/C", "--proto", "none.proto"], "--proto none.proto: there is no such file"),
        (
            ["--load", "grpc://a:1/a.B/C", "--ghz", "none"],
            "gRPC load is sent by ghz, and none is no program; go install",
        ),
        (["--load", "127.0.0.1:1", "--zones", "0"], "--zones is 0; 1 to 100 is allowed"),
        (["--prometheus", "http://127.0.0.1:1"], "--prometheus needs --namespace and --pods"),
        (["--prometheus", "x", "--namespace", "shop", "--pods", "a"], "--prometheus is 'x'; it"),
    ],
)
def test_what_was_asked_wrongly_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"leakwarden capacity: {said}")
    assert err.count("\n") == 1


def test_rates_are_sorted_and_taken_once() -> None:
    assert command.rates_of("40,10,10,20") == [10.0, 20.0, 40.0]
    with pytest.raises(Misused):
        command.rates_of("nan,10")


def test_where_nothing_answers_nothing_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("--load", "127.0.0.1:1", "--rates", "5,10", "--step", "200ms", "-o", "json") == 2
    assert "nothing answered at http://127.0.0.1:1/" in capsys.readouterr().err


def test_json_has_everything(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question(0.2, qps=200)
    monkeypatch.setattr(command, "_measure", lambda *_: (capacity(CURVE, question, Seen(highest=80.0)), []))
    assert ask("--load", "127.0.0.1:1", "--qps", "200", "-o", "json") == 0
    body = json.loads(capsys.readouterr().out)
    assert body["sustained"] == {"qps": 40, "bounded": True}
    assert body["sizes"][0]["replicas"] == 5
    assert body["sizes"][0]["extrapolated"] is True
