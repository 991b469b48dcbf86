"""`python -m tests.bench.causes`: are the five causes of errors at a proxy told apart?

Exit codes: 0 nine of ten episodes of each kind are right, 1 those of some kind are not, 2 an episode cannot be read.
Seeds 0 to 99 are for setting points and thresholds; report others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.__main__ import seeds
from tests.bench.causes.episodes import BadEpisode, read
from tests.bench.causes.mixtures import drawn, recorded, sketched
from tests.bench.causes.scoring import scored, table, wrong

REPORTING_SEEDS = "7000-7099"
UNSEEN_SEEDS = "1-20"


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.bench.causes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--seeds",
        type=seeds,
        help=f"7 or 7-12 (default: {REPORTING_SEEDS}, with --unseen {UNSEEN_SEEDS})",
    )
    options.add_argument("--unseen", type=Path, metavar="DIR", help="score the episodes of this folder instead")
    options.add_argument("--wrong", action="store_true", help="name each episode that is not right")
    asked = options.parse_args(arguments)
    chosen = asked.seeds or seeds(UNSEEN_SEEDS if asked.unseen else REPORTING_SEEDS)
    try:
        scores = scored(
            read(asked.unseen, chosen) if asked.unseen else (*drawn(chosen), *sketched(chosen), *recorded())
        )
    except BadEpisode as error:
        print(f"causes: {error}", file=sys.stderr)
        return 2
    print(table(scores))
    if asked.wrong:
        print("\n".join(["", *wrong(scores)]))
    return 0 if all(score.enough for score in scores.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
