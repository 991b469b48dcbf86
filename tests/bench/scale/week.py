"""A week pressed into an hour, on a real API server: churn, leaks, and sources that go away and come back.

python -m tests.bench.scale week --minutes 60 --pods 2000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from e2e.cluster.paths import REPOSITORY
from e2e.cluster.progress import say
from e2e.cluster.simulated import SimulatedCluster, interrupted_by_sigterm
from e2e.faults.background import Background
from leakwarden.adapters.cluster import Session
from leakwarden.api.scalars import parse_duration
from leakwarden.engine.ports import ClusterUnavailable
from tests.bench.scale import pressed, week_record, world
from tests.bench.scale.churn import Churn
from tests.bench.scale.measured import cpu, memory
from tests.bench.scale.population import nodes_for, populate
from tests.bench.scale.pressed import PressedClock
from tests.bench.scale.stage import Plan, Stage, staged
from tests.bench.scale.week_verdict import Fault, Seen, faults_of
from tests.bench.scale.world import Json, Place
from tests.integration.cluster.fake_api_objects import kubeconfig

DAYS_OF_AN_HOUR = 7.0
INTERVAL = 2.0  # s of the machine's clock between two ticks
POLICIES = "apis/leakwarden.dev/v1alpha1/reliabilitypolicies"
LEAKING_EVERY = 25  # Deployments
SAMPLE_EVERY = 2.0  # s
# A single API server that restarts is away for ten to twenty seconds on two cores; the usual deadline is ten.
LEASE = {"DURATION": "60s", "RENEW_DEADLINE": "40s", "RETRY": "2s"}
#: (share of the run at which it begins, its length as a share, what happens)
SCRIPT: tuple[tuple[float, float, str], ...] = (
    (0.15, 0.02, "Prometheus stopped"),
    (0.28, 0.015, "Prometheus answers 500"),
    (0.36, 0.0, "API server killed"),
    (0.45, 0.015, "Prometheus slow"),
    (0.52, 0.0, "watches expired"),
    (0.60, 0.01, "Prometheus stopped"),
    (0.70, 0.0, "API server killed"),
    (0.78, 0.0, "watches cut"),
    (0.86, 0.01, "Prometheus answers 500"),
)
_WORDS = {
    "Prometheus stopped": ("stop", "start"),
    "Prometheus answers 500": ("errors", "well"),
    "Prometheus slow": ("slow", "well"),
    "watches expired": ("expire", ""),
    "watches cut": ("cut", ""),
}


def leaking(pods: int) -> frozenset[str]:
    """Names of the Deployments whose pods leak."""
    workloads = pods // world.PODS_OF_A_WORKLOAD
    return frozenset(f"api-{number}" for number in range(7, workloads, LEAKING_EVERY))


def policies(pods: int) -> Iterator[Json]:
    """One for each namespace, which acts: the signals of the bench, a leak's growth included, with the default guards."""
    for made in world.policies(pods):
        signals = [
            {"name": "descriptors", "type": "Descriptors", "threshold": {"above": "85%", "for": "10m"}},
            {"name": "db-pool", "type": "DBPool", "threshold": {"above": "90%", "for": "10m"}},
            *({"name": kind.lower(), "type": kind} for kind in ("Sockets", "Goroutines", "Heap", "WorkingSet")),
        ]
        made["spec"] |= {"mode": "Enforce", "signals": signals, "remediation": {"actions": [{"type": "EvictPod"}]}}
        yield made


@contextmanager
def operators(directory: Path, stage: Stage, clock: Path, port: int) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts one operator after the other; the last one is ended in the end."""
    sources = directory / "sources.yaml"
    # Slow answers come within it; one that does not come at all costs a tick so long.
    sources.write_text(json.dumps({"prometheus": [{"name": "main", "url": stage.prometheus, "timeout": "10s"}]}))
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LEAKWARDEN_", "KUBE"))}
    environment = {
        **clean,
        "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}",
        "HOME": str(directory),
        pressed.FILE: str(clock),
        "LEAKWARDEN_KUBECONFIG": str(kubeconfig(directory, stage.api)),
        "LEAKWARDEN_SOURCES_FILE": str(sources),
        "LEAKWARDEN_INTERVAL": f"{INTERVAL:g}s",
        "LEAKWARDEN_ACTIONS": "EvictPod",
        "LEAKWARDEN_LISTEN": f"127.0.0.1:{port}",
        "LEAKWARDEN_LEADER_ELECTION": "true",
        **{f"LEAKWARDEN_LEASE_{name}": value for name, value in LEASE.items()},
        "POD_NAMESPACE": "leakwarden",
        "POD_NAME": "leakwarden-0",
    }
    running: list[subprocess.Popen[bytes]] = []
    with (directory / "operator.log").open("wb") as log:

        def start() -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "tests.bench.scale.pressed"]
            made = subprocess.Popen(
                command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            running.append(made)
            return made

        try:
            yield start
        finally:
            for process in running:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


async def served(session: Session) -> None:
    """Until the API server answers for the operator's kinds, as it does a while after it is ready."""
    for _ in range(600):
        with contextlib.suppress(ClusterUnavailable):
            if (await session.ask("GET", f"/{POLICIES}")).ok:
                return
        await asyncio.sleep(0.2)
    raise TimeoutError(f"the API server does not serve {POLICIES}")


