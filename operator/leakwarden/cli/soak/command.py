"""`leakwarden soak`: a service under load for a set time, as a gate for CI: does any signal leak, and at which line?"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from leakwarden.cli.errors import CommandFailed, Misused, NeverRead, fail, say
from leakwarden.cli.soak.targets import add_target_options, reach
from leakwarden.cli.watch.options import LONGEST, add_watch_options, options_of, place

if TYPE_CHECKING:
    from leakwarden.adapters.load import Tally
    from leakwarden.cli.watch.options import WatchOptions
    from leakwarden.cli.watch.process import ChildProcess
    from leakwarden.cli.watch.session import Proof
    from leakwarden.core.watch.outcome import Outcome

COMMAND = "soak"
RATE = 50.0  # requests/s
PER_MILLION = 5000.0  # one request in two hundred
SHORTEST = 60.0  # s; a shorter time does not fill the detector's second window
WARM_UP = 10.0  # s of load before the first reading, at most; and at most a sixth of the whole time
# More requests than the Poisson law requires: the load warms up before it is counted, and some may fail.
_MORE = 1.1

_ABOUT = """\
Sends load to a service, judges its own metrics meanwhile as the operator does, and fails where a signal leaks, with
the line. The time is what the load needs to show a leak as rare as --per-million, unless --for says more.

  leakwarden soak --exec './server' --load http://127.0.0.1:8080/checkout http://127.0.0.1:8080
  leakwarden soak --load http://127.0.0.1:8080/a --load http://127.0.0.1:8080/b --rate 200 --per-million 1000 \\
      --junit soak.xml http://127.0.0.1:8080/metrics --pprof http://127.0.0.1:6060

  leakwarden soak deployment/checkout -n shop --load /checkout --port 8080 --pprof-port 6060
  leakwarden soak image:registry.example/checkout:1.2 --load /checkout

