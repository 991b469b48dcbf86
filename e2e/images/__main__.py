"""``python3 -m e2e.images build NAME...`` prints the path of each archive; ``list`` the names."""

from __future__ import annotations

import argparse
import sys

from e2e.cluster.errors import ClusterError
from e2e.cluster.progress import say
from e2e.images.builders import BUILDERS, build_image


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m e2e.images", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    build = verbs.add_parser("build", help="write the archives of these images")
    build.add_argument("names", nargs="+", metavar="NAME", help=f"one of: {', '.join(BUILDERS)}")
    verbs.add_parser("list", help="print the names")
    chosen = parser.parse_args(arguments)
    if chosen.verb == "list":
        print("\n".join(BUILDERS))
        return 0
    try:
        for name in chosen.names:
            print(build_image(name), flush=True)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
