"""`leakwarden checks`: all checks of the audit, or the page of one."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

SHOWN, UNKNOWN = 0, 2  # exit codes


def add_parser(commands: Any) -> None:
    """Register the subcommand. Imports nothing: --help must be quick."""
    parser = commands.add_parser(
        "checks",
        help="list the audit's checks, or explain one",
        description="List the checks of the audit with their ids, or show the page of one: why it matters, how to mend it,"
        " and where it is from.",
        epilog="-o admission prints a ValidatingAdmissionPolicy of the checks that CEL can decide, and a binding that warns\n"
        "and audits: leakwarden checks -o admission | kubectl apply -f -\n\nexit codes: 0 shown; 2 there is no such check",
    )
    parser.add_argument("check", nargs="?", metavar="ID|NAME", help="one check, such as LW101 or ReadinessProbeMissing")
    parser.add_argument("-o", "--output", choices=("table", "json", "markdown", "admission"), default="table")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list or the page; returns the exit code."""
    from leakwarden.core.audit.pages import every_check, help_uri, page, reference

    checks = every_check()
    if arguments.check is not None:
        wanted = arguments.check.lower()
        checks = tuple(check for check in checks if wanted in (check.id.lower(), check.name.lower()))
        if not checks:
            from leakwarden.cli.audit.report import printable

            said = printable(arguments.check[:60])
            print(f"leakwarden checks: there is no check {said}; leakwarden checks lists them", file=sys.stderr)
            return UNKNOWN
    if arguments.output == "admission":
        return _admission()
    pages = [page(check) for check in checks]
    if arguments.output == "json":
        fields = [
            {
                "id": each.check.id,
                "name": each.check.name,
                "title": each.title,
                "kinds": sorted(each.check.kinds),
                "why": each.why,
                "mend": each.mend,
                "source": each.source,
                "helpUri": help_uri(each.check),
            }
            for each in pages
        ]
        print(json.dumps(fields, indent=2))
    elif arguments.output == "markdown":
        print(reference() if arguments.check is None else pages[0].markdown)
    elif arguments.check is not None:
        (only,) = pages
        print(
            f"{only.check.id} {only.check.name}: {only.title}\n\n{only.why}\n\nMend:\n{only.mend}\n\nSource: {only.source}"
        )
    else:
        width = max(len(check.name) for check in checks)
        for each in pages:
            print(f"{each.check.id}  {each.check.name:<{width}}  {each.title}")
    return SHOWN


def _admission() -> int:
    import yaml

    from leakwarden.core.audit.admission_policy import admission_policy

    print(yaml.safe_dump_all(admission_policy(), sort_keys=False, width=200, explicit_start=True), end="")
    return SHOWN
