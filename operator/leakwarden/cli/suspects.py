"""`leakwarden suspects`: which line of a Go service leaks? From profiles on disk, without a cluster."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leakwarden.core.profile.evidence import Suspect
    from leakwarden.core.profile.pprof import Profile
    from leakwarden.core.profile.suspects import Capture


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "suspects",
        help="name the lines of a Go service that leak, from its profiles",
        description="Name the lines that leak, from profiles as /debug/pprof gives them: two goroutine profiles some"
        " seconds apart, and with them, as far as there are any, heap and goroutineleak profiles. Their kinds and times are"
        " read from the files. Exit code 0: nothing is suspected; 1: something is; 2: a file cannot be read.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="profiles of one process (.pb.gz, not text)")
    parser.add_argument(
        "--growing",
        action="append",
        default=[],
        choices=["goroutines", "descriptors", "connections", "memory"],
        help="what is known to grow for minutes, e.g. from a dashboard: then less growth between the profiles is enough",
    )
    parser.add_argument(
        "--module", action="append", default=[], metavar="PATH", help="a module of your own, where main's is not all"
    )
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from leakwarden.core.profile.pprof import ProfileError, decode
    from leakwarden.core.profile.suspects import suspects

    profiles = []
    for name in arguments.files:
        try:
            profiles.append(decode(Path(name).read_bytes()))
        except OSError as error:
            print(f"{name}: {error.strerror}", file=sys.stderr)
            return 2
        except ProfileError as error:
            print(f"{name}: not a profile: {error}", file=sys.stderr)
            return 2
    try:
        capture = _capture(profiles)
        found = suspects(capture, growing=frozenset(arguments.growing), modules=arguments.module)
    except ProfileError as error:
        print(f"leakwarden suspects: {error}", file=sys.stderr)
        return 2
    if len(capture.goroutines) == 1:
        print(
            "leakwarden suspects: one goroutine profile shows no growth; give two, some seconds apart", file=sys.stderr
        )
    print(_json(found) if arguments.output == "json" else _text(found))
    return 1 if found else 0


def _capture(profiles: list[Profile]) -> Capture:
    """Sort profiles by kind and time. Raises ProfileError where they cannot belong together."""
    from leakwarden.core.profile.pprof import ProfileError
    from leakwarden.core.profile.suspects import Capture

    def of(column: str) -> list[Profile]:
        return sorted((p for p in profiles if p.column(column) is not None), key=lambda p: p.taken)

    goroutines, heaps, leaked = of("goroutine"), of("inuse_space"), of("goroutineleak")
    if not goroutines:
        raise ProfileError("none of the files is a goroutine profile")
    if len(goroutines) + len(heaps) + len(leaked) < len(profiles):
        raise ProfileError("only goroutine, heap and goroutineleak profiles tell of leaks")
    seconds = goroutines[-1].taken - goroutines[0].taken
    if len(goroutines) > 1 and seconds <= 0:
        raise ProfileError("the goroutine profiles are of one moment: give two, some seconds apart")
    return Capture(goroutines, heaps, leaked[-1] if leaked else None, seconds)


def _text(found: list[Suspect]) -> str:
    if not found:
        return "nothing is suspected"
    blocks = []
    for suspect in found:
        lines = [
            f"{suspect.confidence.value:<6}  {suspect.headline}",
            *(f"        because  {reason}" for reason in suspect.reasons),
            *(f"        under    {key}={value}" for key, value in suspect.labels[:4]),
            *(f"        called by {f.function} ({f.file.rpartition('/')[2]}:{f.line})" for f in suspect.callers[:1]),
            f"        why      {suspect.why}",
            f"        fix      {suspect.fix}",
            *(
                f"        {'stack' if n == 0 else '':<8} {f.function}  {f.file}:{f.line}"
                for n, f in enumerate(suspect.stack[:8])
            ),
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _json(found: list[Suspect]) -> str:
    return json.dumps(
        [{**asdict(s), "confidence": s.confidence.value, "headline": s.headline} for s in found], indent=2
    )
