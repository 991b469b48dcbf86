"""`python -m tests.bench.speed`: what a tick over a large cluster costs, beside what fetching its readings costs.

A small HTTP server in a process of its own plays Prometheus, so that only the operator's side is counted: the real
source asks, reads and decodes, and the real detector folds in and judges. Processor seconds, not time on the clock;
what matters is the ratio, since both sides slow down alike on a slow machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from leakwarden.adapters.prometheus.client import PrometheusSource
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.core.detection.growth import GrowthFinding
from leakwarden.core.evaluation.growth_findings import GrowthFindings
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.readings import Answer, Query, Sampled
from leakwarden.core.model.workload import Snapshot
from leakwarden.engine.reader import Reader
from leakwarden.ticking import look_for_garbage_rarely
from tests.builders import NOW, container, pod, policy, workload

SIGNALS = ("Descriptors", "Sockets", "Goroutines", "Heap", "DBPool", "WorkingSet")
STEP = 60.0
LIMIT = 1024.0  # of every signal, so that all of them are judged
PODS_EACH = 5  # pods of a workload


def serve(pods: int, back: Connection) -> None:
    """Serve as Prometheus until the process ends: the same series for every query, one pod in twenty climbing."""
    rng = np.random.default_rng(1)
    base = rng.uniform(100, 400, pods)
    climb = np.where(rng.random(pods) < 0.05, rng.uniform(0.01, 0.08, pods), 0.0)
    labels = [json.dumps({"namespace": "shop", "pod": f"api-{i}", "container": "app"}) for i in range(pods)]
    bodies: dict[tuple[str, ...], bytes] = {}
    drawing = threading.Lock()

    def body(kind: str, t: np.ndarray[Any, Any]) -> bytes:
        if kind == "vector":
            rows = [f'{{"metric":{one},"value":[{t[0]:.0f},"{LIMIT:.0f}"]}}' for one in labels]
        else:
            v = base[:, None] + climb[:, None] * (t - NOW + 7200) + rng.normal(size=(pods, len(t))) * 8
            v = np.maximum(v, 1.0)  # for most signals a zero is not a reading
            rows = []
            for label, row in zip(labels, v, strict=True):
                points = ",".join(f'[{a:.0f},"{b:.0f}"]' for a, b in zip(t, row, strict=True))
                rows.append(f'{{"metric":{label},"values":[{points}]}}')
        return (f'{{"status":"success","data":{{"resultType":"{kind}","result":[' + ",".join(rows) + "]}}").encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            key = tuple(asked.get(name, "") for name in ("start", "end", "time"))
            with drawing:
                self.draw(key, asked)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(bodies[key])))
            self.end_headers()
            self.wfile.write(bodies[key])

        def draw(self, key: tuple[str, ...], asked: Mapping[str, str]) -> None:
            if key not in bodies:
                first, last = float(asked.get("start") or asked["time"]), float(asked.get("end") or asked["time"])
                bodies[key] = body(
                    "matrix" if "start" in asked else "vector",
                    np.arange(first, last + 1, float(asked.get("step", STEP))),
                )

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    back.send(server.server_address[1])
    server.serve_forever()


@dataclass
class Metered:
    """A source whose reads are counted: processor seconds, and points by query."""

    inner: PrometheusSource
    seconds: float = 0.0
    points: int = 0
    queries: int = 0
    kind: str = "Prometheus"
    name: str = "fake"
    pod_labels: tuple[str, str] = ("namespace", "pod")

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        began = time.process_time()
        answers = await self.inner.read(queries, since, now, step)
        self.seconds += time.process_time() - began
        self.queries += len(queries)
        for query in queries:
            answer = answers[query.key]
            assert isinstance(answer, Sampled), answer
            self.points += sum(series.t.size for series in answer.series.values())
        return answers


@dataclass(slots=True)
class MeteredReader(Reader):
    judging: float = 0.0  # includes the days before the first read, which are learnt separately
    _before: float = 0.0
    found: list[GrowthFinding] = field(default_factory=list)

    def _detect(self, source: str, queries: Sequence[Query], **named: Any) -> GrowthFindings:
        began, before = time.process_time(), self._before
        found = Reader._detect(self, source, queries, **named)
        self.judging = before + time.process_time() - began
        self._before = 0.0
        self.found = [finding for _, findings in found.rounds for finding in findings.values()]
        return found

    def _learn(self, source: str, answers: Mapping[str, Answer], **named: Any) -> None:
        began = time.process_time()
        Reader._learn(self, source, answers, **named)
        self._before += time.process_time() - began


async def measure(url: str, pods: int, ticks: int) -> None:
    every = range(0, pods, PODS_EACH)
    workloads = [workload(f"w{i // PODS_EACH}", containers=(container(memory_limit=LIMIT),)) for i in every]
    owned = {
        f"uid-w{i // PODS_EACH}": tuple(
            pod(f"api-{n}", f"w{i // PODS_EACH}", created=NOW - 90_000) for n in range(i, min(i + PODS_EACH, pods))
        )
        for i in every
    }
    world = Snapshot({one.uid: one for one in workloads}, owned)
    # The number that counts as exhausted, for signals that have no limit of their own.
    threshold = {"above": f"{LIMIT:g}", "for": "5m"}
    asks = policy(spec={"signals": [{"name": kind.lower(), "type": kind, "threshold": threshold} for kind in SIGNALS]})
    source = PrometheusSource(Endpoint(name="fake", url=url, timeout="100s"), bucket=STEP)
    metered = Metered(source)
    reader = MeteredReader({}, metered, STEP)  # the port's other methods are not used here
    print(f"{pods} pods x {len(SIGNALS)} signals; processor seconds of the operator alone\n")
    print("| tick | queries | points read | fetching | judging | judging / fetching |")
    print("|---|---|---|---|---|---|")
    try:
        for tick in range(ticks):
            metered.seconds, metered.points, metered.queries = 0.0, 0, 0
            await reader.read([asks], world, NOW + tick * STEP)
            what = "first: two hours" if tick == 0 else f"{tick + 1}"
            print(
                f"| {what} | {metered.queries} | {metered.points} | {metered.seconds:.2f} s | {reader.judging:.2f} s |"
                f" {reader.judging / metered.seconds:.2f} |",
                flush=True,
            )
    finally:
        await source.close()
    seen = {verdict: sum(1 for one in reader.found if one.verdict is verdict) for verdict in Verdict}
    print("\nverdicts of the last tick: " + ", ".join(f"{verdict} {count}" for verdict, count in seen.items()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.speed", description=__doc__)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--ticks", type=int, default=4)
    args = parser.parse_args()
    look_for_garbage_rarely()  # as the operator does
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(args.pods, there), daemon=True)
    server.start()
    try:
        asyncio.run(measure(f"http://127.0.0.1:{here.recv()}", args.pods, args.ticks))
    finally:
        server.terminate()
        server.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
