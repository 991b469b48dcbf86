"""`leakwarden capacity`: load against latency and memory of one pod, and the replicas that a load needs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from leakwarden.cli.arguments import prometheus, seconds
from leakwarden.cli.errors import CommandFailed, Misused, fail, say

if TYPE_CHECKING:
    from leakwarden.core.capacity.sizing import Capacity, Question
    from leakwarden.core.correlation.protection import Protection

COMMAND = "capacity"
MOST_STEPS, LONGEST_STEP = 20, 300.0
RATES = "5,10,20,40,80,160"

_ABOUT = """\
Load against P99 and memory of one pod: the knee, what a pod carries within the objective, and how many replicas a load
needs with a pod or a zone lost. From a load test of its own, or from what a Prometheus remembers.

  leakwarden capacity --load http://127.0.0.1:8080/work --metrics http://127.0.0.1:8080 --rates 10,20,40,80 --qps 500
  leakwarden capacity --prometheus http://localhost:9090 --namespace shop --pods checkout- --since 24h --qps 500 --zones 3

  leakwarden capacity --load grpc://127.0.0.1:9090/shop.Stock/Check --data '{"sku": "tea"}' --rates 10,20,40,80

The load test sends each rate for --step, stops where the service has had enough, and calls the addresses of --load only.
"""
_EXIT = "exit code: 0 it was measured, 2 wrong usage or nothing could be measured, 3 measured, but what a pod carries is not known"


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="say what one pod carries and how many a load needs",
        description=_ABOUT,
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--load",
        action="append",
        metavar="URL",
        help="measure: where requests go; may be repeated. grpc://HOST:PORT/package.Service/Method (grpcs:// with TLS) is"
        " one unary gRPC method, sent by ghz",
    )
    source.add_argument("--prometheus", metavar="URL", help="read the past from there instead")
    parser.add_argument("--metrics", metavar="URL", help="with --load: the metrics of the process, for its memory")
    parser.add_argument(
        "--rates",
        default=RATES,
        metavar="LIST",
        help=f"with --load: requests per second of each step (default: {RATES})",
    )
    parser.add_argument(
        "--step", default="10s", metavar="TIME", help="with --load: how long each step takes (default: 10s)"
    )
    grpc = parser.add_argument_group("with --load grpc://...")
    grpc.add_argument("--data", metavar="JSON", help="the request message (default: {})")
    grpc.add_argument("--proto", metavar="FILE", help="the service's .proto file (default: the server's reflection)")
    grpc.add_argument("--ghz", metavar="FILE", help="the program ghz (default: the one on PATH)")
    parser.add_argument("--namespace", metavar="NAMESPACE", help="with --prometheus: the namespace of the pods")
    parser.add_argument(
        "--pods", metavar="PREFIX", help="with --prometheus: how the pods' names begin, such as checkout-"
    )
    parser.add_argument("--since", default="24h", metavar="TIME", help="with --prometheus: how far back (default: 24h)")
    parser.add_argument("--p99", default="200ms", metavar="TIME", help="the objective (default: 200ms)")
    parser.add_argument("--qps", type=float, metavar="N", help="size the service for so many requests per second")
    parser.add_argument(
        "--zones", type=int, default=1, metavar="N", help="zones that the pods are spread over (default: 1)"
    )
    parser.add_argument("--pool", type=int, metavar="N", help="connections that one pod may open to its database")
    parser.add_argument("--database", type=int, metavar="N", help="connections that the database takes")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    parser.add_argument("--png", metavar="FILE", help="draw the curve (needs matplotlib)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    try:
        question = _question(arguments)
        found, protection = _measure(arguments, question) if arguments.load else _remember(arguments, question)
        if arguments.png:
            _draw(arguments.png, found, question)
    except CommandFailed as error:
        return fail(COMMAND, str(error))
    from leakwarden.cli.capacity.output import as_json, table

    shown = as_json(found, question, protection) if arguments.output == "json" else table(found, question, protection)
    sys.stdout.write(shown)
    return 0 if found.sustained is not None else 3


def _question(arguments: argparse.Namespace) -> Question:
    """Raises Misused."""
    from leakwarden.cli.report.input import writable
    from leakwarden.core.capacity.sizing import Question

    for name, least, most in (("qps", 0.1, 1e9), ("zones", 1, 100), ("pool", 1, 100_000), ("database", 1, 1_000_000)):
        value = getattr(arguments, name)
        if value is not None and not least <= value <= most:
            raise Misused(f"--{name} is {value:g}; {least:g} to {most:g} is allowed")
    if arguments.png and (refusal := writable(arguments.png)):
        raise Misused(f"--png {arguments.png} {refusal}")
    return Question(
        seconds(arguments.p99, "--p99", 0, 60), arguments.qps, arguments.zones, arguments.pool, arguments.database
    )


def rates_of(text: str) -> list[float]:
    """`10,20,40` as numbers, ascending. Raises Misused."""
    from leakwarden.adapters.load import MOST_RATE

    found: list[float] = []
    with contextlib.suppress(ValueError):
        found = sorted({float(part) for part in text.split(",")})
    if not 2 <= len(found) <= MOST_STEPS or not 0.1 <= found[0] <= found[-1] <= MOST_RATE:
        raise Misused(
            f"--rates is {text[:60]!r}; 2 to {MOST_STEPS} numbers from 0.1 to {MOST_RATE:g} are wanted, such as {RATES}"
        )
    return found


def _measure(arguments: argparse.Namespace, question: Question) -> tuple[Capacity, Sequence[Protection]]:
    """By a load test. Raises CommandFailed."""
    from leakwarden.cli.capacity.load_test import load_test
    from leakwarden.cli.watch.options import place
    from leakwarden.core.capacity.curve import memory_per_million, points
    from leakwarden.core.capacity.sizing import Seen, capacity
    from leakwarden.core.correlation.protection import of_load

    for option in ("namespace", "pods"):
        if getattr(arguments, option) is not None:
            raise Misused(f"--{option} goes with --prometheus; leave it out")
    metrics = place(arguments.metrics, "--metrics", "/metrics").url if arguments.metrics else None
    rates, length = rates_of(arguments.rates), seconds(arguments.step, "--step", 0, LONGEST_STEP)
    done = asyncio.run(load_test(arguments, metrics, rates, seconds=length, objective=question.objective))
    if done.stopped:
        say(COMMAND, done.stopped)
    curve = points(done.measured)
    if not curve:
        where = arguments.load[0]
        raise CommandFailed(f"nothing answered at {where if '://' in where else place(where, '--load', '/').url}")
    highest = max(one.qps for one in done.measured)
    found = capacity(curve, question, Seen(None, highest, memory_per_million(done.runs)))
    overloaded = bool(done.stopped) or (found.sustained is not None and found.sustained.bounded)
    return found, of_load(done.turned_away, overloaded)


def _remember(arguments: argparse.Namespace, question: Question) -> tuple[Capacity, Sequence[Protection]]:
    """From Prometheus. Raises CommandFailed."""
    from leakwarden.cli.capacity.past import past
    from leakwarden.core.capacity.curve import memory_per_million, points
    from leakwarden.core.capacity.sizing import Seen, capacity
    from leakwarden.core.correlation.protection import pool_budget
    from leakwarden.core.correlation.protection_queries import pool_budget_of

    if not arguments.namespace or not arguments.pods:
        raise Misused("--prometheus needs --namespace and --pods: whose capacity is asked for")
    endpoint = prometheus(arguments.prometheus, COMMAND)
    read = asyncio.run(
        past(endpoint, arguments.namespace, arguments.pods, seconds(arguments.since, "--since", 0, 14 * 86400))
    )
    curve = points(read.measured)
    if not curve:
        raise CommandFailed(f"the {len(read.by_pod)} pods answered no requests in the last {arguments.since}")
    found = capacity(curve, question, Seen(read.today, read.highest, memory_per_million(read.runs(curve))))
    budget = pool_budget_of(read.answers, len(read.by_pod), pool=question.pool, database=question.database)
    return found, [pool_budget(budget)]


def _draw(file: str, found: Capacity, question: Question) -> None:
    """Raises Misused."""
    from leakwarden.cli.capacity.output import picture

    try:
        picture(file, found, question)
    except ImportError:
        raise Misused("--png needs matplotlib, which is not installed here: pip install matplotlib") from None
    say(COMMAND, f"wrote {file}")
