"""`leakwarden watch`: does this process leak, and at which line? Without a cluster and without Prometheus."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leakwarden.cli.errors import CommandFailed, Misused, NeverRead, fail, say
from leakwarden.cli.watch.options import add_watch_options, options_of

if TYPE_CHECKING:
    from leakwarden.cli.watch.options import WatchOptions
    from leakwarden.cli.watch.process import ChildProcess
    from leakwarden.cli.watch.session import Proof
    from leakwarden.core.watch.outcome import Outcome

COMMAND = "watch"
_ABOUT = """\
Watches one Go process by its own metrics, judges them as the operator does, and names the line that leaks from
its profiles. It ends when a leak is proven or the time is over.

  leakwarden watch http://127.0.0.1:8080                          scrapes /metrics, profiles from /debug/pprof
  leakwarden watch --exec './server' http://127.0.0.1:8080        starts the server, and ends it
  leakwarden watch --for 10m --page leak.html http://127.0.0.1:8080/metrics --pprof http://127.0.0.1:6060

It only reads: the process needs traffic from elsewhere (leakwarden soak sends its own).
"""
_EXIT = """\
exit code: 0 nothing that was judged grows like a leak, 1 a leak was found, 2 wrong usage or nothing could be read,
3 not enough was seen to say: too short, suspected and not proven, or not readable for part of the time
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "watch",
        help="watch one process by its own metrics and name the line that leaks",
        description=_ABOUT,
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", help="the metrics of the process, e.g. http://127.0.0.1:8080/metrics")
    add_watch_options(parser, "1m")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from leakwarden.cli.watch.process import ChildProcess
    from leakwarden.core.watch.outcome import sentences

    try:
        options = options_of(arguments)
        if refusal := page_refusal(arguments.page):
            raise Misused(refusal)
        with ExitStack() as stack:
            child = stack.enter_context(ChildProcess(arguments.command)) if arguments.command is not None else None
            try:
                outcome, proof = asyncio.run(_watch(options, child))
            except NeverRead:
                if child is not None and child.last_words():
                    say(COMMAND, f"the last it wrote: {child.last_words()[-400:]}")
                raise
    except CommandFailed as error:
        return fail(COMMAND, str(error))
    process = child.name if child is not None else options.metrics.short
    show(COMMAND, Shown(outcome, proof, list(sentences(outcome)), process, options.metrics.short), arguments.page)
    return int(outcome.code)


async def _watch(options: WatchOptions, child: ChildProcess | None) -> tuple[Outcome, Proof]:
    from leakwarden.adapters.metrics_page import MetricsPage
    from leakwarden.cli.report.command import look as terminal_look
    from leakwarden.cli.watch.screen import screen_for
    from leakwarden.cli.watch.session import Session

    look = terminal_look()
    live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    title = child.name if child is not None else options.metrics.url
    async with MetricsPage(options.metrics.url) as page:
        session = Session(options, page, child, screen_for(title, options.length, look.colours, look.unicode, live))
        stopping(session.stop)
        return await session.run()


def stopping(stop: asyncio.Event) -> None:
    """Ctrl-C ends the watch with the results until then; a second one ends the program."""
    loop = asyncio.get_running_loop()

    def once(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, once, number)


@dataclass(frozen=True, slots=True)
class Shown:
    """The shown result of a watch. `said` are its sentences, `address` is the scraped one."""

    outcome: Outcome
    proof: Proof
    said: Sequence[str]
    process: str
    address: str


def show(command: str, shown: Shown, page_file: str | None) -> None:
    """Prints the result on standard output, and writes the page where it is requested."""
    from leakwarden.cli.report.command import look as terminal_look
    from leakwarden.cli.report.input import Profiles, draw
    from leakwarden.cli.watch.profiles import evidence
    from leakwarden.core.model.text import printable
    from leakwarden.core.page.document import page
    from leakwarden.core.page.terminal import screen
    from leakwarden.core.watch.report import report_of

    leaks, proof = shown.outcome.leaks, shown.proof
    if leaks:
        told = evidence(proof.taken, proof.findings)
        report = report_of(leaks[0], shown.process, shown.address, told, time.time())
        print(screen(report, terminal_look()), end="\n\n")
        if page_file:
            capture = proof.taken.capture()
            leaked = [capture.leaked] if capture.leaked is not None else []
            profiles = Profiles(list(capture.goroutines), list(capture.heaps), leaked)
            with open(page_file, "w", encoding="utf-8") as out:
                out.write(page(report, draw(report, profiles), shown.said))
            say(command, f"wrote {page_file}")
    for sentence in shown.said:
        print(printable(sentence))
    for suspect in proof.findings.suspects[:1]:
        print(printable(f"line: {suspect.headline}"))
    if leaks and not proof.findings.suspects:
        because = "; ".join(dict.fromkeys(miss.message for miss in proof.taken.missed)) or "the profiles point at none"
        print(printable(f"line: not known: {because}"))
    if page_file and not leaks:
        say(command, f"{page_file} was not written: no leak was found")


def page_refusal(file: str | None) -> str:
    from leakwarden.cli.report.input import writable

    refusal = writable(file) if file else ""
    return f"--page {file} {refusal}" if refusal else ""
