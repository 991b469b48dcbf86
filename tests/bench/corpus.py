"""Draw all families with a seed. Every family has a random stream of its own, so that a new one does not change the
others."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import numpy as np

from tests.bench import healthy, leaky
from tests.bench.shapes import Labelled, Scene

SMALL = healthy.SMALL | leaky.SMALL
ALL: Mapping[str, Callable[[Scene], None]] = {**healthy.FAMILIES, **leaky.FAMILIES}


def draw(
    families: Mapping[str, Callable[[Scene], None]], seed: int, workloads: int, *, rate_share: float = 0.75,
    days: float = 3.0, step: float = 30.0,
) -> list[Labelled]:  # fmt: skip
    """`workloads` of each family. `rate_share` of them report a request rate; the rest are judged without one."""
    out: list[Labelled] = []
    for name, family in families.items():
        for number in range(workloads):
            rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
            rated = rng.random() < rate_share
            scene = Scene(
                rng,
                name,
                number,
                days=days,
                step=step,
                namespace=f"seed-{seed}",
                small_limit=name in SMALL,
                with_rate=bool(rated),
            )
            family(scene)
            out += scene.out
    return out
