"""`make scale`: what one operator costs on clusters of up to the largest size that Kubernetes supports.

python -m tests.bench.scale                        played servers, up to 150,000 pods
python -m tests.bench.scale --kwok                 a real API server and etcd, nodes and pods of kwok
python -m tests.bench.scale --profile 10000        where the CPU of a tick goes
python -m tests.bench.scale per-object             the same readings with a query per object
python -m tests.bench.scale week                   a week pressed into an hour, with faults
"""

from __future__ import annotations

import argparse
import json
import sys

from e2e.cluster.simulated import interrupted_by_sigterm
from tests.bench.scale import record, shares
from tests.bench.scale.measured import measure, played, profile
from tests.bench.scale.simulated import LARGEST, simulated

SIZES = (1_000, 10_000, 50_000, 150_000)
KWOK_SIZES = (1_000, 10_000, 20_000)


def main() -> int:
    if sys.argv[1:2] == ["week"]:
        from tests.bench.scale import week

        return week.main(sys.argv[2:])
    if sys.argv[1:2] == ["per-object"]:
        from tests.bench.scale import per_object

        return per_object.main(sys.argv[2:])
    options = argparse.ArgumentParser(
        prog="python -m tests.bench.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--pods", type=int, nargs="*", help="sizes of clusters")
    options.add_argument("--kwok", action="store_true", help="a real API server with simulated nodes and pods")
    options.add_argument("--profile", type=int, metavar="PODS", help="a profile of a steady tick at that size instead")
    options.add_argument("--ticks", type=int, default=4)
    options.add_argument("--interval", type=float, default=30.0)
    options.add_argument("--port", type=int, default=18098)
    options.add_argument("--record", action="store_true", help="keep the figures for docs/explanation/scale.md")
    asked = options.parse_args()
    command = " ".join(["python -m tests.bench.scale", *sys.argv[1:]])
    sizes = asked.pods or (KWOK_SIZES if asked.kwok else SIZES)
    if asked.kwok and max(sizes) > LARGEST:
        options.error(f"--pods {max(sizes)}: --kwok is for at most {LARGEST}; larger clusters are played")
    with interrupted_by_sigterm():
        if asked.profile is not None:
            ticks = profile(asked.profile, ticks=asked.ticks, interval=asked.interval, port=asked.port)
            print(json.dumps(shares.by_part(shares.together(ticks)), indent=1))
            if asked.record:
                shares.keep(asked.profile, ticks, command, record.machine())
            return 0
        found = []
        for pods in sizes:
            servers = simulated if asked.kwok else played
            one = measure(pods, ticks=asked.ticks, interval=asked.interval, port=asked.port, servers=servers)
            found.append(one.as_json())
            print(json.dumps(found[-1]), flush=True)
    if asked.record:
        record.keep(found, command, real=asked.kwok)
    return 0


if __name__ == "__main__":
    sys.exit(main())
