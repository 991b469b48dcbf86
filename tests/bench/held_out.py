"""Phenomena from a file that the detector's authors have not read: `python -m tests.bench --held-out FILE.py`.

The interface is documented in README.md, "Held-out phenomena". Nothing found here may set a threshold.
"""

from __future__ import annotations

import runpy
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tests.bench.shapes import Labelled

Phenomenon = Callable[[np.random.Generator], Sequence[Labelled]]


class HeldOutUnusable(Exception):
    """The file, or a drawing of a phenomenon, does not match the interface; the message is for people."""


def load(file: str) -> dict[str, Phenomenon]:
    """The functions of PHENOMENA by name."""
    found = runpy.run_path(file).get("PHENOMENA")
    if not isinstance(found, Sequence) or not found or not all(callable(each) for each in found):
        raise HeldOutUnusable(f"{file}: PHENOMENA must be a sequence of functions, each rng -> sequence of Labelled")
    by_name = {each.__name__: each for each in found}
    if len(by_name) < len(found):
        raise HeldOutUnusable(f"{file}: two functions of PHENOMENA have one name")
    return by_name


def draw(phenomena: dict[str, Phenomenon], seed: int, workloads: int) -> list[Labelled]:
    """`workloads` of each phenomenon, each from a random stream of its own. Names are made unique: workloads share
    nothing."""
    traces: list[Labelled] = []
    for name, phenomenon in phenomena.items():
        for number in range(workloads):
            rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
            for i, trace in enumerate(phenomenon(rng)):
                check(name, trace)
                own = f"{name}-{seed}-{number}"
                series = replace(
                    trace.series, namespace=f"seed-{seed}", workload=f"{own}/{trace.series.workload}",
                    pod=f"{own}/{trace.series.pod}", uid=f"{own}/{trace.series.uid or i}",
                )  # fmt: skip
                traces.append(replace(trace, family=name, series=series))
    return traces


def check(name: str, trace: Labelled) -> None:
    """Raises HeldOutUnusable with the error."""
    s = trace.series
    n = len(s.t)
    for field, values in (("v", s.v), ("rate", s.rate), ("gc", s.gc), ("rss", s.rss)):
        if values is not None and len(values) != n:
            raise HeldOutUnusable(f"{name}: {field} has {len(values)} values and t has {n}")
    if n < 2 or np.any(np.diff(s.t) <= 0):
        raise HeldOutUnusable(f"{name}: t must ascend strictly and have two moments at least")
    if trace.leaky and trace.exhausts is not None and (trace.onset is None or trace.onset >= trace.exhausts):
        raise HeldOutUnusable(f"{name}: a leak that exhausts needs an onset before that")
