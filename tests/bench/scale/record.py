"""The recorded figures of the bench, and the table and plot of docs/explanation/scale.md made from them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

RESULTS = Path(__file__).with_name("results.json")
REAL = Path(__file__).with_name("kwok.json")
PLOT = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "scale.png"
MIB = float(1 << 20)


def machine() -> str:
    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"


def keep(found: Sequence[dict[str, Any]], command: str, *, real: bool = False) -> None:
    """Write the figures, with the command and the machine that produced them, and draw them. `real`: those with a real
    API server, which are kept in a file of their own."""
    recorded = {"command": command, "machine": machine(), "sizes": list(found)}
    (REAL if real else RESULTS).write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
    draw()


def load(path: Path = RESULTS) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return recorded


def draw() -> None:
    sizes = load()["sizes"]
    pods = [each["pods"] for each in sizes]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    left.loglog(pods, [each["tick_cpu"] for each in sizes], "o-")
    left.set(xlabel="pods", ylabel="CPU of a steady tick (s)")
    right.loglog(pods, [each["peak"] / MIB for each in sizes], "o-", label="highest, during the first read")
    right.loglog(pods, [each["rss"] / MIB for each in sizes], "o-", label="steady")
    right.set(xlabel="pods", ylabel="memory (MiB)")
    right.legend()
    for axes in (left, right):
        axes.grid(True, which="both", alpha=0.3)
    figure.tight_layout()
    figure.savefig(PLOT, dpi=110)
    plt.close(figure)


def table() -> str:
    """The played clusters."""
    return _table(load())


def real_table() -> str:
    """Those with a real API server."""
    return _table(load(REAL))


def _table(recorded: Mapping[str, Any]) -> str:
    heads = (
        "pods", "policies", "CPU of a steady tick", "memory, steady", "memory, highest", "start to first verdicts",
        "queries a tick", "statuses written a tick", "slowest /healthz",
    )  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for each in recorded["sizes"]:
        writes = each["writes"]
        cells = (
            f"{each['pods']:,}", f"{each['policies']:,}", f"{each['tick_cpu']:.2f} s", f"{each['rss'] / MIB:,.0f} MiB",
            f"{each['peak'] / MIB:,.0f} MiB", f"{each['first_verdict']:.0f} s", f"{each['queries']:.0f}",
            "not counted" if writes is None else f"{writes:.1f}", f"{each['slowest_probe']:.2f} s",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([f"Measured by `{recorded['command']}` on {recorded['machine']}.", "", *lines])
