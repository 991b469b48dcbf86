"""`leakwarden capacity` over gRPC: the real ghz against a real gRPC service on loopback."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from leakwarden.cli.capacity import command

GHZ = Path(__file__).parent / "ghz"
SERVICES = Path(__file__).parents[3] / "e2e" / "services"
CHECK = "grpc.health.v1.Health/Check"

pytestmark = pytest.mark.slow


def built(folder: Path, package: str, binary: Path) -> Path:
    command_line = ["go", "build", "-C", str(folder), "-o", str(binary), package]
    done = subprocess.run(command_line, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return binary


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """ghz, and the service."""
    if shutil.which("go") is None:
        pytest.skip("no Go toolchain")
    folder = tmp_path_factory.mktemp("grpc")
    ghz = built(GHZ, "github.com/bojand/ghz/cmd/ghz", folder / "ghz")
    return str(ghz), str(built(SERVICES, "./cmd/grpcstock", folder / "grpcstock"))


@contextmanager
def serving(program: str, *arguments: str) -> Iterator[tuple[str, str]]:
    """The addresses of the service and of its metrics."""
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            match = re.search(r"grpc=(\S+) metrics=(\S+)", process.stdout.readline())
            assert match is not None
            yield match[1], match[2]
        finally:
            process.terminate()


def ask(*arguments: str) -> int:
    top = argparse.ArgumentParser()
    command.add_parser(top.add_subparsers())
    parsed = top.parse_args(["capacity", *arguments])
    code: int = parsed.run(parsed)
    return code


def measured(out: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(out)
    return body


def test_each_rate_is_sent_and_the_call_takes_its_time(
    programs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ghz, stock = programs
    with serving(stock, "-work", "20ms", "-slots", "100") as (address, metrics):
        load = ("--load", f"grpc://{address}/{CHECK}", "--metrics", f"http://{metrics}", "--ghz", ghz, "--p99", "30s")
        assert ask(*load, "--rates", "10,20", "--step", "2s", "--data", '{"service": ""}', "-o", "json") == 0
    out, err = capsys.readouterr()
    body = measured(out)
    assert [point["qps"] for point in body["curve"]] == pytest.approx([10.0, 20.0], rel=0.25)
    assert all(point["p99"] >= 0.02 and point["errors"] == 0 and point["memory"] > 0 for point in body["curve"])
    assert "10/s: P99" in err
    assert "OK: " in err
    assert body["protection"][0]["sight"] == "not known"


def test_a_rate_limit_is_seen_and_what_it_turns_away_is_not_carried(
    programs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ghz, stock = programs
    with serving(stock, "-work", "0", "-limit", "0.001", "-burst", "30") as (address, _):
        load = ("--load", f"grpc://{address}/{CHECK}", "--ghz", ghz, "--p99", "30s")
        ask(*load, "--rates", "10,100", "--step", "2s", "-o", "json")
    body = measured(capsys.readouterr().out)
    # About 20 of the first step are let in, and what is left of 30 of the second.
    assert sum(2 * point["qps"] for point in body["curve"]) == 30
    assert body["protection"][0]["sight"] == "seen"
    assert re.match(r"up to 9[3-9]% of a step's requests", body["protection"][0]["why"])


def test_a_method_that_is_not_there_and_a_server_that_is_gone_are_said(
    programs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ghz, stock = programs
    with serving(stock) as (address, _):
        load = ("--rates", "10,20", "--step", "1s", "--ghz", ghz)
        assert ask("--load", f"grpc://{address}/{CHECK}s", *load) == 2
        assert "ghz gave no report: " in capsys.readouterr().err
    assert ask("--load", f"grpc://{address}/{CHECK}", *load) == 2
    assert "ghz gave no report: " in capsys.readouterr().err
