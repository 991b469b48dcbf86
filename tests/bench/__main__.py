"""`python -m tests.bench`: draw the labelled series, replay them, score, and show what was missed.

Seeds: gates may be tuned on any seed but 2026 to 2029, which are for reporting, and on no seed of `unseen`.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.bench import report
from tests.bench.corpus import ALL, draw
from tests.bench.replaying import DETECTOR, run
from tests.bench.scoring import by_family, overall
from tests.bench.shapes import Labelled
from tests.bench.unseen import FAMILIES as UNSEEN

REPORTING_SEED = 2026


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seed", type=int, default=REPORTING_SEED, help="default: the reporting seed")
    parser.add_argument(
        "--workloads", type=int, default=4, help="workloads of each family, 1 to 6 pods each (default: 4)"
    )
    parser.add_argument(
        "--rated", type=float, default=0.75, help="share of workloads with a request rate (default: 0.75)"
    )
    parser.add_argument("--step", type=float, default=30.0, help="scrape interval in seconds (default: 30)")
    parser.add_argument("--family", action="append", choices=[*ALL, *UNSEEN], help="only these; may be repeated")
    parser.add_argument("--no-baselines", action="store_true", help="the detector alone")
    parser.add_argument("--png", metavar="FILE", help="write the plot as PNG")
    args = parser.parse_args()
    began = time.monotonic()

    def tell(text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - began:4.0f} s] {text}\n")

    groups = []
    for title, families in (("known families", ALL), ("families never tuned on", UNSEEN)):
        chosen = {name: family for name, family in families.items() if not args.family or name in args.family}
        if not chosen:
            continue
        traces = draw(chosen, args.seed, args.workloads, rate_share=args.rated, step=args.step)
        tell(f"{title}: drew {len(traces)} series, {sum(len(trace.series.t) for trace in traces)} readings")
        found = run(traces, baselines=not args.no_baselines, tell=tell)
        scores = {name: overall(traces, alarms) for name, alarms in found.items()}
        groups.append((title, scores))
        print(f"\n## {title}, seed {args.seed}{_what(traces)}\n")
        print(report.table(scores), end="\n\n")
        leaking, acting = (by_family(traces, found[name]) for name in DETECTOR)
        print(report.families(leaking, acting), end="\n\n")
        print(report.terminal_plot(scores))
    if args.png:
        report.png(args.png, groups)
        tell(f"wrote {args.png}")
    tell("done")
    return 0


def _what(traces: list[Labelled]) -> str:
    rated = sum(1 for trace in traces if trace.series.rate is not None)
    return f": {len(traces)} lives of processes, {rated} with a request rate"


if __name__ == "__main__":
    sys.exit(main())