@dataclass(slots=True)
class Week:
    """One run; all times are the machine's epoch s. Call from the thread that holds the cluster."""

    cluster: SimulatedCluster
    stage: Stage
    clock: PressedClock
    background: Background
    churn: Churn
    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes]
    port: int
    rate: float
    seen: Seen = field(default_factory=Seen)
    _ending: list[tuple[float, Fault]] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        began = time.time()
        self.seen.began = began
        script = [(began + at * seconds, length * seconds, what) for at, length, what in SCRIPT]
        changes: list[tuple[float, str]] = []
        sampled = told = minute = 0.0
        while (now := time.time()) < began + seconds:
            if self.process.poll() is not None:
                self._restart()
            self.cluster.check()
            if now - minute >= 60:
                minute = now
                kinds = self.churn.a_minute()
                changes += [(now + 60 * place / len(kinds), kind) for place, kind in enumerate(kinds)]
            while changes and changes[0][0] <= now:
                self.background.run(self.churn.change(changes.pop(0)[1]), 60)
            while script and script[0][0] <= now:
                _, length, what = script.pop(0)
                self._begin(what, length)
            for until, fault in [each for each in self._ending if each[0] <= now]:
                self._ending.remove((until, fault))
                self._finish(fault)
            if now - sampled >= SAMPLE_EVERY:
                sampled = now
                self._sample(now)
            if now - told >= 30:
                told = now
                self._tell(now - began, seconds)
            time.sleep(0.1)
        for _, fault in self._ending:
            self._finish(fault)

    def _restart(self) -> None:
        """As the kubelet does. A leader that could not renew its Lease in time ends by itself."""
        say(f"the operator ended with {self.process.returncode} and is started again")
        self.seen.restarts.append((time.time(), self.process.returncode))
        self.seen.cpu_before += self.seen.cpu
        self.process = self.start()

    def _begin(self, what: str, length: float) -> None:
        say(f"{what}" + (f" for {length:.0f} s" if length else ""))
        fault = Fault(what, time.time())
        self.seen.faults.append(fault)
        if what == "API server killed":
            self.cluster.kill_api_server()
            self.cluster.start_api_server()
            self.background.run(served(self.churn.session), 120)
            fault.ended = time.time()
            return
        self.stage.tell(_WORDS[what][0])
        if length:
            self._ending.append((fault.began + length, fault))
        else:
            fault.ended = time.time()

    def _finish(self, fault: Fault) -> None:
        self.stage.tell(_WORDS[fault.what][1])
        fault.ended = time.time()

    def _sample(self, now: float) -> None:
        if self.process.poll() is not None:
            return
        rss, peak = memory(self.process.pid)
        self.seen.memory.append((now, rss))
        self.seen.peak = peak
        self.seen.cpu = cpu(self.process.pid)
        began = time.monotonic()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=30):
                pass
        except OSError as error:
            self.seen.unanswered.append((now, str(error)))
        self.seen.slowest_probe = max(self.seen.slowest_probe, time.monotonic() - began)

    def _tell(self, passed: float, seconds: float) -> None:
        ticks = self.clock.ticks()
        counts = self.stage.tell("counts")
        lasted = [each.ended - each.began for each in ticks[-20:] if each.ended]
        say(
            f"{passed / 60:.0f} of {seconds / 60:.0f} min, day {passed * self.rate / 86_400:.1f}: {len(ticks)} ticks of"
            f" {sum(lasted) / max(len(lasted), 1):.1f} s, {self.seen.memory[-1][1] / world.MIB:.0f} MiB,"
            f" {len(counts['evictions'])} evictions"
        )


async def _failures(port: int) -> dict[str, float]:
    """The operator's own counts at the end, by name."""

    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    text = await asyncio.to_thread(read)
    found: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name.startswith("leakwarden_") and "bucket" not in name:
            found[name] = float(value)
    return found