Load goes to the addresses of --load and nowhere else.
"""
_EXIT = """\
exit code: 0 no signal that was judged leaks and the load was enough, 1 a leak was found, 2 wrong usage or nothing
could be read, 3 not enough was seen to say (too few requests answered, too many failed, suspected and not proven)
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="press a service with load and fail the build where it leaks",
        description=_ABOUT,
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "url",
        metavar="TARGET",
        help="the metrics of the process, e.g. http://127.0.0.1:8080/metrics; or deployment/NAME of a cluster, of which one"
        " pod is pressed; or image:REFERENCE, which docker or podman starts",
    )
    parser.add_argument(
        "--load",
        action="append",
        required=True,
        metavar="URL",
        help="where requests go; may be repeated, then they take turns. For a Deployment or an image a path, such as /checkout",
    )
    parser.add_argument("--rate", type=float, default=RATE, help=f"requests per second (default: {RATE:g})")
    parser.add_argument(
        "--per-million", type=float, default=PER_MILLION, metavar="N",
        help=f"a leak in N of a million requests must be able to show (default: {PER_MILLION:g})",
    )  # fmt: skip
    add_watch_options(parser, "")
    add_target_options(parser)
    parser.add_argument("--junit", metavar="FILE", help="write the result as JUnit XML")
    parser.add_argument(
        "--github", action="store_true", help="print GitHub annotations (default: where GITHUB_ACTIONS is true)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from leakwarden.cli.watch.process import ChildProcess

    try:
        with ExitStack() as stack:
            reach(arguments, stack)
            options, urls = _options(arguments)
            child = stack.enter_context(ChildProcess(arguments.command)) if arguments.command is not None else None
            try:
                outcome, proof, tally = asyncio.run(_soak(options, urls, arguments.rate, child))
            except NeverRead:
                if child is not None and child.last_words():
                    say(COMMAND, f"the last it wrote: {child.last_words()[-400:]}")
                raise
    except CommandFailed as error:
        return fail(COMMAND, str(error))
    return _result(arguments, options, (outcome, proof, tally), child)


def _options(arguments: argparse.Namespace) -> tuple[WatchOptions, list[str]]:
    """Raises Misused."""
    from leakwarden.adapters.load import MOST_RATE
    from leakwarden.cli.report.input import writable
    from leakwarden.core.watch.reach import requests_needed

    if not 0.1 <= arguments.rate <= MOST_RATE:
        raise Misused(f"--rate is {arguments.rate:g}; 0.1 to {MOST_RATE:g} requests per second are allowed")
    if not 1 <= arguments.per_million <= 1_000_000:
        raise Misused(f"--per-million is {arguments.per_million:g}; 1 to 1000000 is allowed")
    for option, file in (("--junit", arguments.junit), ("--page", arguments.page)):
        if file and (refusal := writable(file)):
            raise Misused(f"{option} {file} {refusal}")
    needed = requests_needed(arguments.per_million)
    seconds = max(SHORTEST, _MORE * needed / arguments.rate)
    if not arguments.length:
        if seconds > LONGEST:
            raise Misused(
                f"a leak of {arguments.per_million:g} per million needs {needed:,} requests to show, which take"
                f" {seconds / 3600:.0f} hours at --rate {arguments.rate:g}; raise one of the two"
            )
        arguments.length = f"{seconds:.0f}s"
    options = options_of(arguments)
    return options, [place(text, "--load", "/").url for text in arguments.load]


async def _soak(
    options: WatchOptions, urls: list[str], rate: float, child: ChildProcess | None
) -> tuple[Outcome, Proof, Tally]:
    """Raises NeverRead."""
    from leakwarden.adapters.load import Load, Tally
    from leakwarden.adapters.metrics_page import MetricsPage
    from leakwarden.cli.report.command import look as terminal_look
    from leakwarden.cli.watch.command import stopping
    from leakwarden.cli.watch.profiles import collected
    from leakwarden.cli.watch.screen import screen_for
    from leakwarden.cli.watch.session import COMING_UP, PAUSE, Session

    look = terminal_look()
    live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    title = f"{child.name if child is not None else options.metrics.url}, {rate:g} requests/s"
    warm_up = min(WARM_UP, options.length / 6)
    tally, sending = Tally(), []
    async with MetricsPage(options.metrics.url) as page, Load(urls) as load:
        session = Session(options, page, child, screen_for(title, options.length, look.colours, look.unicode, live))

        async def prepare() -> None:
            # The load goes on while profiles are taken at the end: code without requests does not leak.
            seconds = warm_up + options.length + COMING_UP + 2 * PAUSE
            sending.append(asyncio.create_task(load.send(rate, seconds, tally)))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(session.stop.wait(), warm_up)

        session.prepare = prepare
        session.requests = lambda: float(tally.answered)
        if options.pprof is not None:
            session.collect = partial(collected, options.pprof)
        stopping(session.stop)
        try:
            outcome, proof = await session.run()
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
    return outcome, proof, tally


def _result(
    arguments: argparse.Namespace,
    options: WatchOptions,
    found: tuple[Outcome, Proof, Tally],
    child: ChildProcess | None,
) -> int:
    from leakwarden.cli.soak.results import github_annotations, junit
    from leakwarden.cli.watch.command import Shown, show
    from leakwarden.cli.watch.profiles import evidence
    from leakwarden.core.watch.gate import Pressed, gate_code, gate_sentences
    from leakwarden.core.watch.outcome import Code

    outcome, proof, tally = found
    refused = sum(count for code, count in tally.codes.items() if 400 <= code < 500)
    words = tally.in_words()
    pressed = Pressed(tally.served, tally.failed, tally.due, arguments.per_million, words, refused=refused)
    process = child.name if child is not None else options.metrics.short
    said = list(gate_sentences(outcome, pressed))
    show(COMMAND, Shown(outcome, proof, said, process, options.metrics.short), arguments.page)
    suspects = evidence(proof.taken, proof.findings).suspects if outcome.leaks else []
    code = gate_code(outcome, pressed)
    if arguments.junit:
        with open(arguments.junit, "w", encoding="utf-8") as out:
            out.write(junit(outcome, pressed, suspects, process))
        say(COMMAND, f"wrote {arguments.junit}")
    if arguments.github or os.environ.get("GITHUB_ACTIONS") == "true":
        for line in github_annotations(outcome, suspects, code is Code.NOTHING, said):
            print(line)
    return int(code)
