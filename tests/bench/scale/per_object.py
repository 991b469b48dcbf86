"""A query per object, as KEDA sends it, against the same played Prometheus: its queries and CPU time are measured.

    python -m tests.bench.scale per-object --pods 1000 10000 --record

The client is Go, as KEDA is (`perobject/main.go` has the shape and its sources). It only asks; what KEDA does besides
costs more.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from e2e.cluster.commands import Programs
from e2e.cluster.progress import say
from e2e.cluster.toolchain import find_go
from tests.bench.scale import record, world
from tests.bench.scale.measured import ask, process_of
from tests.bench.scale.played import play_prometheus

SOURCE = Path(__file__).with_name("perobject")
RESULTS = Path(__file__).with_name("per_object.json")
SIZES = (1_000, 10_000)
_BUILT_WITHIN = 600.0  # s
_ASKED_WITHIN = 1800.0  # s


def built(directory: Path) -> Path:
    program = directory / "perobject"
    go = find_go(Programs())
    subprocess.run([go, "build", "-o", str(program), "."], cwd=SOURCE, check=True, timeout=_BUILT_WITHIN)
    return program


def measure(program: Path, pods: int, rounds: int) -> dict[str, Any]:
    """The median round: queries as the server counted them, and seconds of the client's CPU. Raises RuntimeError where
    queries failed, since those cost less."""
    objects = pods // world.PODS_OF_A_WORKLOAD
    with process_of(play_prometheus, world.names(pods)) as pipe:
        server = pipe.recv()
        say(f"{objects:,} objects, {len(world.SIGNALS)} queries each")
        done = subprocess.run(
            [str(program), "-server", server, "-objects", str(objects), "-rounds", str(rounds)],
            capture_output=True,
            text=True,
            check=True,
            timeout=_ASKED_WITHIN,
        )
        counted = ask(pipe)["queries"]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    failed = sum(each["failed"] for each in found)
    if failed:
        raise RuntimeError(f"{failed} of {sum(each['queries'] for each in found)} queries failed")
    return {
        "pods": pods,
        "objects": objects,
        "queries": counted / (rounds + 1),  # the round that opened the connections is counted too
        "cpu": statistics.median(each["cpu"] for each in found),
        "clock": statistics.median(each["clock"] for each in found),
    }


def keep(found: list[dict[str, Any]], command: str) -> None:
    recorded = {"command": command, "machine": record.machine(), "sizes": found}
    RESULTS.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


def table() -> str:
    """Side by side with the operator's figures at the same sizes."""
    recorded = record.load(RESULTS)
    ours = {each["pods"]: each for each in record.load()["sizes"]}
    lines = [
        f"Measured by `{recorded['command']}` on {recorded['machine']}.",
        "",
        "| pods | Deployments | queries a tick, one per object and signal | CPU of the client that sends them |"
        " queries a tick, Leakwarden | CPU of its whole tick |",
        "|---|---|---|---|---|---|",
    ]
    for each in recorded["sizes"]:
        own = ours.get(each["pods"])
        cells = (f"{own['queries']:.0f}", f"{own['tick_cpu']:.2f} s") if own else ("not measured", "not measured")
        lines.append(
            f"| {each['pods']:,} | {each['objects']:,} | {each['queries']:,.0f} | {each['cpu']:.2f} s |"
            f" {cells[0]} | {cells[1]} |"
        )
    return "\n".join(lines)


def main(words: list[str]) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench.scale per-object", description=__doc__)
    options.add_argument("--pods", type=int, nargs="*", default=SIZES)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--record", action="store_true", help="keep the figures for docs/explanation/scale.md")
    asked = options.parse_args(words)
    found = []
    with tempfile.TemporaryDirectory() as name:
        program = built(Path(name))
        for pods in asked.pods:
            found.append(measure(program, pods, asked.rounds))
            print(json.dumps(found[-1]), flush=True)
    if asked.record:
        keep(found, " ".join(["python -m tests.bench.scale per-object", *words]))
    return 0
