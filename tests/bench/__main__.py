"""`python -m tests.bench`: draw the labelled series, replay them, score, and show what was missed.

Seeds: gates may be tuned on any seed but 2026 to 2049, which are for reporting, and on no seed of `unseen`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.bench import held_out, record, report, worlds
from tests.bench.corpus import ALL, draw
from tests.bench.replaying import ACTED, INTERVAL, TOLD, run
from tests.bench.scoring import Scores
from tests.bench.shapes import Labelled, Scene
from tests.bench.unseen import FAMILIES as UNSEEN

REPORTING_SEEDS = "2046-2053"


def seeds(text: str) -> range:
    """`7` or `7-12`, both ends included."""
    first, dash, last = text.partition("-")
    chosen = range(int(first), int(last if dash else first) + 1)
    if not chosen:
        raise ValueError(text)
    return chosen


def by_group(scores: Scores, traces: Sequence[Labelled], found: Mapping[str, Mapping[int, Sequence[float]]]) -> None:
    """Add each world once for each group of components that it holds, under the group's name."""
    named = [(i, name) for i, trace in enumerate(traces) for name in worlds.groups_of(trace)]
    again = [replace(traces[i], family=name) for i, name in named]
    scores.add(
        again, {rule: {j: alarms.get(i, ()) for j, (i, _) in enumerate(named)} for rule, alarms in found.items()}
    )


def _drawn(chosen: Mapping[str, Callable[[Scene], None]], args: argparse.Namespace, seed: int) -> list[Labelled]:
    return draw(chosen, seed, args.workloads, rate_share=args.rated, step=args.step)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--seeds", type=seeds, default=REPORTING_SEEDS, metavar="N[-M]",
        help=f"one or several draws (default: {REPORTING_SEEDS}, for reporting only)",
    )  # fmt: skip
    parser.add_argument(
        "--workloads", type=int, default=4, help="workloads of each family, 1 to 6 pods each (default: 4)"
    )
    parser.add_argument(
        "--rated", type=float, default=0.75, help="share of workloads with a request rate (default: 0.75)"
    )
    parser.add_argument("--step", type=float, default=30.0, help="scrape interval in seconds (default: 30)")
    parser.add_argument("--family", action="append", choices=[*ALL, *UNSEEN], help="only these; may be repeated")
    parser.add_argument(
        "--worlds", type=int, metavar="N", help="N composed worlds of each scale (worlds.py) instead of the families"
    )
    parser.add_argument("--held-out", metavar="FILE.py", help="phenomena of this file instead of the families")
    parser.add_argument("--no-baselines", action="store_true", help="the detector alone")
    parser.add_argument(
        "--curve", action="store_true", help=f"keep the points in {record.CURVES.name}, which the picture is drawn from"
    )
    parser.add_argument(
        "--record", action="store_true", help=f"keep the figures in {record.FILE.name}, which the documentation shows"
    )
    args = parser.parse_args()
    began = time.monotonic()

    def tell(text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - began:4.0f} s] {text}\n")

    drawings: list[tuple[str, Callable[[int], list[Labelled]], float]] = []
    if args.worlds:
        drawings += [
            (
                f"composed worlds: {scale}",
                partial(worlds.draw, workloads=args.worlds, scale=scale),
                max(of.step, INTERVAL),
            )
            for scale, of in worlds.SCALES.items()
        ]
    elif args.held_out:
        phenomena = held_out.load(args.held_out)
        drawings.append(
            (
                f"held-out phenomena ({Path(args.held_out).stem})",
                lambda seed: held_out.draw(phenomena, seed, args.workloads),
                INTERVAL,
            )
        )
    else:
        for title, families in (("known families", ALL), ("families never tuned on", UNSEEN)):
            chosen = {name: family for name, family in families.items() if not args.family or name in args.family}
            if chosen:
                drawings.append((title, partial(_drawn, chosen, args), INTERVAL))
    recorded = []
    pooled, of_groups = Scores(), Scores()
    for title, drawing, interval in drawings:
        scores, lives, rated = Scores(), 0, 0
        kinds: set[str] = set()
        for seed in args.seeds:
            traces = drawing(seed)
            tell(f"{title}, seed {seed}: {len(traces)} lives of processes")
            lives += len(traces)
            kinds |= {trace.family for trace in traces}
            rated += sum(1 for trace in traces if trace.series.rate is not None)
            found = run(traces, baselines=not args.no_baselines, tell=tell, interval=interval)
            scores.add(traces, found)
            if args.worlds:
                pooled.add(traces, found)
                by_group(of_groups, traces, found)
        shown = report.usual(scores.overall)
        drawn = f"seed {args.seeds[0]}" if len(args.seeds) == 1 else f"seeds {args.seeds[0]} to {args.seeds[-1]}"
        print(f"\n## {title}, {drawn}: {lives} lives of processes, {rated} with a request rate\n")
        print(report.table(scores.overall), end="\n\n")
        tables = [] if args.no_baselines else [report.at_their_best(scores.overall, TOLD)]
        tables.append(report.families(scores.by_family[TOLD], scores.by_family[ACTED]))
        print(*tables, sep="\n\n", end="\n\n")
        if args.curve and not args.worlds:
            record.add(record.group(title, drawn, (len(kinds), lives, rated), scores.overall), record.CURVES)
        # Without the list of failures below the table of families.
        shortened = [text.partition("\n\n")[0] for text in tables]
        recorded.append(record.group(title, drawn, (len(kinds), lives, rated), shown, *shortened))
        print(report.terminal_plot(scores.overall))
    if args.worlds:
        print("\n## all composed worlds, and the groups of components that they hold\n")
        print(report.table(pooled.overall), end="\n\n")
        print(report.groups(of_groups.by_family[TOLD], of_groups.by_family[ACTED]))
        if args.curve:
            counts = (len(drawings), sum(each.lives for each in recorded), sum(each.rated for each in recorded))
            record.add(record.group("composed worlds", recorded[0].seeds, counts, pooled.overall), record.CURVES)
    if args.record:
        for each in recorded:
            record.add(each, record.FILE)
        tell(f"wrote {record.FILE}")
    tell("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
