"""Running other programs, behind a Protocol so that tests can read the command lines."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from e2e.cluster.errors import ClusterError


@dataclass(frozen=True)
class Result:
    """The result of a finished program; ``status`` is 127 when it could not be started at all."""

    status: int
    output: str
    errors: str

    @property
    def succeeded(self) -> bool:
        return self.status == 0

    def last_words(self, lines: int = 5) -> str:
        """The end of its output, errors first: enough for one message."""
        text = (self.errors.strip() or self.output.strip()).splitlines()
        return "\n".join(text[-lines:]) or "it said nothing"


class Runner(Protocol):
    """Runs a program to its end."""

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: str | None = None,
        timeout: float = 120,
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        """Never raises for a program that fails, is missing, or overstays ``timeout`` seconds."""
        ...


class Programs:
    """The Runner that really runs them."""

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: str | None = None,
        timeout: float = 120,
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        try:
            done = subprocess.run(
                list(command),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
                env={**os.environ, **environment} if environment else None,
            )
        except FileNotFoundError:
            return Result(127, "", f"{command[0]} is not installed or not on PATH")
        except PermissionError as error:
            return Result(126, "", f"{command[0]} may not be run: {error.strerror}")
        except subprocess.TimeoutExpired:
            return Result(124, "", f"{command[0]} did not finish within {timeout:.0f} s")
        return Result(done.returncode, done.stdout, done.stderr)


def demand(runner: Runner, command: Sequence[str], *, stdin: str | None = None, timeout: float = 120) -> str:
    """The output of a program that must succeed; raises ClusterError with the end of its output."""
    result = runner.run(command, stdin=stdin, timeout=timeout)
    if not result.succeeded:
        raise ClusterError(f"'{' '.join(command[:6])}' failed: {result.last_words()}")
    return result.output
