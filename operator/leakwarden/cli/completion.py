"""`leakwarden completion SHELL`: the script by which a shell completes commands, options and file names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

COMMAND = "completion"
SHELLS = ("bash", "zsh", "tcsh")  # the shells that shtab supports
_ABOUT = """\
Print the script that makes a shell complete the words of this command.

  bash   leakwarden completion bash > ~/.local/share/bash-completion/completions/leakwarden
  zsh    leakwarden completion zsh > "${fpath[1]}/_leakwarden"
  tcsh   leakwarden completion tcsh > ~/.leakwarden.tcsh      and: source ~/.leakwarden.tcsh
"""


def add_parser(commands: Any, whole: argparse.ArgumentParser) -> None:
    """`whole` is the parser of the whole command line, which the script is written from."""
    parser = commands.add_parser(
        COMMAND,
        help="print the script for completion in bash, zsh or tcsh",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "shell", choices=SHELLS, metavar="SHELL", help=" or ".join((", ".join(SHELLS[:-1]), SHELLS[-1]))
    )
    parser.set_defaults(run=run, whole=whole)


def run(arguments: argparse.Namespace) -> int:
    import shtab

    for action in _actions(arguments.whole):
        # The metavar already shows the kind of an argument; shtab takes the kind of completion from this attribute.
        kind = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY}.get(str(action.metavar).partition("|")[0])
        if kind is not None:
            action.complete = kind  # type: ignore[attr-defined]
    print(shtab.complete(arguments.whole, shell=arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
