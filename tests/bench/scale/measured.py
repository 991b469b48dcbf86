"""The operator as a process between the played servers, and its cost in CPU and memory."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.scale.played import play
from tests.integration.cluster.fake_api_objects import kubeconfig

_TICK_HZ = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
PATIENCE = 900.0  # s for the first verdicts of the largest cluster
PROBE_EVERY = 1.0  # s; more often, and the probes themselves would be much of what is measured


@dataclass(slots=True)
class Measured:
    """One size. Seconds are processor time of the operator's process except where noted; memory is in bytes."""

    pods: int
    policies: int
    first_verdict: float = 0.0  # s on the clock from the process's start to statuses with a verdict for every policy
    first_cpu: float = 0.0
    tick_cpu: float = 0.0  # of a steady tick, the median
    tick_clock: float = 0.0
    rss: float = 0.0  # at the end
    peak: float = 0.0
    queries: float = 0.0  # per tick
    writes: float = 0.0  # statuses written per tick
    requests: float = 0.0  # to the API server, per tick
    answered: float = 0.0  # bytes of readings per tick
    slowest_probe: float = 0.0  # s on the clock for /healthz, over the steady ticks
    slowest_probe_at_start: float = 0.0
    ticks: list[float] = field(default_factory=list)  # CPU of each steady tick

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK_HZ


def memory(pid: int) -> tuple[float, float]:
    """RSS now and the highest so far."""
    text = Path(f"/proc/{pid}/status").read_text()
    now, most = (re.search(rf"{name}:\s+(\d+) kB", text) for name in ("VmRSS", "VmHWM"))
    assert now is not None
    assert most is not None
    return int(now[1]) * 1024.0, int(most[1]) * 1024.0


@contextmanager
def servers(pods: int) -> Iterator[tuple[str, str, Any]]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=play, args=(pods, there), daemon=True)
    process.start()
    there.close()
    try:
        api, prometheus = here.recv()
        yield api, prometheus, here
    finally:
        here.close()
        process.terminate()
        process.join()


@contextmanager
def operator(
    directory: Path, api: str, prometheus: str, *, interval: float, port: int, prefix: list[str]
) -> Iterator[subprocess.Popen[bytes]]:
    sources = directory / "sources.yaml"
    sources.write_text(json.dumps({"prometheus": [{"name": "main", "url": prometheus, "timeout": "60s"}]}))
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LEAKWARDEN_", "KUBE"))}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "leakwarden", "run"],
            env={
                **clean,
                "HOME": str(directory),
                "LEAKWARDEN_KUBECONFIG": str(kubeconfig(directory, api)),
                "LEAKWARDEN_SOURCES_FILE": str(sources),
                "LEAKWARDEN_INTERVAL": f"{interval:g}s",
                "LEAKWARDEN_LISTEN": f"127.0.0.1:{port}",
                "LEAKWARDEN_POD_NAMESPACE": "leakwarden",
                "LEAKWARDEN_POD_NAME": "leakwarden-0",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def scrape(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=120) as answer:
        return str(answer.read().decode())


class Ticks:
    """Ticks as the operator's own metrics count them, and how long its liveness probe took meanwhile."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.slowest = 0.0

    def count(self) -> tuple[int, float]:
        """Ticks that ended, and their seconds on the clock together."""
        text = scrape(self._port, "/metrics")
        count, total = (
            re.search(rf"^leakwarden_tick_duration_seconds_{name} (\S+)", text, re.M) for name in ("count", "sum")
        )
        return (int(float(count[1])), float(total[1])) if count and total else (0, 0.0)

    def probe(self) -> None:
        began = time.monotonic()
        scrape(self._port, "/healthz")
        self.slowest = max(self.slowest, time.monotonic() - began)

    def wait_for(self, wanted: int, deadline: float) -> tuple[int, float]:
        """Wait until `wanted` ticks have ended; probes meanwhile."""
        while True:
            try:
                self.probe()
                known = self.count()
            except OSError:
                known = (0, 0.0)
            if known[0] >= wanted:
                return known
            if time.monotonic() > deadline:
                raise TimeoutError(f"{known[0]} of {wanted} ticks ended")
            time.sleep(PROBE_EVERY)


def ask(pipe: Any) -> dict[str, float]:
    pipe.send("counts")
    counts: dict[str, float] = pipe.recv()
    return counts


def measure(
    pods: int, *, ticks: int = 4, interval: float = 30.0, port: int = 18098, prefix: list[str] | None = None
) -> Measured:
    """Run the operator over a cluster of that size until it has judged, and then for some steady ticks."""
    found = Measured(pods, -(-pods // 100))
    with tempfile.TemporaryDirectory() as name, servers(pods) as (api, prometheus, pipe):
        directory = Path(name)
        began = time.monotonic()
        with operator(directory, api, prometheus, interval=interval, port=port, prefix=prefix or []) as process:
            # The measured process is the operator, not the command that started it.
            pid = process.pid
            watched = Ticks(port)
            try:
                while ask(pipe)["judged"] < found.policies:
                    try:
                        watched.probe()
                    except OSError:
                        assert process.poll() is None, "the operator ended"
                    if time.monotonic() - began > PATIENCE:
                        raise TimeoutError(f"only {ask(pipe)} were judged")
                    time.sleep(PROBE_EVERY)
                found.first_verdict = time.monotonic() - began
                found.first_cpu = cpu(pid)
                found.slowest_probe_at_start = watched.slowest
                done, _ = watched.count()
                # By then the statuses of earlier ticks are written.
                done, _ = watched.wait_for(done + 2, time.monotonic() + PATIENCE)
                watched.slowest = 0.0
                before, clock = ask(pipe), watched.count()[1]
                for _ in range(ticks):
                    spent = cpu(pid)
                    done, _ = watched.wait_for(done + 1, time.monotonic() + PATIENCE)
                    found.ticks.append(cpu(pid) - spent)
                after, ended = ask(pipe), watched.count()[1]
            except BaseException:
                print((directory / "log").read_text()[-4000:], file=sys.stderr)
                raise
            found.rss, found.peak = memory(pid)
        found.tick_cpu = sorted(found.ticks)[len(found.ticks) // 2]
        found.tick_clock = (ended - clock) / ticks
        found.queries, found.writes, found.requests, found.answered = (
            (after[key] - before[key]) / ticks for key in ("queries", "statuses", "requests", "bytes")
        )
        found.slowest_probe = watched.slowest
    return found
