"""`leakwarden version`: the installed versions, for bug reports and for scripts."""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

from leakwarden import __version__

COMMAND = "version"


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="print the version",
        description="Print the version of the program, of its API and of Python. Exit code 0.",
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from leakwarden.api import names

    found = {
        "version": __version__,
        "apiVersion": names.API_VERSION,
        "python": platform.python_version(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }
    if arguments.output == "json":
        print(json.dumps(found, indent=2))
    else:
        print(f"leakwarden {found['version']}")
        print(f"api {found['apiVersion']}, Python {found['python']}, {found['platform']}")
    return 0
