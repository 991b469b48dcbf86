"""The operator as a process between the played servers, and its cost in CPU and memory."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from e2e.cluster.paths import REPOSITORY
from tests.bench.scale import profiled
from tests.bench.scale.played import play
from tests.integration.cluster.fake_api_objects import kubeconfig

_TICK_HZ = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
PATIENCE = 900.0  # s for the first verdicts of the largest cluster
COMMAND = (sys.executable, "-m", "leakwarden", "run")
_PROFILED = (sys.executable, "-m", "tests.bench.scale.profiled")
PROBE_EVERY = 1.0  # s; more often, and the probes themselves would be much of what is measured
SCRAPE_EVERY = 5.0  # s; three times as often as a Prometheus does, and seldom enough not to be much of what is measured


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
    # Per tick; None where the servers do not count it.
    queries: float | None = None
    writes: float | None = None  # statuses
    requests: float | None = None  # to the API server
    answered: float | None = None  # bytes of readings
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


Counts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The servers that the operator meets: a kubeconfig for the API server, the address of Prometheus, and what both
    have counted so far. Counts that are not taken are missing, but `judged` is always there: policies with a verdict
    for each target."""

    kubeconfig: Path
    prometheus: str
    counts: Callable[[], Counts]


@contextmanager
def process_of(target: Callable[..., None], *given: Any) -> Iterator[Any]:
    """A process of its own that is given a pipe last; this end of the pipe."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(*given, there), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.terminate()
        process.join()


@contextmanager
def played(pods: int, directory: Path) -> Iterator[Surroundings]:
    """Both servers played."""
    with process_of(play, pods) as pipe:
        api, prometheus = pipe.recv()
        yield Surroundings(kubeconfig(directory, api), prometheus, lambda: ask(pipe))


@contextmanager
def operator(
    directory: Path,
    around: Surroundings,
    *,
    interval: float,
    port: int,
    command: Sequence[str] = COMMAND,
    further: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    sources = directory / "sources.yaml"
    sources.write_text(json.dumps({"prometheus": [{"name": "main", "url": around.prometheus, "timeout": "60s"}]}))
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LEAKWARDEN_", "KUBE"))}
    clean |= further or {}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            list(command),
            env={
                **clean,
                "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}",  # the code of this tree
                "HOME": str(directory),
                "LEAKWARDEN_KUBECONFIG": str(around.kubeconfig),
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
        """Wait until `wanted` ticks have ended; probes meanwhile. An end is seen up to `SCRAPE_EVERY` later."""
        known, scraped = (0, 0.0), -math.inf
        while True:
            try:
                self.probe()
                if time.monotonic() - scraped >= SCRAPE_EVERY:
                    scraped = time.monotonic()
                    known = self.count()
            except OSError:
                known = (0, 0.0)
            if known[0] >= wanted:
                return known
            if time.monotonic() > deadline:
                raise TimeoutError(f"{known[0]} of {wanted} ticks ended")
            time.sleep(PROBE_EVERY)


def ask(pipe: Any) -> Counts:
    pipe.send("counts")
    counts: Counts = pipe.recv()
    return counts


def measure(
    pods: int,
    *,
    ticks: int = 4,
    interval: float = 30.0,
    port: int = 18098,
    servers: Callable[[int, Path], AbstractContextManager[Surroundings]] = played,
) -> Measured:
    """Run the operator over a cluster of that size until it has judged, and then for some steady ticks."""
    found = Measured(pods, -(-pods // 100))
    with tempfile.TemporaryDirectory() as name, servers(pods, Path(name)) as around:
        directory = Path(name)
        began = time.monotonic()
        with operator(directory, around, interval=interval, port=port) as process:
            pid = process.pid
            watched = Ticks(port)
            try:
                while around.counts()["judged"] < found.policies:
                    try:
                        watched.probe()
                    except OSError:
                        assert process.poll() is None, "the operator ended"
                    if time.monotonic() - began > PATIENCE:
                        raise TimeoutError(f"only {around.counts()} were judged")
                    time.sleep(PROBE_EVERY)
                found.first_verdict = time.monotonic() - began
                found.first_cpu = cpu(pid)
                found.slowest_probe_at_start = watched.slowest
                done, _ = watched.count()
                # By then the statuses of earlier ticks are written.
                done, _ = watched.wait_for(done + 2, time.monotonic() + PATIENCE)
                watched.slowest = 0.0
                before, clock = around.counts(), watched.count()[1]
                for _ in range(ticks):
                    spent = cpu(pid)
                    done, _ = watched.wait_for(done + 1, time.monotonic() + PATIENCE)
                    found.ticks.append(cpu(pid) - spent)
                after, ended = around.counts(), watched.count()[1]
            except BaseException:
                print((directory / "log").read_text()[-4000:], file=sys.stderr)
                raise
            found.rss, found.peak = memory(pid)
        found.tick_cpu = sorted(found.ticks)[len(found.ticks) // 2]
        found.tick_clock = (ended - clock) / ticks
        found.queries, found.writes, found.requests, found.answered = (
            (after[key] - before[key]) / ticks if key in after else None
            for key in ("queries", "statuses", "requests", "bytes")
        )
        found.slowest_probe = watched.slowest
    return found


def profile(pods: int, *, ticks: int, interval: float, port: int) -> list[Mapping[str, float]]:
    """Seconds of CPU by stack for each of some steady ticks, from the end of one to the end of the next."""
    with tempfile.TemporaryDirectory() as name, played(pods, Path(name)) as around:
        directory = Path(name)
        lines = directory / "profile"
        further = {profiled.FILE: str(lines)}
        with operator(directory, around, interval=interval, port=port, command=_PROFILED, further=further):
            deadline = time.monotonic() + PATIENCE
            while around.counts()["judged"] < -(-pods // 100):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"only {around.counts()} were judged")
                time.sleep(PROBE_EVERY)
            watched = Ticks(port)
            done, _ = watched.count()
            watched.wait_for(done + 2 + ticks, time.monotonic() + PATIENCE)
        return [json.loads(line) for line in lines.read_text().splitlines()[-ticks:]]
