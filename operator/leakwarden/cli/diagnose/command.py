"""`leakwarden diagnose`: a proxy answered with errors; which of five causes was it, and which pods are behind it?"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from leakwarden.cli.arguments import endpoint, prometheus, seconds
from leakwarden.cli.errors import CommandFailed, Misused, fail, say

if TYPE_CHECKING:
    from leakwarden.cli.diagnose.logs import LogsAsked
    from leakwarden.cli.diagnose.reading import Asked, Remembered
    from leakwarden.core.model.readings import Answer

COMMAND = "diagnose"
NOTHING, EPISODE, UNTOLD = 0, 1, 3
LONGEST = 24 * 3600.0

_ABOUT = """\
Tells apart, from what a Prometheus remembers, why a proxy answered with errors: a resource that was used up, a slow
dependency, a rollout without draining, a proxy that gives up before the service answers, or an overload.

  leakwarden diagnose --prometheus http://localhost:9090 --proxy ingress-nginx --route checkout \\
      --namespace shop --pods checkout- --since 1h --proxy-timeout 60s
"""
_EXIT = "exit code: 0 there were hardly any errors and it was not slow, 1 there were or it was and the cause is named, 2 wrong usage or nothing could be read, 3 the cause cannot be told"


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="say why a proxy answered with errors, from what Prometheus remembers",
        description=_ABOUT,
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prometheus", required=True, metavar="URL", help="a Prometheus, or what speaks its query API")
    parser.add_argument(
        "--proxy",
        required=True,
        choices=["nginx", "ingress-nginx", "istio", "envoy", "envoy-gateway", "application"],
        help="whose metrics have the errors; nginx exports none by status code, so that its --access-log is read",
    )
    parser.add_argument(
        "--route",
        required=True,
        metavar="NAME",
        help="the Ingress, called workload, cluster, HTTPRoute or job; for nginx how the path begins, such as /checkout/",
    )
    parser.add_argument(
        "--namespace", required=True, metavar="NAMESPACE", help="the namespace of the workload behind it"
    )
    parser.add_argument("--pods", required=True, metavar="PREFIX", help="how its pods' names begin, such as checkout-")
    parser.add_argument("--since", default="1h", metavar="TIME", help="how far back (default: 1h, at most 24h)")
    parser.add_argument(
        "--proxy-timeout", metavar="TIME", help="how long the proxy waits for its upstream; no metric has it"
    )
    parser.add_argument(
        "--access-log",
        metavar="FILE",
        help="nginx's access log, JSON or combined; with $request_time its times are known; - is standard input",
    )
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="FILE",
        help="a log of the time, of the proxy or a pod; - is standard input",
    )
    parser.add_argument(
        "--loki",
        metavar="URL",
        help="a Loki, where the pods' lines of known errors are looked for, labels namespace, pod",
    )
    parser.add_argument("--loki-tenant", metavar="ID", help="with --loki: sent as X-Scope-OrgID")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from leakwarden.cli.diagnose.logs import read_logs
    from leakwarden.cli.diagnose.output import Shown, as_json, text
    from leakwarden.core.correlation.causes import explain

    try:
        asked = _logs_asked(arguments)
        read = _read(arguments)
        episode = read.episode
        logs, unread = read_logs(asked, float(episode.t[0]), float(episode.t[-1]))
    except CommandFailed as error:
        return fail(COMMAND, str(error))
    if logs is not None:
        episode = replace(episode, logs=logs.counts)
    for message in [*read.failed, *unread]:
        say(COMMAND, f"not read: {message}")
    found = explain(episode)
    shown = Shown(found, episode, logs, read.protection)
    sys.stdout.write(as_json(shown) if arguments.output == "json" else text(shown))
    if not found.happened:
        return NOTHING
    return EPISODE if found.cause is not None else UNTOLD


def _logs_asked(arguments: argparse.Namespace) -> LogsAsked:
    """Raises Misused."""
    from leakwarden.cli.diagnose.logs import LogsAsked
    from leakwarden.core.promql import literal_regex

    if arguments.loki_tenant is not None and arguments.loki is None:
        raise Misused("--loki-tenant goes with --loki; leave it out")
    loki = None
    if arguments.loki is not None:
        headers = {"X-Scope-OrgID": arguments.loki_tenant} if arguments.loki_tenant is not None else {}
        loki = endpoint(arguments.loki, COMMAND, "--loki", headers)
    return LogsAsked(arguments.log, loki, arguments.namespace, literal_regex(arguments.pods) + ".*")


def _read(arguments: argparse.Namespace) -> Remembered:
    """Raises CommandFailed."""
    from leakwarden.cli.diagnose.reading import Asked, read
    from leakwarden.core.correlation.presets import PRESETS

    if (arguments.proxy == "nginx") != (arguments.access_log is not None):
        raise CommandFailed("--proxy nginx and --access-log FILE go together: nginx has no metric by status code")
    length = seconds(arguments.since, "--since", 0, LONGEST)
    timeout = seconds(arguments.proxy_timeout, "--proxy-timeout", 0, 3600) if arguments.proxy_timeout else None
    remembers = prometheus(arguments.prometheus, COMMAND)
    now = time.time()
    asked = Asked(
        PRESETS.get(arguments.proxy),
        arguments.route,
        arguments.namespace,
        prefix=arguments.pods,
        since=now - length,
        until=now,
        timeout=timeout,
    )
    if arguments.access_log is not None:
        asked = replace(asked, access_log=_access_log(arguments.access_log, asked))
    return asyncio.run(read(remembers, asked))


def _access_log(file: str, asked: Asked) -> Mapping[str, Answer]:
    """Raises NothingRemembered."""
    from leakwarden.cli.diagnose.reading import NothingRemembered
    from leakwarden.core.correlation.access_log import read_access_log
    from leakwarden.core.correlation.remembered import ERRORS, P99

    with ExitStack() as stack:
        try:
            lines = sys.stdin if file == "-" else stack.enter_context(open(file, encoding="utf-8", errors="replace"))
        except OSError as error:
            raise NothingRemembered(f"--access-log {file}: {error.strerror}") from None
        found = read_access_log(lines, asked.route, asked.since, asked.until, step=asked.step)
    if found.unread:
        say(COMMAND, f"{found.unread:,} lines of the access log were not understood")
    if found.left_out:
        say(COMMAND, f"{found.left_out:,} lines of the access log were left out: too many")
    return found.answers(ERRORS, P99, asked.namespace, asked.step)
