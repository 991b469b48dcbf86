"""`leakwarden run`: the operator itself."""

from __future__ import annotations

import argparse
import os
from typing import Any

from leakwarden.cli.errors import fail

COMMAND = "run"


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="run the operator",
        description="Run the operator, in a cluster or against a kubeconfig. Configured by LEAKWARDEN_* variables;"
        " the chart's values set them all.",
    )
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    from leakwarden.settings import SettingsError, from_environment, unknown_variables

    try:
        settings = from_environment(os.environ)
    except SettingsError as error:
        return fail(COMMAND, str(error))
    from leakwarden.adapters.allocator import give_memory_back
    from leakwarden.composition import run_operator

    give_memory_back()
    return run_operator(settings, unknown_variables(os.environ))
