"""`leakwarden report`: one leak from detection to outcome, as a page that opens from a file, and on the terminal."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

from leakwarden.cli.errors import NoReport, fail, say

if TYPE_CHECKING:
    from leakwarden.adapters.cluster import Session
    from leakwarden.core.model.leakreport import LeakReport

COMMAND = "report"
WRITTEN, INCOMPLETE = 0, 3  # exit codes; 2 where there is nothing to show
PATIENCE = 2.0  # s without an answer, after which the command prints what it waits for
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)

_ABOUT = """\
Shows one LeakReport: which pod leaks, which line of code, what was done and whether it helped. Writes one HTML
page that needs nothing else (NAME.html, or the file after -o) and prints the same in short.

  leakwarden report checkout-7d4f -n shop                      from the cluster
  leakwarden report checkout-7d4f -n shop --profiles DIR       with flame graphs of the raw profiles in DIR
  leakwarden report -f report.yaml --terminal                  from a file, without a page
"""
_EXIT = (
    "exit code: 0 it was shown, 2 wrong usage or no such report, 3 it was shown but some profiles had to be left out"
)


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="show one leak from detection to outcome, as an HTML page",
        description=_ABOUT,
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the LeakReport's name")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="its namespace (default: looked for in all)")
    parser.add_argument("-f", "--file", metavar="FILE", help="read it from YAML or JSON instead; - is standard input")
    parser.add_argument("--profiles", metavar="DIR", help="raw profiles of the pod, for flame graphs")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-o", "--output", metavar="FILE", help="the page (default: NAME.html); - is standard output")
    where.add_argument("--terminal", action="store_true", help="only print it, write no page")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: KUBECONFIG, the pod's account, ~/.kube/config")
    parser.add_argument("--context", metavar="NAME", help="a context of the kubeconfig (default: its current one)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from leakwarden.cli.report.input import Profiles, read_profiles
    from leakwarden.engine.ports import ClusterUnavailable

    for option, value in (("NAME", arguments.name), ("--namespace", arguments.namespace)):
        if value is not None and _NAME.fullmatch(value) is None:
            return fail(COMMAND, f"{option} {value[:60]!r} is not a name that Kubernetes allows")
    if arguments.name is None and arguments.file is None:
        return fail(COMMAND, "give the NAME of a LeakReport, or a file with -f")
    try:
        profiles = read_profiles(arguments.profiles) if arguments.profiles else Profiles()
        report = _report(arguments)
    except (NoReport, ClusterUnavailable) as error:
        return fail(COMMAND, str(error))
    return _show(arguments, report, profiles)


def _report(arguments: argparse.Namespace) -> LeakReport:
    """Raises NoReport, ClusterUnavailable."""
    from leakwarden.cli.report.input import from_file

    if arguments.file is not None:
        return from_file(arguments.file, arguments.name, arguments.namespace)
    return asyncio.run(_ask(arguments))


def _show(arguments: argparse.Namespace, report: LeakReport, profiles: Any) -> int:
    from leakwarden.cli.report.input import draw, writable
    from leakwarden.core.page.document import page
    from leakwarden.core.page.terminal import screen

    for problem in profiles.problems:
        say(COMMAND, f"left out: {problem}")
    code = INCOMPLETE if profiles.problems else WRITTEN
    if not arguments.terminal:
        file = arguments.output or _file_name(report.name)
        if not file:
            return fail(COMMAND, f"the report's name {report.name[:60]!r} is no name for a file; give one with -o")
        text = page(report, draw(report, profiles))
        if file == "-":
            sys.stdout.write(text)
            return code
        if refusal := writable(file):
            return fail(COMMAND, f"{file}: {refusal}")
        with open(file, "w", encoding="utf-8") as out:
            out.write(text)
        say(COMMAND, f"wrote {file}")
    print(screen(report, look()))
    return code


def _file_name(name: str) -> str:
    """A report from a file may have any name; only a name that Kubernetes allows becomes a path."""
    return f"{name}.html" if _NAME.fullmatch(name) else ""


def look() -> Any:
    from leakwarden.core.page.terminal import TerminalStyle

    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    columns = shutil.get_terminal_size().columns if live else 100
    return TerminalStyle(live and not os.environ.get("NO_COLOR"), encoding.startswith("utf"), columns)


async def _ask(arguments: argparse.Namespace) -> LeakReport:
    """Raises NoReport, ClusterUnavailable."""
    from leakwarden.adapters.cluster import Session

    session = await Session.open(arguments.kubeconfig, arguments.context)
    try:
        reading = asyncio.create_task(_read(session, arguments.name, arguments.namespace))
        done, _ = await asyncio.wait([reading], timeout=PATIENCE)
        if not done:
            say(COMMAND, f"waiting for {session.server}")
        return await reading
    finally:
        await session.close()


async def _read(session: Session, name: str, namespace: str | None) -> LeakReport:
    import json

    from leakwarden.api import names
    from leakwarden.core.model.leakreport import parse_report

    base = f"/apis/{names.GROUP}/{names.VERSION}"
    if namespace:
        path, query = f"{base}/namespaces/{namespace}/{names.REPORT_PLURAL}/{name}", None
    else:
        path, query = f"{base}/{names.REPORT_PLURAL}", {"fieldSelector": f"metadata.name={name}"}
    reply = await session.ask("GET", path, query=query)
    if not reply.ok:
        raise NoReport(_refusal(reply.status, name, namespace, session.server))
    try:
        answer = json.loads(reply.body)
        bodies = [answer] if namespace else list(answer["items"])
        # A server that knows no field selector for the kind answers with all of them.
        found = [report for body in bodies if (report := parse_report(body)) is not None and report.name == name]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise NoReport(f"{session.server} did not answer with a LeakReport; is it an API server?") from None
    if not found:
        raise NoReport(f"there is no LeakReport {name} in {f'namespace {namespace}' if namespace else 'any namespace'}")
    if len(found) > 1:
        where = ", ".join(sorted(report.namespace for report in found)[:5])
        raise NoReport(f"there is a LeakReport {name} in each of {where}: say which with -n")
    return found[0]


def _refusal(status: int, name: str, namespace: str | None, server: str) -> str:
    if status == 401:
        return f"{server} does not accept the credentials (HTTP 401)"
    if status == 403:
        where = (
            f"get leakreports in namespace {namespace}" if namespace else "list leakreports in all namespaces; use -n"
        )
        return f"you are not allowed to {where} (HTTP 403)"
    if status == 404:
        if namespace:
            return f"there is no LeakReport {name} in namespace {namespace}, or its CRD is not installed (HTTP 404)"
        return f"{server} knows no leakreports: install the chart, or apply crds/ (HTTP 404)"
    return f"{server} answered HTTP {status}"
