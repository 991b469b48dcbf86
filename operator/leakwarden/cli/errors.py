"""The end of a command that fails: one error, one line on standard error, one exit code.

Every error of a command is defined here. Its message is one line for people, which names the fault and the allowed
values. The exit codes are those that `leakwarden --help` lists; a command gives its own names to the ones it uses.
"""

from __future__ import annotations

import sys
from typing import Final

from leakwarden.core.model.text import printable

UNUSABLE: Final = 2  # exit code: wrong usage, or input that cannot be read


class CommandFailed(Exception):
    """The command cannot do its task; the message is one line for people."""


class ClusterRefused(CommandFailed):
    """The API server answered, but not with the requested objects; `status` is its HTTP status where that is why."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NoReport(CommandFailed):
    """There is no LeakReport to show."""


class NotGiven(CommandFailed):
    """A requested profile was not given."""


class NoProfiles(CommandFailed):
    """There are no profiles to name suspects from."""


class InputUnreadable(CommandFailed):
    """The input of the replay cannot be read."""


class BadPolicy(CommandFailed):
    """The policy to replay against cannot be used."""


class Unreplayable(CommandFailed):
    """The replay cannot go on."""


class Misused(CommandFailed):
    """An option has a value that is not allowed."""


class NotStarted(CommandFailed):
    """The process of --exec cannot be run."""


class NeverRead(CommandFailed):
    """The process that is to be watched gave no readings at all."""


def say(command: str, message: str) -> None:
    """One line on standard error, without control characters: texts of others must not control a terminal."""
    print(f"leakwarden {command}: {printable(message)}", file=sys.stderr, flush=True)


def fail(command: str, message: str) -> int:
    """Print why the command ends, and return its exit code."""
    say(command, message)
    return UNUSABLE


def refusal(plural: str, status: int, namespace: str | None, server: str) -> str:
    """Why the API server did not list the objects called `plural` in one namespace (None: in all), in one line."""
    if status == 401:
        return f"{server} does not accept the credentials (HTTP 401)"
    if status == 403:
        where = f"in namespace {namespace}" if namespace else "in all namespaces; with -n NAMESPACE you may be"
        return f"you are not allowed to list {plural} {where} (HTTP 403)"
    if status == 404:
        return f"{server} knows no {plural}: install the chart, or apply crds/ (HTTP 404)"
    if status == 410:
        return f"the list of {plural} changed while it was read; try again"
    return f"{server} answered HTTP {status}"
