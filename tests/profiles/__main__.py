"""`python -m tests.profiles build` takes the profiles anew; `... score` says how often the right line is named."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.profiles.building import VERSIONS, BuildFailed, build
from tests.profiles.truth import programs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.profiles", description=__doc__)
    parser.add_argument("--unseen", metavar="DIR", type=Path, help="score the services in this folder instead")
    parser.add_argument(
        "--no-libraries",
        action="store_true",
        help="with --unseen: as if no library were known, neither by a row nor by the list",
    )
    commands = parser.add_subparsers(dest="command")
    building = commands.add_parser("build", help="run the programs under load and keep their profiles")
    building.add_argument("--go", action="append", choices=VERSIONS, help="only this Go version (repeatable)")
    building.add_argument("--program", action="append", metavar="NAME", help="only this one (repeatable)")
    libraries = commands.add_parser("libraries", help="the same of the services that use real libraries")
    libraries.add_argument("--go", action="append", metavar="VERSION", help="only this Go version (repeatable)")
    libraries.add_argument("--program", action="append", metavar="NAME", help="only this one (repeatable)")
    libraries.add_argument(
        "--timing", default="", metavar="NAME", help="2min or 1h in place of seconds (1h: time is pressed)"
    )
    libraries.add_argument(
        "--form", action="append", metavar="FORM", help="only leak, repaired or healthy (repeatable)"
    )
    commands.add_parser("score", help="print how often the right line is named, by shape and Go version")
    commands.add_parser("readme", help="write the tables of README.md from the profiles")
    commands.add_parser(
        "harvest",
        aliases=["symbols"],
        help="read the libraries' sources: what has to be ended, and what the table of kinds names",
    )
    arguments = parser.parse_args()
    if arguments.command == "readme":
        from tests.profiles.readme import write

        write()
        return 0
    if arguments.no_libraries:
        _forget_libraries()
    if arguments.unseen is not None:
        return _unseen(arguments.unseen)
    if arguments.command is None:
        parser.error("give build, score or --unseen DIR")
    if arguments.command == "build":
        try:
            known = {program.name: program for program in programs()}
            if unknown := sorted(set(arguments.program or ()) - set(known)):
                raise BuildFailed(f"no such programs: {', '.join(unknown)}")
            build([known[name] for name in arguments.program or known], arguments.go or VERSIONS)
        except (BuildFailed, ValueError) as error:
            print(f"profiles: {error}", file=sys.stderr)
            return 1
        return 0
    if arguments.command in ("harvest", "symbols"):
        from tests.profiles.symbols import rebuild

        try:
            rebuild()
        except BuildFailed as error:
            print(f"profiles: {error}", file=sys.stderr)
            return 1
        return 0
    if arguments.command == "libraries":
        from tests.profiles import libraries as services

        try:
            if arguments.timing not in services.TIMINGS:
                raise BuildFailed(
                    f"--timing is {arguments.timing!r}; {', '.join(filter(None, services.TIMINGS))} is allowed"
                )
            if unknown := sorted(set(arguments.form or ()) - set(services.FORMS)):
                raise BuildFailed(f"--form is {unknown[0]!r}; {', '.join(services.FORMS)} is allowed")
            services.build(
                arguments.program or (),
                arguments.go or services.VERSIONS,
                arguments.timing,
                arguments.form or services.FORMS,
            )
        except BuildFailed as error:
            print(f"profiles: {error}", file=sys.stderr)
            return 1
        return 0
    from tests.profiles.scoring import print_scores

    return print_scores()


def _forget_libraries() -> None:
    """Take the rows of libraries and the list of endings away. To be called before the catalogue is imported."""
    from leakwarden.core.profile import endings, library_shapes

    vars(library_shapes)["LIBRARIES"] = ()
    vars(endings)["endings"] = dict


def _unseen(folder: Path) -> int:
    from leakwarden.core.profile.pprof import ProfileError
    from tests.profiles.unseen import NoTruth, print_unseen

    try:
        return print_unseen(folder)
    except (NoTruth, ProfileError, OSError) as error:
        print(f"profiles: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
