"""`leakwarden backtest` against a real Prometheus with data of a fortnight. It needs no cluster."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.faults.prometheus import Prometheus

pytestmark = pytest.mark.long

DAY, STEP = 86_400, 60  # s
LIMIT = 1024
# Memory for a fortnight of data at 1 min, with the interpreter and numpy (100 MB), and twice that.
MOST_MEMORY = 500 * 2**20
LEAKING, HEALTHY, RESTARTED = "cart-7d9f8c6b5-x2v9q", "search-5c4d7f8b9-b7k4z", "orders-6b7c8d9f5-c5n2w"


@dataclass(frozen=True)
class Pod:
    """Descriptors and requests by seconds since the fortnight began; one process until `restart`, then another."""

    name: str
    descriptors: Callable[[float], float]
    rate: Callable[[float], float]
    restart: float = math.inf
    gone: float = math.inf


def _daily(second: float) -> float:
    """Requests a second, low at night."""
    return 20 + 12 * math.sin(2 * math.pi * second / DAY)


def _wobble(second: float) -> float:
    """A series that is not quite regular, from -1 to 1."""
    return math.sin(second / 977.0) * math.cos(second / 313.0)


PODS = (
    # Full after ten days; the pod is gone a little later.
    Pod(LEAKING, lambda s: min(150 + 874 * s / (10 * DAY) + 6 * _wobble(s), LIMIT), _daily, gone=10.2 * DAY),
    Pod(HEALTHY, lambda s: 150 + 15 * _daily(s) + 6 * _wobble(s), _daily),
    # Leaks for four days, is repaired, and then serves like any other.
    Pod(
        RESTARTED,
        lambda s: min(120 + 900 * s / (4 * DAY), LIMIT) if s < 4.05 * DAY else 150 + 10 * _wobble(s),
        lambda _: 20.0,
        restart=4.05 * DAY,
    ),
)


def write_past(file: Path, begin: float) -> None:
    """client_golang's metrics of these pods, as OpenMetrics."""
    moments = [begin + STEP * i for i in range(14 * DAY // STEP + 1)]
    requests: dict[tuple[str, float], float] = {}
    for pod in PODS:
        total = 0.0
        for at in moments:
            total = total + pod.rate(at - begin) * STEP if at - begin != pod.restart else 0.0
            requests[pod.name, at] = total

    def started(pod: Pod, at: float) -> float:
        return begin - 300 if at - begin < pod.restart else begin + pod.restart - 5

    families: dict[str, Callable[[Pod, float], float]] = {
        "process_open_fds": lambda pod, at: round(pod.descriptors(at - begin)),
        "process_max_fds": lambda pod, at: LIMIT,
        "process_start_time_seconds": started,
    }
    with file.open("w") as stream:
        for family, value in families.items():
            stream.write(f"# TYPE {family} gauge\n")
            for pod in PODS:
                for at in moments:
                    if at - begin < pod.gone:
                        stream.write(f'{family}{{namespace="shop",pod="{pod.name}"}} {value(pod, at)} {at}\n')
        stream.write("# TYPE http_requests counter\n")
        for pod in PODS:
            for at in moments:
                if at - begin < pod.gone:
                    labels = f'namespace="shop",pod="{pod.name}",code="200"'
                    stream.write(f"http_requests_total{{{labels}}} {requests[pod.name, at]} {at}\n")
        stream.write("# EOF\n")


@dataclass(frozen=True)
class Fortnight:
    begin: float
    url: str


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortnight]:
    directory = tmp_path_factory.mktemp("fortnight")
    begin = float((time.time() - 14 * DAY) // STEP * STEP)
    write_past(directory / "past.txt", begin)
    server = Prometheus(directory / "prometheus", None, past=directory / "past.txt")
    try:
        yield Fortnight(begin, server.url)
    finally:
        server.stop()


def backtest(*arguments: str) -> tuple[str, str, int]:
    """Standard output and error, and the command's peak memory in bytes. One evaluation per minute: a fortnight has
    enough of them."""
    command = [sys.executable, "-m", "leakwarden", "backtest", "--interval", "1m", *arguments]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said, told = out.read(), err.read()
    assert process.returncode == 0, told
    return said, told, usage.ru_maxrss * 1024


def changes(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_fortnight_of_a_real_prometheus_is_judged_as_it_went(fortnight: Fortnight) -> None:
    out, err, memory = backtest("--prometheus", fortnight.url, "--since", "14d", "--namespace", "shop", "-o", "jsonl")
    said = changes(out)

    of = {pod.name: [one for one in said if one["pod"] == pod.name] for pod in PODS}
    assert {one["workload"] for one in of[LEAKING]} == {"cart"}, "the ReplicaSet's and pod's suffixes are no part of it"
    assert {one["signal"] for one in said} == {"Descriptors"}

    # Leaking, then Exhausting before the limit is reached, with a time left that holds the truth.
    first = next(one for one in of[LEAKING] if one["verdict"] == "Leaking")
    acting = next(one for one in of[LEAKING] if one["verdict"] == "Exhausting")
    left = fortnight.begin + 10 * DAY - acting["time"]
    assert first["time"] < acting["time"]
    assert left > 600, f"{left:.0f} s before it was full"
    assert acting["tte"]["low"] <= 1.5 * left
    assert acting["tte"]["high"] is None or acting["tte"]["high"] >= left / 1.5
    assert (of[LEAKING][-1]["verdict"], of[LEAKING][-1]["reason"]) == ("Unknown", "Stale"), "the pod was gone then"

    assert {one["verdict"] for one in of[HEALTHY]} <= {"Unknown", "Healthy", "Suspect"}

    # The repaired process is a new one: the old one's growth does not count for it.
    restart = fortnight.begin + 4.05 * DAY
    old, new = ([one for one in of[RESTARTED] if (one["time"] < restart) == before] for before in (True, False))
    assert "Exhausting" in {one["verdict"] for one in old}
    assert {one["verdict"] for one in new} <= {"Unknown", "Healthy", "Suspect"}
    assert new[-1]["verdict"] == "Healthy"

    assert memory < MOST_MEMORY, f"{memory / 2**20:.0f} MiB"
    assert "Goroutines: no readings" in err, "what Prometheus does not know is said"


def test_people_see_a_timeline_and_may_keep_what_was_read(fortnight: Fortnight, tmp_path: Path) -> None:
    saved = str(tmp_path / "days.jsonl.gz")
    source = ["--prometheus", fortnight.url, "--since", "5d", "--workload", "cart"]
    out, _, _ = backtest(*source, "--save", saved)

    assert LEAKING in out
    assert "would be acted on in mode Enforce" in out
    assert HEALTHY not in out
    assert all(len(line) <= 80 for line in out.splitlines()), out
    assert "\x1b" not in out
    assert backtest("--series", saved)[0] == out
