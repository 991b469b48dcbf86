"""The command line. Nothing heavy is imported before the command that needs it runs."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from leakwarden import __version__

# In the order of --help. Only the module of the command that runs is imported; all of them for --help.
COMMANDS = {
    "watch": "leakwarden.cli.watch.command",
    "soak": "leakwarden.cli.soak.command",
    "capacity": "leakwarden.cli.capacity.command",
    "diagnose": "leakwarden.cli.diagnose.command",
    "run": "leakwarden.cli.run",
    "check": "leakwarden.cli.check",
    "audit": "leakwarden.cli.audit.command",
    "checks": "leakwarden.cli.checks",
    "capabilities": "leakwarden.cli.capabilities",
    "explain": "leakwarden.cli.explain",
    "report": "leakwarden.cli.report.command",
    "evidence": "leakwarden.cli.evidence.command",
    "suspects": "leakwarden.cli.evidence.suspects",
    "backtest": "leakwarden.cli.backtest.command",
    "crd": "leakwarden.cli.crd",
    "version": "leakwarden.cli.version",
}

# Exit codes, shared by all commands and listed in --help.
EPILOG = """exit codes:
  0  all is well
  1  the command found something (findings, an invalid policy)
  2  wrong usage, or input that cannot be read
  3  it ran, but some input had to be skipped
"""


def parser(only: str = "") -> argparse.ArgumentParser:
    """The whole command line, or the part of it that is needed for one command."""
    top = argparse.ArgumentParser(
        prog="leakwarden",
        description="Finds leaking Go services on Kubernetes, proves it, and restarts them within guards.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"leakwarden {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in [only] if only in COMMANDS else COMMANDS:
        importlib.import_module(COMMANDS[name]).add_parser(commands)
    if only not in COMMANDS:
        from leakwarden.cli import completion

        completion.add_parser(commands, top)
    return top


class _ClosedOutput(io.TextIOBase):
    """Standard output where the caller closed it (`>&-`): a command fails when it writes, and not before."""

    def writable(self) -> bool:
        return True

    def write(self, _: str, /) -> NoReturn:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard output")


class _ClosedInput(io.RawIOBase):
    """Standard input where the caller closed it (`<&-`): a command fails when it reads, and not before."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: object, /) -> NoReturn:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def _streams() -> None:
    """Replaces the streams that were closed before Python began: it has None there, which every command would have to
    check."""
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_ClosedInput()))
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    if sys.stdout is None:
        sys.stdout = _ClosedOutput()
    elif isinstance(sys.stdout, io.TextIOWrapper):
        # Characters that a terminal cannot show are escaped, as on standard error, and end nothing.
        sys.stdout.reconfigure(errors="backslashreplace")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. A user's mistake ends in one line, never in a traceback."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = parser(words[0] if words else "").parse_args(words)
    _streams()
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"leakwarden: {error.filename or ''}: {error.strerror or error}".replace(": :", ":"), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
