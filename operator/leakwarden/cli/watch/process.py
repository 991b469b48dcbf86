"""The process that `--exec` starts. Its last output is kept, and it is ended by its own id only."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from leakwarden.cli.errors import NotStarted

GRACE = 5.0  # s between SIGTERM and SIGKILL
_TAIL = 2000  # bytes of its output that are kept
# Bytes allocated between two samples of the heap profile. At Go's own 512 KiB a few hundred files or bodies leave no
# sample, and the line that opened them cannot be named; this rate costs a service a few percent of its CPU.
SAMPLING = 16 * 1024


def recording(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with a denser heap profile (GODEBUG's memprofilerate, package runtime), unless it sets one."""
    debug = environment.get("GODEBUG", "")
    if "memprofilerate=" in debug:
        return dict(environment)
    return {**environment, "GODEBUG": f"{debug},memprofilerate={SAMPLING}".lstrip(",")}


class ChildProcess:
    """A command line, run without a shell in a process group of its own, so that what it starts ends with it."""

    def __init__(self, command: str) -> None:
        """Raises NotStarted."""
        try:
            self.arguments = shlex.split(command)
        except ValueError as error:
            raise NotStarted(f"--exec {command[:60]!r} cannot be taken apart: {error}") from None
        if not self.arguments:
            raise NotStarted("--exec is empty; give a command such as './server -addr 127.0.0.1:8080'")
        self._child: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._tail = b""

    @property
    def name(self) -> str:
        return Path(self.arguments[0]).name

    @property
    def pid(self) -> int:
        """0 where it was not started."""
        return self._child.pid if self._child is not None else 0

    def __enter__(self) -> Self:
        """Raises NotStarted."""
        try:
            self._child = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=recording(os.environ),
            )
        except OSError as error:
            raise NotStarted(f"--exec {self.arguments[0][:60]!r} cannot be run: {error.strerror}") from None
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()
        return self

    def _drain(self) -> None:
        """A full pipe would stop the process."""
        stream = self._child.stdout if self._child is not None else None
        if stream is not None:
            with stream:
                while part := os.read(stream.fileno(), 65536):
                    self._tail = (self._tail + part)[-_TAIL:]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        child = self._child
        if child is None or child.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        until = time.monotonic() + GRACE
        while not self.ended() and time.monotonic() < until:
            time.sleep(0.02)
        # Also for the rest of its group, such as a process that `go run` started. The id cannot belong to another group
        # yet: the process is waited for only afterwards.
        self._signal(signal.SIGKILL)
        child.wait()
        if self._reader is not None:
            self._reader.join(1.0)  # longer only where a process that left the group still holds the pipe

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def ended(self) -> str:
        """How it ended, in words; empty while it runs."""
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) if self._child is not None else None
        if found is None:
            return ""
        how = (
            f"exited with code {found.si_status}"
            if found.si_code == os.CLD_EXITED
            else f"was ended by signal {found.si_status}"
        )
        return f"the process {how}"

    def last_words(self) -> str:
        """The end of its output."""
        return self._tail.decode("utf-8", "replace").strip()
