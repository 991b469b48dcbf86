"""Requests and limits by cluster size, from the measured figures: the rule is here, and nowhere a number by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench.scale import record

MIB = 1 << 20
# Above what was measured: pods with more containers or signals, and other versions of Python and glibc.
MEMORY_MARGIN = 1.25
CPU_MARGIN = 2.0  # a tick must not take all of its interval while the node is busy
INTERVAL = 30.0  # s, the chart's
_STEP = 64  # MiB
_CPU_STEP = 50  # millicores


@dataclass(frozen=True, slots=True)
class Size:
    pods: int
    cpu: int  # millicores requested; no limit, which would only delay verdicts
    memory: int  # MiB requested
    limit: int  # MiB

    @property
    def as_values(self) -> str:
        """As `resources` of the chart's values, in one line of YAML."""
        return f"{{requests: {{cpu: {self.cpu}m, memory: {self.memory}Mi}}, limits: {{memory: {self.limit}Mi}}}}"


def size_of(measured: Mapping[str, Any]) -> Size:
    """Memory is requested by the steady use and limited by the highest, that of the first read, each with the margin;
    CPU is requested by a steady tick."""
    return Size(
        measured["pods"],
        up(measured["tick_cpu"] / INTERVAL * CPU_MARGIN * 1000, _CPU_STEP),
        up(measured["rss"] * MEMORY_MARGIN / MIB, _STEP),
        up(measured["peak"] * MEMORY_MARGIN / MIB, _STEP),
    )


def up(value: float, step: int) -> int:
    """Rounded up to a multiple of the step, and never 0."""
    return max(1, math.ceil(value / step)) * step


def sizes() -> list[Size]:
    """One for each measured size of cluster, the smallest first."""
    return [size_of(each) for each in sorted(record.load()["sizes"], key=lambda each: int(each["pods"]))]


def table() -> str:
    lines = ["| pods, up to | CPU request | memory request | memory limit | `resources` |", "|---|---|---|---|---|"]
    for each in sizes():
        lines.append(f"| {each.pods:,} | {each.cpu}m | {each.memory}Mi | {each.limit}Mi | `{each.as_values}` |")
    return "\n".join(lines)