async def _statuses(session: Session) -> list[Json]:
    reply = await session.ask("GET", f"/{POLICIES}")
    items: list[Json] = json.loads(reply.body)["items"]
    return items


async def _lease(session: Session) -> Json:
    reply = await session.ask("GET", "/apis/coordination.k8s.io/v1/namespaces/leakwarden/leases/leakwarden")
    spec: Json = json.loads(reply.body)["spec"]
    return spec


def measure(
    pods: int, minutes: float, rate: float, *, port: int, keep: Callable[[Path], None]
) -> tuple[Seen, list[str]]:
    """Run it; what was seen, and what should not have been. `keep` gets the directory of logs before it is removed."""
    leaks = leaking(pods)
    with tempfile.TemporaryDirectory(prefix="leakwarden-week-") as name:
        directory = Path(name)
        clock = PressedClock.create(directory / "clock", rate)
        try:
            with SimulatedCluster(directory / "cluster", nodes=nodes_for(pods)) as cluster:
                background = Background()
                session = background.run(Session.open(str(cluster.kubeconfig)))
                try:
                    background.run(populate(session, pods, cluster.nodes, policies(pods)), 1800)
                    places = [Place(number) for number in range(0, pods, world.PODS_OF_A_WORKLOAD)]
                    churn = Churn(session, places)
                    plan = Plan(cluster.server, directory / "cluster" / "certificates", directory / "clock", leaks)
                    with staged(plan) as stage, operators(directory, stage, directory / "clock", port) as start:
                        process = start()
                        wait_for_ticks(clock, process, 3)
                        clock.start()
                        week = Week(cluster, stage, clock, background, churn, start, process, port, rate)
                        week.run(minutes * 60)
                        seen = week.seen
                        seen.deadline = parse_duration(LEASE["RENEW_DEADLINE"])
                        seen.pods, seen.rate, seen.interval, seen.minutes = pods, rate, INTERVAL, minutes
                        seen.ticks = clock.ticks()
                        seen.churn, seen.touched = churn.done, churn.touched
                        seen.counts = stage.tell("counts")
                        seen.lease = background.run(_lease(session))
                        background.run(served(session), 120)
                        seen.metrics = background.run(_failures(port))
                        seen.policies = background.run(_statuses(session))
                finally:
                    background.run(session.close())
                    background.close()
        finally:
            keep(directory)
    return seen, faults_of(seen, leaks)


def wait_for_ticks(clock: PressedClock, process: subprocess.Popen[bytes], number: int, within: float = 600.0) -> None:
    deadline = time.monotonic() + within
    while sum(1 for each in clock.ticks() if each.ended) < number:
        if process.poll() is not None:
            raise RuntimeError(f"the operator ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(clock.ticks())} ticks within {within:.0f} s")
        time.sleep(0.5)


def main(words: list[str]) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench.scale week", description=__doc__)
    options.add_argument(
        "--minutes", type=float, default=60.0, help="how long it runs; 60 are a week, unless --days says otherwise"
    )
    options.add_argument("--days", type=float, help="how much time passes on the operator's clock")
    options.add_argument("--pods", type=int, default=2000)
    options.add_argument("--port", type=int, default=18099)
    options.add_argument("--logs", type=Path, help="a directory to which logs are copied")
    options.add_argument("--record", action="store_true", help="keep the figures for docs/explanation/scale.md")
    asked = options.parse_args(words)

    def keep(directory: Path) -> None:
        if asked.logs is not None:
            asked.logs.mkdir(parents=True, exist_ok=True)
            for path in (directory / "operator.log", *sorted((directory / "cluster" / "logs").glob("*.log"))):
                if path.exists():
                    (asked.logs / path.name).write_bytes(path.read_bytes())

    days = asked.days if asked.days is not None else DAYS_OF_AN_HOUR * asked.minutes / 60
    rate = days * 1440 / asked.minutes
    with interrupted_by_sigterm():
        seen, wrong = measure(asked.pods, asked.minutes, rate, port=asked.port, keep=keep)
    if asked.logs is not None:
        (asked.logs / "seen.json").write_text(json.dumps(seen.as_json()))
    figures = week_record.figures(seen, leaking(asked.pods), wrong)
    figures |= {
        "command": " ".join(["python -m tests.bench.scale week", *words]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}",
    }
    print(json.dumps(figures, indent=1))
    if asked.record:
        week_record.keep(figures)
    for each in wrong:
        print(f"WRONG: {each}")
    return 1 if wrong else 0
