"""`make scale`: what one operator costs on clusters of up to the largest size that Kubernetes supports."""

from __future__ import annotations

import argparse
import json
import sys

from tests.bench.scale import record
from tests.bench.scale.measured import measure

SIZES = (1_000, 10_000, 50_000, 150_000)


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    options.add_argument("--pods", type=int, nargs="*", default=SIZES)
    options.add_argument("--ticks", type=int, default=4)
    options.add_argument("--interval", type=float, default=30.0)
    options.add_argument("--port", type=int, default=18098)
    options.add_argument("--record", action="store_true", help="keep the figures for docs/explanation/scale.md")
    asked = options.parse_args()
    found = []
    for pods in asked.pods:
        found.append(measure(pods, ticks=asked.ticks, interval=asked.interval, port=asked.port).as_json())
        print(json.dumps(found[-1]), flush=True)
    if asked.record:
        record.keep(found, " ".join(["python -m tests.bench.scale", *sys.argv[1:]]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
