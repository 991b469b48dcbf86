"""`leakwarden suspects`: which line of a Go service leaks? From profiles on disk, without a cluster."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leakwarden.cli.errors import NoProfiles, fail, say
from leakwarden.cli.evidence.shared import PATH

if TYPE_CHECKING:
    from leakwarden.core.profile.evidence import Findings
    from leakwarden.core.profile.pprof import Profile
    from leakwarden.core.profile.suspects import Capture

COMMAND = "suspects"
SHORTEST, LONGEST = 10.0, 3600.0  # s; the bounds of --for


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="name the lines of a Go service that leak, from its profiles",
        description="Name the lines that leak, from profiles as /debug/pprof gives them: any number of goroutine profiles of"
        " one process, and with them, as far as there are any, heap and goroutineleak profiles. Their kinds and times are"
        " read from the files. The longer the time between the first and the last, and the more there are, the surer: two"
        " captures within seconds cannot tell a leak from load. With --pod they are taken from a running pod first, through"
        " the API server, which needs the right to get pods and pods/proxy. Exit code 0: nothing grew that the"
        " profiles can show; 1: something is; 2: a file or the pod cannot be read.",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="profiles of one process (.pb.gz, not text)")
    parser.add_argument("--pod", metavar="NAMESPACE/POD", help="take the profiles of this pod, ten seconds apart")
    parser.add_argument(
        "--for",
        dest="duration",
        metavar="DURATION",
        help="with --pod: take them over this time, such as 2m: a capture at the start, at the end and three between",
    )
    parser.add_argument(
        "--port", type=int, help="with --pod: the port of /debug/pprof (default: as the operator finds it)"
    )
    parser.add_argument("--path", help=f"with --pod: the path above the profiles (default: {PATH})")
    parser.add_argument("--save", metavar="DIR", help="with --pod: keep the profiles here")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: KUBECONFIG, the pod's account, ~/.kube/config")
    parser.add_argument("--context", metavar="NAME", help="a context of the kubeconfig (default: its current one)")
    parser.add_argument(
        "--growing",
        action="append",
        default=[],
        choices=["goroutines", "descriptors", "connections", "memory", "rss"],
        help="what is known to grow for minutes, e.g. from a dashboard: then less growth between the profiles is enough",
    )
    parser.add_argument(
        "--module",
        action="append",
        default=[],
        metavar="PATH",
        help="a module of your own beside main's, such as a company library",
    )
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from leakwarden.core.profile.pprof import ProfileError
    from leakwarden.core.profile.suspects import explain

    if bool(arguments.files) == bool(arguments.pod):
        return fail(COMMAND, "give profiles, or a pod with --pod to take them from")
    if refusal := _misused(arguments):
        return fail(COMMAND, refusal)
    try:
        capture = _taken(arguments) if arguments.pod else _read(arguments.files)
        found = explain(capture, growing=frozenset(arguments.growing), modules=arguments.module)
    except (ProfileError, NoProfiles) as error:
        return fail(COMMAND, str(error))
    if len(capture.goroutines) == 1:
        say(COMMAND, "one goroutine profile shows no growth; give two, some seconds apart")
    print(_json(found) if arguments.output == "json" else _text(found))
    return 1 if found.suspects else 0


def _misused(arguments: argparse.Namespace) -> str:
    """The error in the options that go with --pod, or empty."""
    from leakwarden.api.scalars import parse_duration

    for option, value in (
        ("port", arguments.port),
        ("path", arguments.path),
        ("save", arguments.save),
        ("for", arguments.duration),
    ):
        if arguments.files and value is not None:
            return f"--{option} says how profiles are taken with --pod; leave it out"
    if arguments.port is not None and not 1 <= arguments.port <= 65535:
        return f"--port is {arguments.port}; 1 to 65535 is allowed"
    if arguments.duration is not None:
        try:
            seconds = parse_duration(arguments.duration)
        except ValueError:
            return f"--for is {arguments.duration[:60]!r}; a duration such as 90s or 2m is allowed"
        if not SHORTEST <= seconds <= LONGEST:
            return f"--for is {arguments.duration[:60]!r}; {SHORTEST:g}s to {LONGEST / 60:g}m is allowed"
    if arguments.path is not None and not arguments.path.startswith("/"):
        return f"--path is {arguments.path[:60]!r}; it must begin with /, as {PATH} does"
    return ""


def _taken(arguments: argparse.Namespace) -> Capture:
    """Profiles of a running pod. Raises NoProfiles."""
    from leakwarden.cli.evidence.suspects_pod import take

    return take(arguments)


def _read(names: list[str]) -> Capture:
    """Profiles from files. Raises NoProfiles, ProfileError."""
    from leakwarden.core.profile.pprof import DecodeLimits, ProfileError, decode

    profiles = []
    for name in names:
        try:
            with Path(name).open("rb") as source:
                # One byte more than the most that is decoded, so that a file that is too large is refused and not cut.
                profiles.append(decode(source.read(DecodeLimits().inflated + 1)))
        except OSError as error:
            raise NoProfiles(f"{name}: {error.strerror}") from None
        except ProfileError as error:
            raise NoProfiles(f"{name}: not a profile: {error}") from None
    return _capture(profiles)


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


def _text(found: Findings) -> str:
    from leakwarden.core.profile.ownership import spelled

    if not found.suspects:
        # Small leaks leave no trace in short captures: that nothing is seen does not mean that nothing leaks.
        return f"nothing grew that these profiles can show: {found.looked_at}\n{found.unseen}"
    blocks = []
    for suspect in found.suspects:
        explained = f" ({suspect.explained})" if suspect.explained else ""
        lines = [
            f"{suspect.confidence.value:<6}  {suspect.headline}{explained}",
            *(f"        because  {reason}" for reason in suspect.reasons),
            *(f"        under    {key}={value}" for key, value in suspect.labels[:4]),
            *(
                f"        called by {spelled(f.function)} ({f.file.rpartition('/')[2]}:{f.line})"
                for f in suspect.callers[:1]
            ),
            f"        why      {suspect.why}",
            f"        fix      {suspect.fix}",
            *([f"        docs     {suspect.docs}"] if suspect.docs else []),
            *(
                f"        {'stack' if n == 0 else '':<8} {spelled(f.function)}  {f.file}:{f.line}"
                for n, f in enumerate(suspect.stack[:8])
            ),
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, f"looked at: {found.looked_at}"])


def _json(found: Findings) -> str:
    from leakwarden.core.profile.ownership import spelled

    return json.dumps(
        [
            {
                **asdict(s),
                "function": spelled(s.function),
                "waiting_in": spelled(s.waiting_in),
                "confidence": s.confidence.value,
                "headline": s.headline,
            }
            for s in found.suspects
        ],
        indent=2,
    )
